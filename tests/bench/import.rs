//! How long it takes to bring a history in: `cargo bench -- import`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use allm::embedder::{Lazy, Source as Model};
use allm::import::{Importer, JsonLines, Source};
use allm::store::{Options, Store};
use chrono::{DateTime, TimeDelta};

use crate::synthetic::text;

/// How many turns are brought in without vectors, and how many with.
const BARE: u64 = 10_000;
const EMBEDDED: u64 = 500;

/// Prints what an import takes, without embedding, and with it beside the bare embedding of the same passages.
pub async fn run(home: &Path) {
    let file = home.join("bare.jsonl");
    write(&file, BARE);
    let start = Instant::now();
    import(home, "bare", &file, false).await;
    println!(
        "{BARE} turns without embedding {:>20.1} s",
        start.elapsed().as_secs_f64()
    );
    let file = home.join("embedded.jsonl");
    let texts = write(&file, EMBEDDED);
    let lazy = Lazy::new(Model::Bundled);
    let embedder = lazy.get().expect("the model loads");
    let start = Instant::now();
    import(home, "embedded", &file, true).await;
    let whole = start.elapsed();
    let start = Instant::now();
    let mut passages = Vec::new();
    for text in &texts {
        passages.extend(embedder.passages(text).expect("a text is cut"));
    }
    for some in passages.chunks(128) {
        embedder.embed(some).expect("passages embed");
    }
    let bare = start.elapsed();
    println!(
        "{EMBEDDED} turns with embedding {:>21.1} s, {:.2} times the bare embedding of {} passages",
        whole.as_secs_f64(),
        whole.as_secs_f64() / bare.as_secs_f64(),
        passages.len()
    );
}

async fn import(home: &Path, name: &str, file: &Path, embed: bool) {
    let home = home.join(name);
    let uri = home.join("lancedb").display().to_string();
    let options = Options::new(home, uri, Lazy::new(Model::Bundled));
    let store = Store::open(options).await.expect("a store opens");
    let user = store.who("bench").await.expect("its users are read");
    let importer = Importer {
        store: Arc::new(store),
        by: user.clone(),
        user,
        since: None,
    };
    let source: Arc<dyn Source> = Arc::new(JsonLines::open(file).expect("the file opens"));
    // As the program does, it looks first.
    let looked = importer.look(&source, &mut |_| {}).await;
    let report = importer.run(&source, &mut |_| {}).await;
    let (looked, report) = (
        looked.expect("it is read"),
        report.expect("it is brought in"),
    );
    assert_eq!(looked.stored(), report.stored());
    if embed {
        let made = importer.store.embed_missing(|_, _| {}).await;
        made.expect("what is recorded is embedded");
    }
}

/// Writes so many turns, and returns what they say.
fn write(path: &Path, turns: u64) -> Vec<String> {
    let mut file = BufWriter::new(File::create(path).expect("a file can be made"));
    let mut texts = Vec::new();
    for number in 0..turns {
        let (query, response) = (
            text(number, 2 * number, 12),
            text(number, 2 * number + 1, 80),
        );
        let micros = i64::try_from(number).expect("it is small");
        let timestamp = DateTime::UNIX_EPOCH + TimeDelta::minutes(micros + 26_000_000);
        let line = serde_json::json!({
            "timestamp": timestamp.to_rfc3339(), "session": format!("s{}", number / 10), "query": query, "response": response,
        });
        writeln!(file, "{line}").expect("a line can be written");
        texts.extend([query, response]);
    }
    texts
}
