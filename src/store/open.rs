//! Opens a store: knows its tables, and not what is done with them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::disk::{make_folder, new_files, refuse_links};
use super::locks::{Closed, Locks, Notice};
use super::tables::{Interaction, Passage, ReactCycle, Scope, Session, Table, User, registry};
use super::vocabulary::Sample;
use crate::embedder::Lazy;
use crate::redact::Redactor;

/// Says where a store is and what embeds its text.
#[derive(Clone)]
pub struct Options {
    /// The data directory; holds the journal, whatever `uri` says.
    pub home: PathBuf,
    /// An absolute path, or a LanceDB URI with a scheme.
    pub uri: String,
    pub embedder: Lazy,
    /// What takes secrets out of what is stored.
    pub redact: Redactor,
    /// Tells the person that somebody has to be waited for.
    pub notice: Notice,
}

impl Options {
    /// Returns how a store at a place is opened when nobody says otherwise: without secrets, and without a word.
    pub fn new(home: impl Into<PathBuf>, uri: impl Into<String>, embedder: Lazy) -> Options {
        Options {
            home: home.into(),
            uri: uri.into(),
            embedder,
            redact: Redactor::default(),
            notice: Arc::new(|_| {}),
        }
    }

    /// Makes the folders, and names them by their real paths: whoever comes by another name, a link or `..`, has to meet the same
    /// locks.
    fn settle(&mut self) -> Result<()> {
        refuse_links(&self.home)?;
        make_folder(&self.home)?;
        self.home = real(&self.home)?;
        if self.is_local() {
            finish(&self.uri)?;
            make_folder(Path::new(&self.uri))?;
            self.name_really()?;
        }
        Ok(())
    }

    /// Names folders that are there by their real paths.
    pub(in crate::store) fn name_really(&mut self) -> Result<()> {
        self.home = real(&self.home)?;
        if self.is_local() {
            let place = real(Path::new(&self.uri))?;
            self.uri = place.to_str().map(str::to_owned).with_context(|| {
                format!("`{}` cannot be used: its name is no text", place.display())
            })?;
        }
        Ok(())
    }

    /// Returns who may do what at once with these tables.
    pub(in crate::store) fn locks(&self) -> Locks {
        Locks::new(self.beside(""), Arc::clone(&self.notice))
    }

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

/// Remembers what is said. A clone is the same store.
#[derive(Clone)]
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
    pub(in crate::store) locks: Locks,
    /// What the store is called, wherever it lies.
    pub(in crate::store) id: String,
    /// The version of its layout, as it was opened.
    pub(in crate::store) layout: u64,
    /// Whether rows of an earlier program still lack what this one writes.
    pub(in crate::store) is_behind: Arc<AtomicBool>,
    /// How often something had been erased when the embedding model was found to be the store's.
    pub(in crate::store) checked: Arc<AtomicU64>,
    /// Which step of a removal this process is doing; 0, if none.
    pub(in crate::store) removing: Arc<AtomicUsize>,
    /// How rare words are, as far as it is known.
    pub(in crate::store) sampled: Arc<tokio::sync::Mutex<Option<Sampled>>>,
    /// Whether this process does upkeep that was cut short before.
    pub(in crate::store) catches_up: Arc<AtomicBool>,
    /// When what this process has written was on the disk.
    pub(in crate::store) synced: Arc<tokio::sync::Mutex<SystemTime>>,
}

impl Store {
    /// Opens the store, and makes it when the place is empty. What was cut short in it is left as it is.
    pub(in crate::store) async fn connect(mut options: Options) -> Result<Store> {
        let opened = SystemTime::now();
        options.settle()?;
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
        let locks = options.locks();
        let pass = locks.enter().await?;
        let checked = locks.erasures();
        let rows = locks.rows(&pass).await?;
        let dimension = || Ok(options.embedder.get()?.dimension());
        let embedder = options.embedder.name();
        let registry = Path::new(&options.uri).join("registry.lance");
        let is_new = options.is_local() && !registry.exists();
        let known = registry::check(&connection, &place, &locks, &embedder, dimension).await?;
        let dimension = known.dimension;
        let (users, sessions, interactions, react_cycles, passages) = tokio::try_join!(
            Table::open(&connection, dimension, &locks),
            Table::open(&connection, dimension, &locks),
            Table::open(&connection, dimension, &locks),
            Table::open(&connection, dimension, &locks),
            Table::open(&connection, dimension, &locks),
        )?;
        let store = Store {
            options,
            dimension,
            users,
            sessions,
            interactions,
            react_cycles,
            passages,
            connection,
            checked: Arc::new(AtomicU64::new(checked)),
            locks,
            id: known.store_id,
            layout: known.layout,
            is_behind: Arc::new(AtomicBool::new(known.is_behind)),
            removing: Arc::default(),
            sampled: Arc::default(),
            catches_up: Arc::default(),
            synced: Arc::new(tokio::sync::Mutex::new(opened)),
        };
        if is_new {
            // Journals name it by the id that it has just got.
            store.sync(None).await?;
        }
        drop(rows);
        Ok(store)
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
        self.locks.erasures()
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

    /// Takes note of whether rows lack what this program writes.
    pub(in crate::store) async fn set_behind(&self, is_behind: bool) -> Result<()> {
        registry::set_behind(&self.connection, &self.locks, is_behind).await?;
        self.is_behind.store(is_behind, Ordering::SeqCst);
        Ok(())
    }

    /// Returns the same store for who has closed its gate.
    pub(in crate::store) fn inside(&self, closed: &Closed) -> Store {
        self.with(self.locks.inside(closed))
    }

    /// Returns the same store for work in the background: whom it has to wait for is nothing to tell a person who does not.
    #[must_use]
    pub fn quiet(&self) -> Store {
        self.with(self.locks.quiet())
    }

    fn with(&self, locks: Locks) -> Store {
        Store {
            users: self.users.with(&locks),
            sessions: self.sessions.with(&locks),
            interactions: self.interactions.with(&locks),
            react_cycles: self.react_cycles.with(&locks),
            passages: self.passages.with(&locks),
            locks,
            ..self.clone()
        }
    }
}

fn real(path: &Path) -> Result<PathBuf> {
    let real = fs::canonicalize(path);
    real.with_context(|| format!("cannot find `{}`", path.display()))
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
    for lock in Locks::NAMES {
        // They hold nothing that is not found out again.
        drop(fs::remove_file(format!("{incoming}.{lock}")));
    }
    if let Some(folder) = Path::new(uri).parent() {
        let folder = File::open(folder).and_then(|folder| folder.sync_all());
        folder.with_context(context)?;
    }
    Ok(())
}
