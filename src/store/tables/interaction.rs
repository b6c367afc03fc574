//! The interactions table: stored turns.

use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::column::{long_text, maybe, moment, text, vector};
use super::table::Record;
use crate::conversation::{Status, Usage};
use crate::store::words::new_id;

/// Holds one stored turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Interaction {
    pub interaction_id: String,
    pub session_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub timestamp: DateTime<Utc>,
    pub query: String,
    pub response: String,
    /// What was sent to the model, packed; `Store::context` unpacks it.
    pub context_verbatim: String,
    pub(in crate::store) context_embedding: Option<Vec<f32>>,
    pub facts_extracted: Vec<String>,
    /// JSON text of a [`Usage`], or `null`.
    pub token_usage: String,
    pub duration_ms: i64,
    pub provider: String,
    pub model: String,
    pub status: Status,
    /// JSON text.
    pub metadata: String,
    /// Why the model stopped, in the server's word; `None` where nobody says.
    pub finish_reason: Option<String>,
    /// The model that the answer names, which may not be the one that was asked.
    pub answered_model: Option<String>,
    /// How long the first token took, in milliseconds.
    pub first_token_ms: Option<i64>,
    /// The working directory, and the branch that was checked out in it.
    pub folder: Option<String>,
    pub branch: Option<String>,
}

impl Default for Interaction {
    fn default() -> Self {
        Interaction {
            interaction_id: String::new(),
            session_id: String::new(),
            user_id: String::new(),
            timestamp: DateTime::UNIX_EPOCH,
            query: String::new(),
            response: String::new(),
            context_verbatim: "[]".to_owned(),
            context_embedding: None,
            facts_extracted: Vec::new(),
            token_usage: "null".to_owned(),
            duration_ms: 0,
            provider: String::new(),
            model: String::new(),
            status: Status::Interrupted,
            metadata: "{}".to_owned(),
            finish_reason: None,
            answered_model: None,
            first_token_ms: None,
            folder: None,
            branch: None,
        }
    }
}

impl Interaction {
    /// Returns a turn that has just begun.
    pub fn begin(session_id: &str, query: &str, timestamp: DateTime<Utc>) -> Interaction {
        Interaction {
            interaction_id: new_id(),
            session_id: session_id.to_owned(),
            timestamp,
            query: query.to_owned(),
            ..Interaction::default()
        }
    }

    /// Returns the tokens of the turn, as the server counted them.
    pub fn usage(&self) -> Option<Usage> {
        Usage::parse(&self.token_usage)
    }
}

impl Record for Interaction {
    const NAME: &'static str = "interactions";
    const KEY: &'static str = "interaction_id";

    fn key(&self) -> &str {
        &self.interaction_id
    }

    fn columns(dimension: usize) -> Vec<Field> {
        let fact = Field::new("item", DataType::Utf8, true);
        vec![
            text("interaction_id"),
            text("session_id"),
            text("user_id"),
            moment("timestamp"),
            text("query"),
            long_text("response"),
            long_text("context_verbatim"),
            vector("context_embedding", dimension),
            Field::new("facts_extracted", DataType::List(fact.into()), false),
            text("token_usage"),
            Field::new("duration_ms", DataType::Int64, false),
            text("provider"),
            text("model"),
            text("status"),
            text("metadata"),
            // Stores of before get what follows; it may be null, as in the rows that they have.
            maybe("finish_reason"),
            maybe("answered_model"),
            Field::new("first_token_ms", DataType::Int64, true),
            maybe("folder"),
            maybe("branch"),
        ]
    }
}

/// All columns but the vector and what was sent to the model.
pub const SHOWN: [&str; 18] = [
    "interaction_id",
    "session_id",
    "user_id",
    "timestamp",
    "query",
    "response",
    "facts_extracted",
    "token_usage",
    "duration_ms",
    "provider",
    "model",
    "status",
    "metadata",
    "finish_reason",
    "answered_model",
    "first_token_ms",
    "folder",
    "branch",
];
