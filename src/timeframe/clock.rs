//! Times of day.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::words::is_number;

/// Is a time of day.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Clock {
    /// Since midnight; 24:00 is the end of the day.
    pub since: TimeDelta,
    /// The length of its last unit.
    pub length: TimeDelta,
    /// May be meant for before noon and for after it.
    pub is_open: bool,
}

impl Clock {
    /// Returns the time on a day.
    pub fn on(self, day: NaiveDate) -> NaiveDateTime {
        day.and_time(NaiveTime::MIN) + self.since
    }

    /// Returns a whole hour.
    pub fn hour(hour: u32) -> Option<Clock> {
        (hour <= 24).then(|| Clock {
            since: TimeDelta::hours(hour.into()),
            length: TimeDelta::hours(1),
            is_open: (1..=12).contains(&hour),
        })
    }

    /// Reads the time of day at the beginning of words, and how many words it takes.
    pub fn take(words: &[&str]) -> Option<(Clock, usize)> {
        if let [number, meridiem @ ("am" | "pm"), ..] = words {
            return Some((of(number, meridiem)?, 2));
        }
        if let [number, "o'clock", ..] = words {
            return Some((Clock::hour(number.parse().ok()?)?, 2));
        }
        Some((clock(words.first()?)?, 1))
    }
}

/// Reads a time of day that stands alone.
pub fn time_of_day(text: &str) -> Option<Clock> {
    clock(&text.trim().to_lowercase().replace(' ', ""))
}

/// Reads a time of day in one word.
fn clock(word: &str) -> Option<Clock> {
    match word {
        "noon" | "midday" => of("12", "pm"),
        "midnight" => of("12", "am"),
        _ => match (word.strip_suffix("am"), word.strip_suffix("pm")) {
            (Some(number), _) => of(number, "am"),
            (_, Some(number)) => of(number, "pm"),
            _ => of(word, ""),
        },
    }
}

/// Reads the numbers of a time of day, which `am` or `pm` may follow.
fn of(numbers: &str, meridiem: &str) -> Option<Clock> {
    let (whole, fraction) = numbers.split_once('.').unwrap_or((numbers, "0"));
    let parts: Vec<&str> = whole.split(':').collect();
    let is_short = |part: &&str| (1..=2).contains(&part.len()) && is_number(part);
    if !parts.iter().all(is_short) || !(fraction.is_empty() || is_number(fraction)) {
        return None;
    }
    let parts: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let (hour, minute, second, length) = match parts[..] {
        [hour] if !meridiem.is_empty() => (hour, 0, 0, TimeDelta::hours(1)),
        [hour, minute] => (hour, minute, 0, TimeDelta::minutes(1)),
        [hour, minute, second] => (hour, minute, second, TimeDelta::seconds(1)),
        _ => return None,
    };
    if numbers.contains('.') && (parts.len() < 3 || fraction.is_empty()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}")[..9].parse().ok()?;
    let seconds = TimeDelta::new(second.into(), nanoseconds)?;
    let is_open = meridiem.is_empty() && (1..=12).contains(&hour) && !numbers.starts_with('0');
    let hour = match meridiem {
        "" => hour,
        _ if !(1..=12).contains(&hour) => return None,
        "am" => hour % 12,
        _ => hour % 12 + 12,
    };
    let since = TimeDelta::hours(hour.into()) + TimeDelta::minutes(minute.into()) + seconds;
    let is_time = minute < 60 && second < 60 && since <= TimeDelta::hours(24);
    is_time.then_some(Clock {
        since,
        length,
        is_open,
    })
}
