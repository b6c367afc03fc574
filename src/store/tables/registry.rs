//! The registry table: what the store is, as key and value.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use lancedb::Connection;
use lancedb::arrow::arrow_schema::Field;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::{Record, Table, moment, text};
use crate::store::locks::Gate;
use crate::store::words::Hinted;

/// The version of the tables' layout that this program reads and writes.
const SCHEMA_VERSION: u64 = 1;

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
    gate: &Gate,
    embedder: &str,
    dimension: impl FnOnce() -> Result<usize>,
) -> Result<usize> {
    if is_foreign(&names(connection, place).await?) {
        return Err(anyhow::Error::new(Hinted {
            message: format!(
                "`{place}` holds the tables of another program, the Python AbstractLLM, and they stay as they are"
            ),
            hint: "bring them in with `allm import abstractllm`, or keep the new history elsewhere with `--home DIR`".to_owned(),
        }));
    }
    let table: Table<Entry> = Table::open(connection, 0, gate).await?;
    let entries = entries(&table).await?;
    match value(&entries, "schema_version").and_then(|version| version.as_u64()) {
        Some(SCHEMA_VERSION) => {
            let embedding = read(&entries)?;
            if embedding.model != embedder || embedding.unfinished {
                return Err(anyhow::Error::new(mismatch(place, &embedding, embedder)));
            }
            Ok(embedding.dimension)
        }
        Some(newer) => bail!(
            "the store at `{place}` has layout {newer}, and this program knows only {SCHEMA_VERSION}"
        ),
        None => {
            let dimension = dimension()?;
            let now = Utc::now();
            // One commit: a store has either all of these or none.
            let entries = [
                entry("schema_version", &json!(SCHEMA_VERSION)),
                entry(
                    EMBEDDING,
                    &json!({"model": embedder, "dimension": dimension}),
                ),
                entry("created_at", &json!(now.to_rfc3339())),
            ];
            table.add(&entries).await?;
            Ok(dimension)
        }
    }
}

const EMBEDDING: &str = "embedding";

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
    if known.unfinished {
        return Hinted {
            message: format!(
                "the change of the store at `{place}` to the embedding model `{model}` was cut short"
            ),
            hint: format!("`allm --embedder {model} reindex` goes on with it"),
        };
    }
    Hinted {
        message: format!(
            "the store at `{place}` was made with the embedding model `{model}`, not with `{asked}`"
        ),
        hint: format!(
            "open it with `--embedder {model}`, or make its vectors anew with `allm --embedder {asked} reindex`"
        ),
    }
}

/// Returns what made the vectors of a store; nothing, where there is no store yet.
pub async fn embedding(connection: &Connection, gate: &Gate) -> Result<Option<Embedding>> {
    if !names(connection, connection.uri())
        .await?
        .iter()
        .any(|name| name == Entry::NAME)
    {
        return Ok(None);
    }
    let table: Table<Entry> = Table::open(connection, 0, gate).await?;
    let entries = entries(&table).await?;
    if value(&entries, EMBEDDING).is_none() {
        return Ok(None);
    }
    read(&entries).map(Some)
}

/// Says what makes the vectors of a store from now on.
pub async fn set_embedding(
    connection: &Connection,
    gate: &Gate,
    embedding: &Embedding,
) -> Result<()> {
    let table: Table<Entry> = Table::open(connection, 0, gate).await?;
    let entry = entry(EMBEDDING, &serde_json::to_value(embedding)?);
    table.replace("key", &[entry]).await
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
