//! What of a turn is to be found again, how it is cut into passages, and which of them get a vector.

use std::collections::HashMap;

use anyhow::{Error, Result};

use super::{Turn, actions};
use crate::conversation::ToolCall;
use crate::store::open::Store;
use crate::store::tables::{Interaction, Origin, Passage};
use crate::store::words::new_id;

/// The most that is findable of one observation, in bytes: what a model is told of it.
const LONGEST_OBSERVATION: usize = 64 << 10;
/// The most passages that are made of one observation.
const PASSAGES_OF_OBSERVATION: usize = 64;
/// The same of what a model has done, where a whole file may be written.
const LONGEST_ACTION: usize = 256 << 10;
const PASSAGES_OF_ACTION: usize = 512;
/// How many passages of one observation get a vector, as long as those of the turn are not used up.
const EMBEDDED_OF_OBSERVATION: usize = 4;
/// A turn with more passages to embed than this gets its vectors after its rows: as many take about a second without the quick loops.
const AT_ONCE: usize = 16;
/// About how many bytes a passage has.
const PASSAGE: usize = 800;

/// Returns what is to be found of a turn, in order.
pub fn findable(turn: &Turn) -> Vec<(Origin, String)> {
    let mut texts = vec![(Origin::Query, turn.interaction.query.clone())];
    if !turn.quotes_only {
        texts.push((Origin::Response, turn.interaction.response.clone()));
    }
    let facts = turn.interaction.facts_extracted.iter();
    texts.extend(facts.map(|fact| (Origin::Fact, fact.clone())));
    for step in &turn.steps {
        texts.push((Origin::Thought, step.thought.clone()));
        let quotes = |action: &ToolCall| turn.quoting.contains(&action.name);
        if !step.action.as_ref().is_some_and(quotes) {
            if let Some(done) = step.action.as_ref().map(actions::text) {
                let done = crate::tools::shorten(&done, LONGEST_ACTION).into_owned();
                let done = (Origin::Action, done);
                // What was done again and again is found once.
                if !texts.contains(&done) {
                    texts.push(done);
                }
            }
            let seen = crate::tools::shorten(&step.observation, LONGEST_OBSERVATION);
            texts.push((Origin::Observation, seen.into_owned()));
        }
    }
    texts.retain(|(_, text)| !text.trim().is_empty());
    texts
}

/// Returns whether the vectors of a turn take longer than a person likes to wait.
pub fn is_long(turn: &Turn) -> bool {
    let passages = findable(turn)
        .iter()
        .map(|(origin, text)| (text.len() / PASSAGE + 1).min(embedded_of(*origin)))
        .sum::<usize>();
    passages > AT_ONCE
}

/// Returns how many passages of one text get a vector at most.
pub fn embedded_of(origin: Origin) -> usize {
    match origin {
        Origin::Observation => EMBEDDED_OF_OBSERVATION,
        _ => origin.embedded(),
    }
}

impl Store {
    /// Returns the passages of each of these turns, with vectors or without, and why they have none, if so.
    pub(in crate::store) async fn passages_of(
        &self,
        turns: &[Turn],
        embed: bool,
    ) -> (Vec<Vec<Passage>>, Option<Error>) {
        let texts: Vec<Vec<(Origin, String)>> = turns.iter().map(findable).collect();
        let all = || texts.iter().flatten().map(|(_, text)| text.clone());
        // Search finds what has no vector by other ways, and the vector can be made later: better than no record.
        let (pieces, mut failure) = match self.cut(all().collect()).await {
            Ok(pieces) => (pieces, None),
            Err(error) => (all().map(|text| vec![text]).collect(), Some(error)),
        };
        let mut pieces = pieces.into_iter();
        let mut passages: Vec<Vec<Passage>> = Vec::new();
        for (turn, texts) in turns.iter().zip(texts) {
            let mut places = Places::default();
            let mut whole = Vec::new();
            for ((origin, _), pieces) in texts.into_iter().zip(&mut pieces) {
                whole.extend(places.fill(&turn.interaction, origin, pieces));
            }
            passages.push(whole);
        }
        if embed && failure.is_none() {
            let embedding = self.embed(passages.iter_mut().flatten()).await;
            failure = embedding.err();
        }
        let failure =
            failure.map(|error| error.context("the turn is stored but cannot be found by meaning"));
        (passages, failure)
    }

    /// Makes the vectors of those of the passages that are to have one.
    pub(in crate::store) async fn embed<'p>(
        &self,
        passages: impl Iterator<Item = &'p mut Passage>,
    ) -> Result<()> {
        let mut wanting: Vec<&mut Passage> =
            passages.filter(|passage| passage.is_embeddable()).collect();
        let texts: Vec<&str> = wanting
            .iter()
            .map(|passage| passage.text.as_str())
            .collect();
        let vectors = self.embed_pieces(&texts).await?;
        for (passage, vector) in wanting.iter_mut().zip(vectors) {
            passage.embedding = Some(vector);
        }
        Ok(())
    }
}

/// Gives the passages of one turn their positions, which say for ever whether they are to have a vector.
#[derive(Debug, Default)]
pub struct Places(HashMap<Origin, Taken>);

#[derive(Debug, Default)]
struct Taken {
    embedded: usize,
    others: usize,
}

impl Places {
    /// Returns the places after so many passages of one source that are there.
    pub fn after(origin: Origin, embedded: usize) -> Places {
        let taken = Taken {
            embedded,
            others: 0,
        };
        Places(HashMap::from([(origin, taken)]))
    }

    /// Returns the passages of one text of an interaction.
    pub fn fill(
        &mut self,
        interaction: &Interaction,
        origin: Origin,
        pieces: Vec<String>,
    ) -> Vec<Passage> {
        let (most, embedded) = match origin {
            Origin::Observation => (PASSAGES_OF_OBSERVATION, EMBEDDED_OF_OBSERVATION),
            Origin::Action => (PASSAGES_OF_ACTION, 0),
            _ => (usize::MAX, usize::MAX),
        };
        let taken = self.0.entry(origin).or_default();
        let mut passages = Vec::new();
        for (at, text) in pieces.into_iter().take(most).enumerate() {
            let position = if at < embedded && taken.embedded < origin.embedded() {
                taken.embedded += 1;
                taken.embedded - 1
            } else {
                taken.others += 1;
                origin.embedded() + taken.others - 1
            };
            passages.push(Passage {
                passage_id: new_id(),
                interaction_id: interaction.interaction_id.clone(),
                session_id: interaction.session_id.clone(),
                user_id: interaction.user_id.clone(),
                timestamp: interaction.timestamp,
                source: origin.as_str().to_owned(),
                position: i32::try_from(position).unwrap_or(i32::MAX),
                text,
                embedding: None,
            });
        }
        passages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(places: &mut Places, origin: Origin, pieces: usize) -> Vec<i32> {
        let interaction = Interaction::default();
        let pieces = vec!["text".to_owned(); pieces];
        let passages = places.fill(&interaction, origin, pieces);
        passages.iter().map(|passage| passage.position).collect()
    }

    // Finding H9.
    #[test]
    fn short_observations_leave_vectors_for_the_long_one_after_them() {
        let mut places = Places::default();
        for at in 0..9 {
            assert_eq!(positions(&mut places, Origin::Observation, 1), [at]);
        }
        assert_eq!(
            positions(&mut places, Origin::Observation, 6),
            [9, 10, 11, 12, 32, 33]
        );
        for _ in 0..5 {
            positions(&mut places, Origin::Observation, 4);
        }
        // 32 have one now.
        assert_eq!(positions(&mut places, Origin::Observation, 2), [35, 36]);
        assert_eq!(positions(&mut places, Origin::Query, 2), [0, 1]);
        assert_eq!(
            positions(&mut places, Origin::Query, 200).last(),
            Some(&201)
        );
    }
}
