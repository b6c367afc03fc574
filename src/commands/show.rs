//! `/show`: one interaction, all of it.

use anyhow::{Context, Result};

use crate::chat::Memory;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /show\n  /show 1a2b3c4d")]
pub struct Args {
    /// The id of the interaction, or its first 4 characters or more; without it the last turn
    id: Option<String>,
    /// Look in another user's history
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

pub async fn run(args: Args, memory: &Memory, last: Option<&str>, ui: &Ui) -> Result<()> {
    let filter = memory.filter(args.user.as_deref(), None, None).await?;
    let latest = memory.store.interactions_in(&filter, Some(1)).await?;
    let id = args
        .id
        .as_deref()
        .or(last.filter(|_| args.user.is_none()))
        .or(latest.first().map(|turn| turn.interaction_id.as_str()));
    let interaction = memory
        .store
        .interaction(&filter, id.context("nothing is recorded yet")?)
        .await?;
    let steps = memory
        .store
        .steps(&filter, &interaction.interaction_id)
        .await?;
    let requests = memory
        .store
        .context(
            &filter,
            &interaction.session_id,
            &interaction.interaction_id,
        )
        .await?;
    ui.show(&interaction, &steps, &requests, &memory.names().await?)
}
