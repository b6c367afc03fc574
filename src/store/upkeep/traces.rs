//! What other turns have of turns that are removed, and where else there are lines of theirs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use futures::StreamExt;
use lancedb::expr::{col, contains, lit};
use serde::Deserialize;

use super::erase::Removal;
use crate::conversation::title;
use crate::store::disk::replace_file;
use crate::store::open::Store;
use crate::store::tables::context::rebase;
use crate::store::tables::{Interaction, Origin, ReactCycle, Record, Session, among, one_of};
use crate::store::writing::passages::Places;
use crate::store::writing::{Traces, journal};

/// How many rows are read, or written, at once.
const BATCH: usize = 256;
/// So many bytes of a question are enough to know it in a line of commands.
const TELLING: usize = 40;

/// Holds what is removed.
pub struct Removed<'s> {
    store: &'s Store,
    ids: HashSet<String>,
    for_good: bool,
    traces: Traces,
    /// What was asked, and how often.
    asked: HashMap<String, usize>,
    /// What conversations are called after it.
    titles: HashSet<String>,
    /// The sessions of which some turns are left.
    left: Vec<String>,
}

#[derive(Deserialize)]
struct Said {
    query: String,
    response: String,
}

#[derive(Deserialize)]
struct Piece {
    text: String,
}

#[derive(Deserialize)]
struct Place {
    interaction_id: String,
    session_id: String,
}

#[derive(Deserialize)]
struct Recalling {
    interaction_id: String,
    session_id: String,
    metadata: String,
}

impl<'s> Removed<'s> {
    /// Reads what there is to be taken out elsewhere.
    pub async fn new(store: &'s Store, removal: &Removal) -> Result<Removed<'s>> {
        let (mut said, mut pieces) = (Vec::new(), Vec::new());
        // Of rows that go because they are old, nothing is taken out elsewhere.
        let known = if removal.for_good { &*removal.ids } else { &[] };
        for ids in known.chunks(BATCH) {
            let these = || Some(among(ids));
            let some: Vec<Said> = store
                .interactions
                .columns(these(), &["query", "response"])
                .await?;
            said.extend(some.into_iter().map(|said| (said.query, said.response)));
            let some: Vec<Piece> = store.passages.columns(these(), &["text"]).await?;
            pieces.extend(some.into_iter().map(|piece| piece.text));
        }
        let ids: HashSet<String> = removal.ids.iter().cloned().collect();
        let mut left = BTreeSet::new();
        for sessions in removal.sessions.chunks(BATCH) {
            let these = one_of(Session::KEY, sessions.iter().map(String::as_str));
            let places: Vec<Place> = store
                .interactions
                .columns(Some(these), &["interaction_id", "session_id"])
                .await?;
            let others = places
                .into_iter()
                .filter(|place| !ids.contains(&place.interaction_id));
            left.extend(others.map(|place| place.session_id));
        }
        let mut asked: HashMap<String, usize> = HashMap::new();
        for (query, _) in &said {
            *asked.entry(plain(query)).or_default() += 1;
        }
        Ok(Removed {
            store,
            traces: Traces::new(ids.iter().cloned(), said, pieces),
            ids,
            for_good: removal.for_good,
            titles: asked.keys().map(|query| title(query)).collect(),
            asked,
            left: left.into_iter().collect(),
        })
    }

    /// Takes what is removed out of what other turns have sent and seen, and lets no request build on what is gone.
    ///
    /// What tells which turns these are is changed last, so that all of it can be done again after it was cut short.
    pub async fn take_out(&self) -> Result<()> {
        let mut sessions: BTreeSet<String> = self.left.iter().cloned().collect();
        let mut quoting = BTreeSet::new();
        if self.for_good {
            self.find_quoting(&mut sessions, &mut quoting).await?;
        }
        let (mut turns, mut titles) = (Vec::new(), Vec::new());
        for session in &sessions {
            self.rewrite(session, &quoting, &mut turns, &mut titles)
                .await?;
            if turns.len() >= BATCH {
                self.replace(std::mem::take(&mut turns)).await?;
            }
        }
        self.replace(turns).await?;
        if !titles.is_empty() {
            self.store.sessions.replace(&titles).await?;
        }
        let quoting: Vec<String> = quoting.into_iter().collect();
        for ids in quoting.chunks(BATCH) {
            let mut cycles: Vec<ReactCycle> = self.store.react_cycles.whole(among(ids)).await?;
            cycles.retain_mut(|cycle| self.traces.take_out(&mut cycle.scratchpad));
            if !cycles.is_empty() {
                self.store.react_cycles.replace(&cycles).await?;
            }
        }
        Ok(())
    }

    /// Adds the turns that have recalled or found some of it, and their sessions.
    async fn find_quoting(
        &self,
        sessions: &mut BTreeSet<String>,
        quoting: &mut BTreeSet<String>,
    ) -> Result<()> {
        let mut add = |id: String, session: String, text: &str| {
            if self.traces.named_in(text) && !self.ids.contains(&id) {
                sessions.insert(session);
                quoting.insert(id);
            }
        };
        let recalled = contains(col("metadata"), lit("recalled"));
        let columns = ["interaction_id", "session_id", "metadata"];
        let turns: Vec<Recalling> = self
            .store
            .interactions
            .columns(Some(recalled), &columns)
            .await?;
        for turn in turns {
            add(turn.interaction_id, turn.session_id, &turn.metadata);
        }
        let searched = contains(col("scratchpad"), lit("interaction_id"));
        let cycles = self.store.react_cycles.stream(Some(searched)).await?;
        let mut cycles = std::pin::pin!(cycles);
        while let Some(some) = cycles.next().await {
            for cycle in some? {
                add(cycle.interaction_id, cycle.session_id, &cycle.scratchpad);
            }
        }
        Ok(())
    }

    /// Rewrites what is left of a session; adds the rows that have changed.
    async fn rewrite(
        &self,
        session_id: &str,
        quoting: &BTreeSet<String>,
        changed: &mut Vec<Interaction>,
        titles: &mut Vec<Session>,
    ) -> Result<()> {
        let this = col("session_id").eq(lit(session_id));
        let mut turns: Vec<Interaction> = self.store.interactions.whole(this.clone()).await?;
        turns.sort_by_key(|turn| turn.timestamp);
        let change = |body: &mut String| self.for_good && self.traces.take_out(body);
        let mut places: BTreeSet<usize> =
            rebase(&mut turns, &self.ids, change).into_iter().collect();
        for (at, turn) in turns.iter_mut().enumerate() {
            // Its own words stay its own, but where it has them from there.
            if quoting.contains(&turn.interaction_id) && self.traces.take_out(&mut turn.response) {
                places.insert(at);
                self.cut_again(turn).await?;
            }
        }
        if self.for_good {
            let mut first = turns.iter();
            let first = first.find(|turn| !self.ids.contains(&turn.interaction_id));
            let is_gone = |name: &str| self.titles.contains(name);
            let mut sessions: Vec<Session> = self.store.sessions.whole(this).await?;
            sessions.retain(|row| row.title.as_deref().is_some_and(is_gone));
            if let (Some(mut row), Some(first)) = (sessions.pop(), first) {
                row.title = Some(title(&first.query));
                titles.push(row);
            }
        }
        changed.extend(places.into_iter().map(|at| turns[at].clone()));
        Ok(())
    }

    async fn replace(&self, turns: Vec<Interaction>) -> Result<()> {
        for some in turns.chunks(BATCH) {
            self.store.interactions.replace(some).await?;
        }
        Ok(())
    }

    /// Makes the passages of an answer again, if it had some.
    async fn cut_again(&self, turn: &Interaction) -> Result<()> {
        let store = self.store;
        let answers = col("interaction_id")
            .eq(lit(turn.interaction_id.as_str()))
            .and(col("source").eq(lit(Origin::Response.as_str())));
        if store.passages.count(Some(answers.clone())).await? == 0 {
            return Ok(());
        }
        let pieces = store.cut(vec![turn.response.clone()]).await?.concat();
        let mut passages = Places::default().fill(turn, Origin::Response, pieces);
        // Vectors can be made later.
        drop(store.embed(passages.iter_mut()).await);
        store.passages.delete(&answers).await?;
        store.passages.add(&passages).await
    }

    /// Takes lines with what is removed out of the line history, and out of journals that were set aside.
    pub fn erase_lines(&self) -> Result<()> {
        for path in journal::files(&self.store.journals())? {
            // Those of the living and of other stores are theirs; those of the dead are stored by now.
            if path.extension().is_some_and(|kind| kind == "unreadable") {
                remove_lines(&path, |line| self.traces.named_in(line))?;
            }
        }
        let mut asked = self.asked.clone();
        let is_asked = |line: &str| {
            let line = unescaped(line);
            if let Some(left) = asked.get_mut(&plain(&line)).filter(|left| **left > 0) {
                *left -= 1;
                return true;
            }
            let quotes = |query: &&String| query.len() >= TELLING && line.contains(query.as_str());
            self.asked.keys().any(|query| quotes(&query))
        };
        remove_lines(&self.store.options.home.join("history.txt"), is_asked)
    }
}

/// Returns a line of the history as it was typed: rustyline writes a line break as `\n`, and a backslash twice.
fn unescaped(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push(c),
            },
            c => text.push(c),
        }
    }
    text
}

/// Returns a question however it was typed: a line that goes on ended with a backslash, and `//` begins a message with a slash.
fn plain(query: &str) -> String {
    let query = query.replace("\\\n", "\n");
    let query = query.trim();
    query
        .strip_prefix("//")
        .map_or(query.to_owned(), |rest| format!("/{rest}"))
}

/// Removes lines from a file; a new file takes its place.
fn remove_lines(path: &Path, mut gone: impl FnMut(&str) -> bool) -> Result<()> {
    let context = || format!("cannot erase lines of `{}`", path.display());
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        bytes => bytes.with_context(context)?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let kept: Vec<&str> = text
        .split_inclusive('\n')
        .filter(|line| !gone(line.trim_end_matches('\n')))
        .collect();
    let kept = kept.concat();
    if kept.len() < text.len() {
        replace_file(path, kept.as_bytes()).with_context(context)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding H7.
    #[test]
    fn a_line_of_the_history_is_known_however_it_was_typed() {
        let typed = "the path is C:\\\\temp\\\nand more";
        assert_eq!(plain(&unescaped(typed)), "the path is C:\\temp\nand more");
        assert_eq!(plain("//etc is a folder "), "/etc is a folder");
        assert_eq!(unescaped("a\\nb\\\\n"), "a\nb\\n");
    }
}
