//! Text on its way to a reader who may be slow, such as a pager: what they have not taken yet lies in a file, so that nobody waits for
//! them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result};
use tokio::task::{JoinHandle, spawn_blocking};

/// How much is handed on at once, in bytes, unless there is no more.
const PIECE: usize = 64 << 10;

/// Takes text, and hands it on in the background until it is dropped.
pub struct Spool {
    file: File,
    /// What is not in the file yet.
    text: String,
    /// Tells how long the pieces in the file are.
    lengths: Option<Sender<usize>>,
    handing: JoinHandle<Result<()>>,
    dropped: Arc<AtomicBool>,
}

impl Spool {
    /// Begins to hand text on to `put`. The file lies in a folder and has no name.
    pub fn new(
        folder: &Path,
        mut put: impl FnMut(&str) -> Result<()> + Send + 'static,
    ) -> Result<Spool> {
        let context = || format!("cannot keep text for its reader in `{}`", folder.display());
        let file = tempfile::tempfile_in(folder).with_context(context)?;
        let read = file.try_clone().with_context(context)?;
        let dropped = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&dropped);
        let (lengths, pieces) = channel();
        let handing = spawn_blocking(move || {
            let mut at = 0;
            for length in pieces {
                let mut piece = vec![0; length];
                read.read_exact_at(&mut piece, at)?;
                at += u64::try_from(length)?;
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                put(std::str::from_utf8(&piece)?)?;
            }
            Ok(())
        });
        Ok(Spool {
            file,
            text: String::new(),
            lengths: Some(lengths),
            handing,
            dropped,
        })
    }

    /// Takes a text.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be kept, and when nobody takes it any more; [`Spool::finish`] knows why.
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.text.push_str(text);
        match self.text.len() < PIECE {
            true => Ok(()),
            false => self.hand_on(),
        }
    }

    fn hand_on(&mut self) -> Result<()> {
        let kept = self.file.write_all(self.text.as_bytes());
        kept.context("cannot keep text for its reader")?;
        let lengths = self.lengths.as_ref().context("the text has ended")?;
        lengths
            .send(self.text.len())
            .context("nobody takes the text any more")?;
        self.text.clear();
        Ok(())
    }

    /// Waits until all is taken.
    pub async fn finish(mut self) -> Result<()> {
        let kept = self.hand_on();
        self.lengths = None;
        (&mut self.handing).await??;
        kept
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}
