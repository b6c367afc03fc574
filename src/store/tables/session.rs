//! The sessions table: stored conversations.

use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::column::{long_text, moment, text};
use super::table::Record;

/// Holds one conversation, without its interactions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    pub session_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTime<Utc>,
    /// When the last turn began; exact in what [`Store::sessions`] returns, at least the beginning in the table.
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub last_active: DateTime<Utc>,
    pub provider: String,
    pub model: String,
    pub temperature: Option<f64>,
    pub max_tokens: Option<i64>,
    pub seed: Option<i64>,
    pub system_prompt: String,
    /// The first question, cut to a line.
    pub title: Option<String>,
    /// JSON text.
    pub metadata: String,
}

impl Record for Session {
    const NAME: &'static str = "sessions";
    const KEY: &'static str = "session_id";

    fn key(&self) -> &str {
        &self.session_id
    }

    fn columns(_dimension: usize) -> Vec<Field> {
        vec![
            text("session_id"),
            text("user_id"),
            moment("created_at"),
            moment("last_active"),
            text("provider"),
            text("model"),
            Field::new("temperature", DataType::Float64, true),
            Field::new("max_tokens", DataType::Int64, true),
            Field::new("seed", DataType::Int64, true),
            long_text("system_prompt"),
            Field::new("title", DataType::Utf8, true),
            text("metadata"),
        ]
    }
}

/// All columns.
pub const ALL: [&str; 12] = [
    "session_id",
    "user_id",
    "created_at",
    "last_active",
    "provider",
    "model",
    "temperature",
    "max_tokens",
    "seed",
    "system_prompt",
    "title",
    "metadata",
];
