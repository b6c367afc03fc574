//! Writes turns: into the journal when they begin, into LanceDB when they end.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use lancedb::expr::{col, lit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::context::{Base, pack};
use super::embed::mean;
use super::interaction::Interaction;
use super::journal::{self, Journal, Line, Orphan, Partial};
use super::passage::{Findable, Origin, Passage, findable};
use super::react_cycle::ReactCycle;
use super::session::Session;
use super::{Store, new_id};
use crate::conversation::{Status, Step};
use crate::redact::{clean, settled};

/// Holds all that is recorded of a turn; embeddings and passages are made from it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Turn {
    /// Where the tables are that the turn belongs to; filled in when it begins.
    #[serde(default)]
    pub uri: String,
    pub username: String,
    pub session: Session,
    pub interaction: Interaction,
    pub steps: Vec<Step>,
    /// The answer only quotes the history, so it is not made findable a second time.
    pub quotes_only: bool,
    /// The tools whose observations only quote the history.
    #[serde(default)]
    pub quoting: Vec<String>,
    /// How many secrets were taken out of what is stored.
    #[serde(default)]
    pub redacted: usize,
}

impl Turn {
    /// Takes the secrets out.
    pub(super) fn clean(&mut self) {
        let (session, interaction) = (&mut self.session, &mut self.interaction);
        clean(&mut session.system_prompt);
        session.title.as_mut().map(clean);
        let mut count = clean(&mut interaction.query) + clean(&mut interaction.response);
        clean(&mut interaction.metadata);
        count += interaction
            .facts_extracted
            .iter_mut()
            .map(clean)
            .sum::<usize>();
        count += self.steps.iter_mut().map(clean_step).sum::<usize>();
        self.redacted += count;
    }
}

fn clean_step(step: &mut Step) -> usize {
    let mut count = clean(&mut step.thought) + clean(&mut step.observation);
    step.error.as_mut().map(clean);
    if let Some(action) = &mut step.action {
        count += clean_value(&mut action.arguments);
    }
    count
}

fn clean_value(value: &mut Value) -> usize {
    match value {
        Value::String(text) => clean(text),
        Value::Array(values) => values.iter_mut().map(clean_value).sum(),
        Value::Object(values) => values.values_mut().map(clean_value).sum(),
        _ => 0,
    }
}

/// Says what was found in the journals of processes that died.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many turns were added.
    pub turns: usize,
    /// Journals with lines that could not be read, set aside.
    pub aside: Vec<std::path::PathBuf>,
    /// Why some turns are still only in their journal.
    pub failure: Option<anyhow::Error>,
}

impl Store {
    /// Makes a turn that has just begun durable: it is in the journal, on disk, when this returns.
    ///
    /// Fills in the user's id and the store's place.
    pub async fn begin(&self, journal: &mut Option<Journal>, turn: &mut Turn) -> Result<()> {
        let user = self.ensure_user(&turn.username).await?;
        turn.session.user_id.clone_from(&user.user_id);
        turn.interaction.user_id = user.user_id;
        turn.uri.clone_from(&self.options.uri);
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
        if self.options.redact {
            for text in [&mut partial.said, &mut partial.thought] {
                text.truncate(settled(text).len());
                clean(text);
            }
            partial.steps.iter_mut().for_each(|step| {
                clean_step(step);
            });
        }
        journal.note(&turn.interaction.interaction_id, partial)
    }

    /// Returns a turn as it is stored.
    fn cleaned(&self, turn: &Turn) -> Turn {
        let mut turn = turn.clone();
        if self.options.redact {
            turn.clean();
        }
        turn
    }

    /// Returns a text as it is stored.
    pub fn cleaned_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if self.options.redact {
            clean(&mut text);
        }
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
        let bodies: Vec<String> = bodies.iter().map(|body| self.cleaned_text(body)).collect();
        let _pass = self.gate.enter().await;
        let base = base.filter(|base| base.erasures == self.gate.erasures());
        let base = base.map(|base| Base {
            body: self.cleaned_text(&base.body),
            ..base.clone()
        });
        cleaned.interaction.context_verbatim = pack(&bodies, base.as_ref());
        let journaled = journal.write(&Line::Ended(cleaned.clone()));
        let unembedded = match self.write(std::slice::from_mut(&mut cleaned)).await {
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
    async fn write_again(&self, turn: &mut Turn) -> Result<bool> {
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

    async fn adopt(&self, mut orphan: Orphan, recovered: &mut Recovered) -> Result<()> {
        if orphan.turns.iter().any(|turn| turn.uri != self.options.uri) {
            // It waits for the store that it belongs to.
            return Ok(());
        }
        let since = orphan.turns.iter().map(turn_start).min();
        for mut turn in std::mem::take(&mut orphan.turns) {
            let user = self.ensure_user(&turn.username).await?;
            turn.session.user_id.clone_from(&user.user_id);
            turn.interaction.user_id = user.user_id;
            recovered.turns += usize::from(self.write_again(&mut turn).await?);
        }
        // Those that are there may not be on the disk.
        self.sync(since).await?;
        recovered.aside.extend(orphan.finish()?);
        Ok(())
    }

    /// Brings what the tables have got since the last time, or before that, to the disk, where they lie on one of ours.
    pub(super) async fn sync(&self, since: Option<SystemTime>) -> Result<()> {
        if !self.is_local() {
            return Ok(());
        }
        let mut synced = self.synced.lock().await;
        let now = SystemTime::now();
        // A clock that was set back makes new files older than the last time.
        let last = match now < *synced {
            true => now - Duration::from_mins(1),
            false => *synced,
        };
        // File times may be coarser than the clock.
        let since = since.map_or(last, |since| since.min(last)) - Duration::from_secs(2);
        let uri = self.options.uri.clone();
        let work = move || super::sync::new_files(std::path::Path::new(&uri), since);
        tokio::task::spawn_blocking(work)
            .await?
            .context("cannot bring the tables to the disk")?;
        *synced = now;
        Ok(())
    }

    /// Writes turns in one commit a table. Returns why they have no embeddings, if so.
    async fn write(&self, turns: &mut [Turn]) -> Result<Option<anyhow::Error>> {
        self.write_all(turns, true).await
    }

    /// Writes turns in one commit a table, with vectors or without.
    pub(super) async fn write_all(
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

fn turn_start(turn: &Turn) -> SystemTime {
    SystemTime::from(turn.interaction.timestamp)
}
