//! Transcripts of Claude Code are brought in: what was typed is told from what the program and editors say in the user's name, and
//! each answer belongs to what it answers.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::import::{fixtures, import, interactions, path, show};

/// Returns what was asked and answered, in order.
fn told(home: &Home) -> Vec<(String, String)> {
    let text = |turn: &Value, name: &str| turn[name].as_str().unwrap().to_owned();
    let turns = interactions(home);
    let told = turns
        .iter()
        .map(|turn| (text(turn, "query"), text(turn, "response")));
    told.collect()
}

#[track_caller]
fn check(home: &Home, expected: &[(&str, &str)]) {
    let told = told(home);
    let told: Vec<(&str, &str)> = told.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(told, expected);
}

/// Writes a transcript, a line a second.
fn transcript(home: &Home, lines: &[Value]) -> PathBuf {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let mut line = line.clone();
        line["timestamp"] = json!(format!("2026-11-24T10:00:{at:02}Z"));
        line["uuid"] = json!(format!("line-{at}"));
        line["sessionId"] = json!("s");
        text.push_str(&format!("{line}\n"));
    }
    let file = home.folder().join("s.jsonl");
    fs::write(&file, text).unwrap();
    file
}

/// Returns a line in the user's name, with its marks.
fn user(content: impl Into<Value>, marks: Value) -> Value {
    let mut line = marks;
    line["type"] = json!("user");
    line["message"] = json!({"role": "user", "content": content.into()});
    line
}

fn typed(content: &str) -> Value {
    user(
        content,
        json!({"origin": {"kind": "human"}, "promptSource": "typed"}),
    )
}

fn answer(text: &str) -> Value {
    json!({"type": "assistant", "message": {"id": text, "model": "m", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 1}}})
}

fn call(id: &str) -> Value {
    json!({"type": "assistant", "message": {"id": id, "model": "m", "content": [{"type": "tool_use", "id": id, "name": "Bash", "input": {"command": "make"}}], "stop_reason": "tool_use", "usage": {"input_tokens": 10, "output_tokens": 1}}})
}

fn result(id: &str) -> Value {
    user(
        json!([{"type": "tool_result", "tool_use_id": id, "content": "made"}]),
        json!({}),
    )
}

fn queue(operation: &str, content: &str, reason: &str) -> Value {
    json!({"type": "queue-operation", "operation": operation, "content": content, "reason": reason})
}

fn attached(prompt: impl Into<Value>, mode: &str) -> Value {
    json!({"type": "attachment", "attachment": {"type": "queued_command", "commandMode": mode, "prompt": prompt.into()}})
}

#[test]
fn what_is_typed_while_a_turn_runs_is_kept_once() {
    let home = Home::new();
    let folder = fixtures().join("claude-code-queued");
    import(&home, &["claude-code", path(&folder)]);
    check(
        &home,
        &[
            (
                "Rename the stack components.\n\nStop: keep the word lighthouse in every name.",
                "Understood, that word stays in each of the names.",
            ),
            (
                "Tidy the readme.\n\nAnd mention the harbourmaster.",
                "Done, it is mentioned.",
            ),
        ],
    );
    for word in ["lighthouse", "harbourmaster"] {
        let found = ["search", word, "--mode", "text", "--json"];
        assert_eq!(home.allm().args(found).ok_json()["count"], 1, "{word}");
    }

    // One that became a message after all, one that was told of twice, one with a picture, and one that never was sent.
    let home = Home::new();
    let file = transcript(
        &home,
        &[
            queue("enqueue", "Go.", ""),
            queue("dequeue", "", ""),
            user("Go.", json!({"promptSource": "sdk"})),
            call("a"),
            queue("enqueue", "Mind the gap.", ""),
            attached("Mind the gap.", "prompt"),
            user("Mind the gap.", json!({"promptSource": "queued"})),
            queue("enqueue", "Go.", ""),
            result("a"),
            queue("remove", "Mind the gap.", "absorbed_mid_turn"),
            // Older versions say no more.
            json!({"type": "queue-operation", "operation": "remove"}),
            attached(
                json!([{"type": "text", "text": "Like this."}, {"type": "image"}]),
                "prompt",
            ),
            answer("Gone."),
            queue("enqueue", "<task-notification>done</task-notification>", ""),
            queue("dequeue", "", ""),
            queue("enqueue", "Never mind.", ""),
            queue("enqueue", "Nor this.", ""),
            queue("remove", "Nor this.", "dropped_by_hook"),
            typed("Go."),
            answer("Gone again."),
        ],
    );
    let report = import(&home, &["claude-code", path(&file)]);
    check(
        &home,
        &[
            (
                "Go.\n\nMind the gap.\n\nGo.\n\nLike this.\n[image]",
                "Gone.",
            ),
            ("Go.", "Gone again."),
        ],
    );
    let part = &report["parts"][0];
    assert_eq!(
        (&part["messages"], &part["in_turns"], &part["left_out"]),
        (
            &json!(7),
            &json!(5),
            &json!({"dropped by hook": 1, "queued and never sent": 1})
        ),
        "{report}"
    );
}

#[test]
fn what_an_editor_puts_before_a_question_is_no_part_of_it() {
    let home = Home::new();
    let folder = fixtures().join("claude-code-editor");
    import(&home, &["claude-code", path(&folder)]);
    check(
        &home,
        &[
            ("Rewrite these docs as one plan.", "Here is one plan."),
            ("Shorter, please.", "Shorter."),
        ],
    );
    let sessions = home.allm().args(["sessions", "--json"]).ok_json();
    let title = "Rewrite these docs as one plan.";
    assert_eq!(sessions["sessions"][0]["title"], title, "{sessions}");
    let first = show(&home, &interactions(&home)[0]);
    let kept = first["metadata"].to_string();
    assert!(kept.contains("The user opened the file"), "{first}");
}

#[test]
fn what_the_program_says_in_the_users_name_is_no_question() {
    const TOLD: &str = "<task-notification>\n<tool-use-id>b</tool-use-id>\n<summary>the walrus is built</summary>\n</task-notification>";
    let home = Home::new();
    let file = transcript(
        &home,
        &[
            typed("Build it."),
            call("b"),
            user("[Request interrupted by user]", json!({})),
            result("b"),
            answer("It is under way."),
            user(
                TOLD,
                json!({"origin": {"kind": "task-notification"}, "promptSource": "system"}),
            ),
            answer("It is built."),
            user("<bash-input>ls</bash-input>", json!({})),
            user(
                "<bash-stdout>walrus.o</bash-stdout><bash-stderr></bash-stderr>",
                json!({}),
            ),
            answer("One file."),
            user(
                "<local-command-caveat>Not sent.</local-command-caveat>",
                json!({"isMeta": true}),
            ),
            user(
                "<command-name>/model</command-name>\n<command-args>m</command-args>",
                json!({}),
            ),
            user(
                "<local-command-stdout>Set.</local-command-stdout>",
                json!({}),
            ),
            user("<bash-input>date</bash-input>", json!({})),
            user(
                "<bash-stdout>noon</bash-stdout><bash-stderr></bash-stderr>",
                json!({}),
            ),
            user(
                "<command-message>review</command-message>\n<command-name>/review</command-name>\n<command-args>the walrus</command-args>",
                json!({}),
            ),
            user("Look at everything.", json!({"isMeta": true})),
            answer("It is fine."),
            user(
                "This session is being continued.",
                json!({"isCompactSummary": true, "isVisibleInTranscriptOnly": true}),
            ),
            typed("Why do I see <task-notification>x</task-notification> in my list?"),
            attached(
                "<task-notification>quiet</task-notification>",
                "task-notification",
            ),
            answer("It is told of work beside."),
        ],
    );
    let report = import(&home, &["claude-code", path(&file)]);
    check(
        &home,
        &[
            ("Build it.", "It is under way.\n\nIt is built."),
            ("!ls", "One file."),
            ("/review the walrus", "It is fine."),
            (
                "Why do I see <task-notification>x</task-notification> in my list?",
                "It is told of work beside.",
            ),
        ],
    );
    let turns = interactions(&home);
    let steps = |turn: &Value| -> Vec<String> {
        let steps = show(&home, turn)["steps"].clone();
        let steps = steps.as_array().unwrap().iter();
        let seen = steps.map(|step| step["observation"].as_str().unwrap().to_owned());
        seen.collect()
    };
    assert_eq!(steps(&turns[0]), [format!("made\n\n{TOLD}")]);
    assert_eq!(steps(&turns[1]), ["walrus.o"]);
    assert_eq!(
        steps(&turns[2]),
        ["noon"],
        "it is what the question is about"
    );
    assert!(turns.iter().all(|turn| turn["status"] == "completed"));
    let part = &report["parts"][0];
    assert_eq!(
        (&part["messages"], &part["in_turns"], &part["left_out"]),
        (&json!(6), &json!(5), &json!({"command of the program": 1})),
        "{report}"
    );
}

#[test]
fn sub_agents_have_sessions_of_their_own() {
    let home = Home::new();
    let folder = fixtures().join("claude-code-agents");
    import(&home, &["claude-code", path(&folder)]);
    check(
        &home,
        &[
            (
                "Have a helper audit the pumps.",
                "The helper found nothing.",
            ),
            (
                "Audit the pumps.",
                "Pump four has a worn bearing but stays within limits.",
            ),
        ],
    );
    let found = ["search", "\"bearing worn\"", "--mode", "text", "--json"];
    assert_eq!(home.allm().args(found).ok_json()["count"], 1);
    let sessions = home
        .allm()
        .args(["--json", "sql", "SELECT metadata FROM sessions"])
        .ok_json();
    let kept = sessions.to_string();
    assert!(kept.contains("a23ae29c6aab1f5fd"), "{kept}");

    // Older versions have them in the same file, and asked some before anyone did.
    let home = Home::new();
    let beside = |line: Value, parent: &str| {
        let mut line = line;
        line["isSidechain"] = json!(true);
        line["parentUuid"] = json!(parent);
        line
    };
    let mut summarized = beside(user("Summarize all.", json!({})), "");
    summarized["agentId"] = json!("acompact-0a1b2c");
    let file = transcript(
        &home,
        &[
            typed("Ask two helpers."),
            beside(user("Warmup", json!({})), ""),
            beside(answer("Ready."), "line-1"),
            beside(user("Count the masts.", json!({})), ""),
            beside(user("Count the sails.", json!({})), ""),
            beside(answer("Three masts."), "line-3"),
            beside(answer("Nine sails."), "line-4"),
            answer("Three and nine."),
            summarized,
        ],
    );
    let report = import(&home, &["claude-code", path(&file)]);
    check(
        &home,
        &[
            ("Ask two helpers.", "Three and nine."),
            ("Count the masts.", "Three masts."),
            ("Count the sails.", "Nine sails."),
        ],
    );
    let part = &report["parts"][0];
    assert_eq!(part["messages"], 3, "{report}");
    assert_eq!(part["skipped"], json!({"asked by the program": 2}));
    let stats = home
        .allm()
        .args(["--json", "sql", "SELECT count(*) FROM sessions"])
        .ok_json();
    assert_eq!(stats["rows"][0][0], 3, "{stats}");
    let usage: u64 = interactions(&home)
        .iter()
        .map(|turn| show(&home, turn)["usage"]["input_tokens"].as_u64().unwrap())
        .sum();
    assert_eq!(usage, 30);
}
