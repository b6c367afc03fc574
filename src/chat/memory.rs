//! The history as one user may see it, and the tool that lets a model search it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Local, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::conversation::ToolSpec;
use crate::store::{Filter, Hit, SearchQuery, Store};
use crate::tools::Tool;

/// Is the history as one user may see it.
#[derive(Clone)]
pub struct Memory {
    pub store: Arc<Store>,
    pub username: String,
    /// How many results a search shows when nobody says.
    pub limit: usize,
}

impl Memory {
    /// Returns the filter for the user's own history, or for another user's when that is allowed.
    pub async fn filter(
        &self,
        user: Option<&str>,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<Filter> {
        let scope = self.store.scope(&self.username, user).await?;
        Ok(Filter::new(scope).within(from, until))
    }

    /// Returns the names of the users, by id.
    pub async fn names(&self) -> Result<HashMap<String, String>> {
        Ok(self
            .store
            .list_users()
            .await?
            .into_iter()
            .map(|user| (user.user_id, user.username))
            .collect())
    }
}

/// Lets a model search the history.
pub struct SearchMemory(pub Memory);

/// How many passages a model is shown.
const SHOWN: usize = 5;

impl Tool for SearchMemory {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "search_memory".to_owned(),
            description: "Search what the user and you said in past conversations, by meaning."
                .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {"query": {"type": "string", "description": "What to look for."}},
                "required": ["query"],
            }),
        }
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let text = arguments["query"]
                .as_str()
                .context("`query` is missing")?
                .to_owned();
            let filter = self.0.filter(None, None, None).await?;
            let query = SearchQuery {
                text: text.clone(),
                filter,
                limit: SHOWN,
                ignore: Some(text),
            };
            let hit = |hit: Hit| {
                let (interaction, matched) = (hit.interaction, hit.matched?);
                Some(json!({
                    "interaction_id": interaction.interaction_id,
                    "date": interaction.timestamp.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string(),
                    "query": interaction.query,
                    "source": matched.source,
                    "passage": matched.text,
                    "similarity": hit.similarity,
                }))
            };
            let hits = self.0.store.search(&query).await?;
            let hits: Vec<Value> = hits.into_iter().filter_map(hit).collect();
            Ok(json!({"hits": hits}).to_string())
        })
    }
}
