//! Opens a store: knows its tables, and not what is done with them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::disk::{make_folder, new_files, refuse_links};
use super::locks::{Gate, lock};
use super::tables::{Interaction, Passage, ReactCycle, Scope, Session, Table, User, registry};
use super::vocabulary::Sample;
use crate::embedder::Lazy;

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
    pub(in crate::store) fn is_local(&self) -> bool {
        !self.uri.contains("://")
    }

    /// Returns the path of a file that all who use these tables share; beside the tables, where they lie on a disk of ours.
    pub(in crate::store) fn beside(&self, name: &str) -> PathBuf {
        if self.is_local() {
            PathBuf::from(format!("{}.{name}", self.uri))
        } else {
            self.home.join(name)
        }
    }
}

/// What words are like in the history of one scope, and how many passages the history had then.
pub(in crate::store) type Sampled = (Scope, usize, Arc<Sample>);

/// Remembers what is said.
pub struct Store {
    pub(in crate::store) options: Options,
    /// The length of the vectors.
    pub(in crate::store) dimension: usize,
    pub(in crate::store) users: Table<User>,
    pub(in crate::store) sessions: Table<Session>,
    pub(in crate::store) interactions: Table<Interaction>,
    pub(in crate::store) react_cycles: Table<ReactCycle>,
    pub(in crate::store) passages: Table<Passage>,
    pub(in crate::store) connection: lancedb::Connection,
    pub(in crate::store) gate: Gate,
    /// How often something had been erased when the embedding model was found to be the store's.
    pub(in crate::store) checked: AtomicU64,
    /// How rare words are, as far as it is known.
    pub(in crate::store) sampled: tokio::sync::Mutex<Option<Sampled>>,
    /// When what this process has written was on the disk.
    pub(in crate::store) synced: tokio::sync::Mutex<SystemTime>,
}

impl Store {
    /// Opens the store, and makes it when the place is empty.
    pub async fn open(options: Options) -> Result<Store> {
        let opened = SystemTime::now();
        refuse_links(&options.home)?;
        make_folder(&options.home)?;
        if options.is_local() {
            finish(&options.uri)?;
            make_folder(Path::new(&options.uri))?;
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

    pub(in crate::store) fn is_local(&self) -> bool {
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

    pub(in crate::store) fn journals(&self) -> PathBuf {
        self.options.home.join("journal")
    }

    /// Brings what the tables have got since the last time, or before that, to the disk, where they lie on one of ours.
    pub(in crate::store) async fn sync(&self, since: Option<SystemTime>) -> Result<()> {
        if !self.is_local() {
            return Ok(());
        }
        let mut synced = self.synced.lock().await;
        let now = SystemTime::now();
        // A clock that was set back makes new files older than the last time.
        let last = match now < *synced {
            true => now - Duration::from_mins(1),
            false => *synced,
        };
        // File times may be coarser than the clock.
        let since = since.map_or(last, |since| since.min(last)) - Duration::from_secs(2);
        let uri = self.options.uri.clone();
        let work = move || new_files(Path::new(&uri), since);
        tokio::task::spawn_blocking(work)
            .await?
            .context("cannot bring the tables to the disk")?;
        *synced = now;
        Ok(())
    }

    /// Keeps other processes from making the same user or session, until dropped.
    pub(in crate::store) fn lock(&self) -> Result<File> {
        lock(&self.options.beside("lock"))
    }
}

/// Where tables are made that are to be in the place of others.
const INCOMING: &str = "importing";
/// Where tables of another program are kept that were in our place.
pub(in crate::store) const ASIDE: &str = "abstractllm";

/// Says where a store is made while tables of another program are in its place.
pub fn incoming(uri: &str) -> String {
    format!("{uri}.{INCOMING}")
}

/// Ends a move that was cut short: the place is empty, and what is to be there lies beside it.
pub(in crate::store) fn finish(uri: &str) -> Result<()> {
    let incoming = incoming(uri);
    let aside = format!("{uri}.{ASIDE}");
    let cut_short = !Path::new(uri).exists() && Path::new(&aside).exists();
    if !cut_short || !Path::new(&incoming).exists() {
        return Ok(());
    }
    let context = || format!("cannot move `{incoming}` to `{uri}`");
    fs::rename(&incoming, uri).with_context(context)?;
    for lock in ["lock", "erase.lock", "import.lock", "maintenance.lock"] {
        // They hold nothing that is not found out again.
        drop(fs::remove_file(format!("{incoming}.{lock}")));
    }
    if let Some(folder) = Path::new(uri).parent() {
        let folder = File::open(folder).and_then(|folder| folder.sync_all());
        folder.with_context(context)?;
    }
    Ok(())
}
