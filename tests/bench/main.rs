//! Benchmarks, on a real store: `cargo bench`, or `cargo bench -- age` for how a store ages, `-- import` for
//! histories that are brought in and `-- embedding` for the other side of `embedding.py`. Prints medians and 95th percentiles, and what history they were measured on.
//!
//! Histories of 1,000, 10,000 and 100,000 interactions, and of 1,000,000 with `ALLM_SLOW_TESTS` set, are synthetic and seeded; making
//! them is not measured. Of their vectors a few are the model's and the others made from these, as all would take hours; the model is
//! measured apart.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "three digits are shown")]

mod age;
mod embedding;
mod import;
mod synthetic;
mod vectors;

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allm::embedder::{Lazy, Source};
use allm::store::{
    Backlog, By, Filter, Mode, Options, Scope, SearchQuery, SharedJournal, Store, Turn, new_id, now,
};
use allm::timeframe::Zone;
use chrono::TimeDelta;
use synthetic::{text, turn};
use tokio::runtime::Runtime;
use vectors::Sentences;

/// How often each thing is measured.
const RUNS: u64 = 20;
/// How many searches are compared with exact ones: of a million turns each of these takes a minute.
const COMPARED: u64 = 20;
const COMPARED_OF_MANY: u64 = 5;

fn main() {
    if std::env::args().any(|argument| argument == "embedding") {
        return embedding::serve();
    }
    let runtime = Runtime::new().expect("a runtime starts");
    println!("{:<44} {:>10} {:>10}", "", "p50", "p95");
    if std::env::args().any(|argument| argument == "age") {
        let home = tempfile::tempdir().expect("a folder can be made");
        return runtime.block_on(async {
            let (store, users) = open(home.path(), sentences(0)).await;
            age::run(&store, home.path(), &users).await;
        });
    }
    if std::env::args().any(|argument| argument == "import") {
        let home = tempfile::tempdir().expect("a folder can be made");
        return runtime.block_on(import::run(home.path()));
    }
    embedding::run();
    let mut sizes = vec![1_000, 10_000, 100_000];
    if std::env::var_os("ALLM_SLOW_TESTS").is_some() {
        sizes.push(1_000_000);
    }
    // A size that is named is measured alone.
    if let Some(size) = std::env::args().find_map(|argument| argument.parse().ok()) {
        sizes = vec![size];
    }
    let sentences = sentences(sizes.iter().copied().max().unwrap_or_default());
    for size in sizes {
        let mut home = tempfile::tempdir().expect("a folder can be made");
        // To look closer at one of them afterwards.
        home.disable_cleanup(std::env::var_os("ALLM_KEEP_HISTORY").is_some());
        println!("-- {}", home.path().display());
        runtime.block_on(history(size, home.path(), sentences.clone()));
        fresh_processes(home.path());
    }
}

/// Prints the median and the 95th percentile of `times` runs.
fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("{what:<44} {:>7.1} ms {:>7.1} ms", at(50), at(95));
}

fn timed(runs: u64, mut run: impl FnMut(u64)) -> Vec<Duration> {
    let time = |index| {
        let start = Instant::now();
        run(index);
        start.elapsed()
    };
    (0..runs).map(time).collect()
}

/// Returns what gives histories of up to so many interactions their vectors.
fn sentences(size: u64) -> Sentences {
    let lazy = Lazy::new(Source::Bundled);
    let model = lazy.get().expect("the bundled model loads");
    let count = if size < 1_000_000 { 5_000 } else { 20_000 };
    Sentences::new(model, count).expect("sentences embed")
}

/// Opens a store with four users.
async fn open(home: &Path, sentences: Sentences) -> (Arc<Store>, Vec<(String, String)>) {
    let embedder = Lazy::ready(Source::Bundled, Box::new(sentences));
    let options = Options::new(home, home.join("lancedb").display().to_string(), embedder);
    let store = Arc::new(Store::open(options).await.expect("a store opens"));
    let mut users = Vec::new();
    for name in ["bench", "alice", "bob", "o'brien"] {
        let user = store.ensure_user(name).await.expect("a user is made");
        users.push((user.user_id, user.username));
    }
    (store, users)
}

/// Measures a history of `size` interactions in `home`.
async fn history(size: u64, home: &Path, sentences: Sentences) {
    let (store, users) = open(home, sentences).await;
    let start = Instant::now();
    for first in (0..size).step_by(10_000) {
        let turns = (first..size.min(first + 10_000)).map(|number| turn(number, size, &users));
        store
            .import(turns.collect(), true)
            .await
            .expect("turns are written");
    }
    let written = start.elapsed();
    let compared = match size < 1_000_000 {
        true => COMPARED,
        false => COMPARED_OF_MANY,
    };
    let exact = meant(&store, &users, compared).await;
    let start = Instant::now();
    store.maintain().await.expect("upkeep runs");
    println!(
        "-- {size} interactions, written in {:.0} s, upkeep {:.0} s, {:.1} kB each on disk",
        written.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        kilobytes(home) / size as f64
    );
    recall(&store, &users, exact).await;
    let mine = Filter::new(Scope::User(users[0].0.clone()));
    recording(&store, size, &users).await;
    searching(&store, &mine).await;
    listing(&store, &mine).await;
    println!("{:<44} {:>7.0} MB", "peak memory", peak_memory());
}

/// Records a turn, and waits until it is stored.
async fn record(
    store: &Store,
    backlog: &Backlog,
    journal: &mut Option<SharedJournal>,
    mut turn: Turn,
) {
    store.begin(journal, &mut turn).expect("a turn begins");
    let journal = journal.clone().expect("the journal is open");
    turn.requests = vec!["{}".to_owned()];
    let (turn, ended) = store.end(&journal, &turn);
    backlog.push(turn, journal, ended);
    assert!(backlog.done().await, "a turn is recorded");
}

async fn recording(store: &Store, size: u64, users: &[(String, String)]) {
    let (mut journal, backlog) = (None, Backlog::new(store));
    let mut times = Vec::new();
    for number in 0..RUNS {
        let mut turn = turn(size + number, size + RUNS, users);
        turn.session.session_id = new_id();
        turn.interaction.timestamp = now();
        let start = Instant::now();
        record(store, &backlog, &mut journal, turn).await;
        times.push(start.elapsed());
    }
    report("record one turn, embedding apart", times);
}

async fn searching(store: &Store, mine: &Filter) {
    let month = now() - TimeDelta::days(30);
    for (what, filter) in [
        ("/search, all users", Filter::new(Scope::Everyone)),
        ("/search, own history", mine.clone()),
        (
            "/search, own history, last month",
            mine.clone().within(Some(month), None),
        ),
    ] {
        let mut times = Vec::new();
        for seed in 0..RUNS {
            let query = SearchQuery::new(text(seed + 77, seed, 8), filter.clone(), 10);
            let start = Instant::now();
            black_box(store.search(&query).await.expect("a search runs"));
            times.push(start.elapsed());
        }
        report(what, times);
    }
    let mut times = Vec::new();
    for seed in 0..RUNS {
        let start = Instant::now();
        let words = text(seed + 77, seed, 8);
        let similar = store.similar_to_text(&words, mine, 10);
        black_box(similar.await.expect("a search runs"));
        times.push(start.elapsed());
    }
    report("/similar", times);
    // A phrase is looked for by its words, and where these are too common, in every text.
    for (what, words) in [("rare", 6), ("common", 2)] {
        let mut times = Vec::new();
        for seed in 0..RUNS {
            let old = turn(seed * 8, RUNS * 8, &[(String::new(), String::new())]);
            let words: Vec<&str> = old.interaction.response.split(' ').take(words).collect();
            let phrase = format!("\"{}\"", words.join(" "));
            let mut query = SearchQuery::new(phrase, mine.clone(), 10);
            query.quoted = true;
            let start = Instant::now();
            black_box(store.search(&query).await.expect("a search runs"));
            times.push(start.elapsed());
        }
        report(&format!("/search, a phrase of {what} words"), times);
    }
}

/// Returns what is found by meaning: by everyone, by the one who says least, and of one day.
async fn meant(
    store: &Store,
    users: &[(String, String)],
    compared: u64,
) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let everyone = Filter::new(Scope::Everyone);
    let rare = users.last().expect("there are users").0.clone();
    let until = now() - TimeDelta::days(300);
    let day = everyone
        .clone()
        .within(Some(until - TimeDelta::days(1)), Some(until));
    let mut found = Vec::new();
    for (what, filter) in [
        ("all users", everyone),
        ("a rare user", Filter::new(Scope::User(rare))),
        ("one day", day),
    ] {
        let mut hits = Vec::new();
        for seed in 0..compared {
            let words = text(seed + 177, seed * 3, 10);
            let mut query = SearchQuery::new(words, filter.clone(), 10);
            query.mode = Mode::Semantic;
            query.min_score = Some(-1.0);
            let found = store.search(&query).await.expect("a search runs");
            let ids = found
                .hits
                .into_iter()
                .map(|hit| hit.interaction.interaction_id);
            hits.push(ids.collect());
        }
        found.push((what, hits));
    }
    found
}

/// Prints how much of what is found without an index is found with one.
async fn recall(
    store: &Store,
    users: &[(String, String)],
    exact: Vec<(&'static str, Vec<Vec<String>>)>,
) {
    let compared = exact.first().map_or(0, |(_, hits)| hits.len() as u64);
    for ((what, exact), (_, near)) in exact.into_iter().zip(meant(store, users, compared).await) {
        let all: usize = exact.iter().map(Vec::len).sum();
        let both = exact.iter().zip(&near);
        let found: usize = both
            .map(|(exact, near)| exact.iter().filter(|id| near.contains(id)).count())
            .sum();
        println!(
            "{:<44} {:>7.3}",
            format!("recall@10 of the vector index, {what}"),
            found as f64 / all as f64
        );
    }
}

async fn listing(store: &Store, mine: &Filter) {
    let (mut hours, mut latest, mut sessions) = (vec![], vec![], vec![]);
    let (mut stats, mut days, mut sql) = (vec![], vec![], vec![]);
    for hour in 0..20 {
        let until = now() - TimeDelta::hours(hour * 40);
        let window = mine
            .clone()
            .within(Some(until - TimeDelta::hours(1)), Some(until));
        let start = Instant::now();
        black_box(
            store
                .interactions_in(&window, None)
                .await
                .expect("a window is read"),
        );
        hours.push(start.elapsed());
        let start = Instant::now();
        black_box(
            store
                .interactions_in(mine, Some(20))
                .await
                .expect("turns are read"),
        );
        latest.push(start.elapsed());
        let start = Instant::now();
        black_box(store.sessions(mine).await.expect("sessions are read"));
        sessions.push(start.elapsed());
        let start = Instant::now();
        black_box(store.stats(mine).await.expect("figures are read"));
        stats.push(start.elapsed());
        let start = Instant::now();
        let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d").to_string();
        black_box(
            store
                .groups(mine, By::Day, day)
                .await
                .expect("figures are read"),
        );
        days.push(start.elapsed());
        let start = Instant::now();
        let query =
            "SELECT date_trunc('day', timestamp) AS day, count(*) FROM interactions GROUP BY day";
        black_box(
            store
                .sql(mine, query, 1000, Zone::default())
                .await
                .expect("a query runs"),
        );
        sql.push(start.elapsed());
    }
    report("/timeframe of one hour", hours);
    report("the latest 20", latest);
    report("/sessions", sessions);
    report("/stats", stats);
    report("/stats --by day", days);
    report("/sql GROUP BY day", sql);
}

/// Returns the most memory this process has had, in megabytes; 0 where the system does not say.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse::<f64>().ok())
        .unwrap_or_default()
        / 1e3
}

fn kilobytes(folder: &Path) -> f64 {
    let output = Command::new("du")
        .args(["-sk"])
        .arg(folder)
        .output()
        .expect("du runs");
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(f64::NAN)
}

fn fresh_processes(home: &Path) {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allm"));
        command
            .args(args)
            .env("ALLM_HOME", home)
            .env("ALLM_USER", "bench")
            .env("OLLAMA_HOST", "http://127.0.0.1:9")
            .env_remove("OPENAI_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(command.status().expect("the binary starts").success());
    };
    println!("   in a fresh process");
    report("allm --version", timed(RUNS, |_| run(&["--version"])));
    report(
        "allm chat, empty script (prompt ready)",
        timed(RUNS, |_| run(&["chat"])),
    );
    report(
        "allm search",
        timed(RUNS, |_| run(&["search", "where is it?"])),
    );
    report(
        "allm timeframe",
        timed(RUNS, |_| run(&["timeframe", "last 2 hours"])),
    );
    report("allm stats", timed(RUNS, |_| run(&["stats"])));
}
