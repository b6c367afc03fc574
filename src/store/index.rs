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
/// From so many rows on, vectors want an index; looking through fewer takes less than 50 ms.
const MANY_VECTORS: usize = 50_000;

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
    let update = OptimizeAction::Index(OptimizeOptions::default());
    let Err(error) = table.optimize(update).await else {
        return Ok(());
    };
    // Another writer was quicker: the next round does it.
    if format!("{error:?}").contains("Conflict") {
        return Err(error.into());
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
