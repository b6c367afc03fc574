//! Brings what LanceDB has written to the disk: LanceDB itself never asks the system to.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

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
