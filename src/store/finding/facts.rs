//! Lists the facts that models have drawn from interactions.

use anyhow::Result;
use chrono::{DateTime, Utc};
use lancedb::expr::{col, lit};

use crate::store::open::Store;
use crate::store::tables::{Filter, Order, Origin, Passage};

/// Holds one fact.
#[derive(Debug, Clone)]
pub struct Fact {
    pub interaction_id: String,
    pub timestamp: DateTime<Utc>,
    /// `subject --[predicate]--> object`.
    pub text: String,
}

impl Store {
    /// Returns the facts of the latest interactions that have some, latest first.
    pub async fn facts(&self, filter: &Filter, limit: usize) -> Result<Vec<Fact>> {
        let source = col("source").eq(lit(Origin::Fact.as_str()));
        let filter = filter
            .expr()
            .map_or(source.clone(), |filter| filter.and(source));
        let found = self
            .passages
            .select(
                Some(filter),
                &["interaction_id", "timestamp", "position", "text"],
                Some(Order::Descending("timestamp")),
                Some(limit),
            )
            .await?;
        let fact = |passage: Passage| Fact {
            interaction_id: passage.interaction_id,
            timestamp: passage.timestamp,
            text: passage.text,
        };
        Ok(found.into_iter().map(fact).collect())
    }
}
