//! The history is written for others: transcripts and tables.

use serde_json::{Value, json};

use crate::harness::Home;

/// Returns a home with a turn that used tools, one that says formulas and tricks, and one that came to nothing.
pub fn told() -> Home {
    let home = Home::new();
    let step = json!({"thought": "I look.", "action": {"name": "list_files", "arguments": {"path": "."}}, "observation": "a.txt\n```b```",
        "success": true, "started_at": "2025-09-01T08:00:01Z", "duration_ms": 40});
    let failed = json!({"thought": "", "action": {"name": "read_file", "arguments": {"path": "no"}}, "observation": "error: there is no `no`",
        "success": false, "error": "there is no `no`", "started_at": "2025-09-01T08:00:02Z", "duration_ms": 1});
    let lines = [
        json!({"timestamp": "2025-09-01T08:00:00Z", "session": "one", "title": "Files, \"and\" more", "system": "Be brief.", "query": "Which files?\nAll of them.",
            "response": "There is **a.txt**.", "provider": "ollama", "model": "m", "input_tokens": 31, "output_tokens": 7, "duration_ms": 2500,
            "steps": [step, failed], "facts": ["a --[is]--> b"]}),
        json!({"timestamp": "2025-09-01T08:05:00Z", "session": "one", "query": "=HYPERLINK(\"x\")", "response": "\u{1b}]0;t\u{7}wipe \u{9b}2J", "model": "m"}),
        json!({"timestamp": "2025-09-02T08:00:00Z", "session": "two", "query": "o'brien?", "response": "", "status": "failed"}),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    home.allm()
        .args(["import", "jsonl", "-", "--no-embed"])
        .stdin(&lines.join("\n"))
        .run()
        .ok();
    home
}

pub fn export(home: &Home, form: &str) -> String {
    home.allm()
        .args(["export", "--format", form])
        .run()
        .ok()
        .stdout
}

#[test]
fn transcripts_read_well() {
    let home = told();
    let text = export(&home, "markdown");
    let ids: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("- session: "))
        .collect();
    assert_eq!(ids.len(), 2);
    let mut text = text
        .replace(ids[0], "- session: ONE")
        .replace(ids[1], "- session: TWO");
    while let Some(at) = text.find("· `") {
        text.replace_range(at..at + 13, "ID");
    }
    let expected = "\
# Files, \"and\" more

- session: ONE
- user: alice
- begun: 2025-09-01 08:00:00 +00:00
- answered by: ollama m

```system
Be brief.
```

## 2025-09-01 08:00:00 +00:00 ID

> Which files?
> All of them.

1. I look.

   **list_files** `{\"path\":\".\"}`

   ````
   a.txt
   ```b```
   ````

2. **read_file** `{\"path\":\"no\"}`, failed

   ```
   error: there is no `no`
   ```

There is **a.txt**.

## 2025-09-01 08:05:00 +00:00 ID

> =HYPERLINK(\"x\")

\u{1b}]0;t\u{7}wipe \u{9b}2J

# o'brien?

- session: TWO
- user: alice
- begun: 2025-09-02 08:00:00 +00:00

## 2025-09-02 08:00:00 +00:00 ID

> o'brien?

*failed*
";
    assert_eq!(text, expected);
}

#[test]
fn tables_hold_a_row_for_each_turn_and_no_formulas() {
    let home = told();
    let table = export(&home, "csv");
    assert!(table.starts_with(
        "interaction_id,session_id,session_title,user,timestamp,query,response,status,"
    ));
    assert!(table.contains(",\"Files, \"\"and\"\" more\",alice,2025-09-01T08:00:00.000000Z,\"Which files?\nAll of them.\",There is **a.txt**.,completed,ollama,m,31,7,2500,2,list_files read_file,a --[is]--> b\n"), "{table}");
    assert!(table.contains(",\"'=HYPERLINK(\"\"x\"\")\","), "{table}");
    let file = home.folder().join("turns.csv");
    home.allm()
        .args(["export", "--output", file.to_str().unwrap()])
        .run()
        .ok();
    assert_eq!(std::fs::read_to_string(file).unwrap(), table);
}

#[test]
fn a_chat_exports_the_conversation_it_is_in() {
    let home = told();
    let script = "/export\nwhere are my keys?\n/export\n/export --format jsonl\n/export --from 2025-09-02 --to 2025-09-02 --format markdown\n";
    let run = home
        .allm()
        .args(["chat", "-p", "offline"])
        .stdin(script)
        .run()
        .fails(1);
    assert!(
        run.stderr
            .contains("nothing of this conversation is recorded yet"),
        "{run:?}"
    );
    assert_eq!(
        run.stdout.matches("> where are my keys?").count(),
        1,
        "{run:?}"
    );
    assert!(run.stdout.contains("{\"type\":\"allm\","), "{run:?}");
    assert!(!run.stdout.contains("Which files?"), "{run:?}");
    assert!(run.stdout.contains("> o'brien?"), "{run:?}");
}

#[test]
fn a_terminal_is_shown_an_export_and_not_controlled_by_it() {
    let home = told();
    let mut terminal = home.terminal(&["export", "--format", "markdown"]);
    terminal.wait_for("*failed*");
    let screen = terminal.screen();
    assert!(
        !screen.contains('\u{1b}') && !screen.contains('\u{9b}'),
        "{screen}"
    );
    assert_eq!(terminal.exit_status(), 0);
}

#[test]
fn a_file_is_counted_named_by_its_form_and_written_over_only_when_that_is_said() {
    let home = told();
    let write = |args: &[&str]| {
        let run = home.allm().args(["export", "--output"]);
        run.args(args.iter().copied()).run()
    };
    let all = "exported 3 interactions, 2 sessions, 1 user\n";
    for file in ["a.jsonl", "a.MD", "a.csv", "plain"] {
        assert_eq!(write(&[file]).ok().stderr, all, "{file}");
    }
    let one = write(&["one.md", "--status", "failed"]).ok().stderr;
    assert!(
        one.ends_with("exported 1 interaction, 1 session, 1 user\n"),
        "{one}"
    );
    let transcript = std::fs::read_to_string(home.folder().join("a.MD")).unwrap();
    assert!(transcript.starts_with("# Files"), "{transcript}");
    let unknown = write(&["a.txt"]).fails(1).stderr;
    assert!(
        unknown.contains("no form has the ending `.txt`\nhint: name the file"),
        "{unknown}"
    );
    assert_eq!(write(&["a.txt", "--format", "csv"]).ok().stderr, all);
    let there = write(&["a.csv"]).fails(1).stderr;
    assert!(
        there.contains("it is there already\nhint: `--force` writes over it"),
        "{there}"
    );
    assert_eq!(
        write(&["a.csv", "--force", "--format", "markdown"])
            .ok()
            .stderr,
        all
    );
    let written = std::fs::read_to_string(home.folder().join("a.csv")).unwrap();
    assert_eq!(written, transcript);
    let device = write(&["/dev/null", "--force"]).fails(1).stderr;
    assert!(
        device.contains("cannot write `/dev/null`: it is no file"),
        "{device}"
    );
    assert_eq!(
        write(&["-", "--format", "markdown"]).ok().stdout,
        transcript
    );
}
