//! Whether rows belong together: what belongs to nothing, and turns of which there is nothing to be found.

use std::collections::HashSet;

use anyhow::Result;
use serde::Deserialize;

use super::doctor::{Finding, State};
use crate::conversation::{Step, counted};
use crate::store::open::Store;
use crate::store::tables::{Interaction, Passage, ReactCycle, Record, Table, among};
use crate::store::writing::Turn;

/// How many turns are looked at, or made findable, at once.
const BATCH: usize = 128;

/// The provider whose answers only quote the history, and the tool whose observations do.
const OFFLINE: &str = "offline";
const SEARCH: &str = "search_memory";

/// Is an id in any table.
#[derive(Deserialize)]
struct Id {
    #[serde(alias = "user_id", alias = "session_id", alias = "interaction_id")]
    id: String,
}

/// Is what an interaction belongs to.
#[derive(Deserialize)]
pub struct Interacted {
    pub interaction_id: String,
    pub session_id: String,
    pub user_id: String,
}

impl Store {
    /// Counts rows that belong to nothing, and turns without any passages; with `fix` these are made again.
    pub(super) async fn rows(&self, fix: bool) -> Result<Finding> {
        // Nobody erases meanwhile. What others write comes in this order: users and sessions, passages and cycles, interactions.
        let pass = self.locks.enter().await?;
        let columns = ["interaction_id", "session_id", "user_id"];
        let turns: Vec<Interacted> = self.interactions.columns(None, &columns).await?;
        let passages = ids(&self.passages, "interaction_id").await?;
        let cycles = ids(&self.react_cycles, "interaction_id").await?;
        let sessions = ids(&self.sessions, "session_id").await?;
        let users = ids(&self.users, "user_id").await?;
        let known: HashSet<&str> = turns
            .iter()
            .map(|turn| turn.interaction_id.as_str())
            .collect();
        let unknown = |ids: &HashSet<String>| -> Vec<String> {
            let ids = ids.iter().filter(|id| !known.contains(id.as_str()));
            ids.cloned().collect()
        };
        let mut odd = Vec::new();
        for (what, orphans) in [
            ("with passages alone", unknown(&passages)),
            ("with a ReAct cycle alone", unknown(&cycles)),
        ] {
            // What was being written is there by now.
            let mut count = orphans.len();
            for some in orphans.chunks(BATCH) {
                count -= self.interactions.count(Some(among(some))).await?;
            }
            odd.push((count, what));
        }
        let homeless = |turn: &&Interacted| !sessions.contains(&turn.session_id);
        odd.push((
            turns.iter().filter(homeless).count(),
            "without their session",
        ));
        let ownerless = |turn: &&Interacted| !users.contains(&turn.user_id);
        odd.push((turns.iter().filter(ownerless).count(), "without their user"));
        let bare = turns.iter().map(|turn| turn.interaction_id.clone());
        let bare: Vec<String> = bare.filter(|id| !passages.contains(id)).collect();
        drop(pass);

        let lost = self.unfindable(&bare, fix).await?;
        let mut said: Vec<String> = odd
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", counted(*count, "interaction")))
            .collect();
        if lost > 0 {
            said.push(format!(
                "{} without passages, found by nothing",
                counted(lost, "interaction")
            ));
        }
        let state = match (said.is_empty(), lost, fix) {
            (true, ..) => return Ok(Finding::new("rows", State::Fine, "all belong together")),
            (_, 0, _) => State::Odd,
            (_, _, true) => State::Fixed,
            (_, _, false) => State::Wrong,
        };
        if state == State::Fixed {
            said.push("the passages are made again".to_owned());
        }
        Ok(Finding::new("rows", state, said.join(", ")))
    }

    /// Counts those of these interactions without passages that should have some; with `fix` they get them.
    async fn unfindable(&self, bare: &[String], fix: bool) -> Result<usize> {
        let mut count = 0;
        for some in bare.chunks(BATCH) {
            // An import that replaces a turn has written them meanwhile.
            let cited: Vec<Id> = self
                .passages
                .columns(Some(among(some)), &["interaction_id"])
                .await?;
            let mut some = some.to_vec();
            some.retain(|id| cited.iter().all(|row| row.id != *id));
            let some = &some[..];
            let turns: Vec<Interaction> = self.interactions.whole(among(some)).await?;
            let cycles: Vec<ReactCycle> = self.react_cycles.whole(among(some)).await?;
            // Nothing was asked, answered or done in some; others have been erased meanwhile.
            let turns = turns.into_iter().map(|turn| again(turn, &cycles));
            let turns: Vec<Turn> = turns.collect();
            let (passages, failure) = self.passages_of(&turns, false).await;
            if let Some(error) = failure {
                return Err(error);
            }
            count += passages
                .iter()
                .filter(|passages| !passages.is_empty())
                .count();
            if fix {
                let passages: Vec<Passage> = passages.into_iter().flatten().collect();
                self.passages.add(&passages).await?;
            }
        }
        Ok(count)
    }
}

/// Returns the ids that a column holds.
pub async fn ids<R: Record>(table: &Table<R>, column: &str) -> Result<HashSet<String>> {
    let ids: Vec<Id> = table.columns(None, &[column]).await?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

/// Returns a turn as it was when it was recorded, as far as its passages are concerned.
pub fn again(interaction: Interaction, cycles: &[ReactCycle]) -> Turn {
    let cycle = cycles
        .iter()
        .find(|cycle| cycle.interaction_id == interaction.interaction_id);
    let steps: Vec<Step> = cycle
        .and_then(|cycle| serde_json::from_str(&cycle.scratchpad).ok())
        .unwrap_or_default();
    Turn {
        quotes_only: interaction.provider == OFFLINE,
        quoting: vec![SEARCH.to_owned()],
        interaction,
        steps,
        ..Turn::default()
    }
}
