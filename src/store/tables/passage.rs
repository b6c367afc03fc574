//! The passages table: pieces of what was said, thought and seen, each short enough to embed.

use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::table::{Record, long_text, moment, text, vector};

/// Says what a passage is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    Query,
    Response,
    Thought,
    Observation,
    Fact,
}

impl Origin {
    /// Returns the word that is stored in the column `source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Query => "query",
            Origin::Response => "response",
            Origin::Thought => "thought",
            Origin::Observation => "observation",
            Origin::Fact => "fact",
        }
    }
}

/// Holds one piece of a text.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Passage {
    pub passage_id: String,
    pub interaction_id: String,
    pub session_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub timestamp: DateTime<Utc>,
    pub source: String,
    /// Counts the passages of one source from 0.
    pub position: i32,
    pub text: String,
    pub(in crate::store) embedding: Option<Vec<f32>>,
}

impl Record for Passage {
    const NAME: &'static str = "passages";
    const KEY: &'static str = "passage_id";

    fn key(&self) -> &str {
        &self.passage_id
    }

    fn columns(dimension: usize) -> Vec<Field> {
        vec![
            text("passage_id"),
            text("interaction_id"),
            text("session_id"),
            text("user_id"),
            moment("timestamp"),
            text("source"),
            Field::new("position", DataType::Int32, false),
            long_text("text"),
            vector("embedding", dimension),
        ]
    }
}
