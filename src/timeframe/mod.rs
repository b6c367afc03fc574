//! Turns what a person types for a time into a half-open UTC range, and for an age into a moment, by the rules of a time zone.

mod named;

mod age;
mod grammar;
mod window;

mod pieces;

mod amount;
mod clock;
mod dates;
mod words;
mod zone;

use anyhow::{Result, anyhow, bail};
use chrono::{DateTime, Days, Months, TimeDelta, Utc};

pub use age::age;
pub use named::{Named, Time, named};
use window::Open;
pub use zone::Zone;

/// The forms that are read, for error messages and help.
pub const ACCEPTED: &str = "2025-09-15, 2025-09-15T10:00, 2025-09-15 10:00..12:15, Sept 15, 2025 10:00-12:15, 8.11.2026, 2025-09, november, \
nov 1-3, yesterday evening, today 9am..noon, 10am yesterday, last tuesday morning, last week, last 3 days, 7d, 2h ago, since monday, \
until noon, from nov 1 to nov 3, last 30m (minutes), now, 2025-09-15T10:00:30Z, 2025-09-15T10:00+02:00, 1726400000";

/// Where a window begins that has no beginning, the year before 1: no year that can be typed is older.
pub const BEGINNING: DateTime<Utc> =
    DateTime::from_timestamp(-62_167_219_200, 0).expect("the calendar goes back further");

/// One end of a window of time; none, where it is open.
pub type Bound = Option<DateTime<Utc>>;

/// Holds a half-open range of time: `from` is in it, `until` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

/// Says how often times of such a name come, so that the one is meant that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    Once,
    Day,
    Week,
    Month,
    Year,
}

/// Holds what words for a time name: a whole unit (a day, a month) or a moment in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    range: Range,
    /// A moment ends a window there; a unit ends it with its own end.
    is_moment: bool,
    every: Every,
}

impl Span {
    /// Returns where a window ends that ends with it.
    fn end(self) -> DateTime<Utc> {
        if self.is_moment {
            self.range.from
        } else {
            self.range.until
        }
    }
}

/// Reads the range that words name: one time, as long as its unit (a date is its day, `10am` its hour, `10:00` its minute), or a window
/// with a beginning and an end.
pub fn range(text: &str, zone: Zone) -> Result<Range> {
    range_at(text, zone, Utc::now())
}

/// Reads the moment at which the time named by `text` begins.
pub fn from(text: &str, zone: Zone) -> Result<DateTime<Utc>> {
    Ok(range(text, zone)?.from)
}

/// Reads the moments between which something was, from words for its beginning and its end.
pub fn bounds(from: Option<&str>, until: Option<&str>, zone: Zone) -> Result<(Bound, Bound)> {
    let now = Utc::now();
    let from = from.map(|text| range_at(text, zone, now)).transpose()?;
    let until = until.map(|text| until_at(text, zone, now)).transpose()?;
    let from = from.map(|range| range.from);
    if let (Some(from), Some(until)) = (from, until) {
        in_order(from, until, zone)?;
    }
    Ok((from, until))
}

/// Reads the moment at which a window that ends with `text` ends: the end of the day for a date, the moment itself for a time.
fn until_at(text: &str, zone: Zone, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    match grammar::span(text, zone, now) {
        Some(span) => Ok(span.end()),
        None => Ok(range_at(text, zone, now)?.until),
    }
}

fn range_at(text: &str, zone: Zone, now: DateTime<Utc>) -> Result<Range> {
    if let Some((from, until)) = window::window(text) {
        return between(&from, &until, zone, now);
    }
    if let Some((open, rest)) = window::open(text) {
        return half(open, rest, zone, now);
    }
    if let Some(span) = grammar::span(text, zone, now) {
        return Ok(latest(span, text, zone, now).range);
    }
    // Two times, with nothing but a blank between them, where neither could be a part of the other; an error tells of the part that
    // is none.
    let text = text.trim();
    let blanks = text.match_indices(char::is_whitespace).rev();
    let splits = blanks.map(|(at, _)| text.split_at(at));
    let mut failure = None;
    for (from, until) in splits {
        let begun = grammar::span(from, zone, now);
        if !begun.is_some_and(|span| span.is_moment || span.every == Every::Once) {
            continue;
        }
        match grammar::span(until, zone, now) {
            Some(span) if !matches!(span.every, Every::Once | Every::Day) => {}
            Some(_) => return between(from, until, zone, now),
            None => drop(failure.get_or_insert(unread(until))),
        }
    }
    Err(failure.unwrap_or_else(|| unread(text)))
}

/// Returns the time of day that is meant where no day is named: the last one that has begun.
fn latest(span: Span, text: &str, zone: Zone, now: DateTime<Utc>) -> Span {
    let is_ahead = span.every == Every::Day && span.range.from > now;
    let before = is_ahead.then(|| grammar::span(text, zone, now - TimeDelta::days(1)));
    before.flatten().unwrap_or(span)
}

fn unread(text: &str) -> anyhow::Error {
    let text = text.trim();
    let unclear = text.split_whitespace().find_map(dates::ambiguous);
    if let Some((one, other)) = unclear {
        let long = |date: chrono::NaiveDate| date.format("%-d %B %Y").to_string();
        return anyhow!(
            "`{text}` may be {} or {}: write {one} or {other}",
            long(one),
            long(other)
        );
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if pieces::is_unclear(&words) {
        let count = words[0].trim_end_matches('m');
        return anyhow!(
            "`{text}` may be minutes or months: say `{count} minutes` or `{count} months`"
        );
    }
    anyhow!("cannot read `{text}` as a date or a time\naccepted: {ACCEPTED}")
}

fn in_order(from: DateTime<Utc>, until: DateTime<Utc>, zone: Zone) -> Result<()> {
    if until <= from {
        bail!(
            "the end `{}` is not after the beginning `{}`",
            zone.shown(until),
            zone.shown(from)
        );
    }
    Ok(())
}

/// Reads a window that is open on one side: there it goes on up to now, or from the beginning.
fn half(open: Open, text: &str, zone: Zone, now: DateTime<Utc>) -> Result<Range> {
    // `since 9` means the hour.
    let hour = text.parse::<u32>().ok();
    let hour = hour.filter(|hour| text.len() <= 2 && *hour <= 24);
    let hour = hour.map(|hour| format!("{hour}:00"));
    let words = hour.as_deref().unwrap_or(text);
    let span = grammar::span(words, zone, now).ok_or_else(|| unread(text))?;
    // A window that begins in the future is empty.
    let up_to_now = |from| Range {
        from,
        until: now.max(from),
    };
    let up_to = |until| Range {
        from: BEGINNING,
        until,
    };
    Ok(match open {
        Open::Since => up_to_now(latest(span, words, zone, now).range.from),
        Open::After => up_to_now(latest(span, words, zone, now).end()),
        Open::Until => up_to(span.end()),
        Open::Before => up_to(span.range.from),
    })
}

/// Reads the range from the beginning of `from` to the end of `until`.
///
/// The end is what the word means to a person: all of that day for a date, that very moment for a time.
fn between(from: &str, until: &str, zone: Zone, now: DateTime<Utc>) -> Result<Range> {
    let read = |text: &str, now| grammar::span(text, zone, now).ok_or_else(|| unread(text));
    let (mut begun, mut ended) = (read(from, now)?, read(until, now)?);
    // What says less is of the same day, week or year as the other end.
    let lacks = ended.every == Every::Once && begun.every != Every::Once;
    if begun.every == Every::Day && ended.every == Every::Day {
        begun = latest(begun, from, zone, now);
    } else if begun.every == Every::Day || lacks {
        begun = read(from, ended.range.from)?;
        if begun.every == Every::Day && begun.range.from >= ended.end() {
            begun = read(from, ended.range.from - TimeDelta::days(1))?;
        }
    }
    let begin = begun.range.from;
    let next = match ended.every {
        Every::Once => None,
        Every::Day => {
            ended = read(until, begin)?;
            begin.checked_add_days(Days::new(1))
        }
        Every::Week => begin.checked_add_days(Days::new(7)),
        Every::Month => begin.checked_add_months(Months::new(1)),
        Every::Year => begin.checked_add_months(Months::new(12)),
    };
    if let Some(next) = next.filter(|_| ended.end() <= begin) {
        ended = read(until, next)?;
    }
    in_order(begin, ended.end(), zone)?;
    Ok(Range {
        from: begin,
        until: ended.end(),
    })
}

#[cfg(test)]
mod tests;
