//! Writes turns: into the journal while they run, into LanceDB when they have ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use lancedb::expr::{col, lit};
use serde_json::json;

use super::Turn;
use super::coming::Partial;
use super::journal::{Journal, Line};
use super::turn::clean_step;
use crate::conversation::Status;
use crate::store::embedding::whole;
use crate::store::open::Store;
use crate::store::tables::context::{Base, pack};
use crate::store::tables::{Interaction, Passage, ReactCycle, Session};
use crate::store::words::new_id;

/// Is a journal: the turn that runs writes into it, and so do those that wait to be stored.
pub type SharedJournal = Arc<Mutex<Journal>>;

/// Says how a turn is written into the tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// The process that has said it is dead: where it is there it is whole. Of one that lives another process may have stored what
    /// had come, and that gives way.
    pub recovered: bool,
    /// An attempt to write it may have left rows.
    pub again: bool,
    /// The vectors are left for later.
    pub bare: bool,
}

/// Says what came of writing a turn into the tables.
#[derive(Debug)]
pub struct Put {
    /// Whether it was not there yet.
    pub new: bool,
    /// Why it has no embeddings, if it should have.
    pub unembedded: Option<anyhow::Error>,
}

/// Is what the next turn of a session extends: the last request of the turn that was written last.
pub struct Last {
    session_id: String,
    base: Base,
}

impl Store {
    /// Makes a turn that has just begun durable: it is in the journal, on disk, when this returns. Waits for no one.
    ///
    /// Fills in the store's id; the user's comes with the rows.
    pub fn begin(&self, journal: &mut Option<SharedJournal>, turn: &mut Turn) -> Result<()> {
        turn.store.clone_from(&self.id);
        turn.erasures = self.locks.erasures();
        if journal.is_none() {
            let opened = Journal::open(&self.journals(), &turn.session.session_id)?;
            *journal = Some(Arc::new(Mutex::new(opened)));
        }
        let journal = journal
            .as_ref()
            .context("the journal has just been opened")?;
        locked(journal).write(&Line::Began(self.cleaned(turn)))
    }

    /// Makes durable what has come of a turn that runs.
    pub fn note(&self, journal: &Mutex<Journal>, id: &str, mut partial: Partial) -> Result<()> {
        let redactor = &self.options.redact;
        for text in [&mut partial.said, &mut partial.thought] {
            text.truncate(redactor.settled(text).len());
            redactor.clean(text);
        }
        for step in &mut partial.steps {
            clean_step(step, redactor);
        }
        locked(journal).note(id, partial)
    }

    /// Makes durable a request of a turn that runs, before it leaves.
    pub fn sends(&self, journal: &Mutex<Journal>, id: &str, body: &str) -> Result<()> {
        locked(journal).sends(id, self.cleaned_text(body))
    }

    /// Makes durable a turn that has ended. Returns it as it is to be stored, and whether the journal has it.
    pub fn end(&self, journal: &Mutex<Journal>, turn: &Turn) -> (Turn, Result<()>) {
        let cleaned = self.cleaned(turn);
        let ended = locked(journal).write(&Line::Ended(cleaned.clone()));
        (cleaned, ended)
    }

    /// Returns a turn as it is stored.
    fn cleaned(&self, turn: &Turn) -> Turn {
        let mut turn = turn.clone();
        turn.clean(&self.options.redact);
        turn
    }

    /// Returns a text as it is stored.
    pub fn cleaned_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.options.redact.clean(&mut text);
        text
    }

    /// Writes a turn that has ended into the tables. Its requests extend those of the `last` turn that was written, where that is of
    /// the same session; then it is the last.
    pub(in crate::store) async fn put(
        &self,
        turn: &mut Turn,
        last: &mut Option<Last>,
        how: How,
    ) -> Result<Put> {
        let _pass = self.locks.enter().await?;
        self.attribute(turn).await?;
        let id = turn.interaction.interaction_id.clone();
        let this = col("interaction_id").eq(lit(id.as_str()));
        let is_there = self.interactions.count(Some(this.clone())).await? > 0;
        if is_there && how.recovered {
            return Ok(Put {
                new: false,
                unembedded: None,
            });
        }
        // The interaction is written last, so what is there without one is the rest of an attempt.
        if is_there || how.again {
            self.passages.delete(&this).await?;
            self.react_cycles.delete(&this).await?;
        }
        if is_there {
            self.interactions.delete(&this).await?;
        }
        self.take_out_gone(turn).await?;
        let erasures = self.locks.erasures();
        if !turn.requests.is_empty() {
            let last = last.as_ref().filter(|last| {
                last.session_id == turn.session.session_id && last.base.erasures == erasures
            });
            let base = last.map(|last| &last.base);
            turn.interaction.context_verbatim = pack(&turn.requests, base);
        }
        let unembedded = self
            .write_all(std::slice::from_mut(turn), !how.bare)
            .await?;
        if let Some(body) = turn.requests.last() {
            *last = Some(Last {
                session_id: turn.session.session_id.clone(),
                base: Base {
                    interaction_id: id,
                    body: body.clone(),
                    erasures,
                },
            });
        }
        Ok(Put {
            new: true,
            unembedded,
        })
    }

    /// Writes turns in one commit a table, with vectors or without. Returns why they have no embeddings, if they should have.
    pub(in crate::store) async fn write_all(
        &self,
        turns: &mut [Turn],
        embed: bool,
    ) -> Result<Option<anyhow::Error>> {
        self.check_embedder().await?;
        let mut sessions: Vec<&Session> = turns.iter().map(|turn| &turn.session).collect();
        sessions.dedup_by_key(|session| &session.session_id);
        // One computes while the other waits for the disk.
        let (there, (passages, failure)) = tokio::join!(
            self.ensure_sessions(&sessions),
            self.passages_of(turns, embed)
        );
        there?;
        let mut cycles = Vec::new();
        for (turn, passages) in turns.iter_mut().zip(&passages) {
            turn.interaction.context_embedding = whole(passages, true);
            cycles.extend(cycle(turn, whole(passages, false))?);
        }
        let passages: Vec<Passage> = passages.into_iter().flatten().collect();
        tokio::try_join!(self.passages.add(&passages), self.react_cycles.add(&cycles))?;
        let interactions: Vec<Interaction> =
            turns.iter().map(|turn| turn.interaction.clone()).collect();
        self.interactions.add(&interactions).await?;
        Ok(failure)
    }
}

/// Takes a journal; a writer that failed left whole lines.
pub fn locked(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the row of a turn that thought or acted.
fn cycle(turn: &Turn, embedding: Option<Vec<f32>>) -> Result<Option<ReactCycle>> {
    let interaction = &turn.interaction;
    if turn.steps.is_empty() {
        return Ok(None);
    }
    Ok(Some(ReactCycle {
        react_id: new_id(),
        interaction_id: interaction.interaction_id.clone(),
        session_id: interaction.session_id.clone(),
        user_id: interaction.user_id.clone(),
        timestamp: interaction.timestamp,
        scratchpad: serde_json::to_string(&turn.steps)?,
        scratchpad_embedding: embedding,
        steps: i64::try_from(turn.steps.len())?,
        success: interaction.status == Status::Completed
            && turn.steps.iter().all(|step| step.success),
        metadata: json!({}).to_string(),
    }))
}
