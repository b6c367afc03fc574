//! An export, or a part of it, back into a store.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use lancedb::expr::{col, lit};

use super::Moved;
use super::dump::{FORMAT, Header, Row, astride, row};
use crate::store::open::Store;
use crate::store::tables::context::{Sent, base};
use crate::store::tables::registry::SCHEMA_VERSION;
use crate::store::tables::{
    Interaction, Me, Passage, ReactCycle, Record, Session, Table, User, one_of, username,
};
use crate::store::words::Hinted;

/// How many rows are written in one commit.
const BATCH: usize = 1_000;
/// How many commits leave the tables in need of upkeep.
const UPKEEP: usize = 32;

/// Says how an export is brought back.
#[derive(Debug)]
pub struct Restore<'r> {
    /// Who brings it back.
    pub me: Me<'r>,
    /// Whose all of it becomes; without one, everything stays whose it was.
    pub user: Option<String>,
    /// Only what was said from then on.
    pub since: Option<DateTime<Utc>>,
    /// Whether nothing is written.
    pub dry_run: bool,
}

/// Says whose the rows become.
enum Whose {
    /// They stay whose they were.
    Theirs,
    /// They stay whose they were, and are this user's alone.
    Only(String),
    /// They become this user's.
    All(String),
}

impl Store {
    /// Adds the rows of an export, which is read from its beginning each time that `open` is called. Rows that are there already are
    /// passed over, so that it can be done again.
    ///
    /// # Errors
    ///
    /// Names the line that is no row, or that may not be brought back. What stands before it is in the store.
    pub async fn restore<R: BufRead>(
        &self,
        open: impl Fn() -> Result<R>,
        how: Restore<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Moved> {
        // Two at once would both find that a row is not there.
        let _lock = match how.dry_run {
            true => None,
            false => Some(self.lock_imports()?),
        };
        let mut restoring = Restoring {
            whose: self.whose(&how).await?,
            astride: match how.since {
                Some(since) => astride(open()?, since)?,
                None => HashSet::new(),
            },
            store: self,
            how,
            cut: Vec::new(),
            wanted: HashSet::new(),
            is_behind: false,
            held: HashMap::new(),
            users: HashMap::new(),
            moved: Moved::default(),
            commits: 0,
            sessions: Vec::new(),
            passages: Vec::new(),
            cycles: Vec::new(),
            interactions: Vec::new(),
        };
        let mut begun = false;
        for (number, text) in (1..).zip(open()?.lines()) {
            let text = text.context("cannot read the export")?;
            if text.trim().is_empty() {
                continue;
            }
            let row = row(&text).with_context(|| format!("line {number} is no row"))?;
            if let Row::Allm(header) = &row {
                self.check(header)?;
                restoring.is_behind = header.layout < SCHEMA_VERSION;
                restoring.take_note().await?;
                begun = true;
            } else if !begun {
                bail!("the first line does not say that this is an export of allm");
            }
            let added = restoring.add(row).await;
            added.with_context(|| format!("cannot bring back line {number}"))?;
            if number % BATCH == 0 {
                progress(number);
            }
        }
        restoring.finish().await
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

    /// Says whose what is brought back may be. Whoever fills an empty store may bring back everything.
    async fn whose(&self, how: &Restore<'_>) -> Result<Whose> {
        if let Some(name) = &how.user {
            let mut owner = self.owner(how.me, name).await?;
            if !how.dry_run {
                self.ensure(how.me).await?;
                owner = self.ensure(owner.me()).await?;
            }
            return Ok(Whose::All(owner.user_id));
        }
        let users = self.users.all().await?;
        let me = users.find(how.me);
        if users.0.is_empty() || me.is_some_and(User::is_admin) {
            return Ok(Whose::Theirs);
        }
        Ok(Whose::Only(match how.dry_run {
            true => me.map_or(how.me.user_id, |me| &me.user_id).to_owned(),
            false => self.ensure(how.me).await?.user_id,
        }))
    }
}

struct Restoring<'s> {
    store: &'s Store,
    how: Restore<'s>,
    whose: Whose,
    /// The sessions that are brought back in part, and all of their turns: the requests of one extend those of another.
    astride: HashSet<String>,
    cut: Vec<Interaction>,
    /// The sessions that turns were brought back of, and those of which none was yet.
    wanted: HashSet<String>,
    held: HashMap<String, Session>,
    /// Whether the rows may lack what this program writes.
    is_behind: bool,
    /// What a user's id is here, where the user was there already.
    users: HashMap<String, String>,
    moved: Moved,
    commits: usize,
    sessions: Vec<Session>,
    passages: Vec<Passage>,
    cycles: Vec<ReactCycle>,
    interactions: Vec<Interaction>,
}

impl Restoring<'_> {
    /// Has upkeep look for rows that lack something.
    async fn take_note(&self) -> Result<()> {
        match self.is_behind && !self.how.dry_run {
            true => self.store.set_behind(true).await,
            false => Ok(()),
        }
    }

    async fn add(&mut self, row: Row) -> Result<()> {
        match row {
            Row::User(user) => self.user(user).await?,
            Row::Session(mut row) => {
                self.own(&mut row.user_id)?;
                // With a time, only those are wanted that something was said in from then on.
                if self.how.since.is_none() || self.wanted.contains(&row.session_id) {
                    self.sessions.push(row);
                } else {
                    self.held.insert(row.session_id.clone(), row);
                }
            }
            Row::Passage(mut row) if self.is_wanted(row.timestamp) => {
                self.own(&mut row.user_id)?;
                self.passages.push(row);
            }
            Row::ReactCycle(mut row) if self.is_wanted(row.timestamp) => {
                self.own(&mut row.user_id)?;
                self.cycles.push(row);
            }
            Row::Interaction(row) if self.astride.contains(&row.session_id) => self.cut.push(row),
            Row::Interaction(row) if self.is_wanted(row.timestamp) => self.turn(row)?,
            Row::Allm(_) | Row::Passage(_) | Row::ReactCycle(_) | Row::Interaction(_) => {}
        }
        self.flush_much().await
    }

    fn turn(&mut self, mut row: Interaction) -> Result<()> {
        self.own(&mut row.user_id)?;
        self.sessions.extend(self.held.remove(&row.session_id));
        self.wanted.insert(row.session_id.clone());
        self.interactions.push(row);
        Ok(())
    }

    fn is_wanted(&self, time: DateTime<Utc>) -> bool {
        self.how.since.is_none_or(|since| time >= since)
    }

    fn own(&self, user_id: &mut String) -> Result<()> {
        if let Whose::All(own) = &self.whose {
            user_id.clone_from(own);
        } else if let Some(here) = self.users.get(user_id) {
            user_id.clone_from(here);
        }
        match &self.whose {
            Whose::Only(own) if own != user_id => Err(self.refused()),
            _ => Ok(()),
        }
    }

    fn refused(&self) -> anyhow::Error {
        let me = self.how.me.username;
        anyhow::Error::new(Hinted {
            message: format!("`{me}` may not bring back what others said"),
            hint: format!("an admin may, and `--user {me}` makes it yours"),
        })
    }

    async fn user(&mut self, user: User) -> Result<()> {
        username(&user.username)?;
        let (store, me) = (self.store, self.how.me);
        if let Whose::All(_) = self.whose {
            return Ok(());
        }
        let pass = store.locks.enter().await?;
        let _rows = store.locks.rows(&pass).await?;
        let users = store.users.all().await?;
        let mut known = users.find(user.me()).map(|known| known.user_id.clone());
        if let Whose::Only(own) = &self.whose {
            // Who only tries it out may not be stored yet.
            if known.is_none() && user.username == me.username {
                known = Some(own.clone());
            }
            if known.as_ref() != Some(own) {
                return Err(self.refused());
            }
        }
        if let Some(known) = known {
            self.moved.known += 1;
            self.users.insert(user.user_id, known);
            return Ok(());
        }
        self.moved.users += 1;
        match self.how.dry_run {
            true => Ok(()),
            false => store.users.add(&[user]).await,
        }
    }

    /// Writes what waits, if it is as much as is written at once.
    async fn flush_much(&mut self) -> Result<()> {
        match self.waiting() >= BATCH {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    fn waiting(&self) -> usize {
        let said = self.sessions.len() + self.interactions.len();
        said + self.passages.len() + self.cycles.len()
    }

    /// Writes what waits; interactions last, as when a turn is recorded.
    async fn flush(&mut self) -> Result<()> {
        if self.waiting() == 0 {
            return Ok(());
        }
        self.keep_apart().await?;
        let (store, moved, write) = (self.store, &mut self.moved, !self.how.dry_run);
        let known = &mut moved.known;
        moved.sessions += add(&store.sessions, &mut self.sessions, known, write).await?;
        moved.passages += add(&store.passages, &mut self.passages, known, write).await?;
        moved.react_cycles += add(&store.react_cycles, &mut self.cycles, known, write).await?;
        moved.interactions +=
            add(&store.interactions, &mut self.interactions, known, write).await?;
        self.commits += 1;
        if write && self.commits.is_multiple_of(UPKEEP) {
            // Upkeep that meets another writer fails and costs nothing: the next round does it.
            drop(store.maintain().await);
        }
        Ok(())
    }

    /// Makes sure that what becomes one user's joins nothing of another's.
    async fn keep_apart(&self) -> Result<()> {
        let (Whose::Only(own) | Whose::All(own)) = &self.whose else {
            return Ok(());
        };
        let (mut sessions, mut turns) = (HashSet::new(), HashSet::new());
        sessions.extend(self.sessions.iter().map(|row| row.session_id.as_str()));
        for row in &self.passages {
            sessions.insert(&row.session_id);
            turns.insert(row.interaction_id.as_str());
        }
        for row in &self.cycles {
            sessions.insert(&row.session_id);
            turns.insert(&row.interaction_id);
        }
        for row in &self.interactions {
            sessions.insert(&row.session_id);
            turns.insert(&row.interaction_id);
        }
        must_be_own(&self.store.sessions, sessions, own).await?;
        must_be_own(&self.store.interactions, turns, own).await
    }

    /// Brings back the turns of sessions that are brought back in part, and writes what waits.
    async fn finish(mut self) -> Result<Moved> {
        let cut = std::mem::take(&mut self.cut);
        let packed =
            |turn: &Interaction| (turn.interaction_id.clone(), turn.context_verbatim.clone());
        let sent: Sent = cut.iter().map(packed).collect();
        let (wanted, left): (Vec<_>, Vec<_>) = cut
            .into_iter()
            .partition(|turn| self.is_wanted(turn.timestamp));
        let left: HashSet<String> = left.into_iter().map(|turn| turn.interaction_id).collect();
        for mut turn in wanted {
            if base(&turn.context_verbatim).is_some_and(|base| left.contains(&base)) {
                sent.set_apart(&mut turn);
            }
            self.turn(turn)?;
            self.flush_much().await?;
        }
        self.flush().await?;
        // It may have looked already when there were only some of them.
        self.take_note().await?;
        self.store.sync(None).await?;
        Ok(self.moved)
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

async fn must_be_own<R: Record>(table: &Table<R>, ids: HashSet<&str>, own: &str) -> Result<()> {
    let others = one_of(R::KEY, ids).and(col("user_id").not_eq(lit(own)));
    match table.keys(Some(others)).await?.first() {
        Some(id) => bail!("`{id}` of the {} is another user's here", R::NAME),
        None => Ok(()),
    }
}
