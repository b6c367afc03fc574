//! The JSON files: a session, a message or a part in each. Their names say what they hold, in all the layouts that there were:
//! `session/*/ses_….json`, `SESSION/msg_….json`, `MESSAGE/prt_….json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::{Message, Session};
use crate::import::files::{below, decoded, files, name, open, text};

/// Holds where the files of a session are, by the ids of what they hold.
#[derive(Debug, Default)]
pub struct Place {
    id: String,
    info: Option<PathBuf>,
    messages: BTreeMap<String, PathBuf>,
    parts: BTreeMap<String, BTreeMap<String, PathBuf>>,
}

/// Returns where the sessions below a folder are, in the order in which they began.
pub fn places(folder: &Path) -> Result<Vec<Place>> {
    let mut sessions: BTreeMap<String, Place> = BTreeMap::new();
    let mut parts: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for path in files(folder, "json")? {
        let stem = name(&path.with_extension(""));
        let mut above = path.ancestors().skip(1).map(name);
        let (parent, grandparent) = (above.next().unwrap_or_default(), above.next());
        if stem.starts_with("prt_") {
            parts.entry(parent).or_default().entry(stem).or_insert(path);
        } else if stem.starts_with("msg_") {
            let session = sessions.entry(parent).or_default();
            session.messages.entry(stem).or_insert(path);
        } else if stem.starts_with("ses_")
            && parent != "share"
            && grandparent.as_deref() == Some("session")
        {
            sessions.entry(stem).or_default().info.get_or_insert(path);
        }
    }
    // Their ids go down as time goes on.
    let places = sessions.into_iter().rev().map(|(id, mut place)| {
        for message in place.messages.keys() {
            if let Some(parts) = parts.remove(message) {
                place.parts.insert(message.clone(), parts);
            }
        }
        Place { id, ..place }
    });
    Ok(places.collect())
}

impl Place {
    /// Returns what the session is called by in a report.
    pub fn name(&self, folder: &Path) -> String {
        let first = self.info.as_ref().or(self.messages.values().next());
        first.map_or_else(|| self.id.clone(), |path| below(folder, path))
    }

    /// Reads the session, and says what of it cannot be read.
    pub fn read(&self) -> (Session, Vec<(PathBuf, String)>) {
        let mut unread = Vec::new();
        let mut read = |path: &PathBuf| match value(path) {
            Ok(value) => Some(value),
            Err(error) => {
                unread.push((path.clone(), format!("{error:#}")));
                None
            }
        };
        let info = self.info.as_ref().and_then(&mut read);
        let mut session = Session {
            info: info.unwrap_or_else(|| json!({})),
            messages: Vec::new(),
        };
        if session.info.is_object() {
            session.info["id"] = json!(self.id);
        }
        for (id, path) in &self.messages {
            let Some(mut info) = read(path) else { continue };
            // What has no name of its own goes by that of its file.
            if info.is_object() && text(&info, "id").is_empty() {
                info["id"] = json!(id);
            }
            let parts = self.parts.get(id).into_iter().flat_map(BTreeMap::values);
            let parts = parts.filter_map(&mut read).collect();
            session.messages.push(Message { info, parts });
        }
        (session, unread)
    }
}

fn value(path: &Path) -> Result<Value> {
    Ok(serde_json::from_reader(decoded(open(path)?))?)
}
