//! Compares whole interactions and whole ReAct cycles.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};

use super::listing::Named;
use super::search::Hit;
use crate::store::embedding::mean;
use crate::store::open::Store;
use crate::store::tables::{Filter, ReactCycle, SHOWN};

/// Holds a ReAct cycle that is like what was looked for.
#[derive(Debug, Clone)]
pub struct CycleHit {
    pub react_id: String,
    pub interaction_id: String,
    pub timestamp: DateTime<Utc>,
    pub steps: i64,
    pub success: bool,
    /// The cosine of what was looked for and the whole scratchpad.
    pub similarity: f32,
}

const CYCLE: [&str; 5] = [
    "react_id",
    "interaction_id",
    "timestamp",
    "steps",
    "success",
];

impl Store {
    /// Finds the whole interactions and ReAct cycles closest in meaning to a text, best first.
    pub async fn similar_to_text(
        &self,
        text: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Hit>, Vec<CycleHit>)> {
        let vector = self.embed_query(text).await?;
        let hits = self.similar(&vector, filter, limit).await?;
        Ok((hits, self.similar_cycles(&vector, filter, limit).await?))
    }

    /// Finds the whole interactions and ReAct cycles closest in meaning to an interaction, or to all of a session, that itself left out,
    /// best first.
    pub async fn similar_to(
        &self,
        named: &Named,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Hit>, Vec<CycleHit>)> {
        let (these, others, what, id) = match named {
            Named::Interaction(turn) => {
                let id = &turn.interaction_id;
                let this = filter.clone().only(vec![id.clone()]);
                (this, filter.clone(), "interaction", id)
            }
            Named::Session(session) => {
                let id = &session.session_id;
                let others = filter.clone().except_session(id);
                (filter.clone().in_session(id), others, "session", id)
            }
        };
        let column = ["context_embedding"];
        let said = self
            .interactions
            .select(these.turns(), &column, None, None)
            .await?;
        let said = mean(said.iter().filter_map(|row| row.context_embedding.as_ref()));
        let column = ["scratchpad_embedding"];
        let done = self
            .react_cycles
            .select(these.expr(), &column, None, None)
            .await?;
        let done = mean(
            done.iter()
                .filter_map(|row| row.scratchpad_embedding.as_ref()),
        );
        // How it was reasoned is compared with how others were, where it was.
        let Some((said, done)) = said.map(|said| (said.clone(), done.unwrap_or(said))) else {
            bail!("{what} `{id}` has no embedding to compare with");
        };
        let more = limit.saturating_add(1);
        let mut hits = self.similar(&said, &others, more).await?;
        hits.retain(|hit| hit.interaction.interaction_id != *id);
        hits.truncate(limit);
        let mut cycles = self.similar_cycles(&done, &others, more).await?;
        cycles.retain(|cycle| cycle.interaction_id != *id);
        cycles.truncate(limit);
        Ok((hits, cycles))
    }

    async fn similar(&self, vector: &[f32], filter: &Filter, limit: usize) -> Result<Vec<Hit>> {
        let found = self
            .interactions
            .nearest("context_embedding", vector, filter.turns(), &SHOWN, limit)
            .await?;
        let hit = |(interaction, similarity)| Hit {
            interaction,
            score: similarity,
            similarity: Some(similarity),
            parts: None,
            matched: None,
            marks: Vec::new(),
            count: 1,
        };
        Ok(found.into_iter().map(hit).collect())
    }

    async fn similar_cycles(
        &self,
        vector: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<CycleHit>> {
        let found = self
            .react_cycles
            .nearest("scratchpad_embedding", vector, filter.expr(), &CYCLE, limit)
            .await?;
        let hit = |(cycle, similarity): (ReactCycle, f32)| CycleHit {
            react_id: cycle.react_id,
            interaction_id: cycle.interaction_id,
            timestamp: cycle.timestamp,
            steps: cycle.steps,
            success: cycle.success,
            similarity,
        };
        Ok(found.into_iter().map(hit).collect())
    }
}
