//! The history as one user may see it, and the tool that lets a model search it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::conversation::{ToolSpec, cut};
use crate::store::{Backlog, Filter, Hit, Me, SearchQuery, Store, User, Whom};
use crate::timeframe::{self, Zone};
use crate::tools::{Tool, read, spec};

/// Is the history as one user may see it.
#[derive(Clone)]
pub struct Memory {
    pub store: Arc<Store>,
    /// Who they are; the name is the one of when it was looked up last.
    pub user_id: String,
    /// What was said and is on its way into the store.
    pub backlog: Backlog,
    pub username: String,
    /// In which times are read and shown.
    pub zone: Zone,
    /// How many results a search shows when nobody says.
    pub limit: usize,
}

impl Memory {
    /// Returns who the user is.
    pub fn me(&self) -> Me<'_> {
        Me {
            user_id: &self.user_id,
            username: &self.username,
        }
    }

    /// Looks for a text in every way and everywhere, with times as they are here.
    pub fn query(&self, text: &str, filter: Filter, limit: usize) -> SearchQuery {
        let mut query = SearchQuery::new(text, filter, limit);
        query.zone = self.zone;
        query
    }

    /// Looks up who the user is now: another shell may have given them another name, or have made them first. A name is not worth
    /// waiting for whoever has the tables.
    pub(super) async fn found(&self) -> Option<User> {
        const PATIENCE: Duration = Duration::from_millis(100);
        let found = tokio::time::timeout(PATIENCE, self.store.find(self.me())).await;
        found.ok()?.ok()?
    }

    /// Takes note of who the user is now, if that was found out.
    pub(super) fn know(&mut self, user: Option<User>) {
        if let Some(user) = user {
            self.user_id = user.user_id;
            self.username = user.username;
        }
    }

    /// Returns the filter for the user's own history, or for others' when that is allowed.
    pub async fn filter(
        &self,
        whom: Whom<'_>,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<Filter> {
        let scope = self.store.scope(self.me(), whom).await?;
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
pub struct SearchMemory {
    memory: Memory,
    /// The conversation that is left out: the model is told of it anyway.
    told: Option<String>,
}

/// How much of a question is shown beside the passage that matched, in characters.
const LONGEST_QUERY: usize = 1_000;
/// How many passages a model is shown when it does not say, and at most.
const SHOWN: usize = 5;
const MOST: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    query: String,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
}

impl SearchMemory {
    /// The name of the tool. What it returns only quotes the history.
    pub const NAME: &str = "search_memory";

    /// Returns the tool that searches all of a history.
    pub fn new(memory: Memory) -> SearchMemory {
        SearchMemory { memory, told: None }
    }

    /// Returns the tool that leaves out one conversation.
    pub fn except(memory: Memory, session_id: &str) -> SearchMemory {
        SearchMemory {
            memory,
            told: Some(session_id.to_owned()),
        }
    }
}

impl Tool for SearchMemory {
    fn spec(&self) -> ToolSpec {
        let text = |description: &str| json!({"type": "string", "description": description});
        spec(
            SearchMemory::NAME,
            "Search what the user and you said in past conversations, by meaning and by words.",
            json!({
                "query": text("What to look for."),
                "from": text("Leave out what was said before this date or time, for example 2025-09-15 or 2025-09-15T10:00."),
                "to": text("Leave out what was said after this date or time."),
                "limit": {"type": "integer", "description": format!("How many results, {SHOWN} if left out.")},
            }),
            &["query"],
        )
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let arguments: Arguments = read(&arguments)?;
            self.memory.backlog.rows().await;
            let zone = self.memory.zone;
            let (from, to) = (arguments.from.as_deref(), arguments.to.as_deref());
            let (from, until) = timeframe::bounds(from, to, zone)?;
            let mut filter = self.memory.filter(Whom::Me, from, until).await?;
            if let Some(session_id) = &self.told {
                filter = filter.except_session(session_id);
            }
            let limit = arguments.limit.unwrap_or(SHOWN).clamp(1, MOST);
            let mut query = self.memory.query(&arguments.query, filter, limit);
            query.ignore = Some(arguments.query);
            let hit = |hit: Hit| {
                let (interaction, matched) = (hit.interaction, hit.matched?);
                Some(json!({
                    "interaction_id": interaction.interaction_id,
                    "date": zone.local(interaction.timestamp).format("%Y-%m-%d %H:%M").to_string(),
                    // The passage is what counts; a pasted file would drown it.
                    "query": cut(&interaction.query, LONGEST_QUERY),
                    "source": matched.source,
                    "passage": matched.text,
                    "similarity": hit.similarity,
                }))
            };
            let hits = self.memory.store.search(&query).await?.hits;
            let hits: Vec<Value> = hits.into_iter().filter_map(hit).collect();
            Ok(json!({"hits": hits}).to_string())
        })
    }
}
