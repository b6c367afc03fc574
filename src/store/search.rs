//! Finds interactions by meaning.

use std::collections::HashMap;

use anyhow::Result;
use lancedb::expr::{col, is_in, lit};

use super::Store;
use super::filter::Filter;
use super::interaction::{Interaction, SHOWN};
use super::passage::Origin;

/// Holds what is looked for.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    pub text: String,
    pub filter: Filter,
    pub limit: usize,
    /// Passages that say this and nothing else are passed over: a question is no answer to itself.
    pub ignore: Option<String>,
    /// What the passages may be pieces of; anything, when empty.
    pub sources: Vec<Origin>,
}

/// Holds one search result.
#[derive(Debug, Clone)]
pub struct Hit {
    pub interaction: Interaction,
    /// What the hits are sorted by, highest first.
    pub score: f32,
    /// The cosine of what was looked for and what matched.
    pub similarity: Option<f32>,
    /// The passage that matched best; the whole turn when whole turns are compared.
    pub matched: Option<Matched>,
}

/// Holds the passage that matched.
#[derive(Debug, Clone)]
pub struct Matched {
    /// What it is a piece of, see [`Origin`].
    pub source: String,
    pub text: String,
}

const PASSAGE: [&str; 4] = ["interaction_id", "source", "position", "text"];

impl Store {
    /// Finds the interactions with the passages closest in meaning, best first.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        let vector = self.embed_whole(&query.text).await?;
        let sources = query.sources.iter().map(|source| lit(source.as_str()));
        let sources = (!query.sources.is_empty()).then(|| is_in(col("source"), sources.collect()));
        let filter = match (query.filter.expr(), sources) {
            (Some(filter), Some(sources)) => Some(filter.and(sources)),
            (filter, sources) => filter.or(sources),
        };
        // Several passages of one interaction may match, so more are fetched than wanted, and again more if need be.
        let mut fetched = query.limit.saturating_mul(4).max(20);
        loop {
            let found = self
                .passages
                .nearest("embedding", &vector, filter.clone(), &PASSAGE, fetched)
                .await?;
            let complete = found.len() < fetched;
            let mut best: Vec<(String, f32, Matched)> = Vec::new();
            for (passage, similarity) in found {
                let repeats = query.ignore.as_ref();
                let repeats = repeats.is_some_and(|text| is_same(text, &passage.text));
                if !repeats && !best.iter().any(|(id, ..)| *id == passage.interaction_id) {
                    let matched = Matched {
                        source: passage.source,
                        text: passage.text,
                    };
                    best.push((passage.interaction_id, similarity, matched));
                }
            }
            let ids: Vec<String> = best.iter().map(|(id, ..)| id.clone()).collect();
            let mut interactions = self.by_id(&query.filter, &ids).await?;
            let hits = best.into_iter().filter_map(|(id, similarity, matched)| {
                // A passage whose interaction is not there yet belongs to a turn that is just being recorded.
                let interaction = interactions.remove(&id)?;
                Some(Hit {
                    interaction,
                    score: similarity,
                    similarity: Some(similarity),
                    matched: Some(matched),
                })
            });
            let hits: Vec<Hit> = hits.take(query.limit).collect();
            if complete || hits.len() == query.limit {
                return Ok(hits);
            }
            fetched = fetched.saturating_mul(4);
        }
    }

    async fn by_id(&self, filter: &Filter, ids: &[String]) -> Result<HashMap<String, Interaction>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self
            .interactions
            .select(Some(filter.and_ids(ids)), &SHOWN, None, None)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.interaction_id.clone(), row))
            .collect())
    }
}

fn is_same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}
