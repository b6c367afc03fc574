//! What lies on a disk of ours: folders for their owner alone, no links, and files that are brought to the disk, which LanceDB itself
//! never asks for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::words::Hinted;

/// Syncs the files below `folder` that were changed since, and the folders that have got or lost something: the entry of a file, or of
/// a folder, is in the folder above it.
pub fn new_files(folder: &Path, since: SystemTime) -> io::Result<()> {
    let mut changed = Vec::new();
    add_changed(folder, since, &mut changed)?;
    let above = folder.parent().unwrap_or(folder);
    if fs::metadata(above)?.modified()? >= since {
        changed.push(above.to_owned());
    }
    for path in changed {
        unless_gone(File::open(path).and_then(|file| file.sync_all()))?;
    }
    Ok(())
}

/// Adds what is to be synced of a folder: first what it holds, then the folder itself.
fn add_changed(folder: &Path, since: SystemTime, changed: &mut Vec<PathBuf>) -> io::Result<()> {
    let Some(entries) = unless_gone(fs::read_dir(folder))? else {
        return Ok(());
    };
    let modified = fs::metadata(folder).and_then(|folder| folder.modified());
    let mut has_new = unless_gone(modified)?.is_some_and(|modified| modified >= since);
    for entry in entries {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            add_changed(&entry.path(), since, changed)?;
        } else if metadata.modified()? >= since {
            changed.push(entry.path());
            has_new = true;
        }
    }
    if has_new {
        changed.push(folder.to_owned());
    }
    Ok(())
}

/// Takes it for no error when something is gone: another process compacts.
fn unless_gone<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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

/// Puts a file in the place of another: whole or not at all, on the disk, and for nobody but those who could read the other one; a new
/// one is for its owner alone.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    if let Ok(other) = fs::metadata(path) {
        file.as_file().set_permissions(other.permissions())?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_name(path)
}

/// Syncs the folder that names a file, or has named it.
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes a folder for its owner alone.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.with_context(|| format!("cannot create `{}`", folder.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // Finding L2.
    #[test]
    fn what_is_new_is_synced_with_the_folders_that_name_it() {
        let place = tempfile::tempdir().unwrap();
        let tables = place.path().join("tables");
        for file in ["old/data/one", "new/data/two", "new/index/three"] {
            let path = tables.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let now = SystemTime::now();
        let before = |path: &str| {
            let file = File::open(tables.join(path)).unwrap();
            file.set_modified(now - Duration::from_hours(1)).unwrap();
        };
        for path in [
            "old/data/one",
            "old/data",
            "old",
            "new/data/two",
            "new/data",
            "",
        ] {
            before(path);
        }
        let changed = || {
            let mut changed = Vec::new();
            add_changed(&tables, now - Duration::from_mins(1), &mut changed).unwrap();
            let names = changed
                .iter()
                .map(|path| path.strip_prefix(&tables).unwrap());
            names
                .map(|name| name.display().to_string())
                .collect::<Vec<_>>()
        };
        // The folder of an index is new in the one of its table.
        assert_eq!(changed(), ["new/index/three", "new/index", "new"]);
        for path in ["new/index/three", "new/index"] {
            before(path);
        }
        assert_eq!(changed(), ["new"]);
        new_files(&tables, now).unwrap();
        new_files(&tables.join("gone"), now).unwrap();
    }
}
