//! Ages: how old something is at least that is removed for good. The words of windows would not do: there `6m` is six minutes.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Days, Months, Utc};

use super::{Zone, grammar};

/// The forms that are read, for error messages and help.
const ACCEPTED: &str = "90d, 6w, 6 months, 12mo, 1y";

/// Returns the moment before which things are older than `text` says, by the calendar of a zone: a month before 31 March is the
/// last day of February.
///
/// # Errors
///
/// Fails for anything but a whole number, from 1 on, of days, weeks, months or years.
pub fn age(text: &str, now: DateTime<Utc>, zone: Zone) -> Result<DateTime<Utc>> {
    let text = text.trim();
    let unread = || format!("cannot read `{text}` as an age\naccepted: {ACCEPTED}");
    let lower = text.to_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = lower.split_at(end.unwrap_or(lower.len()));
    let count: u32 = number.parse().ok().with_context(unread)?;
    let too_short =
        || format!("`{text}` is too short: an age is at least a day\naccepted: {ACCEPTED}");
    let today = zone.local(now).naive_local();
    let then = match unit.trim() {
        "d" | "day" | "days" => today.checked_sub_days(Days::new(count.into())),
        "w" | "week" | "weeks" => today.checked_sub_days(Days::new(u64::from(count) * 7)),
        "mo" | "month" | "months" => today.checked_sub_months(Months::new(count)),
        "y" | "yr" | "yrs" | "year" | "years" => {
            let months = count.checked_mul(12).map(Months::new);
            months.and_then(|months| today.checked_sub_months(months))
        }
        "m" if count > 0 => bail!(
            "`{text}` may be minutes or months: say `{count} months` or `{}d`",
            u64::from(count) * 30
        ),
        "m" | "s" | "sec" | "secs" | "second" | "seconds" | "min" | "mins" | "minute"
        | "minutes" | "h" | "hr" | "hrs" | "hour" | "hours" => {
            bail!(too_short())
        }
        _ => None,
    };
    let then = then.filter(|then| grammar::is_near(then.date()));
    let then = then.with_context(unread)?;
    if count == 0 {
        bail!(too_short());
    }
    Ok(zone.moment(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    #[track_caller]
    fn check(text: &str, now: &str, expected: &str) {
        let then = age(text, now.parse().unwrap(), berlin()).unwrap();
        assert_eq!(then, expected.parse::<DateTime<Utc>>().unwrap(), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = age(text, Utc::now(), berlin()).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }

    #[test]
    fn ages_go_back_by_the_calendar() {
        let now = "2025-09-17T12:30:00Z";
        check("1d", now, "2025-09-16T12:30:00Z");
        check(" 30 days ", now, "2025-08-18T12:30:00Z");
        check("6w", now, "2025-08-06T12:30:00Z");
        // The clock says the same in winter as it does in summer.
        check("6 months", now, "2025-03-17T13:30:00Z");
        check("12 mo", now, "2024-09-17T12:30:00Z");
        check("2 Years", now, "2023-09-17T12:30:00Z");
    }

    // Finding L14.
    #[test]
    fn a_year_is_the_same_day_a_year_before_and_months_are_as_long_as_they_are() {
        check("1y", "2025-12-31T12:00:00Z", "2024-12-31T12:00:00Z");
        check("1y", "2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z");
        check("1 month", "2025-03-31T12:00:00Z", "2025-02-28T13:00:00Z");
    }

    // Finding H3.
    #[test]
    fn what_may_be_minutes_and_what_is_under_a_day_is_refused() {
        refused("6m", "say `6 months` or `180d`");
        refused("6 M", "say `6 months` or `180d`");
        refused("0m", "at least a day");
        for short in ["0d", "0 years", "23h", "90 minutes", "5 min", "1s"] {
            refused(short, "at least a day");
        }
    }

    #[test]
    fn what_is_no_age_is_refused() {
        for text in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5y",
            "today",
            "yesterday",
            "now",
            "2025-01-01",
            "2025",
            "last year",
            "90d ago",
            "1y 6mo",
            "1 fortnight",
            "9999 years",
            "99999999999d",
            "4294967295y",
        ] {
            refused(text, "accepted: 90d");
        }
    }
}
