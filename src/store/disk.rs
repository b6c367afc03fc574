//! What lies on a disk of ours: folders for their owner alone, no links, and files that are brought to the disk, which LanceDB itself
//! never asks for.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::words::Hinted;

/// Syncs the files below `folder` that were changed since, and the folders that hold them.
pub fn new_files(folder: &Path, since: SystemTime) -> io::Result<()> {
    let mut changed = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            new_files(&entry.path(), since)?;
        } else if metadata.modified()? >= since {
            // A file may be gone by now: another process compacts.
            match File::open(entry.path()) {
                Ok(file) => file.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            changed = true;
        }
    }
    if changed {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Keeps what is written in the home from ending up elsewhere: what allm writes there may be no symbolic link.
pub fn refuse_links(home: &Path) -> Result<()> {
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

/// Makes a folder for its owner alone.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.with_context(|| format!("cannot create `{}`", folder.display()))
}
