//! Out and back in, and gone for good: export, import, `/forget` and `/cleanup`.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::privacy::files_with;
use crate::scripted::{self, Said};
use crate::server;

/// Returns a home with three conversations, the first of two turns.
fn filled() -> Home {
    let home = Home::new();
    let server =
        server::ollama(|question| format!("The answer to {question} is long and telling."));
    for script in [
        "the quokka of Rottnest\nand the weather there?\n",
        "bread\n",
        "o'brien\n",
    ] {
        let run = home.allm().env("OLLAMA_HOST", &server.url);
        let run = run.args(["chat", "-p", "ollama", "--no-tools"]);
        run.stdin(script).run().ok();
    }
    home
}

fn dump(home: &Home, args: &[&str]) -> String {
    let run = home.allm().args(["export", "--all-users"]);
    let mut lines: Vec<String> = run
        .args(args.iter().copied())
        .run()
        .ok()
        .stdout
        .lines()
        .map(str::to_owned)
        .collect();
    lines[1..].sort();
    lines.join("\n")
}

fn import(home: &Home, text: &str) -> Value {
    home.allm()
        .args(["import", "jsonl", "-", "--json"])
        .stdin(text)
        .ok_json()
}

#[test]
fn an_export_is_restored_whole() {
    let home = filled();
    for args in [&["--vectors"][..], &[]] {
        let exported = dump(&home, args);
        let copy = Home::new();
        let moved = import(&copy, &exported);
        assert_eq!(
            (
                &moved["interactions"],
                &moved["sessions"],
                &moved["users"],
                &moved["known"]
            ),
            (&json!(4), &json!(3), &json!(1), &json!(0)),
            "{moved}"
        );
        assert_eq!(dump(&copy, args), exported);
        // The vectors are the same, too, or made again.
        assert_eq!(dump(&copy, &["--vectors"]), dump(&home, &["--vectors"]));
        let again = import(&copy, &exported);
        let rows = exported.lines().count() - 1;
        assert_eq!(
            (&again["interactions"], &again["known"]),
            (&json!(0), &json!(rows)),
            "{again}"
        );
        assert_eq!(dump(&copy, args), exported);
        let found = copy
            .allm()
            .args(["search", "--json", "the quokka"])
            .ok_json();
        assert_eq!(
            found["hits"][0]["query"], "the quokka of Rottnest",
            "{found}"
        );
    }
    for (text, error) in [
        (
            "{\"type\":\"user\"}\n",
            "cannot read line 1: its timestamp is no time",
        ),
        (
            "{\"type\":\"allm\",\"format\":1,\"embedder\":\"x\",\"vectors\":false}\nnot json\n",
            "line 2 is no row",
        ),
        (
            "{\"type\":\"allm\",\"format\":9,\"embedder\":\"x\",\"vectors\":false}\n",
            "the export has format 9",
        ),
    ] {
        let output = Home::new()
            .allm()
            .args(["import", "jsonl", "-"])
            .stdin(text)
            .run()
            .fails(1);
        assert!(output.stderr.contains(error), "{}", output.stderr);
    }
}

#[test]
fn a_part_of_an_export_can_be_anothers() {
    let exported = dump(&filled(), &[]);
    let copy = Home::new();
    let take = |more: &[&str]| {
        let args = [
            "import",
            "jsonl",
            "-",
            "--no-embed",
            "--json",
            "--user",
            "o'brien",
        ];
        let run = copy.allm().args(args).args(more.iter().copied());
        let moved = run.stdin(&exported).ok_json();
        let count = |name: &str| moved[name].as_u64().unwrap();
        (count("interactions"), count("sessions"), count("users"))
    };
    assert_eq!(take(&["--since", "2100-01-01"]), (0, 0, 0));
    assert_eq!(take(&["--dry-run"]), (4, 3, 0));
    assert_eq!(take(&["--since", "2000-01-01"]), (4, 3, 0));
    let stats = copy
        .allm()
        .env("ALLM_USER", "o'brien")
        .args(["sessions", "--json"])
        .ok_json();
    assert_eq!(stats["count"], 3, "{stats}");
    let others = copy.allm().args(["sessions", "--json"]).ok_json();
    assert_eq!(others["count"], 0, "{others}");
}

#[test]
fn what_is_forgotten_is_in_no_file() {
    let home = filled();
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    let id = turns["interactions"][0]["interaction_id"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::write(
        home.path().join("history.txt"),
        "#V2\nthe quokka of Rottnest\nbread\n",
    )
    .unwrap();
    // The vector of the question as its bytes lie in a file.
    let exported = dump(&home, &["--vectors"]);
    let passage = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|row| row["type"] == "passage" && row["text"] == "the quokka of Rottnest")
        .unwrap();
    let vector: Vec<u8> = passage["embedding"].as_array().unwrap()[..8]
        .iter()
        .flat_map(|number| {
            #[expect(clippy::cast_possible_truncation, reason = "it was an f32")]
            (number.as_f64().unwrap() as f32).to_le_bytes()
        })
        .collect();
    assert!(!files_with(home.path(), b"quokka").is_empty());
    assert!(!files_with(home.path(), &vector).is_empty());

    let forget = |args: &[&str]| home.allm().args(["forget", &id]).args(args.iter().copied());
    assert!(forget(&[]).run().fails(1).stderr.contains("add --yes"));
    let dry = forget(&["--dry-run", "--json"]).run().ok();
    assert_eq!(dry.json()[0]["count"], 1);
    assert!(dry.stderr.contains(", of alice\n"), "{}", dry.stderr);
    let gone = forget(&["--yes", "--no-backup", "--json"]).ok_json();
    assert_eq!((&gone["count"], &gone["backup"]), (&json!(1), &Value::Null));
    assert_eq!(files_with(home.path(), b"quokka"), Vec::<String>::new());
    assert_eq!(files_with(home.path(), &vector), Vec::<String>::new());

    // The rest is whole: the second turn of the same conversation, with what was sent for it.
    let left = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(left["count"], 3, "{left}");
    let second = left["interactions"][0]["interaction_id"].as_str().unwrap();
    let context = home.allm().args(["context", second]).run().ok().stdout;
    assert!(
        context.contains("[forgotten]") && context.contains("the weather there"),
        "{context}"
    );
    let sessions = home.allm().args(["sessions", "--json"]).ok_json();
    assert!(
        sessions.to_string().contains("and the weather there?"),
        "{sessions}"
    );
    assert_eq!(
        fs::read_to_string(home.path().join("history.txt")).unwrap(),
        "#V2\nbread\n"
    );
}

#[test]
fn a_chat_goes_on_after_it_has_forgotten() {
    let home = Home::new();
    let said = ["first", "second", "third"].map(Said::Text);
    let server = scripted::ollama(Some(&["tools"]), said.into());
    let script = "tell me of zanzibar\nand then?\n/forget --match zanzibar --yes\nwhat was it?\n";
    let run = home.allm().env("OLLAMA_HOST", &server.url);
    run.args(["chat", "-p", "ollama", "--no-tools"])
        .stdin(script)
        .run()
        .ok();
    let (_, body) = server.requests().pop().unwrap();
    assert!(
        !body.contains("zanzibar") && body.contains("and then?"),
        "{body}"
    );
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(turns["count"], 2);
    let last = turns["interactions"][1]["interaction_id"].as_str().unwrap();
    let context = home.allm().args(["context", last, "--json"]).ok_json();
    assert!(
        context["requests"][0].to_string().contains("and then?"),
        "{context}"
    );
    // Unless it is told not to, it keeps an export beside the tables.
    let kept = files_with(&home.path().join("backups"), b"zanzibar");
    assert_eq!(kept.len(), 1);
    import(&home, &fs::read_to_string(&kept[0]).unwrap());
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(turns["count"], 3);
}

#[test]
fn only_what_is_old_is_cleaned_up_and_only_when_asked() {
    let home = filled();
    let mut old: Vec<String> = dump(&home, &[]).lines().map(str::to_owned).collect();
    let year = chrono::Utc::now().format("%Y-").to_string();
    for line in &mut old {
        *line = line.replace(&format!("\"timestamp\":\"{year}"), "\"timestamp\":\"2001-");
    }
    let home = Home::new();
    import(&home, &old.join("\n"));
    home.allm()
        .args(["chat", "-p", "offline", "a new one"])
        .run()
        .ok();
    let count = || home.allm().args(["stats", "--json"]).ok_json()["turns"].clone();
    assert_eq!(count(), 5);
    let cleanup = |args: &[&str]| {
        let run = home.allm().args(["cleanup", "--older-than"]);
        run.args(args.iter().copied())
    };
    assert!(cleanup(&["soon"]).run().fails(1).stderr.contains("error"));
    let output = cleanup(&["90d", "--dry-run"]).run().ok();
    assert!(
        output.stderr.contains("4 interactions, 2001-"),
        "{}",
        output.stderr
    );
    assert_eq!(count(), 5);
    // What may be minutes is nothing to remove by.
    let minutes = cleanup(&["6m", "--yes"]).run().fails(1).stderr;
    assert!(minutes.contains("say `6 months` or `180d`"), "{minutes}");
    cleanup(&["2025-01-01", "--yes"]).run().ok();
    assert_eq!(count(), 1);
}

#[test]
fn what_would_be_removed_is_shown_first() {
    let home = Home::new();
    let questions: Vec<String> = (1..=12)
        .map(|number| format!("question number {number}\n"))
        .collect();
    let chat = home.allm().args(["chat", "-p", "offline", "--json"]);
    let turns = chat.stdin(&questions.concat()).run().ok().json();
    let session = &turns[0]["session_id"].as_str().unwrap()[..8];
    let day = &turns[0]["timestamp"].as_str().unwrap()[..10];
    for command in [
        &["forget", "--session", session, "--dry-run"][..],
        &["forget", "--match", "question", "--dry-run"],
    ] {
        let shown = home.allm().args(command.iter().copied()).run().ok();
        assert_eq!(
            shown.stdout.matches("question number ").count(),
            10,
            "{}",
            shown.stdout
        );
        assert!(
            shown.stdout.contains("question number 10\n"),
            "{}",
            shown.stdout
        );
        assert_eq!(
            shown.stdout.matches(session).count(),
            10,
            "{}",
            shown.stdout
        );
        assert_eq!(shown.stdout.matches(day).count(), 10, "{}", shown.stdout);
        assert!(shown.stderr.contains("and 2 more\n"), "{}", shown.stderr);
        let json = home
            .allm()
            .args(command.iter().copied())
            .args(["--json"])
            .ok_json();
        assert_eq!(
            (&json["count"], json["first"].as_array().unwrap().len()),
            (&json!(12), 10)
        );
        assert_eq!(json["first"][0]["query"], "question number 1");
    }
    let mut shell = home.terminal(&["forget", "--match", "number 11"]);
    shell.wait_for(session);
    shell.wait_for("question number 11");
    shell.wait_for("Remove them for good?");
    shell.type_keys("n\r");
    shell.wait_for("nothing was changed");
    assert_eq!(shell.exit_status(), 0);
}
