//! What was said before a turn and after it.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::store::open::Store;
use crate::store::tables::{Filter, Interaction, SHOWN, both, one_of};

/// Holds the turns of a session on both sides of one of them, oldest first.
#[derive(Debug, Default)]
pub struct Around {
    pub before: Vec<Interaction>,
    pub after: Vec<Interaction>,
}

/// Says where a turn stands in its session.
#[derive(Deserialize)]
struct Place {
    interaction_id: String,
    session_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    timestamp: DateTime<Utc>,
}

impl Store {
    /// Returns as many turns before and after each of some turns, out of their sessions. The filter only says whose they may be: what
    /// stands around a turn is of any time and kind.
    pub async fn around(
        &self,
        filter: &Filter,
        turns: &[&Interaction],
        count: usize,
    ) -> Result<Vec<Around>> {
        let sessions = turns.iter().map(|turn| turn.session_id.as_str());
        let sessions = one_of("session_id", sessions.collect::<HashSet<_>>());
        let these = both(filter.scope_expr(), sessions);
        let columns = ["interaction_id", "session_id", "timestamp"];
        let mut places: Vec<Place> = self.interactions.columns(Some(these), &columns).await?;
        places.sort_by_key(|place| place.timestamp);
        let mut told: HashMap<&str, Vec<&str>> = HashMap::new();
        for place in &places {
            let turns = told.entry(&place.session_id).or_default();
            turns.push(&place.interaction_id);
        }
        let sides = turns.iter().map(|turn| {
            let told = told.get(turn.session_id.as_str());
            let told = told.map(Vec::as_slice).unwrap_or_default();
            let at = told.iter().position(|id| *id == turn.interaction_id);
            let (before, after) = at.map_or((&told[..0], &told[..0]), |at| {
                (&told[..at], &told[at + 1..])
            });
            let (before, after) = (before.iter().rev().take(count), after.iter().take(count));
            (before.rev().copied().collect(), after.copied().collect())
        });
        let sides: Vec<(Vec<&str>, Vec<&str>)> = sides.collect();
        let wanted = sides
            .iter()
            .flat_map(|(before, after)| before.iter().chain(after));
        let wanted: HashSet<&str> = wanted.copied().collect();
        let these = both(filter.scope_expr(), one_of("interaction_id", wanted));
        let rows = self.interactions.select(Some(these), &SHOWN, None, None);
        let rows = rows.await?.into_iter();
        let rows: HashMap<String, Interaction> =
            rows.map(|row| (row.interaction_id.clone(), row)).collect();
        let whole = |ids: Vec<&str>| -> Vec<Interaction> {
            ids.iter().filter_map(|&id| rows.get(id).cloned()).collect()
        };
        let sides = sides.into_iter().map(|(before, after)| Around {
            before: whole(before),
            after: whole(after),
        });
        Ok(sides.collect())
    }
}
