//! The write-ahead journal: a turn is in a synced file before its request leaves, and until LanceDB has it.
//!
//! One file per session and process, JSON Lines, locked by the process that writes it; the file of a dead process is unlocked.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::Turn;
use super::coming::{Came, Coming, Partial, Sent};
use crate::conversation::Step;
use crate::store::words::new_id;

/// Is one line of a journal. A turn is written when it begins and again when it has ended; the later line counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    Began(Turn),
    /// What has come of a turn that runs.
    Came(Came),
    /// A request of a turn that runs, written before it leaves.
    Sent(Sent),
    Ended(Turn),
    /// LanceDB has the turn of this id.
    Stored(String),
}

/// Writes the turns of one session.
pub struct Journal {
    file: File,
    path: PathBuf,
    /// The turns that LanceDB does not have.
    pending: HashSet<String>,
    coming: Coming,
}

impl Journal {
    /// Opens a file for the session and locks it.
    pub fn open(folder: &Path, session_id: &str) -> Result<Journal> {
        // It names a file in this folder, and no other.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if session_id.is_empty() || !session_id.chars().all(is_plain) {
            bail!("`{}` is no id of a session", session_id.escape_debug());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        // Another shell may be in the same session.
        for name in [
            session_id.to_owned(),
            format!("{session_id}-{}", std::process::id()),
            new_id(),
        ] {
            let path = folder.join(name).with_extension("jsonl");
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .read(true)
                .mode(0o600)
                .open(&path);
            let file =
                file.with_context(|| format!("cannot open the journal `{}`", path.display()))?;
            // One that is not empty holds the turns of a dead process, which are to be recovered and not to be written over.
            if is_ours(&file, &path) && file.metadata()?.len() == 0 {
                // Else a power cut could take the name away from what is synced into the file.
                File::open(folder)?.sync_all()?;
                return Ok(Journal {
                    file,
                    path,
                    pending: HashSet::new(),
                    coming: Coming::default(),
                });
            }
        }
        bail!("cannot lock a journal for session `{session_id}`")
    }

    /// Appends what is new of a turn that runs.
    pub fn note(&mut self, id: &str, partial: Partial) -> Result<()> {
        let line = Line::Came(self.coming.came(id, partial));
        self.write(&line)
    }

    /// Appends a request of a turn that runs, before it leaves.
    pub fn sends(&mut self, id: &str, body: String) -> Result<()> {
        self.write(&Line::Sent(self.coming.sends(id, &body)))?;
        self.coming.sent(id, body);
        Ok(())
    }

    /// Appends a line and waits until it is on disk. When LanceDB has every turn of the journal, the journal is emptied.
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let whole = self.file.metadata().map(|metadata| metadata.len());
        let write = whole.and_then(|whole| {
            let written = self
                .file
                .write_all(text.as_bytes())
                .and_then(|()| self.file.sync_data());
            if written.is_err() {
                // Half a line would spoil the next one.
                self.file.set_len(whole)?;
            }
            written
        });
        write.with_context(|| format!("cannot write to the journal `{}`", self.path.display()))?;
        match line {
            Line::Began(turn) | Line::Ended(turn) => {
                self.pending.insert(turn.interaction.interaction_id.clone());
                self.coming.begin();
            }
            Line::Came(_) | Line::Sent(_) => {}
            Line::Stored(id) => {
                self.pending.remove(id);
                self.coming.stored(id);
                if self.pending.is_empty() {
                    self.file.set_len(0).with_context(|| {
                        format!("cannot empty the journal `{}`", self.path.display())
                    })?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // An empty journal holds nothing to recover; one that is not empty is recovered by the next process.
        if self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.len() == 0)
        {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Holds the journal of a process that died, locked.
#[derive(Debug)]
pub struct Orphan {
    _file: File,
    path: PathBuf,
    /// The turns that LanceDB may not have, oldest first.
    pub turns: Vec<Turn>,
    /// How many lines could not be read.
    pub unread: usize,
}

impl Orphan {
    /// Opens a journal and locks it; `None` when it belongs to a process that lives.
    pub fn open(path: PathBuf) -> Result<Option<Orphan>> {
        let context = || format!("cannot read the journal `{}`", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            // Another process has just recovered it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(context),
        };
        if !is_ours(&file, &path) {
            return Ok(None);
        }
        let (turns, unread) = read(&file).with_context(context)?;
        Ok(Some(Orphan {
            _file: file,
            path,
            turns,
            unread,
        }))
    }

    /// Removes the journal: LanceDB has its turns. One with unreadable lines is set aside instead; returns what is to be said of it.
    pub fn finish(self) -> Result<Option<Error>> {
        let context = || format!("cannot put away the journal `{}`", self.path.display());
        if self.unread == 0 {
            fs::remove_file(&self.path).with_context(context)?;
            return Ok(None);
        }
        // The same session may have left one before.
        let aside = self.path.with_extension(format!("{}.unreadable", new_id()));
        fs::rename(&self.path, &aside).with_context(context)?;
        let aside = aside.display();
        Ok(Some(anyhow!(
            "a journal has lines that cannot be read; it is kept as `{aside}`"
        )))
    }
}

/// Locks a file that has just been opened. Between opening and locking, another process may have taken it for a dead one's and
/// removed it; then it is not ours.
fn is_ours(file: &File, path: &Path) -> bool {
    file.try_lock().is_ok()
        && fs::metadata(path)
            .is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino()))
}

/// Lists the journals that are there, those of living processes among them.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut journals = files(folder)?;
    journals.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    Ok(journals)
}

/// Lists the journals and those that were set aside.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", folder.display()));
        }
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths.collect()
}

fn read(file: impl Read) -> Result<(Vec<Turn>, usize)> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut unread = 0;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut thought = String::new();
    let mut sent = None;
    while reader.read_until(b'\n', &mut line)? > 0 {
        match serde_json::from_slice(&line) {
            Ok(Line::Began(turn)) => {
                turns.push(turn);
                thought.clear();
            }
            Ok(Line::Came(came)) => {
                unread += usize::from(!came.add_to(turns.last_mut(), &mut thought));
            }
            Ok(Line::Sent(request)) => {
                unread += usize::from(!request.add_to(turns.last_mut(), &mut sent));
            }
            Ok(Line::Ended(mut turn)) => {
                thought.clear();
                let id = &turn.interaction.interaction_id;
                let begun = turns
                    .iter()
                    .position(|begun| begun.interaction.interaction_id == *id);
                turn.requests = begun.map_or_else(Vec::new, |at| turns.remove(at).requests);
                turns.push(turn);
            }
            Ok(Line::Stored(id)) => turns.retain(|turn| turn.interaction.interaction_id != id),
            Err(_) => unread += 1,
        }
        line.clear();
    }
    // What was thought before an answer is a step, as in a turn that has ended.
    if let Some(turn) = turns.last_mut().filter(|_| !thought.trim().is_empty()) {
        turn.steps.push(Step {
            thought: thought.trim().to_owned(),
            success: true,
            started_at: turn.interaction.timestamp,
            ..Step::default()
        });
    }
    Ok((turns, unread))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> Turn {
        let now = crate::store::words::now();
        Turn {
            interaction: crate::store::tables::Interaction::begin("s", "kept", now),
            ..Turn::default()
        }
    }

    #[test]
    fn a_journal_that_waits_for_recovery_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let turn = turn();
        let write = |turn: &Turn, ends: bool| {
            let mut journal = Journal::open(folder.path(), "s").unwrap();
            journal.write(&Line::Began(turn.clone())).unwrap();
            if ends {
                let id = turn.interaction.interaction_id.clone();
                journal.write(&Line::Stored(id)).unwrap();
            }
        };
        write(&turn, false);
        let mut later = turn.clone();
        later.interaction.interaction_id = "later".into();
        write(&later, true);
        let left = list(folder.path()).unwrap();
        assert_eq!(left.len(), 1);
        let orphan = Orphan::open(left[0].clone()).unwrap().unwrap();
        assert_eq!(orphan.turns[0].interaction.query, "kept");
        assert!(
            Orphan::open(left[0].clone()).unwrap().is_none(),
            "it is locked"
        );
    }

    // Finding L5.
    #[test]
    fn a_journal_lies_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        for id in ["/tmp/x", "../x", "a/b", ".", "", "a\0b"] {
            assert!(Journal::open(folder.path(), id).is_err(), "{id:?}");
        }
        assert!(Journal::open(folder.path(), &new_id()).is_ok());
    }

    #[test]
    fn spoilt_journals_lose_only_what_is_spoilt() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), "s").unwrap();
        let turn = turn();
        let id = turn.interaction.interaction_id.clone();
        journal.write(&Line::Began(turn.clone())).unwrap();
        for (said, thought) in [("half an", ""), ("half an answer, naïve", "hm")] {
            let (said, thought) = (said.to_owned(), thought.to_owned());
            let partial = Partial {
                said,
                thought,
                steps: Vec::new(),
            };
            journal.note(&id, partial).unwrap();
        }
        let text = fs::read_to_string(list(folder.path()).unwrap().remove(0)).unwrap();
        let (turns, unread) = read(text.as_bytes()).unwrap();
        assert_eq!(
            (turns[0].interaction.response.as_str(), unread),
            ("half an answer, naïve", 0)
        );
        assert_eq!(turns[0].steps[0].thought, "hm");
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        crate::mutate::each(&lines, |spoilt| {
            let journal = format!("{}{spoilt}\n{}", lines[0], lines[0]);
            let (turns, _) = read(journal.as_bytes()).unwrap();
            assert!(
                turns.iter().any(|turn| turn.interaction.query == "kept"),
                "{spoilt:?}"
            );
        });
    }
}
