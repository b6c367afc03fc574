//! Adds turns up by model, user, session, day or tool.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::conversation::{Status, Usage};
use crate::store::open::Store;
use crate::store::tables::Filter;

/// Says by what turns are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    Model,
    User,
    Session,
    Day,
    Tool,
}

impl By {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Model => "model",
            By::User => "user",
            By::Session => "session",
            By::Day => "day",
            By::Tool => "tool",
        }
    }
}

/// Holds what the turns of one group add up to; of a tool, its calls.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Group {
    /// A model's or a tool's name, a user's or a session's id, or a day.
    pub key: String,
    pub count: usize,
    /// How many did not end well.
    pub failed: usize,
    #[serde(flatten)]
    pub usage: Usage,
    /// The middle of the durations, in milliseconds, and what 19 of 20 stay below.
    pub p50_ms: i64,
    pub p95_ms: i64,
    #[serde(skip)]
    durations: Vec<i64>,
}

impl Group {
    fn add(&mut self, duration: i64, ended_well: bool, usage: Option<Usage>) {
        self.count += 1;
        self.failed += usize::from(!ended_well);
        self.usage += usage.unwrap_or_default();
        self.durations.push(duration);
    }

    fn finish(mut self, key: String) -> Group {
        self.key = key;
        self.durations.sort_unstable();
        let at = |percent: usize| {
            let index = (self.durations.len() * percent).div_ceil(100).max(1) - 1;
            self.durations.get(index).copied().unwrap_or_default()
        };
        (self.p50_ms, self.p95_ms) = (at(50), at(95));
        self
    }
}

/// Is what counts of a turn.
#[derive(Deserialize)]
struct Turn {
    #[serde(default, alias = "model", alias = "user_id", alias = "session_id")]
    key: String,
    /// In microseconds.
    #[serde(default)]
    timestamp: Option<i64>,
    token_usage: String,
    duration_ms: i64,
    status: Status,
}

/// Holds the steps of a turn, as JSON text.
#[derive(Deserialize)]
struct Cycle {
    interaction_id: String,
    scratchpad: String,
}

/// Is what counts of a step; what was observed is passed over.
#[derive(Deserialize)]
struct Acted {
    action: Option<Named>,
    success: bool,
    duration_ms: i64,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What the steps that cannot be read are counted as.
const UNREADABLE: &str = "(cannot be read)";

impl Store {
    /// Adds up the turns within the filter; `day` names the day of a moment. Days in order, else the largest group first.
    pub async fn groups(
        &self,
        filter: &Filter,
        by: By,
        day: impl Fn(DateTime<Utc>) -> String,
    ) -> Result<Vec<Group>> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        if by == By::Tool {
            let take = |cycle: Cycle| {
                if !filter.has(&cycle.interaction_id) {
                    return Ok(());
                }
                let Ok(steps) = serde_json::from_str::<Vec<Acted>>(&cycle.scratchpad) else {
                    groups
                        .entry(UNREADABLE.to_owned())
                        .or_default()
                        .add(0, false, None);
                    return Ok(());
                };
                for step in steps {
                    let Some(action) = step.action else { continue };
                    let group = groups.entry(action.name).or_default();
                    group.add(step.duration_ms, step.success, None);
                }
                Ok(())
            };
            self.react_cycles
                .each(filter.expr(), &["interaction_id", "scratchpad"], take)
                .await?;
        } else {
            let key = match by {
                By::Model => "model",
                By::User => "user_id",
                By::Session => "session_id",
                By::Day | By::Tool => "timestamp",
            };
            let columns = [key, "token_usage", "duration_ms", "status"];
            let take = |turn: Turn| {
                let key = match turn.timestamp {
                    Some(micros) => {
                        day(DateTime::from_timestamp_micros(micros).unwrap_or_default())
                    }
                    None => turn.key,
                };
                let (usage, ended_well) = (
                    Usage::parse(&turn.token_usage),
                    turn.status == Status::Completed,
                );
                let group = groups.entry(key).or_default();
                group.add(turn.duration_ms, ended_well, usage);
                Ok(())
            };
            self.interactions
                .each(filter.turns(), &columns, take)
                .await?;
        }
        let groups = groups.into_iter().map(|(key, group)| group.finish(key));
        let mut groups: Vec<Group> = groups.collect();
        if by != By::Day {
            groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        }
        Ok(groups)
    }
}
