//! Walks through the history, conversation by conversation, with only a little of it in memory at a time.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::conversation::{Step, Usage};
use crate::store::finding::SessionSummary;
use crate::store::open::Store;
use crate::store::tables::context::Sent;
use crate::store::tables::{
    Filter, Interaction, ReactCycle, Record, SHOWN, Session, among, both, one_of,
};

/// How many turns are read at once.
const BATCH: usize = 128;

/// Is what a walk comes by: a conversation, then its turns, oldest first.
#[derive(Debug)]
pub enum Visit {
    Session(Box<Session>),
    /// A turn, its steps and, where they are wanted, its requests.
    Turn(Box<Interaction>, Vec<Step>, Vec<String>),
}

/// Takes what a walk comes by. An error ends it.
pub type Visitor<'v> = dyn FnMut(Visit) -> Result<()> + Send + 'v;

/// Says where a turn belongs.
#[derive(Deserialize)]
struct Place {
    interaction_id: String,
    session_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    timestamp: DateTime<Utc>,
}

/// Says of which session a turn is, and whose.
#[derive(Deserialize)]
struct Turn {
    session_id: String,
    user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    timestamp: DateTime<Utc>,
}

impl Store {
    /// Visits every turn that the filter lets through, the conversations in the order in which they began; with the requests that were
    /// sent, where these are wanted and can still be put together.
    ///
    /// Memory does not grow with the history, apart from the list of its sessions and the requests of one. Upkeep waits meanwhile, so
    /// that nothing that is read is tidied away.
    pub async fn walk(
        &self,
        filter: &Filter,
        requests: bool,
        visit: &mut Visitor<'_>,
    ) -> Result<()> {
        let _no_upkeep = self.locks.untidied().await?;
        let _pass = self.locks.enter().await?;
        let mut sessions = self.sessions(filter).await?;
        let homeless = self.homeless(filter, &sessions).await?;
        sessions.extend(homeless);
        sessions.sort_by(|a, b| {
            let key = |summary: &SessionSummary| summary.session.created_at;
            let ids = a.session.session_id.cmp(&b.session.session_id);
            key(a).cmp(&key(b)).then(ids)
        });
        let mut sessions = sessions.into_iter().peekable();
        while sessions.peek().is_some() {
            // Many conversations are short: they are read together.
            let (mut group, mut turns) = (Vec::new(), 0);
            while let Some(next) =
                sessions.next_if(|next| turns == 0 || turns + next.turns <= BATCH)
            {
                turns += next.turns;
                group.push(next.session);
            }
            self.walk_group(filter, group, requests, visit).await?;
        }
        Ok(())
    }

    /// Makes up the sessions of turns that have none: a part of an export was brought back, or a part of a file was lost.
    async fn homeless(
        &self,
        filter: &Filter,
        sessions: &[SessionSummary],
    ) -> Result<Vec<SessionSummary>> {
        let known = sessions.iter().map(|known| known.session.key());
        let known: HashSet<&str> = known.collect();
        let columns = ["session_id", "user_id", "timestamp"];
        let turns: Vec<Turn> = self.interactions.columns(filter.turns(), &columns).await?;
        let mut made: HashMap<String, SessionSummary> = HashMap::new();
        for turn in turns {
            if known.contains(turn.session_id.as_str()) {
                continue;
            }
            let entry = made.entry(turn.session_id.clone());
            let made = entry.or_insert_with(|| SessionSummary {
                session: Session {
                    session_id: turn.session_id,
                    user_id: turn.user_id,
                    created_at: turn.timestamp,
                    ..Session::default()
                },
                turns: 0,
                usage: Usage::default(),
            });
            made.turns += 1;
            made.session.created_at = made.session.created_at.min(turn.timestamp);
        }
        Ok(made.into_values().collect())
    }

    async fn walk_group(
        &self,
        filter: &Filter,
        sessions: Vec<Session>,
        requests: bool,
        visit: &mut Visitor<'_>,
    ) -> Result<()> {
        let mut sent = match requests {
            true => self.sent(filter, sessions.iter().map(Record::key)).await?,
            false => Sent::default(),
        };
        let these = one_of(Session::KEY, sessions.iter().map(Record::key));
        let these = both(filter.turns(), these);
        let columns = ["interaction_id", "session_id", "timestamp"];
        let mut places: Vec<Place> = self.interactions.columns(Some(these), &columns).await?;
        let order: HashMap<String, usize> = sessions
            .iter()
            .enumerate()
            .map(|(at, session)| (session.session_id.clone(), at))
            .collect();
        places.sort_by(|a, b| {
            let key = |place: &Place| (order.get(&place.session_id).copied(), place.timestamp);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.interaction_id.cmp(&b.interaction_id))
        });
        let mut sessions = sessions.into_iter();
        let mut current = String::new();
        for some in places.chunks(BATCH) {
            let ids: Vec<String> = some
                .iter()
                .map(|place| place.interaction_id.clone())
                .collect();
            let mut turns = self.whole_turns(filter, &ids).await?;
            for place in some {
                while current != place.session_id {
                    let Some(session) = sessions.next() else {
                        break;
                    };
                    current.clone_from(&session.session_id);
                    visit(Visit::Session(Box::new(session)))?;
                }
                if let Some((turn, steps)) = turns.remove(&place.interaction_id) {
                    let requests = sent.next(&place.interaction_id);
                    visit(Visit::Turn(Box::new(turn), steps, requests))?;
                }
            }
        }
        Ok(())
    }

    /// Returns turns with their steps, by id.
    async fn whole_turns(
        &self,
        filter: &Filter,
        ids: &[String],
    ) -> Result<HashMap<String, (Interaction, Vec<Step>)>> {
        let turns = self
            .interactions
            .select(Some(filter.turns_among(ids)), &SHOWN, None, None);
        let columns = ["interaction_id", "scratchpad"];
        let cycles = self
            .react_cycles
            .select(Some(among(ids)), &columns, None, None);
        let (turns, cycles): (Vec<Interaction>, Vec<ReactCycle>) = tokio::try_join!(turns, cycles)?;
        let mut steps = HashMap::new();
        for cycle in cycles {
            let read: Vec<Step> = serde_json::from_str(&cycle.scratchpad)?;
            steps.insert(cycle.interaction_id, read);
        }
        let whole = |turn: Interaction| {
            let steps = steps.remove(&turn.interaction_id).unwrap_or_default();
            (turn.interaction_id.clone(), (turn, steps))
        };
        Ok(turns.into_iter().map(whole).collect())
    }
}
