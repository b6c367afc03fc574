//! Facts that a model has drawn from an interaction: kept with it, and found like anything else that was said.

use anyhow::{Context, Result};
use lancedb::expr::{col, lit};

use crate::store::open::Store;
use crate::store::tables::{Origin, Passage};

impl Store {
    /// Adds the facts of an interaction that is stored.
    pub async fn add_facts(&self, interaction_id: &str, facts: &[String]) -> Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let facts: Vec<String> = facts.iter().map(|fact| self.cleaned_text(fact)).collect();
        let texts = facts.iter().map(|fact| (fact.clone(), usize::MAX));
        let embedded = self.embed(texts.collect()).await?;
        // Nothing is erased between what is read here and what is written.
        let _pass = self.locks.enter().await?;
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
        self.interactions.replace("interaction_id", &rows).await?;
        // Facts may be the last that is written before the shell is left.
        self.sync(None).await
    }
}
