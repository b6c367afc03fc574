//! Prints how well search finds the turns of a labelled set: `cargo run --release --example eval -- FOLDER`.

#![expect(clippy::print_stdout, reason = "this is a report")]

#[path = "../it/evaluation.rs"]
mod evaluation;

use std::path::PathBuf;

use allm::store::Mode;
use anyhow::{Context, Result};
use evaluation::{Evaluation, Figures, Scores};

const KINDS: [&str; 7] = [
    "identifier",
    "keyword",
    "late_fact",
    "paraphrase",
    "vague",
    "filtered",
    "crosslingual",
];

#[tokio::main]
async fn main() -> Result<()> {
    let set = std::env::args_os().nth(1).map(PathBuf::from);
    let set = set.context("name the folder with turns.jsonl and queries.jsonl")?;
    let home = tempfile::tempdir()?;
    let evaluation = Evaluation::new(&set, home.path()).await?;
    println!("MRR@10 / Recall@5");
    print!("{:<24}{:<15}", "", "all");
    for kind in KINDS {
        print!("{kind:<15}");
    }
    println!("negatives silent");
    for (name, mode, floor) in [
        ("semantic, no floor", Mode::Semantic, Some(-1.0)),
        ("text, no floor", Mode::Text, Some(0.0)),
        ("hybrid, no floor", Mode::Hybrid, Some(-1.0)),
        ("hybrid", Mode::Hybrid, None),
    ] {
        print(name, &evaluation.run(mode, floor).await?);
    }
    Ok(())
}

fn print(name: &str, scores: &Scores) {
    let cell = |figures: Figures| format!("{:.3} / {:.3}", figures.mrr, figures.recall);
    print!("{name:<24}{:<15}", cell(scores.all));
    for kind in KINDS {
        let figures = scores.by_kind.get(kind).copied();
        print!("{:<15}", figures.map(cell).unwrap_or_default());
    }
    println!("{} of {}", scores.silent, scores.negative);
}
