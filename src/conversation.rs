//! The words that every floor shares: messages, tool calls, steps, usage.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Holds one message of a conversation, by role.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    System(String),
    User(String),
    Assistant { text: String, calls: Vec<ToolCall> },
    Tool { call_id: String, text: String },
}

/// Describes a tool to a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// A JSON schema of the arguments, an object.
    pub parameters: Value,
}

/// Holds what a model asked a tool to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    #[serde(skip)]
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// Holds one step of a turn: thought, action and observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub thought: String,
    /// What was done; `None` where the model only thought before it answered.
    pub action: Option<ToolCall>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
