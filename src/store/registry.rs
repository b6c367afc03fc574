//! The registry table: what the store is, as key and value.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use lancedb::Connection;
use lancedb::arrow::arrow_schema::Field;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gate::Gate;
use super::table::{Record, Table, moment, text};

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
        return Err(anyhow::Error::new(super::Hinted {
            message: format!(
                "`{place}` holds the tables of another program, the Python AbstractLLM, and they stay as they are"
            ),
            hint: "bring them in with `allm import abstractllm`, or keep the new history elsewhere with `--home DIR`".to_owned(),
        }));
    }
    let table: Table<Entry> = Table::open(connection, 0, gate).await?;
    let entries = table.select(None, &["key", "value"], None, None).await?;
    let value = |key: &str| -> Option<Value> {
        entries
            .iter()
            .find(|entry| entry.key == key)
            .and_then(|entry| serde_json::from_str(&entry.value).ok())
    };
    match value("schema_version").and_then(|version| version.as_u64()) {
        Some(SCHEMA_VERSION) => {
            let embedding = value("embedding")
                .context("the registry does not say which embedding model made the store")?;
            let model = embedding["model"].as_str().unwrap_or_default();
            if model != embedder {
                return Err(anyhow::Error::new(super::Hinted {
                    message: format!(
                        "the store at `{place}` was made with the embedding model `{model}`, not with `{embedder}`"
                    ),
                    hint: format!(
                        "open it with `--embedder {model}`, or keep another store with `--home DIR`"
                    ),
                }));
            }
            embedding["dimension"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .context("the registry gives no dimension")
        }
        Some(newer) => bail!(
            "the store at `{place}` has layout {newer}, and this program knows only {SCHEMA_VERSION}"
        ),
        None => {
            let dimension = dimension()?;
            let now = Utc::now();
            let entry = |key: &str, value: &Value| Entry {
                key: key.to_owned(),
                value: value.to_string(),
                updated_at: now,
            };
            // One commit: a store has either all of these or none.
            let entries = [
                entry("schema_version", &json!(SCHEMA_VERSION)),
                entry(
                    "embedding",
                    &json!({"model": embedder, "dimension": dimension}),
                ),
                entry("created_at", &json!(now.to_rfc3339())),
            ];
            table.add(&entries).await?;
            Ok(dimension)
        }
    }
}
