//! `/timeframe`: list all that was said in an exact window of time.

use anyhow::Result;

use crate::chat::Memory;
use crate::timeframe;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /timeframe 2025-09-15\n  /timeframe 2025-09-15T10:00 2025-09-15T12:15\n  /timeframe 2025-09-01 2025-09-30 alice\n\nTimes are local unless they carry an offset; a date as end means the end of that day."
)]
pub struct Args {
    /// A day or a minute, or the beginning of the window
    from: String,
    /// The end of the window, itself not included; a date means the end of that day
    to: Option<String>,
    /// List another user's history
    user: Option<String>,
    /// Show at most this many, the latest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let range = match &args.to {
        Some(to) => timeframe::between(&args.from, to)?,
        None => timeframe::range(&args.from)?,
    };
    let filter = memory
        .filter(args.user.as_deref(), Some(range.from), Some(range.until))
        .await?;
    let limit = args.limit.and_then(|limit| usize::try_from(limit).ok());
    let interactions = memory.store.interactions_in(&filter, limit).await?;
    let more = match limit {
        Some(_) => memory
            .store
            .count(&filter)
            .await?
            .saturating_sub(interactions.len()),
        None => 0,
    };
    ui.timeframe(&range, &interactions, &memory.names().await?, more)
}
