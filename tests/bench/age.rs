//! How a store ages: `cargo bench -- age` records 10,000 turns one by one, as chats do, with upkeep whenever it is due.

use std::path::Path;
use std::time::{Duration, Instant};

use allm::store::{Backlog, Filter, Scope, SearchQuery, Store, now};

use crate::synthetic::{text, turn};
use crate::{kilobytes, report};

const TURNS: u64 = 10_000;
/// How many turns each figure is of.
const WINDOW: u64 = 100;

/// Prints what recording and searching take after 100 and after 10,000 turns, and what is on the disk.
pub async fn run(store: &Store, home: &Path, users: &[(String, String)]) {
    let filter = Filter::new(Scope::User(users[0].0.clone()));
    let (mut journal, backlog) = (None, Backlog::new(store));
    let (mut times, mut bytes, mut upkeep) = (Vec::new(), 0, Vec::new());
    let mut session = turn(0, TURNS, users).session;
    for number in 0..TURNS {
        let mut turn = turn(number, TURNS, users);
        if number % 10 == 0 {
            session = turn.session.clone();
        }
        turn.session = session.clone();
        turn.interaction.session_id.clone_from(&session.session_id);
        turn.interaction.timestamp = now();
        bytes += turn.interaction.query.len() + turn.interaction.response.len();
        bytes += turn
            .steps
            .iter()
            .map(|step| step.thought.len() + step.observation.len())
            .sum::<usize>();
        let start = Instant::now();
        crate::record(store, &backlog, &mut journal, turn).await;
        times.push(start.elapsed());
        if store.is_maintenance_due().await {
            let start = Instant::now();
            store.maintain().await.expect("upkeep runs");
            upkeep.push(start.elapsed());
        }
        if number + 1 == 2 * WINDOW || number + 1 == TURNS {
            let last = times.split_off(times.len() - usize::try_from(WINDOW).expect("it is small"));
            report(&format!("record, turn {}", number + 1), last);
            let mut searches = Vec::new();
            for seed in 0..WINDOW {
                let query = SearchQuery::new(text(seed, seed, 8), filter.clone(), 10);
                let start = Instant::now();
                store.search(&query).await.expect("a search runs");
                searches.push(start.elapsed());
            }
            report(&format!("/search, turn {}", number + 1), searches);
        }
    }
    report("one round of upkeep", upkeep);
    // Versions are kept a minute for those who may still read them.
    tokio::time::sleep(Duration::from_secs(61)).await;
    store.maintain().await.expect("upkeep runs");
    let passages = store.stats(&filter).await.expect("figures are read").tables;
    let vectors: usize = passages
        .iter()
        .filter(|table| ["passages", "interactions", "react_cycles"].contains(&table.name))
        .map(|table| table.rows * 384 * 4)
        .sum();
    println!(
        "{:<44} {:>7.1} MB, {:.2} times text and vectors, {} files",
        "on disk",
        kilobytes(home) / 1e3,
        kilobytes(home) * 1024.0 / (bytes + vectors) as f64,
        files(home)
    );
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .expect("a folder is read")
        .flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => 1,
        })
        .sum()
}
