//! Counting holds: what the user said in each file is in a turn, or named as left out. The counters here know nothing of the importer.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::Home;
use crate::import::{database, fixtures, import, path};

/// Checks what a report says of each file against what a counter finds in it.
#[track_caller]
pub fn holds(report: &Value, count: impl Fn(&str) -> u64) {
    let number = |counts: &Value, name: &str| counts[name].as_u64().unwrap();
    let (mut files, mut stored) = (0, 0);
    for part in report["parts"].as_array().unwrap() {
        let of = part["files"].as_array().unwrap().iter();
        let sums = of.clone().map(|file| number(file, "messages"));
        assert_eq!(number(part, "messages"), sums.sum::<u64>(), "{part}");
        for file in of {
            let name = file["file"].as_str().unwrap();
            let left_out = file["left_out"].as_object().unwrap().values();
            let left_out: u64 = left_out.map(|count| count.as_u64().unwrap()).sum();
            let messages = number(file, "messages");
            assert_eq!(messages, number(file, "in_turns") + left_out, "{file}");
            assert_eq!(messages, count(name), "{file}");
            files += 1;
            stored += number(file, "in_turns");
        }
    }
    assert!(files > 0 && stored > 0, "{report}");
}

/// Counts the lines of a file that are so.
fn lines(file: &Path, is_so: fn(&Value) -> bool) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(is_so).count() as u64
}

/// Returns whether a line of Claude Code is what somebody typed.
fn typed_to_claude(line: &Value) -> bool {
    let content = &line["message"]["content"];
    let blocks = content.as_array().into_iter().flatten();
    let mut texts = blocks.filter_map(|block| block["text"].as_str());
    let words = texts.next_back().or(content.as_str()).unwrap_or_default();
    let is_programs = words.starts_with("[Request") || words.starts_with("<bash-stdout");
    let is_users = line["type"] == "user" && line["isMeta"] != true;
    (is_users && !words.is_empty() && !is_programs) || line["reason"] == "absorbed_mid_turn"
}

fn typed_to_codex(line: &Value) -> bool {
    let event = &line["payload"];
    event["type"] == "user_message" || event["item"]["type"] == "UserMessage"
}

#[test]
fn what_was_typed_to_agents_is_in_a_turn_or_named() {
    let check = |source: &str, folder: &str, is_typed: fn(&Value) -> bool| {
        let home = Home::new();
        let folder = fixtures().join(folder);
        let report = import(&home, &[source, path(&folder)]);
        holds(&report, |file| lines(&folder.join(file), is_typed));
    };
    for folder in ["", "-1.0.98", "-2.1.197", "-queued", "-editor", "-agents"] {
        check(
            "claude-code",
            &format!("claude-code{folder}"),
            typed_to_claude,
        );
    }
    for folder in ["codex", "codex-0.104.0", "codex-rewound"] {
        check("codex", folder, typed_to_codex);
    }
}

#[test]
fn what_was_said_in_logs_and_lines_is_in_a_turn_or_named() {
    let home = Home::new();
    let (file, log) = database(&home, "llm-mid");
    let count = |log: &Connection| -> u64 {
        let asked = "SELECT count(*) FROM responses WHERE prompt <> ''";
        log.query_row(asked, [], |row| row.get::<_, i64>(0))
            .unwrap()
            .cast_unsigned()
    };
    let report = import(&home, &["llm", path(&file)]);
    holds(&report, |_| count(&log));

    // The same lines twice, in a file and with marks of Windows: one of UTF-16, one within.
    let line = |number: u32| {
        json!({"timestamp": 1_756_800_000 + number, "query": format!("Grüße {number}?"), "response": "Ja."}).to_string()
    };
    let text = format!(
        "\u{feff}{}\r\n{}\r\n\u{feff}{}\r\n",
        line(1),
        line(2),
        line(1)
    );
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [text.as_bytes(), &wide, &big] {
        let home = Home::new();
        let file = home.folder().join("lines.jsonl");
        fs::write(&file, bytes).unwrap();
        let report = import(&home, &["jsonl", path(&file)]);
        holds(&report, |_| 3);
        let part = &report["parts"][0];
        assert_eq!(part["left_out"], json!({"found twice": 1}), "{report}");
        assert_eq!(part["files"][0]["file"], "lines.jsonl");
        let found = ["search", "Grüße", "--mode", "text", "--json"];
        assert_eq!(home.allm().args(found).ok_json()["count"], 2);
    }
}

#[test]
fn what_was_said_to_services_is_in_a_turn_or_named() {
    let message = |role: &str, text: &str| json!({"author": {"role": role}, "create_time": 1_700_000_000, "content": {"parts": [text]}});
    let chatgpt = json!([{"id": "c", "current_node": "b", "mapping": {
        "a": {"id": "a", "parent": "", "message": message("user", "Warum?")},
        "b": {"id": "b", "parent": "a", "message": message("assistant", "Darum.")},
    }}]);
    let claude = json!([{"uuid": "c", "chat_messages": [
        {"uuid": "a", "sender": "human", "text": "Warum?", "created_at": "2025-03-01T10:00:00Z"},
        {"uuid": "b", "sender": "assistant", "text": "Darum.", "created_at": "2025-03-01T10:00:01Z"},
    ]}]);
    for (source, export, mark) in [
        ("chatgpt", chatgpt, "\"role\":\"user\""),
        ("claude", claude, "\"sender\":\"human\""),
    ] {
        let home = Home::new();
        // Notepad begins each file with a mark.
        let file = home.folder().join("conversations.json");
        fs::write(&file, format!("\u{feff}{export}")).unwrap();
        let report = import(&home, &[source, path(&file)]);
        holds(&report, |_| export.to_string().matches(mark).count() as u64);
    }
}

#[test]
fn an_export_that_went_through_windows_is_restored() {
    let home = Home::new();
    home.allm()
        .args(["chat", "-p", "offline", "hello"])
        .run()
        .ok();
    let export = home.allm().args(["export"]).run().ok().stdout;
    let count =
        |home: &Home| home.allm().args(["stats", "--json"]).ok_json()["interactions"].clone();
    let other = Home::new();
    let import = ["import", "jsonl", "-", "--no-embed"];
    let export = format!("\u{feff}{export}");
    other.allm().args(import).stdin(&export).run().ok();
    assert_eq!(count(&other), count(&home));
}

#[test]
fn what_the_predecessor_tells_twice_is_named() {
    let home = Home::new();
    let folder = fixtures().join("abstractllm/home");
    let report = import(&home, &["abstractllm", path(&folder), "--dry-run"]);
    let counted = |part: &Value| {
        let left_out = part["left_out"].as_object().unwrap().values();
        let left_out: u64 = left_out.map(|count| count.as_u64().unwrap()).sum();
        let count = |name: &str| part[name].as_u64().unwrap();
        assert_eq!(count("messages"), count("in_turns") + left_out, "{part}");
        (part["name"].as_str().unwrap().to_owned(), count("messages"))
    };
    let parts: Vec<(String, u64)> = report["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(counted)
        .collect();
    let parts: Vec<(&str, u64)> = parts
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!(
        parts,
        [
            ("json", 4),
            ("lance", 3),
            ("contexts", 3),
            ("context_logs", 3)
        ]
    );
}
