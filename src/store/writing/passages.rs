//! What of a turn is to be found again, and how it is cut into passages.

use super::Turn;
use crate::store::embedding::Embedded;
use crate::store::tables::{Interaction, Origin, Passage};
use crate::store::words::new_id;

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
pub struct Findable {
    pub origin: Origin,
    pub text: String,
    /// How many of its passages get a vector.
    pub embedded: usize,
}

/// Returns what is to be found of a turn, in order.
pub fn findable(turn: &Turn) -> Vec<Findable> {
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

impl Passage {
    /// Returns the passages of one text of an interaction; `first` is the position of the first.
    pub fn cut(
        interaction: &Interaction,
        origin: Origin,
        first: usize,
        pieces: &Embedded,
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
