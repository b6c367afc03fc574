//! The passages table: pieces of what was said, thought and seen, each short enough to embed.

use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::table::{Record, long_text, moment, text, vector};
use super::{Turn, new_id};

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

/// How many passages of what was asked, answered or thought get a vector, some 20,000 words; the rest is found by its words.
pub const EMBEDDED_OF_TEXT: usize = 128;
/// The most that is findable of one observation, in bytes: what a model is told of it.
const LONGEST_OBSERVATION: usize = 64 << 10;
/// The most passages that are made of one observation.
const PASSAGES_OF_OBSERVATION: usize = 64;
/// How many passages of one observation get a vector; the rest is found by its words. Each costs a fraction of a second.
const EMBEDDED: usize = 4;
/// How many passages of all observations of a turn get a vector.
pub const EMBEDDED_IN_ALL: usize = 32;

/// Is a text of a turn that is to be found again.
pub(super) struct Findable {
    pub origin: Origin,
    pub text: String,
    /// How many of its passages get a vector.
    pub embedded: usize,
}

/// Returns what is to be found of a turn, in order.
pub(super) fn findable(turn: &Turn) -> Vec<Findable> {
    let all = |origin, text: &str| Findable {
        origin,
        text: text.to_owned(),
        embedded: EMBEDDED_OF_TEXT,
    };
    let mut texts = vec![all(Origin::Query, &turn.interaction.query)];
    if !turn.quotes_only {
        texts.push(all(Origin::Response, &turn.interaction.response));
    }
    let facts = turn.interaction.facts_extracted.iter();
    texts.extend(facts.map(|fact| all(Origin::Fact, fact)));
    let mut left = EMBEDDED_IN_ALL;
    for step in &turn.steps {
        texts.push(all(Origin::Thought, &step.thought));
        let quotes = step
            .action
            .as_ref()
            .is_some_and(|action| turn.quoting.contains(&action.name));
        if quotes {
            continue;
        }
        let embedded = EMBEDDED.min(left);
        left -= embedded;
        texts.push(Findable {
            origin: Origin::Observation,
            text: crate::tools::shorten(&step.observation, LONGEST_OBSERVATION).into_owned(),
            embedded,
        });
    }
    texts.retain(|findable| !findable.text.trim().is_empty());
    texts
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
    pub(super) embedding: Option<Vec<f32>>,
}

impl Passage {
    /// Returns the passages of one text of an interaction; `first` is the position of the first.
    pub(super) fn cut(
        interaction: &super::Interaction,
        origin: Origin,
        first: usize,
        pieces: &super::embed::Embedded,
    ) -> Vec<Passage> {
        let most = match origin {
            Origin::Observation => PASSAGES_OF_OBSERVATION,
            _ => usize::MAX,
        };
        let pieces = pieces
            .iter()
            .filter(|(text, _)| !text.trim().is_empty())
            .take(most);
        let passage =
            |(position, (text, embedding)): (usize, &(String, Option<Vec<f32>>))| Passage {
                passage_id: new_id(),
                interaction_id: interaction.interaction_id.clone(),
                session_id: interaction.session_id.clone(),
                user_id: interaction.user_id.clone(),
                timestamp: interaction.timestamp,
                source: origin.as_str().to_owned(),
                position: i32::try_from(first + position).unwrap_or(i32::MAX),
                text: text.clone(),
                embedding: embedding.clone(),
            };
        pieces.enumerate().map(passage).collect()
    }
}

impl Record for Passage {
    const NAME: &'static str = "passages";

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
