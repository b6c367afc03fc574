//! Adds turns of other histories, many at once, and each once.

use std::collections::HashMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::store::locks::Imports;
use crate::store::open::Store;
use crate::store::tables::context::pack;
use crate::store::tables::{among, registry};
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

impl Store {
    /// Returns requests as they are stored, from a source that does not say what extends what.
    pub fn packed(&self, requests: &[String]) -> String {
        let requests: Vec<String> = requests
            .iter()
            .map(|request| self.cleaned_text(request))
            .collect();
        pack(&requests, None)
    }

    /// Says what [`Store::import`] would do with turns whose ids follow from where they come from.
    pub async fn fates(&self, turns: &[Turn]) -> Result<Vec<Fate>> {
        #[derive(Deserialize)]
        struct There {
            interaction_id: String,
            metadata: String,
        }
        let ids: Vec<String> = turns.iter().map(id).collect();
        let there: Vec<There> = self
            .interactions
            .columns(Some(among(&ids)), &["interaction_id", "metadata"])
            .await?;
        let there: HashMap<String, u64> = there
            .into_iter()
            .map(|row| (row.interaction_id, stored_size(&row.metadata)))
            .collect();
        let gone = registry::forgotten(&self.connection, &self.locks, &ids).await?;
        let fate = |turn: &Turn| match there.get(&turn.interaction.interaction_id) {
            None if gone.contains(&turn.interaction.interaction_id) => Fate::Forgotten,
            None => Fate::New,
            Some(stored) if *stored < size(turn) => Fate::Grown,
            Some(_) => Fate::Known,
        };
        Ok(turns.iter().map(fate).collect())
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
        let fates = self.fates(&turns).await?;
        let mut each = fates.iter();
        turns.retain(|_| matches!(each.next(), Some(Fate::New | Fate::Grown)));
        let mut redacted = 0;
        if turns.is_empty() {
            return Ok(Imported { fates, redacted });
        }
        let mut users = HashMap::new();
        for turn in &mut turns {
            if !users.contains_key(&turn.username) {
                let user = self.ensure_user(&turn.username).await?;
                users.insert(turn.username.clone(), user.user_id);
            }
            let user_id = &users[&turn.username];
            turn.session.user_id.clone_from(user_id);
            turn.interaction.user_id.clone_from(user_id);
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
