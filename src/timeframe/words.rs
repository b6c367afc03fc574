//! The vocabulary of times: names, numbers and units.

use chrono::{TimeDelta, Weekday};

/// Is a length of time that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Time(TimeDelta),
    Days(i64),
    Months(i64),
}

/// Reads the name of a day of the week.
pub fn weekday(word: &str) -> Option<Weekday> {
    match word.trim_end_matches('.') {
        "tues" => Some(Weekday::Tue),
        "weds" => Some(Weekday::Wed),
        "thur" | "thurs" => Some(Weekday::Thu),
        word => word.parse().ok(),
    }
}

/// Reads the name of a month.
pub fn month(word: &str) -> Option<u32> {
    let word = word.trim_end_matches('.');
    let word = if word == "sept" { "sep" } else { word };
    let month: chrono::Month = word.parse().ok()?;
    Some(month.number_from_month())
}

/// Reads the name of a season: the month it begins with, in the north.
pub fn season(word: &str) -> Option<u32> {
    Some(match word {
        "spring" => 3,
        "summer" => 6,
        "autumn" | "fall" => 9,
        "winter" => 12,
        _ => return None,
    })
}

/// Reads `15` and `15th`.
pub fn day_of(word: &str) -> Option<u32> {
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_day = ["", "st", "nd", "rd", "th"].contains(&&word[number.len()..]);
    let is_short = is_day && (1..=2).contains(&number.len()) && is_number(number);
    number.parse().ok().filter(|_| is_short)
}

/// Reads a year of four digits.
pub fn year(word: &str) -> Option<i32> {
    word.parse()
        .ok()
        .filter(|_| word.len() == 4 && is_number(word))
}

pub fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a number, in thousandths: `3`, `1.5`, `two`.
pub fn thousandths(word: &str) -> Option<i64> {
    const NAMES: [&str; 12] = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    if matches!(word, "a" | "an") {
        return Some(1000);
    }
    if let Some(at) = NAMES.iter().position(|name| *name == word) {
        return Some((i64::try_from(at).ok()? + 1) * 1000);
    }
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    if !is_number(whole) || !is_number(part) || part.len() > 3 {
        return None;
    }
    let part: i64 = format!("{part:0<3}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(part)
}

/// Reads the name of a unit.
pub fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Time(TimeDelta::seconds(1)),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Time(TimeDelta::minutes(1)),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Time(TimeDelta::hours(1)),
        "d" | "day" | "days" => Unit::Days(1),
        "w" | "wk" | "wks" | "week" | "weeks" => Unit::Days(7),
        "fortnight" | "fortnights" => Unit::Days(14),
        "mo" | "mos" | "month" | "months" => Unit::Months(1),
        "quarter" | "quarters" => Unit::Months(3),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        _ => return None,
    })
}

/// Is a part of the day, in hours since its midnight.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub from: i64,
    pub until: i64,
    /// Between which hours a clock belongs to it, as in `3 in the morning`.
    pub around: (i64, i64),
}

/// Reads the name of a part of the day.
pub fn part(word: &str) -> Option<Part> {
    let (from, until, around) = match word {
        "morning" => (5, 12, (0, 12)),
        "afternoon" => (12, 18, (12, 18)),
        "evening" => (18, 24, (16, 24)),
        "night" => (22, 29, (18, 30)),
        "tonight" => (18, 29, (16, 30)),
        _ => return None,
    };
    Some(Part {
        from,
        until,
        around,
    })
}
