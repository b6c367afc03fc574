//! What Gemini CLI, opencode, goose and aichat keep is brought in: as the programs themselves wrote it, in older and newer forms.
//!
//! What a person typed has a mark of its own in the fixtures, `[q1]`, so that it can be counted without knowing the formats.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};

use crate::counting::holds;
use crate::harness::{Home, Run};
use crate::import::{database, fixtures, path};

/// Counts what was typed, by its marks.
fn typed(text: &str) -> u64 {
    let marks = Regex::new(r"\[q\d+\]").unwrap();
    let marks: HashSet<&str> = marks.find_iter(text).map(|mark| mark.as_str()).collect();
    marks.len() as u64
}

/// Returns the rows of an export that are of a kind.
fn exported(home: &Home) -> impl Fn(&str) -> Vec<Value> + use<> {
    let export = home.allm().args(["export"]).run().ok().stdout;
    let rows: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    move |kind| {
        let rows = rows.iter().filter(|row| row["type"] == kind);
        rows.cloned().collect()
    }
}

/// Returns what a column says that holds JSON, or nothing.
fn parsed(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// Tells turns on a line each: what was asked, the steps, what was answered, how it ended, by whom, with how many tokens, what
/// else was kept.
fn turns(home: &Home) -> Vec<String> {
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
    let exported = exported(home);
    let cycles = exported("react_cycle");
    let turn = |turn: &Value| {
        let is_its = |cycle: &&Value| cycle["interaction_id"] == turn["interaction_id"];
        let steps = cycles.iter().find(is_its);
        let steps = steps.map(|cycle| parsed(&cycle["scratchpad"]));
        let mut pieces = vec![text(&turn["query"])];
        pieces.extend(
            steps
                .iter()
                .flat_map(|steps| steps.as_array().unwrap())
                .map(step),
        );
        pieces.push(text(&turn["response"]));
        let usage = parsed(&turn["token_usage"]);
        let by = ["status", "provider", "model"].map(|name| text(&turn[name]));
        let count = |name: &str| usage[name].as_u64().unwrap_or_default();
        let (input, output) = (count("input_tokens"), count("output_tokens"));
        pieces.push(format!("{} {input}+{output}", by.join("/")));
        let metadata = parsed(&turn["metadata"]);
        let kept = metadata.as_object().unwrap().keys();
        let kept = kept.filter(|name| !name.starts_with("import"));
        pieces.extend(kept.map(|name| format!("+{name}")));
        pieces.join(" | ")
    };
    let mut rows = exported("interaction");
    rows.sort_by_key(|row| row["timestamp"].to_string());
    rows.iter().map(turn).collect()
}

/// Tells what is known of each session: its title, and what else is kept.
fn sessions(home: &Home) -> Vec<String> {
    let mut rows = exported(home)("session");
    rows.sort_by_key(|row| row["created_at"].to_string());
    let row = |row: &Value| {
        let mut kept = parsed(&row["metadata"]);
        kept.as_object_mut().unwrap().remove("import");
        format!("{} {} {kept}", row["title"], row["system_prompt"])
    };
    rows.iter().map(row).collect()
}

/// Imports what has something broken in it, and checks that nothing is doubled by doing so again.
#[track_caller]
fn brought(home: &Home, source: &str, from: &Path) -> Value {
    let args = ["--json", "import", "--no-embed", source, path(from)];
    let run = || home.allm().args(args).run().fails(1).json().remove(0);
    let (first, again) = (run(), run());
    let (part, known) = (&again["parts"][0], &first["parts"][0]["imported"]);
    let none = (&part["imported"], &part["updated"]);
    assert_eq!(
        (none, &part["known"]),
        ((&json!(0), &json!(0)), known),
        "{again}"
    );
    assert_eq!(first["parts"][0]["broken"], part["broken"], "{first}");
    first
}

/// Checks how many messages of the user there were, and which of them are in no turn.
#[track_caller]
fn counted(report: &Value, messages: u64, left_out: Value) {
    let part = &report["parts"][0];
    let counts = (&part["messages"], &part["left_out"]);
    assert_eq!(counts, (&json!(messages), &left_out), "{report}");
}

#[test]
fn sessions_of_gemini_cli_are_read_with_what_was_typed_and_saved() {
    let home = Home::new();
    let folder = fixtures().join("gemini-cli");
    let report = brought(&home, "gemini-cli", &folder);
    holds(&report, |file| {
        typed(&fs::read_to_string(folder.join("tmp").join(file)).unwrap())
    });
    assert_eq!(
        turns(&home),
        [
            "What is a lamp? [q6] | (Looking/I think of lamps.)  >  | A thing that gives light. | completed/google/gemini-2.5-flash 100+25 | +context",
            "And a candle? [q7] | (Looking/I think of lamps.)  >  | It gives light, too. | completed/google/gemini-2.5-pro 100+25",
            "A question of the first days. [q9] |  | interrupted/google/ 0+0",
            "Count the lamps. [q5] | (Looking/I think of lamps.)  >  | There are two. | completed/google/gemini-2.5-pro 100+25",
            r#"Which lamps in @list.txt are broken? [q1] | (Looking/I think of lamps.//Let me look.) run_shell_command{"command":"ls lamps"} > north/south | () read_file{"file_path":"west.txt"} > File not found! | (Looking/I think of lamps.)  >  | Both of them. | completed/google/gemini-2.5-pro 200+50 | +context"#,
            "Mend the north lamp, as in this picture. [q3]/[image] | (Looking/I think of lamps.)  >  | It burns again. | completed/google/gemini-2.5-pro 100+25",
            "/srv/lamps/south.txt is next. [q4] |  | interrupted/google/ 0+0 | +notices",
            r#"Write that down. [q10] | () write_file{"file_path":"lamp.txt"} > written | It is written. | completed/google/ 0+0"#,
        ]
    );
    assert_eq!(
        sessions(&home),
        [
            r#""What is a lamp? [q6]" "" {"project":"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f"}"#,
            r#""A question of the first days. [q9]" "" {"project":"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f"}"#,
            r#""Count the lamps. [q5]" "" {"parent":"4a1f0c52-0000-4000-8000-000000000001","folder":"/srv/lamps","kind":"subagent","folders":["/srv/lamps"]}"#,
            r#""Mending lamps" "" {"folder":"/srv/lamps"}"#,
            r#""lamp" "" {"project":"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f"}"#,
        ]
    );
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
    let report = brought(&home, "opencode", &folder);
    let left_out =
        json!({"copied from another session": 2, "taken back": 1, "told elsewhere, too": 1});
    counted(&report, 11, left_out);
    let files = turns(&home);
    assert_eq!(
        files,
        [
            r#"What is a lamp? [q8] | () read{"filePath":"lamp.txt"} > A lamp gives light. | It gives light. | completed/other/n 7+3"#,
            r#"Which lamps in @list.txt are broken? [q1] | (I think of lamps.//Let me look.) bash{"command":"ls lamps"} > north/south | () read{"filePath":"west.txt"} > File not found! | Both of them. | completed/local/m 200+60 | +context"#,
            "And hurry. [q2] | I do. | completed/local/m 100+30",
            r#"!date # [q3] | () bash{"command":"date # [q3]"} > Friday | It is Friday. | completed/local/m 100+30"#,
            "Ask a helper. [q4] | I begin. | interrupted/local/m 100+30 | +errors",
            "Count the lamps. [q6] | There are two. | completed/local/m 10+5",
            "Another way, please. [q7] |  | interrupted// 0+0",
        ]
    );
    assert_eq!(
        sessions(&home),
        [
            r#""What is a lamp? [q8]" "" {"version":"0.1.1"}"#,
            r#""Mending lamps" "" {"folder":"/srv/lamps","version":"1.1.65"}"#,
            r#""Count (@general subagent)" "" {"folder":"/srv/lamps","parent":"ses_9one","version":"1.1.65"}"#,
            r#""Mending lamps (fork #1)" "" {"folder":"/srv/lamps","version":"1.1.65"}"#,
        ]
    );

    let home = Home::new();
    let (file, _) = database(&home, "opencode");
    let report = brought(&home, "opencode", &file);
    let sql = fs::read_to_string(fixtures().join("opencode.sql")).unwrap();
    holds(&report, |_| typed(&sql));
    // The database tells the same, and whole messages besides.
    let told = turns(&home);
    assert_eq!(told[..5], files[1..6]);
    assert_eq!(
        told[5..],
        [
            r#"A question of the newest form. [q9] | (Hm.) bash{"command":"ls"} > north | The answer. | completed/local/m2 9+4"#,
            r#"!date # [q10] | () bash{"command":"date # [q10]"} > Friday |  | interrupted// 0+0"#,
            "A question that waits. [q11] |  | interrupted// 0+0",
        ]
    );
    assert_eq!(
        sessions(&home),
        [
            r#""Mending lamps" "" {"folder":"/srv/lamps","version":"1.18.33"}"#,
            r#""Count (@general subagent)" "" {"folder":"/srv/lamps","parent":"ses_9one","version":"1.18.33"}"#,
            r#""Whole messages" "" {"folder":"/srv/lamps","version":"1.18.33"}"#,
        ]
    );
}

#[test]
fn sessions_of_goose_are_read_from_files_and_from_the_database() {
    let home = Home::new();
    let folder = fixtures().join("goose");
    let report = brought(&home, "goose", &folder);
    holds(&report, |file| {
        typed(&fs::read_to_string(folder.join(file)).unwrap())
    });
    assert_eq!(
        turns(&home),
        [
            r#"What is a lamp? [q6] | () bash{"command":"cat lamp.txt"} > A lamp gives light. | It gives light. | completed// 0+0"#,
            r#"Which lamps are broken? [q1] | (Let me look.) shell{"command":"ls lamps"} > north/south | Both are. | completed// 0+0"#,
        ]
    );
    // What was in the files is in the database that took their place.
    let home = Home::new();
    let (file, _) = database(&home, "goose");
    let both = home.folder().join("goose");
    fs::create_dir(&both).unwrap();
    fs::copy(file, both.join("sessions.db")).unwrap();
    let files = folder.join("sessions");
    for file in fs::read_dir(files).unwrap().flatten() {
        fs::copy(file.path(), both.join(file.file_name())).unwrap();
    }
    let report = brought(&home, "goose", &both);
    let left_out = json!({"copied from another session": 1, "told elsewhere, too": 1});
    counted(&report, 8, left_out);
    assert_eq!(
        turns(&home),
        [
            r#"What is a lamp? [q6] | () bash{"command":"cat lamp.txt"} > A lamp gives light. | It gives light. | completed// 0+0"#,
            r#"Which lamps are broken? [q1] | (Let me look.) shell{"command":"ls lamps"} > north/south | Both are. | completed/openai/m 0+0"#,
            r#"Mend the north lamp. [q2] | (Let me look.) shell{"command":"mend north"} > no such lamp! | (Hm.)  >  | It burns. | completed/openai/m 0+0"#,
            "And the south one? [q3]//[image] | That, too. | completed/openai/m 0+0",
            "Try another way. [q4] |  | interrupted/openai/ 0+0 | +notices",
            "Count the lamps. [q5] | Two. | completed/openai/m 0+0",
        ]
    );
    assert_eq!(
        sessions(&home),
        [
            r#""First days" "" {"folder":"/srv"}"#,
            r#""Lamp repair" "" {"folder":"/srv/lamps","tokens":{"input_tokens":300,"output_tokens":60}}"#,
            r#""North" "" {"folder":"/srv/lamps","tokens":{"input_tokens":300,"output_tokens":60}}"#,
            r#""Lamp repair (copy)" "" {"folder":"/srv/lamps","tokens":{"input_tokens":300,"output_tokens":60}}"#,
            r#""Helper" "" {"folder":"/srv/lamps","kind":"sub_agent","tokens":{"input_tokens":300,"output_tokens":60}}"#,
        ]
    );
}

#[test]
fn messages_and_sessions_of_aichat_are_read() {
    let home = Home::new();
    let folder = fixtures().join("aichat");
    let report = brought(&home, "aichat", &folder);
    holds(&report, |file| {
        typed(&fs::read_to_string(folder.join(file)).unwrap())
    });
    assert_eq!(
        turns(&home),
        [
            "An older question. [q4] | An older answer. | completed// 0+0 | +role",
            "What is a lamp? [q1] | A thing that gives light. | completed// 0+0",
            "Write a rule/--------/below this. [q2] | First/--------/# CHAT: quoted by nobody/last | completed// 0+0 | +role | +documents",
            r#".file list.txt -- Which of these is broken? [q3] | (Let me look.) list{"folder":"lamps"} > {"output":"north"} | The north one. | completed// 0+0"#,
            "Is it dark? [q5] | Not yet. | completed// 0+0 | +agent",
            "a lamp [q8] | It gives light. | completed/local/m 0+0",
            "Thanks. [q9] |  | interrupted/local/ 0+0",
            r#"Which lamps are broken? [q6] | (Let me look.) list{"folder":"lamps"} > {"output":"north"} | Both. | completed/openai/gpt-4o 0+0 | +context"#,
            "And this one? [q7]/[image] | That, too. | completed/openai/gpt-4o 0+0",
        ]
    );
    assert_eq!(
        sessions(&home),
        [
            r#""An older question. [q4]" "" {}"#,
            r#""What is a lamp? [q1]" "" {}"#,
            r#""Is it dark? [q5]" "" {}"#,
            r#""lamp words" "" {"role":"explain"}"#,
            r#""lamps" "You are a poet." {"role":"poet"}"#,
        ]
    );
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
    let found = |run: Run| {
        let report = run.run().fails(1).json().remove(0);
        let imported = report["parts"][0]["imported"].as_u64();
        assert!(imported > Some(1), "{report}");
    };
    for (source, variable, inside, from) in [
        ("gemini-cli", "GEMINI_CLI_HOME", ".gemini", "gemini-cli"),
        ("goose", "GOOSE_PATH_ROOT", "data", "goose"),
        ("goose", "XDG_DATA_HOME", "goose", "goose"),
        ("aichat", "AICHAT_CONFIG_DIR", "", "aichat"),
        ("aichat", "XDG_CONFIG_HOME", "aichat", "aichat"),
    ] {
        let place = home.folder().join(variable);
        copy(&fixtures().join(from), &place.join(inside));
        // One that is torn costs the others nothing.
        fs::write(place.join(inside).join("sessions.db"), "torn").unwrap();
        let look = ["--json", "import", source, "--dry-run"];
        found(home.allm().env(variable, path(&place)).args(look));
    }
    let data = opencode(&home);
    fs::write(data.join("opencode-torn.db"), "torn").unwrap();
    let data = path(data.parent().unwrap());
    let look = ["--json", "import", "opencode", "--dry-run"];
    found(home.allm().env("XDG_DATA_HOME", data).args(look));
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
            "tmp/lamps/chats/session-2025-11-20T08-00-4a1f0c52.jsonl",
            r#"{"id":"g9","timestamp":"2025-11-20T08:06:00.000Z","type":"gemini","content":"It grew.","model":"m"}"#,
        ),
        (
            "goose",
            "sessions/20250325_200615.jsonl",
            r#"{"role":"assistant","created":1742933190,"content":[{"type":"text","text":"It grew."}]}"#,
        ),
        (
            "aichat",
            "sessions/_/20241120T101500-lamp-words.yaml",
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
        .args(["--json", "search", "\"It grew\"", "--mode", "text"]);
    assert_eq!(found.ok_json()["count"], 3);
}
