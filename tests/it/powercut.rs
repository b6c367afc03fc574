//! Power cuts: files that were not on the disk yet are empty or torn, and `allm doctor --fix` makes the store whole from the journal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::Home;

/// Returns the newest file of a folder.
fn newest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| !entry.path().to_string_lossy().ends_with(".json"));
    let newest = files.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    newest.unwrap().path()
}

fn say(home: &Home, text: &str) {
    home.allm().args(["chat", "-p", "offline", text]).run().ok();
}

fn queries(home: &Home) -> Vec<String> {
    let found = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    let turns = found["interactions"].as_array().unwrap().iter();
    turns
        .map(|turn| turn["query"].as_str().unwrap().to_owned())
        .collect()
}

fn state<'d>(doctor: &'d Value, what: &str) -> &'d str {
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["what"] == what);
    check.unwrap()["state"].as_str().unwrap()
}

/// Returns the line that the journal has of the last turn until it is on the disk.
fn journal_of_last(home: &Home) -> String {
    let run = home.allm().args(["export", "--vectors"]).run().ok();
    let rows: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        let rows = rows.iter().filter(|row| row["type"] == kind);
        let key = if kind == "session" {
            "created_at"
        } else {
            "timestamp"
        };
        let mut row = rows
            .max_by_key(|row| row[key].as_str().unwrap().to_owned())
            .unwrap()
            .clone();
        row.as_object_mut().unwrap().remove("type");
        for name in ["timestamp", "created_at", "last_active"] {
            if let Some(text) = row[name].as_str() {
                let time = chrono::DateTime::parse_from_rfc3339(text).unwrap();
                row[name] = time.timestamp_micros().into();
            }
        }
        row
    };
    let turn = serde_json::json!({
        "uri": home.path().join("lancedb").display().to_string(),
        "username": "alice",
        "session": of("session"),
        "interaction": of("interaction"),
        "steps": [],
        "quotes_only": true,
    });
    format!("{}\n", serde_json::json!({"ended": turn}))
}

#[test]
fn torn_manifests_and_data_files_cost_no_turn() {
    for (table, folder) in [
        ("interactions", "_versions"),
        ("passages", "_versions"),
        ("sessions", "_versions"),
        ("interactions", "data"),
        ("passages", "data"),
    ] {
        let home = Home::new();
        say(&home, "the first");
        say(&home, "the second");
        let journal = journal_of_last(&home);
        let torn = newest(&home.path().join(format!("lancedb/{table}.lance/{folder}")));
        fs::write(&torn, "").unwrap();
        fs::write(home.path().join("journal/cut.jsonl"), journal).unwrap();

        let what = format!("table {table}");
        let output = home.allm().args(["doctor", "--json"]).run().fails(1);
        assert_eq!(state(&output.json()[0], &what), "wrong", "{output:?}");
        assert_eq!(
            fs::read(&torn).unwrap(),
            b"",
            "nothing is changed without --fix"
        );
        let doctor = home.allm().args(["doctor", "--fix", "--json"]).ok_json();
        assert_eq!(state(&doctor, &what), "fixed", "{doctor}");
        assert_eq!(
            queries(&home),
            ["the first", "the second"],
            "{table} {folder}"
        );
        let doctor = home.allm().args(["doctor", "--json"]).ok_json();
        assert!(!doctor.to_string().contains("wrong"), "{doctor}");
        say(&home, "the third");
        assert_eq!(queries(&home).len(), 3);
    }
}

#[test]
fn a_store_that_does_not_open_names_the_doctor() {
    let home = Home::new();
    say(&home, "hello");
    let torn = newest(&home.path().join("lancedb/interactions.lance/_versions"));
    let whole = fs::read(&torn).unwrap();
    for length in [0, whole.len() / 2] {
        fs::write(&torn, &whole[..length]).unwrap();
        let output = home.allm().args(["stats"]).run().fails(1);
        assert!(
            output
                .stderr
                .contains("hint: `allm doctor --fix` repairs what can be"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn the_doctor_closes_a_home_that_others_could_read() {
    let home = Home::new();
    say(&home, "hello");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = home.allm().args(["stats"]).run().ok();
    assert!(
        output.stderr.contains("others can read"),
        "{}",
        output.stderr
    );
    let output = home.allm().args(["doctor"]).run().fails(1);
    assert!(
        output.stdout.contains("open to others"),
        "{}",
        output.stdout
    );
    home.allm().args(["doctor", "--fix"]).run().ok();
    let output = home.allm().args(["stats"]).run().ok();
    assert_eq!(output.stderr, "");
    let output = home.allm().args(["doctor"]).run().ok();
    assert!(!output.stdout.contains("wrong"), "{}", output.stdout);
}
