//! What it costs to go back to earlier versions of tables: rows that other tables speak of, and that no journal has.

use std::collections::HashSet;

use anyhow::Result;
use lancedb::Connection;
use serde::Deserialize;

use super::erase;
use super::rows::{Interacted, ids};
use crate::conversation::counted;
use crate::store::locks::Locks;
use crate::store::open::Options;
use crate::store::tables::{
    Interaction, Origin, Passage, ReactCycle, Record, Session, Table, User, registry,
};
use crate::store::writing::Turn;
use crate::store::writing::journal::{self, Orphan};

/// Counts what is missing of each table.
pub struct Losses {
    interactions: usize,
    cycles: usize,
    sessions: usize,
    users: usize,
    /// Whether the registry does not say what the store is.
    nameless: bool,
    /// How many turns the journals have.
    waiting: usize,
}

impl Losses {
    /// Looks through tables that have gone back, while nobody else does anything with them.
    ///
    /// A power cut takes only what was not on the disk: turns that are in the journal till then, and what upkeep, an import or a removal
    /// does again.
    pub async fn look(options: &Options, connection: &Connection, locks: &Locks) -> Result<Losses> {
        #[derive(Deserialize)]
        struct Cited {
            interaction_id: String,
            source: String,
        }
        let interactions: Table<Interaction> = Table::open(connection, 0, locks).await?;
        let passages: Table<Passage> = Table::open(connection, 0, locks).await?;
        let cycles: Table<ReactCycle> = Table::open(connection, 0, locks).await?;
        let sessions: Table<Session> = Table::open(connection, 0, locks).await?;
        let users: Table<User> = Table::open(connection, 0, locks).await?;
        let columns = ["interaction_id", "session_id", "user_id"];
        let turns: Vec<Interacted> = interactions.columns(None, &columns).await?;
        let columns = ["interaction_id", "source"];
        let cited: Vec<Cited> = passages.columns(None, &columns).await?;
        let cycles = ids(&cycles, "interaction_id").await?;
        let sessions = ids(&sessions, "session_id").await?;
        let users = ids(&users, "user_id").await?;
        let store = registry::store_id(connection, locks).await?;

        let waiting = waiting(options, store.as_deref())?;
        let mut excused: HashSet<&str> = HashSet::new();
        excused.extend(waiting.iter().map(|turn| &*turn.interaction.interaction_id));
        let removal = erase::read(&options.beside("erasing"))?;
        let removed = removal.map(|removal| removal.ids).unwrap_or_default();
        excused.extend(removed.iter().map(String::as_str));
        let there: HashSet<&str> = turns.iter().map(|turn| &*turn.interaction_id).collect();
        let is_done = |cited: &&Cited| {
            [Origin::Thought, Origin::Action, Origin::Observation]
                .map(Origin::as_str)
                .contains(&&*cited.source)
        };
        let said = cited.iter().map(|cited| &*cited.interaction_id);
        let begun: HashSet<&str> = waiting
            .iter()
            .map(|turn| &*turn.session.session_id)
            .collect();
        Ok(Losses {
            interactions: count(said.chain(cycles.iter().map(String::as_str)), |id| {
                there.contains(id) || excused.contains(id)
            }),
            cycles: count(
                cited
                    .iter()
                    .filter(is_done)
                    .map(|cited| &*cited.interaction_id),
                |id| cycles.contains(id) || excused.contains(id),
            ),
            sessions: count(turns.iter().map(|turn| &*turn.session_id), |id| {
                sessions.contains(id) || begun.contains(id)
            }),
            users: count(turns.iter().map(|turn| &*turn.user_id), |id| {
                users.contains(id)
            }),
            nameless: store.is_none() && !turns.is_empty(),
            waiting: waiting.len(),
        })
    }

    /// Says what is lost with a version of a table that has `fewer` rows, where that is known; nothing, where none is lost: passages are
    /// made again from their turns.
    pub fn of(&self, name: &str, fewer: Option<usize>) -> Option<String> {
        if name == Passage::NAME || fewer == Some(0) {
            return None;
        }
        let waiting = self.waiting;
        if let Some(fewer) = fewer {
            let lost = || {
                format!(
                    "with {} fewer, of which the journal has {waiting}",
                    counted(fewer, "row")
                )
            };
            return (fewer > waiting).then(lost);
        }
        let missing = match name {
            Interaction::NAME => self.interactions,
            ReactCycle::NAME => self.cycles,
            Session::NAME => self.sessions,
            User::NAME => self.users,
            _ => usize::from(self.nameless),
        };
        let lost = || {
            format!(
                "with at least {} fewer that no journal has",
                counted(missing, "row")
            )
        };
        (missing > 0).then(lost)
    }
}

/// Counts different ids that are not known.
fn count<'i>(ids: impl Iterator<Item = &'i str>, is_known: impl Fn(&str) -> bool) -> usize {
    let unknown: HashSet<&str> = ids.filter(|id| !is_known(id)).collect();
    unknown.len()
}

/// Returns the turns in the journals of dead processes that are of this store, as far as it says which it is.
fn waiting(options: &Options, store: Option<&str>) -> Result<Vec<Turn>> {
    let mut waiting = Vec::new();
    for path in journal::list(&options.home.join("journal"))? {
        let turns = Orphan::open(path)?.map(|orphan| orphan.turns);
        waiting.extend(turns.unwrap_or_default());
    }
    waiting.retain(|turn| turn.store.is_empty() || store.is_none_or(|store| store == turn.store));
    Ok(waiting)
}
