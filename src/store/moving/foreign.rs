//! Tables of another program in the place of ours: the Python AbstractLLM kept its own there. They are read, moved aside when they
//! have been brought in, and never changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use lancedb::arrow::arrow_array::RecordBatch;
use lancedb::query::{ExecutableQuery, QueryBase, Select};
use serde_json::Value;

use crate::store::open::{ASIDE, finish};
use crate::store::tables::registry::{is_foreign, names};

/// Returns where tables of another program are that belong to the place: there, or aside.
pub async fn foreign(uri: &str) -> Result<Option<String>> {
    let aside = format!("{uri}.{ASIDE}");
    for uri in [uri, &aside] {
        if Path::new(uri).is_dir() {
            let connection = lancedb::connect(uri).execute().await?;
            if is_foreign(&names(&connection, uri).await?) {
                return Ok(Some(uri.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Returns the rows of a table with those of the named columns that it has; none, where there is no such table.
pub async fn foreign_rows(uri: &str, table: &str, columns: &[&str]) -> Result<Vec<Value>> {
    let connection = lancedb::connect(uri).execute().await?;
    if !names(&connection, uri)
        .await?
        .iter()
        .any(|name| name == table)
    {
        return Ok(Vec::new());
    }
    let table = connection.open_table(table).execute().await?;
    let schema = table.schema().await?;
    let known = |column: &&str| schema.field_with_name(column).is_ok();
    let columns: Vec<&str> = columns.iter().copied().filter(known).collect();
    let query = table.query().select(Select::columns(&columns));
    let batches: Vec<RecordBatch> = query.execute().await?.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        let read: Vec<Value> = serde_arrow::from_record_batch(batch)?;
        rows.extend(read);
    }
    Ok(rows)
}

/// Puts the tables that were made meanwhile in the place of another program's, which are kept beside them. Returns where.
pub fn take_place(uri: &str) -> Result<PathBuf> {
    let mut aside = PathBuf::from(format!("{uri}.{ASIDE}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = PathBuf::from(format!("{uri}.{ASIDE}.{number}"));
    }
    let moved = fs::rename(uri, &aside);
    moved.with_context(|| format!("cannot move `{uri}` to `{}`", aside.display()))?;
    finish(uri)?;
    Ok(aside)
}
