//! The one list of commands. Help, completion, the README's table and the subcommands of the binary derive from it.

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{
    export, facts, forget, query, recall, reindex, search, sessions, settings, show, similar, sql,
    stats, timeframe, users,
};

/// Is one line of the shell that is a command.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = true)]
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
    /// Find the whole interactions and ReAct cycles most like some words, another interaction or a session
    #[command(name = "/similar")]
    Similar(similar::Args),
    /// Ask with SQL, read-only, over interactions, react_cycles, sessions, users and passages
    #[command(name = "/sql")]
    Sql(sql::Args),
    /// Show one interaction, all of it, or the turns of a session
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
    /// Show who answers, or have another server answer
    #[command(name = "/provider")]
    Provider(settings::ProviderArgs),
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
    /// Show or set whether the model thinks before it answers, and how long, or `default`
    #[command(name = "/think")]
    Think(settings::ThinkArgs),
    /// Show whether an answer is shown as it comes, or wait with `off` until it is complete
    #[command(name = "/stream")]
    Stream(settings::StreamArgs),
    /// Show how you are answered: the settings of this chat
    #[command(
        name = "/config",
        after_help = "Examples:\n  /config\n\n`allm config` shows all settings, and where each comes from."
    )]
    Config,
    /// List the tools, or switch one on or off
    #[command(name = "/tools")]
    Tools(settings::ToolsArgs),
    /// Show whether what is said is recorded, or stop recording with `on`
    #[command(name = "/private")]
    Private(settings::PrivateArgs),
    /// Show who you are, or go on as another user
    #[command(name = "/user")]
    User(users::UserArgs),
    /// Go on with a past conversation, or with the last one
    #[command(name = "/resume")]
    Resume(sessions::ResumeArgs),
    /// Show the turns of this conversation
    #[command(name = "/history")]
    History(sessions::HistoryArgs),
    /// Begin a new conversation
    #[command(name = "/new", after_help = "Examples:\n  /new")]
    New,
    /// List the commands, or explain one
    #[command(name = "/help", after_help = "Examples:\n  /help\n  /help search")]
    Help {
        /// The command to explain, with its slash or without
        command: Option<String>,
    },
    /// Leave
    #[command(name = "/quit", visible_aliases = ["/exit", "/q"], after_help = "Examples:\n  /quit")]
    Quit,
}

impl Line {
    /// Reads the words of a line.
    ///
    /// # Errors
    ///
    /// Fails where they are not understood, and where help is asked for, which is the error.
    pub fn read(words: &[String]) -> Result<Line, clap::Error> {
        let mut command = Line::command();
        if matches!(words, [_, flag] if flag == "--help" || flag == "-h") {
            // Some commands take any text, but this is none.
            let plain = |arg: Arg| arg.trailing_var_arg(false).allow_hyphen_values(false);
            command = command.mut_subcommands(|sub| sub.mut_args(plain));
        }
        let words = words.iter().map(OsString::from).collect();
        let matches = command.try_get_matches_from(settled(&Line::command(), words))?;
        Line::from_arg_matches(&matches)
    }
}

/// Puts the options of a line before the words of its query; see [`query::settled`].
pub fn settled(command: &clap::Command, line: Vec<OsString>) -> Vec<OsString> {
    let queries = ["/search", "/similar", "/facts", "/recall", "/sessions"];
    query::settled(command, line, &queries)
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

/// Returns the help of the command of this name, if there is one.
pub fn explained(name: &str) -> Option<String> {
    let mut line = Line::command();
    line.build();
    let text = line.find_subcommand_mut(name)?.render_help().to_string();
    Some(text.replace("Usage:  /", "Usage: /"))
}

/// What the program does outside of a chat alone.
pub const OUTSIDE: [&str; 7] = [
    "chat",
    "doctor",
    "import",
    "migrate",
    "models",
    "completions",
    "man",
];

/// Returns every word that names a command, aliases included.
pub fn names() -> &'static [String] {
    // With each line, and each key, somebody asks.
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let line = Line::command();
        line.get_subcommands().flat_map(names_of).collect()
    });
    &NAMES
}

/// Returns whether a word with a slash is so near to the name of a command that it may be a slip: a part of it, or as many as two letters
/// off. Of short names nothing is near.
pub fn is_near(word: &str) -> bool {
    let word = word.to_lowercase();
    let length = word.chars().count() - 1;
    let far = match length {
        ..3 => return false,
        3..6 => 1,
        _ => 2,
    };
    let is_long = |name: &String| name.len() > 3;
    names()
        .iter()
        .filter(|name| is_long(name))
        .any(|name| name.starts_with(&word) || strsim::osa_distance(name, &word) <= far)
}

/// Returns the names of one command, the first of them its own.
pub fn names_of(command: &clap::Command) -> Vec<String> {
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
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words = line.split(' ').map(OsString::from).collect();
        let settled = settled(&Line::command(), words);
        let settled: Vec<_> = settled.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(settled.join(" "), expected);
    }

    #[test]
    fn a_flag_that_is_no_option_is_a_word() {
        check(
            "/search commit --no-verify",
            "/search -- commit --no-verify",
        );
        check(
            "/s rm -rf / --limit 3 --mode=text",
            "/s --limit 3 --mode=text -- rm -rf /",
        );
        check("/recall -x --from monday", "/recall --from monday -- -x");
        check("/similar what is --user", "/similar -- what is --user");
        check("/facts docker --user --rm", "/facts -- docker --user --rm");
        check("/search a -- --limit 3 -v", "/search -- a --limit 3 -v");
        check("/search git log -n", "/search -- git log -n");
        check("/search sort -n file -n 3", "/search -n 3 -- sort -n file");
        check("/search git log -n3 -p", "/search -n3 -- git log -p");
        for same in [
            "/search git log --since yesterday",
            "/search x --limt 5",
            "/search -n 5 x",
            "/search x -n 5",
            "/search x --form=monday",
            "/search --user",
            "/search a - b",
            "/show x --no-verify",
            "/search",
        ] {
            check(same, same);
        }
    }
}
