//! Makes the vectors that are missing: of turns that were recorded while the embedder failed, or brought in without vectors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use lancedb::expr::{DfExpr, col, lit};
use serde::Deserialize;

use crate::store::embedding::whole;
use crate::store::open::Store;
use crate::store::tables::{
    Interaction, Origin, Passage, ReactCycle, Record, Table, among, one_of,
};

/// How many passages are embedded before they are written, at least, and at most.
const BATCH: usize = 128;
const MOST: usize = 4_096;
/// How long a batch is to take: whoever stops it loses no more, and a commit is little beside it.
const WORK: Duration = Duration::from_secs(2);
/// How many batches leave the tables in need of upkeep.
const UPKEEP: usize = 32;

/// Holds an id.
#[derive(Deserialize)]
struct Id {
    interaction_id: String,
}

/// Is what is known of the passages that should have a vector and have none.
#[derive(Default)]
struct Missing {
    /// How many there are of each interaction.
    count: BTreeMap<String, usize>,
    /// The interactions whose observations have the vectors that they are to have.
    ///
    /// In stores of before, positions do not tell which these are. But those of one turn are always made together, here as well: where
    /// there is one, none is missing.
    seen: HashSet<String>,
}

/// Is a row whose vector is the mean of those of passages.
trait Whole: Record {
    /// The column of the vector.
    const VECTOR: &'static str;
    /// Whether these are of what was said, and not of what was thought or seen.
    const SAID: bool;
    fn interaction_id(&self) -> &str;
    fn set_vector(&mut self, vector: Vec<f32>);
}

impl Whole for Interaction {
    const VECTOR: &'static str = "context_embedding";
    const SAID: bool = true;

    fn interaction_id(&self) -> &str {
        &self.interaction_id
    }

    fn set_vector(&mut self, vector: Vec<f32>) {
        self.context_embedding = Some(vector);
    }
}

impl Whole for ReactCycle {
    const VECTOR: &'static str = "scratchpad_embedding";
    const SAID: bool = false;

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
        Ok(self.missing(None).await?.count.values().sum())
    }

    /// Looks for what is missing, of these interactions or of all.
    async fn missing(&self, ids: Option<&[String]>) -> Result<Missing> {
        #[derive(Deserialize)]
        struct Row {
            interaction_id: String,
            source: String,
        }
        let mut missing = Missing::default();
        let mut observed: BTreeMap<String, usize> = BTreeMap::new();
        let columns = ["interaction_id", "source"];
        let take = |row: Row| {
            let counts = match row.source == Origin::Observation.as_str() {
                true => &mut observed,
                false => &mut missing.count,
            };
            *counts.entry(row.interaction_id).or_default() += 1;
            Ok(())
        };
        let wanting = Some(of(ids, wanting()));
        self.passages.each(wanting, &columns, take).await?;
        let ids: Vec<String> = observed.keys().cloned().collect();
        for some in ids.chunks(1_000) {
            let source = col("source").eq(lit(Origin::Observation.as_str()));
            let made = among(some).and(source).and(col("embedding").is_not_null());
            let made: Vec<Id> = self
                .passages
                .columns(Some(made), &["interaction_id"])
                .await?;
            missing
                .seen
                .extend(made.into_iter().map(|row| row.interaction_id));
        }
        observed.retain(|id, _| !missing.seen.contains(id));
        for (id, count) in observed {
            *missing.count.entry(id).or_default() += count;
        }
        Ok(missing)
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
        of: Option<&[String]>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<usize> {
        let Missing { count, seen } = self.missing(of).await?;
        let all = count.values().sum();
        let (mut done, mut batches, mut batch) = (0, 0, BATCH);
        let mut left = count.into_iter().peekable();
        while left.peek().is_some() {
            let (mut ids, mut size) = (Vec::new(), 0);
            while let Some((id, count)) = left.next_if(|_| size < batch) {
                ids.push(id);
                size += count;
            }
            let mut passages = self.passages.whole(among(&ids).and(wanting())).await?;
            passages.retain(|passage| {
                passage.origin() != Some(Origin::Observation)
                    || !seen.contains(&passage.interaction_id)
            });
            if passages.is_empty() {
                // Another process was quicker.
                continue;
            }
            let begun = Instant::now();
            self.embed(passages.iter_mut()).await?;
            batch = match begun.elapsed() < WORK {
                true => (batch * 2).min(MOST),
                false => (batch / 2).max(BATCH),
            };
            self.passages.replace(&passages).await?;
            done += passages.len();
            progress(done, all);
            batches += 1;
            if batches % UPKEEP == 0 {
                self.maintain().await?;
            }
        }
        self.embed_wholes(&self.interactions, of).await?;
        self.embed_wholes(&self.react_cycles, of).await?;
        Ok(done)
    }

    /// Makes the vectors of whole rows from those of their passages.
    async fn embed_wholes<R: Whole>(&self, table: &Table<R>, ids: Option<&[String]>) -> Result<()> {
        let none = Some(of(ids, col(R::VECTOR).is_null()));
        for some in table.keys(none).await?.chunks(BATCH) {
            // A row that is read is put back before anybody can take something out of it.
            let _pass = self.locks.enter().await?;
            let these = one_of(R::KEY, some.iter().map(String::as_str));
            let mut rows = table.whole(these).await?;
            let ids: Vec<String> = rows.iter().map(|row| row.interaction_id().into()).collect();
            let passages = self.embedded(&ids).await?;
            rows.retain_mut(|row| {
                let passages = passages.get(row.interaction_id());
                let vector = passages.and_then(|passages| whole(passages, R::SAID));
                vector.map(|vector| row.set_vector(vector)).is_some()
            });
            if !rows.is_empty() {
                table.replace(&rows).await?;
            }
        }
        Ok(())
    }

    /// Returns the passages of these interactions that have a vector.
    async fn embedded(&self, ids: &[String]) -> Result<HashMap<String, Vec<Passage>>> {
        let columns = ["interaction_id", "source", "embedding"];
        let these = among(ids).and(col("embedding").is_not_null());
        let mut embedded: HashMap<String, Vec<Passage>> = HashMap::new();
        for passage in self
            .passages
            .select(Some(these), &columns, None, None)
            .await?
        {
            let id = passage.interaction_id.clone();
            embedded.entry(id).or_default().push(passage);
        }
        Ok(embedded)
    }
}

/// Narrows a filter down to some interactions, if some are meant.
fn of(ids: Option<&[String]>, filter: DfExpr) -> DfExpr {
    match ids {
        Some(ids) => filter.and(among(ids)),
        None => filter,
    }
}

/// The passages without a vector that should have one: of long texts the later ones have none by design.
fn wanting() -> DfExpr {
    col("embedding").is_null().and(Passage::embeddable())
}
