//! Brings other histories in: each source format, in a file of its own, reads turns, and this stores them.
//!
//! Sources are only read. What a turn is stored as follows from its source and what the source calls it, so that an import can be
//! cut short and repeated: what is there is passed over, and what has grown is replaced.

mod data_export;
mod escapes;
mod files;
mod report;
mod turns;

mod abstractllm;
mod aichat;
mod chatgpt;
mod claude;
mod claude_code;
mod codex;
mod gemini;
mod goose;
mod jsonl;
mod llm;
mod opencode;

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::conversation::title;
use crate::store::{Interaction, Session, Store, Turn, User, id_of};
use report::Place;
use turns::{Conversation, SourceTurn};

pub use abstractllm::AbstractLlm;
pub use aichat::Aichat;
pub use claude_code::ClaudeCode;
pub use codex::Codex;
pub use data_export::DataExport;
pub use gemini::Gemini;
pub use goose::Goose;
pub use jsonl::JsonLines;
pub use llm::Llm;
pub use opencode::Opencode;
pub use report::{Part, Report};

/// How many turns are stored at once.
const AT_ONCE: usize = 1_000;
/// How many turns wait to be stored.
const WAITING: usize = 2_000;

/// Why a turn is passed over that came before.
const FOUND_TWICE: &str = "found twice";

/// Is a history in some format.
pub trait Source: Send + Sync + 'static {
    /// Returns the word that is stored with what comes from it.
    fn name(&self) -> &'static str;

    /// Hands over all that is there. It is read twice: once to know how much there is.
    ///
    /// # Errors
    ///
    /// Fails when nothing can be read; what is broken in part is handed over as [`Item::Broken`].
    fn read(&self, take: &mut Take<'_>) -> Result<()>;
}

/// Takes what a source finds, each with the name of the part of the source that it is in. An error ends the reading.
pub type Take<'t> = dyn FnMut(&'static str, Item) -> Result<()> + 't;

/// Is what a source finds. What the user said is in a turn, or left out.
#[derive(Debug)]
pub enum Item {
    /// What follows is in this file.
    File(String),
    Turn(Box<SourceTurn>),
    /// A message of the user that is in no turn, and why.
    LeftOut(String),
    /// Something else that is passed over, and why.
    Skipped(String),
    /// Something that cannot be read: where it is, and why.
    Broken(String, String),
}

impl SourceTurn {
    /// Returns what becomes of a turn that is not brought in: each message of the user is left out; where it has none, it is no more
    /// than passed over.
    fn left_out(&self, why: &str) -> Vec<Item> {
        match self.messages {
            0 => vec![Item::Skipped(why.to_owned())],
            messages => (0..messages)
                .map(|_| Item::LeftOut(why.to_owned()))
                .collect(),
        }
    }
}

impl From<SourceTurn> for Item {
    fn from(turn: SourceTurn) -> Item {
        Item::Turn(Box::new(turn))
    }
}

/// Brings histories into a store.
pub struct Importer {
    pub store: Arc<Store>,
    /// Who brings them in.
    pub by: User,
    /// Whose history it becomes.
    pub user: User,
    /// Only what was said from then on.
    pub since: Option<DateTime<Utc>>,
}

/// Says what is known of a turn that waits to be stored.
struct Ticket {
    place: Place,
    messages: usize,
    /// The other id that it may have in the store.
    also: Option<String>,
}

/// Says whether turns are stored or only counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Count,
    Store,
}

impl Importer {
    /// Says what an import would do, and tells how many turns it has looked at.
    pub async fn look(
        &self,
        source: &Arc<dyn Source>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Report> {
        self.go(source, &self.user, Mode::Count, progress).await
    }

    /// Stores what a source has, and tells how many turns of it are done.
    pub async fn run(
        &self,
        source: &Arc<dyn Source>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Report> {
        let _lock = self.store.lock_imports()?;
        // Whoever comes first is the admin.
        self.store.ensure(self.by.me()).await?;
        let user = self.store.ensure(self.user.me()).await?;
        let report = self.go(source, &user, Mode::Store, progress).await?;
        self.store.settle().await?;
        Ok(report)
    }

    async fn go(
        &self,
        source: &Arc<dyn Source>,
        user: &User,
        mode: Mode,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Report> {
        let (sender, mut items) = mpsc::channel(WAITING);
        let reading = {
            let source = Arc::clone(source);
            let mut take = move |part, item| {
                let sent = sender.blocking_send((part, item));
                sent.context("the import has ended")
            };
            tokio::task::spawn_blocking(move || source.read(&mut take))
        };
        let mut report = Report::default();
        let mut seen = HashSet::new();
        let mut batch = Vec::new();
        let mut done = 0;
        loop {
            let item = items.recv().await;
            let is_last = item.is_none();
            if let Some((part, item)) = item {
                let place = report.found(part, &item);
                if let Item::Turn(turn) = item {
                    let messages = turn.messages;
                    let also = turn.also.as_deref();
                    let also = also.map(|also| id_of(&[source.name(), "turn", also]));
                    let turn = self.turn(source.name(), user, *turn);
                    let time = turn.interaction.timestamp;
                    if self.since.is_some_and(|since| time < since) {
                        report.pass_over(place, messages, "before --since");
                    } else if seen.insert(turn.interaction.interaction_id.clone()) {
                        batch.push((
                            Ticket {
                                place,
                                messages,
                                also,
                            },
                            turn,
                        ));
                    } else {
                        report.pass_over(place, messages, FOUND_TWICE);
                    }
                }
            }
            if batch.len() >= AT_ONCE || is_last {
                self.store(&mut batch, mode, &mut report).await?;
                if report.stored() > done {
                    done = report.stored();
                    progress(done);
                }
            }
            if is_last {
                break;
            }
        }
        reading.await.context("the reader failed")??;
        Ok(report)
    }

    async fn store(
        &self,
        batch: &mut Vec<(Ticket, Turn)>,
        mode: Mode,
        report: &mut Report,
    ) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (tickets, mut turns): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let also = tickets.iter().map(|ticket| ticket.also.as_ref());
        self.store.known_as(&mut turns, also).await?;
        let fates = match mode {
            Mode::Count => self.store.fates(&mut turns).await?,
            Mode::Store => {
                // What is recorded is safe; its vectors take longer, and can be made at any time.
                let imported = self.store.import(turns, false).await?;
                report.redacted += imported.redacted;
                // Upkeep that meets another writer fails and costs nothing: the next round does it.
                drop(self.store.settle().await);
                imported.fates
            }
        };
        for (ticket, fate) in tickets.into_iter().zip(fates) {
            report.ended(ticket.place, ticket.messages, fate);
        }
        Ok(())
    }

    /// Returns a turn as it is stored.
    fn turn(&self, source: &str, user: &User, turn: SourceTurn) -> Turn {
        let conversation = &turn.conversation;
        let mut metadata = turn.metadata;
        metadata.insert(
            "import".to_owned(),
            json!({"source": source, "id": turn.id}),
        );
        let session_id = id_of(&[source, "session", &conversation.id]);
        let session = Session {
            session_id,
            created_at: turn.timestamp,
            last_active: turn.timestamp,
            provider: turn.provider.clone(),
            model: turn.model.clone(),
            system_prompt: conversation.system_prompt.clone(),
            title: Some(match &*conversation.title {
                "" => title(&turn.query),
                named => title(named),
            }),
            metadata: session_metadata(source, conversation).to_string(),
            ..Session::default()
        };
        let usage = turn.usage.map(|usage| json!(usage)).unwrap_or_default();
        let mut interaction = Interaction::begin(&session.session_id, &turn.query, turn.timestamp);
        interaction.interaction_id = id_of(&[source, "turn", &turn.id]);
        interaction.response = turn.response;
        interaction.context_verbatim = self.store.packed(&turn.requests);
        interaction.facts_extracted = turn.facts;
        interaction.token_usage = usage.to_string();
        interaction.duration_ms = turn.duration_ms;
        interaction.provider = turn.provider;
        interaction.model = turn.model;
        interaction.status = turn.status;
        (interaction.folder, interaction.branch) = place(&metadata, &conversation.metadata);
        interaction.metadata = Value::Object(metadata).to_string();
        let mut turn = Turn {
            store: String::new(),
            uri: String::new(),
            username: String::new(),
            session,
            interaction,
            steps: turn.steps,
            requests: Vec::new(),
            quotes_only: false,
            quoting: Vec::new(),
            erasures: 0,
            redacted: 0,
        };
        turn.attribute(user);
        turn
    }
}

/// Returns the folder and the branch that a turn says it was had in, or else its conversation.
fn place(
    turn: &Map<String, Value>,
    conversation: &Map<String, Value>,
) -> (Option<String>, Option<String>) {
    let said = |name| {
        let said = turn.get(name).or_else(|| conversation.get(name));
        let said = said.and_then(Value::as_str).map(str::to_owned);
        said.filter(|said| !said.is_empty())
    };
    (said("folder"), said("branch"))
}

fn session_metadata(source: &str, conversation: &Conversation) -> Value {
    let mut metadata: Map<String, Value> = conversation.metadata.clone();
    let import = json!({"source": source, "id": conversation.id});
    metadata.insert("import".to_owned(), import);
    Value::Object(metadata)
}
