//! One live conversation: a turn is begun in the store, answered by the agent, and recorded.

mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::agent::prompt::{Exchange, compose};
use crate::agent::{Agent, Frontend, Transcript, TurnEvent};
use crate::conversation::{Status, Step};
use crate::provider::{Options, Provider, ProviderError};
use crate::store::{self, Base, Interaction, Journal, Session, Turn};
use crate::tools::Toolbox;

pub use memory::{Memory, SearchMemory};

/// The provider that answers without a model.
const OFFLINE: &str = "offline";
/// How long leaving may wait for upkeep of the tables.
const PATIENCE: Duration = Duration::from_secs(2);

/// Holds one live conversation.
pub struct Chat {
    pub memory: Memory,
    pub provider: Arc<dyn Provider>,
    pub model: String,
    pub options: Options,
    pub system: String,
    pub max_steps: usize,
    live: Live,
    maintenance: Option<JoinHandle<()>>,
}

/// Holds what begins anew with each session.
struct Live {
    session_id: String,
    /// Made when the first turn begins: a session without turns leaves no trace.
    session: Option<Session>,
    history: Vec<Exchange>,
    journal: Option<Journal>,
    base: Option<Base>,
    /// How many turns the person knows to be left out of the requests.
    left_out: usize,
}

impl Live {
    fn new() -> Live {
        Live {
            session_id: store::new_id(),
            session: None,
            history: Vec::new(),
            journal: None,
            base: None,
            left_out: 0,
        }
    }
}

/// Holds a turn that has ended.
pub struct Ended {
    pub interaction: Interaction,
    pub steps: Vec<Step>,
    /// Why there is no whole answer.
    pub failure: Option<ProviderError>,
    /// Why the turn is not in the store yet, and what there is of it in the journal.
    pub unrecorded: Option<anyhow::Error>,
    /// Why the turn is stored without embeddings, so that it is not found by meaning.
    pub unembedded: Option<anyhow::Error>,
}

impl Chat {
    /// Starts a conversation. Nothing is written before the first turn.
    pub fn new(
        memory: Memory,
        provider: Arc<dyn Provider>,
        model: String,
        options: Options,
        system: String,
        max_steps: usize,
    ) -> Chat {
        Chat {
            memory,
            provider,
            model,
            options,
            system,
            max_steps,
            live: Live::new(),
            maintenance: None,
        }
    }

    /// Begins a new session with the same settings.
    pub fn renew(&mut self) {
        self.live = Live::new();
    }

    /// Goes on with a stored session: its turns are sent to the model again.
    pub async fn resume(&mut self, session: Session) -> Result<usize> {
        let filter = self.memory.filter(None, None, None).await?;
        let turns = self
            .memory
            .store
            .history(&filter, &session.session_id)
            .await?;
        let count = turns.len();
        // What was only quoted while there was no model is nothing that a model said.
        let answered = turns
            .into_iter()
            .filter(|turn| !turn.response.is_empty() && turn.provider != OFFLINE);
        let history = answered
            .map(|turn| Exchange {
                query: turn.query,
                response: turn.response,
            })
            .collect();
        self.live = Live {
            session_id: session.session_id.clone(),
            session: Some(session),
            history,
            journal: None,
            base: None,
            left_out: 0,
        };
        Ok(count)
    }

    /// Returns the id of the session.
    pub fn session_id(&self) -> &str {
        &self.live.session_id
    }

    /// Answers one message. The turn is durable when this returns, also when `interrupt` or a fault ended it.
    ///
    /// # Errors
    ///
    /// Fails when the question cannot be written to the journal; then nothing was sent.
    pub async fn turn(
        &mut self,
        query: &str,
        frontend: &mut dyn Frontend,
        interrupt: impl Future<Output = ()>,
    ) -> Result<Ended> {
        let started = Instant::now();
        let offline = self.provider.name() == OFFLINE;
        let mut turn = self.begin(query, offline);
        self.memory
            .store
            .begin(&mut self.live.journal, &mut turn)
            .await?;

        let (messages, left_out) = compose(&self.system, &self.live.history, query, &self.options);
        // Said when more is left out than the person knows of, not with every turn.
        if left_out > self.live.left_out && !offline {
            self.live.left_out = left_out;
            frontend.show(TurnEvent::LeftOut { turns: left_out });
        }
        let tools = match offline {
            true => Toolbox(vec![Arc::new(SearchMemory(self.memory.clone()))]),
            false => Toolbox::default(),
        };
        let agent = Agent {
            provider: Arc::clone(&self.provider),
            model: self.model.clone(),
            options: self.options.clone(),
            tools,
            max_steps: self.max_steps,
        };
        let mut transcript = Transcript::default();
        let (status, failure) = tokio::select! {
            result = agent.turn(messages, &mut transcript, frontend) => match result {
                Ok(()) => (Status::Completed, None),
                Err(error) => (Status::Failed, Some(error)),
            },
            () = interrupt => (Status::Interrupted, None),
        };

        let interaction = &mut turn.interaction;
        interaction.response = transcript.answer;
        interaction.token_usage = serde_json::to_string(&transcript.usage)?;
        interaction.duration_ms = i64::try_from(started.elapsed().as_millis())?;
        interaction.status = status;
        if let Some(error) = &failure {
            interaction.metadata = json!({"error": error.to_string()}).to_string();
        }
        turn.steps = transcript.steps;
        let (unembedded, unrecorded) = match self.record(&mut turn, &transcript.requests).await {
            Ok(unembedded) => (unembedded, None),
            Err(error) => (None, Some(error)),
        };
        let Turn {
            session,
            interaction,
            steps,
            ..
        } = turn;
        if !interaction.response.is_empty() && !offline {
            self.live.history.push(Exchange {
                query: interaction.query.clone(),
                response: interaction.response.clone(),
            });
        }
        self.live.session = Some(session);
        Ok(Ended {
            interaction,
            steps,
            failure,
            unrecorded,
            unembedded,
        })
    }

    /// Ends the conversation. Waits a moment for upkeep that is under way; what is cut short is done another time.
    pub async fn close(self) {
        if let Some(maintenance) = self.maintenance {
            drop(tokio::time::timeout(PATIENCE, maintenance).await);
        }
    }

    /// Keeps the tables quick, in the background.
    async fn maintain(&mut self) {
        let running = self
            .maintenance
            .as_ref()
            .is_some_and(|running| !running.is_finished());
        if running || !self.memory.store.is_maintenance_due().await {
            return;
        }
        let store = Arc::clone(&self.memory.store);
        // Upkeep that meets another writer fails and costs nothing: the next round does it.
        self.maintenance = Some(tokio::spawn(async move { drop(store.maintain().await) }));
    }

    async fn record(
        &mut self,
        turn: &mut Turn,
        requests: &[String],
    ) -> Result<Option<anyhow::Error>> {
        let journal = self
            .live
            .journal
            .as_mut()
            .context("the turn has no journal")?;
        let unembedded = self
            .memory
            .store
            .record(journal, turn, requests, self.live.base.as_ref())
            .await?;
        if let Some(body) = requests.last() {
            self.live.base = Some(Base {
                interaction_id: turn.interaction.interaction_id.clone(),
                body: body.clone(),
            });
        }
        self.maintain().await;
        Ok(unembedded)
    }

    fn begin(&self, query: &str, quotes_only: bool) -> Turn {
        let now = store::now();
        let session = self.live.session.clone().unwrap_or_else(|| Session {
            session_id: self.live.session_id.clone(),
            created_at: now,
            last_active: now,
            provider: self.provider.name().to_owned(),
            model: self.model.clone(),
            temperature: self.options.temperature,
            max_tokens: self.options.max_tokens.map(i64::from),
            seed: self.options.seed,
            system_prompt: self.system.clone(),
            title: Some(title(query)),
            metadata: "{}".to_owned(),
            ..Session::default()
        });
        let mut interaction = Interaction::begin(&session.session_id, query, now);
        self.provider.name().clone_into(&mut interaction.provider);
        interaction.model.clone_from(&self.model);
        Turn {
            uri: String::new(),
            username: self.memory.username.clone(),
            session,
            interaction,
            steps: Vec::new(),
            quotes_only,
        }
    }
}

/// Returns the first line of a question, cut to a title.
fn title(query: &str) -> String {
    const LONGEST: usize = 80;
    let line = query.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}
