//! Stores the turns of processes that died before LanceDB had them.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use super::Turn;
use super::journal::{self, Orphan};
use super::record::How;
use crate::store::open::Store;

/// Says what was found in the journals of processes that died.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many turns were added.
    pub turns: usize,
    /// Those that were there; the vectors may be missing.
    pub(in crate::store) known: Vec<String>,
    /// Journals with lines that could not be read, set aside.
    pub aside: Vec<std::path::PathBuf>,
    /// Why some turns are still only in their journal.
    pub failure: Option<anyhow::Error>,
    /// Why some turns have no embeddings.
    pub unembedded: Option<anyhow::Error>,
}

impl Store {
    /// Stores the turns of processes that died before LanceDB had them, each once.
    pub async fn recover(&self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for path in journal::list(&self.journals())? {
            let adopted = match Orphan::open(path) {
                Ok(Some(orphan)) => self.adopt(orphan, &mut recovered).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            // One that cannot be recovered does not keep the others from it.
            if let Err(error) = adopted {
                recovered.failure.get_or_insert(error);
            }
        }
        Ok(recovered)
    }

    /// Returns whether a turn in a journal belongs to this store.
    fn owns(&self, turn: &Turn) -> bool {
        if !turn.store.is_empty() {
            return turn.store == self.id;
        }
        // Journals of before say where the tables were, by the name that was given.
        let there = Path::new(&turn.uri);
        let here = Path::new(&self.options.uri);
        match fs::canonicalize(there) {
            Ok(there) => there == here,
            // The home has moved since, and this is the store that lies in it.
            Err(_) => {
                here.parent() == Some(&*self.options.home) && there.file_name() == here.file_name()
            }
        }
    }

    async fn adopt(&self, mut orphan: Orphan, recovered: &mut Recovered) -> Result<()> {
        if !orphan.turns.iter().all(|turn| self.owns(turn)) {
            // It waits for the store that it belongs to.
            return Ok(());
        }
        let since = orphan.turns.iter().map(turn_start).min();
        let mut last = None;
        let how = How {
            recovered: true,
            again: true,
            bare: false,
        };
        for mut turn in std::mem::take(&mut orphan.turns) {
            match self.put(&mut turn, &mut last, how).await?.new {
                true => recovered.turns += 1,
                false => recovered.known.push(turn.interaction.interaction_id),
            }
        }
        // Those that are there may not be on the disk.
        self.sync(since).await?;
        recovered.aside.extend(orphan.finish()?);
        Ok(())
    }
}

fn turn_start(turn: &Turn) -> SystemTime {
    SystemTime::from(turn.interaction.timestamp)
}
