//! An export, or a part of it, back into a store.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};

use super::Moved;
use super::dump::{FORMAT, Header, Row, row};
use crate::store::open::Store;
use crate::store::tables::{
    Interaction, Passage, ReactCycle, Record, Session, Table, User, one_of,
};

/// How many rows are written in one commit.
const BATCH: usize = 1_000;

/// Says how an export is brought back.
#[derive(Debug, Default)]
pub struct Restore {
    /// Whose all of it becomes; without one, everything stays whose it was.
    pub user: Option<String>,
    /// Only what was said from then on.
    pub since: Option<DateTime<Utc>>,
    /// Whether nothing is written.
    pub dry_run: bool,
}

impl Store {
    /// Adds the rows of an export. Rows that are there already are passed over, so that it can be done again.
    ///
    /// # Errors
    ///
    /// Names the line that is no row. What stands before it is in the store.
    pub async fn restore(
        &self,
        lines: impl BufRead,
        how: Restore,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Moved> {
        let owner = match &how.user {
            Some(name) if !how.dry_run => Some(self.ensure_user(name).await?.user_id),
            _ => None,
        };
        let mut restoring = Restoring {
            store: self,
            how,
            owner,
            wanted: HashSet::new(),
            held: HashMap::new(),
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
    how: Restore,
    /// Whose all of it becomes.
    owner: Option<String>,
    /// The sessions that turns were brought back of, and those of which none was yet.
    wanted: HashSet<String>,
    held: HashMap<String, Session>,
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
            Row::User(user) => self.user(user).await?,
            Row::Session(mut row) => {
                self.own(&mut row.user_id);
                // With a time, only those are wanted that something was said in from then on.
                if self.how.since.is_none() || self.wanted.contains(&row.session_id) {
                    self.sessions.push(row);
                } else {
                    self.held.insert(row.session_id.clone(), row);
                }
            }
            Row::Passage(mut row) if self.is_wanted(row.timestamp) => {
                self.own(&mut row.user_id);
                self.passages.push(row);
            }
            Row::ReactCycle(mut row) if self.is_wanted(row.timestamp) => {
                self.own(&mut row.user_id);
                self.cycles.push(row);
            }
            Row::Interaction(mut row) if self.is_wanted(row.timestamp) => {
                self.own(&mut row.user_id);
                self.sessions.extend(self.held.remove(&row.session_id));
                self.wanted.insert(row.session_id.clone());
                self.interactions.push(row);
            }
            Row::Allm(_) | Row::Passage(_) | Row::ReactCycle(_) | Row::Interaction(_) => {}
        }
        self.flush(BATCH).await
    }

    fn is_wanted(&self, time: DateTime<Utc>) -> bool {
        self.how.since.is_none_or(|since| time >= since)
    }

    fn own(&self, user_id: &mut String) {
        if let Some(own) = self.owner.as_ref().or_else(|| self.users.get(user_id)) {
            user_id.clone_from(own);
        }
    }

    async fn user(&mut self, user: User) -> Result<()> {
        let store = self.store;
        if self.how.user.is_some() {
            return Ok(());
        }
        let pass = store.locks.enter().await?;
        let _rows = store.locks.rows(&pass).await?;
        if let Some(known) = store.user(&user.username).await? {
            self.moved.known += 1;
            self.users.insert(user.user_id, known.user_id);
            return Ok(());
        }
        let write = !self.how.dry_run;
        let known = &mut self.moved.known;
        self.moved.users += add(&store.users, &mut vec![user], known, write).await?;
        Ok(())
    }

    /// Writes the rows of every table that has at least so many waiting.
    async fn flush(&mut self, least: usize) -> Result<()> {
        let (store, moved, write) = (self.store, &mut self.moved, !self.how.dry_run);
        let known = &mut moved.known;
        if self.sessions.len() >= least {
            moved.sessions += add(&store.sessions, &mut self.sessions, known, write).await?;
        }
        if self.passages.len() >= least {
            moved.passages += add(&store.passages, &mut self.passages, known, write).await?;
        }
        if self.cycles.len() >= least {
            moved.react_cycles += add(&store.react_cycles, &mut self.cycles, known, write).await?;
        }
        if self.interactions.len() >= least {
            let turns = &mut self.interactions;
            moved.interactions += add(&store.interactions, turns, known, write).await?;
        }
        Ok(())
    }
}

/// Adds the rows that are not there, or only counts them, and returns how many.
async fn add<R: Record>(
    table: &Table<R>,
    rows: &mut Vec<R>,
    known: &mut usize,
    write: bool,
) -> Result<usize> {
    let mut rows = std::mem::take(rows);
    if rows.is_empty() {
        return Ok(0);
    }
    let these = one_of(R::KEY, rows.iter().map(Record::key));
    let mut there: HashSet<String> = table.keys(Some(these)).await?.into_iter().collect();
    let all = rows.len();
    rows.retain(|row| there.insert(row.key().to_owned()));
    *known += all - rows.len();
    if write {
        table.add(&rows).await?;
    }
    Ok(rows.len())
}
