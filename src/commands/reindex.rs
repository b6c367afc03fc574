//! `/reindex`: the vectors that are missing.

use anyhow::Result;

use crate::chat::Memory;
use crate::conversation::counted;
use crate::store::{self, Options, Store};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /reindex\n\nIt can be stopped at any time and goes on where it was. `allm --embedder MODEL reindex` makes all vectors anew with another embedding model."
)]
pub struct Args {
    /// Do not ask before the vectors of another embedding model are dropped
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// Makes the store ready for another embedding model, where one is asked for and the person says yes. Returns whether to go on.
    pub async fn prepare(&self, options: &Options, ui: &Ui) -> Result<bool> {
        let Some((model, passages)) = store::other_embedder(options).await? else {
            return Ok(true);
        };
        ui.note(&format!(
            "the vectors of {} are of `{model}`; they are dropped and made anew with `{}`",
            counted(passages, "passage"),
            options.embedder.name()
        ));
        if !self.yes && !ui.confirm("Go on?")? {
            ui.declined("reindex")?;
            return Ok(false);
        }
        store::change_embedder(options).await?;
        Ok(true)
    }
}

pub async fn run(_: Args, memory: &Memory, ui: &Ui) -> Result<()> {
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
