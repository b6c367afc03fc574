//! Sets off what the command line asks for.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::args::{Global, Who};
use super::parser::{self, Bare, Full, Sub};
use super::{answering, import, opening, papers, settings, talk, upkeep};
use crate::commands::{Shown, until_interrupted};
use crate::config::Config;
use crate::repl::Outcome;
use crate::store;
use crate::ui::Ui;

/// Does what the command line asks for.
pub fn start(global: &Global, who: Who, sub: Sub, ui: &Ui) -> Result<Outcome> {
    match sub {
        Sub::Full(sub) => full(*sub, global, who, ui),
        Sub::Bare(sub) => bare(sub, global, who, ui),
    }
}

fn full(sub: Full, global: &Global, who: Who, ui: &Ui) -> Result<Outcome> {
    let home = opening::home(global.home.clone())?;
    let file = home.join("config.toml");
    let config = Config::load(&file)?;
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let redact = config.redact && !matches!(&sub, Full::Chat(args) if args.no_redact);
    let settings = match file.exists() {
        true => "config.toml in it",
        false => "the defaults",
    };
    ui.detail(&format!("home: {}; settings: {settings}", home.display()));
    // A model that is not there yet is fetched for what embeds, and for nothing else.
    let options = |fetches: bool| {
        let source = opening::embedder(global, &home, &config)?;
        if fetches {
            runtime.block_on(source.fetch(ui.watched()))?;
        }
        opening::options(global, &home, &config, source, redact, ui)
    };
    match sub {
        Full::Models(args) => runtime.block_on(answering::models(&args, &config, ui)),
        Full::History(mut command) => {
            command.or_input(|| {
                if io::stdin().is_terminal() {
                    return Ok(String::new());
                }
                io::read_to_string(io::stdin()).context("cannot read standard input")
            })?;
            let username = opening::username(who.name)?;
            let options = options(true)?;
            let asked = runtime.block_on(async {
                if !command.prepare(&options, ui).await? {
                    return Ok(Outcome::Done);
                }
                let memory = opening::remember(options, false, username, &config, ui).await?;
                let store = Arc::clone(&memory.store);
                let mut shown = Shown::default();
                let running = Box::pin(command.run(&memory, &mut shown, ui));
                let running = until_interrupted(running, &store, ui);
                match running.await {
                    Some(result) => result.map(|()| Outcome::Done),
                    None => Ok(Outcome::Interrupted),
                }
            });
            runtime.shutdown_background();
            asked
        }
        Full::Import(args) => {
            let options = options(true)?;
            bring_in(args, options, who.name, runtime, ui)
        }
        Full::Migrate(args) => {
            let options = options(true)?;
            bring_in(args.into(), options, who.name, runtime, ui)
        }
        Full::Doctor(args) => {
            let options = options(false)?;
            runtime.block_on(upkeep::doctor(options, args, &config, ui))
        }
        Full::Chat(args) => {
            let username = opening::username(args.who.name.clone().or(who.name))?;
            let options = options(true)?;
            let ui = &ui.numbered();
            let outcome = talk::chat(args, options, username, &config, &home, &runtime, ui);
            // Who leaves at once waits for nothing: the journal has what is not stored.
            runtime.shutdown_background();
            outcome
        }
    }
}

fn bare(sub: Bare, global: &Global, who: Who, ui: &Ui) -> Result<Outcome> {
    match sub {
        Bare::Config(args) => settings::run(
            args,
            global,
            who.name,
            &opening::home(global.home.clone())?,
            ui,
        ),
        Bare::Completions(args) => papers::completions(&args, parser::described(), ui),
        Bare::Man(args) => papers::man(&args, parser::described(), ui),
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
