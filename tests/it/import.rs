//! Other programs' histories are brought in: each turn once, what is broken named, the sources untouched.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Home, project};

pub fn fixtures() -> PathBuf {
    project().join("tests/fixtures/histories")
}

/// Returns all that is stored, oldest first.
pub fn interactions(home: &Home) -> Vec<Value> {
    let all = [
        "timeframe",
        "2000-01-01",
        "2100-01-01",
        "--limit",
        "60000",
        "--json",
    ];
    let all = home.allm().args(all).ok_json();
    all["interactions"].as_array().unwrap().clone()
}

/// Returns one turn, all of it.
pub fn show(home: &Home, turn: &Value) -> Value {
    let id = turn["interaction_id"].as_str().unwrap();
    home.allm().args(["show", id, "--json"]).ok_json()
}

/// Returns what a report says of each part: its name, what was found, what was imported, what is broken.
pub fn parts(report: &Value) -> Vec<(&str, u64, u64, u64)> {
    let part = |part: &'_ Value| {
        let count = |name: &str| part[name].as_u64().unwrap();
        (count("found"), count("imported"), count("broken"))
    };
    let parts = report["parts"].as_array().unwrap().iter();
    parts
        .map(|value| {
            let (found, imported, broken) = part(value);
            (value["name"].as_str().unwrap(), found, imported, broken)
        })
        .collect()
}

/// Imports without vectors, which take long, and returns the report.
#[track_caller]
pub fn import(home: &Home, args: &[&str]) -> Value {
    let how = ["--json", "import", "--no-embed"];
    let all = how.into_iter().chain(args.iter().copied());
    home.allm().args(all).ok_json()
}

fn questions(home: &Home) -> Vec<String> {
    let turns = interactions(home);
    let query = |turn: &Value| turn["query"].as_str().unwrap().to_owned();
    turns.iter().map(query).collect()
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes a database of the statements that it was written out as.
pub fn database(home: &Home, name: &str) -> (PathBuf, Connection) {
    let file = home.folder().join(format!("{name}.db"));
    let database = Connection::open(&file).unwrap();
    let sql = fs::read_to_string(fixtures().join(format!("{name}.sql"))).unwrap();
    let sql = format!("PRAGMA foreign_keys = OFF; {sql}");
    database.execute_batch(&sql).unwrap();
    (file, database)
}

#[test]
fn logs_of_llm_are_read_in_their_three_forms() {
    for (name, count, calls) in [("llm-old", 3, 0), ("llm-mid", 5, 2), ("llm-new", 8, 2)] {
        let home = Home::new();
        let (file, _open) = database(&home, name);
        let report = import(&home, &["llm", path(&file)]);
        assert_eq!(parts(&report), [("llm", count, count, 0)], "{name}");
        let turns = interactions(&home);
        let (first, second) = (show(&home, &turns[0]), &turns[1]);
        assert_eq!(first["query"], "How do I bake bread?");
        assert_eq!(first["response"], "Answer to: How do I bake bread?");
        assert_eq!(first["model"], "test");
        assert_eq!(first["session_id"], second["session_id"], "{name}");
        let context = [
            "sql",
            "SELECT system_prompt, title FROM sessions ORDER BY created_at",
        ];
        let sessions = home.allm().args(["--json"]).args(context).ok_json();
        assert_eq!(sessions["rows"][0][0], "You are a baker.", "{sessions}");
        assert_eq!(sessions["rows"][0][1], "How do I bake bread?");
        let steps: Vec<Value> = turns
            .iter()
            .map(|turn| show(&home, turn)["steps"].clone())
            .collect();
        let steps: Vec<&Value> = steps
            .iter()
            .flat_map(|steps| steps.as_array().unwrap())
            .collect();
        assert_eq!(steps.len(), calls, "{name}: {steps:?}");
        if let [call, fragment] = steps[..] {
            assert_eq!(call["thought"], "Let me compute.");
            assert_eq!(call["action"]["name"], "multiply");
            assert_eq!(call["action"]["arguments"], json!({"x": 6, "y": 7}));
            assert_eq!(call["observation"], "42");
            assert_eq!(fragment["observation"], "some file text about Lisbon");
            let asked = turns
                .iter()
                .find(|turn| turn["query"] == "What is 6 times 7?");
            assert_eq!(asked.unwrap()["response"], "Answer to: 42");
            let seen = turns
                .iter()
                .find(|turn| turn["query"] == "What is in the picture?\n[attachment: image/png]");
            assert!(seen.is_some(), "{turns:?}");
        }
    }
}

#[test]
fn a_log_is_read_while_its_program_writes_and_never_written_to() {
    let home = Home::new();
    let (file, database) = database(&home, "llm-old");
    database.execute_batch("PRAGMA journal_mode = wal; BEGIN; DELETE FROM responses WHERE prompt = 'And how long?'").unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(
        parts(&import(&home, &["llm", path(&file)])),
        [("llm", 3, 3, 0)]
    );
    assert_eq!(fs::read(&file).unwrap(), before);
    database.execute_batch("COMMIT").unwrap();
    // A program that died leaves its last changes beside its database.
    let left = home.folder().join("left");
    fs::create_dir(&left).unwrap();
    for name in ["llm-old.db", "llm-old.db-wal"] {
        fs::copy(home.folder().join(name), left.join(name)).unwrap();
    }
    let other = Home::new();
    let found = import(&other, &["llm", path(&left.join("llm-old.db"))]);
    assert_eq!(parts(&found), [("llm", 2, 2, 0)]);
    assert_eq!(fs::read_dir(&left).unwrap().count(), 2);
}

#[test]
fn lines_of_other_programs_are_read_and_bad_ones_named() {
    let home = Home::new();
    let lines = concat!(
        "{\"timestamp\":\"2025-09-01T10:00:00+02:00\",\"query\":\"What is a quark?\",\"response\":\"A particle.\",\"model\":\"m\"}\n",
        "\n",
        "{\"timestamp\":1756800000,\"query\":\"Old?\",\"response\":\"Yes \\u001b[2J.\",\"session\":\"s\",\"facts\":[\"a --[is]--> b\"],\"input_tokens\":3}\n",
        "not json\n",
        "{\"query\":\"no time\",\"response\":\"x\"}\n",
        "{\"timestamp\":\"2025-09-01T10:00:00+02:00\",\"query\":\"What is a quark?\",\"response\":\"A particle.\"}\n",
    );
    let run = home
        .allm()
        .args(["import", "jsonl", "-", "--user", "o'brien", "--no-embed"])
        .stdin(lines)
        .run()
        .fails(1);
    assert!(run.stderr.contains("cannot read line 4: "), "{run:?}");
    assert!(
        run.stderr
            .contains("cannot read line 5: its timestamp is no time"),
        "{run:?}"
    );
    assert!(run.stderr.contains("1 passed over: found twice"), "{run:?}");
    assert!(interactions(&home).is_empty(), "it is another user's");
    let mine = |args: &[&str]| {
        home.allm()
            .env("ALLM_USER", "o'brien")
            .args(args.iter().copied())
    };
    let found = mine(&["search", "quark", "--mode", "text", "--json"]).ok_json();
    assert_eq!(found["count"], 1);
    let unmeant = mine(&[
        "search",
        "elementary physics",
        "--mode",
        "semantic",
        "--min-score",
        "0.1",
        "--json",
    ])
    .ok_json();
    assert_eq!(unmeant["count"], 0);
    mine(&["reindex"]).run().ok();
    let meant = mine(&[
        "search",
        "elementary physics",
        "--mode",
        "semantic",
        "--min-score",
        "0.1",
        "--json",
    ])
    .ok_json();
    assert_eq!(meant["hits"][0]["query"], "What is a quark?", "{meant}");

    let file = home.folder().join("lines.jsonl");
    fs::write(&file, lines).unwrap();
    let late = home
        .allm()
        .args([
            "--json",
            "import",
            "jsonl",
            path(&file),
            "--since",
            "2025-09-02",
            "--user",
            "o'brien",
            "--dry-run",
        ])
        .run()
        .fails(1);
    let late = &late.json()[0]["parts"][0];
    assert_eq!(
        (&late["known"], &late["skipped"]["before --since"]),
        (&json!(1), &json!(2)),
        "{late}"
    );
    assert!(interactions(&home).is_empty());
}

#[test]
fn an_import_that_is_killed_goes_on_and_doubles_nothing() {
    let home = Home::new();
    let file = home.folder().join("many.jsonl");
    let line = |number: u64| {
        json!({"timestamp": 1_700_000_000 + number, "query": format!("question {number} about topic {}", number % 7), "response": format!("answer {number}")})
            .to_string()
            + "\n"
    };
    fs::write(&file, (0..150).map(line).collect::<String>()).unwrap();
    for wait in [300, 900, 1500] {
        let mut child = home.allm().args(["import", "jsonl", path(&file)]).spawn();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let report = import(&home, &["jsonl", path(&file)]);
    let part = &report["parts"][0];
    assert_eq!(
        part["imported"].as_u64().unwrap() + part["known"].as_u64().unwrap(),
        150,
        "{report}"
    );
    assert_eq!(questions(&home).len(), 150);
    let sql = "SELECT count(*), count(DISTINCT interaction_id || source || position), count(embedding) FROM passages";
    let passages = || home.allm().args(["--json", "sql", sql]).ok_json()["rows"][0].clone();
    let before = passages();
    assert_eq!(
        (&before[0], &before[1]),
        (&json!(300), &json!(300)),
        "{before}"
    );
    // The last import made no vectors; what those before it had made is kept, and the rest is made once.
    let made = before[2].as_u64().unwrap();
    let reindexed = home.allm().args(["--json", "reindex"]).ok_json();
    assert_eq!(reindexed["embedded"], 300 - made, "{reindexed}");
    assert_eq!(passages(), json!([300, 300, 300]));
}

#[test]
fn secrets_in_other_histories_are_left_out() {
    let home = Home::new();
    let key = format!("sk-proj-{}", "a1B2c3D4e5".repeat(5));
    let line =
        json!({"timestamp": 1_756_800_000, "query": format!("is {key} right?"), "response": "No."});
    let run = home
        .allm()
        .args(["import", "jsonl", "-", "--no-embed"])
        .stdin(&line.to_string())
        .run()
        .ok();
    assert!(
        run.stderr.contains("1 secret left out of what is stored"),
        "{run:?}"
    );
    let query = interactions(&home)[0]["query"].as_str().unwrap().to_owned();
    assert!(query.starts_with("is [REDACTED:"), "{query}");
    // What is left out does not make a turn grow.
    let again = home.allm().args(["--json", "import", "jsonl", "-"]);
    let again = again.stdin(&line.to_string()).ok_json();
    assert_eq!(again["parts"][0]["known"], 1, "{again}");
}

#[test]
fn one_import_at_a_time() {
    let home = Home::new();
    home.allm().args(["sessions"]).run().ok();
    let lock = fs::File::create(home.path().join("lancedb.import.lock")).unwrap();
    lock.lock().unwrap();
    let line = r#"{"timestamp": 1756800000, "query": "q", "response": "r"}"#;
    let import = ["import", "jsonl", "-"];
    let run = home.allm().args(import).stdin(line).run().fails(1);
    assert!(
        run.stderr.contains("another import is under way"),
        "{run:?}"
    );
    drop(lock);
    home.allm().args(import).stdin(line).run().ok();
}

// Finding M24.
#[test]
fn what_is_continued_was_said_here() {
    let home = Home::new();
    let said = json!({"timestamp": "2090-01-01T00:00:00Z", "session": "s", "query": "from afar?", "response": "yes"});
    let run = home.allm().args(["import", "jsonl", "-", "--no-embed"]);
    run.stdin(&said.to_string()).run().ok();
    let chat = |args: &[&str]| {
        let run = home.allm().args(["chat", "-p", "offline", "--json"]);
        run.args(args.iter().copied()).run()
    };
    let none = chat(&["-c", "hello"]).fails(1).json().remove(0);
    assert_eq!(none["error"], "there is no conversation to go on with");
    let session = |args: &[&str]| chat(args).ok().json()[0]["session_id"].clone();
    let own = session(&["one"]);
    assert_eq!(session(&["-c", "two"]), own);
    // Whoever goes on with one that was brought in has it continued.
    let sessions = home.allm().args(["sessions", "--json"]).ok_json();
    let theirs = sessions["sessions"][0]["session_id"].clone();
    assert_ne!(theirs, own);
    assert_eq!(
        session(&["--session", theirs.as_str().unwrap(), "three"]),
        theirs
    );
    assert_eq!(session(&["-c", "four"]), theirs);
}
