//! Finding by words: of all lengths and scripts, before there is an index and after; and what was done, not only what was said.

use std::path::Path;

use allm::embedder::{Lazy, Source};
use allm::store::{Filter, Mode, Options, Scope, SearchQuery, Store, Turn};
use lancedb::index::Index;
use lancedb::index::scalar::FtsIndexBuilder;
use serde_json::{Value, json};

use crate::embedder::Words;
use crate::harness::Home;
use crate::upkeep::synthetic::turn;

const SHA1: &str = "4f2e9d0c7b6a59483726150f9e8d7c6b5a493827";
const SHA256: &str = "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab";
const LONG: &str =
    "com_example_verylongcompany_inventory_warehouse_ReplenishmentStrategyFactoryBean";

/// What is said, and by which words it is to be found.
fn table() -> Vec<(String, Vec<String>)> {
    let row = |said: &str, asked: &[&str]| {
        let asked = asked.iter().map(|&asked| asked.to_owned());
        (said.to_owned(), asked.collect())
    };
    vec![
        row(
            &format!("is {SHA1} the commit that broke it?"),
            &[SHA1, &SHA1.to_uppercase()],
        ),
        row(
            &format!("the image has the digest sha256:{SHA256}"),
            &[SHA256],
        ),
        row(
            &format!("who calls {LONG} and why"),
            &[LONG, "ReplenishmentStrategyFactoryBean"],
        ),
        row(&format!("see {}", "x1".repeat(500)), &[&"x1".repeat(500)]),
        row(
            "ERP审批流程在哪里配置？",
            &[
                "审批流程",
                "审批",
                "批",
                "批流",
                "erp",
                "ERP审批",
                "\"审批流程\"",
                "审批流程 ERP",
            ],
        ),
        row(
            "接続プールが枯渇した。",
            &["接続プール", "プール", "枯渇", "枯", "\"プールが\""],
        ),
        row("서버가 응답하지 않습니다", &["서버", "응답", "\"서버가\""]),
        row("ฐานข้อมูลช้ามาก", &["ข้อมูล", "ช้า"]),
        row(
            "Kafka verliert Nachrichten über Nacht",
            &["kafka", "ÜBER nacht", "\"VERLIERT Nachrichten\""],
        ),
        // It is common in another language.
        row("who won the war of the roses", &["war roses"]),
    ]
}

fn options(home: &Path) -> Options {
    let embedder = Lazy::ready(Source::Bundled, Box::new(Words::default()));
    Options::new(home, home.join("lancedb").display().to_string(), embedder)
}

/// Returns a turn of its own conversation that says this.
fn said(number: u64, query: &str, users: &[(String, String)]) -> Turn {
    let mut turn = turn(number * 8 + 1, 100_000, users);
    query.clone_into(&mut turn.interaction.query);
    turn.interaction.response = format!("answer {number}");
    turn.steps.clear();
    turn
}

#[track_caller]
fn first(hits: &[String], said: &str, asked: &str, state: &str) {
    assert_eq!(
        hits.first().map(String::as_str),
        Some(said),
        "{asked} {state}: {hits:?}"
    );
}

async fn look(store: &Store, state: &str) {
    for (said, asked) in table() {
        for asked in asked {
            let mut query = SearchQuery::new(&*asked, Filter::new(Scope::Everyone), 3);
            query.quoted = true;
            query.mode = Mode::Text;
            let found = store.search(&query).await.unwrap();
            assert!(found.notices.is_empty(), "{:?}", found.notices);
            let hits = found.hits.into_iter().map(|hit| hit.interaction.query);
            first(&hits.collect::<Vec<_>>(), &said, &asked, state);
        }
    }
}

#[tokio::test]
async fn words_are_found_whatever_their_length_or_script_before_the_index_and_after() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(options(home.path())).await.unwrap();
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id, user.username)];
    let mut turns: Vec<Turn> = table()
        .iter()
        .zip(0..)
        .map(|((text, _), at)| said(at, text, &users))
        .collect();
    turns.extend((100..600).map(|at| said(at, &format!("a red kite {at}"), &users)));
    store.import(turns, false).await.unwrap();
    look(&store, "without an index").await;
    store.maintain().await.unwrap();
    look(&store, "with an index").await;

    // An index that an earlier program has made is made again.
    let uri = home.path().join("lancedb").display().to_string();
    let connection = lancedb::connect(&uri).execute().await.unwrap();
    let passages = connection.open_table("passages").execute().await.unwrap();
    let old = Index::FTS(FtsIndexBuilder::default());
    passages
        .create_index(&["text"], old)
        .execute()
        .await
        .unwrap();
    let made = async || {
        let indices = passages.list_indices().await.unwrap();
        let index = indices.into_iter().find(|index| index.columns == ["text"]);
        let details: Value = serde_json::from_str(&index.unwrap().index_details.unwrap()).unwrap();
        details["base_tokenizer"].clone()
    };
    assert_eq!(made().await, "simple");
    store.maintain().await.unwrap();
    passages.checkout_latest().await.unwrap();
    assert_eq!(made().await, "icu/split");
    look(&store, "with an index that was made again").await;
    // What comes after it is cut as it is.
    let late = said(700, "审批流程又变了", &users);
    store.import(vec![late], false).await.unwrap();
    let mut query = SearchQuery::new("又变", Filter::new(Scope::Everyone), 3);
    query.mode = Mode::Text;
    let hits = store.search(&query).await.unwrap().hits;
    assert_eq!(hits[0].interaction.query, "审批流程又变了");
}

/// Returns a line of a turn in which tools were called.
fn acted(at: usize, query: &str, calls: &[(&str, Value)]) -> String {
    let time = format!("2026-02-01T10:00:{at:02}Z");
    let steps = calls.iter().map(|(name, arguments)| {
        let action = json!({"name": name, "arguments": arguments});
        json!({"thought": "", "action": action, "observation": "ok", "success": true, "error": null, "started_at": time, "duration_ms": 5})
    });
    let steps: Vec<Value> = steps.collect();
    json!({"timestamp": time, "session": format!("s{at}"), "query": query, "response": "Done.", "steps": steps}).to_string()
}

fn history() -> Home {
    let home = Home::new();
    let report = format!(
        "{}\nThe old sluice leaks.\n",
        "# Report\n\nAll is well.\n".repeat(400)
    );
    let mut lines = vec![
        acted(
            0,
            "Bring the site back.",
            &[(
                "run_command",
                json!({"command": "kubectl rollout undo deployment/web --to-revision=7"}),
            )],
        ),
        acted(
            1,
            "Publish it.",
            &[
                (
                    "shell",
                    json!({"command": ["rsync", "-az", "public/", "example:/srv"]}),
                ),
                (
                    "shell",
                    json!({"command": ["rsync", "-az", "public/", "example:/srv"]}),
                ),
            ],
        ),
        acted(
            2,
            "Write it down.",
            &[(
                "write_file",
                json!({"path": "notes/report.md", "content": report}),
            )],
        ),
        acted(
            3,
            "Make a canvas.",
            &[(
                "canmore.create_textdoc",
                json!("{\"name\": \"plan\", \"content\": \"Paint the lighthouse.\"}"),
            )],
        ),
        acted(4, "How do I list the files of a folder?", &[]),
    ];
    lines.extend((5..25).map(|at| {
        acted(
            at,
            &format!("Look {at}."),
            &[(
                "list_files",
                json!({"folder": format!("files/of/a/folder{at}")}),
            )],
        )
    }));
    let run = home.allm().args(["import", "jsonl", "-", "--no-embed"]);
    run.stdin(&lines.join("\n")).run().ok();
    home
}

/// Returns the question of each hit, and what matched.
fn search(home: &Home, args: &[&str]) -> Vec<(String, String)> {
    let run = home.allm().args(["search", "--json", "--mode", "text"]);
    let found = run.args(args.iter().copied()).ok_json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let hits = found["hits"].as_array().unwrap().iter();
    hits.map(|hit| (text(&hit["query"]), text(&hit["matched"]["source"])))
        .collect()
}

#[test]
fn what_was_done_is_found_and_drowns_nothing() {
    let home = history();
    let check = |words: &str, query: &str| {
        let action = || (query.to_owned(), "action".to_owned());
        assert_eq!(search(&home, &[words])[0], action(), "{words}");
        assert_eq!(
            search(&home, &[words, "--in", "action"])[0],
            action(),
            "{words}"
        );
        assert!(search(&home, &[words, "--in", "query,response,observation"]).is_empty());
    };
    check("kubectl rollout", "Bring the site back.");
    check("\"rsync -az\"", "Publish it.");
    check("sluice leaks", "Write it down.");
    check("lighthouse", "Make a canvas.");
    let asked = "How do I list the files of a folder?";
    assert_eq!(
        search(&home, &["list files of a folder"])[0],
        (asked.to_owned(), "query".to_owned())
    );
    let table = home.allm().args(["search", "rsync"]).run().ok().stdout;
    assert!(
        table.contains("action: shell: rsync -az public/"),
        "{table}"
    );

    // What was done twice is kept once, and goes with its turn.
    let count = || {
        home.allm().args(["sql", "--json", "SELECT count(*), count(embedding) FROM passages WHERE source = 'action' AND text LIKE '%rsync%'"]).ok_json()["rows"][0].clone()
    };
    assert_eq!(count(), json!([1, 0]));
    home.allm()
        .args(["forget", "--match", "Publish it.", "--yes", "--no-backup"])
        .run()
        .ok();
    assert_eq!(count(), json!([0, 0]));

    // An export of before has no such passages: they are made behind the next chat.
    let export = home
        .allm()
        .args(["export", "--all-users"])
        .run()
        .ok()
        .stdout;
    let old: Vec<String> = export
        .lines()
        .filter(|line| !line.contains("\"source\":\"action\""))
        .map(|line| line.replace(",\"layout\":2", ""))
        .collect();
    assert!(old.len() < export.lines().count() && !old.concat().contains("layout"));
    let copy = Home::new();
    copy.allm()
        .args(["import", "jsonl", "-", "--no-embed"])
        .stdin(&old.join("\n"))
        .run()
        .ok();
    assert!(search(&copy, &["kubectl rollout"]).is_empty());
    let layout = || {
        let report = copy
            .allm()
            .args(["doctor", "--json"])
            .run()
            .json()
            .remove(0);
        let checks = report["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["what"] == "layout")
            .unwrap()
    };
    let left = layout();
    assert!(
        left["detail"]
            .as_str()
            .unwrap()
            .contains("23 turns whose tool calls"),
        "{left}"
    );
    // Leaving waits a moment for upkeep, and what was cut short is waited for.
    for _ in 0..2 {
        copy.allm()
            .args(["chat", "-p", "offline", "hello"])
            .run()
            .ok();
    }
    assert_eq!(layout()["state"], "fine", "{}", layout());
    assert_eq!(search(&copy, &["kubectl rollout"]).len(), 1);
}
