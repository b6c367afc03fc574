//! How quick the bundled model is, alone and, with `cargo bench -- embedding`, for `embedding.py`, which compares it with ONNX Runtime.

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use allm::embedder::{Lazy, Source};

use crate::{RUNS, report, timed};

/// Prints how long it takes to load the model, and to embed one question and many texts.
pub fn run() {
    let lazy = Lazy::new(Source::Bundled);
    report(
        "load the embedding model",
        timed(1, |_| assert!(lazy.get().is_ok())),
    );
    let embedder = lazy.get().expect("the bundled model loads");
    let one = |seed: u64| {
        let question = format!("what did we decide about option {seed}, and why?");
        black_box(embedder.embed(&[&question]).expect("a text embeds"));
    };
    report("embed one question", timed(RUNS, one));
    for words in [25, 150] {
        let texts: Vec<String> = (0..200)
            .map(|seed| {
                let number = |at: u64| format!("option {} of {at} ", seed * 7919 + at);
                (0..words / 4).map(number).collect()
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let start = Instant::now();
        black_box(embedder.embed(&texts).expect("texts embed"));
        println!(
            "{:<44} {:>6.1} texts/s",
            format!("embed 200 texts of {words} words"),
            200.0 / start.elapsed().as_secs_f64()
        );
    }
}

/// Embeds what it is given. Each line of standard input is a list of texts, in JSON. The answer has the seconds that embedding them took,
/// by the clock and of the processor, and their vectors.
pub fn serve() {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input can be read");
        let texts: Vec<String> = serde_json::from_str(&line).expect("a line is a list of texts");
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        // A new one each time: it knows the texts that it has embedded.
        let lazy = Lazy::new(Source::Bundled);
        let start = Instant::now();
        let embedder = lazy.get().expect("the bundled model loads");
        let load = start.elapsed().as_secs_f64();
        // The processor's time is counted in steps of 10 ms, too coarse for one question.
        embedder
            .embed(&["The first text makes room."])
            .expect("a text embeds");
        let (start, processor) = (Instant::now(), processor());
        let vectors = embedder.embed(&texts).expect("texts embed");
        let answer = serde_json::json!({
            "load": load,
            "seconds": start.elapsed().as_secs_f64(),
            "processor": self::processor() - processor,
            "vectors": vectors,
        });
        println!("{answer}");
    }
}

/// Returns the seconds that this process has had of all processors; 0 where the system does not say.
fn processor() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have blanks in it.
    let fields = status.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}
