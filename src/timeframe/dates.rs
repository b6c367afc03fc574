//! Dates that are written in figures, in one word.

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc, Weekday};

use super::words::{self, Unit};

/// Reads a date that is written in one word: `2025-09-15`, `2025-09`, `2025-W38`, `8.11.2026`.
pub fn written(word: &str, today: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    let day = |day: NaiveDate| unit_around(day, Unit::Days(1));
    let ymd = |year, month, day| NaiveDate::from_ymd_opt(year, month, day);
    let parts: Vec<&str> = word.split(['-', '.', '/']).collect();
    let mark = word.chars().find(|c| !c.is_ascii_alphanumeric());
    let number =
        |text: &str| -> Option<u32> { text.parse().ok().filter(|_| words::is_number(text)) };
    let short = |text: &str| number(text).filter(|_| text.len() <= 2);
    if word
        .matches(['-', '.', '/'])
        .any(|other| Some(other) != mark.map(String::from).as_deref())
    {
        return None;
    }
    match parts[..] {
        [year, rest] if words::year(year).is_some() && mark == Some('-') => {
            let year = words::year(year)?;
            if let Some(week) = rest.strip_prefix('w').and_then(short) {
                let monday = NaiveDate::from_isoywd_opt(year, week, Weekday::Mon)?;
                return unit_around(monday, Unit::Days(7));
            }
            if let Some(quarter @ 1..=4) = rest.strip_prefix('q').and_then(short) {
                return unit_around(ymd(year, quarter * 3, 1)?, Unit::Months(3));
            }
            unit_around(ymd(year, short(rest)?, 1)?, Unit::Months(1))
        }
        [year, month, date] if words::year(year).is_some() => {
            day(ymd(words::year(year)?, short(month)?, short(date)?)?)
        }
        // Days first with dots.
        [date, month, ""] if mark == Some('.') => {
            let (month, date) = (short(month)?, short(date)?);
            // The 29th of February is as far away as eight years.
            let mut past = (0..=8).filter_map(|back| ymd(today.year() - back, month, date));
            day(past.find(|date| *date <= today)?)
        }
        [_, _, year] if mark == Some('.') => {
            let (date, month) = (short(parts[0])?, short(parts[1])?);
            day(ymd(full_year(year)?, month, date)?)
        }
        // With others only where it cannot be read both ways.
        [a, b, year] => match both_ways(short(a)?, short(b)?, full_year(year)?) {
            (Some(one), other) if other.is_none_or(|other| other == one) => day(one),
            (None, Some(one)) => day(one),
            _ => None,
        },
        [digits] if digits.len() == 8 && words::is_number(digits) => {
            let date = NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?;
            (1970..=2099).contains(&date.year()).then_some(())?;
            day(date)
        }
        _ => None,
    }
}

fn full_year(word: &str) -> Option<i32> {
    match word.len() {
        2 if words::is_number(word) => Some(2000 + word.parse::<i32>().ok()?),
        _ => words::year(word),
    }
}

/// Returns the dates that two numbers and a year can be: days first, months first.
fn both_ways(a: u32, b: u32, year: i32) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let date = |month, day| NaiveDate::from_ymd_opt(year, month, day);
    (date(b, a), date(a, b))
}

/// Reads the two readings of a date with slashes that has two.
pub fn ambiguous(word: &str) -> Option<(NaiveDate, NaiveDate)> {
    let parts: Vec<&str> = word.split(['/', '-']).collect();
    let [a, b, year] = parts[..] else { return None };
    let (a, b) = (words::day_of(a)?, words::day_of(b)?);
    match both_ways(a, b, full_year(year)?) {
        (Some(one), Some(other)) if one != other => Some((one, other)),
        _ => None,
    }
}

/// Reads seconds since 1970, or thousandths, millionths or billionths of one.
pub fn since_1970(word: &str) -> Option<DateTime<Utc>> {
    let word = word.strip_prefix('@').unwrap_or(word);
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let is_number = words::is_number(whole) && (fraction.is_empty() || words::is_number(fraction));
    let count: i64 = whole.parse().ok().filter(|_| is_number)?;
    match whole.len() {
        9 | 10 => DateTime::from_timestamp(count, 0),
        13 => DateTime::from_timestamp_millis(count),
        16 => DateTime::from_timestamp_micros(count),
        19 => Some(DateTime::from_timestamp_nanos(count)),
        _ => None,
    }
}

/// Returns the first day of a unit around a day, and the one after its last.
pub fn unit_around(day: NaiveDate, unit: Unit) -> Option<(NaiveDate, NaiveDate)> {
    let first = |month| NaiveDate::from_ymd_opt(day.year(), month, 1);
    match unit {
        Unit::Time(_) => None,
        Unit::Days(1) => Some((day, day.succ_opt()?)),
        // Two weeks ago is a week.
        Unit::Days(_) => {
            let monday = day.week(Weekday::Mon).checked_first_day()?;
            Some((monday, monday.checked_add_signed(TimeDelta::days(7))?))
        }
        Unit::Months(months) => {
            let count = u32::try_from(months).ok()?;
            let from = first((day.month() - 1) / count * count + 1)?;
            Some((from, from.checked_add_months(Months::new(count))?))
        }
    }
}
