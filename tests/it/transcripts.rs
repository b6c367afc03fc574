//! Transcripts of coding agents are brought in: what was typed, what was answered, each call a step.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::import::{fixtures, import, interactions, parts, path, show};

/// Imports a folder of transcripts, and returns what was asked, what was answered, and how each turn ended.
fn told(home: &Home, source: &str, folder: &str) -> Vec<(String, String, String)> {
    import(home, &[source, path(&fixtures().join(folder))]);
    let text = |turn: &Value, name: &str| turn[name].as_str().unwrap().to_owned();
    let brief = |text: String| text.lines().next().unwrap_or_default().to_owned();
    interactions(home)
        .iter()
        .map(|turn| {
            (
                text(turn, "query"),
                brief(text(turn, "response")),
                text(turn, "status"),
            )
        })
        .collect()
}

#[track_caller]
fn check(told: &[(String, String, String)], expected: &[(&str, &str, &str)]) {
    let told: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str()))
        .collect();
    assert_eq!(told, expected);
}

const FILES: (&str, &str, &str) = (
    "Which files are in this folder?",
    "There are two files:",
    "completed",
);
const SECOND: &str = "You are welcome. The second line of `greet.py` returns the greeting.";
const THANKS: (&str, &str, &str) = (
    "Thank you. What does the second line of greet.py do?",
    SECOND,
    "completed",
);

#[test]
fn older_forms_of_codex_are_read_too() {
    let home = Home::new();
    check(&told(&home, "codex", "codex-0.29.0"), &[FILES]);
    let home = Home::new();
    check(&told(&home, "codex", "codex-0.104.0"), &[FILES, THANKS]);
    let turns = interactions(&home);
    let steps = show(&home, &turns[0])["steps"].clone();
    let success: Vec<bool> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["success"].as_bool().unwrap())
        .collect();
    assert_eq!(success, [true, false], "{steps}");
    assert_eq!(turns[0]["model"], "gpt-5.5");
}

#[test]
fn a_session_that_was_taken_back_keeps_both_of_its_ends() {
    let home = Home::new();
    let told = told(&home, "codex", "codex-rewound");
    let brief: Vec<(&str, &str)> = told
        .iter()
        .map(|(query, _, status)| (query.as_str(), status.as_str()))
        .collect();
    assert_eq!(
        brief,
        [
            (FILES.0, "completed"),
            // What is said while a task runs is a part of it.
            (
                "Give me a long answer.\n\nAnd one more, queued.",
                "completed"
            ),
            ("Thank you, second try.", "completed"),
            ("Give me a long answer again.", "interrupted"),
            ("Thank you, second, after rewind.", "completed"),
        ]
    );
    let sessions = home.allm().args(["sessions", "--json"]).ok_json();
    assert_eq!(
        sessions["sessions"][0]["title"], "Reading a folder",
        "{sessions}"
    );
    assert_eq!(sessions["sessions"][0]["turns"], 5);
}

#[test]
fn what_claude_code_does_in_the_users_name_is_told_from_what_was_typed() {
    let home = Home::new();
    // The second session began with a copy of the first.
    check(
        &told(&home, "claude-code", "claude-code-1.0.98"),
        &[FILES, THANKS],
    );
    let home = Home::new();
    let told = told(&home, "claude-code", "claude-code-2.1.197");
    let questions: Vec<&str> = told.iter().map(|(query, ..)| query.as_str()).collect();
    assert_eq!(
        questions,
        [
            "Ask a helper.",
            "Count the lines of greet.py.",
            FILES.0,
            "!ls",
            "Give me a long answer.",
            "And one more, queued.",
            "Make greet shout!",
            "Make greet shout once more!",
            "Thank you, second branch.",
        ]
    );
    assert_eq!(
        (told[4].2.as_str(), told[5].2.as_str()),
        ("interrupted", "completed")
    );
    assert!(
        told[4].1.starts_with("Sentence 1"),
        "what was said before Esc is kept: {told:?}"
    );
    let sessions = home.allm().args(["sessions", "--json"]).ok_json();
    assert_eq!(
        sessions["sessions"][0]["title"], "Greeting work",
        "{sessions}"
    );
    let again = import(
        &home,
        &["claude-code", path(&fixtures().join("claude-code-2.1.197"))],
    );
    let part = &again["parts"][0];
    assert_eq!(
        (&part["imported"], &part["known"]),
        (&json!(0), &json!(9)),
        "{again}"
    );
}

#[test]
fn transcripts_of_agents_become_steps_and_grow() {
    let home = Home::new();
    let (codex, claude) = (fixtures().join("codex"), fixtures().join("claude-code"));
    assert_eq!(
        parts(&import(&home, &["codex", path(&codex)])),
        [("codex", 3, 3, 0)]
    );
    assert_eq!(
        parts(&import(&home, &["claude-code", path(&claude)])),
        [("claude-code", 2, 2, 0)]
    );
    let turns = interactions(&home);
    let said: Vec<(&str, &str, &str)> = turns
        .iter()
        .map(|turn| {
            let text = |name: &str| turn[name].as_str().unwrap();
            (text("query"), text("response"), text("status"))
        })
        .collect();
    assert_eq!(
        said,
        [
            ("Which files are here?", "The answer number 2.", "completed"),
            ("And how many?", "The answer number 3.", "completed"),
            ("A slow one please", "", "interrupted"),
            ("Which files are here?", "The answer number 6.", "completed"),
            ("And how many?", "The answer number 7.", "completed"),
        ]
    );
    let check = |turn: &Value, thought: &str, name: &str, tokens: Value| {
        let shown = show(&home, turn);
        assert_eq!(shown["steps"].as_array().unwrap().len(), 1, "{shown}");
        let step = &shown["steps"][0];
        assert_eq!(step["thought"], thought);
        assert_eq!(step["action"]["name"], name);
        assert!(
            step["observation"].as_str().unwrap().contains("notes.txt"),
            "{step}"
        );
        assert_eq!(shown["usage"], tokens, "{shown}");
    };
    let tokens = |input: u64| json!({"input_tokens": input, "output_tokens": 18});
    check(
        &turns[0],
        "**Looking at the folder**\n\nI should list it.",
        "exec_command",
        tokens(203),
    );
    check(
        &turns[3],
        "I should list the folder.\n\nLet me look.",
        "Bash",
        tokens(40),
    );

    // A transcript that was read while its turn was under way.
    let home = Home::new();
    let whole = fs::read_dir(claude.join("-home-alice-project"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let lines = fs::read_to_string(&whole).unwrap();
    let file = home.folder().join("growing.jsonl");
    let half: Vec<&str> = lines.lines().take(8).collect();
    fs::write(&file, half.join("\n") + "\n{\"type\":\"assis").unwrap();
    let run = home
        .allm()
        .args(["--json", "import", "claude-code", path(&file)])
        .run()
        .fails(1);
    assert_eq!(parts(&run.json()[0]), [("claude-code", 2, 1, 1)]);
    assert_eq!(interactions(&home)[0]["response"], "");
    fs::write(&file, lines).unwrap();
    let report = import(&home, &["claude-code", path(&file)]);
    assert_eq!(
        (
            &report["parts"][0]["imported"],
            &report["parts"][0]["updated"]
        ),
        (&json!(1), &json!(1))
    );
    let turns = interactions(&home);
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[0]["response"], "The answer number 6.");
}
