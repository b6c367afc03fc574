//! Prints how well search finds the evidence of LoCoMo's questions (Maharana et al. 2024), categories 1 to 4:
//! `cargo run --release --example locomo -- locomo10.json`. The data is not in this repository.
//!
//! Each conversation is a history of its own. A: an utterance is an interaction without an answer. B: two utterances in a row are a
//! question and its answer.

#![expect(clippy::print_stdout, reason = "this is a report")]

#[path = "../it/evaluation.rs"]
#[expect(dead_code, reason = "its sets come from elsewhere")]
mod evaluation;

use std::collections::{BTreeMap, HashSet};

use allm::store::Mode;
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use evaluation::{Evaluation, Figures, Labelled, Stored};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

const CATEGORIES: [&str; 4] = ["multi-hop", "temporal", "open-domain", "single-hop"];

#[derive(Deserialize)]
struct Sample {
    conversation: Map<String, Value>,
    qa: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    category: usize,
    #[serde(default)]
    evidence: Vec<String>,
}

#[derive(Deserialize)]
struct Utterance {
    speaker: String,
    dia_id: String,
    text: String,
    /// What the image shows that came with it.
    blip_caption: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args_os().nth(1);
    let file = file.context("name the file with the conversations")?;
    let samples: Vec<Sample> = serde_json::from_slice(&std::fs::read(file)?)?;
    println!(
        "{:<28}{:>8}{:>8}{:>8}   recall@10 by category",
        "recall of the evidence", "@5", "@10", "MRR@10"
    );
    for (variant, size) in [("A", 1), ("B", 2)] {
        let mut evaluations = Vec::new();
        for sample in &samples {
            let home = tempfile::tempdir()?;
            let (turns, known) = turns(sample, size)?;
            let evaluation = Evaluation::of(turns, questions(sample, &known)?, home.path());
            evaluations.push((evaluation.await?, home));
        }
        for (name, mode, floor) in [
            ("semantic, no floor", Mode::Semantic, Some(0.0)),
            ("text, no floor", Mode::Text, Some(0.0)),
            ("hybrid, no floor", Mode::Hybrid, Some(0.0)),
            ("hybrid", Mode::Hybrid, None),
        ] {
            let mut all = Figures::default();
            let mut by_kind: BTreeMap<String, Figures> = BTreeMap::new();
            for (evaluation, _) in &evaluations {
                let scores = evaluation.run(mode, floor).await?;
                all = sum(all, scores.all);
                for (kind, figures) in scores.by_kind {
                    let known = by_kind.entry(kind).or_default();
                    *known = sum(*known, figures);
                }
            }
            let percent = |share: f64| format!("{:.1}", 100.0 * share);
            let (at_5, at_10) = (percent(all.recall), percent(all.recall_at_10));
            print!(
                "{:<28}{at_5:>8}{at_10:>8}{:>8}  ",
                format!("{variant}, {name}"),
                percent(all.mrr)
            );
            for kind in CATEGORIES {
                let figures = by_kind.get(kind).copied().unwrap_or_default();
                print!(" {kind} {}", percent(figures.recall_at_10));
            }
            println!();
        }
    }
    Ok(())
}

/// Adds means up, each weighted by its number of queries.
fn sum(a: Figures, b: Figures) -> Figures {
    let queries = a.queries + b.queries;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let mean =
        |x: f64, y: f64| (x * a.queries as f64 + y * b.queries as f64) / queries.max(1) as f64;
    Figures {
        queries,
        mrr: mean(a.mrr, b.mrr),
        recall: mean(a.recall, b.recall),
        recall_at_10: mean(a.recall_at_10, b.recall_at_10),
    }
}

/// Returns the utterances of a conversation, so many to a turn, and their ids.
fn turns(sample: &Sample, size: usize) -> Result<(Vec<Stored>, HashSet<String>)> {
    let (mut turns, mut known) = (Vec::new(), HashSet::new());
    for number in 1.. {
        let Some(when) = sample
            .conversation
            .get(&format!("session_{number}_date_time"))
        else {
            break;
        };
        let when = when.as_str().context("a session has a time")?;
        let when = NaiveDateTime::parse_from_str(when, "%I:%M %p on %d %B, %Y")?.and_utc();
        let said = sample.conversation.get(&format!("session_{number}"));
        let said: Vec<Utterance> =
            serde_json::from_value(said.cloned().unwrap_or_else(|| Value::Array(Vec::new())))?;
        known.extend(said.iter().map(|utterance| utterance.dia_id.clone()));
        for (at, some) in said.chunks(size).enumerate() {
            let minutes = i64::try_from(at * size)?;
            turns.push(turn(number, when + TimeDelta::minutes(minutes), some));
        }
    }
    Ok((turns, known))
}

fn turn(session: usize, timestamp: DateTime<Utc>, utterances: &[Utterance]) -> Stored {
    let text = |utterance: &Utterance| {
        let image = utterance.blip_caption.as_ref();
        let image = image.map(|shows| format!(" [image: {shows}]"));
        format!(
            "{}: {}{}",
            utterance.speaker,
            utterance.text.trim(),
            image.unwrap_or_default()
        )
    };
    let mut said = utterances.iter().map(text);
    Stored {
        id: utterances[0].dia_id.clone(),
        user: "locomo".to_owned(),
        session: session.to_string(),
        timestamp,
        query: said.next().unwrap_or_default(),
        response: said.next().unwrap_or_default(),
        observation: String::new(),
        holds: utterances
            .iter()
            .map(|utterance| utterance.dia_id.clone())
            .collect(),
    }
}

/// Returns the questions whose evidence is in the conversation.
fn questions(sample: &Sample, known: &HashSet<String>) -> Result<Vec<Labelled>> {
    // Some evidence is written `D8:6; D9:17`, `D30:05` or `D:11:26`.
    let id = Regex::new(r"D:?(\d+):0*(\d+)")?;
    let labelled = |question: &Question| {
        let kind = CATEGORIES.get(question.category.checked_sub(1)?)?;
        let evidence = question.evidence.join(" ");
        let ids = id
            .captures_iter(&evidence)
            .map(|id| format!("D{}:{}", &id[1], &id[2]));
        let relevant: HashSet<String> = ids.filter(|id| known.contains(id)).collect();
        (!relevant.is_empty()).then(|| Labelled {
            query: question.question.trim().to_owned(),
            kind: (*kind).to_owned(),
            relevant: relevant.into_iter().collect(),
            filters: std::collections::HashMap::new(),
        })
    };
    Ok(sample.qa.iter().filter_map(labelled).collect())
}
