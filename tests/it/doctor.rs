//! `allm doctor`: finds what is wrong instead of failing at it, and throws nothing away that is not torn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use allm::embedder::{Lazy, Source};
use allm::store::{Filter, Finding, Options, Scope, State, Store, examine};
use serde_json::Value;

use crate::embedder::Words;
use crate::harness::Home;
use crate::server::ollama;
use crate::upkeep::synthetic::turn;

fn options(home: &Path) -> Options {
    let embedder = Lazy::ready(Source::Bundled, Box::new(Words::default()));
    Options::new(home, home.join("lancedb").display().to_string(), embedder)
}

/// Stores so many turns in batches, each a version of the tables.
async fn fill(home: &Path, batches: &[u64]) {
    let store = Store::open(options(home)).await.unwrap();
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id, user.username)];
    let mut first = 0;
    for &batch in batches {
        let turns = (first..first + batch).map(|number| turn(number, 100, &users));
        store.import(turns.collect(), true).await.unwrap();
        first += batch;
    }
}

async fn count(home: &Path) -> usize {
    let store = Store::open(options(home)).await.unwrap();
    store.count(&Filter::new(Scope::Everyone)).await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Returns the newest file of a folder.
fn newest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| !entry.path().to_string_lossy().ends_with(".json"));
    let newest = files.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    newest.unwrap().path()
}

#[track_caller]
fn finding<'f>(findings: &'f [Finding], what: &str) -> &'f Finding {
    let found = findings.iter().find(|finding| finding.what == what);
    found.unwrap_or_else(|| panic!("nothing on {what}: {findings:?}"))
}

/// Changes what is in a file.
type Tear = fn(&mut Vec<u8>);

/// The ways in which a power cut leaves a file.
const TEARS: [(&str, Tear); 8] = [
    ("empty", Vec::clear),
    ("gone", Vec::clear),
    ("its first half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("without its end", |bytes| bytes.truncate(bytes.len() - 3)),
    ("zeros", |bytes| bytes.fill(0)),
    ("zeros at the front", |bytes| {
        let half = bytes.len() / 2;
        bytes[..half].fill(0);
    }),
    ("zeros at the end", |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    }),
    ("another file's", |bytes| {
        for byte in bytes {
            *byte ^= 0x5a;
        }
    }),
];

// Finding H5.
#[tokio::test]
async fn files_torn_in_any_way_cost_what_was_agreed_to_and_no_more() {
    let home = Home::new();
    fill(home.path(), &[3, 2]).await;
    let kept = tempfile::tempdir().unwrap();
    copy(home.path(), &kept.path().join("home"));
    for (table, folder) in [
        ("interactions", "_versions"),
        ("interactions", "data"),
        ("passages", "data"),
    ] {
        for (how, tear) in TEARS {
            if (folder, how) == ("_versions", "gone") {
                // A version whose name never came to the disk is none.
                continue;
            }
            let place = tempfile::tempdir().unwrap();
            let home = place.path().join("home");
            copy(&kept.path().join("home"), &home);
            let torn = newest(&home.join(format!("lancedb/{table}.lance/{folder}")));
            let mut bytes = fs::read(&torn).unwrap();
            tear(&mut bytes);
            match how {
                "gone" => fs::remove_file(&torn).unwrap(),
                _ => fs::write(&torn, &bytes).unwrap(),
            }
            let what = format!("table {table}");
            let context = format!("{table} {folder} {how}");

            let found = examine(options(&home), false, &|_| true).await;
            assert_eq!(finding(&found, &what).state, State::Wrong, "{context}");
            let asked = std::cell::RefCell::new(Vec::new());
            let refuse = |question: &str| {
                asked.borrow_mut().push(question.to_owned());
                false
            };
            let found = examine(options(&home), true, &refuse).await;
            let refused = finding(&found, &what);
            if table == "passages" {
                // They are made again from their turns, so nothing is lost.
                assert_eq!(refused.state, State::Fixed, "{context}: {found:?}");
                assert_eq!(finding(&found, "rows").state, State::Fixed, "{context}");
                assert_eq!(asked.take(), [""; 0]);
            } else {
                assert_eq!(refused.state, State::Wrong, "{context}: {found:?}");
                let fewer = match folder {
                    "data" => "with 2 rows fewer, of which the journal has 0",
                    _ => "with at least 2 rows fewer that no journal has",
                };
                assert!(asked.take()[0].contains(fewer), "{context}");
                assert!(refused.detail.contains(fewer), "{}", refused.detail);
                assert!(refused.detail.contains("`allm doctor --fix --yes`"));
                let aside = fs::read_dir(home.join("aside")).unwrap();
                assert_eq!(aside.count(), 0, "{context}");

                let found = examine(options(&home), true, &|_| true).await;
                assert_eq!(finding(&found, &what).state, State::Fixed, "{context}");
            }
            let found = examine(options(&home), false, &|_| true).await;
            let wrong = found.iter().find(|finding| finding.state == State::Wrong);
            assert!(wrong.is_none(), "{context}: {wrong:?}");
            let left = if table == "passages" { 5 } else { 3 };
            assert_eq!(count(&home).await, left, "{context}");
        }
    }
}

// Finding H5.
#[test]
fn too_few_files_to_open_throw_nothing_away() {
    let home = Home::new();
    let lines = (0..12).map(|number| format!("line {number}\n"));
    let lines = lines.collect::<Vec<_>>().concat();
    home.allm()
        .args(["chat", "-p", "offline"])
        .stdin(&lines)
        .run()
        .ok();
    let mut failed = 0;
    for limit in (8..28).step_by(4) {
        let doctor =
            format!("ulimit -n {limit}; exec \"$ALLM\" doctor -p offline --fix --yes --json");
        let output = home.shell(&doctor).run();
        let said = format!("{}{}", output.stdout, output.stderr);
        failed += usize::from(said.contains("Too many open files"));
        assert!(
            !home.path().join("aside").exists() || is_empty(&home.path().join("aside")),
            "{limit}: {said}"
        );
        assert!(!said.contains("\"fixed\""), "{limit}: {said}");
    }
    assert!(failed > 0, "the limits were never too low");
    let doctor = home.allm().args(["doctor", "-p", "offline", "--json"]);
    let doctor = doctor.ok_json();
    assert!(!doctor.to_string().contains("wrong"), "{doctor}");
    let found = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(found["count"], 12);
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

// Finding H5.
#[tokio::test]
async fn a_sound_store_beside_a_busy_shell_is_never_called_wrong() {
    let home = Home::new();
    fill(home.path(), &[3]).await;
    let file = newest(&home.path().join("lancedb/interactions.lance/data"));
    // A shell that erases or tidies up has files in its hands.
    for lock in ["lancedb.erase.lock", "lancedb.maintenance.lock"] {
        let lock = fs::File::open(home.path().join(lock)).unwrap();
        lock.lock().unwrap();
        let hand = home.path().join("hand");
        fs::rename(&file, &hand).unwrap();
        let examined = examine(options(home.path()), true, &|_| true);
        tokio::pin!(examined);
        let early = tokio::time::timeout(Duration::from_millis(500), &mut examined).await;
        assert!(early.is_err(), "{early:?}");
        fs::rename(&hand, &file).unwrap();
        lock.unlock().unwrap();
        let found = examined.await;
        let is_sound = |finding: &Finding| finding.state == State::Fine || finding.what == "home";
        assert!(found.iter().all(is_sound), "{found:?}");
    }
}

// Finding H5.
#[test]
fn a_person_is_asked_before_rows_are_lost() {
    let home = Home::new();
    for text in ["the first", "the second"] {
        let chat = home.allm().args(["chat", "-p", "offline", text]);
        chat.run().ok();
    }
    let data = home.path().join("lancedb/interactions.lance/data");
    let torn = newest(&data);
    fs::write(&torn, "").unwrap();
    let output = home.allm().args(["doctor", "-p", "offline", "--fix"]).run();
    let output = output.fails(1).stdout;
    assert!(output.contains("with 1 row fewer, of which the journal has 0: `allm doctor --fix --yes` goes back to it"), "{output}");

    let mut doctor = home.terminal(&["doctor", "-p", "offline", "--fix"]);
    doctor.wait_for("Go back to the version of `interactions` before, with 1 row fewer");
    doctor.type_keys("n\r");
    assert_eq!(doctor.exit_status(), 1);
    assert!(is_empty(&home.path().join("aside")));
    let mut doctor = home.terminal(&["doctor", "-p", "offline", "--fix"]);
    doctor.wait_for("Go back");
    doctor.type_keys("y\r");
    doctor.wait_for("fixed");
    assert_eq!(doctor.exit_status(), 0);
    let found = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(found["count"], 1);
}

// Finding M27.
#[tokio::test]
async fn what_keeps_a_store_from_opening_is_a_finding() {
    let home = Home::new();
    fill(home.path(), &[2]).await;
    let source = Source::parse("some/other-model", home.path()).unwrap();
    let other = Options {
        embedder: Lazy::ready(source, Box::new(Words::default())),
        ..options(home.path())
    };
    let found = examine(other, true, &|_| true).await;
    let store = finding(&found, "store");
    assert_eq!(store.state, State::Wrong);
    assert!(
        store
            .detail
            .contains("was made with the embedding model `all-MiniLM-L6-v2`")
            && store
                .detail
                .contains("open it with `--embedder all-MiniLM-L6-v2`"),
        "{}",
        store.detail
    );
    assert_eq!(finding(&found, "table passages").state, State::Fine);
}

// Finding M27.
#[tokio::test]
async fn turns_without_passages_are_found_and_get_them_again() {
    let home = Home::new();
    fill(home.path(), &[5]).await;
    fs::remove_dir_all(home.path().join("lancedb/passages.lance")).unwrap();
    let found = examine(options(home.path()), false, &|_| true).await;
    assert_eq!(
        finding(&found, "table passages").state,
        State::Odd,
        "{found:?}"
    );
    let found = examine(options(home.path()), true, &|_| true).await;
    let rows = finding(&found, "rows");
    assert_eq!(
        (rows.state, rows.detail.as_str()),
        (
            State::Fixed,
            "5 interactions without passages, found by nothing, the passages are made again"
        )
    );
    let found = examine(options(home.path()), false, &|_| true).await;
    assert_eq!(finding(&found, "rows").state, State::Fine, "{found:?}");
    assert_eq!(finding(&found, "vectors").state, State::Fine, "{found:?}");
    let store = Store::open(options(home.path())).await.unwrap();
    let stats = store.stats(&Filter::new(Scope::Everyone)).await.unwrap();
    let passages = stats.tables.iter().find(|table| table.name == "passages");
    assert!(passages.unwrap().rows >= 10, "{:?}", stats.tables);
}

// Finding H5.
#[tokio::test]
async fn vectors_that_a_running_shell_makes_are_not_called_missing() {
    let home = Home::new();
    let store = Store::open(options(home.path())).await.unwrap();
    let user = store.ensure_user("alice").await.unwrap();
    let users = [(user.user_id, user.username)];
    store
        .import(vec![turn(0, 10, &users)], false)
        .await
        .unwrap();
    let journal = home.path().join("journal");
    fs::create_dir_all(&journal).unwrap();
    fs::write(journal.join("shell.jsonl"), "a turn\n").unwrap();
    let running = fs::File::open(journal.join("shell.jsonl")).unwrap();
    running.lock().unwrap();
    let found = examine(options(home.path()), false, &|_| true).await;
    assert_eq!(finding(&found, "vectors").state, State::Odd, "{found:?}");
    drop(running);
    let found = examine(options(home.path()), false, &|_| true).await;
    assert_eq!(finding(&found, "vectors").state, State::Wrong, "{found:?}");
}

// Finding M27.
#[test]
fn the_provider_is_asked_as_a_chat_would() {
    let server = ollama(str::to_owned);
    let home = Home::new();
    let provider = |name: &str, model: &str| -> Value {
        let doctor = home.allm().args(["doctor", "--json"]);
        let doctor = doctor.env("OLLAMA_HOST", &server.url);
        let doctor = doctor.env("ALLM_PROVIDER", name).env("ALLM_MODEL", model);
        let checks = doctor.ok_json()["checks"].clone();
        let mut checks = checks.as_array().unwrap().iter();
        checks
            .find(|check| check["what"] == "provider")
            .unwrap()
            .clone()
    };
    assert!(
        provider("offline", "")["detail"]
            .as_str()
            .unwrap()
            .starts_with("offline")
    );
    let missing = provider("ollama", "nowhere");
    assert_eq!(missing["state"], "odd", "{missing}");
    assert!(
        missing["detail"]
            .as_str()
            .unwrap()
            .contains("`nowhere` is none of them"),
        "{missing}"
    );
}
