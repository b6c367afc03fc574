//! Facts that a model has drawn from an interaction: kept with it, and found like anything else that was said.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use lancedb::expr::{col, lit};

use super::Store;
use super::filter::Filter;
use super::passage::{Origin, Passage};
use super::table::Order;

/// Holds one fact.
#[derive(Debug, Clone)]
pub struct Fact {
    pub interaction_id: String,
    pub timestamp: DateTime<Utc>,
    /// `subject --[predicate]--> object`.
    pub text: String,
}

impl Store {
    /// Adds the facts of an interaction that is stored.
    pub async fn add_facts(&self, interaction_id: &str, facts: &[String]) -> Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let facts: Vec<String> = facts.iter().map(|fact| self.cleaned_text(fact)).collect();
        let texts = facts.iter().map(|fact| (fact.clone(), usize::MAX));
        let embedded = self.embed(texts.collect()).await?;
        let this = col("interaction_id").eq(lit(interaction_id));
        let mut rows = self.interactions.whole(this).await?;
        let interaction = rows
            .first_mut()
            .context("the interaction of the facts is not stored")?;
        let first = interaction.facts_extracted.len();
        interaction.facts_extracted.extend_from_slice(&facts);
        let mut passages = Vec::new();
        for (at, pieces) in embedded.iter().enumerate() {
            passages.extend(Passage::cut(interaction, Origin::Fact, first + at, pieces));
        }
        self.passages.add(&passages).await?;
        self.interactions.replace("interaction_id", &rows).await
    }

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
