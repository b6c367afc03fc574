//! Scores search on labelled queries: shared by the test that keeps the floor and by the example that prints the table.

use std::collections::HashMap;
use std::path::Path;

use allm::conversation::Step;
use allm::embedder::{Lazy, Source};
use allm::store::{Filter, Interaction, Mode, Options, Scope, SearchQuery, Session, Store, Turn};
use allm::timeframe::{self, Zone};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Is one stored turn of the set.
#[derive(Deserialize)]
pub struct Stored {
    pub id: String,
    pub user: String,
    pub session: String,
    pub timestamp: DateTime<Utc>,
    pub query: String,
    pub response: String,
    /// What a tool returned on the way; of a long one the most has no vectors.
    #[serde(default)]
    pub observation: String,
    /// What it is called in queries; its id, where there is nothing.
    #[serde(default)]
    pub holds: Vec<String>,
}

/// Is one labelled query.
#[derive(Deserialize)]
pub struct Labelled {
    pub query: String,
    pub kind: String,
    /// What answers it, by id; none for a negative query.
    pub relevant: Vec<String>,
    #[serde(default)]
    pub filters: HashMap<String, String>,
}

/// Holds mean reciprocal rank within 10 and recall within 5 and 10 of one kind of query.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub queries: usize,
    pub mrr: f64,
    pub recall: f64,
    pub recall_at_10: f64,
}

/// Holds the figures by kind, and what negative queries came to.
#[derive(Debug, Default)]
pub struct Scores {
    pub by_kind: HashMap<String, Figures>,
    pub all: Figures,
    pub negative: usize,
    /// How many negative queries found nothing.
    pub silent: usize,
}

/// Holds a store with the turns of a set, and its queries.
pub struct Evaluation {
    store: Store,
    users: HashMap<String, String>,
    /// What each interaction holds.
    holds: HashMap<String, Vec<String>>,
    queries: Vec<Labelled>,
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

impl Evaluation {
    /// Records the set of a folder into a fresh store in `home`.
    pub async fn new(set: &Path, home: &Path) -> Result<Evaluation> {
        let stored = lines(&set.join("turns.jsonl"))?;
        Evaluation::of(stored, lines(&set.join("queries.jsonl"))?, home).await
    }

    /// Records turns into a fresh store in `home`.
    pub async fn of(set: Vec<Stored>, queries: Vec<Labelled>, home: &Path) -> Result<Evaluation> {
        let store = Store::open(Options::new(
            home,
            home.join("lancedb").display().to_string(),
            Lazy::new(Source::Bundled),
        ));
        let store = store.await?;
        let mut users = HashMap::new();
        let mut holds = HashMap::new();
        let mut turns = Vec::new();
        for stored in set {
            let held = match stored.holds.is_empty() {
                true => vec![stored.id.clone()],
                false => stored.holds,
            };
            holds.insert(stored.id.clone(), held);
            let user = store.ensure_user(&stored.user).await?;
            users.insert(stored.user.clone(), user.user_id.clone());
            let mut interaction =
                Interaction::begin(&stored.session, &stored.query, stored.timestamp);
            interaction.interaction_id = stored.id;
            interaction.response = stored.response;
            interaction.user_id.clone_from(&user.user_id);
            let step = Step {
                observation: stored.observation,
                success: true,
                started_at: stored.timestamp,
                ..Step::default()
            };
            turns.push(Turn {
                store: String::new(),
                uri: String::new(),
                username: stored.user,
                session: Session {
                    session_id: stored.session,
                    user_id: user.user_id,
                    ..Session::default()
                },
                interaction,
                steps: if step.observation.is_empty() {
                    Vec::new()
                } else {
                    vec![step]
                },
                requests: Vec::new(),
                quotes_only: false,
                quoting: Vec::new(),
                erasures: 0,
                redacted: 0,
            });
        }
        store.import(turns, true).await?;
        Ok(Evaluation {
            store,
            users,
            holds,
            queries,
        })
    }

    /// Returns the ids of what a query finds, best first.
    async fn find(
        &self,
        labelled: &Labelled,
        mode: Mode,
        floor: Option<f32>,
    ) -> Result<Vec<String>> {
        let scope = match labelled.filters.get("user") {
            Some(user) => Scope::User(self.users.get(user).cloned().unwrap_or_default()),
            None => Scope::Everyone,
        };
        let time = |name: &str| {
            let text = labelled.filters.get(name);
            text.map(|text| timeframe::from(text, Zone::default()))
                .transpose()
        };
        let filter = Filter::new(scope).within(time("from")?, time("to")?);
        let mut query = SearchQuery::new(labelled.query.clone(), filter, 10);
        query.mode = mode;
        query.min_score = floor;
        let found = self.store.search(&query).await?;
        Ok(found
            .hits
            .into_iter()
            .map(|hit| hit.interaction.interaction_id)
            .collect())
    }

    /// Runs every query; `floor` overrides what is worth showing.
    pub async fn run(&self, mode: Mode, floor: Option<f32>) -> Result<Scores> {
        let mut scores = Scores::default();
        for labelled in &self.queries {
            let found = self.find(labelled, mode, floor).await?;
            if labelled.relevant.is_empty() {
                scores.negative += 1;
                scores.silent += usize::from(found.is_empty());
                continue;
            }
            let found: Vec<&Vec<String>> = found.iter().map(|id| &self.holds[id]).collect();
            let is_in = |held: &&Vec<String>| held.iter().any(|id| labelled.relevant.contains(id));
            let rank = found.iter().position(is_in);
            let within = |first: usize| {
                let first = &found[..first.min(found.len())];
                let is_there = |id: &&String| first.iter().any(|held| held.contains(id));
                let there = labelled.relevant.iter().filter(is_there).count();
                count(there) / count(labelled.relevant.len())
            };
            let kind = scores.by_kind.entry(labelled.kind.clone()).or_default();
            for figures in [kind, &mut scores.all] {
                figures.queries += 1;
                figures.mrr += rank.map_or(0.0, |rank| 1.0 / count(rank + 1));
                figures.recall += within(5);
                figures.recall_at_10 += within(10);
            }
        }
        for figures in scores.by_kind.values_mut().chain([&mut scores.all]) {
            figures.mrr /= count(figures.queries);
            figures.recall /= count(figures.queries);
            figures.recall_at_10 /= count(figures.queries);
        }
        Ok(scores)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn count(number: usize) -> f64 {
    number as f64
}
