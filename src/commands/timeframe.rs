//! `/timeframe`: list all that was said in an exact window of time.

use anyhow::{Result, bail};

use crate::chat::Memory;
use crate::timeframe::{self, Range};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "/timeframe [OPTIONS] <WHEN> [UNTIL] [USER]",
    after_help = "Examples:\n  /timeframe 2025-09-15\n  /timeframe 2025-09-15 10:00 2025-09-15 12:15\n  /timeframe 2025-09-15T10:00Z 2025-09-15T12:15Z\n  /timeframe 2025-09-01 2025-09-30 alice\n\nA date alone is its day, a minute its 60 seconds. Times are local unless they carry an offset.\nThe end of a window is not in it, but a date as end means the end of that day."
)]
pub struct Args {
    /// A day or a minute, or the beginning and the end of a window; then whose history, if another user's
    #[arg(required = true, value_name = "WHEN")]
    words: Vec<String>,
    /// Show at most this many, the latest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let (range, user) = read(&args.words)?;
    let filter = memory
        .filter(user, Some(range.from), Some(range.until))
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

/// Reads one or two times, of one or two words each, and the user that may follow.
fn read(words: &[String]) -> Result<(Range, Option<&str>)> {
    let (from, rest) = time(words);
    // What begins with a digit is meant as a time, so that a mistyped one is not taken for a user.
    let (until, rest) = match rest.first() {
        Some(word) if word.starts_with(|c: char| c.is_ascii_digit()) => time(rest),
        _ => (String::new(), rest),
    };
    let range = if until.is_empty() {
        timeframe::range(&from)?
    } else {
        timeframe::between(&from, &until)?
    };
    match rest {
        [] => Ok((range, None)),
        [user] => Ok((range, Some(user))),
        [_, extra, ..] => bail!("`{extra}` is too much: give a time, an end and a user at most"),
    }
}

/// Takes a time off the front: a word, or a date and the time of day after it.
fn time(words: &[String]) -> (String, &[String]) {
    if let [date, time, rest @ ..] = words {
        let both = format!("{date} {time}");
        if timeframe::range(&both).is_ok() {
            return (both, rest);
        }
    }
    (
        words.first().cloned().unwrap_or_default(),
        words.get(1..).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let shown = match read(&words) {
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
    fn times_of_one_or_two_words_and_a_user_are_told_apart() {
        check("2025-09-15T10:00Z", "15T10:00..15T10:01 -");
        check(
            "2025-09-15 10:00Z 2025-09-15 12:15Z",
            "15T10:00..15T12:15 -",
        );
        check(
            "2025-09-15T10:00Z 2025-09-15 12:15Z alice",
            "15T10:00..15T12:15 alice",
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
            "the end `2025-09-15T09:00:00+00:00` is not after the beginning `2025-09-15T10:00:00+00:00`",
        );
    }
}
