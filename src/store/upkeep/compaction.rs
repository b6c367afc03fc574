//! Puts the files of a table together and removes old versions, in the one order in which a power cut costs nothing: the new files are
//! on the disk before an old one goes.

use std::cmp::Reverse;

use anyhow::Result;
use chrono::{DateTime, Utc};
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
    /// So many are, however old: a power cut may tear the latest one.
    pub versions: usize,
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
    for options in sizes {
        let compact = OptimizeAction::Compact {
            options,
            remap_options: None,
        };
        table.inner.optimize(compact).await?;
        if table.inner.stats().await?.fragment_stats.num_fragments <= TOO_MANY {
            break;
        }
    }
    prune(store, table, kept).await
}

/// Removes old versions of a table, and the files that only these have, once what is kept is on the disk.
pub async fn prune<R: Record>(store: &Store, table: &Table<R>, kept: Kept) -> Result<()> {
    let table = &table.inner;
    // What others commit meanwhile may not be on the disk, so it does not count.
    let known = times(table).await?;
    store.sync(None).await?;
    let prune = OptimizeAction::Prune {
        older_than: Some(older_than(&known, Utc::now(), kept)),
        delete_unverified: (!kept.unverified).then_some(true),
        error_if_tagged_old_versions: (!kept.unverified).then_some(true),
    };
    table.optimize(prune).await?;
    Ok(())
}

/// Returns when the versions of a table were made, the latest first.
async fn times(table: &lancedb::Table) -> Result<Vec<DateTime<Utc>>> {
    let mut versions = table.list_versions().await?;
    versions.sort_by_key(|version| Reverse(version.version));
    Ok(versions
        .into_iter()
        .map(|version| version.timestamp)
        .collect())
}

/// Returns how old versions are that go, so that enough stay.
fn older_than(known: &[DateTime<Utc>], now: DateTime<Utc>, kept: Kept) -> Duration {
    // LanceDB looks at the clock itself, a moment later.
    const MOMENT: Duration = Duration::minutes(1);
    let needed = known.iter().take(kept.versions).min();
    let age = needed.map(|time| now - *time + MOMENT);
    age.unwrap_or_default().max(kept.older_than)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding U1.
    #[test]
    fn so_many_versions_stay_however_old_they_are() {
        let now = Utc::now();
        let known = |ages: &[i64]| -> Vec<DateTime<Utc>> {
            ages.iter()
                .map(|age| now - Duration::minutes(*age))
                .collect()
        };
        let kept = Kept {
            older_than: Duration::minutes(5),
            versions: 2,
            unverified: true,
        };
        let check = |ages: &[i64], minutes| {
            let age = older_than(&known(ages), now, kept);
            assert_eq!(age, Duration::minutes(minutes), "{ages:?}");
        };
        check(&[1, 2, 3], 5);
        check(&[1, 60, 61], 61);
        check(&[60], 61);
        check(&[], 5);
        // The clock was set back between them.
        check(&[1, -2_880, 60], 5);
        check(&[-2_880, 90, 60], 91);
    }
}
