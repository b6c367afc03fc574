//! The passages table: pieces of what was said, thought and seen, each short enough to embed.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use lancedb::arrow::arrow_schema::{DataType, Field};
use lancedb::expr::{DfExpr, col, lit};
use serde::{Deserialize, Serialize};

use super::column::{long_text, moment, text, vector};
use super::table::Record;

/// Says what a passage is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Origin {
    Query,
    Response,
    Thought,
    Action,
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
            Origin::Action => "action",
            Origin::Observation => "observation",
            Origin::Fact => "fact",
        }
    }

    /// Returns how many passages of it get a vector in one turn; the rest is found by its words. Each costs a fraction of a second.
    pub fn embedded(self) -> usize {
        match self {
            // Some 20,000 words.
            Origin::Query | Origin::Response => 128,
            Origin::Thought | Origin::Fact => 1_024,
            Origin::Observation => 32,
            // The model knows sentences: of commands, paths and ids it makes nothing, and an agent leaves dozens of them a turn.
            Origin::Action => 0,
        }
    }

    /// Returns whether it was said, and not only thought or seen on the way.
    pub fn is_said(self) -> bool {
        match self {
            Origin::Query | Origin::Response | Origin::Fact => true,
            Origin::Thought | Origin::Action | Origin::Observation => false,
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
    /// Counts the passages of one source in a turn: those that are to have a vector from 0, the others from [`Origin::embedded`] on.
    pub position: i32,
    pub text: String,
    pub(in crate::store) embedding: Option<Vec<f32>>,
}

impl Passage {
    /// Returns what it is a piece of.
    pub fn origin(&self) -> Option<Origin> {
        let mut origins = Origin::value_variants().iter().copied();
        origins.find(|origin| origin.as_str() == self.source)
    }

    /// Returns whether it is to have a vector, whether it has one or not.
    pub fn is_embeddable(&self) -> bool {
        let position = usize::try_from(self.position).unwrap_or_default();
        self.origin()
            .is_some_and(|origin| position < origin.embedded())
    }

    /// Returns the same as a condition on rows.
    pub fn embeddable() -> DfExpr {
        let of = |origin: &Origin| {
            let most = i32::try_from(origin.embedded()).unwrap_or(i32::MAX);
            let source = col("source").eq(lit(origin.as_str()));
            source.and(col("position").lt(lit(most)))
        };
        let each = Origin::value_variants().iter().map(of);
        each.reduce(DfExpr::or).unwrap_or_else(|| lit(false))
    }
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
