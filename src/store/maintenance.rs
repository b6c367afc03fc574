//! Keeps the tables quick: each turn adds a small file to several of them, and every file costs each search a little.

use std::fs::TryLockError;

use anyhow::{Context, Result};
use lancedb::table::{CompactionOptions, Duration, OptimizeAction};

use super::Store;
use super::index::{self, Kind};
use super::table::{Record, Table};

/// How many versions a table gets between two rounds.
const EVERY: u64 = 50;

impl Store {
    /// Returns whether it is time for [`Store::maintain`].
    pub async fn is_maintenance_due(&self) -> bool {
        // Only the number of the version is asked: it grows by one with each turn, whichever process records it.
        self.interactions
            .inner
            .version()
            .await
            .is_ok_and(|version| version % EVERY == 0)
    }

    /// Brings indices up to date, puts small files together and removes versions of more than an hour ago. One process does so at a
    /// time.
    pub async fn maintain(&self) -> Result<()> {
        let path = self.options.beside("maintenance.lock");
        let lock = super::lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
            }
        }
        // First the indices: what they cover is put together with what they do not only then.
        index::maintain(
            &self.passages,
            &[
                ("interaction_id", Kind::Ordered),
                ("timestamp", Kind::Ordered),
                ("user_id", Kind::Few),
                ("source", Kind::Few),
                ("text", Kind::Words),
                ("embedding", Kind::Meaning),
            ],
        )
        .await?;
        compact(&self.passages).await?;
        let cycles = [
            ("interaction_id", Kind::Ordered),
            ("timestamp", Kind::Ordered),
            ("user_id", Kind::Few),
            ("scratchpad_embedding", Kind::Meaning),
        ];
        index::maintain(&self.react_cycles, &cycles).await?;
        compact(&self.react_cycles).await?;
        let interactions = [
            ("interaction_id", Kind::Ordered),
            ("session_id", Kind::Ordered),
            ("timestamp", Kind::Ordered),
            ("user_id", Kind::Few),
            ("context_embedding", Kind::Meaning),
        ];
        index::maintain(&self.interactions, &interactions).await?;
        compact(&self.interactions).await?;
        index::maintain(&self.sessions, &[("session_id", Kind::Ordered)]).await?;
        compact(&self.sessions).await
    }
}

async fn compact<R: Record>(table: &Table<R>) -> Result<()> {
    // The default target would rewrite the whole table each time.
    let options = CompactionOptions {
        target_rows_per_fragment: 50_000,
        num_threads: Some(1),
        ..CompactionOptions::default()
    };
    table
        .inner
        .optimize(OptimizeAction::Compact {
            options,
            remap_options: None,
        })
        .await?;
    // Another process may still read a version that is younger.
    let prune = OptimizeAction::Prune {
        older_than: Some(Duration::hours(1)),
        delete_unverified: None,
        error_if_tagged_old_versions: None,
    };
    table.inner.optimize(prune).await?;
    Ok(())
}
