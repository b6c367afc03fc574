//! One live conversation: a turn is begun in the store, answered by the agent, and recorded.

mod approvals;
mod behind;
mod facts;
mod memory;
mod place;
mod progress;
mod recall;
mod settings;
mod turn;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use tokio::task::{JoinHandle, JoinSet};

use crate::agent::prompt::{Prompt, Style};
use crate::agent::{Agent, Exchange, Frontend, Transcript};
use crate::conversation::{Status, Step};
use crate::provider::{Options, ProviderError};
use crate::store::{self, Interaction, Session, SharedJournal, Turn, User, Whom};
use approvals::Approvals;
use progress::{Noting, Progress};

pub use memory::{Memory, SearchMemory};
pub use recall::Quotes;
pub use settings::{Answering, Reach, Settings};

/// The provider that answers without a model.
const OFFLINE: &str = "offline";

/// Holds one live conversation.
pub struct Chat {
    pub memory: Memory,
    pub settings: Settings,
    live: Live,
    /// How models have turned out to call tools.
    styles: HashMap<String, Style>,
    /// The windows of models that have turned out to be smaller than the settings say, in tokens.
    windows: HashMap<String, u32>,
    maintenance: Option<JoinHandle<()>>,
    learning: JoinSet<Result<()>>,
    /// Whether a failure of learning has been said.
    complained: bool,
    /// In private, nothing is recorded; and how many exchanges were said before.
    private: Option<usize>,
}

/// Holds what begins anew with each session.
struct Live {
    session_id: String,
    /// Made when the first turn begins: a session without turns leaves no trace.
    session: Option<Session>,
    history: Vec<Exchange>,
    journal: Option<SharedJournal>,
    /// What the person has recalled.
    recalled: Vec<Interaction>,
    approvals: Approvals,
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
            recalled: Vec::new(),
            approvals: Approvals::default(),
            left_out: 0,
        }
    }
}

/// Holds a turn that has ended.
pub struct Ended {
    pub interaction: Interaction,
    pub steps: Vec<Step>,
    /// Whether it was said in private, and is recorded nowhere.
    pub private: bool,
    /// How many secrets were taken out of what is recorded.
    pub redacted: usize,
    /// Why there is no whole answer.
    pub failure: Option<ProviderError>,
    /// How many tokens of the model's window the last request and its reply took, and how many it has.
    pub window: Option<(u64, u32)>,
}

/// Says with what a conversation goes on.
pub struct Resumed {
    pub turns: usize,
    /// The last turn of them.
    pub last: Option<Interaction>,
}

impl Chat {
    /// Starts a conversation. Nothing is written before the first turn.
    pub fn new(memory: Memory, settings: Settings) -> Chat {
        Chat {
            memory,
            settings,
            live: Live::new(),
            styles: HashMap::new(),
            windows: HashMap::new(),
            maintenance: None,
            learning: JoinSet::new(),
            complained: false,
            private: None,
        }
    }

    /// Returns whether nothing is recorded.
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Stops recording, or goes on with it. What was said in private is forgotten then: later requests are recorded, and would tell.
    pub fn set_private(&mut self, private: bool) {
        match (private, self.private) {
            (true, None) => self.private = Some(self.live.history.len()),
            (false, Some(before)) => {
                self.live.history.truncate(before);
                self.private = None;
            }
            _ => {}
        }
    }

    /// Goes on as another user, in a new session.
    pub fn become_user(&mut self, user: User) {
        (self.memory.user_id, self.memory.username) = (user.user_id, user.username);
        let memory = SearchMemory::new(self.memory.clone());
        self.settings.tools.replace(Arc::new(memory));
        self.renew();
    }

    /// Begins a new session with the same settings.
    pub fn renew(&mut self) {
        self.live = Live::new();
        self.private = self.private.map(|_| 0);
    }

    /// Goes on with a stored session: its turns are sent to the model again.
    pub async fn resume(&mut self, session: Session) -> Result<Resumed> {
        let filter = self.memory.filter(Whom::Me, None, None).await?;
        let turns = self
            .memory
            .store
            .history(&filter, &session.session_id)
            .await?;
        let resumed = Resumed {
            turns: turns.len(),
            last: turns.last().cloned(),
        };
        let mut steps = self
            .memory
            .store
            .steps_in(&filter, &session.session_id)
            .await?;
        // What was only quoted while there was no model is nothing that a model said.
        let answered = turns.into_iter().filter(|turn| turn.provider != OFFLINE);
        let history = answered
            .map(|turn| Exchange {
                steps: steps.remove(&turn.interaction_id).unwrap_or_default(),
                out_of_steps: turn::out_of_steps(&turn.metadata),
                query: turn.query,
                response: turn.response,
            })
            .filter(Exchange::tells)
            .collect();
        self.live = Live {
            session_id: session.session_id.clone(),
            session: Some(session),
            history,
            ..Live::new()
        };
        self.private = self.private.map(|_| self.live.history.len());
        Ok(resumed)
    }

    /// Forgets in the live conversation what is stored no more.
    pub async fn reload(&mut self) -> Result<()> {
        let Some(session) = self.live.session.clone().filter(|_| !self.is_private()) else {
            return Ok(());
        };
        self.live.recalled.clear();
        // It is the same conversation, unless nothing of it is left.
        let approvals = std::mem::take(&mut self.live.approvals);
        match self.resume(session).await?.turns {
            0 => self.renew(),
            _ => self.live.approvals = approvals,
        }
        Ok(())
    }

    /// Returns whether there is something that a later start can go on with.
    pub fn can_go_on(&self) -> bool {
        self.live.session.is_some() && !self.is_private()
    }

    /// Returns the id of the session.
    pub fn session_id(&self) -> &str {
        &self.live.session_id
    }

    /// Answers one message. The turn is in the journal when this returns, also when `interrupt` or a fault ended it; what has to be
    /// said of storing it is said by [`store::Backlog::troubles`].
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
        if !self.is_private() {
            self.memory.store.begin(&mut self.live.journal, &mut turn)?;
        }

        let (store, id) = (&self.memory.store, &turn.interaction.interaction_id);
        let journal = self.live.journal.clone().filter(|_| !self.is_private());
        let agent = self.agent();
        let progress = Progress::new(|partial| {
            if let Some(journal) = &journal {
                // A full disk is said when the turn is recorded.
                drop(store.note(journal, id, partial));
            }
        });
        let sends = |body: &str| match &journal {
            Some(journal) => store.sends(journal, id, body),
            None => Ok(()),
        };
        let mut approvals = std::mem::take(&mut self.live.approvals);
        let mut noting = Noting {
            frontend,
            approvals: &mut approvals,
            approves_all: self.settings.approves_all,
            progress: &progress,
            sends: &sends,
        };
        let frontend: &mut dyn Frontend = &mut noting;
        let mut transcript = Transcript::default();
        let mut quotes = Quotes::default();
        let mut named = None;
        let answering = async {
            named = self.memory.found().await;
            if !offline {
                quotes = self.quotes_for(query, frontend).await;
            }
            let prompt = Prompt {
                system: &self.settings.system,
                server: self.settings.provider.server(),
                history: if offline { &[] } else { &self.live.history },
                recalled: &quotes.text,
                question: query,
                turn: Vec::new(),
            };
            agent.turn(prompt, &mut transcript, frontend).await
        };
        let (status, failure) = tokio::select! {
            // In this order: an interrupt is listened for before anything can have come that somebody wants to stop.
            biased;
            () = interrupt => (Status::Interrupted, None),
            never = progress.keep() => match never {},
            result = answering => match result {
                Ok(status) => (status, None),
                Err(error) => (Status::Failed, Some(error)),
            },
        };
        drop(progress);
        self.live.approvals = approvals;
        self.memory.know(named);
        transcript.close();
        self.note_ways(&transcript);

        let exchange = Exchange {
            query: query.to_owned(),
            steps: transcript.steps.clone(),
            response: transcript.answer.clone(),
            out_of_steps: transcript.out_of_steps,
        };
        let window = turn::taken(&transcript).zip(Some(self.window()));
        turn.interaction.metadata = turn::metadata(failure.as_ref(), &quotes, &transcript);
        turn.interaction.status = status;
        turn.interaction.duration_ms = i64::try_from(started.elapsed().as_millis())?;
        turn::take_down(&mut turn, transcript)?;
        self.keep(&mut turn).await;
        let Turn {
            session,
            interaction,
            steps,
            redacted,
            ..
        } = turn;
        if exchange.tells() && !offline {
            self.live.history.push(exchange);
            let learns = self.settings.facts && !self.is_private();
            if learns && status == Status::Completed && !interaction.response.is_empty() {
                self.learn(&interaction);
            }
        }
        if !self.is_private() {
            self.live.session = Some(session);
        }
        Ok(Ended {
            private: self.is_private(),
            redacted,
            interaction,
            steps,
            failure,
            window,
        })
    }

    fn agent(&self) -> Agent {
        let settings = &self.settings;
        let known = self.styles.get(&settings.model).copied();
        Agent {
            provider: Arc::clone(&settings.provider),
            model: settings.model.clone(),
            options: self.options(),
            tools: self.tools(),
            style: settings.react.style().or(known),
            max_steps: settings.max_steps,
            left_out: self.live.left_out,
        }
    }

    /// Returns the options as they are in force.
    pub fn options(&self) -> Options {
        Options {
            context_window: self.window(),
            ..self.settings.options.clone()
        }
    }

    /// Has another server answer from now on. What the one before has shown of its models says nothing of those of another.
    pub fn answer_with(&mut self, found: Answering) {
        self.settings.provider = found.provider;
        self.settings.model = found.model;
        self.settings.options.context_window = found.context_window;
        self.styles.clear();
        self.windows.clear();
        self.live.left_out = 0;
    }

    /// Returns how many tokens the window of the model has, as far as that has turned out.
    fn window(&self) -> u32 {
        let set = self.settings.options.context_window;
        let told = self.windows.get(&self.settings.model);
        told.map_or(set, |told| set.min(*told))
    }

    fn is_offline(&self) -> bool {
        self.settings.provider.name() == OFFLINE
    }
}
