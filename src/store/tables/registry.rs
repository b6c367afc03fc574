//! The registry table: what the store is, as key and value.

use std::collections::HashSet;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use lancedb::Connection;
use lancedb::arrow::arrow_schema::Field;
use lancedb::expr::{col, lit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::column::{moment, text};
use super::table::{Record, Table};
use crate::embedder::argument;
use crate::store::locks::Locks;
use crate::store::words::{Hinted, new_id};

/// The version of the tables' layout that this program writes. It reads those before, once it has brought them up to date.
pub const SCHEMA_VERSION: u64 = 2;

/// Holds one fact about the store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    pub key: String,
    /// JSON text.
    pub value: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTime<Utc>,
}

impl Record for Entry {
    const NAME: &'static str = "registry";
    const KEY: &'static str = "key";

    fn key(&self) -> &str {
        &self.key
    }

    fn columns(_dimension: usize) -> Vec<Field> {
        vec![text("key"), text("value"), moment("updated_at")]
    }
}

/// Returns the names of the tables.
pub async fn names(connection: &Connection, place: &str) -> Result<Vec<String>> {
    let names = connection.table_names().execute().await;
    names.with_context(|| format!("cannot open the store at `{place}`"))
}

/// Returns whether tables of these names are another program's.
pub fn is_foreign(names: &[String]) -> bool {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    !has(Entry::NAME) && has("interactions")
}

/// Checks that the store is ours and was made with this embedder; an empty place becomes such a store.
///
/// The caller holds the store's lock.
pub async fn check(
    connection: &Connection,
    place: &str,
    locks: &Locks,
    embedder: &str,
    dimension: impl FnOnce() -> Result<usize>,
) -> Result<Known> {
    if is_foreign(&names(connection, place).await?) {
        return Err(anyhow::Error::new(Hinted {
            message: format!(
                "`{place}` holds the tables of another program, the Python AbstractLLM, and they stay as they are"
            ),
            hint: "bring them in with `allm import abstractllm`, or keep the new history elsewhere with `--home DIR`".to_owned(),
        }));
    }
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let entries = entries(&table).await?;
    if let Some(layout) = layout(&entries, place)? {
        let embedding = read(&entries)?;
        if embedding.model != embedder || embedding.unfinished {
            return Err(anyhow::Error::new(mismatch(place, &embedding, embedder)));
        }
        let known = value(&entries, STORE_ID);
        let store_id = if let Some(id) = known.as_ref().and_then(Value::as_str) {
            id.to_owned()
        } else {
            // It was made before stores had one.
            let id = new_id();
            table.add(&[entry(STORE_ID, &json!(id))]).await?;
            id
        };
        Ok(Known {
            dimension: embedding.dimension,
            store_id,
            layout,
            is_behind: is_behind(&entries),
        })
    } else {
        let (dimension, store_id) = (dimension()?, new_id());
        let now = Utc::now();
        // One commit: a store has either all of these or none.
        let entries = [
            entry(LAYOUT, &json!(SCHEMA_VERSION)),
            entry(ROWS, &json!(SCHEMA_VERSION)),
            entry(
                EMBEDDING,
                &json!({"model": embedder, "dimension": dimension}),
            ),
            entry(STORE_ID, &json!(store_id)),
            entry("created_at", &json!(now.to_rfc3339())),
        ];
        table.add(&entries).await?;
        Ok(Known {
            dimension,
            store_id,
            layout: SCHEMA_VERSION,
            is_behind: false,
        })
    }
}

const LAYOUT: &str = "schema_version";
const ROWS: &str = "rows_version";
const EMBEDDING: &str = "embedding";
const STORE_ID: &str = "store_id";

/// Says what the registry knows of a store.
pub struct Known {
    /// The length of the vectors.
    pub dimension: usize,
    /// What the store is called, wherever it lies.
    pub store_id: String,
    /// The version of its layout.
    pub layout: u64,
    /// Whether rows of an earlier program still lack what this one writes.
    pub is_behind: bool,
}

fn is_behind(entries: &[Entry]) -> bool {
    let rows = value(entries, ROWS).and_then(|version| version.as_u64());
    rows.is_none_or(|version| version < SCHEMA_VERSION)
}

/// Returns the version of a store's layout; nothing, where the place is empty.
fn layout(entries: &[Entry], place: &str) -> Result<Option<u64>> {
    let layout = value(entries, LAYOUT).and_then(|version| version.as_u64());
    match layout {
        Some(newer) if newer > SCHEMA_VERSION => Err(anyhow::Error::new(Hinted {
            message: format!(
                "the store at `{place}` has layout {newer}, and this program knows only {SCHEMA_VERSION}"
            ),
            hint: "a newer allm has made it: use that one".to_owned(),
        })),
        known => Ok(known),
    }
}

/// Says that a store has the layout that this program writes.
pub async fn set_layout(connection: &Connection, locks: &Locks) -> Result<()> {
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let layout = entry(LAYOUT, &json!(SCHEMA_VERSION));
    table.replace(&[layout]).await
}

/// Says whether rows lack what this program writes.
pub async fn set_behind(connection: &Connection, locks: &Locks, is_behind: bool) -> Result<()> {
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let version = if is_behind { 0 } else { SCHEMA_VERSION };
    let rows = [entry(ROWS, &json!(version))];
    match value(&entries(&table).await?, ROWS) {
        Some(_) => table.replace(&rows).await,
        None => table.add(&rows).await,
    }
}

/// Says what made the vectors of a store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Embedding {
    pub model: String,
    pub dimension: usize,
    /// Whether a change to that model has begun and not ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

fn mismatch(place: &str, known: &Embedding, asked: &str) -> Hinted {
    let model = &known.model;
    let (open, renew) = (argument(model), argument(asked));
    if known.unfinished {
        return Hinted {
            message: format!(
                "the change of the store at `{place}` to the embedding model `{model}` was cut short"
            ),
            hint: format!("`allm --embedder {open} reindex` goes on with it"),
        };
    }
    let anew = format!("make its vectors anew with `allm --embedder {renew} reindex`");
    Hinted {
        message: format!(
            "the store at `{place}` was made with the embedding model `{model}`, not with `{asked}`"
        ),
        // Folders had no mark once.
        hint: match asked.rsplit_once('@') {
            Some((folder, _)) if folder == model && !folder.contains('/') => {
                format!("what was in that folder then is not known: {anew}")
            }
            // Before there were prefixes, or when the model's own files said something else of them.
            _ if open == renew && !open.starts_with("PATH/") => {
                format!("vectors are made with that model in another way now: {anew}")
            }
            _ => format!("open it with `--embedder {open}`, or {anew}"),
        },
    }
}

/// Returns what made the vectors of a store; nothing, where there is no store yet.
pub async fn embedding(connection: &Connection, locks: &Locks) -> Result<Option<Embedding>> {
    if !names(connection, connection.uri())
        .await?
        .iter()
        .any(|name| name == Entry::NAME)
    {
        return Ok(None);
    }
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let entries = entries(&table).await?;
    layout(&entries, connection.uri())?;
    if value(&entries, EMBEDDING).is_none() {
        return Ok(None);
    }
    read(&entries).map(Some)
}

/// Returns what a store is called, if it says so.
pub async fn store_id(connection: &Connection, locks: &Locks) -> Result<Option<String>> {
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let id = value(&entries(&table).await?, STORE_ID);
    Ok(id.and_then(|id| id.as_str().map(str::to_owned)))
}

/// Says what makes the vectors of a store from now on.
pub async fn set_embedding(
    connection: &Connection,
    locks: &Locks,
    embedding: &Embedding,
) -> Result<()> {
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let entry = entry(EMBEDDING, &serde_json::to_value(embedding)?);
    table.replace(&[entry]).await
}

/// What the keys of rows begin with that say what was forgotten.
const FORGOTTEN: &str = "forgotten:";

/// Remembers interactions that were removed, by hashes of their ids, so that no import brings them back. Only ids that follow from
/// what was imported ever come again.
pub async fn forget(connection: &Connection, locks: &Locks, ids: &[String]) -> Result<()> {
    let is_imported =
        |id: &&String| uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 8);
    let ids: Vec<String> = ids.iter().filter(is_imported).map(|id| hash(id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let key = format!("{FORGOTTEN}{}", hash(&ids.concat()));
    // A removal that was cut short is done again.
    let known = table.count(Some(col("key").eq(lit(key.as_str())))).await?;
    if known == 0 {
        table.add(&[entry(&key, &json!(ids))]).await?;
    }
    Ok(())
}

/// Returns which of these interactions were removed for good.
pub async fn forgotten(
    connection: &Connection,
    locks: &Locks,
    ids: &[String],
) -> Result<HashSet<String>> {
    let table: Table<Entry> = Table::open(connection, 0, locks).await?;
    let entries = entries(&table).await?;
    let entries = entries
        .iter()
        .filter(|entry| entry.key.starts_with(FORGOTTEN));
    let mut known: HashSet<String> = HashSet::new();
    for entry in entries {
        let hashes: Vec<String> = serde_json::from_str(&entry.value)
            .context("the registry says nothing of what was forgotten")?;
        known.extend(hashes);
    }
    Ok(ids
        .iter()
        .filter(|id| known.contains(&hash(id)))
        .cloned()
        .collect())
}

fn hash(text: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text)[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

async fn entries(table: &Table<Entry>) -> Result<Vec<Entry>> {
    table.select(None, &["key", "value"], None, None).await
}

fn value(entries: &[Entry], key: &str) -> Option<Value> {
    let entry = entries.iter().find(|entry| entry.key == key)?;
    serde_json::from_str(&entry.value).ok()
}

fn read(entries: &[Entry]) -> Result<Embedding> {
    let embedding = value(entries, EMBEDDING)
        .context("the registry does not say which embedding model made the store")?;
    serde_json::from_value(embedding).context("the registry gives no embedding model")
}

fn entry(key: &str, value: &Value) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.to_string(),
        updated_at: Utc::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding M26.
    #[test]
    fn a_model_that_does_not_fit_comes_with_what_to_do() {
        let check = |model: &str, asked: &str, hint: &str| {
            let known = Embedding {
                model: model.to_owned(),
                dimension: 32,
                unfinished: false,
            };
            assert_eq!(mismatch("db", &known, asked).hint, hint);
        };
        let renew = "make its vectors anew with `allm --embedder";
        check(
            "acme/tiny",
            "all-MiniLM-L6-v2",
            &format!("open it with `--embedder acme/tiny`, or {renew} all-MiniLM-L6-v2 reindex`"),
        );
        check(
            "tiny@01234567",
            "tiny@89abcdef",
            &format!("open it with `--embedder PATH/TO/tiny`, or {renew} PATH/TO/tiny reindex`"),
        );
        check(
            "tiny",
            "tiny@89abcdef",
            &format!("what was in that folder then is not known: {renew} PATH/TO/tiny reindex`"),
        );
        check(
            "acme/e5",
            "acme/e5@01234567",
            &format!(
                "vectors are made with that model in another way now: {renew} acme/e5 reindex`"
            ),
        );
    }
}
