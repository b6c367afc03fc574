//! Times and what only looks like one.

use super::*;

/// Shows the times of a question, as of Friday 2026-11-27 15:00.
fn shown(question: &str) -> String {
    let zone = Zone::named("UTC").unwrap();
    let found = named(question, zone, "2026-11-27T15:00:00Z".parse().unwrap());
    let shown = found.iter().map(|named| match named.time {
        Time::Window(Range { from, until }) => {
            format!(
                "{}..{}",
                from.format("%y%m%dT%H"),
                until.format("%y%m%dT%H")
            )
        }
        Time::Month(month) => format!("month {month}"),
        Time::Day { month, day } => format!("day {month}-{day}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn times_in_questions_are_found() {
    for (question, expected) in [
        ("what did we decide in May about pools", "month 5"),
        ("What did Ann say during the late June trip?", "month 6"),
        ("what happened last Tuesday?", "261124T00..261125T00"),
        ("yesterday's error", "261126T00..261127T00"),
        ("what did I ask today", "261127T00..261128T00"),
        ("which cities did we see in 2023?", "230101T00..240101T00"),
        ("What did Ann do on 8 May, 2023?", "230508T00..230509T00"),
        (
            "the talk of May 8, 2023, about pools",
            "230508T00..230509T00",
        ),
        ("in may 2023 we moved", "230501T00..230601T00"),
        ("the commit of 2023-05-08", "230508T00..230509T00"),
        ("who came on may 8", "day 5-8"),
        ("who came on the 8th of May?", "day 5-8"),
        ("the December bill", "month 12"),
        ("what is due on February 30", "month 2"),
        ("what did we plan last week", "261116T00..261123T00"),
        ("the crash 2 days ago", "261125T00..261126T00"),
        ("errors in the last 3 days", "261124T15..261127T15"),
        (
            "what did Bob say on monday about the offer",
            "261123T00..261124T00",
        ),
        (
            "today or last month",
            "261127T00..261128T00 261001T00..261101T00",
        ),
    ] {
        assert_eq!(shown(question), expected, "{question}");
    }
}

#[test]
fn words_that_could_be_times_and_are_none_stay_words() {
    for question in [
        "may I ask something",
        "May I ask something",
        "it may 8 times out of ten fail",
        "march through the list",
        "a second question",
        "wait a second",
        "the second of two",
        "last minute changes",
        "the last line of the file",
        "the last 3 lines",
        "error 2023",
        "port 8080",
        "in 2000 lines of code",
        "after 2000 ms",
        "from 2000 to 3000",
        "in 4096 tokens",
        "version 2.5.1",
        "bean of the spring framework",
        "sat on the sun",
        "cron every monday",
        "an august body",
        "now what",
        "what is on tomorrow",
        "dec 24 to hex",
        "24h format",
        "10.0.0.1",
        "",
    ] {
        assert_eq!(shown(question), "", "{question}");
    }
}

#[test]
fn a_time_without_a_year_is_of_any_year() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let may = "2021-05-31T21:59:59Z".parse().unwrap();
    assert!(Time::Month(5).holds(may, zone));
    assert!(Time::Day { month: 5, day: 31 }.holds(may, zone));
    assert!(!Time::Month(5).holds(may + chrono::TimeDelta::seconds(1), zone));
    let found = &named("What of the 8th of May, then?", zone, may)[0];
    assert_eq!(found.at, 12..22);
}

#[test]
fn spoilt_questions_are_no_worse() {
    let seeds = [
        "what did we decide in May, 2023 about pools",
        "last 3 days",
        "8th of may",
        "yesterday’s 2023-05-08T10:00",
    ];
    let mut count = 0;
    crate::mutate::each(&seeds, |text| {
        count += 1;
        if count % 20 != 0 {
            return;
        }
        for found in named(text, Zone::default(), Utc::now()) {
            assert!(text.get(found.at).is_some(), "{text:?}");
        }
    });
}
