//! `/search`: find what was said, thought and seen, by meaning and by words.

use anyhow::Result;

use super::arguments::Found;
use super::shown::Shown;
use crate::chat::Memory;
use crate::config::within;
use crate::store::{Interaction, Mode, Origin};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /search how did we fix the deadlock --from 2025-09-01\n  /search what's the plan -n 3\n  /search cargo build failed --in observation\n  /search kubectl rollout --in action --session 8c1d20aa\n  /search login --folder . --model gpt-5\n  /search \"connection reset by peer\" pool\n  /search git commit --no-verify\n  /search deadlock --context 2\n\nIn a chat `/show 2`, `/resume 2`, `/recall 2` and `/similar 2` take up the second hit. What stands between double quotes must be there as it stands. A flag that is none of these options is a word; all that follows -- is words."
)]
pub struct Args {
    /// What to look for
    #[arg(required = true, allow_negative_numbers = true)]
    words: Vec<String>,
    /// Look only into these, separated by commas: query, response, thought, action, observation, fact
    #[arg(
        long = "in",
        value_name = "SOURCES",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true
    )]
    sources: Vec<Origin>,
    /// How to look: hybrid (by meaning and by words), semantic, or text
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    mode: Mode,
    /// Show what scores less, or only what scores more (-1 to 1)
    #[arg(long, value_name = "X", value_parser = within(-1.0_f32..=1.0), allow_negative_numbers = true)]
    min_score: Option<f32>,
    /// Say what each score is made of
    #[arg(long)]
    explain: bool,
    /// Show so many turns before and after each hit, out of its session
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    context: u8,
    #[command(flatten)]
    found: Found,
}

pub async fn run(mut args: Args, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    let filter = args.found.filter(&mut args.words, memory, ui).await?;
    let text = args.words.join(" ");
    let mut query = memory.query(&text, filter, args.found.limit(memory.limit));
    query.quoted = true;
    query.mode = args.mode;
    query.sources = args.sources;
    query.min_score = args.min_score;
    let found = memory.store.search(&query).await?;
    ui.notices(&found.notices);
    ui.instead(&found.instead);
    let hits = found.hits.iter().map(|hit| &hit.interaction);
    let hits: Vec<&Interaction> = hits.collect();
    let around = match args.context {
        0 => Vec::new(),
        count => {
            let count = usize::from(count);
            memory.store.around(&query.filter, &hits, count).await?
        }
    };
    let ids = hits.iter().map(|turn| &turn.interaction_id);
    shown.list(ids.collect(), &args.found.whose);
    let mode = args.mode.as_str();
    let names = memory.names().await?;
    ui.hits(&text, mode, &found, &around, args.explain, &names)
}
