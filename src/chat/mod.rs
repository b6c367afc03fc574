//! One live conversation: a turn is begun in the store, answered by the agent, and recorded.

mod facts;
mod memory;
mod recall;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::agent::prompt::{Exchange, Prompt, React, Style};
use crate::agent::{Agent, Frontend, Transcript};
use crate::conversation::{Status, Step, cut};
use crate::provider::{Options, Provider, ProviderError};
use crate::store::{self, Base, Interaction, Journal, Session, Turn, Whom};
use crate::tools::Toolbox;

pub use memory::{Memory, SearchMemory};
pub use recall::Quotes;

/// The provider that answers without a model.
const OFFLINE: &str = "offline";
/// How long leaving may wait for upkeep of the tables.
const PATIENCE: Duration = Duration::from_secs(2);

/// Holds how a conversation is answered.
pub struct Settings {
    pub provider: Arc<dyn Provider>,
    pub model: String,
    pub options: Options,
    pub system: String,
    pub tools: Toolbox,
    pub react: React,
    /// How often the model may call tools in one turn.
    pub max_steps: usize,
    /// How many interactions are recalled with each question, and how like it they have to be (cosine).
    pub recall: usize,
    pub recall_floor: f32,
    /// Whether the model is asked after each answer for the facts in it.
    pub facts: bool,
}

/// Holds one live conversation.
pub struct Chat {
    pub memory: Memory,
    pub settings: Settings,
    live: Live,
    /// How models have turned out to call tools.
    styles: HashMap<String, Style>,
    maintenance: Option<JoinHandle<()>>,
    learning: JoinSet<Result<()>>,
    /// Whether a failure of learning has been said.
    complained: bool,
}

/// Holds what begins anew with each session.
struct Live {
    session_id: String,
    /// Made when the first turn begins: a session without turns leaves no trace.
    session: Option<Session>,
    history: Vec<Exchange>,
    journal: Option<Journal>,
    base: Option<Base>,
    /// What the person has recalled.
    recalled: Vec<Interaction>,
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
            recalled: Vec::new(),
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
    pub fn new(memory: Memory, settings: Settings) -> Chat {
        Chat {
            memory,
            settings,
            live: Live::new(),
            styles: HashMap::new(),
            maintenance: None,
            learning: JoinSet::new(),
            complained: false,
        }
    }

    /// Goes on as another user, in a new session.
    pub fn become_user(&mut self, username: String) {
        self.memory.username = username;
        let memory = SearchMemory(self.memory.clone());
        self.settings.tools.replace(Arc::new(memory));
        self.renew();
    }

    /// Begins a new session with the same settings.
    pub fn renew(&mut self) {
        self.live = Live::new();
    }

    /// Goes on with a stored session: its turns are sent to the model again.
    pub async fn resume(&mut self, session: Session) -> Result<usize> {
        let filter = self.memory.filter(Whom::Me, None, None).await?;
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
            ..Live::new()
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
        let offline = self.is_offline();
        self.report_learning(frontend);
        let mut turn = self.begin(query);
        self.memory
            .store
            .begin(&mut self.live.journal, &mut turn)
            .await?;

        let agent = self.agent();
        let mut transcript = Transcript::default();
        let mut quotes = Quotes::default();
        let answering = async {
            if !offline {
                quotes = self.quotes_for(query, frontend).await;
            }
            let prompt = Prompt {
                system: &self.settings.system,
                history: if offline { &[] } else { &self.live.history },
                recalled: &quotes.text,
                question: query,
                turn: Vec::new(),
            };
            agent.turn(prompt, &mut transcript, frontend).await
        };
        let (status, failure) = tokio::select! {
            result = answering => match result {
                Ok(status) => (status, None),
                Err(error) => (Status::Failed, Some(error)),
            },
            () = interrupt => (Status::Interrupted, None),
        };
        transcript.close();
        self.live.left_out = self.live.left_out.max(transcript.left_out);
        if let Some(style) = transcript.style {
            self.styles.insert(self.settings.model.clone(), style);
        }

        let interaction = &mut turn.interaction;
        interaction.metadata = metadata(failure.as_ref(), &quotes, &transcript);
        interaction.response = transcript.answer;
        interaction.token_usage = serde_json::to_string(&transcript.usage)?;
        interaction.duration_ms = i64::try_from(started.elapsed().as_millis())?;
        interaction.status = status;
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
            if self.settings.facts && status == Status::Completed && unrecorded.is_none() {
                self.learn(&interaction);
            }
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

    fn agent(&self) -> Agent {
        let settings = &self.settings;
        let tools = if self.is_offline() {
            // It needs no other, and this one always.
            Toolbox::of(Arc::new(SearchMemory(self.memory.clone())))
        } else {
            settings.tools.clone()
        };
        let known = self.styles.get(&settings.model).copied();
        Agent {
            provider: Arc::clone(&settings.provider),
            model: settings.model.clone(),
            options: settings.options.clone(),
            tools,
            style: settings.react.style().or(known),
            max_steps: settings.max_steps,
            left_out: self.live.left_out,
        }
    }

    fn is_offline(&self) -> bool {
        self.settings.provider.name() == OFFLINE
    }

    /// Ends the conversation: waits for the facts of the last answers, and a moment for upkeep that is under way; what is cut
    /// short is done another time. Returns what the person should know.
    pub async fn close(&mut self) -> Option<String> {
        let mut notice = None;
        while let Some(learned) = self.learning.join_next().await {
            notice = notice.or(self.complaint(learned));
        }
        if let Some(maintenance) = self.maintenance.take() {
            drop(tokio::time::timeout(PATIENCE, maintenance).await);
        }
        notice
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

    fn begin(&self, query: &str) -> Turn {
        let (now, settings) = (store::now(), &self.settings);
        let session = self.live.session.clone().unwrap_or_else(|| Session {
            session_id: self.live.session_id.clone(),
            created_at: now,
            last_active: now,
            provider: settings.provider.name().to_owned(),
            model: settings.model.clone(),
            temperature: settings.options.temperature,
            max_tokens: settings.options.max_tokens.map(i64::from),
            seed: settings.options.seed,
            system_prompt: settings.system.clone(),
            title: Some(title(query)),
            metadata: "{}".to_owned(),
            ..Session::default()
        });
        let mut interaction = Interaction::begin(&session.session_id, query, now);
        settings
            .provider
            .name()
            .clone_into(&mut interaction.provider);
        interaction.model.clone_from(&settings.model);
        Turn {
            uri: String::new(),
            username: self.memory.username.clone(),
            session,
            interaction,
            steps: Vec::new(),
            quotes_only: self.is_offline(),
            quoting: vec![SearchMemory::NAME.to_owned()],
        }
    }
}

/// Returns what else is to be known about a turn, as JSON text.
fn metadata(failure: Option<&ProviderError>, quotes: &Quotes, transcript: &Transcript) -> String {
    let mut metadata = Map::new();
    if let Some(error) = failure {
        metadata.insert("error".to_owned(), json!(error.to_string()));
    }
    if !quotes.ids.is_empty() {
        metadata.insert("recalled".to_owned(), json!(quotes.ids));
    }
    if transcript.left_out > 0 {
        metadata.insert("turns_left_out".to_owned(), json!(transcript.left_out));
    }
    if let Some((sent, read)) = transcript.truncated {
        let truncated = json!({"tokens_sent_about": sent, "tokens_read": read});
        metadata.insert("truncated".to_owned(), truncated);
    }
    Value::Object(metadata).to_string()
}

/// Returns the first line of a question, cut to a title.
fn title(query: &str) -> String {
    const LONGEST: usize = 80;
    let line = query.trim().lines().next().unwrap_or_default();
    cut(line, LONGEST)
}
