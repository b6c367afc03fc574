//! Makes the vectors that are missing: of turns that were recorded while the embedder failed, or brought in without vectors.

use std::collections::HashMap;

use anyhow::Result;
use lancedb::expr::{DfExpr, col, lit};

use crate::store::embedding::mean;
use crate::store::open::Store;
use crate::store::tables::{Interaction, Origin, Passage, ReactCycle, among};
use crate::store::writing::passages::{EMBEDDED_IN_ALL, EMBEDDED_OF_TEXT};

/// How many passages are embedded before they are written: some seconds of work.
const BATCH: usize = 128;
/// How many batches leave the tables in need of upkeep.
const UPKEEP: usize = 32;

/// Holds ids that rows with a certain null are known by.
#[derive(serde::Deserialize)]
struct Id {
    #[serde(alias = "passage_id", alias = "interaction_id")]
    id: String,
}

impl Store {
    /// Counts the passages without a vector that should have one.
    pub async fn unembedded(&self) -> Result<usize> {
        self.passages.count(Some(wanting())).await
    }

    /// Embeds what is not, and returns how many passages that were. It can be stopped at any time and goes on where it was.
    pub async fn embed_missing(&self, mut progress: impl FnMut(usize, usize)) -> Result<usize> {
        let all = self.unembedded().await?;
        let (mut done, mut batches) = (0, 0);
        loop {
            let some = self
                .passages
                .select(Some(wanting()), &["passage_id"], None, Some(BATCH))
                .await?;
            if some.is_empty() {
                break;
            }
            let ids = some.iter().map(|passage| lit(passage.passage_id.as_str()));
            let these = lancedb::expr::is_in(col("passage_id"), ids.collect());
            let mut passages = self.passages.whole(these).await?;
            let texts: Vec<&str> = passages
                .iter()
                .map(|passage| passage.text.as_str())
                .collect();
            let vectors = self.embed_pieces(&texts).await?;
            for (passage, vector) in passages.iter_mut().zip(vectors) {
                passage.embedding = Some(vector);
            }
            self.passages.replace("passage_id", &passages).await?;
            done += passages.len();
            progress(done, all);
            batches += 1;
            if batches % UPKEEP == 0 {
                self.maintain().await?;
            }
        }
        self.embed_wholes().await?;
        self.settle().await?;
        Ok(done)
    }

    /// Makes the vectors of whole interactions and cycles from those of their passages.
    async fn embed_wholes(&self) -> Result<()> {
        let none = || Some(col("context_embedding").is_null());
        let ids: Vec<Id> = self
            .interactions
            .columns(none(), &["interaction_id"])
            .await?;
        for some in ids.chunks(BATCH) {
            let some: Vec<String> = some.iter().map(|row| row.id.clone()).collect();
            let vectors = self
                .means(&some, &[Origin::Query, Origin::Response, Origin::Fact])
                .await?;
            let mut rows: Vec<Interaction> = self.interactions.whole(among(&some)).await?;
            rows.retain_mut(|row| {
                row.context_embedding = vectors.get(&row.interaction_id).cloned();
                row.context_embedding.is_some()
            });
            if !rows.is_empty() {
                self.interactions.replace("interaction_id", &rows).await?;
            }
        }
        let none = || Some(col("scratchpad_embedding").is_null());
        let ids: Vec<Id> = self
            .react_cycles
            .columns(none(), &["interaction_id"])
            .await?;
        for some in ids.chunks(BATCH) {
            let some: Vec<String> = some.iter().map(|row| row.id.clone()).collect();
            let vectors = self
                .means(&some, &[Origin::Thought, Origin::Observation])
                .await?;
            let mut rows: Vec<ReactCycle> = self.react_cycles.whole(among(&some)).await?;
            rows.retain_mut(|row| {
                row.scratchpad_embedding = vectors.get(&row.interaction_id).cloned();
                row.scratchpad_embedding.is_some()
            });
            if !rows.is_empty() {
                self.react_cycles.replace("react_id", &rows).await?;
            }
        }
        Ok(())
    }

    /// Returns the mean vector of the passages of each of these interactions.
    async fn means(&self, ids: &[String], origins: &[Origin]) -> Result<HashMap<String, Vec<f32>>> {
        let columns = ["interaction_id", "source", "embedding"];
        let passages: Vec<Passage> = self
            .passages
            .select(Some(among(ids)), &columns, None, None)
            .await?;
        let mut vectors: HashMap<String, Vec<Vec<f32>>> = HashMap::new();
        for passage in passages {
            let counts = origins
                .iter()
                .any(|origin| passage.source == origin.as_str());
            if let (true, Some(vector)) = (counts, passage.embedding) {
                vectors
                    .entry(passage.interaction_id)
                    .or_default()
                    .push(vector);
            }
        }
        Ok(vectors
            .into_iter()
            .filter_map(|(id, vectors)| Some((id, mean(vectors.iter())?)))
            .collect())
    }
}

/// The passages without a vector that should have one: of long texts the later ones have none by design.
fn wanting() -> DfExpr {
    let below = |most: usize| col("position").lt(lit(i32::try_from(most).unwrap_or(i32::MAX)));
    let observation = || lit(Origin::Observation.as_str());
    let said = col("source").not_eq(observation());
    let observed = col("source").eq(observation());
    let wanted = said
        .and(below(EMBEDDED_OF_TEXT))
        .or(observed.and(below(EMBEDDED_IN_ALL)));
    col("embedding").is_null().and(wanted)
}
