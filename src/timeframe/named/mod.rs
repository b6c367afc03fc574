//! Times inside a question, as in `what did we decide in May about pools`: precise rather than greedy, since most words that can be
//! times are something else.

use std::ops;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::words::{is_number, month, weekday};
use super::{Range, Zone, grammar, range_at};

/// How many words a time has at most.
const LONGEST: usize = 9;

/// Words before a month that make it one: `in may`, not `may I`.
const BEFORE_MONTH: &str =
    "in since during until till before after early mid late from around throughout";
/// Words before a year that make it one: `in 2023`, not `error 2023`.
const BEFORE_YEAR: &str = "in since during until till before after from year throughout";
/// Words before a date: `on may 8`, not `may 8 clients connect`.
const BEFORE_DATE: &str = "on since until till before after by of from between around the";
/// Words that open a window on the side of a time.
const OPEN: &str = "since until till before after";
/// Names of months that are nothing else.
const MONTHS: &str = "january february july september october november december";
const SEASONS: &str = "spring summer autumn fall winter";
const WEEKDAYS: &str =
    "monday tuesday wednesday thursday friday saturday sunday tue tues thu thurs";
/// What `last` and `this` make a time.
const UNITS: &str = "week month year quarter weekend night morning afternoon evening hour";
/// A year with every day that there can be.
const LEAP_YEAR: i32 = 2024;
/// What a number before counts, though it could be a year.
const COUNTED: &str = "ms px kb mb gb kib mib gib k characters and or to x";

/// Is a time that a question names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub time: Time,
    /// Where in the question it stands.
    pub at: ops::Range<usize>,
}

/// Says when: without a year, any year may be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    Window(Range),
    /// A month of any year, from 1 on.
    Month(u32),
    /// A day of a month of any year.
    Day {
        month: u32,
        day: u32,
    },
}

impl Time {
    /// Returns whether a moment lies in it, by the calendar of a zone.
    pub fn holds(&self, moment: DateTime<Utc>, zone: Zone) -> bool {
        let local = zone.local(moment);
        match *self {
            Time::Window(Range { from, until }) => (from..until).contains(&moment),
            Time::Month(month) => local.month() == month,
            Time::Day { month, day } => local.month() == month && local.day() == day,
        }
    }
}

/// Is a word of the question, without the marks around it.
struct Word<'q> {
    text: &'q str,
    lower: String,
    at: usize,
    /// Nothing after it belongs to it.
    ends: bool,
    /// A comma follows.
    pauses: bool,
    /// Begins a sentence, where a capital says nothing.
    begins: bool,
}

/// Finds the times that a question names, in order. What has not begun is none of the past.
pub fn named(question: &str, zone: Zone, now: DateTime<Utc>) -> Vec<Named> {
    let words = words(question);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let most = LONGEST.min(words.len() - at);
        let read = |length| Some((read(&words, at, length, zone, now)?, length));
        let Some((time, length)) = (1..=most).rev().find_map(read) else {
            at += 1;
            continue;
        };
        let (first, last) = (&words[at], &words[at + length - 1]);
        at += length;
        if !matches!(time, Time::Window(Range { from, .. }) if from > now) {
            found.push(Named {
                time,
                at: first.at..last.at + last.text.len(),
            });
        }
    }
    found
}

fn words(question: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word> = Vec::new();
    for whole in question.split_whitespace() {
        let text = whole.trim_matches(|c: char| !c.is_alphanumeric());
        let bare = ["'s", "’s"].iter().find_map(|end| text.strip_suffix(end));
        let text = bare.unwrap_or(text);
        if text.is_empty() {
            if let Some(last) = words.last_mut() {
                last.ends = true;
            }
            continue;
        }
        let offset = |inner: &str| inner.as_ptr() as usize - question.as_ptr() as usize;
        let at = offset(text);
        let after = &whole[at - offset(whole) + text.len()..];
        let lower = text.to_lowercase();
        words.push(Word {
            text,
            ends: after.contains(['.', '?', '!', ';', ':', ')']) && month(&lower).is_none(),
            pauses: after.contains(','),
            begins: words.last().is_none_or(|word: &Word| word.ends),
            lower,
            at,
        });
    }
    words
}

/// Reads as many words as one time, where they are one and nothing else.
fn read(words: &[Word], at: usize, length: usize, zone: Zone, now: DateTime<Utc>) -> Option<Time> {
    let phrase = &words[at..at + length];
    let (last, inner) = phrase.split_last()?;
    // Within a time a comma is only before a number, as in `May 8, 2023`, or after a weekday.
    let goes_on = |(word, next): (&Word, &Word)| {
        !word.ends
            && (!word.pauses
                || next.lower.starts_with(|c: char| c.is_ascii_digit())
                || is_weekday(&word.lower))
    };
    if !inner.iter().zip(&phrase[1..]).all(goes_on)
        || is_noise(&phrase[0].lower)
        || is_noise(&last.lower)
    {
        return None;
    }
    let mut before = words[..at].iter().rev().filter(|word| word.lower != "the");
    let lead = before.next().filter(|word| !word.ends && !word.pauses);
    let lead = lead.map_or("", |word| word.lower.as_str());
    let next = words
        .get(at + length)
        .filter(|_| !last.ends && !last.pauses);
    let kind = kind(
        phrase,
        lead,
        words[..at].last(),
        next,
        zone.local(now).year(),
    )?;
    let text = || {
        let lower: Vec<&str> = phrase.iter().map(|word| word.lower.as_str()).collect();
        lower.join(" ")
    };
    let open = is_one_of(lead, OPEN);
    if let (Some(time), false) = (kind, open) {
        return Some(time);
    }
    let whole = open.then(|| range_at(&format!("{lead} {}", text()), zone, now).ok());
    let range = whole
        .flatten()
        .or_else(|| Some(grammar::span(&text(), zone, now)?.range));
    range.map(Time::Window)
}

/// Returns whether words are certainly a time, and which where any year may be meant.
#[expect(
    clippy::option_option,
    reason = "a time that the grammar reads, or one of any year"
)]
fn kind(
    phrase: &[Word],
    lead: &str,
    previous: Option<&Word>,
    next: Option<&Word>,
    this_year: i32,
) -> Option<Option<Time>> {
    let lower: Vec<&str> = phrase.iter().map(|word| word.lower.as_str()).collect();
    let has = |known: &str| lower.iter().any(|word| is_one_of(word, known));
    let year = |word: &str| {
        let year = Some(word).filter(|word| word.len() == 4 && is_number(word))?;
        year.parse()
            .ok()
            .filter(|year| (1970..=this_year).contains(year))
    };
    let is_repeated =
        previous.is_some_and(|word| matches!(&word.lower[..], "every" | "each" | "any" | "black"));
    let has_year = lower.iter().any(|word| year(word).is_some());
    let is_dated = lower.iter().any(|word| is_date(word));
    if has("today yesterday tonight ago") || is_dated {
        return Some(None);
    }
    if let ["last" | "past" | "previous" | "this", rest @ ..] = &lower[..] {
        let is_unit = rest
            .iter()
            .any(|word| is_one_of(word, UNITS) || is_one_of(word, SEASONS));
        let is_named = rest
            .iter()
            .any(|word| is_weekday(word) || month(word).is_some());
        let is_counted = rest.len() == 2 && !rest[1].starts_with("sec");
        return (is_unit || is_named || is_counted).then_some(None);
    }
    if has(WEEKDAYS) {
        return (!is_repeated).then_some(None);
    }
    if let Some(named) = phrase.iter().find(|word| month(&word.lower).is_some()) {
        let month = month(&named.lower)?;
        let is_capital = named.text.starts_with(char::is_uppercase) && !named.begins;
        let is_sure = is_one_of(&named.lower, MONTHS);
        if has_year {
            return Some(None);
        }
        return match &lower[..] {
            [_] if is_sure || is_one_of(lead, BEFORE_MONTH) || (is_capital && lead == "of") => {
                Some(Some(Time::Month(month)))
            }
            [a, b] | [a, "of", b] => {
                let number = if std::ptr::eq(named, &raw const phrase[0]) {
                    b
                } else {
                    a
                };
                let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let day = digits.parse().ok()?;
                NaiveDate::from_ymd_opt(LEAP_YEAR, month, day)?;
                let is_sure = is_sure || is_capital || digits.len() < number.len();
                let is_date = is_sure || is_one_of(lead, BEFORE_DATE);
                is_date.then_some(Some(Time::Day { month, day }))
            }
            _ => None,
        };
    }
    if has_year && (has(SEASONS) || has("week q1 q2 q3 q4")) {
        return Some(None);
    }
    if let [number] = &lower[..] {
        let is_counted = next.is_some_and(|next| {
            let is_many = next.lower.len() > 3 && next.lower.ends_with('s') && next.lower != "does";
            is_many || is_one_of(&next.lower, COUNTED)
        });
        let is_year = year(number).is_some() && is_one_of(lead, BEFORE_YEAR) && !is_counted;
        return is_year.then_some(None);
    }
    None
}

fn is_one_of(word: &str, known: &str) -> bool {
    known.split(' ').any(|one| one == word)
}

/// Returns whether a word is a date with a year: `2025-09-15`, `2025-09`, `8.11.2026`.
fn is_date(word: &str) -> bool {
    let date = word.split('t').next().unwrap_or(word);
    let parts: Vec<&str> = date.split(['-', '.', '/']).collect();
    let marks = date.matches(|c: char| !c.is_ascii_digit()).count();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    parts.iter().all(|part| is_number(part))
        && marks + 1 == parts.len()
        && match lengths[..] {
            [4, 2] => date.contains('-') && (date.starts_with("19") || date.starts_with("20")),
            [4, 2, 2] | [1..=2, 1..=2, 4] => true,
            _ => false,
        }
}

fn is_weekday(word: &str) -> bool {
    weekday(word).is_some()
}

fn is_noise(word: &str) -> bool {
    matches!(word, "in" | "on" | "at" | "the" | "of" | "and" | "during")
}

#[cfg(test)]
mod tests;
