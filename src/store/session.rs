//! The sessions table: stored conversations.

use std::collections::HashMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use lancedb::expr::{col, lit};
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
    /// Writes the session's row, once.
    pub async fn ensure_session(&self, session: &Session) -> Result<()> {
        let known = || {
            self.sessions
                .count(Some(col("session_id").eq(lit(session.session_id.as_str()))))
        };
        if known().await? == 0 {
            let _lock = self.lock()?;
            if known().await? == 0 {
                self.sessions.add(std::slice::from_ref(session)).await?;
            }
        }
        Ok(())
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
