//! Removal: for good, so that what is forgotten is in no file of the store any more, whether data, old version, index or journal; or
//! as ordinary rows, when they have got too old.
//!
//! What is being removed stands in a file beside the tables before the first row goes, and until the last trace is gone: whoever opens
//! the store goes on with what was cut short. All of it can be done again and again, so each step is simply done once more.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use lancedb::table::{CompactionOptions, Duration};
use serde::{Deserialize, Serialize};

use super::compaction::{self, Kept};
use super::traces::Removed;
use crate::store::disk::{replace_file, sync_name};
use crate::store::locks::Upkeep;
use crate::store::open::Store;
use crate::store::tables::{Filter, Record, Session, Table, among, one_of, registry};

/// How many rows are removed in one commit.
const BATCH: usize = 1_000;

/// Is what is being removed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Removal {
    pub ids: Vec<String>,
    /// The sessions that they belong to.
    pub sessions: Vec<String>,
    /// Whether nothing may be left of them in any file; else old versions of the tables go in their time.
    pub for_good: bool,
}

/// Says how far a removal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removing {
    /// The step that is being done, from 1.
    pub step: usize,
    pub steps: usize,
}

/// What a removal does, one after the other: it names traces, takes them out, removes rows, and writes the tables anew.
const STEPS: usize = 4;

impl Store {
    /// Erases the interactions that a filter lets through, and returns how many, with all that belongs to them: cycles, passages,
    /// vectors, and sessions that are empty then.
    ///
    /// Other processes wait meanwhile. What other turns quoted of them is replaced by a mark. What lies below the files, such as
    /// snapshots of the disk, is out of reach.
    pub async fn erase(&self, filter: &Filter) -> Result<usize> {
        // What dead shells have left may quote them. Most of it is stored before everyone has to wait.
        drop(self.recover().await?);
        let mut upkeep = self.locks.upkeep().await?;
        let closed = self.locks.close(&upkeep).await?;
        let inside = self.inside(&closed);
        drop(inside.recover().await?);
        let Some(removal) = inside.removal(filter, true).await? else {
            return Ok(0);
        };
        inside.remove(&removal).await?;
        drop(closed);
        self.tidy_up_after(&mut upkeep).await;
        Ok(removal.ids.len())
    }

    /// Removes the interactions that a filter lets through because they are old, and returns how many. They are gone from every view
    /// at once, and from the files when upkeep has put these together and old versions go.
    pub async fn expire(&self, filter: &Filter) -> Result<usize> {
        let _upkeep = self.locks.upkeep().await?;
        let _pass = self.locks.enter().await?;
        let Some(removal) = self.removal(filter, false).await? else {
            return Ok(0);
        };
        self.remove(&removal).await?;
        Ok(removal.ids.len())
    }

    /// Returns how far a removal is, if this process is removing something: it goes on then, whatever else is asked.
    pub fn removing(&self) -> Option<Removing> {
        let step = self.removing.load(Ordering::SeqCst);
        (step > 0).then_some(Removing { step, steps: STEPS })
    }

    /// Goes on with a removal that was cut short. Returns how many interactions it was about.
    pub(super) async fn resume_removal(&self) -> Result<usize> {
        if !self.removal_file().exists() {
            return Ok(0);
        }
        let mut upkeep = self.locks.upkeep().await?;
        let closed = self.locks.close(&upkeep).await?;
        // Whoever was at it may have ended meanwhile.
        let Some(removal) = read(&self.removal_file())? else {
            return Ok(0);
        };
        self.inside(&closed).remove(&removal).await?;
        drop(closed);
        self.tidy_up_after(&mut upkeep).await;
        Ok(removal.ids.len())
    }

    /// Makes the indices again; who looks for something meanwhile goes without. When that fails all is gone nevertheless, and searching
    /// is only slower until upkeep succeeds.
    async fn tidy_up_after(&self, upkeep: &mut Upkeep) {
        if let Err(error) = self.tidy_up(upkeep).await {
            (self.options.notice)(&format!(
                "all of it is gone, but the indices cannot be made again (`allm doctor --fix` does it later): {error}"
            ));
        }
    }

    /// Returns where it says what is being removed.
    pub(super) fn removal_file(&self) -> PathBuf {
        self.options.beside("erasing")
    }

    /// Decides what is removed, and makes that durable.
    async fn removal(&self, filter: &Filter, for_good: bool) -> Result<Option<Removal>> {
        #[derive(Deserialize)]
        struct Gone {
            interaction_id: String,
            session_id: String,
        }
        let these = filter
            .turns()
            .context("nothing is removed without a condition")?;
        let gone: Vec<Gone> = self
            .interactions
            .columns(Some(these), &["interaction_id", "session_id"])
            .await?;
        if gone.is_empty() {
            return Ok(None);
        }
        let sessions: BTreeSet<String> = gone.iter().map(|turn| turn.session_id.clone()).collect();
        let mut removal = Removal {
            ids: gone.into_iter().map(|turn| turn.interaction_id).collect(),
            sessions: sessions.into_iter().collect(),
            for_good,
        };
        let path = self.removal_file();
        // One that failed in this process before, for want of disk space for instance, is done with it.
        if let Some(before) = read(&path)? {
            removal.ids.extend(before.ids);
            removal.sessions.extend(before.sessions);
            removal.for_good |= before.for_good;
        }
        let written = replace_file(&path, &serde_json::to_vec(&removal)?);
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Some(removal))
    }

    /// Does all of a removal; who calls it keeps upkeep away, and everyone where nothing may be left.
    async fn remove(&self, removal: &Removal) -> Result<()> {
        let guard = Step(self);
        guard.is(1);
        // Requests that running chats have sent are not what is stored any more.
        self.locks.count_erasure()?;
        registry::forget(&self.connection, &self.locks, &removal.ids).await?;
        let removed = Removed::new(self, removal).await?;
        guard.is(2);
        removed.take_out().await?;
        if removal.for_good {
            removed.erase_lines()?;
        }
        self.sync(None).await?;
        guard.is(3);
        // The interactions go last, as they come last when a turn is recorded: while there is one, there is what belongs to it.
        for ids in removal.ids.chunks(BATCH) {
            self.passages.delete(&among(ids)).await?;
            self.react_cycles.delete(&among(ids)).await?;
            self.interactions.delete(&among(ids)).await?;
        }
        let empty = self.without_turns(&removal.sessions).await?;
        for ids in empty.chunks(BATCH) {
            let these = one_of(Session::KEY, ids.iter().map(String::as_str));
            self.sessions.delete(&these).await?;
        }
        self.sync(None).await?;
        guard.is(4);
        if removal.for_good {
            self.purge(&self.passages).await?;
            self.purge(&self.react_cycles).await?;
            self.purge(&self.interactions).await?;
            self.purge(&self.sessions).await?;
        }
        *self.sampled.lock().await = None;
        let path = self.removal_file();
        let done = fs::remove_file(&path).and_then(|()| sync_name(&path));
        done.with_context(|| format!("cannot remove `{}`", path.display()))
    }

    /// Returns those of some sessions that have no turn.
    pub(super) async fn without_turns(&self, sessions: &[String]) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct There {
            session_id: String,
        }
        let mut empty: Vec<String> = Vec::new();
        for some in sessions.chunks(BATCH) {
            let these = one_of(Session::KEY, some.iter().map(String::as_str));
            let there: Vec<There> = self
                .interactions
                .columns(Some(these), &["session_id"])
                .await?;
            let there: HashSet<String> = there.into_iter().map(|row| row.session_id).collect();
            empty.extend(some.iter().filter(|id| !there.contains(*id)).cloned());
        }
        Ok(empty)
    }

    /// Writes a table anew without its deleted rows, drops its indices, which hold values of theirs, and removes every old version.
    async fn purge<R: Record>(&self, table: &Table<R>) -> Result<()> {
        table.inner.checkout_latest().await?;
        for index in table.inner.list_indices().await? {
            table.inner.drop_index(&index.name).await?;
        }
        let all = CompactionOptions {
            materialize_deletions_threshold: 0.0,
            num_threads: Some(1),
            ..CompactionOptions::default()
        };
        let kept = Kept {
            older_than: Duration::zero(),
            versions: 0,
            unverified: false,
        };
        compaction::run(self, table, [all], kept).await?;
        match self.folder() {
            Some(folder) => remove_leftovers(&folder.join(format!("{}.lance", R::NAME)))
                .context("cannot remove what is left of old versions"),
            None => Ok(()),
        }
    }
}

/// Says which step of a removal is being done, until it is dropped.
struct Step<'s>(&'s Store);

impl Step<'_> {
    fn is(&self, step: usize) {
        self.0.removing.store(step, Ordering::SeqCst);
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.is(0);
    }
}

/// Reads what is being removed; nothing, where the file is gone.
pub fn read(path: &Path) -> Result<Option<Removal>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text,
    };
    let context = || {
        format!(
            "cannot read `{}`, which says what is being removed",
            path.display()
        )
    };
    let removal = serde_json::from_str(&text.with_context(context)?).with_context(context)?;
    Ok(Some(removal))
}

/// Removes the files that pruning leaves: staged manifests, transactions of old versions, unfinished writes.
fn remove_leftovers(folder: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            remove_leftovers(&path)?;
        } else if name.contains('#') || name.starts_with(".tmp") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
