//! `/reindex`: the vectors that are missing.

use anyhow::Result;

use crate::chat::Memory;
use crate::store::Store;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /reindex\n\nIt can be stopped at any time and goes on where it was. `allm --embedder MODEL reindex` makes all vectors anew with another\nembedding model."
)]
pub struct Args {}

pub async fn run(Args {}: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let made = embed(&memory.store, ui).await?;
    ui.reindexed(made)
}

/// Makes the vectors that are missing, and returns how many those were.
pub async fn embed(store: &Store, ui: &Ui) -> Result<usize> {
    let bar = ui.bar("embedding", store.unembedded().await?);
    let made = store.embed_missing(|done, _| bar.at(done)).await;
    bar.end();
    made
}
