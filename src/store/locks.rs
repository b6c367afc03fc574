//! Holds everyone off the tables while rows are erased: their files are replaced then, which no reader may see.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Lets any number of processes read and write, or one erase.
#[derive(Clone)]
pub struct Gate {
    path: PathBuf,
    /// Whether this process erases: its own work goes on.
    ours: Arc<AtomicBool>,
}

/// Keeps the gate closed to other processes.
pub struct Closed {
    _lock: File,
    ours: Arc<AtomicBool>,
}

impl Gate {
    /// Returns the gate of the tables that share this file.
    pub fn new(path: PathBuf) -> Gate {
        Gate {
            path,
            ours: Arc::default(),
        }
    }

    /// Waits until nobody erases, and keeps everyone from it until dropped. Where the file cannot be made, nobody can erase.
    pub async fn enter(&self) -> Option<File> {
        if self.ours.load(Ordering::SeqCst) {
            return None;
        }
        let lock = lock_file(&self.path).ok()?;
        if lock.try_lock_shared().is_ok() {
            return Some(lock);
        }
        let waiting = tokio::task::spawn_blocking(move || lock.lock_shared().map(|()| lock));
        waiting.await.ok()?.ok()
    }

    /// Returns how often something was erased.
    pub fn erasures(&self) -> u64 {
        let count = fs::read_to_string(&self.path).unwrap_or_default();
        count.trim().parse().unwrap_or_default()
    }

    /// Counts one more.
    pub fn count(&self) -> Result<()> {
        let count = self.erasures() + 1;
        fs::write(&self.path, count.to_string())?;
        Ok(())
    }

    /// Waits until nobody is inside, and keeps everyone else out until dropped.
    pub async fn close(&self) -> Result<Closed> {
        let path = self.path.clone();
        let lock = tokio::task::spawn_blocking(move || lock(&path)).await??;
        self.ours.store(true, Ordering::SeqCst);
        Ok(Closed {
            _lock: lock,
            ours: Arc::clone(&self.ours),
        })
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.ours.store(false, Ordering::SeqCst);
    }
}

/// Waits until a file is locked.
pub fn lock(path: &Path) -> Result<File> {
    let file = lock_file(path)?;
    file.lock()
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(file)
}

/// Opens a file that locks are put on.
pub fn lock_file(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    file.with_context(|| format!("cannot open `{}`", path.display()))
}
