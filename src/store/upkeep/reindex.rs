//! Makes the vectors that are missing: of turns that were recorded while the embedder failed, or brought in without vectors.

use std::collections::HashMap;

use anyhow::Result;
use lancedb::expr::{DfExpr, col, lit};

use crate::store::embedding::mean;
use crate::store::open::Store;
use crate::store::tables::{
    Interaction, Origin, Passage, ReactCycle, Record, Table, among, one_of,
};
use crate::store::writing::passages::{EMBEDDED_IN_ALL, EMBEDDED_OF_TEXT};

/// How many passages are embedded before they are written: some seconds of work.
const BATCH: usize = 128;
/// How many batches leave the tables in need of upkeep.
const UPKEEP: usize = 32;

/// Is a row whose vector is the mean of those of passages.
trait Whole: Record {
    /// The column of the vector.
    const VECTOR: &'static str;
    /// What the passages are pieces of.
    const OF: &'static [Origin];
    fn interaction_id(&self) -> &str;
    fn set_vector(&mut self, vector: Vec<f32>);
}

impl Whole for Interaction {
    const VECTOR: &'static str = "context_embedding";
    const OF: &'static [Origin] = &[Origin::Query, Origin::Response, Origin::Fact];

    fn interaction_id(&self) -> &str {
        &self.interaction_id
    }

    fn set_vector(&mut self, vector: Vec<f32>) {
        self.context_embedding = Some(vector);
    }
}

impl Whole for ReactCycle {
    const VECTOR: &'static str = "scratchpad_embedding";
    const OF: &'static [Origin] = &[Origin::Thought, Origin::Observation];

    fn interaction_id(&self) -> &str {
        &self.interaction_id
    }

    fn set_vector(&mut self, vector: Vec<f32>) {
        self.scratchpad_embedding = Some(vector);
    }
}

impl Store {
    /// Counts the passages without a vector that should have one.
    pub async fn unembedded(&self) -> Result<usize> {
        self.passages.count(Some(wanting())).await
    }

    /// Embeds what is not, and returns how many passages that were. It can be stopped at any time and goes on where it was.
    pub async fn embed_missing(&self, progress: impl FnMut(usize, usize)) -> Result<usize> {
        let done = self.embed_rows(None, progress).await?;
        self.settle().await?;
        Ok(done)
    }

    /// Embeds what is not of some interactions. It can be stopped at any time and goes on where it was.
    pub async fn embed_turns(&self, ids: &[String]) -> Result<()> {
        if !ids.is_empty() {
            self.embed_rows(Some(ids), |_, _| {}).await?;
        }
        Ok(())
    }

    async fn embed_rows(
        &self,
        ids: Option<&[String]>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<usize> {
        let these = |filter: DfExpr| match ids {
            Some(ids) => filter.and(among(ids)),
            None => filter,
        };
        let all = self.passages.count(Some(these(wanting()))).await?;
        let (mut done, mut batches) = (0, 0);
        loop {
            let some = self
                .passages
                .select(Some(these(wanting())), &["passage_id"], None, Some(BATCH))
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
        self.embed_wholes(&self.interactions, these).await?;
        self.embed_wholes(&self.react_cycles, these).await?;
        Ok(done)
    }

    /// Makes the vectors of whole rows from those of their passages.
    async fn embed_wholes<R: Whole>(
        &self,
        table: &Table<R>,
        these: impl Fn(DfExpr) -> DfExpr,
    ) -> Result<()> {
        let none = Some(these(col(R::VECTOR).is_null()));
        for some in table.keys(none).await?.chunks(BATCH) {
            // A row that is read is put back before anybody can take something out of it.
            let _pass = self.locks.enter().await?;
            let these = one_of(R::KEY, some.iter().map(String::as_str));
            let mut rows = table.whole(these).await?;
            let ids: Vec<String> = rows.iter().map(|row| row.interaction_id().into()).collect();
            let vectors = self.means(&ids, R::OF).await?;
            rows.retain_mut(|row| match vectors.get(row.interaction_id()) {
                Some(vector) => {
                    row.set_vector(vector.clone());
                    true
                }
                None => false,
            });
            if !rows.is_empty() {
                table.replace(R::KEY, &rows).await?;
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
