//! The command line of the binary: its subcommands, the commands of the chat among them.

use clap::builder::Styles;
use clap::{CommandFactory, Parser, Subcommand};

use super::args::{ChatArgs, Global, Who};
use super::{import, upkeep};
use crate::commands::History;

/// A chat shell that never forgets
///
/// Every turn is stored on this machine, and found again by meaning and by exact time.
#[derive(Debug, Parser)]
#[command(
    name = "allm",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(flatten)]
    pub who: Who,
    #[command(subcommand)]
    pub command: Sub,
}

/// Is what the binary can be told to do.
#[derive(Debug, Subcommand)]
pub enum Sub {
    /// Talk to a model; with a message, answer it and leave; with piped input, run it line by line
    Chat(ChatArgs),
    /// Examine the home, the tables, the embedding model and the provider, and repair what can be
    Doctor(upkeep::Args),
    /// Bring other histories in
    Import(import::Args),
    /// Bring in what the Python program AbstractLLM left: the same as `import abstractllm`
    #[command(hide = true)]
    Migrate(import::MigrateArgs),
    #[command(flatten)]
    History(History),
}

/// Returns the parser. Commands of the chat that make sense outside it are subcommands without their slash.
pub fn command() -> clap::Command {
    let styles = Styles::styled();
    let heading = styles.get_header();
    let mut list = format!("{heading}Ask the history:{heading:#}\n");
    let command = Cli::command().mut_subcommands(|sub| {
        let Some(name) = sub.get_name().strip_prefix('/').map(str::to_owned) else {
            return sub;
        };
        list.push_str(&format!(
            "  {name:<10} {}\n",
            sub.get_about().map(ToString::to_string).unwrap_or_default()
        ));
        let (slashed, outside) = (format!("/{name}"), format!("allm {name}"));
        let usage = sub
            .clone()
            .name(name.clone())
            .bin_name(outside.clone())
            .render_usage()
            .to_string();
        let examples = sub
            .get_after_help()
            .map(|help| help.to_string().replace("\n  /", "\n  allm "));
        let sub = sub.hide(true).alias(name).override_usage(
            usage
                .trim_start_matches("Usage: ")
                .replacen(&slashed, &outside, 1),
        );
        match examples {
            Some(examples) => sub.after_help(examples),
            None => sub,
        }
    });
    let list = list.trim_end().to_owned();
    command.after_help(format!(
        "{list}\n\n`allm search --help` explains one of them; in a chat they begin with a slash."
    ))
}
