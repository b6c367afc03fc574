//! Flags and subcommands of the binary.

mod import;
mod start;
mod upkeep;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::agent::prompt::React;
use crate::commands::History;
use crate::repl::Outcome;
use crate::timeframe::Zone;
use crate::tools;
use crate::ui::{Color, Ui};

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
    global: Global,
    /// Who you are [default: the system's user name]
    #[arg(long, value_name = "NAME", env = "ALLM_USER", hide_env_values = true)]
    user: Option<String>,
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// The data directory [default: ~/.abstractllm]
    #[arg(
        long,
        value_name = "DIR",
        env = "ALLM_HOME",
        global = true,
        hide_env_values = true
    )]
    home: Option<PathBuf>,
    /// Where the tables are [default: lancedb in the home]
    #[arg(
        long,
        value_name = "URI",
        env = "ALLM_DB",
        global = true,
        hide_env_values = true
    )]
    db: Option<String>,
    /// Print one JSON object for each command and turn
    #[arg(long, global = true)]
    json: bool,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    color: Color,
    /// The time zone of the times you give and see, for example Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE", global = true)]
    tz: Option<String>,
    /// The embedding model: the bundled one, a folder, or a hub repository
    #[arg(long, value_name = "MODEL", global = true)]
    embedder: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Talk to a model; with a message, answer it and leave; with piped input, run it line by line
    Chat(ChatArgs),
    /// Examine the home, the tables, the embedding model and the provider, and repair what can be
    #[command(
        after_help = "Examples:\n  allm doctor\n  allm doctor --fix\n\nWithout --fix nothing is changed. What --fix sets aside is kept in the home, in `aside`."
    )]
    Doctor {
        /// Repair what can be
        #[arg(long)]
        fix: bool,
    },
    /// Bring other histories in
    Import(import::Args),
    /// Bring in what the Python program AbstractLLM left: the same as `import abstractllm`
    #[command(hide = true)]
    Migrate(import::MigrateArgs),
    #[command(flatten)]
    History(History),
}

#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Examples:\n  allm chat\n  allm chat -m llama3.2 why is the sky blue\n  printf 'hello\\n/search hello\\n' | allm chat --json"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
struct ChatArgs {
    /// A message to answer; without one, a conversation
    #[arg(allow_negative_numbers = true)]
    message: Vec<String>,
    /// Who answers: auto, ollama, openai or offline
    #[arg(
        short,
        long,
        env = "ALLM_PROVIDER",
        value_name = "NAME",
        hide_env_values = true
    )]
    provider: Option<String>,
    /// The model [default: the first that the server lists]
    #[arg(
        short,
        long,
        env = "ALLM_MODEL",
        value_name = "NAME",
        hide_env_values = true
    )]
    model: Option<String>,
    /// Where the server is ($OLLAMA_HOST, $OPENAI_BASE_URL)
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The system prompt, or @FILE
    #[arg(short, long, value_name = "TEXT|@FILE")]
    system: Option<String>,
    /// How freely the model answers, 0 to 2
    #[arg(short, long, value_name = "X")]
    temperature: Option<f64>,
    /// The longest answer in tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// The seed of the model's choices
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Choose among the likeliest words that together have this share
    #[arg(long, value_name = "X")]
    top_p: Option<f64>,
    /// Go on with the last conversation
    #[arg(short = 'c', long = "continue", conflicts_with = "session")]
    go_on: bool,
    /// Go on with this conversation
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Offer the model no tools
    #[arg(long, conflicts_with = "tools")]
    no_tools: bool,
    /// Offer only these tools, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    tools: Vec<String>,
    /// Approve whatever the model wants to do, without asking
    #[arg(long)]
    yes: bool,
    /// Let tools read and write here, too: a folder, or a file that may hold secrets
    #[arg(long, value_name = "PATH", num_args = 1..)]
    allow_path: Vec<PathBuf>,
    /// How often the model may call tools in one turn
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_steps: Option<u16>,
    /// How tools are called: native, text, or auto
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    react: Option<React>,
    /// Put the N most similar past interactions before each question
    #[arg(long, value_name = "N")]
    recall: Option<u16>,
    /// Ask the model after each answer for the facts in it
    #[arg(long)]
    facts: bool,
    /// Record nothing of this conversation
    #[arg(long)]
    private: bool,
    /// Store well-known secrets as they are
    #[arg(long)]
    no_redact: bool,
    /// End a script with its first failure
    #[arg(long)]
    fail_fast: bool,
    /// Who you are
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Returns the parser. Commands of the chat that make sense outside it are subcommands without their slash.
fn command() -> clap::Command {
    let mut list = String::from("\x1b[1m\x1b[4mAsk the history:\x1b[0m\n");
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
    let parsed = command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // When nobody reads the help there is nobody to tell.
            drop(match error.kind() {
                ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    error.print().map_err(Into::into)
                }
                _ => Ui::new(false, Color::Auto, Zone::default()).usage(&error),
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
