//! Writes turns: into the journal when they begin, into LanceDB when they end.

use anyhow::{Context, Result};
use lancedb::expr::{col, lit};
use serde_json::json;

use super::Turn;
use super::journal::{Journal, Line, Partial};
use super::passages::{Findable, findable};
use super::turn::clean_step;
use crate::conversation::Status;
use crate::store::embedding::mean;
use crate::store::open::Store;
use crate::store::tables::context::{Base, pack};
use crate::store::tables::{Interaction, Origin, Passage, ReactCycle, Session};
use crate::store::words::new_id;

impl Store {
    /// Makes a turn that has just begun durable: it is in the journal, on disk, when this returns.
    ///
    /// Fills in the user and the store's place.
    pub async fn begin(&self, journal: &mut Option<Journal>, turn: &mut Turn) -> Result<()> {
        self.attribute(turn).await?;
        turn.store.clone_from(&self.id);
        turn.erasures = self.locks.erasures();
        if journal.is_none() {
            *journal = Some(Journal::open(&self.journals(), &turn.session.session_id)?);
        }
        let journal = journal
            .as_mut()
            .context("the journal has just been opened")?;
        journal.write(&Line::Began(self.cleaned(turn)))
    }

    /// Makes durable what has come of a turn that runs.
    pub fn note(&self, journal: &mut Journal, turn: &Turn, mut partial: Partial) -> Result<()> {
        let redactor = &self.options.redact;
        for text in [&mut partial.said, &mut partial.thought] {
            text.truncate(redactor.settled(text).len());
            redactor.clean(text);
        }
        for step in &mut partial.steps {
            clean_step(step, redactor);
        }
        journal.note(&turn.interaction.interaction_id, partial)
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

    /// Stores a turn that has ended; `bodies` are the requests that were sent, and `base` is what they extend.
    ///
    /// The turn is in the journal, on disk, before LanceDB is asked; when LanceDB fails it stays there. Returns why the turn has
    /// no embeddings, if so.
    pub async fn record(
        &self,
        journal: &mut Journal,
        turn: &mut Turn,
        bodies: &[String],
        base: Option<&Base>,
    ) -> Result<Option<anyhow::Error>> {
        let mut cleaned = self.cleaned(turn);
        turn.redacted = cleaned.redacted;
        let mut bodies: Vec<String> = bodies.iter().map(|body| self.cleaned_text(body)).collect();
        let _pass = self.locks.enter().await?;
        let base = base.filter(|base| base.erasures == self.locks.erasures());
        let base = base.map(|base| Base {
            body: self.cleaned_text(&base.body),
            ..base.clone()
        });
        self.take_out_gone(&mut cleaned, &mut bodies).await?;
        cleaned.interaction.context_verbatim = pack(&bodies, base.as_ref());
        let journaled = journal.write(&Line::Ended(cleaned.clone()));
        let unembedded = match self.write_once(&mut cleaned).await {
            Ok(unembedded) => unembedded,
            Err(_) if journaled.is_err() => {
                return journaled
                    .map(|()| None)
                    .context("the answer is not recorded, only its question is in the journal");
            }
            Err(error) => {
                journal.waiting.push(cleaned);
                return Err(error)
                    .context("the turn is only in the journal, and stored when that works again");
            }
        };
        // What failed before works again.
        let mut stored = vec![turn.interaction.interaction_id.clone()];
        while let Some(mut turn) = journal.waiting.pop() {
            if let Err(error) = self.write_again(&mut turn).await {
                journal.waiting.push(turn);
                return Err(error).context("some turns before are only in the journal");
            }
            stored.push(turn.interaction.interaction_id);
        }
        self.sync(None).await?;
        for id in stored {
            journal.write(&Line::Stored(id))?;
        }
        Ok(unembedded)
    }

    /// Writes a turn of which parts, or all, may be there. Returns whether it was missing.
    pub(in crate::store) async fn write_again(&self, turn: &mut Turn) -> Result<bool> {
        let id = turn.interaction.interaction_id.clone();
        let this = col("interaction_id").eq(lit(id.as_str()));
        if self.interactions.count(Some(this.clone())).await? > 0 {
            return Ok(false);
        }
        // The interaction is written last, so what is there without one is the rest of an attempt.
        self.passages.delete(&this).await?;
        self.react_cycles.delete(&this).await?;
        self.write(std::slice::from_mut(turn)).await?;
        Ok(true)
    }

    /// Writes a turn that has ended. Where another process has taken it for a dead one's and stored what had come, that gives way.
    async fn write_once(&self, turn: &mut Turn) -> Result<Option<anyhow::Error>> {
        let this = col("interaction_id").eq(lit(turn.interaction.interaction_id.as_str()));
        if self.interactions.count(Some(this.clone())).await? > 0 {
            self.passages.delete(&this).await?;
            self.react_cycles.delete(&this).await?;
            self.interactions.delete(&this).await?;
        }
        self.write(std::slice::from_mut(turn)).await
    }

    /// Writes turns in one commit a table. Returns why they have no embeddings, if so.
    async fn write(&self, turns: &mut [Turn]) -> Result<Option<anyhow::Error>> {
        self.write_all(turns, true).await
    }

    /// Writes turns in one commit a table, with vectors or without.
    pub(in crate::store) async fn write_all(
        &self,
        turns: &mut [Turn],
        embed: bool,
    ) -> Result<Option<anyhow::Error>> {
        self.check_embedder().await?;
        let mut sessions: Vec<&Session> = turns.iter().map(|turn| &turn.session).collect();
        sessions.dedup_by_key(|session| &session.session_id);
        self.ensure_sessions(&sessions).await?;
        let findable: Vec<Vec<Findable>> = turns.iter().map(findable).collect();
        let texts: Vec<_> = findable
            .iter()
            .flatten()
            .map(|findable| (findable.text.clone(), findable.embedded))
            .collect();
        // Search finds what has no vector by other ways, and the vector can be made later: better than no record.
        let embedding = match embed {
            true => self.embed(texts.clone()).await,
            false => self.cut(texts.clone()).await,
        };
        let (embedded, failure) = match embedding {
            Ok(embedded) => (embedded, None),
            Err(error) => (
                texts
                    .into_iter()
                    .map(|(text, _)| vec![(text, None)])
                    .collect(),
                Some(error.context("the turn is stored but cannot be found by meaning")),
            ),
        };
        let mut embedded = embedded.into_iter();
        let (mut passages, mut cycles) = (Vec::new(), Vec::new());
        for (turn, texts) in turns.iter_mut().zip(findable) {
            let (mut said, mut done): (Vec<Passage>, Vec<Passage>) = (Vec::new(), Vec::new());
            for (findable, pieces) in texts.into_iter().zip(&mut embedded) {
                let into = match findable.origin {
                    Origin::Query | Origin::Response | Origin::Fact => &mut said,
                    Origin::Thought | Origin::Observation => &mut done,
                };
                let same = |passage: &&Passage| passage.source == findable.origin.as_str();
                let first = into.iter().filter(same).count();
                into.extend(Passage::cut(
                    &turn.interaction,
                    findable.origin,
                    first,
                    &pieces,
                ));
            }
            let vectors = |passages: &[Passage]| {
                mean(
                    passages
                        .iter()
                        .filter_map(|passage| passage.embedding.as_ref()),
                )
            };
            turn.interaction.context_embedding = vectors(&said);
            cycles.extend(cycle(turn, vectors(&done))?);
            passages.extend(said);
            passages.extend(done);
        }
        self.passages.add(&passages).await?;
        self.react_cycles.add(&cycles).await?;
        let interactions: Vec<Interaction> =
            turns.iter().map(|turn| turn.interaction.clone()).collect();
        self.interactions.add(&interactions).await?;
        Ok(failure)
    }
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
