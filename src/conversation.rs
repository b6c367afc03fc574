//! The words that every floor shares: messages, tool calls, steps, usage.

use std::ops::AddAssign;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an observation begins with, where tools are called in text.
pub const OBSERVATION: &str = "Observation: ";
/// Told to a model that has called tools as often as it may.
pub const NO_MORE: &str =
    "No more tools can be called. Answer the question now, with what you have found out.";
/// Stands for the answer of a turn that was broken off before there was one.
pub const NO_ANSWER: &str = "[This turn was broken off before there was an answer.]";

/// What stands between what is recalled and the question.
pub const QUOTES_END: &str = "[End of the quotes. The user now says:]";

/// Holds one message of a conversation, by role.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    System(String),
    User(String),
    Assistant {
        text: String,
        calls: Vec<ToolCall>,
        attached: Attached,
    },
    Tool {
        call_id: String,
        text: String,
    },
}

/// Holds the fields that a server attached to a message or a call, by name: reasoning, signatures. They go back to that server as they
/// came, and to no other.
pub type Attached = Map<String, Value>;

/// Describes a tool to a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// A JSON schema of the arguments, an object.
    pub parameters: Value,
}

/// Holds what a model asked a tool to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// What the server calls it; empty where the model wrote it as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    pub name: String,
    pub arguments: Value,
    #[serde(default, skip_serializing_if = "Attached::is_empty")]
    pub attached: Attached,
}

/// Holds the message that a step came with, as far as the step does not tell it: what goes back to the model in later requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spoken {
    /// What the model wrote beside its calls; all that it wrote, where it writes its calls as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(default, skip_serializing_if = "Attached::is_empty")]
    pub attached: Attached,
    /// The server that attached it, and that may have it back.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
}

/// Holds one step of a turn: thought, action and observation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub thought: String,
    /// What was done; `None` where the model only thought before it answered.
    pub action: Option<ToolCall>,
    /// The message that it came with; `None` where it came with the one of the step before, or nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Spoken>,
    /// What came of it, whole; the model may have been told less.
    pub observation: String,
    pub success: bool,
    /// Why it failed, on one line.
    #[serde(default)]
    pub error: Option<String>,
    pub started_at: chrono::DateTime<chrono::Utc>,
    pub duration_ms: u64,
}

/// Counts tokens as the server reported them; a number that it did not report is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

/// Returns a count with its noun: `1 turn`, `2 turns`.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Returns the first line of a question, cut to a title.
pub fn title(query: &str) -> String {
    const LONGEST: usize = 80;
    cut(query.trim().lines().next().unwrap_or_default(), LONGEST)
}

impl Usage {
    /// Reads what is stored of a turn: JSON text, `null` where the server counted nothing.
    pub fn parse(json: &str) -> Option<Usage> {
        serde_json::from_str(json).ok().flatten()
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, b) => b,
            (a, None) => a,
            (Some(a), Some(b)) => Some(a + b),
        };
        self.input_tokens = add(self.input_tokens, other.input_tokens);
        self.output_tokens = add(self.output_tokens, other.output_tokens);
    }
}

/// Says how a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Completed,
    Interrupted,
    Failed,
}

impl Status {
    /// Returns the word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::Interrupted => "interrupted",
            Status::Failed => "failed",
        }
    }
}

/// Says why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// The tokens that it may write are used up.
    Length,
    /// The server took the answer away, or a part of it.
    ContentFilter,
    /// The model declined; what it said instead is the answer.
    Refusal,
    ToolCalls,
    /// Something failed on the way.
    Error,
    /// Another word of the server.
    Other(String),
}

impl Finish {
    /// Reads the word that a server says, in any of the words that are in use; `None` where it is empty.
    pub fn read(word: &str) -> Option<Finish> {
        let lower = word.trim().to_lowercase();
        let plain = lower.strip_prefix("finish_reason_").unwrap_or(&lower);
        Some(match plain {
            "" | "null" | "unspecified" => return None,
            "stop" | "end" | "end_turn" | "eos" | "eos_token" | "endoftext" | "stop_sequence"
            | "complete" | "completed" | "done" | "finished" => Finish::Stop,
            "length"
            | "max_length"
            | "token_limit"
            | "max_tokens"
            | "max_output_tokens"
            | "model_length"
            | "model_context_window_exceeded"
            | "limit" => Finish::Length,
            "content_filter"
            | "content_filtered"
            | "guardrail_intervened"
            | "safety"
            | "recitation"
            | "blocklist"
            | "prohibited_content"
            | "spii"
            | "image_safety" => Finish::ContentFilter,
            "refusal" => Finish::Refusal,
            "tool_calls" | "tool_call" | "tool_use" | "function_call" | "function_calls" => {
                Finish::ToolCalls
            }
            "error" => Finish::Error,
            _ => Finish::Other(word.trim().to_owned()),
        })
    }

    /// Returns whether the model came to the end of what it had to say.
    pub fn is_end(&self) -> bool {
        matches!(self, Finish::Stop | Finish::ToolCalls)
    }

    /// Returns the word that is stored and shown.
    pub fn as_str(&self) -> &str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ContentFilter => "content_filter",
            Finish::Refusal => "refusal",
            Finish::ToolCalls => "tool_calls",
            Finish::Error => "error",
            Finish::Other(word) => word,
        }
    }
}

/// Returns the first characters of an id, which all commands accept for it.
pub fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Cuts a text to so many characters, and says with `…` that there is more.
pub fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
