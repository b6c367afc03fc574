//! Sets off what the command line asks for.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::parser::{Cli, Sub};
use super::{import, opening, talk, upkeep};
use crate::commands::{Shown, until_interrupted};
use crate::config::Config;
use crate::repl::Outcome;
use crate::store;
use crate::ui::Ui;

/// Does what the command line asks for.
pub fn start(cli: Cli, ui: &Ui) -> Result<Outcome> {
    let home = opening::home(cli.global.home.clone())?;
    let config = Config::load(&home.join("config.toml"))?;
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let redact = config.redact && !matches!(&cli.command, Sub::Chat(args) if args.no_redact);
    let options = runtime.block_on(opening::options(&cli.global, &home, &config, redact, ui))?;
    match cli.command {
        Sub::History(mut command) => {
            command.or_input(|| {
                if io::stdin().is_terminal() {
                    return Ok(String::new());
                }
                io::read_to_string(io::stdin()).context("cannot read standard input")
            })?;
            let username = opening::username(cli.who.name)?;
            let asked = runtime.block_on(async {
                if !command.prepare(&options, ui).await? {
                    return Ok(Outcome::Done);
                }
                let memory = opening::remember(options, username, &config, ui).await?;
                let store = Arc::clone(&memory.store);
                let mut shown = Shown::default();
                let running = command.run(&memory, &mut shown, ui);
                let running = until_interrupted(running, &store, ui);
                match running.await {
                    Some(result) => result.map(|()| Outcome::Done),
                    None => Ok(Outcome::Interrupted),
                }
            });
            runtime.shutdown_background();
            asked
        }
        Sub::Import(args) => bring_in(args, options, cli.who.name, runtime, ui),
        Sub::Migrate(args) => bring_in(args.into(), options, cli.who.name, runtime, ui),
        Sub::Doctor(args) => runtime.block_on(upkeep::doctor(options, args, &config, ui)),
        Sub::Chat(args) => {
            let username = opening::username(args.who.name.clone().or(cli.who.name))?;
            let ui = &ui.numbered();
            let outcome = talk::chat(args, options, username, &config, &home, &runtime, ui);
            // Who leaves at once waits for nothing: the journal has what is not stored.
            runtime.shutdown_background();
            outcome
        }
    }
}

/// Brings a history in, unless Ctrl-C stops it.
fn bring_in(
    args: import::Args,
    options: store::Options,
    user: Option<String>,
    runtime: Runtime,
    ui: &Ui,
) -> Result<Outcome> {
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = import::import(args, options, user, ui) => outcome,
            _ = tokio::signal::ctrl_c() => {
                ui.note("stopped: the same command goes on from here");
                Ok(Outcome::Interrupted)
            }
        }
    });
    runtime.shutdown_background();
    outcome
}
