//! Everything out of the store, as JSON Lines: one row a line, nothing left out but vectors, which can be made again.

use std::collections::HashSet;
use std::io::BufRead;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::StreamExt;
use lancedb::expr::DfExpr;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::open::Store;
use crate::store::tables::context::{Sent, base};
use crate::store::tables::registry::SCHEMA_VERSION;
use crate::store::tables::{
    Filter, Interaction, Passage, ReactCycle, Record, Session, Table, User,
};
use crate::store::words::is_id;

/// The version of the lines.
pub const FORMAT: u64 = 1;
/// The columns that hold moments: numbers in the tables, RFC 3339 in the lines.
const MOMENTS: [&str; 3] = ["timestamp", "created_at", "last_active"];

/// Is one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Row {
    Allm(Header),
    User(User),
    Session(Session),
    Passage(Passage),
    ReactCycle(ReactCycle),
    Interaction(Interaction),
}

impl Row {
    /// Returns its ids, those of what it belongs to among them.
    fn ids(&self) -> Vec<&str> {
        match self {
            Row::Allm(_) => Vec::new(),
            Row::User(row) => vec![&row.user_id],
            Row::Session(row) => vec![&row.session_id, &row.user_id],
            Row::Interaction(row) => vec![&row.interaction_id, &row.session_id, &row.user_id],
            Row::ReactCycle(row) => vec![
                &row.react_id,
                &row.interaction_id,
                &row.session_id,
                &row.user_id,
            ],
            Row::Passage(row) => vec![
                &row.passage_id,
                &row.interaction_id,
                &row.session_id,
                &row.user_id,
            ],
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub format: u64,
    pub embedder: String,
    pub vectors: bool,
    /// The layout of the tables that the rows are from; absent in exports of before.
    #[serde(default)]
    pub layout: u64,
}

/// Counts rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moved {
    pub users: usize,
    pub sessions: usize,
    pub interactions: usize,
    pub react_cycles: usize,
    pub passages: usize,
    /// Rows that were there already.
    pub known: usize,
}

impl Store {
    /// Writes every row that the filter lets through, with the users and sessions they belong to, line by line.
    ///
    /// Memory does not grow with the history. Upkeep waits meanwhile, so that nothing that is read is tidied away.
    pub async fn export(
        &self,
        filter: &Filter,
        vectors: bool,
        write: &mut (dyn FnMut(&str) -> Result<()> + Send),
    ) -> Result<Moved> {
        let _no_upkeep = self.locks.untidied().await?;
        let _pass = self.locks.enter().await?;
        let mut moved = Moved::default();
        let mut say = |row: Row| -> Result<()> { write(&line(&row)?) };
        say(Row::Allm(Header {
            format: FORMAT,
            embedder: self.options.embedder.name(),
            vectors,
            layout: match self.is_behind.load(Ordering::SeqCst) {
                true => 0,
                false => SCHEMA_VERSION,
            },
        }))?;
        let (users, sessions) = self.owners(filter).await?;
        let everything = filter.is_whole();
        for user in self.list_users().await? {
            if users.contains(&user.user_id) || everything {
                moved.users += 1;
                say(Row::User(user))?;
            }
        }
        each(&self.sessions, filter.scope_expr(), |session| {
            if !sessions.contains(&session.session_id) && !everything {
                return Ok(());
            }
            moved.sessions += 1;
            say(Row::Session(session))
        })
        .await?;
        // The interaction is last, as it is when a turn is recorded: what is there without one is half a turn.
        each(&self.passages, filter.expr(), |mut passage| {
            if !filter.has(&passage.interaction_id) {
                return Ok(());
            }
            passage.embedding = passage.embedding.filter(|_| vectors);
            moved.passages += 1;
            say(Row::Passage(passage))
        })
        .await?;
        each(&self.react_cycles, filter.expr(), |mut cycle| {
            if !filter.has(&cycle.interaction_id) {
                return Ok(());
            }
            cycle.scratchpad_embedding = cycle.scratchpad_embedding.filter(|_| vectors);
            moved.react_cycles += 1;
            say(Row::ReactCycle(cycle))
        })
        .await?;
        let mut turns = std::pin::pin!(self.interactions.stream(filter.turns()).await?);
        while let Some(rows) = turns.next().await {
            let mut rows = rows?;
            if !everything {
                self.set_apart(filter, &mut rows).await?;
            }
            for mut turn in rows {
                turn.context_embedding = turn.context_embedding.filter(|_| vectors);
                moved.interactions += 1;
                say(Row::Interaction(turn))?;
            }
        }
        Ok(moved)
    }

    /// Lets the requests of turns stand by themselves where they extend those of a turn that the filter leaves out.
    async fn set_apart(&self, filter: &Filter, turns: &mut [Interaction]) -> Result<()> {
        let bases: Vec<_> = turns
            .iter()
            .map(|turn| base(&turn.context_verbatim))
            .collect();
        let ids: Vec<String> = bases.iter().flatten().cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let here = self.interactions.keys(Some(filter.turns_among(&ids)));
        let here: HashSet<String> = here.await?.into_iter().collect();
        // The turns of a conversation mostly follow each other.
        let mut sent = (String::new(), Sent::default());
        for (turn, base) in turns.iter_mut().zip(bases) {
            if base.is_none_or(|base| here.contains(&base)) {
                continue;
            }
            if sent.0 != turn.session_id {
                sent = (
                    turn.session_id.clone(),
                    self.sent(filter, [turn.session_id.as_str()]).await?,
                );
            }
            sent.1.set_apart(turn);
        }
        Ok(())
    }

    /// Returns the ids of the users and of the sessions that interactions belong to.
    async fn owners(&self, filter: &Filter) -> Result<(HashSet<String>, HashSet<String>)> {
        #[derive(Deserialize)]
        struct Owner {
            user_id: String,
            session_id: String,
        }
        let owners = self
            .interactions
            .columns::<Owner>(filter.turns(), &["user_id", "session_id"]);
        let owners = owners.await?.into_iter();
        Ok(owners
            .map(|owner| (owner.user_id, owner.session_id))
            .unzip())
    }
}

/// Hands over the rows of a table, some at a time.
async fn each<R: Record>(
    table: &Table<R>,
    filter: Option<DfExpr>,
    mut take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let mut batches = std::pin::pin!(table.stream(filter).await?);
    while let Some(rows) = batches.next().await {
        for row in rows? {
            take(row)?;
        }
    }
    Ok(())
}

fn line(row: &Row) -> Result<String> {
    let mut value = serde_json::to_value(row)?;
    for name in MOMENTS {
        if let Some(micros) = value[name].as_i64() {
            let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
            value[name] = json!(time.to_rfc3339_opts(SecondsFormat::Micros, true));
        }
    }
    Ok(value.to_string())
}

/// Reads a line.
///
/// # Errors
///
/// Fails also for ids that are none of ours: they name files, and are looked for by their beginning.
pub fn row(line: &str) -> Result<Row> {
    let mut value: Value = serde_json::from_str(line)?;
    for name in MOMENTS {
        if let Some(text) = value.get(name).and_then(Value::as_str) {
            let time = DateTime::parse_from_rfc3339(text)
                .with_context(|| format!("`{text}` is no time"))?;
            value[name] = json!(time.timestamp_micros());
        }
    }
    let row: Row = serde_json::from_value(value)?;
    if let Some(id) = row.ids().into_iter().find(|id| !is_id(id)) {
        bail!("`{}` is no id", id.escape_debug());
    }
    Ok(row)
}

/// Returns the sessions that were there before a moment and after it.
pub fn astride(lines: impl BufRead, moment: DateTime<Utc>) -> Result<HashSet<String>> {
    #[derive(Deserialize)]
    struct Turn {
        r#type: String,
        session_id: String,
        timestamp: DateTime<Utc>,
    }
    let (mut before, mut after) = (HashSet::new(), HashSet::new());
    for line in lines.lines() {
        let line = line.context("cannot read the export")?;
        let Ok(turn) = serde_json::from_str::<Turn>(&line) else {
            continue;
        };
        if turn.r#type == "interaction" {
            let side = match turn.timestamp < moment {
                true => &mut before,
                false => &mut after,
            };
            side.insert(turn.session_id);
        }
    }
    before.retain(|id| after.contains(id));
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::words::{new_id, now};

    // Finding L5.
    #[test]
    fn ids_that_are_none_of_ours_are_refused() {
        let row_of = |id: &str| {
            let line = json!({"type": "session", "session_id": id, "user_id": new_id()});
            row(&line.to_string()).map_err(|error| error.to_string())
        };
        assert!(row_of(&new_id()).is_ok());
        let upper = new_id().to_uppercase();
        for id in ["/tmp/x", "../x", "", "s", "a\u{1b}b", upper.as_str()] {
            let refused = row_of(id).unwrap_err();
            assert_eq!(refused, format!("`{}` is no id", id.escape_debug()));
        }
    }

    #[test]
    fn spoilt_rows_are_errors_and_nothing_worse() {
        let (user_id, session_id) = (new_id(), new_id());
        let interaction = Row::Interaction(Interaction {
            user_id: user_id.clone(),
            ..Interaction::begin(&session_id, "q", now())
        });
        let session = Row::Session(Session {
            session_id,
            user_id,
            ..Session::default()
        });
        let seeds = [line(&interaction).unwrap(), line(&session).unwrap()];
        assert!(seeds.iter().all(|seed| row(seed).is_ok()));
        let seeds = seeds.each_ref().map(String::as_str);
        crate::mutate::each(&seeds, |text| drop(row(text)));
    }
}
