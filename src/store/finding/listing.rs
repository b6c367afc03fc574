//! Lists interactions and sessions, and finds one by the beginning of its id.

use std::collections::HashMap;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use lancedb::datafusion::functions::regex::expr_fn::regexp_like;
use lancedb::datafusion::functions_aggregate::expr_fn::{count, max};
use lancedb::datafusion::prelude::SessionContext;
use lancedb::expr::{DfExpr, col, contains, lit, lower};
use serde::Deserialize;

use super::sql::frame;
use crate::conversation::{Step, Usage};
use crate::store::open::Store;
use crate::store::tables::kind::{Kind, OWN};
use crate::store::tables::{
    Filter, Interaction, Order, Record, SHOWN, Session, Table, both, one_of, read, session,
};

/// The column that tells interactions apart.
const TURN: &str = Interaction::KEY;

/// Holds a session with what its interactions add up to.
#[derive(Debug, Clone)]
pub struct SessionSummary {
    pub session: Session,
    pub turns: usize,
    pub usage: Usage,
}

/// Is what an id names.
#[derive(Debug)]
pub enum Named {
    Interaction(Box<Interaction>),
    Session(Box<Session>),
}

/// Says which interaction it is, whose, and when it was.
#[derive(Debug, Clone, Deserialize)]
pub struct Outline {
    pub interaction_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub timestamp: DateTime<Utc>,
}

/// Is what the turns of a session come to.
#[derive(Deserialize)]
struct Active {
    session_id: String,
    turns: usize,
    #[serde(with = "chrono::serde::ts_microseconds")]
    last: DateTime<Utc>,
}

/// Is what a turn of a session has used.
#[derive(Deserialize)]
struct Used {
    session_id: String,
    token_usage: String,
}

#[derive(Deserialize)]
struct Scratchpad {
    interaction_id: String,
    scratchpad: String,
}

impl Store {
    /// Returns the interactions that the filter lets through, oldest first; only those with these words in question or answer, if
    /// there are some.
    pub async fn outlines(&self, filter: &Filter, words: Option<&str>) -> Result<Vec<Outline>> {
        let words = words.map(|words| {
            let words = words.to_lowercase();
            let has = |column: &str| contains(lower(col(column)), lit(words.as_str()));
            has("query").or(has("response"))
        });
        let these = [filter.turns(), words].into_iter().flatten();
        let columns = ["interaction_id", "user_id", "timestamp"];
        let mut found: Vec<Outline> = self
            .interactions
            .columns(these.reduce(DfExpr::and), &columns)
            .await?;
        found.sort_by_key(|turn| turn.timestamp);
        Ok(found)
    }

    /// Returns the interactions that the filter lets through, oldest first; with a limit the latest of them.
    pub async fn interactions_in(
        &self,
        filter: &Filter,
        limit: Option<usize>,
    ) -> Result<Vec<Interaction>> {
        let Some(limit) = limit else {
            return self
                .interactions
                .select(
                    filter.turns(),
                    &SHOWN,
                    Some(Order::Ascending("timestamp")),
                    None,
                )
                .await;
        };
        // LanceDB reads every selected column before it sorts, so the wide ones are fetched once the ids are known.
        let latest = self.interactions.select(
            filter.turns(),
            &["interaction_id", "timestamp"],
            Some(Order::Descending("timestamp")),
            Some(limit),
        );
        let ids: Vec<String> = latest
            .await?
            .into_iter()
            .map(|row| row.interaction_id)
            .collect();
        self.interactions
            .select(
                Some(filter.turns_among(&ids)),
                &SHOWN,
                Some(Order::Ascending("timestamp")),
                None,
            )
            .await
    }

    /// Narrows a filter down to turns of one kind, for all tables alike: it finds out which turns these are.
    pub async fn kindred(&self, filter: Filter, kind: Kind) -> Result<Filter> {
        #[derive(Deserialize)]
        struct Acted {
            interaction_id: String,
        }
        let acted = match kind.acted() {
            Some(acted) => {
                let these = filter.expr().into_iter().chain([acted]).reduce(DfExpr::and);
                let columns = ["interaction_id"];
                let acted: Vec<Acted> = self.react_cycles.columns(these, &columns).await?;
                Some(acted.into_iter().map(|row| row.interaction_id))
            }
            None => None,
        };
        let mut filter = filter.of_kind(kind);
        if let Some(acted) = acted {
            filter = filter.knowing(acted);
        }
        let kindred = self.interactions.keys(filter.turns()).await?;
        Ok(filter.knowing(kindred))
    }

    /// Counts the interactions that the filter lets through.
    pub async fn count(&self, filter: &Filter) -> Result<usize> {
        self.interactions.count(filter.turns()).await
    }

    /// Returns the one interaction or session whose id starts with `prefix`.
    pub async fn named(&self, filter: &Filter, prefix: &str) -> Result<Named> {
        let scope = filter.scope_expr();
        let turns = starting(&self.interactions, scope.clone(), prefix, &[TURN]).await?;
        let mut sessions = starting(&self.sessions, scope, prefix, &session::ALL).await?;
        let what = match (turns.is_empty(), sessions.is_empty()) {
            (true, true) => "interaction and no session",
            (false, true) => "interaction",
            (true, false) => "session",
            (false, false) => "interaction or session",
        };
        let keys = turns.iter().map(Record::key);
        let keys: Vec<&str> = keys.chain(sessions.iter().map(Record::key)).collect();
        let id = the_one(what, &keys, prefix)?;
        if turns.is_empty() {
            return Ok(Named::Session(Box::new(sessions.remove(0))));
        }
        let turn = self.whole(filter, id).await?;
        Ok(Named::Interaction(Box::new(turn)))
    }

    /// Returns the one session whose id, or the id of one of whose interactions, starts with `prefix`.
    pub async fn session_of(&self, filter: &Filter, prefix: &str) -> Result<Session> {
        match self.named(filter, prefix).await? {
            Named::Session(session) => Ok(*session),
            Named::Interaction(turn) => self.session(filter, &turn.session_id).await,
        }
    }

    /// Returns the one interaction whose id starts with `prefix`.
    pub async fn interaction(&self, filter: &Filter, prefix: &str) -> Result<Interaction> {
        let scope = filter.scope_expr();
        let found = starting(&self.interactions, scope, prefix, &[TURN]).await?;
        let keys: Vec<&str> = found.iter().map(Record::key).collect();
        self.whole(filter, the_one("interaction", &keys, prefix)?)
            .await
    }

    async fn whole(&self, filter: &Filter, id: &str) -> Result<Interaction> {
        let mut rows = self
            .interactions
            .select(
                Some(filter.turns_among(&[id.to_owned()])),
                &SHOWN,
                None,
                Some(1),
            )
            .await?;
        rows.pop()
            .ok_or_else(|| anyhow::anyhow!("no interaction has the id `{id}`"))
    }

    /// Returns the steps of an interaction, in order.
    pub async fn steps(&self, filter: &Filter, interaction_id: &str) -> Result<Vec<Step>> {
        let filter = filter.and_ids(&[interaction_id.to_owned()]);
        let cycles = self
            .react_cycles
            .select(Some(filter), &["scratchpad"], None, Some(1))
            .await?;
        match cycles.first() {
            Some(cycle) => Ok(serde_json::from_str(&cycle.scratchpad)?),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the steps of the interactions of a session, by their ids.
    pub async fn steps_in(
        &self,
        filter: &Filter,
        session_id: &str,
    ) -> Result<HashMap<String, Vec<Step>>> {
        let filter = filter.clone().in_session(session_id).expr();
        let mut steps = HashMap::new();
        let take = |cycle: Scratchpad| {
            let read = serde_json::from_str(&cycle.scratchpad)?;
            steps.insert(cycle.interaction_id, read);
            Ok(())
        };
        let columns = ["interaction_id", "scratchpad"];
        self.react_cycles.each(filter, &columns, take).await?;
        Ok(steps)
    }

    /// Returns the sessions within the filter's scope that had a turn within its time, latest first; what they used is not added up.
    pub async fn sessions(&self, filter: &Filter) -> Result<Vec<SessionSummary>> {
        let pass = self.locks.enter().await?;
        let turns = frame(&SessionContext::new(), &self.interactions, filter.turns()).await?;
        let active = turns.aggregate(
            vec![col("session_id")],
            vec![
                count(lit(1)).alias("turns"),
                max(col("timestamp")).alias("last"),
            ],
        );
        let active = active?.collect().await?;
        drop(pass);
        let active: Vec<Active> = read(Interaction::NAME, &active)?;
        let mut active: HashMap<String, Active> = active
            .into_iter()
            .map(|session| (session.session_id.clone(), session))
            .collect();
        let sessions = self
            .sessions
            .select(filter.scope_expr(), &session::ALL, None, None)
            .await?;
        let mut sessions: Vec<SessionSummary> = sessions
            .into_iter()
            .filter_map(|mut session| {
                let Active { turns, last, .. } = active.remove(&session.session_id)?;
                session.last_active = last;
                Some(SessionSummary {
                    session,
                    turns,
                    usage: Usage::default(),
                })
            })
            .collect();
        sessions.sort_by_key(|summary| std::cmp::Reverse(summary.session.last_active));
        Ok(sessions)
    }

    /// Adds up what the turns of sessions have used, of those that the filter lets through.
    pub async fn add_usage(&self, filter: &Filter, sessions: &mut [SessionSummary]) -> Result<()> {
        let ids = sessions
            .iter()
            .map(|summary| summary.session.session_id.as_str());
        let these = one_of("session_id", ids);
        let these = filter.turns().into_iter().fold(these, DfExpr::and);
        let mut used: HashMap<String, Usage> = HashMap::new();
        let take = |turn: Used| {
            let usage = Usage::parse(&turn.token_usage).unwrap_or_default();
            *used.entry(turn.session_id).or_default() += usage;
            Ok(())
        };
        let columns = ["session_id", "token_usage"];
        self.interactions.each(Some(these), &columns, take).await?;
        for summary in sessions {
            let usage = used.remove(&summary.session.session_id);
            summary.usage = usage.unwrap_or_default();
        }
        Ok(())
    }

    /// Returns the last turn that has an answer, or a part of one.
    pub async fn last_answer(&self, filter: &Filter) -> Result<Option<Interaction>> {
        let says = regexp_like(col("response"), lit(r"\S"), None);
        let these = both(filter.turns(), says);
        let latest = Some(Order::Descending("timestamp"));
        let columns = [TURN, "timestamp"];
        let turns = self
            .interactions
            .select(Some(these), &columns, latest, Some(1));
        match turns.await?.first() {
            Some(turn) => self
                .interaction(filter, &turn.interaction_id)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Returns the session of the last turn that was not brought in from elsewhere.
    pub async fn last_session(&self, filter: &Filter) -> Result<Option<Session>> {
        let kind = Kind {
            sources: vec![OWN.to_owned()],
            ..Kind::default()
        };
        let own = filter.clone().of_kind(kind).turns();
        let columns = ["session_id", "timestamp"];
        let latest = Some(Order::Descending("timestamp"));
        let turns = self
            .interactions
            .select(own, &columns, latest, Some(1))
            .await?;
        match turns.first() {
            Some(turn) => self.session(filter, &turn.session_id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the one session whose id starts with `prefix`.
    pub async fn session(&self, filter: &Filter, prefix: &str) -> Result<Session> {
        let scope = filter.scope_expr();
        let mut found = starting(&self.sessions, scope, prefix, &session::ALL).await?;
        let keys: Vec<&str> = found.iter().map(Record::key).collect();
        the_one("session", &keys, prefix)?;
        Ok(found.remove(0))
    }

    /// Returns the interactions of a session, oldest first.
    pub async fn history(&self, filter: &Filter, session_id: &str) -> Result<Vec<Interaction>> {
        self.interactions_in(&filter.clone().in_session(session_id), None)
            .await
    }
}

/// Finds some rows whose id starts with `prefix`, within `scope`.
async fn starting<R: Record>(
    table: &Table<R>,
    scope: Option<DfExpr>,
    prefix: &str,
    columns: &[&str],
) -> Result<Vec<R>> {
    const LISTED: usize = 5;
    let prefix = prefix.to_lowercase();
    if prefix.len() < 4 || !prefix.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        bail!("`{prefix}` is not an id: give at least its first 4 characters (0-9, a-f)");
    }
    // All characters of an id sort before the tilde.
    let starts = col(R::KEY)
        .gt_eq(lit(prefix.as_str()))
        .and(col(R::KEY).lt(lit(format!("{prefix}~"))));
    table
        .select(Some(both(scope, starts)), columns, None, Some(LISTED))
        .await
}

/// Returns the only id of those that start with `prefix`; `what` names the kind of row in errors.
fn the_one<'i>(what: &str, ids: &[&'i str], prefix: &str) -> Result<&'i str> {
    let prefix = prefix.to_lowercase();
    match ids {
        [] => bail!("no {what} has an id that starts with `{prefix}`"),
        [id] => Ok(id),
        _ => bail!(
            "more than one {what} has an id that starts with `{prefix}`: {}",
            ids.join(", ")
        ),
    }
}
