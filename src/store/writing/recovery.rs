//! Stores the turns of processes that died before LanceDB had them.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use super::Turn;
use super::journal::{self, Orphan};
use super::passages::is_long;
use super::record::How;
use crate::store::open::Store;

/// Says what was found in the journals of processes that died.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many turns were added.
    pub turns: usize,
    /// Journals of which all is in the tables, with the turns whose vectors may be missing.
    pub(in crate::store) adopted: Vec<(Orphan, Vec<String>)>,
    /// What is to be said of journals with lines that could not be read.
    pub aside: Vec<anyhow::Error>,
    /// Why some turns are still only in their journal.
    pub failure: Option<anyhow::Error>,
    /// Why some turns have no embeddings.
    pub unembedded: Option<anyhow::Error>,
}

impl Recovered {
    /// Removes the journals that were kept.
    pub(in crate::store) fn finish(&mut self) {
        for (orphan, _) in std::mem::take(&mut self.adopted) {
            match orphan.finish() {
                Ok(aside) => self.aside.extend(aside),
                Err(error) => drop(self.failure.get_or_insert(error)),
            }
        }
    }
}

impl Store {
    /// Stores the turns of processes that died before LanceDB had them, each once.
    pub async fn recover(&self) -> Result<Recovered> {
        let mut recovered = self.adopt_all(false).await?;
        recovered.finish();
        Ok(recovered)
    }

    /// Does the same, and keeps the journals; `later` leaves out what vectors take longer.
    pub(in crate::store) async fn adopt_all(&self, later: bool) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for path in journal::list(&self.journals())? {
            let adopted = match Orphan::open(path) {
                Ok(Some(orphan)) => self.adopt(orphan, later, &mut recovered).await,
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

    async fn adopt(
        &self,
        mut orphan: Orphan,
        later: bool,
        recovered: &mut Recovered,
    ) -> Result<()> {
        if !orphan.turns.iter().all(|turn| self.owns(turn)) {
            // It waits for the store that it belongs to.
            return Ok(());
        }
        let since = orphan.turns.iter().map(turn_start).min();
        let (mut last, mut bare) = (None, Vec::new());
        for mut turn in std::mem::take(&mut orphan.turns) {
            let how = How {
                recovered: true,
                again: true,
                bare: later && is_long(&turn),
            };
            let put = self.put(&mut turn, &mut last, how).await?;
            recovered.turns += usize::from(put.new);
            if !put.new || how.bare || put.unembedded.is_some() {
                bare.push(turn.interaction.interaction_id);
            }
        }
        // Those that are there may not be on the disk.
        self.sync(since).await?;
        if bare.is_empty() {
            recovered.aside.extend(orphan.finish()?);
        } else {
            recovered.adopted.push((orphan, bare));
        }
        Ok(())
    }
}

fn turn_start(turn: &Turn) -> SystemTime {
    SystemTime::from(turn.interaction.timestamp)
}
