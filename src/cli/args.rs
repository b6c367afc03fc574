//! The flags of the binary.

use std::path::PathBuf;

use crate::agent::prompt::React;
use crate::config::{TEMPERATURE, TOP_P, path, within};
use crate::provider::Think;
use crate::ui::{Color, Talk};

/// Where the help lists the flags that are the same everywhere: below one's own.
const GLOBAL: &str = "Global options";

/// Are the flags of every subcommand.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The data directory [default: $ALLM_HOME, else ~/.abstractllm]
    #[arg(long, value_name = "DIR", value_parser = path(), global = true, help_heading = GLOBAL)]
    pub home: Option<PathBuf>,
    /// The folder of the tables [default: $ALLM_DB, else lancedb in the home]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL)]
    pub db: Option<String>,
    /// Say nothing but answers, warnings and errors
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,
    /// Say more: what is read, who is asked, and how it went
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = GLOBAL)]
    pub verbose: bool,
    /// Print one JSON object for each command and turn
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true, help_heading = GLOBAL)]
    pub color: Color,
    /// The time zone of the times you give and see, for example Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE", global = true, help_heading = GLOBAL)]
    pub tz: Option<String>,
    /// The embedding model: the bundled one, a folder, or a hub repository
    #[arg(long, value_name = "MODEL", global = true, help_heading = GLOBAL)]
    pub embedder: Option<String>,
}

impl Global {
    /// Returns how much is to be said beside answers.
    pub fn talk(&self) -> Talk {
        match (self.quiet, self.verbose) {
            (true, _) => Talk::Quiet,
            (_, true) => Talk::Verbose,
            _ => Talk::Usual,
        }
    }
}

/// Says who speaks.
#[derive(Debug, Default, clap::Args)]
pub struct Who {
    /// Who you are [default: $ALLM_USER, else the system's user name]
    #[arg(long = "user", value_name = "NAME")]
    pub name: Option<String>,
}

/// Are the flags that say who answers.
#[derive(Debug, Default, clap::Args)]
pub struct Server {
    /// Who answers: auto, ollama, openai or offline [default: $ALLM_PROVIDER]
    #[arg(short, long, value_name = "NAME")]
    pub provider: Option<String>,
    /// The model [default: $ALLM_MODEL, else the first of the server's that can chat]
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where the server is ($OLLAMA_HOST, $OPENAI_BASE_URL)
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
}

/// Are the flags of `allm chat`.
#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Examples:\n  allm chat\n  allm chat -m llama3.2 why is the sky blue\n  git diff | allm chat write a commit message\n  printf 'hello\\n/search hello\\n' | allm chat --json"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ChatArgs {
    /// A message to answer, with what is piped in as its material (1 MiB at most), or `-` to read it from there; without one, a conversation
    #[arg(allow_negative_numbers = true)]
    pub message: Vec<String>,
    #[command(flatten)]
    pub server: Server,
    /// The system prompt, or @FILE
    #[arg(short, long, value_name = "TEXT|@FILE")]
    pub system: Option<String>,
    /// How freely the model answers, 0 to 2
    #[arg(short, long, value_name = "X", value_parser = within(TEMPERATURE), allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// The longest answer in tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// The seed of the model's choices
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<i64>,
    /// Choose among the likeliest words that together have this share
    #[arg(long, value_name = "X", value_parser = within(TOP_P), allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Whether the model thinks before it answers: on, off, low, medium or high
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub think: Option<Think>,
    /// Go on with the last conversation
    #[arg(short = 'c', long = "continue", conflicts_with = "session")]
    pub go_on: bool,
    /// Go on with this conversation, by the id of the session or of one of its turns
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Offer the model no tools
    #[arg(long, conflicts_with = "tools")]
    pub no_tools: bool,
    /// Offer only these tools, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tools: Vec<String>,
    /// Approve whatever the model wants to do, without asking
    #[arg(long)]
    pub yes: bool,
    /// Let tools read and write here, too: a folder, or a file that may hold secrets; may be given several times
    #[arg(long, value_name = "PATH", value_parser = path())]
    pub allow_path: Vec<PathBuf>,
    /// How often the model may call tools in one turn
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_steps: Option<u16>,
    /// How tools are called: native, text, or auto
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub react: Option<React>,
    /// Put the N most similar past interactions before each question
    #[arg(long, value_name = "N")]
    pub recall: Option<u16>,
    /// Ask the model after each answer for the facts in it
    #[arg(long)]
    pub facts: bool,
    /// Record nothing of this conversation
    #[arg(long)]
    pub private: bool,
    /// Store well-known secrets as they are
    #[arg(long)]
    pub no_redact: bool,
    /// Show an answer when it is complete, not as it comes
    #[arg(long)]
    pub no_stream: bool,
    /// End a script with its first failure
    #[arg(long)]
    pub fail_fast: bool,
    #[command(flatten)]
    pub who: Who,
}
