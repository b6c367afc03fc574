//! Finding by words: of all lengths and scripts, before there is an index and after.

use std::path::Path;

use allm::embedder::{Lazy, Source};
use allm::store::{Filter, Mode, Options, Scope, SearchQuery, Store, Turn};
use lancedb::index::Index;
use lancedb::index::scalar::FtsIndexBuilder;
use serde_json::Value;

use crate::upkeep::synthetic::{Words, turn};

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
