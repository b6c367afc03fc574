//! `/similar`: find the whole interactions and ReAct cycles most like some words or like another interaction.

use anyhow::Result;

use super::arguments::{Whose, named};
use crate::chat::Memory;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /similar 1a2b3c4d\n  /similar tuning a slow query")]
pub struct Args {
    /// Words, or the id of an interaction (its first 4 characters or more)
    #[arg(required = true, allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    /// Show at most this many results
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: Option<u16>,
}

pub async fn run(mut args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    args.whose.among(&mut args.words, memory, ui).await?;
    let filter = memory.filter(args.whose.whom(), None, None).await?;
    let limit = args.limit.map_or(memory.limit, usize::from);
    let text = args.words.join(" ");
    let (hits, cycles) = if let Some(interaction) = named(&text, &filter, memory).await? {
        memory
            .store
            .similar_to(&interaction.interaction_id, &filter, limit)
            .await?
    } else {
        memory.store.similar_to_text(&text, &filter, limit).await?
    };
    ui.similar(&hits, &cycles, &memory.names().await?)
}
