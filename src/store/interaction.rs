//! The interactions table: stored turns.

use anyhow::Result;
use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::Store;
use super::filter::{Filter, find_one};
use super::table::{Order, Record, long_text, moment, text, vector};
use crate::conversation::{Status, Step, Usage};

/// Holds one stored turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Interaction {
    pub interaction_id: String,
    pub session_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub timestamp: DateTime<Utc>,
    pub query: String,
    pub response: String,
    /// What was sent to the model, packed; [`Store::context`] unpacks it.
    pub context_verbatim: String,
    pub(super) context_embedding: Option<Vec<f32>>,
    pub facts_extracted: Vec<String>,
    /// JSON text of a [`Usage`], or `null`.
    pub token_usage: String,
    pub duration_ms: i64,
    pub provider: String,
    pub model: String,
    pub status: Status,
    /// JSON text.
    pub metadata: String,
}

impl Default for Interaction {
    fn default() -> Self {
        Interaction {
            interaction_id: String::new(),
            session_id: String::new(),
            user_id: String::new(),
            timestamp: DateTime::UNIX_EPOCH,
            query: String::new(),
            response: String::new(),
            context_verbatim: "[]".to_owned(),
            context_embedding: None,
            facts_extracted: Vec::new(),
            token_usage: "null".to_owned(),
            duration_ms: 0,
            provider: String::new(),
            model: String::new(),
            status: Status::Interrupted,
            metadata: "{}".to_owned(),
        }
    }
}

impl Interaction {
    /// Returns a turn that has just begun.
    pub fn begin(session_id: &str, query: &str, timestamp: DateTime<Utc>) -> Interaction {
        Interaction {
            interaction_id: super::new_id(),
            session_id: session_id.to_owned(),
            timestamp,
            query: query.to_owned(),
            ..Interaction::default()
        }
    }

    /// Returns the tokens of the turn, as the server counted them.
    pub fn usage(&self) -> Option<Usage> {
        Usage::parse(&self.token_usage)
    }
}

impl Record for Interaction {
    const NAME: &'static str = "interactions";

    fn columns(dimension: usize) -> Vec<Field> {
        let fact = Field::new("item", DataType::Utf8, true);
        vec![
            text("interaction_id"),
            text("session_id"),
            text("user_id"),
            moment("timestamp"),
            text("query"),
            long_text("response"),
            long_text("context_verbatim"),
            vector("context_embedding", dimension),
            Field::new("facts_extracted", DataType::List(fact.into()), false),
            text("token_usage"),
            Field::new("duration_ms", DataType::Int64, false),
            text("provider"),
            text("model"),
            text("status"),
            text("metadata"),
        ]
    }
}

/// All columns but the vector and what was sent to the model.
pub const SHOWN: [&str; 13] = [
    "interaction_id",
    "session_id",
    "user_id",
    "timestamp",
    "query",
    "response",
    "facts_extracted",
    "token_usage",
    "duration_ms",
    "provider",
    "model",
    "status",
    "metadata",
];

impl Store {
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
                    filter.expr(),
                    &SHOWN,
                    Some(Order::Ascending("timestamp")),
                    None,
                )
                .await;
        };
        // LanceDB reads every selected column before it sorts, so the wide ones are fetched once the ids are known.
        let latest = self.interactions.select(
            filter.expr(),
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
                Some(filter.and_ids(&ids)),
                &SHOWN,
                Some(Order::Ascending("timestamp")),
                None,
            )
            .await
    }

    /// Counts the interactions that the filter lets through.
    pub async fn count(&self, filter: &Filter) -> Result<usize> {
        self.interactions.count(filter.expr()).await
    }

    /// Returns the one interaction whose id starts with `prefix`.
    pub async fn interaction(&self, filter: &Filter, prefix: &str) -> Result<Interaction> {
        let id = |interaction: &Interaction| interaction.interaction_id.clone();
        let found = find_one(
            &self.interactions,
            "interaction",
            "interaction_id",
            filter.scope_expr(),
            prefix,
            &["interaction_id"],
            |row| &row.interaction_id,
        );
        let id = id(&found.await?);
        let mut rows = self
            .interactions
            .select(
                Some(filter.and_ids(std::slice::from_ref(&id))),
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
}
