//! Facts that a model has drawn from an interaction: kept with it, and found like anything else that was said.

use anyhow::{Context, Result};
use lancedb::expr::{col, lit};

use super::passages::Places;
use crate::conversation::Usage;
use crate::store::open::Store;
use crate::store::tables::Origin;

impl Store {
    /// Adds the facts of an interaction that is stored, and what it cost to draw them.
    pub async fn add_facts(
        &self,
        interaction_id: &str,
        facts: &[String],
        cost: Option<Usage>,
    ) -> Result<()> {
        if facts.is_empty() && cost.is_none() {
            return Ok(());
        }
        let facts: Vec<String> = facts.iter().map(|fact| self.cleaned_text(fact)).collect();
        // Nothing is erased between what is read here and what is written.
        let _pass = self.locks.enter().await?;
        let pieces = self.cut(facts.clone()).await?;
        let this = || col("interaction_id").eq(lit(interaction_id));
        let known = col("source").eq(lit(Origin::Fact.as_str()));
        let known = self.passages.count(Some(this().and(known))).await?;
        let mut rows = self.interactions.whole(this()).await?;
        let interaction = rows
            .first_mut()
            .context("the interaction of the facts is not stored")?;
        interaction.facts_extracted.extend(facts);
        if let Some(cost) = cost {
            let mut usage = interaction.usage().unwrap_or_default();
            usage += cost;
            interaction.token_usage = serde_json::to_string(&usage)?;
        }
        let mut places = Places::after(Origin::Fact, known);
        let fill = |pieces| places.fill(interaction, Origin::Fact, pieces);
        let mut passages: Vec<_> = pieces.into_iter().flat_map(fill).collect();
        self.embed(passages.iter_mut()).await?;
        if !passages.is_empty() {
            self.passages.add(&passages).await?;
        }
        self.interactions.replace(&rows).await?;
        // Facts may be the last that is written before the shell is left.
        self.sync(None).await
    }
}
