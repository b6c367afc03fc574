//! The words for times.

use chrono::{
    DateTime, Datelike, Days, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta,
    Utc, Weekday,
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

/// Is a time of day.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Clock {
    /// Since midnight; 24:00 is the end of the day.
    since: TimeDelta,
    /// The length of its last unit.
    length: TimeDelta,
}

impl Clock {
    fn new(hour: u32, minute: u32, seconds: TimeDelta, length: TimeDelta) -> Clock {
        Clock {
            since: TimeDelta::hours(hour.into()) + TimeDelta::minutes(minute.into()) + seconds,
            length,
        }
    }

    /// Returns the time on a day.
    pub fn on(self, day: NaiveDate) -> NaiveDateTime {
        day.and_time(NaiveTime::MIN) + self.since
    }
}

/// Reads one time: a unit or a moment.
pub fn span(text: &str, zone: Zone, now: DateTime<Utc>) -> Option<Span> {
    let text = text.trim().to_lowercase().replace(',', " ");
    // A `T` between date and time is as good as a blank.
    let text = match text.as_bytes().get(10) {
        Some(b't') if text.is_char_boundary(10) => format!("{} {}", &text[..10], &text[11..]),
        _ => text,
    };
    if let Some(span) = with_offset(&text) {
        return Some(span);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let today = zone.local(now).naive_local();
    relative(&words, zone, now).or_else(|| {
        if let Some(unit) = unit(&words, today) {
            return Some(days(unit, zone));
        }
        // A date and a time of day, or a time of day today.
        let (last, date) = words.split_last()?;
        let meridiem = matches!(*last, "am" | "pm");
        let (clock, date) = match (clock(last), date.split_last()) {
            (Some(clock), _) => (clock, date),
            (None, Some((number, date))) if meridiem => (clock_of(number, last)?, date),
            _ => return None,
        };
        let day = if date.is_empty() {
            today.date()
        } else {
            let (from, until) = unit(date, today)?;
            // A time of day belongs to a day.
            (until == from.succ_opt()?).then_some(from)?
        };
        let from = zone.moment(clock.on(day));
        Some(moment(from, from + clock.length))
    })
}

/// Reads a time of day that stands alone.
pub fn time_of_day(text: &str) -> Option<Clock> {
    clock(&text.trim().to_lowercase().replace(' ', ""))
}

/// Reads ISO times with an offset.
fn with_offset(text: &str) -> Option<Span> {
    let (local, offset) = match text.strip_suffix('z') {
        Some(local) => (local, "+00:00"),
        // The dashes of the date are no sign.
        None => text.split_at(text.rfind(['+', '-']).filter(|at| *at > 10)?),
    };
    let offset: FixedOffset = offset.parse().ok()?;
    let mut words = local.split_whitespace();
    let day = NaiveDate::parse_from_str(words.next()?, "%Y-%m-%d").ok()?;
    let clock = clock(words.next()?)?;
    if words.next().is_some() || !is_near(day) {
        return None;
    }
    let from = clock.on(day).and_local_timezone(offset).single()?.to_utc();
    Some(moment(from, from + clock.length))
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
                [unit] => (1, unit_of(unit)?),
                [_, _] => amount(rest)?,
                _ => return None,
            };
            // `last week` is the one by the calendar, `past week` the seven days up to now.
            let is_long = !matches!(unit, Unit::Time(_) | Unit::Days(1));
            if rest.len() == 1 && words[0] == "last" && is_long {
                return None;
            }
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

/// Reads the name of a day of the week.
pub fn weekday(word: &str) -> Option<Weekday> {
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

/// Reads the name of a month.
pub fn month(word: &str) -> Option<u32> {
    let word = word.trim_end_matches('.');
    let word = if word == "sept" { "sep" } else { word };
    let month: chrono::Month = word.parse().ok()?;
    Some(month.number_from_month())
}

/// Reads a time of day in one word.
fn clock(word: &str) -> Option<Clock> {
    match word {
        "noon" => clock_of("12", "pm"),
        "midnight" => clock_of("12", "am"),
        _ => match (word.strip_suffix("am"), word.strip_suffix("pm")) {
            (Some(number), _) => clock_of(number, "am"),
            (_, Some(number)) => clock_of(number, "pm"),
            _ => clock_of(word, ""),
        },
    }
}

/// Reads the numbers of a time of day, which `am` or `pm` may follow.
fn clock_of(numbers: &str, meridiem: &str) -> Option<Clock> {
    let (whole, fraction) = numbers.split_once('.').unwrap_or((numbers, "0"));
    let parts: Vec<&str> = whole.split(':').collect();
    let is_short = |part: &&str| (1..=2).contains(&part.len());
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if !parts.iter().all(is_short) || !digits(&parts.concat()) || !digits(fraction) {
        return None;
    }
    let parts: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let (hour, minute, second, length) = match parts[..] {
        [hour] if !meridiem.is_empty() => (hour, 0, 0, TimeDelta::minutes(1)),
        [hour, minute] => (hour, minute, 0, TimeDelta::minutes(1)),
        [hour, minute, second] => (hour, minute, second, TimeDelta::seconds(1)),
        _ => return None,
    };
    if numbers.contains('.') && (parts.len() < 3 || fraction.is_empty()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}")[..9].parse().ok()?;
    let seconds = TimeDelta::new(second.into(), nanoseconds)?;
    let hour = match meridiem {
        "" => hour,
        _ if !(1..=12).contains(&hour) => return None,
        "am" => hour % 12,
        _ => hour % 12 + 12,
    };
    let clock = Clock::new(hour, minute, seconds, length);
    let is_time = minute < 60 && second < 60 && clock.since <= TimeDelta::hours(24);
    is_time.then_some(clock)
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
