//! Keeps the tables quick: each turn adds a small file to several of them, and every file costs each search a little.

use std::sync::atomic::Ordering;

use anyhow::Result;
use lancedb::table::{CompactionOptions, Duration};

use super::compaction::{self, Kept};
use crate::store::locks::Upkeep;
use crate::store::open::Store;
use crate::store::tables::index::{self, Kind};
use crate::store::tables::{Record, Table};

/// How many turns are recorded between two rounds.
const EVERY: u64 = 16;
/// How many rows the files get that small ones are put together to. Most rounds only rewrite files of the first size; when there are
/// too many of one size, they are put together to the next.
const SIZES: [usize; 3] = [1_000, 20_000, 400_000];
/// What is kept of old versions: those that another process may still read, for longer than any query may take, and one to go back to.
const KEPT: Kept = Kept {
    older_than: Duration::seconds(60),
    versions: 2,
    unverified: true,
};

impl Store {
    /// Returns whether it is time for [`Store::maintain`].
    pub async fn is_maintenance_due(&self) -> bool {
        if self.is_behind.load(Ordering::SeqCst) {
            return true;
        }
        // The number of the version grows by one with each turn, whichever process records it.
        let version = self.interactions.inner.version().await;
        version.is_ok_and(|version| version >= self.locks.tidied() + EVERY)
    }

    /// Brings indices up to date, puts small files together and removes old versions. One process does so at a
    /// time.
    pub async fn maintain(&self) -> Result<()> {
        match self.locks.try_upkeep()? {
            Some(mut upkeep) => self.tidy_up(&mut upkeep).await,
            None => Ok(()),
        }
    }

    /// Returns whether this process does a round of upkeep that was cut short before. It should come to its end: what takes longer than
    /// a process lives would never be done.
    pub fn catches_up(&self) -> bool {
        self.catches_up.load(Ordering::SeqCst)
    }

    /// Does after many imports what chats do now and then: upkeep.
    pub async fn settle(&self) -> Result<()> {
        if self.is_maintenance_due().await {
            self.maintain().await?;
        }
        Ok(())
    }

    /// Does the work; who calls it holds the lock.
    pub(in crate::store) async fn tidy_up(&self, upkeep: &mut Upkeep) -> Result<()> {
        let cut_short = upkeep.begin()?;
        self.catches_up.store(cut_short, Ordering::SeqCst);
        // What it had written belongs to no version. While nobody is inside, nobody is about to make files part of one, either.
        let alone = match cut_short {
            true => self.locks.try_close(upkeep)?,
            false => None,
        };
        if alone.is_some() {
            self.sweep().await?;
        }
        drop(alone);
        // What of it cannot be done now keeps nothing else from being done.
        let brought_up = self.bring_up().await;
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
        self.compact(&self.passages).await?;
        let cycles = [
            ("interaction_id", Kind::Ordered),
            ("timestamp", Kind::Ordered),
            ("user_id", Kind::Few),
            ("scratchpad_embedding", Kind::Meaning),
        ];
        index::maintain(&self.react_cycles, &cycles).await?;
        self.compact(&self.react_cycles).await?;
        let interactions = [
            ("interaction_id", Kind::Ordered),
            ("session_id", Kind::Ordered),
            ("timestamp", Kind::Ordered),
            ("user_id", Kind::Few),
            ("context_embedding", Kind::Meaning),
        ];
        index::maintain(&self.interactions, &interactions).await?;
        self.compact(&self.interactions).await?;
        index::maintain(&self.sessions, &[("session_id", Kind::Ordered)]).await?;
        self.compact(&self.sessions).await?;
        self.compact(&self.users).await?;
        let version = self.interactions.inner.version().await?;
        upkeep.remember(version)?;
        self.catches_up.store(false, Ordering::SeqCst);
        brought_up?;
        self.note_up_to_date().await
    }

    /// Removes old versions, and the files that belong to none.
    async fn sweep(&self) -> Result<()> {
        let kept = Kept {
            unverified: false,
            ..KEPT
        };
        compaction::prune(self, &self.passages, kept).await?;
        compaction::prune(self, &self.react_cycles, kept).await?;
        compaction::prune(self, &self.interactions, kept).await?;
        compaction::prune(self, &self.sessions, kept).await?;
        compaction::prune(self, &self.users, kept).await
    }

    /// Puts small files together, and removes old versions once the new ones are on the disk.
    async fn compact<R: Record>(&self, table: &Table<R>) -> Result<()> {
        let sizes = SIZES.map(|size| CompactionOptions {
            target_rows_per_fragment: size,
            num_threads: Some(1),
            ..CompactionOptions::default()
        });
        compaction::run(self, table, sizes, KEPT).await
    }
}
