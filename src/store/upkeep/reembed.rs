//! Changes the embedding model of a store: the vectors of the model before are dropped, and made anew as missing ones are.

use std::sync::Arc;

use anyhow::{Context, Result};
use lancedb::Connection;
use lancedb::arrow::arrow_schema::Schema;
use lancedb::table::NewColumnTransform;

use crate::store::locks::Locks;
use crate::store::open::Options;
use crate::store::tables::registry::{self, Embedding};
use crate::store::tables::{Interaction, Passage, ReactCycle, Record, vector};

/// The columns with vectors, by table.
const VECTORS: [(&str, &str); 3] = [
    (Passage::NAME, "embedding"),
    (Interaction::NAME, "context_embedding"),
    (ReactCycle::NAME, "scratchpad_embedding"),
];

/// Returns which model the vectors of a store are from, if it is not the one that is asked for, and how many passages there are.
pub async fn other_embedder(options: &Options) -> Result<Option<(String, usize)>> {
    let (connection, locks) = connect(options).await?;
    let Some(embedding) = registry::embedding(&connection, &locks).await? else {
        return Ok(None);
    };
    if embedding.model == options.embedder.name() && !embedding.unfinished {
        return Ok(None);
    }
    let passages = connection.open_table(Passage::NAME).execute().await?;
    Ok(Some((embedding.model, passages.count_rows(None).await?)))
}

/// Drops the vectors of a store, so that another model can make them. Others who use it are told to start again.
///
/// When it is cut short the store can only be opened by doing it again.
pub async fn change_embedder(options: &Options) -> Result<()> {
    let embedder = options.embedder.clone();
    let dimension = tokio::task::spawn_blocking(move || anyhow::Ok(embedder.get()?.dimension()));
    let dimension = dimension.await??;
    let (connection, locks) = connect(options).await?;
    let upkeep = locks.upkeep().await?;
    let closed = locks.close(&upkeep).await?;
    let locks = locks.inside(&closed);
    let _rows = locks.rows(&locks.enter().await?).await?;
    let mut embedding = Embedding {
        model: options.embedder.name(),
        dimension,
        unfinished: true,
    };
    registry::set_embedding(&connection, &locks, &embedding).await?;
    for (name, column) in VECTORS {
        let dropped = renew(&connection, name, column, dimension).await;
        dropped.with_context(|| format!("cannot drop the vectors of the table `{name}`"))?;
    }
    locks.count_erasure()?;
    embedding.unfinished = false;
    registry::set_embedding(&connection, &locks, &embedding).await?;
    drop(closed);
    Ok(())
}

async fn connect(options: &Options) -> Result<(Connection, Locks)> {
    let mut options = options.clone();
    options.name_really()?;
    let connection = lancedb::connect(&options.uri).execute().await;
    let connection =
        connection.with_context(|| format!("cannot open the store at `{}`", options.uri))?;
    Ok((connection, options.locks()))
}

/// Puts a column without vectors in the place of one.
async fn renew(connection: &Connection, name: &str, column: &str, dimension: usize) -> Result<()> {
    let table = connection.open_table(name).execute().await?;
    for index in table.list_indices().await? {
        if index.columns.iter().any(|indexed| indexed == column) {
            table.drop_index(&index.name).await?;
        }
    }
    if table.schema().await?.field_with_name(column).is_ok() {
        table.drop_columns(&[column]).await?;
    }
    let empty = Arc::new(Schema::new(vec![vector(column, dimension)]));
    let adding = table.add_columns();
    adding
        .transform(NewColumnTransform::AllNulls(empty))
        .execute()
        .await?;
    Ok(())
}
