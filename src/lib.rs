//! A chat shell that never forgets.
//!
//! # Layout
//!
//! ```text
//!  8  cli lib main                process
//!  7  repl                        lines of text
//!  6  commands                    what a person can ask for
//!  5  ui                          what a person sees
//!  4  chat import export          one live conversation; other histories in, this one out
//!  3  config                      settings as given
//!  2  agent store                 thinking and remembering; they do not know each other
//!  1  provider tools embedder     the outside world; they do not know each other
//!  0  conversation timeframe redact   shared words
//! ```
//!
//! This map is the only one. A folder imports only from lower floors; inside a folder whose `mod.rs` draws its rooms, a file does so
//! from lower rooms. `tests/it/tidy.rs` reads both maps and checks it. Below all floors lies the crate `allm-kernel` (`kernel/`), the inner
//! loops of the bundled embedding model, which the [`embedder`] alone knows.
//!
//! One turn: [`repl`] reads a line, [`chat`] puts it into the journal of the [`store`], composes the prompt and lets the
//! [`agent`] ask the [`provider`]; the answer streams through [`ui`], and behind the prompt the [`store`] embeds and records it.
//!
//! # Invariants
//!
//! - Nothing below [`chat`] knows that a configuration file exists.
//! - [`agent`] never touches the store, and [`store`] never sees a provider; [`chat`] is where they meet.
//! - Only [`ui`] writes to the terminal; [`repl`] reads lines from it, and [`ui`] what answers its own questions or is typed meanwhile.
//! - Vectors, Arrow and LanceDB types never leave the store, and user input never becomes SQL text.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod cli;
pub mod repl;

pub mod commands;

pub mod ui;

pub mod chat;
pub mod export;
pub mod import;

pub mod config;

pub mod agent;
pub mod store;

pub mod embedder;
pub mod provider;
pub mod tools;

pub mod conversation;
#[cfg(test)]
#[path = "../tests/mutate.rs"]
mod mutate;
pub mod redact;
pub mod timeframe;

use std::process::ExitCode;

/// Runs the program: 0 done, 1 a turn or a command failed, 2 wrong usage, 130 interrupted.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    ExitCode::from(match cli::run(arguments) {
        cli::Exit::Done => 0,
        cli::Exit::Failed => 1,
        cli::Exit::Usage => 2,
        cli::Exit::Interrupted => 130,
    })
}
