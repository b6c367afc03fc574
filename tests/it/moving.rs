//! Histories out and in, in parts, twice at once, and by those who may not.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, Output, Run};
use crate::import::{interactions, path};
use crate::server;

fn as_user(home: &Home, user: &str, args: &[&str]) -> Run {
    let run = home.allm().env("ALLM_USER", user);
    run.args(args.iter().copied())
}

/// Says lines, one after the other, in a chat with a model.
fn talk(home: &Home, user: &str, script: &str) {
    let server = server::ollama(|question| format!("The answer to {question} is telling."));
    let chat = ["chat", "-p", "ollama", "--no-tools"];
    let run = as_user(home, user, &chat).env("OLLAMA_HOST", &server.url);
    run.stdin(script).run().ok();
}

fn export(home: &Home, args: &[&str]) -> String {
    let run = home.allm().args(["export"]);
    run.args(args.iter().copied()).run().ok().stdout
}

fn import(home: &Home, user: &str, text: &str, args: &[&str]) -> Output {
    let how = ["import", "--json", "--no-embed", "jsonl", "-"];
    let run = as_user(home, user, &how).args(args.iter().copied());
    run.stdin(text).run()
}

fn requests(home: &Home, id: &str) -> Output {
    home.allm().args(["context", id, "--raw"]).run()
}

fn id(turn: &Value) -> &str {
    turn["interaction_id"].as_str().unwrap()
}

/// Returns how many turns and how many sessions a user has.
fn count(home: &Home, user: &str) -> (Value, Value) {
    let all = ["timeframe", "2000-01-01", "2100-01-01", "--json"];
    let turns = as_user(home, user, &all).ok_json()["count"].clone();
    let sessions = as_user(home, user, &["sessions", "--json"]).ok_json();
    (turns, sessions["count"].clone())
}

// Finding M7.
#[test]
fn a_part_of_a_history_has_its_requests_whole() {
    let home = Home::new();
    talk(&home, "alice", "one quokka\nand two?\nand three?\n");
    let turns = interactions(&home);
    let sent: Vec<String> = turns
        .iter()
        .map(|turn| requests(&home, id(turn)).ok().stdout)
        .collect();
    let second = turns[1]["timestamp"].as_str().unwrap();
    let whole = export(&home, &[]);
    for (exported, args) in [
        (export(&home, &["--from", second]), &[][..]),
        (whole.clone(), &["--since", second]),
    ] {
        let copy = Home::new();
        import(&copy, "alice", &exported, args).ok();
        assert_eq!(interactions(&copy).len(), 2);
        for at in [1, 2] {
            assert_eq!(requests(&copy, id(&turns[at])).ok().stdout, sent[at]);
        }
    }
    // Parts that were written before, or by hand.
    let without_first = |line: &&str| !line.contains("\"query\":\"one quokka\"");
    let part: Vec<&str> = whole.lines().filter(without_first).collect();
    let copy = Home::new();
    import(&copy, "alice", &part.join("\n"), &[]).ok();
    let gone = "its requests cannot be put together";
    let refused = requests(&copy, id(&turns[1])).fails(1);
    assert!(refused.stderr.contains(gone), "{refused:?}");
    let shown = copy.allm().args(["show", id(&turns[1])]).run().ok();
    assert!(
        shown.stdout.contains("and two?") && shown.stderr.contains(gone),
        "{shown:?}"
    );
    let shown = copy.allm().args(["show", id(&turns[1]), "--json"]);
    assert_eq!(shown.ok_json()["requests"], Value::Null);
}

// Finding M7.
#[test]
fn what_was_removed_comes_back_with_the_requests_that_were_sent() {
    let home = Home::new();
    talk(&home, "alice", "tell of quokkas\nand two?\nand three?\n");
    let turns = interactions(&home);
    let sent = requests(&home, id(&turns[1])).ok().stdout;
    for at in [1, 0] {
        let forget = ["forget", id(&turns[at]), "--yes"];
        home.allm().args(forget).run().ok();
    }
    let mut backups: Vec<_> = fs::read_dir(home.path().join("backups"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    backups.sort();
    assert_eq!(backups.len(), 2);
    let how = ["import", "--no-embed", "jsonl", path(&backups[0])];
    home.allm().args(how).run().ok();
    assert_eq!(requests(&home, id(&turns[1])).ok().stdout, sent);
}

// Finding M8.
#[test]
fn what_two_people_bring_in_from_one_place_stays_apart() {
    let home = Home::new();
    let line = |response: &str| {
        json!({"timestamp": 1_756_800_000, "id": "1", "session": "s", "query": "which?", "response": response})
            .to_string()
    };
    let bring = |user: &str, response: &str| {
        let report = import(&home, user, &line(response), &[]).ok().json();
        let part = &report[0]["parts"][0];
        ["imported", "updated", "known"].map(|fate| part[fate].as_u64().unwrap())
    };
    let response = |user: &str| {
        let turn = as_user(&home, user, &["last", "--json"]).ok_json();
        turn["response"].as_str().unwrap().to_owned()
    };
    assert_eq!(bring("alice", "short"), [1, 0, 0]);
    assert_eq!(bring("bob", "short, and longer"), [1, 0, 0]);
    assert_eq!(
        (response("alice"), response("bob")),
        ("short".into(), "short, and longer".into())
    );
    assert_eq!(bring("alice", "short"), [0, 0, 1]);
    assert_eq!(bring("bob", "short, and longer"), [0, 0, 1]);
    assert_eq!(bring("alice", "short, and then much longer"), [0, 1, 0]);
    assert_eq!(response("bob"), "short, and longer");
    for user in ["alice", "bob"] {
        assert_eq!(count(&home, user), (json!(1), json!(1)), "{user}");
    }
}

// Finding M8.
#[test]
fn members_bring_in_what_is_theirs_and_nothing_else() {
    let home = Home::new();
    talk(&home, "alice", "of quokkas\n");
    talk(&home, "bob", "of bread\n");
    let all = export(&home, &["--all-users"]);
    let bobs = as_user(&home, "bob", &["export"]).run().ok().stdout;
    let line = r#"{"timestamp": 1756800000, "query": "q", "response": "r"}"#;
    let refused = |text: &str, args: &[&str], expected: &str| {
        for dry in [&[][..], &["--dry-run"]] {
            let args = [args, dry].concat();
            let output = import(&home, "bob", text, &args).fails(1);
            assert!(output.stdout.contains(expected), "{args:?}: {output:?}");
        }
    };
    let other = "`bob` may not write into the history of `alice`";
    refused(line, &["--user", "alice"], other);
    refused(&bobs, &["--user", "alice"], other);
    refused(&all, &[], "`bob` may not bring back what others said");
    refused(&all, &["--user", "bob"], "is another user's here");
    // With an id in place of another, the rows would be alice's, or in her session.
    let row = |text: &str, kind: &str| -> Value {
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.into_iter().find(|row| row["type"] == kind).unwrap()
    };
    let (hers, his) = (row(&all, "interaction"), row(&bobs, "interaction"));
    assert_eq!(hers["query"], "of quokkas");
    for (name, expected) in [
        ("user_id", "`bob` may not bring back what others said"),
        ("session_id", "is another user's here"),
        ("interaction_id", "is another user's here"),
    ] {
        let [old, new] = [&his, &hers].map(|row| row[name].as_str().unwrap());
        refused(&bobs.replace(old, new), &[], expected);
    }
    assert_eq!(export(&home, &["--all-users"]), all);
    // One's own, and what is made one's own elsewhere, may be brought in; and an admin may bring in everything.
    import(&home, "bob", &bobs, &[]).ok();
    import(&home, "alice", &all, &[]).ok();
    import(&home, "alice", line, &["--user", "bob"]).ok();
    assert_eq!(count(&home, "bob"), (json!(2), json!(2)));
    let copy = Home::new();
    talk(&copy, "eve", "of nothing\n");
    import(&copy, "bob", &all, &["--user", "bob"]).ok();
    assert_eq!(count(&copy, "bob"), (json!(2), json!(2)));
}

// Finding M9.
#[test]
fn a_store_that_is_filled_by_a_member_has_an_admin() {
    let home = Home::new();
    talk(&home, "alice", "of quokkas\n");
    talk(&home, "bob", "of bread\n");
    let bobs = as_user(&home, "bob", &["export"]).run().ok().stdout;
    let copy = Home::new();
    import(&copy, "bob", &bobs, &[]).ok();
    let users = |args: &[&str]| {
        let run = as_user(&copy, "bob", &["users", "--json"]);
        let users = run.args(args.iter().copied()).ok_json()["users"].clone();
        let role = |user: &Value| format!("{} {}", user["username"], user["role"]).replace('"', "");
        users
            .as_array()
            .unwrap()
            .iter()
            .map(role)
            .collect::<Vec<_>>()
    };
    assert_eq!(users(&[]), ["bob admin"]);
    users(&["add", "eve"]);
    assert_eq!(users(&["grant", "eve"]), ["bob admin", "eve admin"]);
}

// Finding M9.
#[test]
fn two_restores_at_once_double_nothing() {
    let home = Home::new();
    talk(&home, "alice", "of quokkas\nof bread\n");
    let exported = export(&home, &[]);
    let copy = Home::new();
    copy.allm().args(["sessions"]).run().ok();
    let outputs = thread::scope(|scope| {
        let restore = || scope.spawn(|| import(&copy, "alice", &exported, &[]));
        let both: Vec<_> = (0..4).map(|_| restore()).collect();
        both.into_iter()
            .map(|run| run.join().unwrap())
            .collect::<Vec<_>>()
    });
    for output in outputs {
        if output.status != 0 {
            assert!(
                output.stdout.contains("another import is under way"),
                "{output:?}"
            );
        }
    }
    import(&copy, "alice", &exported, &[]).ok();
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(export(&copy, &[])), sorted(exported.clone()));
}

// Finding L5.
#[test]
fn a_row_with_an_id_that_is_none_is_refused_with_its_line() {
    let home = Home::new();
    talk(&home, "alice", "of quokkas\n");
    let session = home.allm().args(["sessions", "--json"]).ok_json();
    let session = session["sessions"][0]["session_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let exported = export(&home, &[]).replace(&session, "/tmp/x");
    let refused = import(&Home::new(), "alice", &exported, &[]).fails(1);
    let error = refused.json()[0].to_string();
    assert!(
        error.contains("line 3 is no row") && error.contains("`/tmp/x` is no id"),
        "{error}"
    );
}

// Finding L19.
#[test]
fn an_export_that_fails_leaves_no_file() {
    let home = Home::new();
    talk(&home, "alice", "of quokkas\n");
    let file = home.folder().join("backup.jsonl");
    let write = || home.allm().args(["export", "--output", path(&file)]).run();
    // The interactions are read last.
    let data = home.path().join("lancedb/interactions.lance/data");
    let aside = home.path().join("aside");
    fs::rename(&data, &aside).unwrap();
    write().fails(1);
    assert_eq!(fs::read_dir(home.folder()).unwrap().count(), 0);
    fs::rename(&aside, &data).unwrap();
    write().ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), export(&home, &[]));
    assert!(write().fails(1).stderr.contains("is there already"));
}

// Finding L20.
#[test]
fn an_export_waits_for_its_reader_and_nobody_else_does() {
    let home = Home::new();
    let line =
        json!({"timestamp": 1_756_800_000, "query": "q", "response": "long ".repeat(200_000)});
    import(&home, "alice", &line.to_string(), &[]).ok();
    let expected = export(&home, &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_allm"));
    command
        .arg("export")
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pager = child.stdout.take().unwrap();
    let mut seen = vec![0; 10];
    pager.read_exact(&mut seen).unwrap();
    for name in ["lancedb.maintenance.lock", "lancedb.erase.lock"] {
        let lock = File::options()
            .append(true)
            .open(home.path().join(name))
            .unwrap();
        let start = Instant::now();
        while lock.try_lock().is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "{name} is held");
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(child.try_wait().unwrap().is_none(), "most is not read yet");
    pager.read_to_end(&mut seen).unwrap();
    assert_eq!(String::from_utf8(seen).unwrap(), expected);
    assert!(child.wait().unwrap().success());
}

// Finding L23.
#[test]
fn turns_without_their_session_are_written_for_others_too() {
    let home = Home::new();
    talk(&home, "alice", "of quokkas\nof bread\n");
    talk(&home, "alice", "of tea\n");
    let lines = export(&home, &[]);
    let mut sessions = 0;
    let part: Vec<&str> = lines
        .lines()
        .filter(|line| {
            sessions += usize::from(line.contains("\"type\":\"session\""));
            sessions != 1 || !line.contains("\"type\":\"session\"")
        })
        .collect();
    let copy = Home::new();
    import(&copy, "alice", &part.join("\n"), &[]).ok();
    for form in ["markdown", "csv", "otel"] {
        let text = export(&copy, &["--format", form]);
        for query in ["of quokkas", "of bread", "of tea"] {
            assert!(text.contains(query) || form == "otel", "{form}: {text}");
        }
        assert_eq!(
            text.matches("invoke_agent allm").count(),
            if form == "otel" { 3 } else { 0 }
        );
    }
    assert_eq!(
        export(&copy, &["--format", "markdown"])
            .matches("- session: ")
            .count(),
        2
    );
}
