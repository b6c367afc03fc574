//! Puts the requests of a turn together as they were sent.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use lancedb::expr::{col, lit};

use crate::store::open::Store;
use crate::store::tables::Filter;
use crate::store::tables::context::{Packed, unpack};

impl Store {
    /// Returns the exact bodies of the requests of an interaction, in the order they were sent.
    pub async fn context(
        &self,
        filter: &Filter,
        session_id: &str,
        interaction_id: &str,
    ) -> Result<Vec<String>> {
        let session = col("session_id").eq(lit(session_id));
        let scope = filter
            .scope_expr()
            .map_or(session.clone(), |scope| scope.and(session));
        let rows = self
            .interactions
            .select(
                Some(scope),
                &["interaction_id", "context_verbatim"],
                None,
                None,
            )
            .await?;
        let packed: HashMap<String, String> = rows
            .into_iter()
            .map(|row| (row.interaction_id, row.context_verbatim))
            .collect();
        // Follow the references back to a request that stands by itself, then build up from there.
        let mut chain: Vec<Vec<Packed>> = Vec::new();
        let mut next = Some(interaction_id.to_owned());
        while let Some(id) = next {
            let text = packed.get(&id).with_context(|| {
                format!("the request of interaction `{id}`, which this one extends, is gone")
            })?;
            let requests: Vec<Packed> = serde_json::from_str(text)
                .with_context(|| format!("cannot read the context of `{id}`"))?;
            next = requests.first().and_then(|request| request.base.clone());
            chain.push(requests);
            anyhow::ensure!(
                chain.len() <= packed.len(),
                "the contexts of session `{session_id}` refer to each other in a circle"
            );
        }
        let mut bodies: Vec<String> = Vec::new();
        for requests in chain.iter().rev() {
            bodies = unpack(requests, bodies.last().map(String::as_str))?;
        }
        Ok(bodies)
    }
}
