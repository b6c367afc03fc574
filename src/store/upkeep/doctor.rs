//! Examines a store, also one that does not open, and repairs what can be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use lancedb::Connection;
use lancedb::expr::{col, lit};
use lancedb::index::IndexType;
use lancedb::index::scalar::FullTextSearchQuery;
use lancedb::query::{ExecutableQuery, QueryBase};
use serde::Serialize;

use crate::store::disk::make_folder;
use crate::store::open::{Options, Store};
use crate::store::tables::{Filter, Record, Scope, Table};
use crate::store::words::new_id;
use crate::store::writing::journal;

const TABLES: [&str; 6] = [
    "registry",
    "users",
    "sessions",
    "interactions",
    "react_cycles",
    "passages",
];
/// What is not to be, and how it is counted.
const JOINS: [(&str, &str); 4] = [
    (
        "passages without their interactions",
        "SELECT count(*) FROM passages WHERE interaction_id NOT IN (SELECT interaction_id FROM interactions)",
    ),
    (
        "react_cycles without their interactions",
        "SELECT count(*) FROM react_cycles WHERE interaction_id NOT IN (SELECT interaction_id FROM interactions)",
    ),
    (
        "interactions without their sessions",
        "SELECT count(*) FROM interactions WHERE session_id NOT IN (SELECT session_id FROM sessions)",
    ),
    (
        "interactions without their users",
        "SELECT count(*) FROM interactions WHERE user_id NOT IN (SELECT user_id FROM users)",
    ),
];
/// How many versions of a table may be set aside before it is given up: a power cut costs one or two.
const VERSIONS: usize = 10;

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

/// Examines the home, the journal and the tables. With `fix` it repairs, else it changes nothing.
pub async fn examine(options: Options, fix: bool) -> Result<Vec<Finding>> {
    let mut findings = vec![permissions(&options.home, fix)?];
    if !options.home.is_dir() || options.is_local() && !Path::new(&options.uri).is_dir() {
        findings.push(Finding::new("tables", State::Fine, "nothing is stored yet"));
        return Ok(findings);
    }
    let sound = tables(&options, fix, &mut findings).await?;
    let journals = options.home.join("journal");
    if !sound {
        findings.push(Finding::new(
            "journal",
            State::Odd,
            "not looked at: the tables do not open",
        ));
        return Ok(findings);
    }
    let store = Store::open(options).await?;
    findings.push(store.journal(&journals, fix).await?);
    store.indices(fix, &mut findings).await?;
    findings.push(store.vectors(fix).await?);
    findings.push(store.joins().await?);
    Ok(findings)
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
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_symlink() {
            continue;
        }
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            open += 1;
            if fix {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700))?;
            }
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
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

/// Opens each table and reads all of it. Returns whether all could be read.
async fn tables(options: &Options, fix: bool, findings: &mut Vec<Finding>) -> Result<bool> {
    let connection = lancedb::connect(&options.uri).execute().await?;
    let mut sound = true;
    for name in TABLES {
        let what = format!("table {name}");
        match read_whole(&connection, name).await {
            Ok(detail) => findings.push(Finding::new(&what, State::Fine, detail)),
            Err(error) if fix && options.is_local() => {
                let repaired = set_aside(options, &connection, name).await;
                sound &= repaired.is_ok();
                findings.push(match repaired {
                    Ok(detail) => Finding::new(&what, State::Fixed, detail),
                    Err(_) => Finding::new(&what, State::Wrong, said(&error)),
                });
            }
            Err(error) => {
                sound = false;
                findings.push(Finding::new(&what, State::Wrong, said(&error)));
            }
        }
    }
    Ok(sound)
}

async fn read_whole(connection: &Connection, name: &str) -> Result<String> {
    let table = connection.open_table(name).execute().await?;
    let mut rows = 0;
    let mut batches = table.query().execute().await?;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    let stats = table.stats().await?;
    let indices = table.list_indices().await?.len();
    Ok(format!(
        "{rows} rows in {} files, {} versions, {indices} indices",
        stats.fragment_stats.num_fragments,
        table.list_versions().await?.len(),
    ))
}

/// Sets the latest versions of a table aside until it can be read, or puts them back.
async fn set_aside(options: &Options, connection: &Connection, name: &str) -> Result<String> {
    let locks = options.locks();
    let upkeep = locks.upkeep().await?;
    let _closed = locks.close(&upkeep).await?;
    let folder = Path::new(&options.uri)
        .join(format!("{name}.lance"))
        .join("_versions");
    let aside = options.home.join("aside");
    make_folder(&aside)?;
    let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
    while moved.len() < VERSIONS {
        let Some(head) = head(&folder)? else { break };
        let file = head.file_name().unwrap_or_default().to_string_lossy();
        let to = aside.join(format!("{name}-{}-{file}", new_id()));
        fs::rename(&head, &to)?;
        // A hint to a version that is gone would only cost time.
        drop(fs::remove_file(folder.join("latest_version_hint.json")));
        moved.push((head.clone(), to));
        if let Ok(detail) = read_whole(connection, name).await {
            return Ok(format!(
                "{} version(s) could not be read and are in {}; {detail}",
                moved.len(),
                aside.display()
            ));
        }
    }
    for (from, to) in moved.iter().rev() {
        fs::rename(to, from)?;
    }
    bail!("no version of the table can be read");
}

/// Returns the latest manifest of a table. Manifests are named by their version, or by how far it is from the greatest number, in 20
/// digits.
fn head(folder: &Path) -> Result<Option<PathBuf>> {
    let mut manifests = Vec::new();
    for entry in fs::read_dir(folder).context("cannot list the versions")? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if let (true, Ok(number)) = (
            path.extension().is_some_and(|kind| kind == "manifest"),
            stem.parse::<u64>(),
        ) {
            let version = if stem.len() == 20 {
                u64::MAX - number
            } else {
                number
            };
            manifests.push((version, path));
        }
    }
    Ok(manifests.into_iter().max().map(|(_, path)| path))
}

fn said(error: &anyhow::Error) -> String {
    // LanceDB adds the place in its own code.
    let text = error.to_string();
    text.split(", /").next().unwrap_or_default().to_owned()
}

impl Store {
    async fn journal(&self, folder: &Path, fix: bool) -> Result<Finding> {
        let what = "journal";
        if fix {
            let recovered = self.recover().await?;
            if let Some(error) = recovered.failure {
                return Ok(Finding::new(what, State::Wrong, said(&error)));
            }
            if recovered.turns > 0 {
                let detail = format!("{} turns were only here, and are stored", recovered.turns);
                return Ok(Finding::new(what, State::Fixed, detail));
            }
        }
        let (mut waiting, mut aside) = (0, 0);
        for path in journal::files(folder)? {
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

    async fn indices(&self, fix: bool, findings: &mut Vec<Finding>) -> Result<()> {
        let mut broken = usable(&self.passages, fix).await?;
        broken.extend(usable(&self.interactions, fix).await?);
        broken.extend(usable(&self.react_cycles, fix).await?);
        broken.extend(usable(&self.sessions, fix).await?);
        findings.push(if broken.is_empty() {
            Finding::new("indices", State::Fine, "all can be used")
        } else if fix {
            self.maintain().await?;
            let detail = format!("made again: {}", broken.join(", "));
            Finding::new("indices", State::Fixed, detail)
        } else {
            let detail = format!("cannot be used: {}", broken.join(", "));
            Finding::new("indices", State::Wrong, detail)
        });
        Ok(())
    }

    async fn vectors(&self, fix: bool) -> Result<Finding> {
        let what = "vectors";
        let missing = self.unembedded().await?;
        Ok(match (missing, fix) {
            (0, _) => Finding::new(what, State::Fine, "every passage has its own"),
            (missing, false) => {
                let detail = format!("{missing} passages have none and are not found by meaning");
                Finding::new(what, State::Wrong, detail)
            }
            (_, true) => {
                let made = self.embed_missing(|_, _| {}).await?;
                Finding::new(what, State::Fixed, format!("{made} were made"))
            }
        })
    }

    /// Counts rows that belong to nothing.
    async fn joins(&self) -> Result<Finding> {
        let everyone = Filter::new(Scope::Everyone);
        let mut found = Vec::new();
        for (what, query) in JOINS {
            let rows = self.sql(&everyone, query, 1).await?;
            let count = rows.rows.first().and_then(|row| row.first()?.as_u64());
            if let Some(count @ 1..) = count {
                found.push(format!("{count} {what}"));
            }
        }
        Ok(match found.is_empty() {
            true => Finding::new("rows", State::Fine, "all belong together"),
            false => Finding::new("rows", State::Odd, found.join(", ")),
        })
    }
}

/// Asks each index of a table something, and returns those that fail; with `fix` they are dropped.
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
        let works = match asked {
            Ok(batches) => batches.try_collect::<Vec<_>>().await.is_ok(),
            Err(_) => false,
        };
        if !works {
            broken.push(format!("{column} of {}", R::NAME));
            if fix {
                table.drop_index(&index.name).await?;
            }
        }
    }
    Ok(broken)
}
