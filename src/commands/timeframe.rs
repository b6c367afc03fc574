//! `/timeframe`: list all that was said in an exact window of time.

use anyhow::Result;

use super::arguments::Whose;
use super::shown::Shown;
use super::which::Which;
use crate::chat::Memory;
use crate::timeframe::{self, Range};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "/timeframe [OPTIONS] <WHEN> [UNTIL] [USER]",
    after_help = "Examples:\n  /timeframe 2025-09-15\n  /timeframe Sept 15, 2025 10:00-12:15\n  /timeframe 2025-09-15T10:00 2025-09-15T12:15\n  /timeframe yesterday 9am..noon\n  /timeframe yesterday evening\n  /timeframe from nov 1 to nov 3\n  /timeframe last 3 days\n  /timeframe last week alice\n  /timeframe today --folder . --status failed\n\nA date alone is its day, `10am` its hour, `10:00` its minute, `monday` and `november` the last one that has begun. Times are local unless they carry an offset.\nThe end of a window is not in it, but a date as end means the end of that day."
)]
pub struct Args {
    /// A time, or the beginning and the end of a window; then whose history, if another user's
    #[arg(required = true, value_name = "WHEN")]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    which: Box<Which>,
    /// Show at most this many, the latest
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub async fn run(args: Args, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    let (range, user) = read(&args.words, memory).await?;
    let whose = user.map_or_else(|| args.whose.clone(), Whose::named);
    let filter = memory
        .filter(whose.whom(), Some(range.from), Some(range.until))
        .await?;
    let filter = args.which.narrow(filter, memory).await?;
    ui.window(Some(range.from), Some(range.until));
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
    let ids = interactions.iter().map(|turn| &turn.interaction_id);
    shown.list(ids.collect(), &whose);
    ui.timeframe(&range, &interactions, &memory.names().await?, more)
}

/// Reads one time or two, of any number of words, and the user that may follow: one that there is, so that what is no time is told.
async fn read<'a>(words: &'a [String], memory: &Memory) -> Result<(Range, Option<&'a str>)> {
    let window = |words: &[String]| timeframe::range(&words.join(" "), memory.zone);
    let whole = match window(words) {
        Ok(range) => return Ok((range, None)),
        Err(error) => error,
    };
    // What begins with a digit is meant as a time.
    let last = words.split_last();
    let last = last.filter(|(user, _)| !user.starts_with(|c: char| c.is_ascii_digit()));
    let Some((user, rest)) = last.filter(|(_, rest)| !rest.is_empty()) else {
        return Err(whole);
    };
    let Ok(range) = window(rest) else {
        return Err(whole);
    };
    // Who may see no other history is refused all of them alike.
    let me = memory.store.find(memory.me()).await?;
    let is_member = me.is_some_and(|me| !me.is_admin());
    match is_member || memory.store.user(user).await?.is_some() {
        true => Ok((range, Some(user))),
        false => Err(whole),
    }
}
