//! A removal beside other work of the same process and of others, and what many of them cost.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use allm::embedder::{Lazy, Source};
use allm::store::{Filter, Interaction, Options, Scope, Session, Store, Turn, new_id, now};
use allm::timeframe::Zone;
use serde_json::json;

use crate::forget::copy;
use crate::harness::Home;
use crate::server;

/// Returns turns of as many sessions, one each.
fn turns(count: usize) -> Vec<Turn> {
    let turn = |number: usize| {
        let session_id = new_id();
        let question = format!("question {number} of zanzibar");
        let mut interaction = Interaction::begin(&session_id, &question, now());
        "an answer".clone_into(&mut interaction.response);
        Turn {
            username: "alice".to_owned(),
            session: Session {
                session_id,
                ..Session::default()
            },
            interaction,
            ..Turn::default()
        }
    };
    (0..count).map(turn).collect()
}

async fn open(home: &Home) -> Store {
    let uri = home.path().join("lancedb").display().to_string();
    let options = Options::new(home.path(), uri, Lazy::new(Source::Bundled));
    Store::open(options).await.unwrap()
}

async fn count(store: &Store, query: &str) -> u64 {
    let everyone = Filter::new(Scope::Everyone);
    let rows = store
        .sql(&everyone, query, 1, Zone::default())
        .await
        .unwrap();
    rows.rows[0][0].as_u64().unwrap()
}

// Finding M4.
#[tokio::test(flavor = "multi_thread")]
async fn facts_of_what_is_being_removed_do_not_outlive_it() {
    let home = Home::new();
    let store = open(&home).await;
    for _ in 0..4 {
        let some = turns(1);
        let id = some[0].interaction.interaction_id.clone();
        store.import(some, false).await.unwrap();
        let facts = ["zanzibar --[has]--> cloves".to_owned()];
        let this = Filter::new(Scope::Everyone).only(vec![id.clone()]);
        let (_, erased) = tokio::join!(store.add_facts(&id, &facts, None), store.erase(&this));
        assert_eq!(erased.unwrap(), 1);
    }
    for table in ["interactions", "passages", "sessions"] {
        let query = ["SELECT count(*) FROM ", table].concat();
        assert_eq!(count(&store, &query).await, 0, "{table}");
    }
}

// Finding M12.
#[tokio::test(flavor = "multi_thread")]
async fn removing_many_sessions_takes_few_commits() {
    let home = Home::new();
    let store = open(&home).await;
    store.import(turns(60), false).await.unwrap();
    let version = |table: &str| {
        let folder = home.path().join(format!("lancedb/{table}.lance/_versions"));
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let manifests =
            files.filter(|path| path.extension().is_some_and(|kind| kind == "manifest"));
        let number = |path: std::path::PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        // They are named by how far they are from the greatest number.
        u64::MAX - manifests.filter_map(number).min().unwrap()
    };
    let before = ["interactions", "passages", "sessions"].map(version);
    let all = Filter::new(Scope::Everyone).within(None, Some(now() + chrono::TimeDelta::days(1)));
    assert_eq!(store.erase(&all).await.unwrap(), 60);
    let after = ["interactions", "passages", "sessions"].map(version);
    for (before, after) in before.iter().zip(after) {
        assert!(after - before < 10, "{before} {after}");
    }
}

// Finding M11.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_old_goes_as_ordinary_rows() {
    let home = Home::new();
    let store = open(&home).await;
    let some = turns(2);
    let old = some[0].interaction.interaction_id.clone();
    store.import(some, false).await.unwrap();
    let this = Filter::new(Scope::Everyone).only(vec![old]);
    assert_eq!(store.expire(&this).await.unwrap(), 1);
    let left = count(&store, "SELECT count(*) FROM interactions").await;
    let sessions = count(&store, "SELECT count(*) FROM sessions").await;
    assert_eq!((left, sessions), (1, 1));
    // Nothing was written anew: the versions of before are there until upkeep removes them.
    let versions = home.path().join("lancedb/interactions.lance/_versions");
    let files = fs::read_dir(versions)
        .unwrap()
        .map(|file| file.unwrap().path());
    let manifests = files.filter(|path| path.extension().is_some_and(|kind| kind == "manifest"));
    assert!(manifests.count() > 1);
    assert!(!home.path().join("lancedb.erasing").exists());
}

// Finding M11.
#[test]
fn who_has_to_wait_is_told_for_whom() {
    let home = Home::new();
    home.allm()
        .args(["chat", "-p", "offline", "hello"])
        .run()
        .ok();
    let held = File::open(home.path().join("lancedb.erase.lock")).unwrap();
    held.lock().unwrap();
    let waits = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(4));
        held.unlock().unwrap();
    });
    let output = home.allm().args(["sessions"]).run().ok();
    waits.join().unwrap();
    let told = "waiting for somebody who removes history for good";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    assert!(output.stdout.contains("hello"), "{}", output.stdout);
}

#[test]
fn a_reindex_that_is_killed_goes_on_where_it_was() {
    let home = Home::new();
    let line = |n: usize| json!({"timestamp": "2026-01-02T03:04:05Z", "id": n.to_string(), "query": format!("question {n}"), "response": "an answer"});
    let lines: Vec<String> = (0..150).map(|n| line(n).to_string()).collect();
    let import = ["import", "jsonl", "-", "--no-embed"];
    home.allm().args(import).stdin(&lines.join("\n")).run().ok();
    let copied = Home::new();
    copy(home.path(), copied.path());
    let start = Instant::now();
    copied.allm().args(["reindex"]).run().ok();
    let takes = start.elapsed();
    for part in 1..4 {
        let mut child = home.allm().args(["reindex"]).spawn();
        std::thread::sleep(takes * part / 4);
        child.kill().ok();
        child.wait().unwrap();
    }
    home.allm().args(["reindex"]).run().ok();
    let doctor = home.allm().args(["doctor", "--json"]).run().ok().json();
    assert!(!doctor[0].to_string().contains("\"wrong\""), "{doctor:?}");
    let rows = home
        .allm()
        .args([
            "sql",
            "--json",
            "SELECT count(*), count(embedding) FROM passages",
        ])
        .ok_json();
    assert_eq!(rows["rows"][0], json!([300, 300]), "{rows}");
}

#[test]
fn two_shells_may_be_in_one_conversation() {
    let home = Home::new();
    let server = server::ollama(|question| format!("about {question}"));
    let chat = |more: &[&str]| {
        let run = home.allm().env("OLLAMA_HOST", &server.url);
        run.args(["chat", "-p", "ollama", "--no-tools", "--json"])
            .args(more.iter().copied())
    };
    let first = chat(&["hello"]).ok_json();
    let session = first["session_id"].as_str().unwrap();
    let talk = |name: &str| {
        let script = (0..3).fold(String::new(), |all, n| format!("{all}{name} {n}\n"));
        chat(&["--session", session]).stdin(&script).run().ok()
    };
    std::thread::scope(|scope| {
        let both = ["one", "two"].map(|name| {
            scope.spawn({
                let talk = &talk;
                move || talk(name)
            })
        });
        for shell in both {
            assert_eq!(shell.join().unwrap().json().len(), 3);
        }
    });
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(turns["count"], 7, "{turns}");
    for turn in turns["interactions"].as_array().unwrap() {
        assert_eq!(turn["session_id"], session);
        let id = turn["interaction_id"].as_str().unwrap();
        let sent = home
            .allm()
            .args(["context", id, "--json"])
            .ok_json()
            .to_string();
        assert!(sent.contains(turn["query"].as_str().unwrap()), "{sent}");
    }
}
