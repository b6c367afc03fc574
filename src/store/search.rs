//! Finds interactions by meaning.

use std::collections::HashMap;

use anyhow::{Result, bail};
use lancedb::expr::{col, lit};

use super::Store;
use super::filter::Filter;
use super::interaction::{Interaction, SHOWN};

/// Holds what is looked for.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    pub text: String,
    pub filter: Filter,
    pub limit: usize,
    /// Passages that say this and nothing else are passed over: a question is no answer to itself.
    pub ignore: Option<String>,
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
    /// `query` or `response`.
    pub source: String,
    pub text: String,
}

const PASSAGE: [&str; 4] = ["interaction_id", "source", "position", "text"];

impl Store {
    /// Finds the interactions with the passages closest in meaning, best first.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        let vector = self.embed_whole(&query.text).await?;
        // Several passages of one interaction may match, so more are fetched than wanted, and again more if need be.
        let mut fetched = query.limit.saturating_mul(4).max(20);
        loop {
            let found = self
                .passages
                .nearest("embedding", &vector, query.filter.expr(), &PASSAGE, fetched)
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

    /// Finds the whole interactions closest in meaning to a text, best first.
    pub async fn similar_to_text(
        &self,
        text: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit>> {
        let vector = self.embed_whole(text).await?;
        self.similar(&vector, filter, limit).await
    }

    /// Finds the whole interactions closest in meaning to one that is stored, itself left out, best first.
    pub async fn similar_to(
        &self,
        interaction_id: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit>> {
        let this = col("interaction_id").eq(lit(interaction_id));
        let stored = self
            .interactions
            .select(Some(this), &["context_embedding"], None, Some(1))
            .await?;
        let Some(vector) = stored
            .into_iter()
            .next()
            .and_then(|row| row.context_embedding)
        else {
            bail!("interaction `{interaction_id}` has no embedding to compare with");
        };
        let mut hits = self
            .similar(&vector, filter, limit.saturating_add(1))
            .await?;
        hits.retain(|hit| hit.interaction.interaction_id != interaction_id);
        hits.truncate(limit);
        Ok(hits)
    }

    async fn similar(&self, vector: &[f32], filter: &Filter, limit: usize) -> Result<Vec<Hit>> {
        let found = self
            .interactions
            .nearest("context_embedding", vector, filter.expr(), &SHOWN, limit)
            .await?;
        let hit = |(interaction, similarity)| Hit {
            interaction,
            score: similarity,
            similarity: Some(similarity),
            matched: None,
        };
        Ok(found.into_iter().map(hit).collect())
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

    async fn embed_whole(&self, text: &str) -> Result<Vec<f32>> {
        let embedded = self.embed(vec![text.to_owned()]).await?;
        let vectors: Vec<&Vec<f32>> = embedded
            .iter()
            .flatten()
            .filter_map(|(_, vector)| vector.as_ref())
            .collect();
        match super::record::mean(&vectors) {
            Some(mean) => Ok(mean),
            None => bail!("there is nothing to look for in `{}`", text.trim()),
        }
    }
}

fn is_same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}
