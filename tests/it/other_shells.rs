//! What Gemini CLI, opencode, goose and aichat keep is brought in: as the programs themselves wrote it, in older and newer forms.
//!
//! What a person typed has a mark of its own in the fixtures, `[q1]`, so that it can be counted without knowing the formats.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};

use crate::counting::holds;
use crate::harness::Home;
use crate::import::{database, fixtures, interactions, path, show};

/// Counts what was typed, by its marks.
fn typed(text: &str) -> u64 {
    let marks = Regex::new(r"\[q\d+\]").unwrap();
    let marks: HashSet<&str> = marks.find_iter(text).map(|mark| mark.as_str()).collect();
    marks.len() as u64
}

/// Tells a home's turns on a line each: what was asked, the steps, what was answered, how it ended, by whom, with how many tokens.
fn told(home: &Home) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', "/");
    let step = |step: &Value| {
        let success = if step["success"] == true { "" } else { "!" };
        let action = &step["action"];
        let call = match action.is_null() {
            true => String::new(),
            false => format!("{}{}", text(&action["name"]), action["arguments"]),
        };
        let (thought, observed) = (text(&step["thought"]), text(&step["observation"]));
        format!("({thought}) {call} > {observed}{success}")
    };
    let turn = |turn: &Value| {
        let turn = show(home, turn);
        let steps = turn["steps"].as_array().unwrap().iter().map(step);
        let mut pieces = vec![text(&turn["query"])];
        pieces.extend(steps);
        pieces.push(text(&turn["response"]));
        let usage = &turn["token_usage"];
        let by = format!(
            "{} {}/{} {}+{}",
            text(&turn["status"]),
            text(&turn["provider"]),
            text(&turn["model"]),
            usage["input_tokens"],
            usage["output_tokens"]
        );
        pieces.push(by);
        pieces.join(" | ")
    };
    interactions(home).iter().map(turn).collect()
}

/// Returns what is known of each session: its title, how many turns it has, what else is kept of it.
fn sessions(home: &Home) -> Vec<(String, u64, Value)> {
    let sql = "SELECT title, metadata, (SELECT count(*) FROM interactions i WHERE i.session_id = s.session_id) AS turns FROM sessions s ORDER BY s.created_at, title";
    let rows = home.allm().args(["sql", "--json", sql]).ok_json();
    let row = |row: &Value| {
        let mut kept: Value = serde_json::from_str(row["metadata"].as_str().unwrap()).unwrap();
        kept.as_object_mut().unwrap().remove("import");
        let title = row["title"].as_str().unwrap().to_owned();
        (title, row["turns"].as_u64().unwrap(), kept)
    };
    rows["rows"].as_array().unwrap().iter().map(row).collect()
}

/// Imports what has something broken in it, and checks that nothing is doubled by doing so again.
#[track_caller]
fn brought(home: &Home, source: &str, from: &Path, broken: u64) -> Value {
    let args = ["--json", "import", "--no-embed", source, path(from)];
    let run = || home.allm().args(args).run();
    let report = match broken {
        0 => run().ok().json().remove(0),
        _ => run().fails(1).json().remove(0),
    };
    assert_eq!(report["parts"][0]["broken"], broken, "{report}");
    let again = match broken {
        0 => run().ok().json().remove(0),
        _ => run().fails(1).json().remove(0),
    };
    let part = &again["parts"][0];
    let known = &report["parts"][0]["imported"];
    assert_eq!(
        (&part["imported"], &part["updated"], &part["known"]),
        (&json!(0), &json!(0), known),
        "{again}"
    );
    report
}

#[test]
fn sessions_of_gemini_cli_are_read_with_what_was_typed_and_saved() {
    let home = Home::new();
    let folder = fixtures().join("gemini-cli");
    let report = brought(&home, "gemini-cli", &folder, 1);
    holds(&report, |file| {
        typed(&fs::read_to_string(folder.join("tmp").join(file)).unwrap())
    });
    assert_eq!(told(&home), [""]);
    assert_eq!(sessions(&home), []);
}

/// Writes the files of opencode, which are many and small.
fn opencode(home: &Home) -> PathBuf {
    let folder = home.folder().join("opencode");
    let files = fs::read_to_string(fixtures().join("opencode-files.jsonl")).unwrap();
    for line in files.lines() {
        let file: Value = serde_json::from_str(line).unwrap();
        let path = folder.join(file["path"].as_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file["text"].as_str().unwrap()).unwrap();
    }
    folder
}

#[test]
fn sessions_of_opencode_are_read_from_files_and_from_the_database() {
    let home = Home::new();
    let folder = opencode(&home);
    let report = brought(&home, "opencode", &folder, 1);
    assert_eq!(report["parts"][0]["messages"], 0, "{report}");
    assert_eq!(told(&home), [""]);
    assert_eq!(sessions(&home), []);

    let home = Home::new();
    let (file, _) = database(&home, "opencode");
    let report = brought(&home, "opencode", &file, 1);
    let sql = fs::read_to_string(fixtures().join("opencode.sql")).unwrap();
    holds(&report, |_| typed(&sql));
    assert_eq!(told(&home), [""]);
    assert_eq!(sessions(&home), []);
}

#[test]
fn sessions_of_goose_are_read_from_files_and_from_the_database() {
    let home = Home::new();
    let folder = fixtures().join("goose");
    let report = brought(&home, "goose", &folder, 1);
    holds(&report, |file| {
        typed(&fs::read_to_string(folder.join(file)).unwrap())
    });
    assert_eq!(told(&home), [""]);
    // What was in the files is in the database that took their place.
    let (file, _) = database(&home, "goose");
    let both = home.folder().join("goose");
    fs::create_dir(&both).unwrap();
    fs::copy(file, both.join("sessions.db")).unwrap();
    let files = folder.join("sessions");
    for file in fs::read_dir(files).unwrap().flatten() {
        fs::copy(file.path(), both.join(file.file_name())).unwrap();
    }
    let report = home
        .allm()
        .args(["--json", "import", "--no-embed", "goose", path(&both)]);
    let report = report.run().fails(1).json().remove(0);
    assert_eq!(report, json!(0));
    assert_eq!(told(&home), [""]);
    assert_eq!(sessions(&home), []);
}

#[test]
fn messages_and_sessions_of_aichat_are_read() {
    let home = Home::new();
    let folder = fixtures().join("aichat");
    let report = brought(&home, "aichat", &folder, 1);
    holds(&report, |file| {
        typed(&fs::read_to_string(folder.join(file)).unwrap())
    });
    assert_eq!(told(&home), [""]);
    assert_eq!(sessions(&home), []);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn other_shells_are_found_where_they_keep_their_data() {
    let home = Home::new();
    for (source, variable, inside, from) in [
        ("gemini-cli", "GEMINI_CLI_HOME", ".gemini", "gemini-cli"),
        ("goose", "GOOSE_PATH_ROOT", "data", "goose"),
        ("goose", "XDG_DATA_HOME", "goose", "goose"),
        ("aichat", "AICHAT_CONFIG_DIR", ".", "aichat"),
        ("aichat", "XDG_CONFIG_HOME", "aichat", "aichat"),
    ] {
        let place = home.folder().join(variable);
        copy(&fixtures().join(from), &place.join(inside));
        let look = ["--json", "import", source, "--dry-run"];
        let report = home.allm().env(variable, path(&place)).args(look).run();
        let report = report.fails(1).json().remove(0);
        assert!(
            report["parts"][0]["imported"].as_u64() > Some(2),
            "{report}"
        );
    }
    let data = opencode(&home);
    let data = data.parent().unwrap();
    let look = ["--json", "import", "opencode", "--dry-run"];
    let report = home
        .allm()
        .env("XDG_DATA_HOME", path(data))
        .args(look)
        .run();
    let report = report.fails(1).json().remove(0);
    assert!(
        report["parts"][0]["imported"].as_u64() > Some(2),
        "{report}"
    );
    let help = home
        .allm()
        .args(["import", "goose", "--help"])
        .run()
        .ok()
        .stdout;
    assert!(help.contains("Examples:"), "{help}");
}

#[test]
fn sessions_of_other_shells_that_have_grown_are_completed() {
    let add = |file: PathBuf, text: &str| {
        let all = fs::read_to_string(&file).unwrap() + text;
        fs::write(file, all).unwrap();
    };
    let home = Home::new();
    let folder = home.folder().join("grown");
    for (source, file, text) in [
        (
            "gemini-cli",
            "tmp/lamps/chats/session-2026-11-20T08-00-4a1f0c52.jsonl",
            r#"{"id":"g9","timestamp":"2026-11-20T08:06:00.000Z","type":"gemini","content":"It grew.","model":"m"}"#,
        ),
        (
            "goose",
            "sessions/20250325_200615.jsonl",
            r#"{"role":"assistant","created":1742933190,"content":[{"type":"text","text":"It grew."}]}"#,
        ),
        (
            "aichat",
            "sessions/_/20261120T101500-lamp-words.yaml",
            "- role: assistant\n  content: It grew.\n",
        ),
    ] {
        let from = folder.join(source);
        copy(&fixtures().join(source), &from);
        let args = ["--json", "import", "--no-embed", source, path(&from)];
        let run = || home.allm().args(args).run().fails(1).json().remove(0);
        run();
        add(from.join(file), text);
        let part = &run()["parts"][0];
        assert_eq!(
            (&part["imported"], &part["updated"]),
            (&json!(0), &json!(1)),
            "{part}"
        );
    }
    let found = home
        .allm()
        .args(["search", "\"It grew\"", "--mode", "text", "--json"]);
    assert_eq!(found.ok_json()["count"], 3);
}
