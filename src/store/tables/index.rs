//! Indices: made when a table has grown enough, and brought up to date in the background. New rows are found at once all the same:
//! what no index covers is looked through.

use std::panic::AssertUnwindSafe;

use anyhow::{Context, Result};
use futures::FutureExt;
use lancedb::DistanceType;
use lancedb::datafusion::common::Column;
use lancedb::expr::{DfExpr, expr_to_sql_string};
use lancedb::index::scalar::{BTreeIndexBuilder, BitmapIndexBuilder, FtsIndexBuilder};
use lancedb::index::vector::IvfRqIndexBuilder;
use lancedb::index::{Index, IndexConfig, IndexType};
use lancedb::table::{OptimizeAction, OptimizeOptions};
use serde_json::Value;

use super::table::{Record, Table};

/// Smaller tables are looked through faster than an index is opened.
const WORTH_IT: usize = 1_000;
/// From so many rows on, vectors want an index: looking through them takes longer than all else of a search.
const MANY_VECTORS: usize = 10_000;
/// How many vectors a part of an index holds, on average.
const PART: u32 = 4_096;
/// How many bits are kept of each number of a vector. With more of them no more is found, as the best are compared exactly, and the
/// index of a million turns leaves no room in memory for others.
const BITS: u32 = 1;
/// Such a share of the parts is looked into at least, up to so many: what is near, or fulfils a condition, may not be in the nearest
/// ones. That takes a few milliseconds of a million turns.
const PROBED: usize = 4;
const MOST_PROBED: usize = 64;
/// Of so few rows that fulfil a condition each is compared: they may lie in any part.
const FEW: usize = 5_000;
/// What conditions are on that may leave few rows; to count all of a user's takes time, and seldom helps.
const NARROWING: [&str; 3] = ["timestamp", "session_id", "interaction_id"];
/// So many new vectors, or a hundredth of all, are looked through beside the index before it is updated.
const MANY_NEW: usize = 1_000;

/// Says how a column is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By value and by range.
    Ordered,
    /// By one of few values.
    Few,
    Words,
    Meaning,
}

/// Makes the indices that are missing, and brings those that are there up to date.
pub async fn maintain<R: Record>(table: &Table<R>, columns: &[(&str, Kind)]) -> Result<()> {
    let table = &table.inner;
    let rows = table.count_rows(None).await?;
    let known = table.list_indices().await?;
    for (column, kind) in columns {
        let least = if *kind == Kind::Meaning {
            MANY_VECTORS
        } else {
            WORTH_IT
        };
        let is_known = known
            .iter()
            .any(|index| index.columns.iter().any(|known| known == column) && is_current(index));
        // Making one again would build it anew.
        if rows < least || is_known {
            continue;
        }
        let index = match kind {
            Kind::Ordered => Index::BTree(BTreeIndexBuilder::default()),
            Kind::Few => Index::Bitmap(BitmapIndexBuilder::default()),
            Kind::Words => Index::FTS(words()),
            Kind::Meaning => Index::IvfRq(vectors()),
        };
        let made = table.create_index(&[*column], index).execute().await;
        made.with_context(|| format!("cannot index `{column}` of `{}`", R::NAME))?;
    }
    // One that fails keeps no other from its update.
    let (mut result, mut others) = (Ok(()), Vec::new());
    for index in table.list_indices().await? {
        let kind = columns
            .iter()
            .find(|(column, _)| index.columns.iter().any(|known| known == column))
            .map(|(_, kind)| *kind);
        match kind {
            Some(Kind::Meaning) => result = result.and(update_vectors(table, index.name).await),
            Some(Kind::Words) => result = result.and(update_words(table, index.name).await),
            _ => others.push(index.name),
        }
    }
    if !others.is_empty() {
        result = result.and(update(table, others).await.map_err(Into::into));
    }
    result
}

/// Says how texts are cut into words: also those without blanks; none is left out because it is long, as hashes are, or common, as
/// what is common in one language is a name in another.
fn words() -> FtsIndexBuilder {
    FtsIndexBuilder::default()
        .base_tokenizer("icu/split".to_owned())
        .max_token_length(None)
        .remove_stop_words(false)
}

/// Says how vectors are put into parts, and how coarsely they are kept.
fn vectors() -> IvfRqIndexBuilder {
    IvfRqIndexBuilder::default()
        .distance_type(DistanceType::Cosine)
        .target_partition_size(PART)
        .num_bits(BITS)
}

/// Returns how many parts of an index of vectors are looked into at least; none, where a condition leaves so few rows that each is
/// compared.
pub async fn probes(table: &lancedb::Table, condition: Option<&DfExpr>) -> Result<Option<usize>> {
    let narrows = |column: &Column| NARROWING.contains(&column.name());
    if let Some(condition) = condition
        && condition.column_refs().into_iter().any(narrows)
    {
        let these = table.count_rows(Some(expr_to_sql_string(condition)?));
        if these.await? <= FEW {
            return Ok(None);
        }
    }
    let parts = table.count_rows(None).await? / usize::try_from(PART)?;
    Ok(Some((parts / PROBED).clamp(1, MOST_PROBED)))
}

/// Returns whether an index is as it would be made now: an earlier program may have made it otherwise.
pub fn is_current(index: &IndexConfig) -> bool {
    let made = index.index_details.as_deref();
    // What says nothing cannot be told apart.
    let Some(made) = made.and_then(|made| serde_json::from_str::<Value>(made).ok()) else {
        return true;
    };
    match index.index_type {
        IndexType::FTS => {
            let wanted = serde_json::to_value(words()).unwrap_or_default();
            let cut = ["base_tokenizer", "max_token_length", "remove_stop_words"];
            cut.iter().all(|name| made[name] == wanted[name])
        }
        IndexType::IvfRq => {
            made["target_partition_size"] == PART && made["compression"]["num_bits"] == BITS
        }
        _ => true,
    }
}

/// Returns whether the words of a column are indexed.
pub async fn has_words<R: Record>(table: &Table<R>, column: &str) -> Result<bool> {
    let known = table.inner.list_indices().await?;
    let is_of_words = |index: &IndexConfig| {
        index.index_type == IndexType::FTS && index.columns.iter().any(|known| known == column)
    };
    Ok(known.iter().any(is_of_words))
}

/// Brings indices up to date, in one commit.
async fn update(table: &lancedb::Table, names: Vec<String>) -> lancedb::Result<()> {
    let these = OptimizeOptions::default().index_names(names);
    table.optimize(OptimizeAction::Index(these)).await?;
    Ok(())
}

/// Brings a full-text index up to date. One that cannot be merged with what is new is dropped, and made anew in the next round; until
/// then the rows are looked through.
async fn update_words(table: &lancedb::Table, name: String) -> Result<()> {
    // LanceDB has been known to panic here.
    let updating = AssertUnwindSafe(update(table, vec![name.clone()])).catch_unwind();
    match updating.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) if !is_broken(&error) => return Err(error.into()),
        Ok(Err(_)) | Err(_) => {}
    }
    Ok(table.drop_index(&name).await?)
}

/// Returns whether an error says that an index does not fit together, and not that the disk is full or another writer was quicker.
fn is_broken(error: &lancedb::Error) -> bool {
    use lance_core::Error;
    let lancedb::Error::Lance { source } = error else {
        return false;
    };
    matches!(
        source,
        Error::Index { .. }
            | Error::Internal { .. }
            | Error::Arrow { .. }
            | Error::Schema { .. }
            | Error::CorruptFile { .. }
    )
}

/// Brings an index of vectors up to date. It grows by a part of its own with each update, and each part costs a search as much as all the
/// others: it is updated when much is new, and then put together.
async fn update_vectors(table: &lancedb::Table, name: String) -> Result<()> {
    let Some(covers) = table.index_stats(&name).await? else {
        return Ok(());
    };
    let parts = covers.num_indices.unwrap_or(1);
    let new = covers.num_unindexed_rows;
    if parts > 1 || new >= MANY_NEW.max(covers.num_indexed_rows / 100) {
        let whole = OptimizeOptions::merge(usize::try_from(parts)?.max(1));
        let whole = whole.with_partition_rebalancing();
        let whole = whole.index_names(vec![name]);
        table.optimize(OptimizeAction::Index(whole)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Arc;

    use lance_core::Error;
    use lancedb::Connection;
    use lancedb::arrow::arrow_schema::Field;
    use lancedb::expr::{col, lit};
    use serde::{Deserialize, Serialize};
    use tempfile::TempDir;

    use super::*;
    use crate::store::locks::Locks;
    use crate::store::tables::column::{text, vector};

    const DIMENSION: usize = 16;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Row {
        owner: String,
        said: String,
        meant: Option<Vec<f32>>,
    }

    impl Record for Row {
        const NAME: &'static str = "rows";
        const KEY: &'static str = "said";

        fn key(&self) -> &str {
            &self.said
        }

        fn columns(dimension: usize) -> Vec<Field> {
            vec![text("owner"), text("said"), vector("meant", dimension)]
        }
    }

    async fn open(folder: &TempDir) -> Table<Row> {
        let place = folder.path().join("tables").display().to_string();
        let connection: Connection = lancedb::connect(&place).execute().await.unwrap();
        let locks = Locks::new(folder.path().join("tables."), Arc::new(|_| {}));
        Table::open(&connection, DIMENSION, &locks).await.unwrap()
    }

    /// Returns rows with random vectors, of which every hundredth is a rare owner's.
    fn rows(count: usize) -> Vec<Row> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut row = |at: usize| Row {
            owner: if at.is_multiple_of(100) {
                "rare"
            } else {
                "busy"
            }
            .to_owned(),
            said: format!("word {at}"),
            meant: Some((0..DIMENSION).map(|_| random.f32() - 0.5).collect()),
        };
        (0..count).map(&mut row).collect()
    }

    // Finding M17.
    #[tokio::test]
    async fn a_narrow_filter_finds_all_its_rows_whatever_part_of_the_index_they_are_in() {
        let folder = tempfile::tempdir().unwrap();
        let table = open(&folder).await;
        table.add(&rows(4_000)).await.unwrap();
        let vectors = IvfRqIndexBuilder::default().distance_type(DistanceType::Cosine);
        // As many as some 400,000 rows have.
        let parts = Index::IvfRq(vectors.num_partitions(96));
        let made = table.inner.create_index(&["meant"], parts).execute();
        made.await.unwrap();
        let rare = col("owner").eq(lit("rare"));
        for (limit, all) in [(40, 40), (60, 40), (20, 20)] {
            let near = table.nearest(
                "meant",
                &[0.25; DIMENSION],
                Some(rare.clone()),
                &["owner"],
                limit,
            );
            assert_eq!(near.await.unwrap().len(), all);
        }
    }

    #[tokio::test]
    async fn an_index_of_vectors_that_was_made_otherwise_is_made_anew_once() {
        let folder = tempfile::tempdir().unwrap();
        let table = open(&folder).await;
        table.add(&rows(MANY_VECTORS)).await.unwrap();
        let otherwise = vectors().num_bits(BITS + 1);
        let making = table
            .inner
            .create_index(&["meant"], Index::IvfRq(otherwise))
            .execute();
        making.await.unwrap();
        let is_current = async || is_current(&table.inner.list_indices().await.unwrap()[0]);
        assert!(!is_current().await);
        let columns = [("meant", Kind::Meaning)];
        maintain(&table, &columns).await.unwrap();
        assert!(is_current().await);
        // One that has taken up new rows is as it was made.
        table.add(&rows(MANY_NEW)).await.unwrap();
        maintain(&table, &columns).await.unwrap();
        assert!(is_current().await);
        let version = table.inner.version().await.unwrap();
        maintain(&table, &columns).await.unwrap();
        assert_eq!(table.inner.version().await.unwrap(), version);
    }

    // Finding M18.
    #[tokio::test]
    async fn what_goes_wrong_elsewhere_leaves_the_full_text_index() {
        let folder = tempfile::tempdir().unwrap();
        let columns = [("owner", Kind::Few), ("said", Kind::Words)];
        let table = open(&folder).await;
        table.add(&rows(1_100)).await.unwrap();
        maintain(&table, &columns).await.unwrap();
        let files = || -> HashSet<PathBuf> {
            let files = fs::read_dir(folder.path().join("tables/rows.lance/data")).unwrap();
            files.map(|file| file.unwrap().path()).collect()
        };
        let before = files();
        table.add(&rows(10)).await.unwrap();
        let new = files().difference(&before).next().unwrap().clone();
        // A disk that cannot be read for a while.
        fs::rename(&new, folder.path().join("away")).unwrap();
        maintain(&table, &columns).await.unwrap_err();
        let left = table.inner.list_indices().await.unwrap();
        assert!(
            left.iter().any(|index| index.columns == ["said"]),
            "{left:?}"
        );
    }

    // Finding M18.
    #[test]
    fn only_an_index_that_does_not_fit_together_is_broken() {
        let lance = |source| lancedb::Error::Lance { source };
        assert!(is_broken(&lance(Error::index("a posting list ends early"))));
        assert!(is_broken(&lance(Error::internal("no such token"))));
        assert!(!is_broken(&lance(Error::io("no space left on device"))));
        let conflict = Error::retryable_commit_conflict_source(1, "another writer".into());
        assert!(!is_broken(&lance(conflict)));
        let message = "the task was cancelled".to_owned();
        assert!(!is_broken(&lancedb::Error::Runtime { message }));
    }
}
