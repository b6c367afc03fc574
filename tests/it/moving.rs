//! Histories out and in, in parts, twice at once, and by those who may not.

use std::fs;

use serde_json::Value;

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
    let part = export(&home, &["--from", second]);
    let copy = Home::new();
    import(&copy, "alice", &part, &[]).ok();
    assert_eq!(interactions(&copy).len(), 2);
    for at in [1, 2] {
        assert_eq!(requests(&copy, id(&turns[at])).ok().stdout, sent[at]);
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
