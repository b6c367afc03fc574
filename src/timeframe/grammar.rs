//! The words for times.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday,
};

use super::{Range, Span, Zone};

/// Splits a window into its beginning and its end; `None` when the text is no window.
///
/// `..`, `to`, `until` and a dash between blanks or times of day separate them.
pub fn window(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    for separator in ["..", " to ", " until ", " - ", " – ", "–"] {
        if let Some((from, until)) = text.split_once(separator) {
            return Some((from.trim().to_owned(), until.trim().to_owned()));
        }
    }
    // `10:00-12:15`, where it is no offset: those follow seconds or a `T`, or go back in time.
    let (from, until) = text.rsplit_once('-')?;
    let (until_time, word) = (time_of_day(until)?, from.split_whitespace().last()?);
    let from_time = time_of_day(word)?;
    let is_window = from_time < until_time && word.matches(':').count() < 2;
    is_window.then(|| (from.to_owned(), until.to_owned()))
}

/// Reads one time: a unit or a moment.
pub fn span(text: &str, zone: Zone, now: DateTime<Utc>) -> Option<Span> {
    if let Some(span) = with_offset(text.trim()) {
        return Some(span);
    }
    let text = text.trim().to_lowercase().replace(',', " ");
    // A `T` between date and time is as good as a blank.
    let text = match text.as_bytes().get(10) {
        Some(b't') if text.is_char_boundary(10) => format!("{} {}", &text[..10], &text[11..]),
        _ => text,
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let today = zone.local(now).naive_local();
    relative(&words, zone, now).or_else(|| {
        if let Some(unit) = unit(&words, today) {
            return Some(days(unit, zone));
        }
        // A date and a time of day, or a time of day today.
        let (last, date) = words.split_last()?;
        let (time, seconds) = time(last).or_else(|| {
            let meridiem = matches!(*last, "am" | "pm");
            let (number, _) = date.split_last().filter(|_| meridiem)?;
            time(&format!("{number}{last}"))
        })?;
        let date = if matches!(*last, "am" | "pm") {
            date.split_last()?.1
        } else {
            date
        };
        let day = if date.is_empty() {
            today.date()
        } else {
            let (from, until) = unit(date, today)?;
            // A time of day belongs to a day.
            (until == from.succ_opt()?).then_some(from)?
        };
        let from = zone.moment(day.and_time(time));
        Some(moment(from, from + TimeDelta::seconds(seconds)))
    })
}

/// Reads a time of day that stands alone.
pub fn time_of_day(text: &str) -> Option<NaiveTime> {
    time(&text.trim().to_lowercase().replace(' ', "")).map(|(time, _)| time)
}

/// Reads ISO times with an offset.
fn with_offset(text: &str) -> Option<Span> {
    let text = match text.as_bytes().get(10) {
        Some(b'T' | b't') if text.is_char_boundary(10) => {
            format!("{} {}", &text[..10], &text[11..])
        }
        _ => text.to_owned(),
    };
    let zulu = text.strip_suffix(['Z', 'z']);
    let text = zulu.map_or_else(|| text.clone(), |text| format!("{text}+00:00"));
    [("%H:%M", 60), ("%H:%M:%S", 1), ("%H:%M:%S%.f", 1)]
        .into_iter()
        .find_map(|(format, seconds)| {
            let read = DateTime::parse_from_str(&text, &format!("%Y-%m-%d {format}%:z")).ok()?;
            let from = is_near(read.date_naive()).then(|| read.to_utc())?;
            Some(moment(from, from + TimeDelta::seconds(seconds)))
        })
}

fn moment(from: DateTime<Utc>, until: DateTime<Utc>) -> Span {
    Span {
        range: Range { from, until },
        is_moment: true,
    }
}

fn days((from, until): (NaiveDate, NaiveDate), zone: Zone) -> Span {
    Span {
        range: Range {
            from: zone.moment(from.and_time(NaiveTime::MIN)),
            until: zone.moment(until.and_time(NaiveTime::MIN)),
        },
        is_moment: false,
    }
}

/// Reads `now`, `2h ago` and `last 3 days`.
fn relative(words: &[&str], zone: Zone, now: DateTime<Utc>) -> Option<Span> {
    let today = zone.local(now).naive_local().date();
    match words {
        ["now"] => Some(moment(now, now + TimeDelta::seconds(1))),
        [middle @ .., "ago"] => {
            let (count, unit) = amount(middle)?;
            match unit {
                Unit::Time(length) => {
                    let from = now.checked_sub_signed(length.checked_mul(count)?)?;
                    near(from)?;
                    Some(moment(from, from + length))
                }
                Unit::Days(length) => {
                    let back = u64::try_from(i64::from(count) * length).ok()?;
                    whole(today.checked_sub_days(Days::new(back))?, length, zone)
                }
                Unit::Months(length) => {
                    let back = u32::try_from(i64::from(count) * length).ok()?;
                    let day = today.checked_sub_months(Months::new(back))?;
                    whole_months(day, length, zone)
                }
            }
        }
        // Up to now, so that today is in it.
        ["last" | "past", rest @ ..] => {
            let (count, unit) = match rest {
                [unit] if words[0] == "past" => (1, self::unit_of(unit)?),
                [_, _] => amount(rest)?,
                _ => return None,
            };
            let from = match unit {
                Unit::Time(length) => now.checked_sub_signed(length.checked_mul(count)?)?,
                Unit::Days(length) => {
                    let back = TimeDelta::try_days(i64::from(count) * length)?;
                    zone.moment(zone.local(now).naive_local().checked_sub_signed(back)?)
                }
                Unit::Months(length) => {
                    let back = u32::try_from(i64::from(count) * length).ok()?;
                    let local = zone.local(now).naive_local();
                    zone.moment(local.checked_sub_months(Months::new(back))?)
                }
            };
            near(from)?;
            Some(Span {
                range: Range { from, until: now },
                is_moment: false,
            })
        }
        _ => None,
    }
}

enum Unit {
    Time(TimeDelta),
    Days(i64),
    Months(i64),
}

/// Reads `3 days`, `2h` and `an hour`.
fn amount(words: &[&str]) -> Option<(i32, Unit)> {
    let (number, unit) = match words {
        ["a" | "an" | "one", unit] => ("1", *unit),
        [number, unit] => (*number, *unit),
        [both] => both.split_at(both.find(|c: char| !c.is_ascii_digit())?),
        _ => return None,
    };
    let count: i32 = number.parse().ok()?;
    (count >= 0).then_some((count, unit_of(unit)?))
}

fn unit_of(word: &str) -> Option<Unit> {
    Some(match word {
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Time(TimeDelta::seconds(1)),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Time(TimeDelta::minutes(1)),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Time(TimeDelta::hours(1)),
        "d" | "day" | "days" => Unit::Days(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "month" | "months" => Unit::Months(1),
        "y" | "year" | "years" => Unit::Months(12),
        _ => return None,
    })
}

fn whole(day: NaiveDate, length: i64, zone: Zone) -> Option<Span> {
    let from = if length == 7 { week_of(day) } else { day };
    near_day(from)?;
    let until = from.checked_add_days(Days::new(u64::try_from(length).ok()?))?;
    Some(days((from, until), zone))
}

fn whole_months(day: NaiveDate, length: i64, zone: Zone) -> Option<Span> {
    let month = if length == 12 { 1 } else { day.month() };
    let from = NaiveDate::from_ymd_opt(day.year(), month, 1)?;
    near_day(from)?;
    let until = from.checked_add_months(Months::new(u32::try_from(length).ok()?))?;
    Some(days((from, until), zone))
}

fn week_of(day: NaiveDate) -> NaiveDate {
    day.week(Weekday::Mon).first_day()
}

/// Reads days, weeks, months and years: the first day and the one after the last.
fn unit(words: &[&str], now: NaiveDateTime) -> Option<(NaiveDate, NaiveDate)> {
    let today = now.date();
    let day = |day: NaiveDate| Some((near_day(day)?, day.succ_opt()?));
    let months = |year: i32, month: u32, length: u32| {
        let from = near_day(NaiveDate::from_ymd_opt(year, month, 1)?)?;
        Some((from, from.checked_add_months(Months::new(length))?))
    };
    match words {
        ["today"] => day(today),
        ["yesterday"] => day(today.pred_opt()?),
        ["tomorrow"] => day(today.succ_opt()?),
        ["this" | "last", "week"] => {
            let back = if words[0] == "last" { 7 } else { 0 };
            let from = week_of(today).checked_sub_days(Days::new(back))?;
            Some((from, from.checked_add_days(Days::new(7))?))
        }
        ["this" | "last", "month"] => {
            let back = u32::from(words[0] == "last");
            let from = today.checked_sub_months(Months::new(back))?;
            months(from.year(), from.month(), 1)
        }
        ["this" | "last", "year"] => months(today.year() - i32::from(words[0] == "last"), 1, 12),
        ["last", name] => {
            let back = match days_since(today, weekday(name)?) {
                0 => 7,
                back => back,
            };
            day(today.checked_sub_days(Days::new(back.into()))?)
        }
        [word] => {
            if let Ok(date) = NaiveDate::parse_from_str(word, "%Y-%m-%d") {
                return day(date);
            }
            if let Some(back) = weekday(word).map(|weekday| days_since(today, weekday)) {
                return day(today.checked_sub_days(Days::new(back.into()))?);
            }
            let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
            match word.split_once('-') {
                Some((year, month)) if year.len() == 4 && digits(year) && digits(month) => {
                    months(year.parse().ok()?, month.parse().ok()?, 1)
                }
                None if word.len() == 4 && digits(word) => months(word.parse().ok()?, 1, 12),
                _ => None,
            }
        }
        [a, b] => {
            // `September 2025`, `Sept 15` and `15 September`, the last one that was.
            let (month, number) = match (month(a), month(b)) {
                (Some(month), None) => (month, b),
                (None, Some(month)) => (month, a),
                _ => return None,
            };
            if number.len() == 4 {
                return months(number.parse().ok()?, month, 1);
            }
            let date = |year| NaiveDate::from_ymd_opt(year, month, day_of(number)?);
            let this = date(today.year()).filter(|date| *date <= today);
            day(this.or_else(|| date(today.year() - 1))?)
        }
        [a, b, year] if year.len() == 4 => {
            let (month, number) = match (month(a), month(b)) {
                (Some(month), None) => (month, b),
                (None, Some(month)) => (month, a),
                _ => return None,
            };
            let year = year.parse().ok()?;
            day(NaiveDate::from_ymd_opt(year, month, day_of(number)?)?)
        }
        _ => None,
    }
}

/// Returns how many days ago a weekday was, 0 for today.
fn days_since(today: NaiveDate, weekday: Weekday) -> u32 {
    today.weekday().days_since(weekday)
}

fn weekday(word: &str) -> Option<Weekday> {
    word.parse().ok()
}

/// Reads `15` and `15th`.
fn day_of(word: &str) -> Option<u32> {
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ending = &word[number.len()..];
    ["", "st", "nd", "rd", "th"]
        .contains(&ending)
        .then_some(())?;
    number.parse().ok()
}

fn month(word: &str) -> Option<u32> {
    let word = word.trim_end_matches('.');
    let word = if word == "sept" { "sep" } else { word };
    let month: chrono::Month = word.parse().ok()?;
    Some(month.number_from_month())
}

/// Reads a time of day and the seconds of its last unit.
fn time(word: &str) -> Option<(NaiveTime, i64)> {
    match word {
        "noon" => return Some((NaiveTime::from_hms_opt(12, 0, 0)?, 60)),
        "midnight" => return Some((NaiveTime::MIN, 60)),
        _ => {}
    }
    let (number, meridiem) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(number), _) => (number, Some(0)),
        (_, Some(number)) => (number, Some(12)),
        _ => (word, None),
    };
    let (clock, fraction) = number.split_once('.').unwrap_or((number, ""));
    let parts: Vec<&str> = clock.split(':').collect();
    let plain =
        |part: &&str| (1..=2).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
    if !parts.iter().all(plain) || !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let (hour, minute, second, seconds) = match (&numbers[..], meridiem) {
        ([hour], Some(_)) => (*hour, 0, 0, 60),
        ([hour, minute], _) => (*hour, *minute, 0, 60),
        ([hour, minute, second], _) => (*hour, *minute, *second, 1),
        _ => return None,
    };
    let hour = match meridiem {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(after) => hour % 12 + after,
        None => hour,
    };
    Some((NaiveTime::from_hms_opt(hour, minute, second)?, seconds))
}

/// Returns whether a date has a year of four digits; with others, sums of times overflow.
pub fn is_near(date: NaiveDate) -> bool {
    (1..=9998).contains(&date.year()) || date.year() == 9999
}

fn near_day(date: NaiveDate) -> Option<NaiveDate> {
    is_near(date).then_some(date)
}

fn near(time: DateTime<Utc>) -> Option<()> {
    is_near(time.date_naive()).then_some(())
}
