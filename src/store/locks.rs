//! Who may do what at once, in this process and in others: files beside the tables that are locked, always in the same order.
//!
//! First imports, then upkeep, then the gate, then rows. The gate lets any number of processes read and write, or one erase: files
//! are replaced then, which no reader may see. Who is in has a value that says so, a [`Pass`] or a [`Closed`], and each lock asks for
//! the value of the one before it: what would take two of them in two orders does not compile.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Tells the person something while the store is at work.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// How long somebody is waited for before that is said.
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds the places of the locks of one store.
#[derive(Clone)]
pub struct Locks {
    /// What their names begin with.
    prefix: PathBuf,
    notice: Notice,
    /// Whether the gate is closed by whoever has this value: there is nothing to wait for inside.
    inside: bool,
}

/// Keeps everyone else from importing.
pub struct Imports {
    _file: File,
}

/// Keeps everyone else from tidying up, and remembers how far it has come.
pub struct Upkeep {
    file: File,
}

/// Keeps everyone from tidying up while the history is read.
pub struct Untidied {
    _file: Option<File>,
}

/// Keeps everyone from erasing.
pub struct Pass {
    _file: Option<File>,
}

/// Keeps everyone else off the tables.
pub struct Closed {
    _file: File,
}

/// Keeps everyone else from making the same user or session.
pub struct Rows {
    _file: Option<File>,
}

impl Locks {
    /// Returns the locks whose files begin with `prefix`; `notice` is told when somebody has to be waited for.
    pub fn new(prefix: PathBuf, notice: Notice) -> Locks {
        Locks {
            prefix,
            notice,
            inside: false,
        }
    }

    /// The names that lock files end with.
    pub const NAMES: [&str; 4] = ["import.lock", "maintenance.lock", "erase.lock", "lock"];

    fn path(&self, name: &str) -> PathBuf {
        let mut path = self.prefix.clone().into_os_string();
        path.push(name);
        path.into()
    }

    /// Keeps everyone else from importing, until dropped.
    ///
    /// # Errors
    ///
    /// Fails when somebody imports already.
    pub fn imports(&self) -> Result<Imports> {
        match self.try_lock("import.lock")? {
            Some(file) => Ok(Imports { _file: file }),
            None => bail!("another import is under way: wait for its end"),
        }
    }

    /// Waits until nobody tidies up, and keeps everyone else from it until dropped.
    pub async fn upkeep(&self) -> Result<Upkeep> {
        let file = self.wait("maintenance.lock", false, Some("upkeep of the tables"));
        Ok(Upkeep { file: file.await? })
    }

    /// Does the same for who only reads.
    pub async fn untidied(&self) -> Result<Untidied> {
        let file = self.wait_if_any("maintenance.lock", true, Some("upkeep of the tables"));
        Ok(Untidied { _file: file.await? })
    }

    /// Keeps everyone else from tidying up, unless somebody does.
    pub fn try_upkeep(&self) -> Result<Option<Upkeep>> {
        let file = self.try_lock("maintenance.lock")?;
        Ok(file.map(|file| Upkeep { file }))
    }

    /// Returns at which version the tables were tidied up last; 0 where it is not known.
    pub fn tidied(&self) -> u64 {
        number(&self.path("maintenance.lock"))
    }

    /// Waits until nobody erases, and keeps everyone from it until dropped.
    pub async fn enter(&self) -> Result<Pass> {
        if self.inside {
            return Ok(Pass { _file: None });
        }
        let file = self.wait_if_any(
            "erase.lock",
            true,
            Some("somebody who removes history for good"),
        );
        Ok(Pass { _file: file.await? })
    }

    /// Waits until nobody is inside, and keeps everyone else out until dropped.
    pub async fn close(&self, _upkeep: &Upkeep) -> Result<Closed> {
        let file = self.wait("erase.lock", false, Some("other shells that read or write"));
        Ok(Closed { _file: file.await? })
    }

    /// Keeps everyone else off the tables, unless somebody is inside.
    pub fn try_close(&self, _upkeep: &Upkeep) -> Result<Option<Closed>> {
        let file = self.try_lock("erase.lock")?;
        Ok(file.map(|file| Closed { _file: file }))
    }

    /// Returns the same locks for who has closed the gate.
    pub fn inside(&self, _closed: &Closed) -> Locks {
        Locks {
            inside: true,
            ..self.clone()
        }
    }

    /// Returns the same locks for who waits without a word.
    pub fn quiet(&self) -> Locks {
        Locks {
            notice: Arc::new(|_| {}),
            ..self.clone()
        }
    }

    /// Keeps everyone else from making the same user or session, until dropped.
    pub async fn rows(&self, _pass: &Pass) -> Result<Rows> {
        let file = self.wait_if_any("lock", false, None);
        Ok(Rows { _file: file.await? })
    }

    /// Returns how often something was erased.
    pub fn erasures(&self) -> u64 {
        number(&self.path("erase.lock"))
    }

    /// Counts one more.
    pub fn count_erasure(&self) -> Result<()> {
        let path = self.path("erase.lock");
        let count = self.erasures() + 1;
        fs::write(&path, count.to_string())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Locks a file, unless somebody has.
    fn try_lock(&self, name: &str) -> Result<Option<File>> {
        let path = self.path(name);
        let file = lock_file(&path).with_context(|| cannot_open(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock `{}`", path.display()))
            }
        }
    }

    /// Locks a file, and says for whom it waits when that takes long.
    async fn wait(&self, name: &str, shared: bool, whom: Option<&str>) -> Result<File> {
        let path = self.path(name);
        let file = lock_file(&path).with_context(|| cannot_open(&path))?;
        self.locked(file, &path, shared, whom).await
    }

    /// Does the same, but where nothing can be written: there the file need not be, and its lock is one among readers.
    async fn wait_if_any(
        &self,
        name: &str,
        shared: bool,
        whom: Option<&str>,
    ) -> Result<Option<File>> {
        let path = self.path(name);
        let file = match lock_file(&path) {
            Ok(file) => file,
            Err(error) if is_read_only(&error) => match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(_) => return Err(error).with_context(|| cannot_open(&path)),
            },
            Err(error) => return Err(error).with_context(|| cannot_open(&path)),
        };
        Ok(Some(self.locked(file, &path, shared, whom).await?))
    }

    async fn locked(
        &self,
        file: File,
        path: &Path,
        shared: bool,
        whom: Option<&str>,
    ) -> Result<File> {
        let context = || format!("cannot lock `{}`", path.display());
        let tried = match shared {
            true => file.try_lock_shared(),
            false => file.try_lock(),
        };
        match tried {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        let waiting = tokio::task::spawn_blocking(move || {
            let locked = match shared {
                true => file.lock_shared(),
                false => file.lock(),
            };
            locked.map(|()| file)
        });
        tokio::pin!(waiting);
        let soon = tokio::time::timeout(PATIENCE, &mut waiting).await;
        let locked = if let Ok(locked) = soon {
            locked
        } else {
            if let Some(whom) = whom {
                (self.notice)(&format!("waiting for {whom}"));
            }
            waiting.await
        };
        locked?.with_context(context)
    }
}

/// Stands behind the version while a round is under way, and after one that was cut short.
const BEGUN: &str = " begun";

impl Upkeep {
    /// Remembers that a round begins. Returns whether the one before was cut short.
    pub fn begin(&mut self) -> Result<bool> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        let cut_short = text.ends_with(BEGUN);
        if !cut_short {
            self.file.write_all(BEGUN.as_bytes())?;
        }
        Ok(cut_short)
    }

    /// Remembers at which version the tables have been tidied up.
    pub fn remember(&mut self, version: u64) -> Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        write!(self.file, "{version}")?;
        Ok(())
    }
}

fn number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().unwrap_or_default()
}

/// Opens a file that locks are put on.
fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open `{}`", path.display())
}

/// Returns whether an error says that nothing can be written there.
pub fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}
