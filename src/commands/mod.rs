//! What a person can ask for: the one list of commands. Help, completion, the README's table and the subcommands of the
//! binary derive from it.

mod search;
mod sessions;
mod settings;
mod show;
mod similar;
mod stats;
mod timeframe;

use anyhow::{Result, bail};
use clap::{CommandFactory, Parser, Subcommand};

use crate::chat::{Chat, Memory};
use crate::ui::Ui;

/// Is one line of the shell that is a command.
#[derive(Debug, Parser)]
#[command(
    name = "",
    no_binary_name = true,
    disable_help_subcommand = true,
    disable_help_flag = true
)]
pub struct Line {
    #[command(subcommand)]
    pub command: Command,
}

/// Is a command. The order is the order of `/help`.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    History(History),
    #[command(flatten)]
    Live(LiveCommand),
}

/// Is a command that asks the history, inside a chat and outside.
#[derive(Debug, Subcommand)]
pub enum History {
    /// Find what was said, by meaning
    #[command(name = "/search", visible_alias = "/s")]
    Search(search::Args),
    /// List all that was said in an exact window of time
    #[command(name = "/timeframe", visible_alias = "/tf")]
    Timeframe(timeframe::Args),
    /// Find the whole interactions most like some words, or like another interaction
    #[command(name = "/similar")]
    Similar(similar::Args),
    /// Show one interaction: all of it, and what was sent to the model
    #[command(name = "/show")]
    Show(show::Args),
    /// List past conversations
    #[command(name = "/sessions")]
    Sessions(sessions::Args),
    /// Show what is stored: rows, bytes on disk, tokens, embedding model
    #[command(name = "/stats")]
    Stats(stats::Args),
}

/// Is a command that acts on the live chat.
#[derive(Debug, Subcommand)]
pub enum LiveCommand {
    /// Show the model and what else the server offers, or choose one
    #[command(name = "/model")]
    Model(settings::ModelArgs),
    /// Show or set the system prompt
    #[command(name = "/system")]
    System(settings::SystemArgs),
    /// Show or set how freely the model answers (0 to 2), or `default`
    #[command(name = "/temperature")]
    Temperature(settings::TemperatureArgs),
    /// Show or set the longest answer in tokens, or `default`
    #[command(name = "/max-tokens")]
    MaxTokens(settings::MaxTokensArgs),
    /// Show or set the seed of the model's choices, or `default`
    #[command(name = "/seed")]
    Seed(settings::SeedArgs),
    /// Begin a new conversation
    #[command(name = "/new")]
    New,
    /// List the commands, or explain one
    #[command(name = "/help")]
    Help { command: Option<String> },
    /// Leave
    #[command(name = "/quit", visible_aliases = ["/exit", "/q"])]
    Quit,
}

/// Says whether the shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Quit,
}

impl History {
    /// Asks the history.
    pub async fn run(self, memory: &Memory, last: Option<&str>, ui: &Ui) -> Result<()> {
        match self {
            History::Search(args) => search::run(args, memory, ui).await,
            History::Timeframe(args) => timeframe::run(args, memory, ui).await,
            History::Similar(args) => similar::run(args, memory, ui).await,
            History::Show(args) => show::run(args, memory, last, ui).await,
            History::Sessions(args) => sessions::run(args, memory, ui).await,
            History::Stats(args) => stats::run(args, memory, ui).await,
        }
    }
}

impl LiveCommand {
    /// Acts on the chat.
    pub async fn run(self, chat: &mut Chat, ui: &Ui) -> Result<Flow> {
        match self {
            LiveCommand::Model(args) => settings::model(args, chat, ui).await?,
            LiveCommand::System(args) => settings::system(args, chat, ui)?,
            LiveCommand::Temperature(args) => settings::temperature(args, chat, ui)?,
            LiveCommand::MaxTokens(args) => settings::max_tokens(args, chat, ui)?,
            LiveCommand::Seed(args) => settings::seed(args, chat, ui)?,
            LiveCommand::New => {
                chat.renew();
                ui.setting("session", &chat.session_id().into())?;
            }
            LiveCommand::Help { command } => help(command.as_deref(), ui)?,
            LiveCommand::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::Continue)
    }
}

/// Returns the name and the help of every command, in the order of `/help`.
pub fn table() -> Vec<(String, String)> {
    let about = |command: &clap::Command| {
        command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    Line::command()
        .get_subcommands()
        .map(|command| (command.get_name().to_owned(), about(command)))
        .collect()
}

/// Returns every word that names a command, aliases included.
pub fn names() -> Vec<String> {
    Line::command()
        .get_subcommands()
        .flat_map(names_of)
        .collect()
}

fn names_of(command: &clap::Command) -> Vec<String> {
    std::iter::once(command.get_name())
        .chain(command.get_visible_aliases())
        .map(str::to_owned)
        .collect()
}

fn help(command: Option<&str>, ui: &Ui) -> Result<()> {
    if let Some(name) = command {
        let name = format!("/{}", name.trim_start_matches('/'));
        let mut line = Line::command();
        line.build();
        let Some(command) = line.find_subcommand_mut(&name) else {
            bail!("there is no command `{name}`: `/help` lists them all");
        };
        let text = command
            .clone()
            .render_help()
            .to_string()
            .replace("Usage:  /", "Usage: /");
        return if ui.json {
            ui.print_json(&serde_json::json!({"type": "help", "text": text}))
        } else {
            ui.print(&text)
        };
    }
    let rows = table();
    if ui.json {
        let commands: Vec<_> = rows
            .iter()
            .map(|(name, about)| serde_json::json!({"name": name, "about": about}))
            .collect();
        return ui.print_json(&serde_json::json!({"type": "help", "commands": commands}));
    }
    let mut text = String::new();
    for command in Line::command().get_subcommands() {
        let names = names_of(command).join(", ");
        text.push_str(&format!(
            "{names:<17} {}\n",
            command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default()
        ));
    }
    text.push_str("\nAnything else is said to the model; //text sends /text. `/help /search` explains one command.");
    ui.print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_commands_is_consistent() {
        Line::command().debug_assert();
    }
}
