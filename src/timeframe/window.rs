//! Windows: a beginning and an end, and what one of them lends the other.

use super::clock::time_of_day;
use super::grammar::plain;
use super::pieces::offset;
use super::words::{day_of, is_number, month, weekday};

/// What separates the two ends, beside a dash within a word.
const SEPARATORS: [&str; 14] = [
    "...",
    "..",
    "…",
    " to ",
    " until ",
    " till ",
    " through ",
    " thru ",
    " - ",
    " – ",
    " — ",
    "–",
    "—",
    "→",
];

/// Says on which side a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    Since,
    After,
    Until,
    Before,
}

/// Reads a window that is open on one side: what its word is, and the time after it.
pub fn open(text: &str) -> Option<(Open, &str)> {
    let (word, rest) = text.trim().split_once(char::is_whitespace)?;
    let open = match &word.to_lowercase()[..] {
        "since" | "from" => Open::Since,
        "after" => Open::After,
        "until" | "till" | "by" | "to" => Open::Until,
        "before" => Open::Before,
        _ => return None,
    };
    Some((open, rest.trim()))
}

/// Splits a window into its beginning and its end, each of which names a time by itself; `None` when the text is no window.
pub fn window(text: &str) -> Option<(String, String)> {
    let text = plain(text);
    let (before, rest, is_between) = lead(&text);
    let with = |from: &str| format!("{before} {from}").trim().to_owned();
    let (from, until) = split(rest, is_between)?;
    Some(lend(&with(from.trim()), until.trim()))
}

/// Tells what is before `from` or `between`, and what is after it.
fn lead(text: &str) -> (&str, &str, bool) {
    for (word, is_between) in [("from ", false), ("between ", true), ("since ", false)] {
        if let Some(rest) = text.strip_prefix(word) {
            return ("", rest, is_between);
        }
        if let Some((before, rest)) = text.split_once(&format!(" {word}")) {
            return (before, rest, is_between);
        }
    }
    ("", text, false)
}

fn split(text: &str, is_between: bool) -> Option<(&str, &str)> {
    if let Some(ends) = text.split_once(" and ").filter(|_| is_between) {
        return Some(ends);
    }
    if let Some(ends) = SEPARATORS
        .iter()
        .find_map(|separator| text.split_once(separator))
    {
        return Some(ends);
    }
    // `10:00-12:15` and `nov 1-3`, where it is neither a date nor an offset.
    let mut dashes = text
        .match_indices('-')
        .map(|(at, _)| (&text[..at], &text[at + 1..]));
    dashes.find(|(from, until)| {
        let ends = from
            .split_whitespace()
            .last()
            .zip(until.split_whitespace().next());
        let touch = !from.ends_with(char::is_whitespace) && !until.starts_with(char::is_whitespace);
        ends.is_some_and(|(from, until)| {
            touch && is_end(from) && is_end(until) && !is_offset(from, until)
        })
    })
}

/// Returns whether a word may be the end of a window by itself.
fn is_end(word: &str) -> bool {
    day_of(word).is_some()
        || time_of_day(word).is_some()
        || month(word).is_some()
        || weekday(word).is_some()
}

/// Returns whether a dash between two words is the sign of an offset: it follows seconds, or would go back in time.
fn is_offset(from: &str, until: &str) -> bool {
    let hours = match until.len() {
        2 => format!("{until}:00"),
        _ => until.to_owned(),
    };
    let ends = time_of_day(from).zip(time_of_day(&hours));
    let goes_back = ends.is_some_and(|(begin, end)| from.contains(':') && begin >= end);
    (goes_back || from.matches(':').count() > 1) && offset(&format!("-{until}")).is_some()
}

/// Gives each end what only the other one says: `nov 1` and `3`, `9` and `5pm`, `1` and `3 nov`.
fn lend(from: &str, until: &str) -> (String, String) {
    let (first, last): (Vec<&str>, Vec<&str>) = (
        from.split_whitespace().collect(),
        until.split_whitespace().collect(),
    );
    let ends = (first.split_last(), last.split_first());
    let (Some((begin, before)), Some((end, after))) = ends else {
        return (from.to_owned(), until.to_owned());
    };
    let joined = |parts: &[&[&str]]| parts.concat().join(" ");
    let has_month = |words: &[&str]| words.iter().any(|word| month(word).is_some());
    let day = |word: &str| day_of(word).filter(|day| (1..=31).contains(day));
    // Beside `nov 3` another number is an hour.
    let is_day_alone =
        |words: &[&str]| words.iter().filter(|word| day(word).is_some()).count() == 1;
    let is_hour = |word: &str| time_of_day(word).is_some() || matches!(word, "am" | "pm");
    let hour = |word: &str| {
        word.parse::<u32>()
            .ok()
            .filter(|hour| is_number(word) && *hour <= 24)
    };
    // `1 to 3 nov`: the beginning is a day of the month of the end.
    let lends =
        is_day_alone(&last) && (day(end).is_some() || !last.iter().any(|word| is_hour(word)));
    if let (Some(_), true, false) = (day(begin), has_month(&last) && lends, has_month(&first)) {
        let mut whole = last.clone();
        if let Some(place) = whole.iter_mut().find(|word| day(word).is_some()) {
            *place = begin;
            return (joined(&[before, &whole]), until.to_owned());
        }
    }
    // `nov 1 to 3`, `nov 1-3 2025`: the end is a day of the month of the beginning.
    if let (Some(_), true, false) = (day(end), has_month(&first), has_month(&last)) {
        let is_day = is_day_alone(&first) && !first.iter().any(|word| is_hour(word));
        let mut whole = first.clone();
        if let (true, Some(place)) = (is_day, whole.iter_mut().find(|word| day(word).is_some())) {
            *place = end;
            return (joined(&[&first, after]), joined(&[&whole, after]));
        }
    }
    // `2025-09-01..03`.
    if let (Some(_), true) = (
        day(end).filter(|_| after.is_empty()),
        begin.len() == 10 && begin.matches('-').count() == 2,
    ) {
        return (from.to_owned(), format!("{}{end:0>2}", &begin[..8]));
    }
    let meridiem = |word: &str| ["am", "pm"].into_iter().find(|half| word.ends_with(half));
    let is_later = |a: &str, b: &str| {
        time_of_day(a)
            .zip(time_of_day(b))
            .is_some_and(|(a, b)| a < b)
    };
    let whole = |hour: u32| format!("{hour}:00");
    let (after, end) = match after {
        [half @ ("am" | "pm"), after @ ..] => (after, format!("{end}{half}")),
        after => (after, (*end).to_owned()),
    };
    let (start, stop) = match (hour(begin), hour(&end)) {
        // `9-11`, and `9-5` from the morning on.
        (Some(a), Some(b)) => {
            let is_afternoon = b <= a && b + 12 > a && b <= 12;
            (whole(a), whole(if is_afternoon { b + 12 } else { b }))
        }
        // `3-5pm`, `11-1pm`.
        (Some(a), None) => match meridiem(&end) {
            Some(half) => {
                let other = if half == "am" { "pm" } else { "am" };
                let same = format!("{a}{half}");
                (
                    if is_later(&same, &end) {
                        same
                    } else {
                        format!("{a}{other}")
                    },
                    end,
                )
            }
            None if time_of_day(&end).is_some() => (whole(a), end),
            None => return (from.to_owned(), until.to_owned()),
        },
        // `9am-11`, `10:00-12`.
        (None, Some(b)) if time_of_day(begin).is_some() => {
            let halves = [b, if b <= 12 { b + 12 } else { b }].map(whole);
            let next = halves.iter().find(|half| is_later(begin, half));
            ((*begin).to_owned(), next.unwrap_or(&halves[0]).clone())
        }
        _ => return (from.to_owned(), until.to_owned()),
    };
    (joined(&[before, &[&start]]), joined(&[&[&stop], after]))
}
