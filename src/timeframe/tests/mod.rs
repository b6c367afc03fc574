//! What people type for times, and what it means.

use super::*;

mod meant;
mod typed;

fn now() -> DateTime<Utc> {
    // A Wednesday, 14:30 in Berlin.
    "2025-09-17T12:30:00Z".parse().unwrap()
}

#[track_caller]
fn check(text: &str, from: &str, until: &str) {
    let range = range_at(text, Zone::named("Europe/Berlin").unwrap(), now()).unwrap();
    let shown = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
    assert_eq!(
        (shown(range.from), shown(range.until)),
        (from.into(), until.into()),
        "{text}"
    );
}

#[test]
fn dates_and_times_are_read() {
    check("2025-09-15", "2025-09-14 22:00:00", "2025-09-15 22:00:00");
    check("2025-09", "2025-08-31 22:00:00", "2025-09-30 22:00:00");
    check("2025", "2024-12-31 23:00:00", "2025-12-31 23:00:00");
    check(
        "2025-09-15T10:00",
        "2025-09-15 08:00:00",
        "2025-09-15 08:01:00",
    );
    check(
        " 2025-09-15 10:00:30 ",
        "2025-09-15 08:00:30",
        "2025-09-15 08:00:31",
    );
    check(
        "2025-09-15T10:00Z",
        "2025-09-15 10:00:00",
        "2025-09-15 10:01:00",
    );
    check(
        "2025-09-15 10:00:00-05:30",
        "2025-09-15 15:30:00",
        "2025-09-15 15:30:01",
    );
    check(
        "2025-09-15T10:00:00.250+00:00",
        "2025-09-15 10:00:00",
        "2025-09-15 10:00:01",
    );
    check(
        "Sept 15, 2025",
        "2025-09-14 22:00:00",
        "2025-09-15 22:00:00",
    );
    check(
        "15 September 2025 9:30pm",
        "2025-09-15 19:30:00",
        "2025-09-15 19:31:00",
    );
    check("Sep 15", "2025-09-14 22:00:00", "2025-09-15 22:00:00");
    check("Dec 24", "2024-12-23 23:00:00", "2024-12-24 23:00:00");
    check(
        "february 2024",
        "2024-01-31 23:00:00",
        "2024-02-29 23:00:00",
    );
    check("9999-12-31", "9999-12-30 23:00:00", "9999-12-31 23:00:00");
    check(
        "2025-09-15 10:00:00 +02:00",
        "2025-09-15 08:00:00",
        "2025-09-15 08:00:01",
    );
}

// Finding L14.
#[test]
fn a_day_ends_at_24_00() {
    check(
        "2025-09-15 24:00",
        "2025-09-15 22:00:00",
        "2025-09-15 22:01:00",
    );
    check(
        "2025-09-15T24:00Z",
        "2025-09-16 00:00:00",
        "2025-09-16 00:01:00",
    );
    check(
        "2025-09-15 22:00-24:00",
        "2025-09-15 20:00:00",
        "2025-09-15 22:00:00",
    );
}

// Finding L14.
#[test]
fn fractions_of_a_second_are_kept_with_an_offset_and_without() {
    for text in ["2025-09-15 10:00:00.25", "2025-09-15T08:00:00.250Z"] {
        let range = range_at(text, Zone::named("Europe/Berlin").unwrap(), now()).unwrap();
        let from: DateTime<Utc> = "2025-09-15T08:00:00.250Z".parse().unwrap();
        assert_eq!(range.from, from, "{text}");
    }
}

#[test]
fn words_are_read() {
    check("today", "2025-09-16 22:00:00", "2025-09-17 22:00:00");
    check("yesterday", "2025-09-15 22:00:00", "2025-09-16 22:00:00");
    check(
        "yesterday 10:00",
        "2025-09-16 08:00:00",
        "2025-09-16 08:01:00",
    );
    check("monday", "2025-09-14 22:00:00", "2025-09-15 22:00:00");
    check(
        "last wednesday",
        "2025-09-09 22:00:00",
        "2025-09-10 22:00:00",
    );
    check("last week", "2025-09-07 22:00:00", "2025-09-14 22:00:00");
    check("this month", "2025-08-31 22:00:00", "2025-09-30 22:00:00");
    check("last 3 days", "2025-09-14 12:30:00", "2025-09-17 12:30:00");
    check("past hour", "2025-09-17 11:30:00", "2025-09-17 12:30:00");
    // Finding L14.
    check("last hour", "2025-09-17 11:30:00", "2025-09-17 12:30:00");
    check("last minute", "2025-09-17 12:29:00", "2025-09-17 12:30:00");
    check("last day", "2025-09-16 12:30:00", "2025-09-17 12:30:00");
    check("past week", "2025-09-10 12:30:00", "2025-09-17 12:30:00");
    check("2h ago", "2025-09-17 10:30:00", "2025-09-17 11:30:00");
    check("2 days ago", "2025-09-14 22:00:00", "2025-09-15 22:00:00");
    check("a month ago", "2025-07-31 22:00:00", "2025-08-31 22:00:00");
    check("now", "2025-09-17 12:30:00", "2025-09-17 12:30:01");
    check("noon", "2025-09-17 10:00:00", "2025-09-17 11:00:00");
}

#[test]
fn windows_are_read() {
    let day = ("2025-09-15 08:00:00", "2025-09-15 10:15:00");
    for text in [
        "2025-09-15 10:00..12:15",
        "2025-09-15 10:00 .. 2025-09-15 12:15",
        "2025-09-15T10:00 to 12:15",
        "Sept 15, 2025 10:00-12:15",
        "Sept 15, 2025 10:00 - 12:15",
        "2025-09-15 10:00-12:15",
        "monday 10am–12:15pm",
        "2025-09-15T10:00 12:15",
        "2025-09-15 10:00  2025-09-15 12:15",
        "Sept 15, 2025 10:00 12:15",
    ] {
        check(text, day.0, day.1);
    }
    check(
        "today 9am..noon",
        "2025-09-17 07:00:00",
        "2025-09-17 10:00:00",
    );
    check("monday..now", "2025-09-14 22:00:00", "2025-09-17 12:30:00");
    check(
        "yesterday 22:00..02:00",
        "2025-09-16 20:00:00",
        "2025-09-17 00:00:00",
    );
    check(
        "2025-09-01..2025-09-15",
        "2025-08-31 22:00:00",
        "2025-09-15 22:00:00",
    );
    check(
        "2025-10-26 02:30..02:45",
        "2025-10-26 00:30:00",
        "2025-10-26 00:45:00",
    );
}

#[test]
fn what_is_no_time_is_an_error_that_shows_the_accepted_forms() {
    for text in [
        "",
        "soon",
        "2025-13-01",
        "2025-02-29",
        "2025-09-15T25:00",
        "2025-09-15é10:00",
        "' OR 1=1",
        "10000-01-01",
        "+262142-12-31",
        "-262143-01-01 00:00Z",
        "last 99999999999 days",
        "99999999999999999999h ago",
        "last 9999999 years",
        "today..",
        "..",
        "13pm",
        "24:01",
        "10:60",
        "10:00:60",
        "10:00.5",
        "10:00:00.",
        "10:00:00.x",
    ] {
        let error = range(text, Zone::default()).unwrap_err().to_string();
        assert!(error.contains("accepted: 2025-09-15"), "{text}: {error}");
    }
    assert!(range("2025-09-16 2025-09-15", Zone::default()).is_err());
}

#[test]
fn spoilt_times_are_errors_and_nothing_worse() {
    let seeds = [
        "2025-09-15T10:00 2025-09-15T12:15",
        "Sept 15, 2025 10:00-12:15",
        "today 9am..noon",
        "last 3 days",
        "2h ago",
        "2025-09-15T10:00:00+05:45",
        "monday",
        "from nov 1 to nov 3",
        "an hour and a half ago",
        "last tuesday morning at 8",
        "since q3 11/13/2026",
    ];
    let zone = Zone::named("Australia/Lord_Howe").unwrap();
    crate::mutate::each(&seeds, |text| {
        if let Ok(range) = range_at(text, zone, now()) {
            assert!(range.from <= range.until, "{text:?}");
        }
    });
}
