//! What opencode keeps in its data folder: JSON files for each session, message and part of one, in several layouts, and since
//! version 1.2 a SQLite database, `opencode.db`. What the files had is in the database, too, when it took their place.

mod database;
mod session;
mod storage;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::files::{below, broken_among_others, name, text};
use super::{Item, Source, Take};

const NAME: &str = "opencode";

/// Is the data folder of opencode, or its database.
pub struct Opencode(pub PathBuf);

/// Is one session as it was kept.
#[derive(Debug, Default)]
pub struct Session {
    /// What is known of it, as the JSON files have it.
    pub info: Value,
    pub messages: Vec<Message>,
}

/// Is one message of a session.
#[derive(Debug, Default)]
pub struct Message {
    pub info: Value,
    pub parts: Vec<Value>,
}

/// Holds what was read before.
#[derive(Default)]
struct Known {
    /// The ids of messages: what took the place of other files has what they had.
    messages: HashSet<String>,
    /// The session that a question was asked in first, by its time and its words: a fork begins with copies.
    questions: HashMap<(i64, String), String>,
}

impl Source for Opencode {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let mut known = Known::default();
        let mut databases = Vec::new();
        if self.0.is_file() {
            databases.push(self.0.clone());
        } else {
            let inside = std::fs::read_dir(&self.0)
                .with_context(|| format!("cannot read `{}`", self.0.display()))?;
            databases.extend(inside.flatten().map(|entry| entry.path()));
            databases.retain(|path| {
                let is_one = path.extension().is_some_and(|known| known == "db");
                is_one && name(path).starts_with(NAME)
            });
            databases.sort();
        }
        for path in &databases {
            take(NAME, Item::File(below(&self.0, path)))?;
            let read = database::each_session(path, &mut |session| known.take(session, take));
            broken_among_others(&self.0, path, NAME, read, take)?;
        }
        let mut any = !databases.is_empty();
        for folder in self.folders() {
            for place in storage::places(&folder)? {
                any = true;
                take(NAME, Item::File(place.name(&self.0)))?;
                let (session, unread) = place.read();
                for (path, why) in unread {
                    take(NAME, Item::Broken(below(&self.0, &path), why))?;
                }
                known.take(Ok(session), take)?;
            }
        }
        if !any {
            bail!(
                "there are no sessions of opencode in `{}`",
                self.0.display()
            );
        }
        Ok(())
    }
}

impl Opencode {
    /// Returns the folders with files of sessions, newest layout first: beside them are snapshots of whole projects.
    fn folders(&self) -> Vec<PathBuf> {
        let inside = ["storage", "project"].map(|name| self.0.join(name));
        let mut folders: Vec<PathBuf> = inside
            .into_iter()
            .filter(|folder| folder.is_dir())
            .collect();
        if folders.is_empty() && self.0.is_dir() {
            folders.push(self.0.clone());
        }
        folders
    }
}

impl Known {
    fn take(
        &mut self,
        session: Result<Session, (String, String)>,
        take: &mut Take<'_>,
    ) -> Result<()> {
        let mut session = match session {
            Ok(session) => session,
            Err((place, why)) => return take(NAME, Item::Broken(place, why)),
        };
        let mut twice = Vec::new();
        session.messages.retain(|message| {
            let is_new = self.messages.insert(text(&message.info, "id").to_owned());
            if !is_new && session::is_typed(message) {
                twice.push(Item::LeftOut("told elsewhere, too".to_owned()));
            }
            is_new
        });
        let id = text(&session.info, "id").to_owned();
        for item in session.items() {
            let items = match item {
                Item::Turn(turn) => {
                    let question = (turn.timestamp.timestamp_millis(), turn.query.clone());
                    let first = self.questions.entry(question).or_insert_with(|| id.clone());
                    match *first == id {
                        true => vec![Item::Turn(turn)],
                        false => turn.left_out("copied from another session"),
                    }
                }
                item => vec![item],
            };
            items.into_iter().try_for_each(|item| take(NAME, item))?;
        }
        twice.into_iter().try_for_each(|item| take(NAME, item))
    }
}
