//! Indices: made in the background when a history has grown, and no condition for finding what is new.

#[path = "../bench/synthetic.rs"]
#[expect(dead_code, reason = "benchmarks need more of it")]
pub mod synthetic;

use allm::embedder::{Lazy, Source};
use allm::store::{Backlog, Filter, Options, Scope, SearchQuery, Store, Turn, new_id};
use synthetic::turn;

use crate::embedder::Words;

fn options(home: &tempfile::TempDir) -> Options {
    let uri = home.path().join("lancedb").display().to_string();
    let embedder = Lazy::ready(Source::Bundled, Box::new(Words::default()));
    Options::new(home.path(), uri, embedder)
}

async fn open(home: &tempfile::TempDir) -> Store {
    Store::open(options(home)).await.unwrap()
}

#[tokio::test]
async fn a_grown_history_is_indexed_and_what_comes_later_is_found_at_once() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home).await;
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id.clone(), user.username)];
    let turns = (0..1_200).map(|number| turn(number, 1_200, &users));
    store.import(turns.collect(), true).await.unwrap();
    let filter = Filter::new(Scope::User(user.user_id));
    let unindexed = async || -> Vec<(&str, usize)> {
        let tables = store.stats(&filter).await.unwrap().tables.into_iter();
        let grown = tables.filter(|table| table.rows >= 1_000);
        grown
            .map(|table| (table.name, table.unindexed_rows))
            .collect()
    };
    assert_eq!(
        unindexed().await,
        [("interactions", 1_200), ("passages", 2_760)]
    );
    store.maintain().await.unwrap();
    assert_eq!(unindexed().await, [("interactions", 0), ("passages", 0)]);

    let mut late = turn(1_201, 1_202, &users);
    late.session.session_id = new_id();
    late.interaction.query = "the quokka of Rottnest".to_owned();
    store_now(&store, late).await;
    for text in ["quokka", "\"quokka of rottnest\""] {
        let mut query = SearchQuery::new(text, filter.clone(), 3);
        query.quoted = true;
        let found = store.search(&query).await.unwrap();
        assert_eq!(
            found.hits[0].interaction.query, "the quokka of Rottnest",
            "{text}"
        );
        assert!(found.notices.is_empty(), "{:?}", found.notices);
    }
    // With the index and without it the same words are found.
    let old = turn(600, 1_200, &users).interaction;
    let words: Vec<&str> = old.response.split(' ').take(6).collect();
    let mut found = SearchQuery::new(format!("\"{}\"", words.join(" ")), filter.clone(), 3);
    found.quoted = true;
    let found = store.search(&found).await.unwrap();
    assert_eq!(found.hits[0].interaction.response, old.response);
    store.maintain().await.unwrap();
    assert_eq!(unindexed().await, [("interactions", 0), ("passages", 0)]);
    assert_eq!(store.count(&filter).await.unwrap(), 1_201);

    // Where the full-text index cannot be read, search goes on with the meaning and says so.
    drop(store);
    let indices = home.path().join("lancedb/passages.lance/_indices");
    for index in std::fs::read_dir(indices).unwrap() {
        let index = index.unwrap().path();
        let files = std::fs::read_dir(index)
            .unwrap()
            .map(|file| file.unwrap().path());
        let files: Vec<_> = files.collect();
        let is_words = |path: &std::path::PathBuf| path.to_string_lossy().contains("tokens");
        if files.iter().any(is_words) {
            for file in files {
                std::fs::write(file, "torn").unwrap();
            }
        }
    }
    let store = open(&home).await;
    let query = SearchQuery::new(old.response.as_str(), filter.clone(), 3);
    let found = store.search(&query).await.unwrap();
    assert_eq!(found.hits[0].interaction.response, old.response);
    assert!(
        found.notices.len() == 1
            && found.notices[0]
                .to_string()
                .contains("looked for the meaning alone"),
        "{:?}",
        found.notices
    );

    // The doctor makes the index anew.
    drop(store);
    let findings = allm::store::examine(options(&home), true, &|_| false).await;
    let fixed = findings
        .iter()
        .find(|finding| finding.what == "indices")
        .unwrap();
    assert_eq!(fixed.state, allm::store::State::Fixed, "{findings:?}");
    let store = open(&home).await;
    let found = store.search(&query).await.unwrap();
    assert_eq!(found.hits[0].interaction.response, old.response);
    assert!(found.notices.is_empty(), "{:?}", found.notices);
}

/// Stores one turn, as a run of the program does.
async fn record(store: &Store, number: u64, users: &[(String, String)]) {
    store_now(store, turn(number, 1_000, users)).await;
}

/// Stores a turn, and waits for that.
async fn store_now(store: &Store, mut turn: Turn) {
    let mut journal = None;
    store.begin(&mut journal, &mut turn).unwrap();
    let journal = journal.unwrap();
    let (turn, ended) = store.end(&journal, &turn);
    let backlog = Backlog::new(store);
    backlog.push(turn, journal, ended);
    assert!(backlog.done().await, "{:?}", backlog.troubles());
}

// Finding M13.
#[tokio::test]
async fn upkeep_that_was_cut_short_is_caught_up_with_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let uri = home.path().join("lancedb");
    let options = || {
        let words = Lazy::ready(Source::Bundled, Box::new(Words::default()));
        Options::new(home.path(), uri.display().to_string(), words)
    };
    let store = Store::open(options()).await.unwrap();
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id, user.username)];
    for number in 0..20 {
        record(&store, number, &users).await;
    }
    let files = |folder: &str| {
        let folder = uri.join(format!("interactions.lance/{folder}"));
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    assert_eq!(files("data"), 20);
    // One round ends with the process that began it, whose unfinished file stays.
    std::fs::write(home.path().join("lancedb.maintenance.lock"), "0 begun").unwrap();
    let unfinished = uri.join("interactions.lance/data/unfinished.lance");
    std::fs::write(&unfinished, "half a file").unwrap();
    drop(store);

    let store = Store::open(options()).await.unwrap();
    assert!(store.is_maintenance_due().await);
    let round = store.clone();
    let mut round = Box::pin(async move { round.maintain().await });
    // It is cut short again.
    drop(futures::poll!(&mut round));
    assert!(store.catches_up());
    drop(round);
    store.maintain().await.unwrap();
    assert!(!store.catches_up() && !store.is_maintenance_due().await);
    assert!(!unfinished.exists());
    let fragments = store.stats(&Filter::new(Scope::Everyone)).await.unwrap();
    let table = fragments
        .tables
        .iter()
        .find(|table| table.name == "interactions");
    assert_eq!(table.unwrap().fragments, 1);

    // What nobody has cut short may be about to become part of a version.
    std::fs::write(&unfinished, "half a file").unwrap();
    store.maintain().await.unwrap();
    assert!(unfinished.exists());
}

// Finding L4.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_replaced_while_another_process_compacts() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (open(&home).await, open(&home).await);
    let alice = ours.ensure_user("alice").await.unwrap();
    for number in 0..10 {
        ours.ensure_user(&format!("old {number}")).await.unwrap();
    }
    let upkeep = tokio::spawn(async move {
        loop {
            // Whoever tidies up may be told to try again later.
            drop(theirs.maintain().await);
        }
    });
    for number in 0..10 {
        let (old, new) = (format!("old {number}"), format!("new {number}"));
        ours.rename_user(alice.me(), &old, &new).await.unwrap();
    }
    upkeep.abort();
    let users = ours.list_users().await.unwrap();
    let renamed = users
        .iter()
        .filter(|user| user.username.starts_with("new "));
    assert_eq!((renamed.count(), users.len()), (10, 11));
}
