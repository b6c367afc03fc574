//! `/sql`: read-only SQL over what is recorded.

use anyhow::{Result, bail};

use super::arguments::Whose;
use crate::chat::Memory;
use crate::store::Hinted;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /sql SELECT model, count(*) FROM interactions GROUP BY model\n  /sql --csv SELECT timestamp, query FROM interactions ORDER BY timestamp DESC LIMIT 20\n  /sql describe interactions\n\nThe views are interactions, react_cycles, sessions, users and passages; they hold your own rows; `show tables` and `describe interactions` tell more. Options come before the query.\nOutside a chat the query may come from standard input."
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
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
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
    if let Some(option) = late_option(&query) {
        bail!(Hinted {
            message: format!("`{option}` stands after the query, where it would be a comment"),
            hint: "options come before it: `/sql --csv SELECT …`".to_owned(),
        });
    }
    let filter = memory.filter(args.whose.whom(), None, None).await?;
    let limit = usize::try_from(args.limit)?;
    let rows = memory.store.sql(&filter, &query, limit, ui.zone()).await?;
    ui.rows(&rows, args.csv)
}

/// Returns an option in the last line of a query, outside quotes: `--csv`, not `-- csv`.
fn late_option(query: &str) -> Option<&str> {
    let last = query.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in query.char_indices() {
        match quote {
            Some(open) => quote = (c != open).then_some(open),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c == '-' && at >= last && before.is_whitespace() => {
                let word = query[at..].split_whitespace().next().unwrap_or_default();
                let name = word.strip_prefix("--").unwrap_or_default();
                let name = name.split('=').next().unwrap_or_default();
                let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
                if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_name) {
                    return Some(word);
                }
            }
            None => {}
        }
        before = c;
    }
    None
}
