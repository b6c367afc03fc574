//! `/similar`: find the whole interactions and ReAct cycles most like some words, another interaction or a session.

use anyhow::Result;

use super::arguments::Whose;
use super::shown::{Shown, named};
use crate::chat::Memory;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /similar 1a2b3c4d\n  /similar tuning a slow query\n\nIn a chat `/similar 2` takes the second row of the last list. A session is compared by all that was said in it."
)]
pub struct Args {
    /// Words, or the id of an interaction or a session (its first 4 characters or more), or in a chat its number
    #[arg(required = true, allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    /// Show at most this many results
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: Option<u16>,
}

pub async fn run(mut args: Args, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    let ids = match &args.words[..] {
        [_] => shown.ids(&args.words, &mut args.whose)?,
        _ => Vec::new(),
    };
    args.whose.among(&mut args.words, memory, ui).await?;
    let filter = memory.filter(args.whose.whom(), None, None).await?;
    let limit = args.limit.map_or(memory.limit, usize::from);
    let named = named(&ids, &filter, memory).await?.pop();
    let store = &memory.store;
    let (hits, cycles) = if let Some(named) = named {
        store.similar_to(&named, &filter, limit).await?
    } else {
        let text = args.words.join(" ");
        store.similar_to_text(&text, &filter, limit).await?
    };
    let ids = hits.iter().map(|hit| &hit.interaction.interaction_id);
    let ids = ids.chain(cycles.iter().map(|cycle| &cycle.interaction_id));
    shown.list(ids.collect(), &args.whose);
    ui.similar(&hits, &cycles, &memory.names().await?)
}
