//! Everything out of the store and back into it, as JSON Lines: one row a line, nothing left out but vectors, which can be made again.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat};
use futures::StreamExt;
use lancedb::expr::{DfExpr, col, is_in, lit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Store;
use super::filter::Filter;
use super::interaction::Interaction;
use super::passage::Passage;
use super::react_cycle::ReactCycle;
use super::session::Session;
use super::table::{Record, Table};
use super::user::User;

/// The version of the lines.
const FORMAT: u64 = 1;
/// How many rows are written in one commit.
const BATCH: usize = 1_000;
/// The columns that hold moments: numbers in the tables, RFC 3339 in the lines.
const MOMENTS: [&str; 3] = ["timestamp", "created_at", "last_active"];

/// Is one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Row {
    Allm(Header),
    User(User),
    Session(Session),
    Passage(Passage),
    ReactCycle(ReactCycle),
    Interaction(Interaction),
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u64,
    embedder: String,
    vectors: bool,
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

/// Is a row that has an id.
trait Keyed: Record {
    const KEY: &'static str;
    fn key(&self) -> &str;
}

macro_rules! keyed {
    ($($row:ty: $key:ident),*) => {$(
        impl Keyed for $row {
            const KEY: &'static str = stringify!($key);
            fn key(&self) -> &str {
                &self.$key
            }
        }
    )*};
}
keyed!(User: user_id, Session: session_id, Interaction: interaction_id, ReactCycle: react_id, Passage: passage_id);

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
        let _no_upkeep = self.lock_upkeep().await?;
        let _pass = self.gate.enter().await;
        let mut moved = Moved::default();
        let mut say = |row: Row| -> Result<()> { write(&line(&row)?) };
        say(Row::Allm(Header {
            format: FORMAT,
            embedder: self.options.embedder.name(),
            vectors,
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
            passage.embedding = passage.embedding.filter(|_| vectors);
            moved.passages += 1;
            say(Row::Passage(passage))
        })
        .await?;
        each(&self.react_cycles, filter.expr(), |mut cycle| {
            cycle.scratchpad_embedding = cycle.scratchpad_embedding.filter(|_| vectors);
            moved.react_cycles += 1;
            say(Row::ReactCycle(cycle))
        })
        .await?;
        each(&self.interactions, filter.expr(), |mut turn| {
            turn.context_embedding = turn.context_embedding.filter(|_| vectors);
            moved.interactions += 1;
            say(Row::Interaction(turn))
        })
        .await?;
        Ok(moved)
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
            .columns::<Owner>(filter.expr(), &["user_id", "session_id"]);
        let owners = owners.await?.into_iter();
        Ok(owners
            .map(|owner| (owner.user_id, owner.session_id))
            .unzip())
    }

    /// Adds the rows of an export. Rows that are there already are passed over, so that it can be done again.
    ///
    /// # Errors
    ///
    /// Names the line that is no row. What stands before it is in the store.
    pub async fn restore(
        &self,
        lines: impl BufRead,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Moved> {
        let mut restoring = Restoring {
            store: self,
            users: HashMap::new(),
            moved: Moved::default(),
            sessions: Vec::new(),
            passages: Vec::new(),
            cycles: Vec::new(),
            interactions: Vec::new(),
        };
        let mut begun = false;
        for (number, text) in lines.lines().enumerate() {
            let text = text.context("cannot read the export")?;
            if text.trim().is_empty() {
                continue;
            }
            let row = row(&text).with_context(|| format!("line {} is no row", number + 1))?;
            if let Row::Allm(header) = &row {
                self.check(header)?;
                begun = true;
            } else if !begun {
                bail!("the first line does not say that this is an export of allm");
            }
            restoring.add(row).await?;
            if number % BATCH == 0 {
                progress(number);
            }
        }
        restoring.flush(0).await?;
        self.sync(None).await?;
        Ok(restoring.moved)
    }

    fn check(&self, header: &Header) -> Result<()> {
        if header.format != FORMAT {
            bail!(
                "the export has format {}, and this program reads {FORMAT}",
                header.format
            );
        }
        let own = self.options.embedder.name();
        if header.vectors && header.embedder != own {
            bail!(
                "its vectors were made with the embedding model `{}`, not with `{own}`: export it without --vectors",
                header.embedder
            );
        }
        Ok(())
    }
}

struct Restoring<'s> {
    store: &'s Store,
    /// What a user's id is here, where the name was there already.
    users: HashMap<String, String>,
    moved: Moved,
    sessions: Vec<Session>,
    passages: Vec<Passage>,
    cycles: Vec<ReactCycle>,
    interactions: Vec<Interaction>,
}

impl Restoring<'_> {
    async fn add(&mut self, row: Row) -> Result<()> {
        match row {
            Row::Allm(_) => {}
            Row::User(user) => self.user(user).await?,
            Row::Session(mut row) => {
                self.own(&mut row.user_id);
                self.sessions.push(row);
            }
            Row::Passage(mut row) => {
                self.own(&mut row.user_id);
                self.passages.push(row);
            }
            Row::ReactCycle(mut row) => {
                self.own(&mut row.user_id);
                self.cycles.push(row);
            }
            Row::Interaction(mut row) => {
                self.own(&mut row.user_id);
                self.interactions.push(row);
            }
        }
        self.flush(BATCH).await
    }

    fn own(&self, user_id: &mut String) {
        if let Some(own) = self.users.get(user_id) {
            user_id.clone_from(own);
        }
    }

    async fn user(&mut self, user: User) -> Result<()> {
        let store = self.store;
        let _lock = store.lock()?;
        match store.user(&user.username).await? {
            Some(known) => {
                self.moved.known += 1;
                self.users.insert(user.user_id, known.user_id);
            }
            None => {
                self.moved.users += add(&store.users, vec![user], &mut self.moved.known).await?;
            }
        }
        Ok(())
    }

    /// Writes the rows of every table that has at least so many waiting.
    async fn flush(&mut self, least: usize) -> Result<()> {
        let (store, moved) = (self.store, &mut self.moved);
        macro_rules! flush {
            ($($rows:ident: $table:ident),*) => {$(
                if self.$rows.len() >= least.max(1) {
                    let rows = std::mem::take(&mut self.$rows);
                    moved.$table += add(&store.$table, rows, &mut moved.known).await?;
                }
            )*};
        }
        flush!(sessions: sessions, passages: passages, cycles: react_cycles, interactions: interactions);
        Ok(())
    }
}

/// Adds the rows that are not there, and returns how many.
async fn add<R: Keyed>(table: &Table<R>, mut rows: Vec<R>, known: &mut usize) -> Result<usize> {
    #[derive(Deserialize)]
    struct Id {
        #[serde(
            alias = "user_id",
            alias = "session_id",
            alias = "interaction_id",
            alias = "react_id",
            alias = "passage_id"
        )]
        id: String,
    }
    let ids = rows.iter().map(|row| lit(row.key())).collect();
    let these = is_in(col(R::KEY), ids);
    let there: Vec<Id> = table.columns(Some(these), &[R::KEY]).await?;
    let mut there: HashSet<String> = there.into_iter().map(|row| row.id).collect();
    let all = rows.len();
    rows.retain(|row| there.insert(row.key().to_owned()));
    *known += all - rows.len();
    table.add(&rows).await?;
    Ok(rows.len())
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

fn row(line: &str) -> Result<Row> {
    let mut value: Value = serde_json::from_str(line)?;
    for name in MOMENTS {
        if let Some(text) = value.get(name).and_then(Value::as_str) {
            let time = DateTime::parse_from_rfc3339(text)
                .with_context(|| format!("`{text}` is no time"))?;
            value[name] = json!(time.timestamp_micros());
        }
    }
    Ok(serde_json::from_value(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_rows_are_errors_and_nothing_worse() {
        let interaction = Row::Interaction(Interaction::begin("s", "q", super::super::now()));
        let session = Row::Session(Session::default());
        let seeds = [line(&interaction).unwrap(), line(&session).unwrap()];
        assert!(seeds.iter().all(|seed| row(seed).is_ok()));
        let seeds = seeds.each_ref().map(String::as_str);
        crate::mutate::each(&seeds, |text| drop(row(text)));
    }
}
