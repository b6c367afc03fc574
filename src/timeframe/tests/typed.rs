//! The words that people type for times, in all their forms.

use super::*;

/// Reads words as of Friday 2026-11-27 15:00, in UTC; shows from when to when they are.
#[track_caller]
pub fn means(words: &[&str], from: &str, until: &str) {
    let now = "2026-11-27T15:00:00Z".parse().unwrap();
    let shown = |time: DateTime<Utc>| {
        let shown = time.format("%m-%d %H:%M").to_string();
        match time.format("%Y").to_string().as_str() {
            "2026" => shown,
            year => format!("{year}-{shown}"),
        }
    };
    for text in words {
        let range = range_at(text, Zone::named("UTC").unwrap(), now).unwrap();
        let read = (shown(range.from), shown(range.until));
        assert_eq!(read, (from.to_owned(), until.to_owned()), "{text}");
    }
}

#[test]
fn parts_of_days_and_times_of_day_go_with_any_day() {
    means(
        &["yesterday evening", "last evening", "evening"],
        "11-26 18:00",
        "11-27 00:00",
    );
    means(
        &[
            "last tuesday morning",
            "tuesday morning",
            "morning of last tuesday",
        ],
        "11-24 05:00",
        "11-24 12:00",
    );
    means(&["friday evening"], "11-20 18:00", "11-21 00:00");
    means(
        &["this morning", "morning", "in the morning"],
        "11-27 05:00",
        "11-27 12:00",
    );
    means(&["tonight"], "11-27 18:00", "11-28 05:00");
    means(
        &["last night", "yesterday night"],
        "11-26 22:00",
        "11-27 05:00",
    );
    means(
        &["2025-09-15 afternoon", "afternoon of Sept 15, 2025"],
        "2025-09-15 12:00",
        "2025-09-15 18:00",
    );
    means(
        &[
            "10am yesterday",
            "yesterday at 10am",
            "yesterday at 10",
            "yesterday, 10 a.m.",
            "10 o'clock yesterday",
        ],
        "11-26 10:00",
        "11-26 11:00",
    );
    means(
        &[
            "at 5pm yesterday",
            "yesterday at 5 in the afternoon",
            "yesterday evening at 5",
        ],
        "11-26 17:00",
        "11-26 18:00",
    );
    means(
        &["5pm on monday", "monday 5 PM"],
        "11-23 17:00",
        "11-23 18:00",
    );
    means(
        &["2 days ago at noon", "noon two days ago", "wednesday noon"],
        "11-25 12:00",
        "11-25 13:00",
    );
    means(&["last night at 2"], "11-27 02:00", "11-27 03:00");
    means(&["tonight at 8"], "11-27 20:00", "11-27 21:00");
    means(&["yesterday midnight"], "11-26 00:00", "11-26 01:00");
}

#[test]
fn amounts_count_back_from_now_or_are_so_long_ago() {
    means(
        &[
            "last 3 months",
            "3 months",
            "past three months",
            "in the last 3 months",
        ],
        "08-27 15:00",
        "11-27 15:00",
    );
    means(
        &["last hour", "1h", "past hour", "last 60 minutes", "60min"],
        "11-27 14:00",
        "11-27 15:00",
    );
    means(
        &["last 12h", "12h", "the last 12 hours"],
        "11-27 03:00",
        "11-27 15:00",
    );
    means(
        &["past week", "7d", "last 7 days", "1w", "last seven days"],
        "11-20 15:00",
        "11-27 15:00",
    );
    means(&["24h", "1d", "last day"], "11-26 15:00", "11-27 15:00");
    means(&["90d"], "08-29 15:00", "11-27 15:00");
    means(&["2y", "last two years"], "2024-11-27 15:00", "11-27 15:00");
    means(
        &["1.5h", "90 minutes", "last 1h30m", "an hour and a half"],
        "11-27 13:30",
        "11-27 15:00",
    );
    means(
        &[
            "two weeks ago",
            "2 weeks ago",
            "a couple of weeks ago",
            "a fortnight ago",
        ],
        "11-09 00:00",
        "11-16 00:00",
    );
    means(&["a month ago"], "10-01 00:00", "11-01 00:00");
    means(&["30 minutes ago"], "11-27 14:30", "11-27 14:31");
    means(&["half an hour ago"], "11-27 14:30", "11-27 15:00");
    means(
        &[
            "an hour and a half ago",
            "1.5h ago",
            "one and a half hours ago",
        ],
        "11-27 13:30",
        "11-27 14:30",
    );
    means(
        &["day before yesterday", "2 days ago"],
        "11-25 00:00",
        "11-26 00:00",
    );
}

#[test]
fn windows_are_open_on_one_side_or_lend_each_other_what_they_lack() {
    let now = "11-27 15:00";
    means(
        &["since monday", "monday to now", "from monday"],
        "11-23 00:00",
        now,
    );
    means(&["since 9am", "since 9", "since 9:00"], "11-27 09:00", now);
    means(&["since 5pm"], "11-26 17:00", now);
    means(&["after 3pm yesterday"], "11-26 15:00", now);
    means(&["after june"], "07-01 00:00", now);
    means(
        &["until noon", "before noon"],
        "0000-01-01 00:00",
        "11-27 12:00",
    );
    means(&["before june"], "0000-01-01 00:00", "06-01 00:00");
    means(&["until june"], "0000-01-01 00:00", "07-01 00:00");
    means(
        &[
            "from nov 1 to nov 3",
            "nov 1-3",
            "Nov 1..3",
            "1–3 Nov",
            "1 to 3 november",
            "nov 1 - 3, 2026",
            "between nov 1 and nov 3",
            "nov 1-nov 3",
            "2026-11-01..03",
            "1.11.2026 until 3.11.2026",
            "from the 1st to the 3rd of nov",
        ],
        "11-01 00:00",
        "11-04 00:00",
    );
    means(&["Sept 1..3"], "09-01 00:00", "09-04 00:00");
    means(
        &["nov 1 to nov 3 2025", "nov 1-3, 2025", "1-3 nov 2025"],
        "2025-11-01 00:00",
        "2025-11-04 00:00",
    );
    means(&["dec 20 to jan 5"], "2025-12-20 00:00", "01-06 00:00");
    means(&["december to february"], "2025-12-01 00:00", "03-01 00:00");
    means(
        &["mon-wed", "monday to wednesday"],
        "11-23 00:00",
        "11-26 00:00",
    );
    means(
        &[
            "between 9 and 11",
            "9-11",
            "9am-11",
            "9-11am",
            "from 9 to 11",
            "9 to 11",
            "9:00-11:00",
        ],
        "11-27 09:00",
        "11-27 11:00",
    );
    means(
        &[
            "9am-5pm yesterday",
            "yesterday 9-5",
            "yesterday between 9am and 5pm",
            "9 to 17 yesterday",
            "from 9am to 5pm yesterday",
            "yesterday from 9 to 5pm",
        ],
        "11-26 09:00",
        "11-26 17:00",
    );
    means(&["11-1pm"], "11-27 11:00", "11-27 13:00");
    means(&["yesterday 10pm to 2am"], "11-26 22:00", "11-27 02:00");
    means(
        &["yesterday evening to this morning"],
        "11-26 18:00",
        "11-27 12:00",
    );
}

#[test]
fn names_of_times_are_the_latest_that_have_begun() {
    means(
        &["november", "in november", "this month", "Nov.", "nov 2026"],
        "11-01 00:00",
        "12-01 00:00",
    );
    means(
        &["last november", "nov 2025", "november of 2025"],
        "2025-11-01 00:00",
        "2025-12-01 00:00",
    );
    means(&["december"], "2025-12-01 00:00", "01-01 00:00");
    means(
        &["spring 2026", "spring", "last spring"],
        "03-01 00:00",
        "06-01 00:00",
    );
    means(
        &["q3", "2026-q3", "q3 2026", "last quarter"],
        "07-01 00:00",
        "10-01 00:00",
    );
    means(
        &["2025-W38", "week 38 of 2025"],
        "2025-09-15 00:00",
        "2025-09-22 00:00",
    );
    means(&["week 38"], "09-14 00:00", "09-21 00:00");
    means(&["week 50"], "2025-12-08 00:00", "2025-12-15 00:00");
    means(
        &["last weekend", "weekend", "on the weekend"],
        "11-21 00:00",
        "11-23 00:00",
    );
    means(&["this weekend"], "11-28 00:00", "11-30 00:00");
    means(&["this week"], "11-23 00:00", "11-30 00:00");
    means(
        &["monday last week", "monday of last week"],
        "11-16 00:00",
        "11-17 00:00",
    );
    means(&["next week"], "11-30 00:00", "12-07 00:00");
    means(&["next monday"], "11-30 00:00", "12-01 00:00");
    means(
        &["next month"],
        "12-01 00:00",
        "01-01 00:00".replace("01-01", "2027-01-01").as_str(),
    );
    means(&["tomorrow at 9am"], "11-28 09:00", "11-28 10:00");
    means(&["in 2 days"], "11-29 00:00", "11-30 00:00");
}

#[test]
fn dates_are_read_as_they_are_written_where_that_is_one_way() {
    means(
        &[
            "8.11.2026",
            "08.11.2026",
            "8.11.26",
            "8.11.",
            "8 Nov",
            "Nov 8th",
            "8th of november",
            "the 8th",
            "sunday, nov 8",
            "20261108",
            "2026/11/08",
        ],
        "11-08 00:00",
        "11-09 00:00",
    );
    means(
        &["08.11.2026 14:30", "sun nov 8 14:30 2026"],
        "11-08 14:30",
        "11-08 14:31",
    );
    means(
        &["13/11/2026", "11/13/2026", "13-11-2026"],
        "11-13 00:00",
        "11-14 00:00",
    );
    means(&["11/11/2026"], "11-11 00:00", "11-12 00:00");
    means(
        &["1726400000", "1726400000000", "@1726400000"],
        "2024-09-15 11:33",
        "2024-09-15 11:33",
    );
    means(
        &[
            "2026-11-08T10:00Z",
            "2026-11-08 12:00 +02:00",
            "2026-11-08T12:00+0200",
            "8 nov 10:00 UTC",
            "2026-11-08 11:00+01",
        ],
        "11-08 10:00",
        "11-08 10:01",
    );
    for (text, why) in [
        (
            "11/08/2026",
            "`11/08/2026` may be 11 August 2026 or 8 November 2026: write 2026-08-11 or 2026-11-08",
        ),
        ("11/08/2026 10:00", "may be 11 August 2026"),
        (
            "6m",
            "`6m` may be minutes or months: say `6 minutes` or `6 months`",
        ),
        ("monday nov 8", "cannot read `monday nov 8`"),
        ("this 3 days", "cannot read"),
        ("at", "cannot read"),
        ("since", "cannot read"),
        ("yesterday bob", "cannot read"),
        ("to and fro", "cannot read"),
        ("31 february", "cannot read"),
        ("week 60", "cannot read"),
        ("nov 3 2026 to nov 1 2026", "is not after the beginning"),
    ] {
        let error = range(text, Zone::default()).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_beginning_after_the_end_is_an_error_and_a_point_is_a_bound() {
    let zone = Zone::named("UTC").unwrap();
    let shown = |from, until| {
        let (from, until) = bounds(from, until, zone)?;
        let shown = |bound: Bound| bound.map(|time| time.format("%m-%d %H:%M").to_string());
        anyhow::Ok((shown(from), shown(until)))
    };
    let read = shown(Some("2026-11-08 10am"), Some("2026-11-08 11am")).unwrap();
    assert_eq!(
        read,
        (Some("11-08 10:00".into()), Some("11-08 11:00".into()))
    );
    assert!(shown(Some("7d"), Some("2d")).is_ok());
    let error = shown(Some("2026-11-09"), Some("2026-11-08"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not after the beginning"), "{error}");
}
