//! Gives rows that an earlier program has written what this one writes with them, some at a time, in the background.
//!
//! What is missing is found in the rows themselves, so that it can be stopped anywhere and goes on there.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use anyhow::Result;
use lancedb::expr::{col, contains, lit};
use serde::Deserialize;
use serde_json::Value;

use super::rows::again;
use crate::conversation::counted;
use crate::store::open::Store;
use crate::store::tables::index::is_current;
use crate::store::tables::{Interaction, Origin, Passage, ReactCycle, Record, among, one_of};
use crate::store::writing::Turn;

/// How many turns are looked at, or written, at once.
const BATCH: usize = 128;

/// Says of which turn a row is.
#[derive(Deserialize)]
struct Of {
    interaction_id: String,
}

/// Is what a session says of where it was had.
#[derive(Deserialize)]
struct Place {
    session_id: String,
    metadata: String,
}

impl Store {
    /// Gives rows of before what they lack.
    pub(super) async fn bring_up(&self) -> Result<()> {
        if !self.is_behind.load(Ordering::SeqCst) {
            return Ok(());
        }
        for ids in self.acted().await?.chunks(BATCH) {
            self.add_actions(ids).await?;
        }
        self.place_imports().await
    }

    /// Takes note that all rows have what they are to have, and the indices with them.
    pub(super) async fn note_up_to_date(&self) -> Result<()> {
        if self.is_behind.load(Ordering::SeqCst) {
            self.sync(None).await?;
            self.set_behind(false).await?;
        }
        Ok(())
    }

    /// Says what is left to be done, in words.
    pub(super) async fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let mut turns = 0;
        for ids in self.acted().await?.chunks(BATCH) {
            turns += self.actions(ids).await?.len();
        }
        if turns > 0 {
            let turns = counted(turns, "turn");
            left.push(format!("{turns} whose tool calls are not found yet"));
        }
        let indices = self.passages.inner.list_indices().await?;
        if !indices.iter().all(is_current) {
            left.push("the full-text index, which is made again".to_owned());
        }
        Ok(left)
    }

    /// Returns the turns in which a tool was called and of whose calls there is no passage. Those without any passage are no work of an
    /// earlier program: the doctor makes all of theirs.
    async fn acted(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Cited {
            interaction_id: String,
            source: String,
        }
        let mut there: HashMap<String, bool> = HashMap::new();
        let take = |passage: Cited| {
            let is_found = passage.source == Origin::Action.as_str();
            *there.entry(passage.interaction_id).or_default() |= is_found;
            Ok(())
        };
        let columns = ["interaction_id", "source"];
        self.passages.each(None, &columns, take).await?;
        let called = contains(col("scratchpad"), lit("\"action\":{"));
        let columns = ["interaction_id"];
        let acted: Vec<Of> = self.react_cycles.columns(Some(called), &columns).await?;
        let acted = acted.into_iter().map(|row| row.interaction_id);
        Ok(acted.filter(|id| there.get(id) == Some(&false)).collect())
    }

    /// Makes the passages of the calls of these turns. In some there is nothing to find.
    async fn actions(&self, ids: &[String]) -> Result<Vec<(String, Vec<Passage>)>> {
        let cycles: Vec<ReactCycle> = self.react_cycles.whole(among(ids)).await?;
        let mut turns: Vec<Turn> = Vec::new();
        for interaction in self.interactions.whole(among(ids)).await? {
            turns.push(again(interaction, &cycles));
        }
        let (passages, failure) = self.passages_of(&turns, false).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let ids = turns
            .into_iter()
            .map(|turn| turn.interaction.interaction_id);
        let mut made: Vec<(String, Vec<Passage>)> = ids.zip(passages).collect();
        for (_, passages) in &mut made {
            passages.retain(|passage| passage.origin() == Some(Origin::Action));
        }
        made.retain(|(_, passages)| !passages.is_empty());
        Ok(made)
    }

    async fn add_actions(&self, ids: &[String]) -> Result<()> {
        let _pass = self.locks.enter().await?;
        let before = self.cycles(ids).await?;
        let passages: Vec<Passage> = self
            .actions(ids)
            .await?
            .into_iter()
            .flat_map(|(_, made)| made)
            .collect();
        if passages.is_empty() {
            return Ok(());
        }
        self.passages.add(&passages).await?;
        // An import that has replaced a turn meanwhile has written its own.
        let after = self.cycles(ids).await?;
        let stale = passages.iter().filter(|passage| {
            let of =
                |cycles: &HashMap<String, String>| cycles.get(&passage.interaction_id).cloned();
            of(&before) != of(&after)
        });
        let stale: Vec<&str> = stale.map(|passage| passage.passage_id.as_str()).collect();
        if !stale.is_empty() {
            self.passages.delete(&one_of(Passage::KEY, stale)).await?;
        }
        Ok(())
    }

    /// Returns the cycle of each of these turns.
    async fn cycles(&self, ids: &[String]) -> Result<HashMap<String, String>> {
        #[derive(Deserialize)]
        struct Cycle {
            interaction_id: String,
            react_id: String,
        }
        let cycles: Vec<Cycle> = self
            .react_cycles
            .columns(Some(among(ids)), &["interaction_id", "react_id"])
            .await?;
        let cycles = cycles.into_iter();
        Ok(cycles
            .map(|cycle| (cycle.interaction_id, cycle.react_id))
            .collect())
    }

    /// Says of turns that were brought in where they were had, as far as their session says so.
    async fn place_imports(&self) -> Result<()> {
        let named =
            ["folder", "branch"].map(|name| contains(col("metadata"), lit(format!("\"{name}\":"))));
        let [folder, branch] = named;
        let columns = ["session_id", "metadata"];
        let sessions: Vec<Place> = self
            .sessions
            .columns(Some(folder.or(branch)), &columns)
            .await?;
        let places = sessions.into_iter().filter_map(|session| {
            let metadata: Value = serde_json::from_str(&session.metadata).ok()?;
            let said = |name: &str| metadata[name].as_str().map(str::to_owned);
            let is_import = metadata["import"].is_object();
            is_import.then(|| (session.session_id, (said("folder"), said("branch"))))
        });
        let places: HashMap<String, (Option<String>, Option<String>)> = places.collect();
        let sessions: Vec<&str> = places.keys().map(String::as_str).collect();
        for some in sessions.chunks(BATCH) {
            let these = one_of("session_id", some.iter().copied());
            let these = these
                .and(col("folder").is_null())
                .and(col("branch").is_null());
            for ids in self.interactions.keys(Some(these)).await?.chunks(BATCH) {
                // A row that is read is put back before anybody can take something out of it.
                let _pass = self.locks.enter().await?;
                let mut turns: Vec<Interaction> = self.interactions.whole(among(ids)).await?;
                turns.retain_mut(|turn| {
                    let place = places.get(&turn.session_id).cloned();
                    (turn.folder, turn.branch) = place.unwrap_or_default();
                    turn.folder.is_some() || turn.branch.is_some()
                });
                if !turns.is_empty() {
                    self.interactions.replace(&turns).await?;
                }
            }
        }
        Ok(())
    }
}
