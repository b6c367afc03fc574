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
    /// Whether it came from elsewhere, where nobody writes options.
    #[arg(skip)]
    is_piped: bool,
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
            self.is_piped = true;
            self.query.push(text()?);
        }
        Ok(())
    }
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let query = args.query.join(" ");
    if query.trim().is_empty() {
        bail!("there is no query, such as `SELECT count(*) FROM interactions`");
    }
    let option = only_option(&query).or_else(|| late_option(&query));
    if let Some(option) = option.filter(|_| !args.is_piped) {
        bail!(Hinted {
            message: format!("`{option}` is no option there, but a comment of SQL"),
            hint: "options come before the query: `--csv SELECT …`".to_owned(),
        });
    }
    let filter = memory.filter(args.whose.whom(), None, None).await?;
    let limit = usize::try_from(args.limit)?;
    let rows = memory.store.sql(&filter, &query, limit, ui.zone()).await?;
    ui.rows(&rows, args.csv)
}

/// Returns what a query of one line begins with that is all comment, and meant as an option: `--jsn`.
fn only_option(query: &str) -> Option<&str> {
    let word = query.split_whitespace().next()?;
    let is_name = word.strip_prefix("--")?.starts_with(char::is_alphabetic);
    (is_name && !query.trim().contains('\n')).then_some(word)
}

/// Returns an option that stands in the last line of a query outside quotes, where SQL has a comment: `--csv`, not `-- csv`.
fn late_option(query: &str) -> Option<&str> {
    const OPTIONS: [&str; 5] = ["csv", "limit", "user", "all-users", "json"];
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in query.char_indices() {
        match quote {
            Some(open) => quote = (c != open).then_some(open),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if before.is_whitespace() && query[at..].starts_with("--") => {
                let word = query[at..].split_whitespace().next().unwrap_or_default();
                let name = word.trim_start_matches('-').split('=').next();
                // A comment, to the end of its line; the quotes in it are none.
                return match query[at..].find('\n') {
                    Some(end) => late_option(&query[at + end..]),
                    None => Some(word).filter(|_| name.is_some_and(|it| OPTIONS.contains(&it))),
                };
            }
            None => {}
        }
        before = c;
    }
    None
}
