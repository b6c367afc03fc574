//! Benchmarks, on a real store with the bundled model: `cargo bench`. Prints medians and 95th percentiles.
//!
//! The histories are synthetic and seeded; making them is not measured.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "three digits are shown")]

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allm::chat::Memory;
use allm::conversation::Status;
use allm::embedder::{Embedder, Lazy, Source};
use allm::store::{
    Filter, Interaction, Journal, Options, SearchQuery, Session, Store, Turn, Whom, new_id, now,
};
use allm::timeframe::Zone;
use chrono::TimeDelta;
use tokio::runtime::Runtime;

const TOPICS: [&str; 8] = [
    "a linker error in the build",
    "the deadlock between two locks",
    "baking bread with rye flour",
    "an index for the slow query",
    "the retry policy of the client",
    "names for the new module",
    "the flight to Lisbon in spring",
    "training a small language model",
];

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    println!("{:<44} {:>10} {:>10}", "", "p50", "p95");
    embedding();
    for size in [1_000, 10_000] {
        runtime.block_on(history(size));
    }
    start_up();
}

/// Prints the median and the 95th percentile of `times` runs.
fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("{what:<44} {:>7.1} ms {:>7.1} ms", at(50), at(95));
}

fn timed(runs: usize, mut run: impl FnMut(usize)) -> Vec<Duration> {
    let time = |index| {
        let start = Instant::now();
        run(index);
        start.elapsed()
    };
    (0..runs).map(time).collect()
}

fn sentence(seed: usize) -> String {
    let topic = TOPICS[seed % TOPICS.len()];
    format!(
        "Number {seed}: what did we decide about {topic}, and why was option {} not good enough?",
        seed * 7919 % 1000
    )
}

fn embedding() {
    let lazy = Lazy::new(Source::Bundled);
    report(
        "load the embedding model",
        timed(1, |_| assert!(lazy.get().is_ok())),
    );
    let embedder = lazy.get().expect("the bundled model loads");
    for (what, length) in [("of 25 words", 1), ("of 150 words", 6)] {
        let texts: Vec<String> = (0..200)
            .map(|seed| {
                (0..length)
                    .map(|part| sentence(seed * 10 + part))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let start = Instant::now();
        black_box(embedder.embed(&texts).expect("texts embed"));
        println!(
            "{:<44} {:>6.1} texts/s",
            format!("embed 200 texts {what}"),
            200.0 / start.elapsed().as_secs_f64()
        );
    }
}

/// How many texts there are in a history: few enough for the embedder's cache, so that writing it takes no hour.
const DISTINCT: usize = 400;

fn turn(session: &Session, seed: usize) -> Turn {
    let mut interaction = Interaction::begin(
        &session.session_id,
        &sentence(seed),
        now() - TimeDelta::minutes(i64::try_from(seed).unwrap_or_default()),
    );
    interaction.response = format!("We took option {}", sentence(seed + 1));
    interaction.status = Status::Completed;
    interaction.user_id.clone_from(&session.user_id);
    Turn {
        uri: String::new(),
        username: "bench".to_owned(),
        session: session.clone(),
        interaction,
        steps: Vec::new(),
        quotes_only: false,
        quoting: Vec::new(),
    }
}

/// Measures recording and finding in a history of `size` turns.
async fn history(size: usize) {
    let home = tempfile::tempdir().expect("a folder can be made");
    let embedder = Lazy::new(Source::Bundled);
    let options = Options {
        home: home.path().to_owned(),
        uri: home.path().join("lancedb").display().to_string(),
        embedder: embedder.clone(),
    };
    let store = Arc::new(Store::open(options).await.expect("a store opens"));
    let user = store
        .ensure_user("bench")
        .await
        .expect("a user can be made");
    let session = Session {
        session_id: new_id(),
        user_id: user.user_id.clone(),
        ..Session::default()
    };
    let turns: Vec<Turn> = (0..size)
        .map(|seed| {
            let mut turn = turn(&session, seed % DISTINCT);
            turn.interaction.timestamp =
                now() - TimeDelta::minutes(i64::try_from(seed).unwrap_or_default());
            turn
        })
        .collect();
    let start = Instant::now();
    store.import(turns).await.expect("turns are written");
    println!(
        "-- {size} interactions, written in {:.0} s, {:.1} kB each",
        start.elapsed().as_secs_f64(),
        kilobytes(home.path()) / size as f64
    );
    let memory = Memory {
        store: Arc::clone(&store),
        username: "bench".to_owned(),
        zone: Zone::default(),
        limit: 10,
    };
    let filter = memory
        .filter(Whom::Me, None, None)
        .await
        .expect("there is a scope");

    let mut journal: Option<Journal> = None;
    let (mut all, mut embedding) = (Vec::new(), Vec::new());
    for seed in 0..20 {
        let mut turn = turn(&session, size + seed);
        store
            .begin(&mut journal, &mut turn)
            .await
            .expect("a turn begins");
        let start = Instant::now();
        let texts = [turn.interaction.query.as_str(), &turn.interaction.response];
        black_box(
            embedder
                .get()
                .and_then(|embedder| embedder.embed(&texts))
                .expect("texts embed"),
        );
        embedding.push(start.elapsed());
        // The embeddings now come from the cache, so what is left is the recording itself.
        let start = Instant::now();
        let journal = journal.as_mut().expect("the journal is open");
        store
            .record(journal, &mut turn, &["{}".to_owned()], None)
            .await
            .expect("a turn is recorded");
        all.push(start.elapsed());
    }
    report("embed one turn (two texts of 25 words)", embedding);
    report("record one turn, embedding apart", all);

    finding(&store, &filter).await;
}

async fn finding(store: &Store, filter: &Filter) {
    let mut times = Vec::new();
    for seed in 0..20 {
        let text = format!("{} again, number {seed}", TOPICS[seed % 8]);
        let query = SearchQuery::new(text, filter.clone(), 10);
        let start = Instant::now();
        let hits = store.search(&query).await.expect("a search runs").hits;
        times.push(start.elapsed());
        assert_eq!(hits.len(), 10);
    }
    report("/search, the query's embedding included", times);
    let mut times = Vec::new();
    for hour in 0..20 {
        let until = now() - TimeDelta::hours(hour);
        let window = filter
            .clone()
            .within(Some(until - TimeDelta::hours(1)), Some(until));
        let start = Instant::now();
        black_box(
            store
                .interactions_in(&window, None)
                .await
                .expect("a window is read"),
        );
        times.push(start.elapsed());
    }
    report("/timeframe of one hour", times);
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

fn start_up() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allm"));
        command
            .args(args)
            .env("ALLM_HOME", home.path())
            .env("OLLAMA_HOST", "http://127.0.0.1:9")
            .env_remove("OPENAI_API_KEY");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(command.status().expect("the binary starts").success());
    };
    println!("-- a fresh process");
    report("allm --version", timed(20, |_| run(&["--version"])));
    run(&["chat", "first"]);
    report(
        "allm chat, empty script (prompt ready)",
        timed(20, |_| run(&["chat"])),
    );
    report(
        "allm chat, one question offline",
        timed(10, |_| run(&["chat", "where is it?"])),
    );
    report(
        "allm search",
        timed(10, |_| run(&["search", "where is it?"])),
    );
}
