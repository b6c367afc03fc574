//! Examines a store, also one that does not open, and repairs what can be.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use lancedb::expr::{col, lit};
use lancedb::index::IndexType;
use lancedb::index::scalar::FullTextSearchQuery;
use lancedb::query::{ExecutableQuery, QueryBase};
use serde::Serialize;

use super::reading::{Fault, fault};
use super::torn::tables;
use crate::conversation::counted;
use crate::store::open::{Options, Store};
use crate::store::tables::{Filter, Record, Scope, Table};
use crate::store::words::Hinted;
use crate::store::writing::journal::{self, Orphan};

/// Says how something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Fine,
    /// Not as it should be, and nothing is lost by it.
    Odd,
    Wrong,
    Fixed,
}

/// Is what was found out about one thing.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub what: String,
    pub state: State,
    pub detail: String,
}

impl Finding {
    /// Returns a finding.
    pub fn new(what: &str, state: State, detail: impl Into<String>) -> Finding {
        Finding {
            what: what.to_owned(),
            state,
            detail: detail.into(),
        }
    }
}

/// Answers a question for the person.
pub type Agree<'a> = &'a dyn Fn(&str) -> bool;

/// Examines the home, the journal and the tables. With `fix` it repairs what costs nothing, and the rest where `agree` says so; else it
/// changes nothing.
pub async fn examine(mut options: Options, fix: bool, agree: Agree<'_>) -> Vec<Finding> {
    let mut findings = vec![found("home", permissions(&options.home, fix))];
    if !options.home.is_dir() || options.is_local() && !Path::new(&options.uri).is_dir() {
        findings.push(Finding::new("tables", State::Fine, "nothing is stored yet"));
        return findings;
    }
    let store = match tables(&mut options, fix, agree, &mut findings).await {
        Ok(true) if fix => Store::open(options).await.map(Some),
        Ok(true) => Store::connect(options).await.map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    match store {
        Ok(Some(store)) => {
            findings.push(found("layout", store.layout(fix).await));
            findings.push(found("removal", store.removals().await));
            findings.push(found("journal", store.journal(fix).await));
            findings.push(found("indices", store.indices(fix).await));
            findings.push(found("rows", store.rows(fix).await));
            findings.push(found("vectors", store.vectors(fix).await));
        }
        Ok(None) => {
            let detail = "not looked at: some tables cannot be read";
            findings.push(Finding::new("store", State::Odd, detail));
        }
        Err(error) => findings.push(Finding::new("store", State::Wrong, said(&error))),
    }
    findings
}

/// Makes a finding of a check that could not be done.
fn found(what: &str, checked: Result<Finding>) -> Finding {
    checked.unwrap_or_else(|error| Finding::new(what, State::Wrong, said(&error)))
}

/// Looks for files and folders that others may read.
fn permissions(home: &Path, fix: bool) -> Result<Finding> {
    let what = "home";
    if !home.is_dir() {
        let detail = format!("{} is not there yet", home.display());
        return Ok(Finding::new(what, State::Fine, detail));
    }
    let is_open = fs::metadata(home)?.permissions().mode() & 0o077 != 0;
    let (mut open, mut left) = (0, vec![home.to_owned()]);
    while let Some(path) = left.pop() {
        match look(&path, fix, &mut left) {
            Ok(is_open) => open += usize::from(is_open),
            // Another shell has just removed it: a journal, or an old version.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at `{}`", path.display()));
            }
        }
    }
    let shown = home.display();
    Ok(match (open, fix) {
        (0, _) => Finding::new(what, State::Fine, format!("{shown}, for its owner alone")),
        (open, true) => {
            let detail = format!("{open} files and folders were open to others, and are not now");
            Finding::new(what, State::Fixed, detail)
        }
        (open, false) => {
            // Nobody gets past a folder that is closed.
            let state = if is_open { State::Wrong } else { State::Odd };
            let detail = format!("{open} files and folders in {shown} are open to others");
            Finding::new(what, state, detail)
        }
    })
}

/// Returns whether others may read a file or a folder, and closes it with `fix`. What is in a folder is added to what is left.
fn look(path: &Path, fix: bool, left: &mut Vec<PathBuf>) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(false);
    }
    let mode = metadata.permissions().mode();
    let is_open = mode & 0o077 != 0;
    if is_open && fix {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            left.push(entry?.path());
        }
    }
    Ok(is_open)
}

/// Returns an error with its causes and what to do about it, on one line, without the places in its own code that LanceDB adds.
pub fn said(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let own = cause.split(", /").next().unwrap_or_default();
        // Libraries repeat their source in their own message.
        if !said.contains(own) {
            said.push_str(if said.is_empty() { "" } else { ": " });
            said.push_str(own);
        }
    }
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        said.push_str("; ");
        said.push_str(&hinted.hint);
    }
    said
}

impl Store {
    /// Looks for a removal that was cut short.
    async fn removals(&self) -> Result<Finding> {
        let what = "removal";
        // Nobody is about to remove something.
        let _upkeep = self.locks.upkeep().await?;
        Ok(match self.removal_file().exists() {
            true => {
                let detail = "one was cut short, and goes on with whatever opens the store next";
                Finding::new(what, State::Wrong, detail)
            }
            false => Finding::new(what, State::Fine, "none was cut short"),
        })
    }

    async fn journal(&self, fix: bool) -> Result<Finding> {
        let (what, folder) = ("journal", self.journals());
        if fix {
            let recovered = self.recover().await?;
            if let Some(error) = recovered.failure {
                return Ok(Finding::new(what, State::Wrong, said(&error)));
            }
            if recovered.turns > 0 {
                let turns = counted(recovered.turns, "turn");
                let detail = format!("stored what was only here: {turns}");
                return Ok(Finding::new(what, State::Fixed, detail));
            }
        }
        let (mut waiting, mut aside) = (0, 0);
        for path in journal::files(&folder)? {
            match path.extension().is_some_and(|kind| kind == "jsonl") {
                true => waiting += 1,
                false => aside += 1,
            }
        }
        Ok(match (waiting, aside) {
            (0, 0) => Finding::new(what, State::Fine, "empty: every turn is in the tables"),
            (0, aside) => {
                let detail = format!(
                    "{aside} with lines that cannot be read, kept in {}",
                    folder.display()
                );
                Finding::new(what, State::Odd, detail)
            }
            (waiting, _) => {
                let detail = format!(
                    "{waiting} with turns that are not in the tables yet, of running shells or dead ones"
                );
                Finding::new(what, State::Odd, detail)
            }
        })
    }

    async fn indices(&self, fix: bool) -> Result<Finding> {
        // Nobody replaces an index, or prunes one, while it is asked.
        let mut upkeep = self.locks.upkeep().await?;
        let pass = self.locks.enter().await?;
        let mut broken = usable(&self.passages, fix).await?;
        broken.extend(usable(&self.interactions, fix).await?);
        broken.extend(usable(&self.react_cycles, fix).await?);
        broken.extend(usable(&self.sessions, fix).await?);
        drop(pass);
        Ok(if broken.is_empty() {
            Finding::new("indices", State::Fine, "all can be used")
        } else if fix {
            self.tidy_up(&mut upkeep).await?;
            let detail = format!("made again: {}", broken.join(", "));
            Finding::new("indices", State::Fixed, detail)
        } else {
            let detail = format!("cannot be used: {}", broken.join(", "));
            Finding::new("indices", State::Wrong, detail)
        })
    }

    async fn vectors(&self, fix: bool) -> Result<Finding> {
        let what = "vectors";
        let missing = self.unembedded().await?;
        Ok(match (missing, fix) {
            (0, _) => Finding::new(what, State::Fine, "every passage has its own"),
            (missing, false) if self.is_storing()? => {
                let missing = counted(missing, "passage");
                let detail = format!("{missing} without one yet; a running shell is at it");
                Finding::new(what, State::Odd, detail)
            }
            (missing, false) => {
                let missing = counted(missing, "passage");
                let detail = format!("{missing} without one, not found by meaning");
                Finding::new(what, State::Wrong, detail)
            }
            (_, true) => {
                let made = self.embed_missing(|_, _| {}).await?;
                Finding::new(what, State::Fixed, format!("{made} were made"))
            }
        })
    }

    /// Returns whether a shell that runs has turns in its journal: their vectors come last.
    fn is_storing(&self) -> Result<bool> {
        for path in journal::list(&self.journals())? {
            let has_turns = fs::metadata(&path).is_ok_and(|journal| journal.len() > 0);
            if has_turns && Orphan::open(path)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Asks each index of a table something, and returns those that cannot be read; with `fix` they are dropped.
async fn usable<R: Record>(table: &Table<R>, fix: bool) -> Result<Vec<String>> {
    let table = &table.inner;
    let mut broken = Vec::new();
    for index in table.list_indices().await? {
        let column = index.columns.first().map_or("", String::as_str);
        let asked = match index.index_type {
            IndexType::FTS => {
                let words = FullTextSearchQuery::new("the".to_owned());
                let query = table.query().full_text_search(words).limit(1);
                query.execute().await
            }
            IndexType::BTree | IndexType::Bitmap if column == "timestamp" => {
                let epoch =
                    Filter::new(Scope::Everyone).within(None, Some(chrono::DateTime::UNIX_EPOCH));
                let query = table.query();
                let query = match epoch.expr() {
                    Some(before) => query.only_if_expr(before),
                    None => query,
                };
                query.execute().await
            }
            IndexType::BTree | IndexType::Bitmap => {
                let query = table.query().only_if_expr(col(column).eq(lit("")));
                query.execute().await
            }
            _ => {
                let dimension = table.schema().await?;
                let field = dimension.field_with_name(column)?.data_type().clone();
                let lancedb::arrow::arrow_schema::DataType::FixedSizeList(_, length) = field else {
                    continue;
                };
                let vector = vec![1.0_f32; usize::try_from(length)?];
                let query = table.query().nearest_to(vector)?.column(column).limit(1);
                query.execute().await
            }
        };
        let answered = match asked {
            Ok(batches) => batches.try_collect::<Vec<_>>().await,
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            let error = anyhow::Error::new(error);
            if fault(&error) == Fault::Passing {
                return Err(
                    error.context(format!("cannot ask the index on {column} of {}", R::NAME))
                );
            }
            broken.push(format!("{column} of {}", R::NAME));
            if fix {
                table.drop_index(&index.name).await?;
            }
        }
    }
    Ok(broken)
}
