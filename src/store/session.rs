//! The sessions table: stored conversations.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use lancedb::expr::{col, is_in, lit};
use serde::{Deserialize, Serialize};

use super::filter::{Filter, find_one};
use super::table::{Record, long_text, moment, text};
use super::{Store, interaction};
use crate::conversation::Usage;

/// Holds one conversation, without its interactions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    pub session_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTime<Utc>,
    /// When the last turn began; exact in what [`Store::sessions`] returns, at least the beginning in the table.
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub last_active: DateTime<Utc>,
    pub provider: String,
    pub model: String,
    pub temperature: Option<f64>,
    pub max_tokens: Option<i64>,
    pub seed: Option<i64>,
    pub system_prompt: String,
    /// The first question, cut to a line.
    pub title: Option<String>,
    /// JSON text.
    pub metadata: String,
}

impl Record for Session {
    const NAME: &'static str = "sessions";

    fn columns(_dimension: usize) -> Vec<Field> {
        vec![
            text("session_id"),
            text("user_id"),
            moment("created_at"),
            moment("last_active"),
            text("provider"),
            text("model"),
            Field::new("temperature", DataType::Float64, true),
            Field::new("max_tokens", DataType::Int64, true),
            Field::new("seed", DataType::Int64, true),
            long_text("system_prompt"),
            Field::new("title", DataType::Utf8, true),
            text("metadata"),
        ]
    }
}

const ALL: [&str; 12] = [
    "session_id",
    "user_id",
    "created_at",
    "last_active",
    "provider",
    "model",
    "temperature",
    "max_tokens",
    "seed",
    "system_prompt",
    "title",
    "metadata",
];

/// Holds a session with what its interactions add up to.
#[derive(Debug, Clone)]
pub struct SessionSummary {
    pub session: Session,
    pub turns: usize,
    pub usage: Usage,
}

impl Store {
    /// Writes the rows of sessions that are not there yet, in one commit.
    pub async fn ensure_sessions(&self, sessions: &[&Session]) -> Result<()> {
        if self.unknown(sessions).await?.is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let unknown = self.unknown(sessions).await?;
        self.sessions.add(&unknown).await
    }

    /// Returns those that have no row, each once.
    async fn unknown(&self, sessions: &[&Session]) -> Result<Vec<Session>> {
        let ids = sessions
            .iter()
            .map(|session| lit(session.session_id.as_str()));
        let these = is_in(col("session_id"), ids.collect());
        let known = self
            .sessions
            .select(Some(these), &["session_id"], None, None)
            .await?;
        let mut known: HashSet<String> = known.into_iter().map(|row| row.session_id).collect();
        let is_new = |session: &&&Session| known.insert(session.session_id.clone());
        Ok(sessions
            .iter()
            .filter(is_new)
            .map(|session| (*session).clone())
            .collect())
    }

    /// Returns the sessions within the filter's scope that had a turn within its time, latest first.
    pub async fn sessions(&self, filter: &Filter) -> Result<Vec<SessionSummary>> {
        let turns = self
            .interactions
            .select(
                filter.expr(),
                &["session_id", "timestamp", "token_usage"],
                None,
                None,
            )
            .await?;
        let mut active: HashMap<String, (usize, DateTime<Utc>, Usage)> = HashMap::new();
        for turn in turns {
            let usage = turn.usage().unwrap_or_default();
            let entry =
                active
                    .entry(turn.session_id)
                    .or_insert((0, turn.timestamp, Usage::default()));
            entry.0 += 1;
            entry.1 = entry.1.max(turn.timestamp);
            entry.2 += usage;
        }
        let sessions = self
            .sessions
            .select(filter.scope_expr(), &ALL, None, None)
            .await?;
        let mut sessions: Vec<SessionSummary> = sessions
            .into_iter()
            .filter_map(|mut session| {
                let &(turns, last_active, usage) = active.get(&session.session_id)?;
                session.last_active = last_active;
                Some(SessionSummary {
                    session,
                    turns,
                    usage,
                })
            })
            .collect();
        sessions.sort_by_key(|summary| std::cmp::Reverse(summary.session.last_active));
        Ok(sessions)
    }

    /// Returns the one session whose id starts with `prefix`.
    pub async fn session(&self, filter: &Filter, prefix: &str) -> Result<Session> {
        find_one(
            &self.sessions,
            "session",
            "session_id",
            filter.scope_expr(),
            prefix,
            &ALL,
            |session| &session.session_id,
        )
        .await
    }

    /// Returns the interactions of a session, oldest first.
    pub async fn history(
        &self,
        filter: &Filter,
        session_id: &str,
    ) -> Result<Vec<interaction::Interaction>> {
        self.interactions_in(&filter.clone().in_session(session_id), None)
            .await
    }
}
