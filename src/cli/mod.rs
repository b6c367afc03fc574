//! The command line: from arguments to an exit status.
//!
//! # Rooms
//!
//! ```text
//!  6  mod                         the face: a run of the program
//!  5  start                       what each subcommand sets off
//!  4  parser                      the list of subcommands
//!  3  talk import                 a chat; other histories in
//!  2  upkeep retention answering settings papers
//!                                 the store as a whole; who answers; settings; what is printed about all this
//!  1  opening elsewhere amended   who, where and with whom: what all of them need; what is asked for in the wrong place; a file changed
//!  0  args histories secrets      the flags; what can be brought in; keys
//! ```
//!
//! A file imports only from lower rooms; `tests/it/tidy.rs` checks it.

mod start;

mod parser;

mod import;
mod talk;

mod answering;
mod papers;
mod retention;
mod settings;
mod upkeep;

mod amended;
mod elsewhere;
mod opening;

mod args;
mod histories;
mod secrets;

use std::ffi::OsString;
use std::io;

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
    let command = parser::command();
    let arguments = settled(&command, arguments.into_iter().collect());
    let (global, who, sub) = match parser::read(command, &arguments) {
        Ok(read) => read,
        Err(error) => return misread(&error, &arguments),
    };
    let named = global.tz.as_deref().filter(|name| !name.is_empty());
    let zone = named.map(Zone::named).transpose();
    let known = zone.as_ref().ok().copied().flatten().unwrap_or_default();
    let ui = Ui::new(global.json, global.color, known).with_talk(global.talk());
    if let Err(error) = zone {
        drop(ui.error(&error));
        return Exit::Usage;
    }
    match start::start(&global, who, sub, &ui) {
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

/// Shows the help that was asked for, or says what was not understood.
fn misread(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // Who asks for JSON gets it, however little is understood of the rest.
    let mut flags = arguments.iter().take_while(|word| *word != "--");
    let json = flags.any(|word| word.as_encoded_bytes().starts_with(b"--json"));
    let ui = Ui::new(json, Color::Auto, Zone::default());
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    // When nobody reads it there is nobody to tell.
    drop(match elsewhere::meant(error, arguments, parser::command) {
        Some(Ok(help)) => {
            drop(ui.help(&help));
            return Exit::Done;
        }
        Some(Err(hinted)) => ui.error(&hinted.into()),
        None if is_help && !json => error.print().map_err(Into::into),
        None => ui.usage(error),
    });
    match error.use_stderr() {
        true => Exit::Usage,
        false => Exit::Done,
    }
}
