//! What a search shows: what is worth it and no more, by words as people type them, and why.

use allm::store::Mode;
use serde_json::{Value, json};

use crate::evaluation::Evaluation;
use crate::harness::{Home, project};

#[tokio::test]
async fn the_turn_that_answers_is_found_in_a_long_talk() {
    let set = project().join("tests/fixtures/talk");
    let home = tempfile::tempdir().unwrap();
    let talk = Evaluation::new(&set, home.path()).await.unwrap();
    let free = talk.run(Mode::Hybrid, Some(0.0)).await.unwrap();
    assert!(free.all.recall >= 0.85 && free.all.mrr >= 0.65, "{free:?}");
    assert!(free.by_kind["time"].mrr >= 0.8, "{free:?}");
    let floored = talk.run(Mode::Hybrid, None).await.unwrap();
    assert_eq!(floored.silent, floored.negative, "{floored:?}");
    assert!(free.all.recall - floored.all.recall < 0.15, "{floored:?}");
}

/// Returns a home with some turns, each of its own conversation.
fn told(said: &[(&str, &str)]) -> Home {
    let home = Home::new();
    let line = |(at, (query, response)): (usize, &(&str, &str))| {
        let timestamp = format!("2026-03-{:02}T10:00:00Z", at + 1);
        json!({"timestamp": timestamp, "session": format!("s{at}"), "query": query, "response": response})
    };
    let lines = said.iter().enumerate().map(line);
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    let import = home.allm().args(["import", "jsonl", "-"]);
    import.stdin(&lines.join("\n")).run().ok();
    home
}

#[test]
fn what_is_worth_it_is_shown_and_no_more() {
    const LINKER: &str = "Which linker is the quickest for Rust?";
    const LOCK: &str = "How do deadlocks come about?";
    const NAME: &str = "Who calls getUserName?";
    const ERROR: &str = "What does ERR_CONN_42 say?";
    const DOUGH: &str = "How long does dough rest?";
    let home = told(&[
        (LINKER, "mold, then lld: the linker takes 2 s."),
        (LOCK, "Two threads hold a lock each and want the other."),
        (DOUGH, "Two hours in a warm place."),
        (NAME, "The login page, through `Session::current`."),
        (ERROR, "The peer closed the connection."),
    ]);
    let queries = |found: &Value| -> Vec<String> {
        let hits = found["hits"].as_array().unwrap().iter();
        hits.map(|hit| hit["query"].as_str().unwrap().to_owned())
            .collect()
    };
    let nothing: &[&str] = &[];
    let table = [
        ("zzzqqq", nothing),
        ("asdf", nothing),
        ("--mode text \"dedlock\"", nothing),
        ("linker", &[LINKER]),
        ("deadlock", &[LOCK]),
        ("deadlocked --mode text", &[LOCK]),
        ("user name", &[NAME]),
        ("user name --mode text", &[NAME]),
        ("getusername", &[NAME]),
        ("Session::current", &[NAME]),
        ("err_conn_42 --mode text", &[ERROR]),
        // A word that nothing has is taken for the one next to it.
        ("dedlocks --mode text", &[LOCK]),
    ];
    let script: Vec<String> = table
        .iter()
        .map(|(asked, _)| format!("/search {asked}\n"))
        .collect();
    let script = script.concat() + "/search zzzqqq --min-score 0\n/search linker for Rust\n";
    let run = home.allm().args(["chat", "-p", "offline", "--json"]);
    let run = run.stdin(&script).run().ok();
    let found = run.json();
    for ((asked, expected), found) in table.iter().zip(&found) {
        assert_eq!(queries(found), *expected, "{asked}");
    }
    assert!(
        run.stderr
            .contains("nothing has `dedlocks`: looked for `deadlocks`"),
        "{}",
        run.stderr
    );
    assert_eq!(queries(&found[table.len()]).len(), 5);
    // What a score is made of.
    let parts = &found[table.len() + 1]["hits"][0]["parts"];
    assert_eq!(
        (&parts["words"], &parts["time"]),
        (&json!(1.0), &json!(false))
    );
    // What a piece of an answer is about may stand in its question alone.
    let place = home.allm().args([
        "search",
        "hours in which warm place for the dough",
        "--in",
        "response",
        "--json",
    ]);
    let place = &place.ok_json()["hits"][0];
    assert_eq!(place["query"], DOUGH, "{place}");
    let parts = &place["parts"];
    let (meaning, question) = (parts["meaning"].as_f64(), parts["question"].as_f64());
    assert!(
        meaning > place["similarity"].as_f64() && question > meaning,
        "{place}"
    );
    let shown = home.allm().args(["search", "--explain", "linker for Rust"]);
    let shown = shown.run().ok().stdout;
    assert!(shown.contains("words 1.00"), "{shown}");
}
