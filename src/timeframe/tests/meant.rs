//! What is meant where words could be read in more than one way.

use super::typed::means;
use super::*;

#[test]
fn hours_beside_a_month_are_hours_and_days_are_days() {
    means(
        &[
            "9 to 5pm on nov 3",
            "9 to 17 on nov 3",
            "9-5 nov 3",
            "nov 3 9-5",
            "nov 3, 9 to 5pm",
            "9am to 5 on 3 nov",
            "on nov 3 from 9 to 5",
            "between 9 and 5 pm on the 3rd of november",
            "9 a.m. to 5 p.m. on nov 3",
        ],
        "11-03 09:00",
        "11-03 17:00",
    );
    means(
        &[
            "on nov 1 to 3",
            "the 1st to 3rd of nov",
            "nov 1st to the 3rd",
            "1 to nov 3",
            "from the 1st of nov to the 3rd",
        ],
        "11-01 00:00",
        "11-04 00:00",
    );
    means(&["10:00 to 3 yesterday"], "11-26 10:00", "11-26 15:00");
    means(&["10pm-12 yesterday"], "11-26 22:00", "11-27 00:00");
}

#[test]
fn a_dash_after_a_clock_is_an_offset_where_some_place_has_it() {
    means(
        &[
            "09:00:30-05",
            "9:00:30-0500",
            "9:00:30-05:00",
            "9:00:30 -05:00",
        ],
        "11-27 14:00",
        "11-27 14:00",
    );
    means(
        &[
            "10:00:00-12:15:30",
            "10:00:00-12:15",
            "2026-11-27T10:00-12:15",
            "2026-11-27 10:00:00-12:15",
        ],
        "11-27 10:00",
        "11-27 12:15",
    );
    means(
        &[
            "2026-11-27T10:00-05",
            "2026-11-27 10:00-05:00",
            "10:00 utc-05",
        ],
        "11-27 15:00",
        "11-27 15:01",
    );
    for text in ["10:00+23:00", "10:00+05:17", "10:00:00-99"] {
        assert!(range(text, Zone::default()).is_err(), "{text}");
    }
}

#[test]
fn times_of_day_without_a_day_are_the_last_ones() {
    means(
        &["10pm to 2am", "22:00..02:00"],
        "11-26 22:00",
        "11-27 02:00",
    );
    means(&["5pm to 6pm", "5-6pm"], "11-26 17:00", "11-26 18:00");
    means(&["5pm", "at 5pm"], "11-26 17:00", "11-26 18:00");
    means(&["2pm to 4pm"], "11-27 14:00", "11-27 16:00");
    means(&["today 5pm to 6pm"], "11-27 17:00", "11-27 18:00");
    means(&["until 5pm"], "0000-01-01 00:00", "11-27 17:00");
    let late = |text: &str| {
        let now = "2026-11-27T23:30:00Z".parse().unwrap();
        let range = range_at(text, Zone::named("UTC").unwrap(), now).unwrap();
        range.from.format("%m-%d %H:%M").to_string()
    };
    assert_eq!(late("10pm to 2am"), "11-27 22:00");
    assert_eq!(late("11:45pm to 2am"), "11-26 23:45");
}

#[test]
fn what_ends_before_1970_is_a_window_in_order() {
    means(&["before 1950"], "0000-01-01 00:00", "1950-01-01 00:00");
    means(&["before 0001"], "0000-01-01 00:00", "0001-01-01 00:00");
    means(&["since next week"], "11-30 00:00", "11-30 00:00");
}

#[test]
fn a_minute_is_meant_by_m_beside_last_and_ago() {
    means(
        &["last 6m", "last 6 minutes", "past 6m"],
        "11-27 14:54",
        "11-27 15:00",
    );
    means(&["6m ago"], "11-27 14:54", "11-27 14:55");
}

#[test]
fn the_29th_of_february_is_the_last_there_was() {
    means(
        &["29.2.", "29.02.", "feb 29"],
        "2024-02-29 00:00",
        "2024-03-01 00:00",
    );
}
