//! `/stats`: what is stored.

use anyhow::Result;

use crate::chat::Memory;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let filter = memory.filter(None, None, None).await?;
    ui.stats(&memory.store.stats(&filter).await?)
}
