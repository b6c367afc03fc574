//! `/sql`: read-only SQL over what is recorded.

use anyhow::{Result, bail};

use super::arguments::Whose;
use crate::chat::Memory;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /sql SELECT model, count(*) FROM interactions GROUP BY model\n  /sql --csv SELECT timestamp, query FROM interactions ORDER BY timestamp DESC LIMIT 20\n\nThe views are interactions, react_cycles, sessions, users and passages; they hold your own rows. Options come before the query.\nOutside a chat the query may come from standard input."
)]
pub struct Args {
    /// The query
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    query: Vec<String>,
    /// Print comma-separated values
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    whose: Whose,
    /// Show at most this many rows
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Args {
    /// Takes the query from a text, if none was given.
    pub fn or_query(&mut self, text: impl FnOnce() -> Result<String>) -> Result<()> {
        if self.query.is_empty() {
            self.query.push(text()?);
        }
        Ok(())
    }
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let query = args.query.join(" ");
    if query.trim().is_empty() {
        bail!("there is no query: `/sql SELECT count(*) FROM interactions`");
    }
    let filter = memory.filter(args.whose.whom(), None, None).await?;
    let limit = usize::try_from(args.limit)?;
    let rows = memory.store.sql(&filter, &query, limit).await?;
    ui.rows(&rows, args.csv)
}
