//! Finding in histories that are not small: phrases of common words, vectors made once, figures that can be read.

use std::fs;
use std::path::Path;

use allm::conversation::{Step, ToolCall};
use allm::embedder::{Lazy, Source};
use allm::store::{Filter, Options, Scope, SearchQuery, Store, Turn};
use allm::timeframe::Zone;
use serde_json::{Value, json};

use crate::embedder::Words;
use crate::harness::Home;
use crate::scripted::{self, Said, calls};
use crate::upkeep::synthetic::turn;

fn options(home: &Path, embedder: Lazy) -> Options {
    Options::new(home, home.join("lancedb").display().to_string(), embedder)
}

fn words() -> Lazy {
    Lazy::ready(Source::Bundled, Box::new(Words::default()))
}

/// Returns a turn of its own conversation that says this.
fn said(number: u64, query: &str, users: &[(String, String)]) -> Turn {
    let mut turn = turn(number * 8 + 1, 100_000, users);
    query.clone_into(&mut turn.interaction.query);
    turn.interaction.response = format!("answer {number}");
    turn.steps.clear();
    turn
}

async fn found(store: &Store, text: &str, quoted: bool) -> Vec<String> {
    let mut query = SearchQuery::new(text, Filter::new(Scope::Everyone), 3);
    query.quoted = quoted;
    let found = store.search(&query).await.unwrap();
    assert!(found.notices.is_empty(), "{:?}", found.notices);
    let hits = found.hits.into_iter();
    hits.map(|hit| hit.interaction.query).collect()
}

#[tokio::test]
async fn many_short_actions_leave_room_for_what_was_said() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(options(home.path(), words())).await.unwrap();
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id, user.username)];
    let mut turns: Vec<Turn> = (0..1_100)
        .map(|at| Turn {
            steps: vec![Step {
                action: Some(ToolCall {
                    name: "fly".to_owned(),
                    arguments: json!({"what": "kite"}),
                    ..ToolCall::default()
                }),
                success: true,
                ..Step::default()
            }],
            ..said(at, &format!("question {at}"), &users)
        })
        .collect();
    let long = "and so on and so forth until the evening came over the hills ".repeat(8);
    let kite = format!("{long} a kite {long}");
    turns.push(said(1_100, &kite, &users));
    store.import(turns, false).await.unwrap();
    store.maintain().await.unwrap();
    assert_eq!(found(&store, "kite", false).await[0], kite);
}

// Finding H8.
#[tokio::test]
async fn a_phrase_is_found_however_many_passages_have_its_words() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(options(home.path(), words())).await.unwrap();
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id, user.username)];
    // The short ones have more of the words in less text, so the index puts them first.
    let mut turns: Vec<Turn> = (0..1_100)
        .map(|at| said(at, &format!("red is the kite {at}"), &users))
        .collect();
    let long = "and so on and so forth until the evening came over the hills ".repeat(8);
    let asked = format!("{long} the Red\n Kite {long}");
    turns.push(said(1_100, &asked, &users));
    turns.push(said(
        1_101,
        "what does print(\"kite\") do in Python?",
        &users,
    ));
    turns.push(said(1_102, "print writes a text in Python", &users));
    store.import(turns, true).await.unwrap();
    for indexed in [false, true] {
        if indexed {
            store.maintain().await.unwrap();
        }
        assert_eq!(found(&store, "\"red kite\"", true).await, [asked.as_str()]);
        assert_eq!(
            found(&store, "\"Over the HILLS\"", true).await,
            [asked.as_str()]
        );
        assert!(found(&store, "\"kite red\"", true).await.is_empty());
        // Quotes in a question are no search for a phrase.
        let question = "how do I print(\"hello\") in Python?";
        assert!(found(&store, question, true).await.is_empty());
        let meant = found(&store, question, false).await;
        let print = "print writes a text in Python".to_owned();
        assert!(meant.contains(&print), "{meant:?}");
    }
}

fn step(observation: &str) -> Step {
    Step {
        action: Some(ToolCall {
            name: "run_command".to_owned(),
            arguments: json!({"command": "make"}),
            ..ToolCall::default()
        }),
        observation: observation.to_owned(),
        success: true,
        started_at: allm::store::now(),
        duration_ms: 1,
        ..Step::default()
    }
}

/// Returns how many passages of observations there are, and how many of them have a vector.
async fn observed(store: &Store) -> Value {
    let query = "SELECT count(*), count(embedding) FROM passages WHERE source = 'observation'";
    let everyone = Filter::new(Scope::Everyone);
    json!(
        store
            .sql(&everyone, query, 1, Zone::default())
            .await
            .unwrap()
            .rows[0]
    )
}

// Finding H9.
#[tokio::test]
async fn reindex_makes_the_vectors_that_recording_makes() {
    let long =
        "The linker wrote a line about a symbol that it could not find anywhere.\n".repeat(90);
    let mut steps: Vec<Step> = (0..9).map(|at| step(&format!("ok {at}"))).collect();
    steps.push(step(&long));
    let mut vectors = Vec::new();
    for embed in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let bundled = options(home.path(), Lazy::new(Source::Bundled));
        let store = Store::open(bundled).await.unwrap();
        let user = store.ensure_user("alice").await.unwrap();
        let mut turn = said(1, "why does it not link?", &[(user.user_id, user.username)]);
        turn.steps.clone_from(&steps);
        store.import(vec![turn], embed).await.unwrap();
        let missing = store.unembedded().await.unwrap();
        assert_eq!(missing == 0, embed, "{missing} are missing");
        let made = store.embed_missing(|_, _| {}).await.unwrap();
        assert_eq!((made, store.unembedded().await.unwrap()), (missing, 0));
        vectors.push(observed(&store).await);
    }
    assert_eq!(vectors[0], vectors[1]);
    let (passages, embedded) = (&vectors[0][0], &vectors[0][1]);
    assert!(
        passages.as_u64().unwrap() > 13 && *embedded == 13,
        "{vectors:?}"
    );
}

/// Returns a home with a turn in which a tool returned more than four passages.
fn read_a_file() -> Home {
    let home = Home::new();
    let notes =
        "The pump in the cellar runs at night, and the meter beside it counts.\n".repeat(110);
    fs::write(home.folder().join("notes.txt"), notes).unwrap();
    let server = scripted::ollama(
        Some(&["tools"]),
        vec![
            calls("read_file", json!({"path": "notes.txt"})),
            Said::Text("They are about a pump."),
        ],
    );
    let run = home.allm().env("OLLAMA_HOST", &server.url);
    run.args(["chat", "-p", "ollama", "what do my notes say?"])
        .run()
        .ok();
    home
}

fn count(home: &Home, query: &str) -> Value {
    home.allm().args(["sql", "--json", query]).ok_json()["rows"][0].clone()
}

// Finding H9.
#[test]
fn the_doctor_is_content_after_a_tool_turn() {
    const SEEN: &str =
        "SELECT count(*) > 4, count(embedding) FROM passages WHERE source = 'observation'";
    let home = read_a_file();
    assert_eq!(count(&home, SEEN), json!([true, 4]));
    home.allm().args(["doctor"]).run().ok();
    let made = home.allm().args(["reindex", "--json"]).ok_json();
    assert_eq!(count(&home, SEEN), json!([true, 4]), "{made}");

    // Stores of before numbered all passages of a source in one row.
    let export = ["export", "--all-users", "--vectors"];
    let lines = home.allm().args(export).run().ok().stdout;
    let mut next = 0;
    let old: Vec<String> = lines
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            if row["source"] == "observation" {
                row["position"] = json!(next);
                next += 1;
            }
            row.to_string()
        })
        .collect();
    assert!(next > 4);
    let old_home = Home::new();
    let restored = old_home
        .allm()
        .args(["import", "jsonl", "-"])
        .stdin(&old.join("\n"));
    restored.run().ok();
    assert_eq!(count(&old_home, SEEN), json!([true, 4]));
    old_home.allm().args(["doctor"]).run().ok();
    old_home.allm().args(["reindex"]).run().ok();
    assert_eq!(count(&old_home, SEEN), json!([true, 4]));
}

// Finding M14.
#[test]
fn steps_that_cannot_be_read_are_counted_as_such() {
    let home = read_a_file();
    let lines = home
        .allm()
        .args(["export", "--all-users"])
        .run()
        .ok()
        .stdout;
    let spoilt: Vec<String> = lines
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            if row["type"] == "react_cycle" {
                row["scratchpad"] = json!("[{");
            }
            row.to_string()
        })
        .collect();
    let other = Home::new();
    let restored = other.allm().args(["import", "jsonl", "-"]);
    restored.stdin(&spoilt.join("\n")).run().ok();
    let tools = |home: &Home| {
        let stats = home
            .allm()
            .args(["stats", "--by", "tool", "--json"])
            .ok_json();
        stats["groups"].clone()
    };
    assert_eq!(tools(&home)[0]["key"], "read_file");
    let groups = tools(&other);
    assert_eq!(
        (&groups[0]["key"], &groups[0]["failed"]),
        (&json!("(cannot be read)"), &json!(1)),
        "{groups}"
    );
}

// Finding L15.
#[test]
fn a_model_does_not_find_the_conversation_it_is_in() {
    let home = Home::new();
    let look = || {
        calls(
            "search_memory",
            json!({"query": "the port of the staging database"}),
        )
    };
    let server = scripted::ollama(
        Some(&["tools"]),
        vec![
            Said::Text("Noted."),
            look(),
            Said::Text("6543."),
            look(),
            Said::Text("6543 it is."),
        ],
    );
    let chat = |script: &str| {
        let run = home.allm().env("OLLAMA_HOST", &server.url);
        let run = run.args(["chat", "-p", "ollama", "--json"]).stdin(script);
        run.run().ok().json()
    };
    let hits = |turn: &Value| {
        let seen = turn["steps"][0]["observation"].as_str().unwrap();
        let seen: Value = serde_json::from_str(seen).unwrap();
        seen["hits"].as_array().unwrap().clone()
    };
    let here = chat("the staging database listens on port 6543\nwhich port was it?\n");
    assert!(hits(&here[1]).is_empty(), "{}", here[1]);
    let elsewhere = chat("which port was it again?\n");
    let first = &hits(&elsewhere[0])[0];
    assert_eq!(
        first["interaction_id"], here[0]["interaction_id"],
        "{first}"
    );
}

// Finding L15.
#[test]
fn of_turns_that_are_the_same_the_latest_is_shown() {
    let home = Home::new();
    let script = "the ferry leaves at noon\n".repeat(4);
    let turns = home.allm().args(["chat", "--json"]).stdin(&script);
    let turns = turns.run().ok().json();
    let hit = home
        .allm()
        .args(["search", "--json", "ferry at noon"])
        .ok_json()["hits"][0]
        .clone();
    let latest: Vec<&Value> = turns
        .iter()
        .filter(|turn| turn["response"] == hit["response"])
        .collect();
    assert_eq!(
        hit["interaction_id"],
        latest.last().unwrap()["interaction_id"]
    );
}

// Finding U2.
#[tokio::test]
async fn a_condition_that_fails_on_the_rows_of_others_tells_nothing() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(options(home.path(), words())).await.unwrap();
    let mut users = Vec::new();
    for name in ["alice", "bob"] {
        let user = store.ensure_user(name).await.unwrap();
        users.push([(user.user_id, user.username)]);
    }
    // In one file, so that they are looked at together.
    let turns = (0..6).map(|at| match at % 2 {
        0 => said(at, &format!("zanzibar in May {at}"), &users[0]),
        _ => said(at, &format!("bread in June {at}"), &users[1]),
    });
    store.import(turns.collect(), true).await.unwrap();
    let bob = Filter::new(Scope::User(users[1][0].0.clone()));
    let ask = async |query: &str| {
        json!(
            store
                .sql(&bob, query, 10, Zone::default())
                .await
                .unwrap()
                .rows
        )
    };
    for oracle in [
        "SELECT count(*) FROM interactions WHERE 1 / (CASE WHEN query LIKE '%zanzibar%' THEN 0 ELSE 1 END) = 1",
        "SELECT count(*) FROM interactions WHERE CAST(replace(query, 'bread in June ', '') AS INT) < 9",
    ] {
        assert_eq!(ask(oracle).await, json!([[3]]), "{oracle}");
    }
    // What cannot fail is still for LanceDB, and finds the same.
    let plain = "SELECT query FROM interactions WHERE timestamp > '2020-01-01' AND (query LIKE '%June 3' OR status IN ('failed')) AND query IS NOT NULL";
    assert_eq!(ask(plain).await, json!([["bread in June 3"]]));
}
