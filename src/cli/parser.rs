//! The command line of the binary: its subcommands, the commands of the chat among them.

use std::ffi::OsString;

use clap::builder::{Resettable, Styles};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::args::{ChatArgs, Global, Who};
use super::{answering, import, papers, settings, upkeep};
use crate::commands::History;
use crate::ui::{columns, is_watched, listed};

/// A chat shell that never forgets: every turn is stored on this machine, and found again by meaning and by exact time
#[derive(Debug, Parser)]
#[command(name = "allm", bin_name = "allm", version)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(flatten)]
    pub who: Who,
    #[command(subcommand)]
    command: Option<Sub>,
}

/// Is what the binary can be told to do.
#[derive(Debug, Subcommand)]
pub enum Sub {
    #[command(flatten)]
    Full(Box<Full>),
    #[command(flatten)]
    Bare(Bare),
}

/// Is what begins with the settings, and goes on to a store or a server.
#[derive(Debug, Subcommand)]
pub enum Full {
    /// Talk to a model; with a message, answer it and leave; with piped input, run it line by line
    Chat(ChatArgs),
    /// List the models that the server offers
    Models(answering::ModelsArgs),
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

/// Is what needs neither, nor settings that can be used.
#[derive(Debug, Subcommand)]
pub enum Bare {
    /// Show each setting and where it comes from, or change one
    Config(settings::Args),
    /// Print what has a shell complete command lines
    Completions(papers::CompletionsArgs),
    /// Print the manual in the form that `man` reads
    Man(papers::ManArgs),
}

/// Reads the command line, the program's name first. Nothing but options begins a chat, where somebody is there to type.
pub fn read(command: Command, arguments: &[OsString]) -> Result<(Global, Who, Sub), clap::Error> {
    let cli = Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
    let sub = match cli.command {
        Some(sub) => sub,
        None if is_watched() => Sub::Full(Box::new(Full::Chat(ChatArgs::default()))),
        None => {
            let command = self::command().arg_required_else_help(true);
            let told = command.try_get_matches_from(arguments.iter().take(1));
            let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
            return Err(told.err().unwrap_or_else(missing));
        }
    };
    Ok((cli.global, cli.who, sub))
}

/// Returns the parser. Commands of the chat that make sense outside it are subcommands without their slash.
pub fn command() -> Command {
    let mut asking = Vec::new();
    let command = Cli::command().mut_subcommands(|sub| {
        let Some(name) = outside(&sub) else {
            return sub;
        };
        let about = sub.get_about().map(ToString::to_string);
        asking.push((name.clone(), about.unwrap_or_default()));
        let aliases = short(&sub);
        unslashed(sub, &name)
            .hide(true)
            .alias(name)
            .aliases(aliases)
    });
    let heading = Styles::styled().get_header().to_owned();
    let list = listed(&asking, 15, columns());
    command.after_help(format!(
        "{heading}Ask the history:{heading:#}\n{list}\n`allm help search` explains one of them; in a chat they begin with a slash.\n\nExamples:\n  allm\n  allm chat why is the sky blue\n  allm search trouble with linking --from 'last month'"
    ))
}

/// Returns the parser as it is described to shells and in the manual: with nothing but the names that are typed outside a chat.
pub fn described() -> Command {
    Cli::command().mut_subcommands(|sub| match outside(&sub) {
        Some(name) => {
            let aliases = short(&sub);
            let sub = unslashed(sub, &name).visible_alias(Resettable::Reset);
            sub.name(name).visible_aliases(aliases)
        }
        None => sub,
    })
}

/// Returns what a command of the chat is called outside of it.
fn outside(sub: &Command) -> Option<String> {
    sub.get_name().strip_prefix('/').map(str::to_owned)
}

/// Returns what else it is called there.
fn short(sub: &Command) -> Vec<String> {
    let aliases = sub.get_visible_aliases();
    let bare = aliases.map(|alias| alias.trim_start_matches('/').to_owned());
    bare.collect()
}

/// Has a command of the chat explained as it is typed outside of it.
fn unslashed(sub: Command, name: &str) -> Command {
    let (slashed, outside) = (format!("/{name}"), format!("allm {name}"));
    let mut named = sub.clone().name(name.to_owned()).bin_name(outside.clone());
    let usage = named.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let examples = sub.get_after_help().map(ToString::to_string);
    let examples = examples.map(|help| help.replace("\n  /", "\n  allm "));
    sub.override_usage(usage.replacen(&slashed, &outside, 1))
        .after_help(examples.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::OUTSIDE;

    fn check(command: &Command, path: &str) {
        let examples = command.get_after_help().map(ToString::to_string);
        let examples = examples.unwrap_or_default();
        assert!(
            examples.contains(&format!("Examples:\n  {path}")),
            "{path}: {examples}"
        );
    }

    #[test]
    fn each_command_has_an_example_and_a_name_without_a_slash() {
        command().debug_assert();
        let described = described();
        described.clone().debug_assert();
        for sub in described.get_subcommands() {
            check(sub, &format!("allm {}", sub.get_name()));
            for source in sub.get_subcommands().filter(|_| sub.get_name() == "import") {
                check(source, &format!("allm import {}", source.get_name()));
            }
        }
    }

    #[test]
    fn the_chat_knows_what_works_outside_of_it_alone() {
        let command = Cli::command();
        let names = command.get_subcommands().map(Command::get_name);
        let names: Vec<&str> = names.filter(|name| !name.starts_with('/')).collect();
        // The chat has one of its own.
        let mut expected: Vec<&str> = names.into_iter().filter(|name| *name != "config").collect();
        let mut outside = OUTSIDE.to_vec();
        expected.sort_unstable();
        outside.sort_unstable();
        assert_eq!(outside, expected);
    }
}
