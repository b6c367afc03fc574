//! What Codex writes is read as what happened: a fork is no new work, an answer belongs to its question, and nothing is lost.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::Home;
use crate::import::{import, interactions, path};

/// Returns a moment of the day that all of this happens on.
fn at(time: &str) -> DateTime<Utc> {
    format!("2026-05-04T{time}Z").parse().unwrap()
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns an id that says when it was made (UUID version 7).
fn id(time: DateTime<Utc>) -> String {
    let millis = time.timestamp_millis();
    format!(
        "{:08x}-{:04x}-7000-8000-000000000000",
        millis >> 16,
        millis & 0xffff
    )
}

fn line(time: DateTime<Utc>, kind: &str, payload: Value) -> Value {
    json!({"timestamp": stamp(time), "type": kind, "payload": payload})
}

/// Returns the lines of a session: what is known of it, then a replay, written at once, then its own.
fn session(began: &str, from: Option<(&str, &[Value])>, own: Vec<Vec<Value>>) -> Vec<Value> {
    let began = at(began);
    let parent = from.map(|(parent, _)| id(at(parent)));
    let meta =
        json!({"id": id(began), "timestamp": stamp(began), "forked_from_id": parent, "cwd": "/"});
    let mut lines = vec![line(began, "session_meta", meta)];
    for line in from.map(|(_, lines)| lines).unwrap_or_default() {
        let mut line = line.clone();
        line["timestamp"] = json!(stamp(began + TimeDelta::milliseconds(20)));
        lines.push(line);
    }
    lines.extend(own.into_iter().flatten());
    lines
}

fn message(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": "text", "text": text}]})
}

/// Returns what is asked and answered, without a word of the task that it is for.
fn talk(time: DateTime<Utc>, asked: &[&str], answer: &str, total: u64) -> Vec<Value> {
    let mut lines = Vec::new();
    for asked in asked {
        let event = json!({"type": "user_message", "message": asked});
        lines.push(line(time, "response_item", message("user", asked)));
        lines.push(line(time, "event_msg", event));
    }
    let tokens = json!({"type": "token_count", "info": {
        "total_token_usage": {"total_tokens": total},
        "last_token_usage": {"input_tokens": 900, "output_tokens": 100},
    }});
    let soon = time + TimeDelta::seconds(5);
    lines.push(line(soon, "response_item", message("assistant", answer)));
    lines.push(line(soon, "event_msg", tokens));
    lines
}

/// Returns what is written of a task.
fn task(time: &str, asked: &[&str], answer: &str, total: u64) -> Vec<Value> {
    let time = at(time);
    let event = |kind: &str| json!({"type": kind, "turn_id": id(time)});
    let mut lines = vec![line(time, "event_msg", event("task_started"))];
    lines.extend(talk(time, asked, answer, total));
    lines.push(line(
        time + TimeDelta::seconds(6),
        "event_msg",
        event("task_complete"),
    ));
    lines
}

/// Writes a transcript, and returns its name.
fn write(folder: &Path, began: &str, lines: &[Value]) -> String {
    let name = format!(
        "rollout-2026-05-04T{}-{}.jsonl",
        began.replace(':', "-"),
        id(at(began))
    );
    fs::create_dir_all(folder).unwrap();
    let mut file = File::create(folder.join(&name)).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    name
}

/// Compresses a transcript.
fn pack(file: &Path) -> Vec<u8> {
    zstd::encode_all(File::open(file).unwrap(), 3).unwrap()
}

fn bring(home: &Home, from: &Path) -> Value {
    import(home, &["codex", path(from)])
}

/// Returns what was asked and answered when, oldest first.
fn told(home: &Home) -> Vec<(String, String, String, String)> {
    let text = |turn: &Value, name: &str| turn[name].as_str().unwrap().to_owned();
    let turns = interactions(home);
    let turns = turns.iter().map(|turn| {
        let time: DateTime<Utc> = text(turn, "timestamp").parse().unwrap();
        let time = time.format("%T").to_string();
        let [query, response, status] =
            ["query", "response", "status"].map(|name| text(turn, name));
        (time, query, response, status)
    });
    turns.collect()
}

#[track_caller]
fn check(home: &Home, expected: &[(&str, &str, &str)]) {
    let told = told(home);
    let told: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|(time, query, response, status)| {
            assert_eq!(status, "completed", "{query}");
            (time.as_str(), query.as_str(), response.as_str())
        })
        .collect();
    assert_eq!(told, expected);
}

#[track_caller]
fn tokens(home: &Home) -> Value {
    home.allm().args(["stats", "--json"]).ok_json()["usage"]["input_tokens"].clone()
}

const DEEP: (&str, &str, &str) = ("10:00:10", "How deep is it?", "Nine metres.");
const HIGH: (&str, &str, &str) = ("10:10:00", "And at high tide?", "Thirteen.");

#[test]
fn a_fork_is_no_new_work_and_keeps_what_its_parent_has_lost() {
    let ide = "# Context from my IDE setup:\n\n## Active file: a.rs\n\n## My request for Codex:\nAnd at high tide?\n";
    let parent = session(
        "10:00:00",
        None,
        vec![
            task("10:00:10", &[DEEP.1], DEEP.2, 1000),
            task("10:10:00", &[ide], HIGH.2, 2000),
        ],
    );
    // A summary, for the model alone, is written in a task of its own.
    let time = at("16:10:00");
    let summary =
        json!({"message": "It goes on:\nDepths were asked for.", "replacement_history": []});
    let mut compaction = task("16:10:00", &[], "Depths were asked for.", 4000);
    compaction.insert(3, line(time, "compacted", summary));
    let fork = session(
        "16:00:00",
        Some(("10:00:00", &parent)),
        vec![
            task(
                "16:00:00.300",
                &["Which ships fit?", "Only those with sails."],
                "Two.",
                3000,
            ),
            compaction,
            task("16:20:00", &["And tomorrow?"], "Three.", 5000),
        ],
    );
    let again = session(
        "17:00:00",
        Some(("16:00:00", &fork)),
        vec![task("17:01:00", &["Thanks."], "Welcome.", 6000)],
    );
    let expected = [
        DEEP,
        HIGH,
        (
            "16:00:00",
            "Which ships fit?\n\nOnly those with sails.",
            "Two.",
        ),
        ("16:20:00", "And tomorrow?", "Three."),
        ("17:01:00", "Thanks.", "Welcome."),
    ];

    let home = Home::new();
    let folder = home.folder().join("codex");
    let (sessions, archive) = (folder.join("sessions"), folder.join("archived_sessions"));
    write(&sessions, "10:00:00", &parent);
    write(&sessions, "16:00:00", &fork);
    let last = write(&archive, "17:00:00", &again);
    let report = bring(&home, &folder);
    check(&home, &expected);
    assert_eq!(tokens(&home), 6 * 900);
    let replayed = "replayed from the session that it was forked from";
    assert_eq!(
        report["parts"][0]["left_out"],
        json!({replayed: 2 + 5}),
        "{report}"
    );
    assert_eq!(report["parts"][0]["in_turns"], 6, "{report}");
    let named = home.allm().args(["sessions", "--json"]).ok_json();
    assert_eq!(named["sessions"].as_array().unwrap().len(), 3, "{named}");
    let kept = home
        .allm()
        .args(["sql", "--json", "SELECT metadata FROM interactions"])
        .ok_json();
    assert!(kept.to_string().contains("Active file: a.rs"), "{kept}");
    assert_eq!(bring(&home, &folder)["parts"][0]["known"], 5);

    // The replay is all that is left of the others; they may be found later.
    let home = Home::new();
    bring(&home, &archive.join(&last));
    check(&home, &expected);
    assert_eq!(bring(&home, &folder)["parts"][0]["imported"], 0);
    check(&home, &expected);
}

#[test]
fn a_fork_of_a_version_without_tasks_is_no_new_work_either() {
    let talks = |talks: &[(&str, &str, &str)], total: u64| {
        let talks = talks.iter().zip(1..);
        let talks = talks.map(|((time, asked, answer), number)| {
            talk(at(time), &[asked], answer, total + number * 1000)
        });
        vec![talks.flatten().collect()]
    };
    let ships = ("16:30:00", "How deep is it?", "Nine metres, still.");
    let last = ("17:30:00", "Thanks.", "Welcome.");
    let parent = session("10:00:00", None, talks(&[DEEP, HIGH], 0));
    let fork = session(
        "16:00:00",
        Some(("10:00:00", &parent)),
        talks(&[ships], 2000),
    );
    let again = session("17:00:00", Some(("16:00:00", &fork)), talks(&[last], 3000));
    let home = Home::new();
    let folder = home.folder().join("sessions");
    write(&folder, "10:00:00", &parent);
    write(&folder, "16:00:00", &fork);
    write(&folder, "17:00:00", &again);
    let report = bring(&home, &folder);
    check(&home, &[DEEP, HIGH, ships, last]);
    assert_eq!(tokens(&home), 4 * 900);
    assert_eq!(report["parts"][0]["messages"], 2 + 3 + 4, "{report}");

    // Two forks of what is gone: when it was is not known, only that it was after the beginning.
    let home = Home::new();
    let folder = home.folder().join("sessions");
    write(&folder, "16:00:00", &fork);
    let sister = session(
        "16:40:00",
        Some(("10:00:00", &parent)),
        talks(&[("16:50:00", "Why?", "So.")], 2000),
    );
    write(&folder, "16:40:00", &sister);
    bring(&home, &folder);
    let began = |told: (&'static str, &'static str, &'static str)| ("10:00:00", told.1, told.2);
    let both = [began(DEEP), began(HIGH), ships, ("16:50:00", "Why?", "So.")];
    check(&home, &both);
    write(&folder, "10:00:00", &parent);
    assert_eq!(bring(&home, &folder)["parts"][0]["imported"], 0);
    check(&home, &both);
}

#[test]
fn compressed_transcripts_are_read_as_far_as_they_are_whole() {
    let whole = session(
        "10:00:00",
        None,
        vec![task("10:00:10", &[DEEP.1], DEEP.2, 1000)],
    );
    let torn = session(
        "11:00:00",
        None,
        vec![
            task("11:00:10", &["And here?"], "Ten.", 1000),
            task("11:10:00", &["In words?"], "Ten, too.", 2000),
        ],
    );
    let home = Home::new();
    let folder = home.folder().join("sessions");
    let twice = write(&folder, "10:00:00", &whole);
    fs::write(
        folder.join(format!("{twice}.zst")),
        pack(&folder.join(&twice)),
    )
    .unwrap();
    let name = write(&folder, "11:00:00", &torn);
    // What is random does not shrink: only the first block is whole.
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = (0..400_000).map(|_| random.alphanumeric()).collect();
    let mut text = fs::read_to_string(folder.join(&name)).unwrap();
    text.push_str(&json!({"type": "world_state", "payload": noise}).to_string());
    let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    fs::remove_file(folder.join(&name)).unwrap();
    fs::write(
        folder.join(format!("{name}.zst")),
        &packed[..packed.len() / 2],
    )
    .unwrap();
    let run = home
        .allm()
        .args(["--json", "import", "codex", "--no-embed", path(&folder)]);
    let report = run.run().fails(1).json()[0].clone();
    let part = &report["parts"][0];
    assert_eq!(
        (&part["imported"], &part["broken"]),
        (&json!(3), &json!(1)),
        "{report}"
    );
    assert!(
        part["named"][0][0]
            .as_str()
            .unwrap()
            .ends_with(".jsonl.zst"),
        "{report}"
    );
    assert_eq!(part["left_out"], json!({}), "{report}");
    check(
        &home,
        &[
            DEEP,
            ("11:00:10", "And here?", "Ten."),
            ("11:10:00", "In words?", "Ten, too."),
        ],
    );
}
