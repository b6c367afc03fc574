//! Indices: made when a table has grown enough, and brought up to date in the background. New rows are found at once all the same:
//! what no index covers is looked through.

use anyhow::{Context, Result};
use lancedb::DistanceType;
use lancedb::index::Index;
use lancedb::index::scalar::{BTreeIndexBuilder, BitmapIndexBuilder, FtsIndexBuilder};
use lancedb::index::vector::IvfRqIndexBuilder;
use lancedb::table::{OptimizeAction, OptimizeOptions};

use super::table::{Record, Table};

/// Smaller tables are looked through faster than an index is opened.
const WORTH_IT: usize = 1_000;
/// From so many rows on, vectors want an index: looking through them takes longer than all else of a search.
const MANY_VECTORS: usize = 10_000;
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
            .any(|index| index.columns.iter().any(|known| known == column));
        // Making one again would build it anew.
        if rows < least || is_known {
            continue;
        }
        let index = match kind {
            Kind::Ordered => Index::BTree(BTreeIndexBuilder::default()),
            Kind::Few => Index::Bitmap(BitmapIndexBuilder::default()),
            Kind::Words => Index::FTS(FtsIndexBuilder::default()),
            Kind::Meaning => {
                let vectors = IvfRqIndexBuilder::default().distance_type(DistanceType::Cosine);
                Index::IvfRq(vectors)
            }
        };
        let made = table.create_index(&[*column], index).execute().await;
        made.with_context(|| format!("cannot index `{column}` of `{}`", R::NAME))?;
    }
    let Err(error) = update(table, columns).await else {
        return Ok(());
    };
    // Another writer was quicker: the next round does it.
    if format!("{error:?}").contains("Conflict") {
        return Err(error);
    }
    // A full-text index that cannot be merged is made anew in the next round; until then the rows are looked through.
    let is_words = |column: &String| columns.contains(&(column.as_str(), Kind::Words));
    for index in table.list_indices().await? {
        if index.columns.iter().any(is_words) {
            table.drop_index(&index.name).await?;
        }
    }
    Ok(())
}

/// Brings the indices up to date. Those of vectors grow by a part of their own with each update, and each part costs a search as much
/// as all the others: they are updated when much is new, and then put together.
async fn update(table: &lancedb::Table, columns: &[(&str, Kind)]) -> Result<()> {
    let is_meaning = |column: &String| columns.contains(&(column.as_str(), Kind::Meaning));
    let mut others = Vec::new();
    for index in table.list_indices().await? {
        if !index.columns.iter().any(is_meaning) {
            others.push(index.name);
            continue;
        }
        let Some(covers) = table.index_stats(&index.name).await? else {
            continue;
        };
        let parts = covers.num_indices.unwrap_or(1);
        let new = covers.num_unindexed_rows;
        if parts > 1 || new >= MANY_NEW.max(covers.num_indexed_rows / 100) {
            let whole = OptimizeOptions::merge(usize::try_from(parts)?.max(1));
            let whole = whole.with_partition_rebalancing();
            let names = whole.index_names(vec![index.name]);
            table.optimize(OptimizeAction::Index(names)).await?;
        }
    }
    if !others.is_empty() {
        let others = OptimizeOptions::default().index_names(others);
        table.optimize(OptimizeAction::Index(others)).await?;
    }
    Ok(())
}
