//! The command line: from arguments to an exit status.
//!
//! # Rooms
//!
//! ```text
//!  6  mod                         the face: a run of the program
//!  5  start                       what each subcommand sets off
//!  4  parser                      the list of subcommands
//!  3  talk import                 a chat; other histories in
//!  2  upkeep retention            the store as a whole
//!  1  opening                     who, where and with whom: what all of them need
//!  0  args histories secrets      the flags; what can be brought in; keys
//! ```
//!
//! A file imports only from lower rooms; `tests/it/tidy.rs` checks it.

mod start;

mod parser;

mod import;
mod talk;

mod retention;
mod upkeep;

mod args;
mod histories;
mod opening;
mod secrets;

use std::ffi::OsString;
use std::io;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::commands::settled;
use crate::repl::Outcome;
use crate::timeframe::Zone;
use crate::tools;
use crate::ui::{Color, Ui};

/// Says what a run of the program came to.
pub enum Exit {
    Done,
    Failed,
    Usage,
    Interrupted,
}

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    tools::keep_private();
    let arguments = settled(parser::command(), arguments.into_iter().collect());
    let parsed = parser::command()
        .try_get_matches_from(&arguments)
        .and_then(|matches| parser::Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            // Who asks for JSON gets it, however little is understood of the rest.
            let mut flags = arguments.iter().take_while(|word| *word != "--");
            let json = flags.any(|word| word == "--json");
            // When nobody reads the help there is nobody to tell.
            drop(if is_help && !json {
                error.print().map_err(Into::into)
            } else {
                Ui::new(json, Color::Auto, Zone::default()).usage(&error)
            });
            return if usage { Exit::Usage } else { Exit::Done };
        }
    };
    let zone = cli.global.tz.as_deref().map(Zone::named).transpose();
    let known = zone.as_ref().ok().copied().flatten().unwrap_or_default();
    let ui = Ui::new(cli.global.json, cli.global.color, known);
    if let Err(error) = zone {
        drop(ui.error(&error));
        return Exit::Usage;
    }
    match start::start(cli, &ui) {
        Ok(Outcome::Done) => Exit::Done,
        Ok(Outcome::Failed) => Exit::Failed,
        Ok(Outcome::Interrupted) => Exit::Interrupted,
        // `allm sessions | head -1` is no failure.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Exit::Done
        }
        Err(error) => {
            drop(ui.error(&error));
            Exit::Failed
        }
    }
}
