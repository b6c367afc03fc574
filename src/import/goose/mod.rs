//! What goose keeps in its folder of sessions: a JSON Lines file for each, and since version 1.10 a SQLite database,
//! `sessions.db`. What the files had is in the database, too, when it took their place.

mod session;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value, json};

use super::files::{below, broken_among_others, each_line, files, name, open, sqlite, text};
use super::{Item, Source, Take};
use session::{is_typed, session};

const NAME: &str = "goose";

/// Is the folder that goose keeps its data in, its database, or one of the older files.
pub struct Goose(pub PathBuf);

impl Source for Goose {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let mut found = Vec::new();
        if self.0.is_file() {
            found.push(self.0.clone());
        } else {
            for extension in ["db", "jsonl"] {
                found.extend(files(&self.0, extension)?);
            }
            found.retain(|path| {
                let inside = path.strip_prefix(&self.0).unwrap_or(path);
                let is_log = inside.components().any(|part| part.as_os_str() == "logs");
                !is_log && (is_lines(path) || name(path) == "sessions.db")
            });
        }
        if found.is_empty() {
            bail!("there are no sessions of goose in `{}`", self.0.display());
        }
        let mut known = Known::default();
        for path in found {
            take(NAME, Item::File(below(&self.0, &path)))?;
            if is_lines(&path) {
                lines(&path, &mut known, take)?;
            } else {
                let read = database(&path, &mut known, take);
                broken_among_others(&self.0, &path, NAME, read, take)?;
            }
        }
        Ok(())
    }
}

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|known| known == "jsonl")
}

/// Holds what was read before.
#[derive(Default)]
struct Known {
    sessions: HashSet<String>,
    /// The session that a message was in first: a fork begins with copies.
    messages: HashMap<String, String>,
}

/// Reads an older file: in its first line the session, in each other a message.
fn lines(path: &Path, known: &mut Known, take: &mut Take<'_>) -> Result<()> {
    let id = name(&path.with_extension(""));
    let is_twice = known.sessions.contains(&id);
    let mut about = Value::Null;
    let (mut messages, mut unread) = (Vec::new(), Vec::new());
    let read = open(path).and_then(|file| {
        each_line(file, &mut |number, line| {
            match line {
                Ok(line) if line.get("role").is_some() => messages.push(line),
                Ok(line) if number == 1 => about = line,
                Ok(_) => unread.push((number, "it is no message".to_owned())),
                Err(error) => unread.push((number, error.to_string())),
            }
            Ok(())
        })
    });
    for (number, why) in unread {
        let place = format!("{}, line {number}", name(path));
        take(NAME, Item::Broken(place, why))?;
    }
    if let Err(error) = read {
        take(NAME, Item::Broken(name(path), format!("{error:#}")))?;
    }
    if is_twice {
        for _ in messages.iter().filter(|message| is_typed(message)) {
            take(NAME, Item::LeftOut("told elsewhere, too".to_owned()))?;
        }
        return Ok(());
    }
    session(&id, &about, messages, known, take)
}

/// Reads the database.
fn database(path: &Path, known: &mut Known, take: &mut Take<'_>) -> Result<()> {
    let (database, _copy) = sqlite(path)?;
    let all = database.prepare("SELECT * FROM sessions ORDER BY created_at, id");
    let mut all = all.with_context(|| format!("`{}` is no database of goose", path.display()))?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let about = about(row);
        let id = text(&about, "id").to_owned();
        let (messages, unread) = messages(&database, &id)?;
        for (place, why) in unread {
            take(NAME, Item::Broken(place, why))?;
        }
        session(&id, &about, messages, known, take)?;
        known.sessions.insert(id);
    }
    Ok(())
}

/// Returns what is known of a session, by column.
fn about(row: &Row<'_>) -> Value {
    let mut about = Map::new();
    for column in [
        "id",
        "name",
        "description",
        "working_dir",
        "created_at",
        "session_type",
    ] {
        about.insert(column.to_owned(), json!(column_of(row, column)));
    }
    for column in ["accumulated_input_tokens", "accumulated_output_tokens"] {
        let tokens = row.get::<_, Option<i64>>(column).ok().flatten();
        about.insert(column.to_owned(), json!(tokens));
    }
    about.insert(
        "provider".to_owned(),
        json!(column_of(row, "provider_name")),
    );
    let model: Option<Value> = serde_json::from_str(&column_of(row, "model_config_json")).ok();
    let model = model.map(|model| model["model_name"].clone());
    about.insert("model".to_owned(), json!(model));
    Value::Object(about)
}

fn column_of(row: &Row<'_>, name: &str) -> String {
    let text = row.get::<_, Option<String>>(name).ok().flatten();
    text.unwrap_or_default()
}

/// What cannot be read, and why.
type Unread = Vec<(String, String)>;

/// Returns the messages of a session as the older files have them.
fn messages(database: &Connection, session: &str) -> Result<(Vec<Value>, Unread)> {
    let (mut messages, mut unread) = (Vec::new(), Vec::new());
    let query = "SELECT * FROM messages WHERE session_id = ? ORDER BY created_timestamp, id";
    let mut prepared = database.prepare(query)?;
    let mut rows = prepared.query(params![session])?;
    while let Some(row) = rows.next()? {
        let content: serde_json::Result<Value> =
            serde_json::from_str(&column_of(row, "content_json"));
        match content {
            Ok(content) => messages.push(json!({
                "id": column_of(row, "message_id"),
                "role": column_of(row, "role"),
                "created": row.get::<_, Option<i64>>("created_timestamp").ok().flatten(),
                "content": content,
                "metadata": serde_json::from_str(&column_of(row, "metadata_json")).unwrap_or(Value::Null),
            })),
            Err(error) => {
                let number: i64 = row.get("id").unwrap_or_default();
                unread.push((format!("message {number}"), error.to_string()));
            }
        }
    }
    Ok((messages, unread))
}
