//! Times as people type them, on the command line and in a chat.

use crate::harness::Home;

#[test]
fn a_window_is_echoed_once_and_what_is_no_time_is_told() {
    let home = Home::new();
    for name in ["alice", "bob"] {
        let chat = home.allm().env("ALLM_USER", name);
        chat.args(["chat", "-p", "offline", "hello"]).run().ok();
    }
    let ask = |args: &[&str]| {
        let run = home
            .allm()
            .env("ALLM_USER", "alice")
            .args(["--tz", "Asia/Tokyo"]);
        run.args(args.iter().copied()).run()
    };
    for (args, noted) in [
        (
            &["timeframe", "from", "nov", "1", "to", "nov", "3", "2025"][..],
            "only from 2025-11-01 00:00:00 +09:00 to 2025-11-04 00:00:00 +09:00\n",
        ),
        (
            &["timeframe", "until", "2025-11-01T10:00Z"],
            "only before 2025-11-01 19:00:00 +09:00\n",
        ),
        (
            &["timeframe", "sept 2025", "bob"],
            "only from 2025-09-01 00:00:00 +09:00 to 2025-10-01 00:00:00 +09:00\n",
        ),
        (
            &["search", "x", "--since", "8.11.2025"],
            "only since 2025-11-08 00:00:00 +09:00\n",
        ),
        (
            &[
                "stats",
                "--from",
                "2025-11-08 10am",
                "--to",
                "2025-11-08 11am",
            ],
            "only from 2025-11-08 10:00:00 +09:00 to 2025-11-08 11:00:00 +09:00\n",
        ),
        (
            &["export", "--to", "nov 2025"],
            "only before 2025-12-01 00:00:00 +09:00\n",
        ),
        (
            &["timeframe", "before 1950"],
            "only before 1950-01-01 00:00:00 +09:00\n",
        ),
        (
            &["timeframe", "9 to 5pm on nov 3, 2025"],
            "only from 2025-11-03 09:00:00 +09:00 to 2025-11-03 17:00:00 +09:00\n",
        ),
        (
            &["timeframe", "2025-11-03 10:00:00-12:15:30"],
            "only from 2025-11-03 10:00:00 +09:00 to 2025-11-03 12:15:30 +09:00\n",
        ),
        (
            &["timeframe", "2025-11-03 10:00:30-05"],
            "only from 2025-11-04 00:00:30 +09:00 to 2025-11-04 00:00:31 +09:00\n",
        ),
        (&["timeframe", "next week"], "that is still to come\n"),
    ] {
        let said = ask(args).ok().stderr;
        assert_eq!(said.matches(noted).count(), 1, "{args:?}: {said}");
    }
    for (args, told) in [
        (
            &["timeframe", "yesterday", "carol"][..],
            "cannot read `carol` as a date or a time",
        ),
        (
            &["timeframe", "yesterday", "evenin"],
            "cannot read `evenin` as a date or a time",
        ),
        (
            &["timeframe", "11/08/2026"],
            "may be 11 August 2026 or 8 November 2026",
        ),
        (&["export", "--from", "6m"], "say `6 minutes` or `6 months`"),
        (
            &["search", "x", "--from", "2025-02-01", "--to", "2025-01-01"],
            "is not after the beginning",
        ),
        (
            &["stats", "--from", "2025-02-01", "--to", "2025-01-01"],
            "is not after the beginning",
        ),
        (
            &["export", "--from", "2025-02-01", "--to", "2025-01-01"],
            "is not after the beginning",
        ),
        (
            &["forget", "--from", "2025-02-01", "--to", "2025-01-01"],
            "is not after the beginning",
        ),
    ] {
        let said = ask(args).fails(1).stderr;
        assert!(said.contains(told), "{args:?}: {said}");
    }
}

#[test]
fn a_zone_may_be_the_path_of_its_file() {
    let home = Home::new();
    let chat = home.allm().args(["chat", "-p", "offline", "hello"]);
    chat.run().ok();
    let args = ["stats", "--from", "2025-07-01", "--to", "2025-07-01"];
    let noted = "only from 2025-07-01 00:00:00 +02:00 to 2025-07-02 00:00:00 +02:00\n";
    for zone in [
        ":Europe/Berlin",
        "/usr/share/zoneinfo/Europe/Berlin",
        "Europe/Berlin",
    ] {
        let run = home.allm().args(["--tz", zone]).args(args).run().ok();
        assert!(run.stderr.contains(noted), "{zone}: {}", run.stderr);
        // SQL is told the zone, and not the offset of now.
        let query = "select arrow_typeof(timestamp) from interactions";
        let run = home.allm().env("TZ", zone).args(["sql", query]).run().ok();
        assert!(
            run.stdout.contains("Europe/Berlin"),
            "{zone}: {}",
            run.stdout
        );
    }
}
