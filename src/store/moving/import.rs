//! Adds turns of other histories, many at once, and each once.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::store::locks::Imports;
use crate::store::open::Store;
use crate::store::tables::context::pack;
use crate::store::tables::{Record, Session, User, among, one_of, registry};
use crate::store::words::id_of;
use crate::store::writing::Turn;

/// Says what became of turns that were brought in.
#[derive(Debug)]
pub struct Imported {
    /// What became of each, in order.
    pub fates: Vec<Fate>,
    /// How many secrets were taken out of them.
    pub redacted: usize,
}

/// Says what becomes of a turn that is brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    New,
    /// It is there, and has got longer since.
    Grown,
    Known,
    /// It was removed for good, and is not brought back.
    Forgotten,
}

/// Is what counts of a turn that is there.
#[derive(Deserialize)]
struct There {
    interaction_id: String,
    session_id: String,
    user_id: String,
    metadata: String,
}

impl Store {
    /// Returns requests as they are stored, from a source that does not say what extends what.
    pub fn packed(&self, requests: &[String]) -> String {
        let requests: Vec<String> = requests
            .iter()
            .map(|request| self.cleaned_text(request))
            .collect();
        pack(&requests, None)
    }

    /// Says what [`Store::import`] would do with turns whose ids follow from where they come from, and gives them the ids that they
    /// have here.
    pub async fn fates(&self, turns: &mut [Turn]) -> Result<Vec<Fate>> {
        #[derive(Deserialize)]
        struct Known {
            session_id: String,
            user_id: String,
        }
        let either = |id: fn(&Turn) -> &String| -> Vec<String> {
            let both = |turn: &Turn| [id(turn).clone(), own(id(turn), &turn.interaction.user_id)];
            turns.iter().flat_map(both).collect()
        };
        let sessions = either(|turn| &turn.session.session_id);
        let these = one_of(Session::KEY, sessions.iter().map(String::as_str));
        let sessions: Vec<Known> = self
            .sessions
            .columns(Some(these), &["session_id", "user_id"])
            .await?;
        let sessions: HashMap<String, String> = sessions
            .into_iter()
            .map(|row| (row.session_id, row.user_id))
            .collect();
        let ids = either(|turn| &turn.interaction.interaction_id);
        let (there, gone) = self.there(&ids).await?;
        let mut fates = Vec::new();
        for turn in turns {
            let (session, interaction) = (&mut turn.session, &mut turn.interaction);
            let owner = |id: &str| sessions.get(id).map(String::as_str);
            session.session_id = settled(&session.session_id, &interaction.user_id, owner);
            interaction.session_id.clone_from(&session.session_id);
            let owner = |id: &str| there.get(id).map(|row| row.user_id.as_str());
            interaction.interaction_id =
                settled(&interaction.interaction_id, &interaction.user_id, owner);
            fates.push(match there.get(&interaction.interaction_id) {
                None if gone.contains(&interaction.interaction_id) => Fate::Forgotten,
                None => Fate::New,
                Some(row) if stored_size(&row.metadata) < size(turn) => Fate::Grown,
                Some(_) => Fate::Known,
            });
        }
        Ok(fates)
    }

    /// Gives turns that have another name the one by which their session has them, or by which they were removed, where the first
    /// one is not theirs here.
    pub async fn known_as<'o>(
        &self,
        turns: &mut [Turn],
        others: impl Iterator<Item = Option<&'o String>> + Clone,
    ) -> Result<()> {
        let named = turns.iter().zip(others.clone());
        let named = named.filter_map(|(turn, other)| Some((turn, other?)));
        let ids: Vec<String> = named
            .flat_map(|(turn, other)| {
                [&turn.interaction.interaction_id, other].map(|id| (id, turn))
            })
            .flat_map(|(id, turn)| [id.clone(), own(id, &turn.interaction.user_id)])
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let (there, gone) = self.there(&ids).await?;
        for (turn, other) in turns.iter_mut().zip(others) {
            let Some(other) = other else { continue };
            let user = &turn.interaction.user_id;
            let sessions = [
                turn.session.session_id.clone(),
                own(&turn.session.session_id, user),
            ];
            // Whose session has it, if it is the user's own: this one, or another.
            let is_here = |id: &str| {
                let rows = [id.to_owned(), own(id, user)].into_iter();
                let mut rows = rows.filter_map(|id| there.get(&id));
                let row = rows.find(|row| row.user_id == *user)?;
                Some(sessions.contains(&row.session_id))
            };
            let is_gone = |id: &str| gone.contains(id) || gone.contains(&own(id, user));
            let first = &turn.interaction.interaction_id;
            let is_others = match is_here(first) {
                Some(here) => !here,
                None => is_here(other) == Some(true) || (is_gone(other) && !is_gone(first)),
            };
            if is_others {
                turn.interaction.interaction_id.clone_from(other);
            }
        }
        Ok(())
    }

    /// Returns which of these turns are there, by their ids, and which were removed for good.
    async fn there(&self, ids: &[String]) -> Result<(HashMap<String, There>, HashSet<String>)> {
        let columns = ["interaction_id", "session_id", "user_id", "metadata"];
        let rows: Vec<There> = self
            .interactions
            .columns(Some(among(ids)), &columns)
            .await?;
        let rows = rows
            .into_iter()
            .map(|row| (row.interaction_id.clone(), row));
        let gone = registry::forgotten(&self.connection, &self.locks, ids).await?;
        Ok((rows.collect(), gone))
    }

    /// Keeps everyone else from importing, until dropped: whether a turn is there is asked before it is written.
    ///
    /// # Errors
    ///
    /// Fails when somebody does already.
    pub fn lock_imports(&self) -> Result<Imports> {
        self.locks.imports()
    }

    /// Adds those turns that are not there, with vectors or without, and replaces those that have grown.
    ///
    /// Unlike [`Store::record`] it keeps no journal: who imports can do so again.
    pub async fn import(&self, mut turns: Vec<Turn>, embed: bool) -> Result<Imported> {
        let mut users: HashMap<String, User> = HashMap::new();
        for turn in &mut turns {
            if let Some(user) = users.get(&turn.username) {
                turn.attribute(user);
                continue;
            }
            let name = turn.username.clone();
            users.insert(name, self.attribute(turn).await?);
        }
        let fates = self.fates(&mut turns).await?;
        let mut each = fates.iter();
        turns.retain(|_| matches!(each.next(), Some(Fate::New | Fate::Grown)));
        let mut redacted = 0;
        if turns.is_empty() {
            return Ok(Imported { fates, redacted });
        }
        for turn in &mut turns {
            let size = size(turn);
            turn.clean(&self.options.redact);
            redacted += turn.redacted;
            remember_size(&mut turn.interaction.metadata, size);
        }
        let ids: Vec<String> = turns.iter().map(id).collect();
        // The interaction is written last, so what is there without one is the rest of an import that was cut short.
        if self.passages.count(Some(among(&ids))).await? > 0 {
            self.passages.delete(&among(&ids)).await?;
        }
        if self.react_cycles.count(Some(among(&ids))).await? > 0 {
            self.react_cycles.delete(&among(&ids)).await?;
        }
        if fates.contains(&Fate::Grown) {
            self.interactions.delete(&among(&ids)).await?;
        }
        // As many as fit easily into memory with their vectors.
        for batch in turns.chunks_mut(1_000) {
            if let Some(error) = self.write_all(batch, embed).await? {
                return Err(error);
            }
        }
        self.sync(None).await?;
        Ok(Imported { fates, redacted })
    }
}

/// Returns the id that something of a source has, or gets, in the history of a user: the one that follows from the source alone, or
/// where that is another user's, one of their own.
fn settled<'o>(id: &str, user_id: &str, owner: impl Fn(&str) -> Option<&'o str>) -> String {
    let own = own(id, user_id);
    match owner(id) {
        Some(owner) if owner == user_id => id.to_owned(),
        _ if owner(&own).is_some() => own,
        None => id.to_owned(),
        Some(_) => own,
    }
}

fn own(id: &str, user_id: &str) -> String {
    id_of(&[id, user_id])
}

fn id(turn: &Turn) -> String {
    turn.interaction.interaction_id.clone()
}

/// Returns how much text a turn has, in bytes.
fn size(turn: &Turn) -> u64 {
    let steps = turn.steps.iter();
    let steps: usize = steps
        .map(|step| step.thought.len() + step.observation.len())
        .sum();
    (turn.interaction.query.len() + turn.interaction.response.len() + steps) as u64
}

fn stored_size(metadata: &str) -> u64 {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    // What was not brought in this way does not grow.
    metadata["import"]["size"].as_u64().unwrap_or(u64::MAX)
}

fn remember_size(metadata: &mut String, size: u64) {
    let mut value: Value = serde_json::from_str(metadata).unwrap_or_default();
    if let Some(import) = value.get_mut("import").and_then(Value::as_object_mut) {
        import.insert("size".to_owned(), json!(size));
        *metadata = value.to_string();
    }
}
