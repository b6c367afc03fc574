//! `/search`: find what was said, thought and seen, by meaning.

use anyhow::Result;

use super::Found;
use crate::chat::Memory;
use crate::store::{Origin, SearchQuery};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /search how did we fix the deadlock --from 2025-09-01\n  /search what's the plan --limit 3\n  /search cargo build failed --in observation"
)]
pub struct Args {
    /// What to look for
    #[arg(required = true, allow_negative_numbers = true)]
    words: Vec<String>,
    /// Look only into these, separated by commas
    #[arg(
        long = "in",
        value_name = "SOURCES",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true,
        long_help = "Look only into these, separated by commas: query, response, thought, observation, fact"
    )]
    sources: Vec<Origin>,
    #[command(flatten)]
    found: Found,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let text = args.words.join(" ");
    let query = SearchQuery {
        text: text.clone(),
        filter: args.found.filter(memory).await?,
        limit: args.found.limit(memory.limit),
        ignore: None,
        sources: args.sources,
    };
    let hits = memory.store.search(&query).await?;
    ui.hits(&text, &hits, &memory.names().await?)
}
