//! The SQLite database: tables of sessions, messages and parts, whose columns beside `data` are those that are looked for.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::{Map, Value, json};

use super::{Message, Session};
use crate::import::files::{sqlite, text};

/// Takes a session, or what cannot be read and why.
type Take<'t> = dyn FnMut(Result<Session, (String, String)>) -> Result<()> + 't;

/// Hands over the sessions in the order in which they began.
pub fn each_session(path: &Path, take: &mut Take<'_>) -> Result<()> {
    let (database, _copy) = sqlite(path)?;
    let has_sessions = database.prepare("SELECT id FROM session");
    has_sessions.with_context(|| format!("`{}` is no database of opencode", path.display()))?;
    let all = "SELECT * FROM session ORDER BY time_created, id DESC";
    let mut sessions = Vec::new();
    each(&database, all, None, &mut |row| {
        sessions.push(row);
        Ok(())
    })?;
    for row in sessions {
        let info = info(&row);
        let id = text(&info, "id").to_owned();
        let mut unread = Vec::new();
        let messages = messages(&database, &id, &mut unread)?;
        for (message, why) in unread {
            take(Err((message, why)))?;
        }
        take(Ok(Session { info, messages }))?;
    }
    Ok(())
}

/// Returns what is known of a session, as the JSON files have it.
fn info(row: &Map<String, Value>) -> Value {
    let mut info = json!({"time": {"created": row.get("time_created")}});
    for (name, column) in [
        ("id", "id"),
        ("parentID", "parent_id"),
        ("projectID", "project_id"),
        ("directory", "directory"),
        ("title", "title"),
        ("version", "version"),
        ("agent", "agent"),
    ] {
        info[name] = row.get(column).cloned().unwrap_or_default();
    }
    info["revert"] = row.get("revert").map(parsed).unwrap_or_default();
    info
}

/// Returns the messages of a session with their parts.
fn messages(
    database: &Connection,
    session: &str,
    unread: &mut Vec<(String, String)>,
) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut places = HashMap::new();
    let mut read = |row: &Map<String, Value>| {
        let column = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let (id, data) = (column("id"), column("data"));
        match serde_json::from_str::<Value>(data) {
            Ok(Value::Object(mut data)) => {
                data.insert("id".to_owned(), json!(id));
                for name in ["type", "time_created"] {
                    if let Some(value) = row.get(name) {
                        data.entry(name).or_insert_with(|| value.clone());
                    }
                }
                return Some(Value::Object(data));
            }
            Ok(_) => unread.push((id.to_owned(), "it is no object".to_owned())),
            Err(error) => unread.push((id.to_owned(), error.to_string())),
        }
        None
    };
    // Newer sessions may be in a table of whole messages, and what waits to be said in one of its own.
    for (table, query) in [
        (
            "message",
            "SELECT * FROM message WHERE session_id = ? ORDER BY time_created, id",
        ),
        (
            "session_message",
            "SELECT * FROM session_message WHERE session_id = ? ORDER BY seq",
        ),
        (
            "session_input",
            "SELECT id, 'user' AS type, prompt AS data, time_created FROM session_input WHERE session_id = ? ORDER BY admitted_seq",
        ),
    ] {
        if !database.table_exists(None::<&str>, table)? {
            continue;
        }
        each(database, query, Some(session), &mut |row| {
            if let Some(info) = read(&row) {
                let id = text(&info, "id").to_owned();
                places.entry(id).or_insert_with(|| {
                    messages.push(Message {
                        info,
                        parts: Vec::new(),
                    });
                    messages.len() - 1
                });
            }
            Ok(())
        })?;
    }
    if database.table_exists(None::<&str>, "part")? {
        let query = "SELECT * FROM part WHERE session_id = ? ORDER BY id";
        each(database, query, Some(session), &mut |row| {
            let message = row.get("message_id").and_then(Value::as_str);
            let place = message.and_then(|message| places.get(message));
            if let (Some(place), Some(part)) = (place, read(&row)) {
                messages[*place].parts.push(part);
            }
            Ok(())
        })?;
    }
    Ok(messages)
}

/// Hands over the rows of a query with at most one parameter, by column.
fn each(
    database: &Connection,
    query: &str,
    parameter: Option<&str>,
    take: &mut dyn FnMut(Map<String, Value>) -> Result<()>,
) -> Result<()> {
    let mut prepared = database.prepare(query)?;
    let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
    let mut rows = prepared.query(rusqlite::params_from_iter(parameter))?;
    while let Some(row) = rows.next()? {
        let value = |(at, name): (usize, &String)| Ok((name.clone(), column(row, at)?));
        take(
            columns
                .iter()
                .enumerate()
                .map(value)
                .collect::<Result<_>>()?,
        )?;
    }
    Ok(())
}

fn column(row: &Row<'_>, at: usize) -> Result<Value> {
    Ok(match row.get_ref(at)? {
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Null => Value::Null,
    })
}

/// Returns what a column says that holds JSON as text.
fn parsed(value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}
