//! Turns of one kind: had in a folder, by a program, a model or a provider, ended so, with a tool.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;

/// Returns a home with turns of all kinds, each called by a word of its own.
fn home() -> Home {
    let home = Home::new();
    let place = fs::canonicalize(home.folder()).unwrap();
    let folder = |name: &str| place.join(name).display().to_string();
    for name in ["site/docs", "site-old"] {
        fs::create_dir_all(home.folder().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("site", home.folder().join("link")).unwrap();
    let turn = |at: usize,
                query: &str,
                folder: &str,
                model: &str,
                provider: &str,
                status: &str,
                tool: &str| {
        let time = format!("2026-02-01T10:{at:02}:00Z");
        let action = json!({"name": tool, "arguments": {"path": "x"}});
        let step = json!({"thought": "", "action": action, "observation": "ok", "success": true, "error": null, "started_at": time, "duration_ms": 5});
        let steps = if tool.is_empty() { vec![] } else { vec![step] };
        json!({"timestamp": time, "session": format!("s{at}"), "query": format!("{query} login"), "response": "yes", "folder": folder, "model": model, "provider": provider, "status": status, "steps": steps}).to_string()
    };
    let lines = [
        turn(
            0,
            "root",
            &folder("site"),
            "gpt-5",
            "openai",
            "completed",
            "read_file",
        ),
        turn(
            1,
            "docs",
            &folder("site/docs"),
            "gpt-5-2025-08-07",
            "OpenAI",
            "failed",
            "",
        ),
        turn(
            2,
            "old",
            &folder("site-old"),
            "gpt-5-mini",
            "openai",
            "interrupted",
            "read_files",
        ),
        turn(
            3,
            "other",
            "/elsewhere",
            "llama3.2:latest",
            "ollama",
            "completed",
            "run_command",
        ),
        turn(
            4,
            "windows",
            "C:\\work\\site",
            "anthropic/claude",
            "openai",
            "completed",
            "",
        ),
        // A question that looks like what says where a turn is from.
        turn(
            5,
            "\"import\":{\"source\":\"codex\"",
            "",
            "",
            "",
            "completed",
            "",
        ),
    ];
    let run = home.allm().args(["import", "jsonl", "-", "--no-embed"]);
    run.stdin(&lines.join("\n")).run().ok();
    let chat = "cd site/docs && \"$ALLM\" chat -p offline own login";
    home.shell(chat).run().ok();
    home
}

/// Returns the first word of each question that a command shows, in order of time.
fn words(shown: &Value, list: &str) -> Vec<String> {
    let mut rows = shown[list].as_array().unwrap().clone();
    rows.sort_by_key(|row| row["timestamp"].to_string());
    let word = |row: &Value| {
        let query = row["query"].as_str().or(row["title"].as_str()).unwrap();
        query.split(' ').next().unwrap().to_owned()
    };
    rows.iter().map(word).collect()
}

fn ask(home: &Home, args: &[&str]) -> Value {
    home.allm()
        .args(["--json"])
        .args(args.iter().copied())
        .ok_json()
}

#[test]
fn turns_of_one_kind_are_told_apart() {
    let home = home();
    let all = [
        "root",
        "docs",
        "old",
        "other",
        "windows",
        "\"import\":{\"source\":\"codex\"",
        "own",
    ];
    let imported = &all[..6];
    let site = fs::canonicalize(home.folder().join("site")).unwrap();
    let check = |args: &[&str], expected: &[&str]| {
        let always = ["timeframe", "2020-01-01", "2100-01-01"];
        let shown = ask(&home, &[&always, args].concat());
        assert_eq!(words(&shown, "interactions"), expected, "{args:?}");
        // The same with a count, which is another way to ask.
        let limit = [&always[..], args, &["--limit", "1"]].concat();
        let shown = ask(&home, &limit);
        let count = shown["count"].as_u64().unwrap() + shown["more"].as_u64().unwrap();
        assert_eq!(count, expected.len() as u64, "{args:?}");
    };
    for folder in [
        "site",
        "./site/",
        "site-old/../site",
        "link",
        site.to_str().unwrap(),
    ] {
        check(&["--folder", folder], &["root", "docs", "own"]);
    }
    check(&["--folder", "site/docs"], &["docs", "own"]);
    check(&["--folder", "."], &["root", "docs", "old", "own"]);
    check(&["--folder", "/"], &["root", "docs", "old", "other", "own"]);
    check(&["--folder", "si"], &[]);
    check(&["--folder", "C:\\work"], &["windows"]);
    check(
        &["--folder", "site-old", "--folder", "/elsewhere"],
        &["old", "other"],
    );
    check(&["--source", "allm"], &["own"]);
    check(&["--source", "JSONL"], imported);
    check(&["--source", "jsonl,allm"], &all);
    check(&["--source", "codex"], &[]);
    check(&["--model", "gpt-5"], &["root", "docs"]);
    check(&["--model", "GPT-5*"], &["root", "docs", "old"]);
    check(&["--model", "llama3.2"], &["other"]);
    check(
        &["--model", "claude,llama3.2:latest"],
        &["other", "windows"],
    );
    check(&["--model", "gpt.5"], &[]);
    check(
        &["--provider", "openai"],
        &["root", "docs", "old", "windows"],
    );
    check(&["--status", "failed,interrupted"], &["docs", "old"]);
    check(&["--tool", "read_file"], &["root"]);
    check(&["--tool", "read_file,run_command"], &["root", "other"]);
    check(&["--tool", "%"], &[]);
    check(
        &[
            "--provider",
            "openai",
            "--folder",
            "site",
            "--status",
            "completed",
        ],
        &["root"],
    );
    let refused = home
        .allm()
        .args(["stats", "--folder", "~bob"])
        .run()
        .fails(2);
    assert!(
        refused.stderr.contains("only a shell knows"),
        "{}",
        refused.stderr
    );
    home.allm()
        .args(["stats", "--status", "done"])
        .run()
        .fails(2);
}

#[test]
fn each_command_narrows_to_turns_of_one_kind() {
    let home = home();
    let site = ["--folder", "site"];
    let with = |args: &[&str]| ask(&home, &[args, &site].concat());
    let mut found = words(&with(&["search", "login", "--mode", "text"]), "hits");
    found.sort();
    assert_eq!(found, ["docs", "own", "root"]);
    let mut sessions = words(&with(&["sessions"]), "sessions");
    sessions.sort();
    assert_eq!(sessions, ["docs", "own", "root"]);
    assert_eq!(with(&["sessions", "docs"])["count"], 1);
    assert_eq!(with(&["stats"])["turns"], 3);
    let tools = with(&["stats", "--by", "tool"]);
    let tools = tools["groups"].as_array().unwrap().iter();
    let mut tools: Vec<&str> = tools.map(|group| group["key"].as_str().unwrap()).collect();
    tools.sort_unstable();
    // Without a model, the history is searched.
    assert_eq!(tools, ["read_file", "search_memory"]);
    assert_eq!(with(&["stats", "--by", "model"])["count"], 3);

    let export = |format: &str| {
        let run = home.allm().args(["export", "--format", format]);
        run.args(site).run().ok().stdout
    };
    let rows: Vec<Value> = export("jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |kind: &str| rows.iter().filter(|row| row["type"] == kind).count();
    assert_eq!(
        (count("interaction"), count("react_cycle"), count("session")),
        (3, 2, 3)
    );
    let of = |row: &Value| row["interaction_id"].as_str().map(str::to_owned);
    let turns: Vec<Option<String>> = rows
        .iter()
        .filter(|row| row["type"] == "interaction")
        .map(of)
        .collect();
    assert!(
        rows.iter()
            .filter(|row| row["type"] == "passage")
            .all(|row| turns.contains(&of(row)))
    );
    let markdown = export("markdown");
    assert!(
        markdown.contains("docs login") && !markdown.contains("# other login"),
        "{markdown}"
    );
    // In a chat, what is narrowed is not the conversation alone.
    let run = home.allm().args(["chat", "-p", "offline"]);
    let inside = run
        .stdin("/export --source jsonl --format csv\n")
        .run()
        .ok()
        .stdout;
    assert_eq!(inside.lines().count(), 7, "{inside}");

    // What is forgotten is named, and is what was shown.
    let refused = home.allm().args(["forget", "--yes"]).run().fails(1);
    assert!(
        refused.stderr.contains("say what to forget"),
        "{}",
        refused.stderr
    );
    assert_eq!(with(&["forget", "--dry-run"])["count"], 3);
    home.allm()
        .args(["forget", "--yes", "--no-backup"])
        .args(site)
        .run()
        .ok();
    let left = ask(&home, &["timeframe", "2020-01-01", "2100-01-01"]);
    assert_eq!(
        words(&left, "interactions"),
        [
            "old",
            "other",
            "windows",
            "\"import\":{\"source\":\"codex\""
        ]
    );
    assert_eq!(
        ask(&home, &["sql", "SELECT count(*) FROM react_cycles"])["rows"],
        json!([[2]])
    );
}
