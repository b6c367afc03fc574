//! Deletion that is real: what is forgotten is in no file of the store any more, whether data, old version, index or journal.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use lancedb::expr::{col, contains, lit};
use lancedb::table::{CompactionOptions, Duration, OptimizeAction};
use serde::Deserialize;
use serde_json::Value;

use crate::conversation::title;
use crate::store::open::Store;
use crate::store::tables::context::rebase;
use crate::store::tables::{Filter, Record, Table, among};
use crate::store::writing::journal;

/// What stands in the place of what was forgotten, where others quote it.
const FORGOTTEN: &str = "[forgotten]";
/// Shorter texts are replaced only where they stand alone: `yes` is no secret.
const TELLING: usize = 12;

#[derive(Deserialize)]
struct Recalling {
    session_id: String,
    metadata: String,
}

/// Holds the texts that are to disappear.
struct Texts(Vec<String>);

impl Texts {
    fn new(texts: impl Iterator<Item = String>) -> Texts {
        let texts = texts.map(|text| text.trim().to_owned());
        Texts(texts.filter(|text| !text.is_empty()).collect())
    }

    /// Replaces the texts in a text. Returns whether any was there.
    fn scrub(&self, text: &mut String) -> bool {
        let mut found = false;
        for forgotten in &self.0 {
            if text.trim() == forgotten {
                FORGOTTEN.clone_into(text);
                found = true;
            } else if forgotten.len() >= TELLING && text.contains(forgotten.as_str()) {
                *text = text.replace(forgotten.as_str(), FORGOTTEN);
                found = true;
            }
        }
        found
    }

    fn scrub_value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.scrub(text),
            Value::Array(values) => self.scrub_all(values.iter_mut()),
            Value::Object(values) => self.scrub_all(values.values_mut()),
            _ => false,
        }
    }

    fn scrub_all<'v>(&self, values: impl Iterator<Item = &'v mut Value>) -> bool {
        let mut found = false;
        for value in values {
            found |= self.scrub_value(value);
        }
        found
    }

    /// Replaces the texts in JSON text, which stays as it is where none is there.
    pub fn scrub_json(&self, text: &mut String) -> bool {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return self.scrub(text);
        };
        let found = self.scrub_value(&mut value);
        if found {
            *text = value.to_string();
        }
        found
    }
}

impl Store {
    /// Erases the interactions that a filter lets through, and returns how many, with all that belongs to them: cycles, passages, vectors, and sessions that are empty then.
    ///
    /// Other processes wait meanwhile. What other turns quoted of them, as later requests of the same conversation do, is replaced
    /// by a mark. What lies below the files, such as snapshots of the disk, is out of reach.
    pub async fn erase(&self, filter: &Filter) -> Result<usize> {
        let these = filter
            .expr()
            .context("nothing is erased without a condition")?;
        let mut upkeep = self.lock_upkeep().await?;
        let closed = self.gate.close().await?;
        let erased = self.interactions.whole(these).await?;
        if erased.is_empty() {
            return Ok(0);
        }
        // Requests that running chats have sent are not what is stored any more.
        self.gate.count()?;
        let ids: HashSet<String> = erased
            .iter()
            .map(|turn| turn.interaction_id.clone())
            .collect();
        let texts = Texts::new(
            erased
                .iter()
                .flat_map(|turn| [turn.query.clone(), turn.response.clone()]),
        );
        let sessions: BTreeSet<String> =
            erased.iter().map(|turn| turn.session_id.clone()).collect();
        self.rewrite(&sessions, &ids, &texts).await?;
        let list: Vec<String> = ids.iter().cloned().collect();
        for some in list.chunks(500) {
            let these = among(some);
            self.passages.delete(&these).await?;
            self.react_cycles.delete(&these).await?;
            self.interactions.delete(&these).await?;
        }
        for session in &sessions {
            let this = col("session_id").eq(lit(session.as_str()));
            if self.interactions.count(Some(this.clone())).await? == 0 {
                self.sessions.delete(&this).await?;
            }
        }
        purge(&self.passages).await?;
        purge(&self.react_cycles).await?;
        purge(&self.interactions).await?;
        purge(&self.sessions).await?;
        // Makes the indices again.
        self.tidy_up(&mut upkeep).await?;
        for table in ["passages", "react_cycles", "interactions", "sessions"] {
            if let Some(folder) = self.folder() {
                remove_leftovers(&folder.join(format!("{table}.lance")))
                    .context("cannot remove what is left of old versions")?;
            }
        }
        self.erase_lines(&ids, &texts)?;
        *self.sampled.lock().await = None;
        self.sync(None).await?;
        drop(closed);
        Ok(ids.len())
    }

    /// Takes what is forgotten out of what the other turns of its sessions, and those that recalled it, have sent and seen.
    async fn rewrite(
        &self,
        sessions: &BTreeSet<String>,
        ids: &HashSet<String>,
        texts: &Texts,
    ) -> Result<()> {
        let mut sessions = sessions.clone();
        // Who recalled or searched them names their ids. One reading finds them all, however many there are.
        let names = |text: &str| {
            text.split(|c: char| !c.is_ascii_hexdigit() && c != '-')
                .any(|word| ids.contains(word))
        };
        let recalled = contains(col("metadata"), lit("recalled"));
        let turns: Vec<Recalling> = self
            .interactions
            .columns(Some(recalled), &["session_id", "metadata"])
            .await?;
        let turns = turns.into_iter().filter(|turn| names(&turn.metadata));
        sessions.extend(turns.map(|turn| turn.session_id));
        let searched = contains(col("scratchpad"), lit("interaction_id"));
        let mut cycles = self.react_cycles.whole(searched).await?;
        cycles.retain_mut(|cycle| {
            !ids.contains(&cycle.interaction_id)
                && names(&cycle.scratchpad)
                && texts.scrub_json(&mut cycle.scratchpad)
        });
        if !cycles.is_empty() {
            sessions.extend(cycles.iter().map(|cycle| cycle.session_id.clone()));
            self.react_cycles.replace("react_id", &cycles).await?;
        }
        for id in &sessions {
            let this = col("session_id").eq(lit(id.as_str()));
            let mut turns = self.interactions.whole(this.clone()).await?;
            turns.sort_by_key(|turn| turn.timestamp);
            let changed = rebase(&mut turns, ids, |body| texts.scrub_json(body));
            let changed: Vec<_> = changed.into_iter().map(|at| turns[at].clone()).collect();
            if !changed.is_empty() {
                self.interactions
                    .replace("interaction_id", &changed)
                    .await?;
            }
            let first = turns
                .iter()
                .find(|turn| !ids.contains(&turn.interaction_id));
            let mut session = self.sessions.whole(this).await?;
            for row in &mut session {
                let gone = row.title.as_ref().is_some_and(|old| {
                    let old = old.trim_end_matches('…');
                    texts.0.iter().any(|text| text.starts_with(old))
                });
                if let (true, Some(first)) = (gone, first) {
                    row.title = Some(title(&first.query));
                }
            }
            self.sessions.replace("session_id", &session).await?;
        }
        Ok(())
    }

    /// Takes the lines with what is forgotten out of dead journals and the line history.
    fn erase_lines(&self, ids: &HashSet<String>, texts: &Texts) -> Result<()> {
        for path in journal::files(&self.journals())? {
            remove_lines(&path, |line| {
                ids.iter().any(|id| line.contains(id.as_str()))
            })?;
        }
        let quoted = |line: &str| {
            // rustyline writes a line break as `\n`.
            let mut line = line.replace("\\n", "\n");
            texts.scrub(&mut line)
        };
        remove_lines(&self.options.home.join("history.txt"), quoted)
    }
}

/// Writes a table anew without its deleted rows, drops its indices, which hold values of theirs, and removes every old version.
async fn purge<R: Record>(table: &Table<R>) -> Result<()> {
    let table = &table.inner;
    table.checkout_latest().await?;
    let options = CompactionOptions {
        materialize_deletions_threshold: 0.0,
        num_threads: Some(1),
        ..CompactionOptions::default()
    };
    let compact = OptimizeAction::Compact {
        options,
        remap_options: None,
    };
    table.optimize(compact).await?;
    for index in table.list_indices().await? {
        table.drop_index(&index.name).await?;
    }
    let prune = OptimizeAction::Prune {
        older_than: Some(Duration::zero()),
        delete_unverified: Some(true),
        error_if_tagged_old_versions: Some(true),
    };
    table.optimize(prune).await?;
    Ok(())
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

/// Removes lines from a file that nobody has locked; a new file takes its place.
fn remove_lines(path: &Path, mut gone: impl FnMut(&str) -> bool) -> Result<()> {
    let context = || format!("cannot erase lines of `{}`", path.display());
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        bytes => bytes.with_context(context)?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let kept: Vec<&str> = text.split_inclusive('\n').collect();
    let all = kept.len();
    let kept: Vec<&str> = kept
        .into_iter()
        .filter(|line| !gone(line.trim_end()))
        .collect();
    if kept.len() < all {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
        new.write_all(kept.concat().as_bytes())
            .with_context(context)?;
        new.as_file().sync_all().with_context(context)?;
        new.persist(path).with_context(context)?;
    }
    Ok(())
}
