//! Puts the files of a table together and removes old versions, in the one order in which a power cut costs nothing: the new files are
//! on the disk before an old one goes.

use anyhow::Result;
use lancedb::table::{CompactionOptions, Duration, OptimizeAction};

use crate::store::open::Store;
use crate::store::tables::{Record, Table};

/// With more files than this, those of one size are put together to the next.
const TOO_MANY: usize = 20;

/// Says which old versions are kept.
#[derive(Clone, Copy)]
pub struct Kept {
    /// Versions younger than this are, as another process may still read them.
    pub older_than: Duration,
    /// Whether files that belong to no version are, as another process may be about to make them part of one.
    pub unverified: bool,
}

/// Compacts, syncs and prunes a table; to the next size only where the one before leaves too many files.
pub async fn run<R: Record>(
    store: &Store,
    table: &Table<R>,
    sizes: impl IntoIterator<Item = CompactionOptions>,
    kept: Kept,
) -> Result<()> {
    let table = &table.inner;
    for options in sizes {
        let compact = OptimizeAction::Compact {
            options,
            remap_options: None,
        };
        table.optimize(compact).await?;
        if table.stats().await?.fragment_stats.num_fragments <= TOO_MANY {
            break;
        }
    }
    store.sync(None).await?;
    let prune = OptimizeAction::Prune {
        older_than: Some(kept.older_than),
        delete_unverified: (!kept.unverified).then_some(true),
        error_if_tagged_old_versions: (!kept.unverified).then_some(true),
    };
    table.optimize(prune).await?;
    Ok(())
}
