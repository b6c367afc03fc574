//! `/timeframe`: list all that was said in an exact window of time.

use anyhow::{Result, bail};

use super::arguments::Whose;
use super::shown::Shown;
use super::which::Which;
use crate::chat::Memory;
use crate::timeframe::{self, Range, Zone};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "/timeframe [OPTIONS] <WHEN> [UNTIL] [USER]",
    after_help = "Examples:\n  /timeframe 2025-09-15\n  /timeframe Sept 15, 2025 10:00-12:15\n  /timeframe 2025-09-15T10:00 2025-09-15T12:15\n  /timeframe yesterday 9am..noon\n  /timeframe last 3 days\n  /timeframe last week alice\n  /timeframe today --folder . --status failed\n\nA date alone is its day, a minute its 60 seconds, `monday` the last one that was. Times are local unless they carry an offset.\nThe end of a window is not in it, but a date as end means the end of that day."
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub async fn run(args: Args, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    let (range, user) = read(&args.words, memory.zone)?;
    let whose = user.map_or_else(|| args.whose.clone(), Whose::named);
    let filter = memory
        .filter(whose.whom(), Some(range.from), Some(range.until))
        .await?;
    let filter = args.which.narrow(filter, memory).await?;
    ui.window(&range);
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

/// Reads one time or two, of any number of words, and the user that may follow.
fn read(words: &[String], zone: Zone) -> Result<(Range, Option<&str>)> {
    let window = |words: &[String]| timeframe::range(&words.join(" "), zone);
    let whole = match window(words) {
        Ok(range) => return Ok((range, None)),
        Err(error) => error,
    };
    let Some((user, rest)) = words.split_last() else {
        return Err(whole);
    };
    // What begins with a digit is meant as a time, so that a mistyped one is not taken for a user.
    let may_be_user = !user.starts_with(|c: char| c.is_ascii_digit());
    if rest.is_empty() || !may_be_user {
        return Err(whole);
    }
    match window(rest) {
        Ok(range) => Ok((range, Some(user))),
        Err(_) if rest.len() > 1 && window(&rest[..rest.len() - 1]).is_ok() => {
            bail!("`{user}` is too much: give a time, an end and a user at most")
        }
        Err(_) => Err(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let shown = match read(&words, Zone::named("UTC").unwrap()) {
            Ok((range, user)) => format!(
                "{}..{} {}",
                range.from.format("%dT%H:%M"),
                range.until.format("%dT%H:%M"),
                user.unwrap_or("-")
            ),
            Err(error) => error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn times_of_any_number_of_words_and_a_user_are_told_apart() {
        check("2025-09-15T10:00Z", "15T10:00..15T10:01 -");
        let window = "15T10:00..15T12:15";
        check(
            "2025-09-15 10:00Z 2025-09-15 12:15Z",
            &format!("{window} -"),
        );
        check("Sept 15, 2025 10:00-12:15", &format!("{window} -"));
        check(
            "Sept 15, 2025 10:00 12:15 alice",
            &format!("{window} alice"),
        );
        check(
            "2025-09-15T10:00Z 2025-09-15 12:15Z alice",
            &format!("{window} alice"),
        );
        check("2025-09-15 10:00Z alice", "15T10:00..15T10:01 alice");
        check(
            "2025-09-15T10:00Z 2025-9-99",
            "cannot read `2025-9-99` as a date or a time",
        );
        check(
            "2025-09-15T10:00Z alice bob",
            "`bob` is too much: give a time, an end and a user at most",
        );
        check(
            "2025-09-15T10:00Z 2025-09-15T09:00Z",
            "the end `2025-09-15 09:00:00 +00:00` is not after the beginning `2025-09-15 10:00:00 +00:00`",
        );
    }
}
