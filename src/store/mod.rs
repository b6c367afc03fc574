//! Remembers: users, sessions, interactions and passages in LanceDB, and a journal of what is not in there yet.
//!
//! Speaks text: vectors, Arrow and LanceDB types never leave this folder.

mod context;
mod doctor;
mod dump;
mod embed;
mod erase;
mod facts;
mod filter;
mod foreign;
mod gate;
mod groups;
mod import;
mod index;
mod interaction;
mod journal;
mod maintenance;
mod passage;
mod react_cycle;
mod record;
mod reembed;
mod registry;
mod reindex;
mod restore;
mod score;
mod search;
mod session;
mod similar;
mod sql;
mod stats;
mod sync;
mod table;
mod user;
mod walk;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use chrono::{DateTime, SubsecRound, Utc};

use crate::embedder::Lazy;
use gate::Gate;
use table::Table;

pub use context::Base;
pub use doctor::{Finding, State, examine};
pub use dump::Moved;
pub use facts::Fact;
pub use filter::{Filter, Scope, Whom};
pub use foreign::{foreign, foreign_rows, incoming, take_place};
pub use groups::{By, Group};
pub use import::{Fate, Imported};
pub use interaction::Interaction;
pub use journal::{Journal, Partial};
pub use passage::Origin;
pub use record::{Recovered, Turn};
pub use reembed::{change_embedder, other_embedder};
pub use restore::Restore;
pub use search::{Found, Hit, Matched, Mode, SearchQuery};
pub use session::{Session, SessionSummary};
pub use similar::CycleHit;
pub use sql::Rows;
pub use stats::{Stats, TableStats};
pub use user::{User, username};
pub use walk::{Visit, Visitor};

/// Says where a store is and what embeds its text.
#[derive(Clone)]
pub struct Options {
    /// The data directory; holds the journal, whatever `uri` says.
    pub home: PathBuf,
    /// An absolute path, or a LanceDB URI with a scheme.
    pub uri: String,
    pub embedder: Lazy,
    /// Whether well-known secrets are taken out of what is stored.
    pub redact: bool,
}

impl Options {
    fn is_local(&self) -> bool {
        !self.uri.contains("://")
    }

    /// Returns the path of a file that all who use these tables share; beside the tables, where they lie on a disk of ours.
    fn beside(&self, name: &str) -> PathBuf {
        if self.is_local() {
            PathBuf::from(format!("{}.{name}", self.uri))
        } else {
            self.home.join(name)
        }
    }
}

/// Is an error that comes with a hint for the person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    pub message: String,
    pub hint: String,
}

/// Remembers what is said.
pub struct Store {
    options: Options,
    /// The length of the vectors.
    dimension: usize,
    users: Table<user::User>,
    sessions: Table<session::Session>,
    interactions: Table<interaction::Interaction>,
    react_cycles: Table<react_cycle::ReactCycle>,
    passages: Table<passage::Passage>,
    connection: lancedb::Connection,
    gate: Gate,
    /// How often something had been erased when the embedding model was found to be the store's.
    checked: AtomicU64,
    /// How rare words are, as far as it is known.
    sampled: tokio::sync::Mutex<Option<search::Sampled>>,
    /// When what this process has written was on the disk.
    synced: tokio::sync::Mutex<SystemTime>,
}

impl Store {
    /// Opens the store, and makes it when the place is empty.
    pub async fn open(options: Options) -> Result<Store> {
        let opened = SystemTime::now();
        refuse_links(&options.home)?;
        make_folder(&options.home)?;
        if options.is_local() {
            foreign::finish(&options.uri)?;
            make_folder(std::path::Path::new(&options.uri))?;
        }
        let place = options.uri.clone();
        let connection = lancedb::connect(&options.uri)
            // Another shell's turns are found at once.
            .read_consistency_interval(Duration::ZERO)
            .session(Arc::new(lancedb::Session::new(
                256 << 20,
                64 << 20,
                Arc::default(),
            )))
            .execute()
            .await
            .with_context(|| format!("cannot open the store at `{place}`"))?;
        let gate = Gate::new(options.beside("erase.lock"));
        let _pass = gate.enter().await;
        let checked = gate.erasures();
        let lock = lock(&options.beside("lock"))?;
        let dimension = || Ok(options.embedder.get()?.dimension());
        let dimension = registry::check(
            &connection,
            &place,
            &gate,
            &options.embedder.name(),
            dimension,
        )
        .await?;
        let (users, sessions, interactions, react_cycles, passages) = tokio::try_join!(
            Table::open(&connection, dimension, &gate),
            Table::open(&connection, dimension, &gate),
            Table::open(&connection, dimension, &gate),
            Table::open(&connection, dimension, &gate),
            Table::open(&connection, dimension, &gate),
        )?;
        drop(lock);
        Ok(Store {
            options,
            dimension,
            users,
            sessions,
            interactions,
            react_cycles,
            passages,
            connection,
            checked: AtomicU64::new(checked),
            gate,
            sampled: tokio::sync::Mutex::default(),
            synced: tokio::sync::Mutex::new(opened),
        })
    }

    fn is_local(&self) -> bool {
        self.options.is_local()
    }

    /// Returns the folder of the tables, where they lie on a disk of ours.
    pub fn folder(&self) -> Option<PathBuf> {
        self.is_local().then(|| PathBuf::from(&self.options.uri))
    }

    /// Returns the folder of everything besides the tables.
    pub fn home(&self) -> &std::path::Path {
        &self.options.home
    }

    /// Returns how often something was erased.
    pub fn erasures(&self) -> u64 {
        self.gate.erasures()
    }

    fn journals(&self) -> PathBuf {
        self.options.home.join("journal")
    }

    /// Keeps other processes from making the same user or session, until dropped.
    fn lock(&self) -> Result<File> {
        lock(&self.options.beside("lock"))
    }
}

fn lock(path: &std::path::Path) -> Result<File> {
    let file = lock_file(path)?;
    file.lock()
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(file)
}

fn lock_file(path: &std::path::Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    file.with_context(|| format!("cannot open `{}`", path.display()))
}

/// Keeps what is written in the home from ending up elsewhere: what allm writes there may be no symbolic link.
fn refuse_links(home: &std::path::Path) -> Result<()> {
    let mut folders = vec![home.to_owned(), home.join("journal"), home.join("lancedb")];
    folders.retain(|folder| folder.is_dir());
    for folder in folders {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // These are only read.
            let read = ["config.toml", "embeddings"];
            if entry.file_type()?.is_symlink()
                && !read.iter().any(|name| entry.file_name() == *name)
            {
                let path = entry.path();
                return Err(anyhow::Error::new(Hinted {
                    message: format!("`{}` is a symbolic link, and nothing is written through it", path.display()),
                    hint: "put the files themselves there, or name the real place with `--home` or `--db`".to_owned(),
                }));
            }
        }
    }
    Ok(())
}

fn make_folder(folder: &std::path::Path) -> Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.with_context(|| format!("cannot create `{}`", folder.display()))
}

/// Returns a new id: `UUIDv4` as text.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Returns the time as the tables keep it, in whole microseconds.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
