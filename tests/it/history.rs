//! The commands that ask the history, each in a process of its own.

use allm::embedder::{Lazy, Source};
use allm::store::{Interaction, Options, Session, Store, Turn, new_id, now};
use serde_json::json;

use crate::harness::Home;
use crate::server;

#[test]
fn a_window_of_time_lists_every_interaction_once_in_order() {
    let home = Home::new();
    home.allm()
        .args(["chat"])
        .stdin("one\ntwo\nthree\n")
        .run()
        .ok();
    let list = |args: &[&str]| {
        home.allm()
            .args(["timeframe", "--json"])
            .args(args.iter().copied())
            .ok_json()
    };
    let all = list(&["2020-01-01", "2100-01-01"]);
    let queries: Vec<_> = all["interactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| turn["query"].as_str().unwrap())
        .collect();
    assert_eq!(queries, ["one", "two", "three"]);
    assert_eq!(
        (&all["from"], &all["to"]),
        (
            &json!("2020-01-01T00:00:00Z"),
            &json!("2100-01-02T00:00:00Z")
        )
    );
    let stamp = |index: usize| {
        all["interactions"][index]["timestamp"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // The beginning is in the window, the end is not.
    let middle = list(&[&stamp(1), &stamp(2)]);
    assert_eq!(
        (&middle["count"], &middle["interactions"][0]["query"]),
        (&json!(1), &json!("two"))
    );
    assert_eq!(
        list(&["2020-01-01", "2100-01-01", "--limit", "2"])["interactions"][0]["query"],
        "two"
    );
    assert_eq!(list(&["2020-01-01"])["count"], 0);
    let limited = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--limit", "2"])
        .run()
        .ok();
    assert!(
        limited.stderr.contains("1 earlier one is not shown"),
        "{}",
        limited.stderr
    );
    // A filter by time is inside the search, not after it.
    let found = home
        .allm()
        .args([
            "search",
            "--json",
            "three",
            "--from",
            "2020-01-01",
            "--to",
            &stamp(1),
            "--limit",
            "1",
        ])
        .ok_json();
    assert_eq!(found["hits"][0]["query"], "one");
}

#[test]
fn local_times_follow_the_clock_when_it_is_changed() {
    let home = Home::new();
    let from = |time: &str| {
        let berlin = home.allm().env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
        berlin.args(["timeframe", "--json", time]).ok_json()["from"].clone()
    };
    // Of the hour that comes twice it is the first; of the hour that is left out, the moment after it.
    assert_eq!(from("2025-10-26T02:30"), "2025-10-26T00:30:00Z");
    assert_eq!(from("2025-03-30T02:10"), "2025-03-30T01:00:00Z");
    assert_eq!(from("2025-03-30T03:10"), "2025-03-30T01:10:00Z");
}

#[test]
fn similar_takes_words_or_an_id() {
    let server = server::ollama(|question| match question.contains("bread") {
        true => "Let the dough rise for two hours before you bake it.".to_owned(),
        false => "Add an index on the column that you filter by.".to_owned(),
    });
    let home = Home::new();
    let script =
        "how do I bake bread?\nwhy is my SQL query slow?\nhow long must bread dough rest?\n";
    let turns = home
        .allm()
        .args(["chat", "--json", "--base-url", &server.url])
        .stdin(script)
        .run()
        .ok()
        .json();
    let first = |args: &[&str]| {
        home.allm()
            .args(["similar", "--json"])
            .args(args.iter().copied())
            .ok_json()["hits"][0]["query"]
            .clone()
    };
    assert_eq!(
        first(&["a", "database", "is", "slow"]),
        "why is my SQL query slow?"
    );
    assert_eq!(
        first(&[&turns[0]["interaction_id"].as_str().unwrap()[..8]]),
        "how long must bread dough rest?"
    );
}

#[test]
fn stats_count_rows_bytes_and_tokens() {
    let server = server::ollama(|_| "three words here".to_owned());
    let home = Home::new();
    home.allm()
        .args(["chat", "--base-url", &server.url])
        .stdin("one\ntwo\n")
        .run()
        .ok();
    let stats = home.allm().args(["stats", "--json"]).ok_json();
    assert_eq!(
        (
            &stats["tables"]["interactions"]["rows"],
            &stats["tables"]["passages"]["rows"]
        ),
        (&json!(2), &json!(4))
    );
    assert_eq!(
        (
            &stats["tables"]["users"]["rows"],
            &stats["tables"]["sessions"]["rows"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        stats["usage"],
        json!({"input_tokens": 22, "output_tokens": 6})
    );
    assert_eq!(
        stats["embedding"],
        json!({"model": "all-MiniLM-L6-v2", "dimension": 384})
    );
    assert!(stats["disk_bytes"].as_u64().unwrap() > 1000);
    let text = home.allm().args(["stats"]).run().ok().stdout;
    assert!(text.contains("2, with 22 tokens in, 6 out"), "{text}");
}

#[test]
fn each_user_sees_their_own_history_and_an_admin_may_name_another() {
    let home = Home::new();
    home.allm().args(["chat", "what alice asked"]).run().ok();
    home.allm()
        .env("ALLM_USER", "o'brien")
        .args(["chat", "what the other asked"])
        .run()
        .ok();
    let count = |user: &str, args: &[&str]| {
        home.allm()
            .env("ALLM_USER", user)
            .args(["search", "--json", "asked"])
            .args(args.iter().copied())
            .ok_json()["count"]
            .clone()
    };
    assert_eq!(
        (
            count("alice", &[]),
            count("o'brien", &[]),
            count("nobody", &[])
        ),
        (json!(1), json!(1), json!(0))
    );
    let others = home
        .allm()
        .args(["search", "--json", "asked", "--user", "o'brien"])
        .ok_json();
    assert_eq!(
        (&others["count"], &others["hits"][0]["user"]),
        (&json!(1), &json!("o'brien"))
    );
    let refused = home
        .allm()
        .env("ALLM_USER", "o'brien")
        .args(["timeframe", "2020-01-01", "2100-01-01", "alice"])
        .run()
        .fails(1);
    assert_eq!(
        refused.stderr,
        "error: `o'brien` may not read the history of `alice`\n"
    );
    let unknown = home
        .allm()
        .args(["search", "x", "--user", "' OR '1'='1"])
        .run()
        .fails(1);
    assert_eq!(unknown.stderr, "error: there is no user `' OR '1'='1`\n");
}

#[test]
fn two_shells_on_one_store_see_each_other() {
    let home = Home::new();
    let runs: Vec<_> = (0..4)
        .map(|index| {
            (
                index,
                home.allm()
                    .args(["chat", &format!("question number {index}")]),
            )
        })
        .collect();
    std::thread::scope(|scope| {
        for (_, run) in runs {
            scope.spawn(|| run.run().ok());
        }
    });
    let all = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(all["count"], 4);
    let stats = home.allm().args(["stats", "--json"]).ok_json();
    assert_eq!(
        (
            &stats["tables"]["users"]["rows"],
            &stats["tables"]["sessions"]["rows"]
        ),
        (&json!(1), &json!(4))
    );
    assert_eq!(
        std::fs::read_dir(home.path().join("journal"))
            .unwrap()
            .count(),
        0,
        "journals are cleared"
    );
}

#[test]
fn an_id_that_several_share_lists_them() {
    let home = Home::new();
    let turn = |id: &str| {
        let session = Session {
            session_id: new_id(),
            ..Session::default()
        };
        let mut interaction = Interaction::begin(&session.session_id, "imported", now());
        id.clone_into(&mut interaction.interaction_id);
        Turn {
            store: String::new(),
            uri: String::new(),
            username: "alice".to_owned(),
            session,
            interaction,
            steps: Vec::new(),
            requests: Vec::new(),
            quotes_only: false,
            quoting: Vec::new(),
            erasures: 0,
            redacted: 0,
        }
    };
    let uri = home.path().join("lancedb").display().to_string();
    let options = Options::new(home.path(), uri, Lazy::new(Source::Bundled));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(options).await.unwrap();
        let turns = vec![turn("abcd0001-x"), turn("abcd0002-x")];
        store.import(turns, true).await.unwrap();
    });
    let output = home.allm().args(["show", "ABCD"]).run().fails(1);
    assert!(
        output
            .stderr
            .starts_with("error: more than one interaction has an id that starts with `abcd`: "),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("abcd0001-x") && output.stderr.contains("abcd0002-x"),
        "{}",
        output.stderr
    );
    home.allm().args(["show", "abcd0002"]).run().ok();
}

// Finding M13.
#[test]
fn many_short_runs_do_not_leave_a_file_for_each_turn() {
    let home = Home::new();
    let fragments = |turns: u64| {
        let stats = home.allm().args(["stats", "--json"]).ok_json();
        let interactions = &stats["tables"]["interactions"];
        assert_eq!(interactions["rows"], turns);
        interactions["fragments"].as_u64().unwrap()
    };
    let script = "a note\n".repeat(10);
    home.allm().args(["chat"]).stdin(&script).run().ok();
    assert_eq!(fragments(10), 10);
    // Upkeep is due with the fifth, and done with the sixth where the fifth had no time for it.
    for number in 0..8 {
        let note = format!("note {number}");
        home.allm().args(["chat", &note]).run().ok();
    }
    assert!(fragments(18) <= 4);
    let all = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(all["count"], 18);
}

#[test]
fn the_last_conversation_can_be_continued() {
    let home = Home::new();
    let none = home.allm().args(["chat", "-c", "hi"]).run().fails(1);
    assert!(
        none.stderr
            .contains("error: there is no conversation to go on with\n"),
        "{}",
        none.stderr
    );
    let first = home.allm().args(["chat", "--json", "one"]).ok_json();
    let second = home.allm().args(["chat", "--json", "-c", "two"]).ok_json();
    assert_eq!(first["session_id"], second["session_id"]);
    assert_eq!(
        home.allm().args(["stats", "--json"]).ok_json()["tables"]["sessions"]["rows"],
        1
    );
}
