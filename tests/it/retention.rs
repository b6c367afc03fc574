//! `retention` in config.toml: once a day, each user's own history, and nothing much unasked.

use std::fs;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::harness::Home;

/// Returns a home where these users have so many old turns, and so many of yesterday.
fn filled(users: &[&str], old: usize, young: usize) -> Home {
    let home = Home::new();
    for user in users {
        let days = [vec![200; old], vec![1; young]].concat();
        let line = |(at, days): (usize, &i64)| {
            let time = (Utc::now() - TimeDelta::days(*days)).to_rfc3339();
            let query = format!("question {at} of {user}");
            json!({"id": query, "timestamp": time, "query": query, "response": "an answer"})
        };
        let lines = days.iter().enumerate().map(line);
        let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
        let import = ["import", "jsonl", "-", "--no-embed", "--user", *user];
        home.allm().args(import).stdin(&lines.concat()).run().ok();
    }
    home
}

fn set(home: &Home, age: &str) {
    let setting = format!("retention = \"{age}\"\n");
    fs::write(home.path().join("config.toml"), setting).unwrap();
}

/// Begins a chat, and returns what it says about it.
fn chat(home: &Home, user: &str) -> String {
    let chat = home.allm().env("ALLM_USER", user);
    let chat = chat.args(["chat", "-p", "offline"]).stdin("/stats\n");
    chat.run().ok().stderr
}

fn turns(home: &Home, user: &str) -> u64 {
    let stats = home.allm().env("ALLM_USER", user);
    let stats = stats.args(["stats", "--json"]).ok_json();
    stats["turns"].as_u64().unwrap()
}

// Finding M10.
#[test]
fn each_user_is_rid_of_what_is_old_once_a_day() {
    let home = filled(&["alice", "bob"], 1, 11);
    set(&home, "90d");
    for user in ["alice", "bob"] {
        let said = chat(&home, user);
        assert!(
            said.contains("1 interaction older than 90d removed"),
            "{user}: {said}"
        );
        assert_eq!(turns(&home, user), 11);
        assert!(!chat(&home, user).contains("removed"));
    }
}

// Finding H3.
#[test]
fn much_is_removed_only_once_somebody_has_said_that_it_is_meant() {
    let home = filled(&["alice"], 4, 6);
    set(&home, "90d");
    let said = chat(&home, "alice");
    assert!(
        said.contains("nothing is removed: 4 of your 10 interactions")
            && said.contains("`allm cleanup --older-than \"90d\"`"),
        "{said}"
    );
    assert!(
        !chat(&home, "alice").contains("removed"),
        "it is said once a day"
    );
    assert_eq!(turns(&home, "alice"), 10);

    // Who says no is not asked again, and a changed setting is another.
    for (age, answer, left) in [("90d", "n", 10), ("3 months", "y", 6)] {
        set(&home, age);
        let mut shell = home.terminal(&["chat", "-p", "offline", "--private"]);
        // What is typed before the question is no answer to it.
        shell.type_keys("y\r");
        shell.wait_for(&format!(
            "\"{age}\": remove 4 of your 10 interactions for good"
        ));
        shell.type_keys(&format!("{answer}\r"));
        shell.wait_for("Ctrl-D leaves");
        // It was a line for the chat.
        shell.wait_for("y\r\n");
        shell.wait_for("in private");
        shell.wait_for("› ");
        shell.type_keys("/quit\r");
        assert_eq!(shell.exit_status(), 0);
        assert_eq!(turns(&home, "alice"), left);
        let mut shell = home.terminal(&["chat", "-p", "offline"]);
        shell.wait_for("Ctrl-D leaves");
        assert!(!shell.screen().contains("for good"), "{}", shell.screen());
    }
}

// Finding H3.
#[test]
fn a_retention_that_cannot_be_read_is_said_and_keeps_nobody_from_chatting() {
    let home = filled(&["alice"], 1, 11);
    for (age, why) in [
        ("6m", "say `6 months` or `180d`"),
        ("today", "accepted: 90d"),
        ("2025-01-01", "accepted: 90d"),
    ] {
        set(&home, age);
        let said = chat(&home, "alice");
        assert!(
            said.starts_with("warning: cannot do what `retention` in config.toml says")
                && said.contains(why),
            "{said}"
        );
    }
    assert_eq!(turns(&home, "alice"), 12);
}
