//! What a person can ask for: the one list of commands. Help, completion, the README's table and the subcommands of the
//! binary derive from it.

mod export;
mod facts;
mod forget;
mod help;
mod recall;
mod reindex;
mod search;
mod sessions;
mod settings;
mod show;
mod similar;
mod sql;
mod stats;
mod timeframe;
mod users;

use anyhow::Result;
use chrono::{DateTime, Utc};
pub use forget::retain;
pub use reindex::embed;

use clap::{CommandFactory, Parser, Subcommand};

use crate::chat::{Chat, Memory};
use crate::store::{Filter, Options, Whom};
use crate::timeframe::{self as time, Zone};
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
    /// Find what was said, thought and seen, by meaning and by words
    #[command(name = "/search", visible_alias = "/s")]
    Search(search::Args),
    /// List all that was said in an exact window of time
    #[command(name = "/timeframe", visible_alias = "/tf")]
    Timeframe(timeframe::Args),
    /// Find the whole interactions and ReAct cycles most like some words, or like another interaction
    #[command(name = "/similar")]
    Similar(similar::Args),
    /// Ask with SQL, read-only, over interactions, react_cycles, sessions, users and passages
    #[command(name = "/sql")]
    Sql(sql::Args),
    /// Show one interaction, all of it
    #[command(name = "/show")]
    Show(show::ShowArgs),
    /// Show the exact requests that were sent for one turn
    #[command(name = "/context")]
    Context(show::ContextArgs),
    /// Show how one turn was reasoned, step by step: thoughts, actions, observations
    #[command(name = "/scratchpad", visible_alias = "/scratch")]
    Scratchpad(show::ScratchpadArgs),
    /// Show the facts that answers have taught, or switch their extraction on or off
    #[command(name = "/facts")]
    Facts(facts::Args),
    /// List past conversations
    #[command(name = "/sessions")]
    Sessions(sessions::Args),
    /// Print the last answer
    #[command(name = "/last")]
    Last(sessions::LastArgs),
    /// List the users, or add, rename, grant and revoke
    #[command(name = "/users")]
    Users(users::UsersArgs),
    /// Write the history, or in a chat the conversation, to a file or to standard output
    #[command(name = "/export")]
    Export(export::Args),
    /// Remove interactions for good
    #[command(name = "/forget")]
    Forget(forget::ForgetArgs),
    /// Remove what is older than some age, for good
    #[command(name = "/cleanup")]
    Cleanup(forget::CleanupArgs),
    /// Make the vectors that are missing, so that everything is found by meaning
    #[command(name = "/reindex")]
    Reindex(reindex::Args),
    /// Show what is stored: rows, bytes on disk, tokens, embedding model
    #[command(name = "/stats")]
    Stats(stats::Args),
}

/// Is a command that acts on the live chat.
#[derive(Debug, Subcommand)]
pub enum LiveCommand {
    /// Put past interactions before your questions, or take them out with `off`
    #[command(name = "/recall")]
    Recall(recall::Args),
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
    /// List the tools, or switch one on or off
    #[command(name = "/tools")]
    Tools(settings::ToolsArgs),
    /// Show whether what is said is recorded, or stop recording with `on`
    #[command(name = "/private")]
    Private(settings::PrivateArgs),
    /// Show who you are, or go on as another user
    #[command(name = "/user")]
    User(users::UserArgs),
    /// Go on with a past conversation
    #[command(name = "/resume")]
    Resume(sessions::ResumeArgs),
    /// Show the turns of this conversation
    #[command(name = "/history")]
    History(sessions::HistoryArgs),
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
    /// Lets a command take what it works on from standard input, where it was not given any.
    pub fn or_input(&mut self, input: impl FnOnce() -> Result<String>) -> Result<()> {
        match self {
            History::Sql(args) => args.or_query(input),
            _ => Ok(()),
        }
    }

    /// Does what has to be done before the store can be opened; returns whether to go on.
    pub async fn prepare(&self, options: &Options, ui: &Ui) -> Result<bool> {
        match self {
            History::Reindex(args) => args.prepare(options, ui).await,
            _ => Ok(true),
        }
    }

    /// Asks the history.
    pub async fn run(self, memory: &Memory, last: Option<&str>, ui: &Ui) -> Result<()> {
        match self {
            History::Search(args) => search::run(args, memory, ui).await,
            History::Timeframe(args) => timeframe::run(args, memory, ui).await,
            History::Similar(args) => similar::run(args, memory, ui).await,
            History::Sql(args) => sql::run(args, memory, ui).await,
            History::Show(args) => show::show(args, memory, last, ui).await,
            History::Context(args) => show::context(args, memory, last, ui).await,
            History::Scratchpad(args) => show::scratchpad(args, memory, last, ui).await,
            History::Facts(args) => facts::run(args, memory, ui).await,
            History::Last(args) => sessions::last(args, memory, last, ui).await,
            History::Sessions(args) => sessions::run(args, memory, ui).await,
            History::Users(args) => users::users(args, memory, ui).await,
            History::Export(args) => export::run(args, memory, ui).await,
            History::Forget(args) => forget::forget(args, memory, ui).await.map(drop),
            History::Cleanup(args) => forget::cleanup(args, memory, ui).await.map(drop),
            History::Reindex(args) => reindex::run(args, memory, ui).await,
            History::Stats(args) => stats::run(args, memory, ui).await,
        }
    }
}

impl Command {
    /// Runs a command in a chat; `last` is its last turn.
    pub async fn run(self, chat: &mut Chat, last: Option<&str>, ui: &Ui) -> Result<Flow> {
        match self {
            Command::History(History::Facts(args)) if args.switch().is_some() => {
                facts::switch(args.switch() == Some(true), chat, ui)?;
            }
            Command::History(History::Export(args)) => export::in_chat(args, chat, ui).await?,
            Command::History(History::Forget(args)) => {
                if forget::forget(args, &chat.memory, ui).await? {
                    chat.reload().await?;
                }
            }
            Command::History(History::Cleanup(args)) => {
                if forget::cleanup(args, &chat.memory, ui).await? {
                    chat.reload().await?;
                }
            }
            Command::History(command) => command.run(&chat.memory, last, ui).await?,
            Command::Live(command) => return command.run(chat, ui).await,
        }
        Ok(Flow::Continue)
    }
}

/// Says whose history a command looks at.
#[derive(Debug, Default, clap::Args)]
struct Whose {
    /// Look at another user's history
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Look at the history of all users
    #[arg(long, conflicts_with = "user")]
    all_users: bool,
}

impl Whose {
    fn is_given(&self) -> bool {
        self.all_users || self.user.is_some()
    }

    fn whom(&self) -> Whom<'_> {
        match &self.user {
            _ if self.all_users => Whom::Everyone,
            Some(user) => Whom::Named(user),
            None => Whom::Me,
        }
    }
}

/// Says from when and up to when a command looks.
#[derive(Debug, clap::Args)]
struct When {
    /// Leave out what was before this date or time
    #[arg(long, visible_alias = "since", value_name = "TIME")]
    from: Option<String>,
    /// Leave out what was after this date or time; a date means the end of that day
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

type Bound = Option<DateTime<Utc>>;

impl When {
    fn bounds(&self, zone: Zone) -> Result<(Bound, Bound)> {
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        let from = from.map(|text| time::from(text, zone)).transpose()?;
        Ok((from, to.map(|text| time::until(text, zone)).transpose()?))
    }
}

/// Are the arguments that narrow down what is found.
#[derive(Debug, clap::Args)]
struct Found {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    when: When,
    /// Show at most this many results
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: Option<u16>,
}

impl Found {
    async fn filter(&self, memory: &Memory) -> Result<Filter> {
        let (from, until) = self.when.bounds(memory.zone)?;
        memory.filter(self.whose.whom(), from, until).await
    }

    fn limit(&self, default: usize) -> usize {
        self.limit.map_or(default, usize::from)
    }
}

/// Returns whether a word can only be meant as an id: hexadecimal, with a digit in it, so that `face` and `added` are words.
fn is_id(text: &str) -> bool {
    text.len() >= 4
        && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        && text.chars().any(|c| c.is_ascii_digit())
}

impl LiveCommand {
    /// Acts on the chat.
    async fn run(self, chat: &mut Chat, ui: &Ui) -> Result<Flow> {
        match self {
            LiveCommand::Model(args) => settings::model(args, chat, ui).await?,
            LiveCommand::System(args) => settings::system(args, chat, ui)?,
            LiveCommand::Temperature(args) => settings::temperature(args, chat, ui)?,
            LiveCommand::MaxTokens(args) => settings::max_tokens(args, chat, ui)?,
            LiveCommand::Seed(args) => settings::seed(args, chat, ui)?,
            LiveCommand::Tools(args) => settings::tools(args, chat, ui)?,
            LiveCommand::Recall(args) => recall::run(args, chat, ui).await?,
            LiveCommand::Private(args) => settings::private(args, chat, ui)?,
            LiveCommand::User(args) => users::user(args, chat, ui).await?,
            LiveCommand::Resume(args) => sessions::resume(args, chat, ui).await?,
            LiveCommand::History(args) => sessions::history(args, chat, ui).await?,
            LiveCommand::New => {
                chat.renew();
                ui.setting("session", &chat.session_id().into())?;
            }
            LiveCommand::Help { command } => help::run(command.as_deref(), ui)?,
            LiveCommand::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::Continue)
    }
}

/// Returns whether what stands between double quotes is a phrase to a command, so that it has to be told of the quotes.
pub fn takes_phrases(name: &str) -> bool {
    ["/search", "/s", "/recall", "/facts"].contains(&name)
}

/// Returns whether a command takes the rest of its line as it stands, quotes and all.
pub fn takes_text(name: &str) -> bool {
    name == "/sql"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_commands_is_consistent() {
        Line::command().debug_assert();
    }
}
