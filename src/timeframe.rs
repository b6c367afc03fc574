//! Turns what a person types for a time into a half-open UTC range.

use anyhow::{Result, bail};
use chrono::{
    DateTime, Datelike, Days, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
    Timelike, Utc,
};

/// The forms that [`range`] accepts, for error messages and help.
pub const ACCEPTED: &str = "2025-09-15, 2025-09-15T10:00, 2025-09-15 10:00, 2025-09-15T10:00:30, 2025-09-15T10:00Z, 2025-09-15T10:00+02:00";

/// In minutes: zones change at a whole quarter of an hour.
const QUARTER: u32 = 15;

/// Holds a half-open range of time: `from` is in it, `until` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

/// Reads one point in time or one whole unit of it: a date is its day, a minute its 60 seconds.
///
/// Times without an offset are local, by the rules of the system's time zone.
pub fn range(text: &str) -> Result<Range> {
    range_in(text, &Local)
}

/// Reads the range from the beginning of `from` to the end of `until`.
///
/// The end is what the word means to a person: all of that day for a date, that very moment for a time.
pub fn between(from: &str, until: &str) -> Result<Range> {
    let from = self::from(from)?;
    let until = self::until(until)?;
    if until <= from {
        bail!(
            "the end `{}` is not after the beginning `{}`",
            until.to_rfc3339(),
            from.to_rfc3339()
        );
    }
    Ok(Range { from, until })
}

/// Reads the moment at which the time named by `text` begins.
pub fn from(text: &str) -> Result<DateTime<Utc>> {
    Ok(range(text)?.from)
}

/// Reads the moment at which a window that ends with `text` ends: the end of the day for a date, the moment itself for a time.
pub fn until(text: &str) -> Result<DateTime<Utc>> {
    let range = range(text)?;
    Ok(if is_date(text) {
        range.until
    } else {
        range.from
    })
}

fn is_date(text: &str) -> bool {
    date(text.trim()).is_some()
}

fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    date.ok().filter(|date| is_near(*date))
}

/// Returns whether a date has a year of four digits; with others, sums of times overflow.
fn is_near(date: NaiveDate) -> bool {
    (0..=9999).contains(&date.year())
}

fn range_in<Z: TimeZone>(text: &str, zone: &Z) -> Result<Range> {
    let text = text.trim();
    if let Some(date) = date(text) {
        let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
        return Ok(Range {
            from: start_of_day(date, zone),
            until: start_of_day(next, zone),
        });
    }
    for (format, seconds) in [
        ("%Y-%m-%d %H:%M", 60),
        ("%Y-%m-%d %H:%M:%S", 1),
        ("%Y-%m-%d %H:%M:%S%.f", 1),
    ] {
        // A blank and a T mean the same; an offset may follow either.
        let text = match text.as_bytes().get(10) {
            Some(b'T' | b't') => format!("{} {}", &text[..10], &text[11..]),
            _ => text.to_owned(),
        };
        let span = |from: DateTime<Utc>| Range {
            from,
            until: from + TimeDelta::seconds(seconds),
        };
        let local = NaiveDateTime::parse_from_str(&text, format).ok();
        if let Some(local) = local.filter(|local| is_near(local.date())) {
            return Ok(span(resolve(local, zone)));
        }
        let zulu = text
            .strip_suffix(['Z', 'z'])
            .map(|text| format!("{text}+00:00"));
        let fixed =
            DateTime::parse_from_str(zulu.as_deref().unwrap_or(&text), &format!("{format}%:z"));
        if let Some(fixed) = fixed.ok().filter(|fixed| is_near(fixed.date_naive())) {
            return Ok(span(fixed.with_timezone(&Utc)));
        }
    }
    bail!("cannot read `{text}` as a date or a time\naccepted: {ACCEPTED}")
}

fn start_of_day<Z: TimeZone>(date: NaiveDate, zone: &Z) -> DateTime<Utc> {
    resolve(date.and_time(NaiveTime::MIN), zone)
}

/// Maps a local time to UTC. Of a doubled hour it takes the first; a skipped time becomes the first moment that exists after it.
fn resolve<Z: TimeZone>(local: NaiveDateTime, zone: &Z) -> DateTime<Utc> {
    let moment = |local: NaiveDateTime| {
        let mapped = zone.from_local_datetime(&local);
        // Which of two moments chrono calls the earlier one depends on the zone's data, so the order is ours.
        let both = [mapped.clone().earliest(), mapped.latest()]
            .into_iter()
            .flatten();
        both.map(|time| time.with_timezone(&Utc))
            .filter(|time| zone.from_utc_datetime(&time.naive_utc()).naive_local() == local)
            .min()
    };
    let step = |steps: i64| {
        let quarter = local.minute() % QUARTER * 60 + local.second();
        let floor = local - TimeDelta::seconds(quarter.into());
        floor.with_nanosecond(0).unwrap_or(floor) + TimeDelta::minutes(i64::from(QUARTER) * steps)
    };
    // Zones skip at most a day (Samoa in 2011), and from a quarter of an hour to another.
    moment(local)
        .or_else(|| (1..=24 * 4).find_map(|steps| moment(step(steps))))
        .unwrap_or_else(|| local.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    #[track_caller]
    fn check(text: &str, from: &str, until: &str) {
        let zone = FixedOffset::east_opt(2 * 3600).unwrap();
        let range = range_in(text, &zone).unwrap();
        let shown = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        assert_eq!(
            (shown(range.from), shown(range.until)),
            (from.into(), until.into()),
            "{text}"
        );
    }

    #[test]
    fn local_and_offset_times_are_read() {
        check("2025-09-15", "2025-09-14T22:00:00Z", "2025-09-15T22:00:00Z");
        check(
            "2025-09-15T10:00",
            "2025-09-15T08:00:00Z",
            "2025-09-15T08:01:00Z",
        );
        check(
            " 2025-09-15 10:00:30 ",
            "2025-09-15T08:00:30Z",
            "2025-09-15T08:00:31Z",
        );
        check(
            "2025-09-15T10:00Z",
            "2025-09-15T10:00:00Z",
            "2025-09-15T10:01:00Z",
        );
        check(
            "2025-09-15 10:00:00-05:30",
            "2025-09-15T15:30:00Z",
            "2025-09-15T15:30:01Z",
        );
        check(
            "2025-09-15T10:00:00.250+00:00",
            "2025-09-15T10:00:00Z",
            "2025-09-15T10:00:01Z",
        );
        check("2024-02-29", "2024-02-28T22:00:00Z", "2024-02-29T22:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_an_error_that_shows_the_accepted_forms() {
        for text in [
            "",
            "tomorrow",
            "2025-13-01",
            "2025-02-29",
            "2025-09-15T25:00",
            "15/09/2025",
            "2025-09-15é10:00",
            "+262142-12-31",
            "+262142-12-31 23:59:59",
            "-262143-01-01 00:00Z",
            "' OR 1=1",
        ] {
            let error = range(text).unwrap_err().to_string();
            assert!(error.contains("accepted: 2025-09-15"), "{text}: {error}");
        }
        assert!(between("2025-09-16", "2025-09-15").is_err());
    }

    #[test]
    fn years_that_are_far_off_are_refused() {
        check("9999-12-31", "9999-12-30T22:00:00Z", "9999-12-31T22:00:00Z");
        assert!(range("10000-01-01").is_err());
    }

    #[test]
    fn a_date_as_end_means_the_end_of_that_day() {
        let range = between("2025-09-15", "2025-09-15").unwrap();
        assert_eq!(range.until - range.from, TimeDelta::hours(24));
    }
}
