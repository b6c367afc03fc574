//! `/search`: find what was said, by meaning.

use anyhow::Result;

use crate::chat::Memory;
use crate::store::SearchQuery;
use crate::timeframe;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /search how did we fix the deadlock --from 2025-09-01\n  /search what's the plan --limit 3"
)]
pub struct Args {
    /// What to look for
    #[arg(required = true, allow_negative_numbers = true)]
    words: Vec<String>,
    /// Search another user's history
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Leave out what was said before this date or time
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Leave out what was said after this date or time; a date means the end of that day
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Show at most this many results
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: Option<u16>,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let from = args.from.as_deref().map(timeframe::from).transpose()?;
    let until = args.to.as_deref().map(timeframe::until).transpose()?;
    let filter = memory.filter(args.user.as_deref(), from, until).await?;
    let text = args.words.join(" ");
    let limit = args.limit.map_or(memory.limit, usize::from);
    let hits = memory
        .store
        .search(&SearchQuery {
            text: text.clone(),
            filter,
            limit,
            ignore: None,
        })
        .await?;
    ui.hits("search", &text, &hits, &memory.names().await?)
}
