//! Tables that cannot be read: whether that passes, and the version before the one that a power cut has torn.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lancedb::Connection;

use super::doctor::{Agree, Finding, State, said};
use super::reading::{Fault, count, fault, folder, head, read_whole};
use crate::store::disk::make_folder;
use crate::store::locks::Locks;
use crate::store::open::Options;
use crate::store::tables::{Passage, Record, registry};
use crate::store::words::new_id;
use crate::store::writing::journal::{self, Orphan};

const TABLES: [&str; 6] = [
    "registry",
    "users",
    "sessions",
    "interactions",
    "react_cycles",
    "passages",
];
/// How many versions of a table may be set aside before it is given up: a power cut costs one or two.
const VERSIONS: usize = 10;

/// Opens each table and reads all of it; with `fix`, those that are torn go back to the version before. Returns whether all can be
/// read.
pub async fn tables(
    options: &mut Options,
    fix: bool,
    agree: Agree<'_>,
    findings: &mut Vec<Finding>,
) -> Result<bool> {
    options.name_really()?;
    let connection = lancedb::connect(&options.uri).execute().await?;
    // Nobody prunes or erases meanwhile: a version that goes while it is read would look like one that is torn.
    let locks = options.locks();
    let upkeep = locks.upkeep().await?;
    let pass = locks.enter().await?;
    let mut all = Vec::new();
    for name in TABLES {
        all.push((name, read_whole(options, &connection, name).await));
    }
    drop(pass);
    let unread = all.iter().any(|(_, read)| read.is_err());
    let closed = match fix && unread && options.is_local() {
        true => Some(locks.close(&upkeep).await?),
        false => None,
    };
    let torn = closed.as_ref().map(|closed| Torn {
        options,
        connection: &connection,
        locks: locks.inside(closed),
        agree,
    });
    let mut sound = true;
    for (name, read) in all {
        let what = format!("table {name}");
        let is_there = !options.is_local() || folder(options, name).exists();
        let finding = match (read, &torn) {
            _ if !is_there => {
                sound &= fix;
                let detail = "is not there; whoever opens the store makes it, without rows";
                Finding::new(&what, State::Odd, detail)
            }
            (Ok(whole), _) => Finding::new(&what, State::Fine, whole.detail),
            (Err(_), Some(torn)) => torn.repair(name, &what).await,
            (Err(error), None) => Finding::new(&what, State::Wrong, said(&error)),
        };
        sound &= finding.state != State::Wrong;
        findings.push(finding);
    }
    Ok(sound)
}

/// Repairs tables, while nobody else does anything with them.
struct Torn<'t> {
    options: &'t Options,
    connection: &'t Connection,
    locks: Locks,
    agree: Agree<'t>,
}

impl Torn<'_> {
    /// Reads a table again, and repairs it if it is torn.
    async fn repair(&self, name: &str, what: &str) -> Finding {
        let error = match read_whole(self.options, self.connection, name).await {
            Ok(whole) => return Finding::new(what, State::Fine, whole.detail),
            Err(error) => error,
        };
        let wrong =
            |why: &str| Finding::new(what, State::Wrong, format!("{}; {why}", said(&error)));
        if fault(&error) != Fault::Torn {
            return wrong("nothing is set aside, because that may pass");
        }
        match self.go_back(name).await {
            Ok(detail) => Finding::new(what, State::Fixed, detail),
            Err(why) => wrong(&said(&why)),
        }
    }

    /// Sets the latest versions of a table aside until it can be read, and says what came of it. Where no version can be read, and
    /// where nobody agrees to the loss of rows, they are put back.
    async fn go_back(&self, name: &str) -> Result<String> {
        let rows = count(self.options, self.connection, name).await;
        let mut aside = Aside::new(self.options, name)?;
        let before = loop {
            if aside.moved.len() == VERSIONS || !aside.take()? {
                bail!("no version of the table can be read");
            }
            match read_whole(self.options, self.connection, name).await {
                Ok(whole) => break whole,
                Err(error) if fault(&error) == Fault::Torn => {}
                Err(error) => return Err(error.context("the version before cannot be read now")),
            }
        };
        let fewer = rows.map(|rows| rows.saturating_sub(before.rows));
        if let Some(loss) = self.loss(name, fewer).await?
            && !(self.agree)(&format!(
                "Go back to the version of `{name}` before, {loss}?"
            ))
        {
            bail!(
                "the version before can be read, {loss}: `allm doctor --fix --yes` goes back to it"
            );
        }
        let (count, place) = (aside.moved.len(), aside.folder.display().to_string());
        aside.moved.clear();
        Ok(format!(
            "{count} version(s) could not be read and are in {place}; {}",
            before.detail
        ))
    }

    /// Says what is lost with a version that has `fewer` rows, as far as that is known; nothing, where none is lost: passages are made
    /// again from their turns, and the turns of a power cut are in the journal until what it may have torn is on the disk.
    async fn loss(&self, name: &str, fewer: Option<usize>) -> Result<Option<String>> {
        if name == Passage::NAME || fewer == Some(0) {
            return Ok(None);
        }
        let waiting = self.waiting().await?;
        Ok(match fewer {
            Some(fewer) if fewer <= waiting => None,
            Some(fewer) => Some(format!(
                "with {fewer} rows fewer, of which the journal has {waiting}"
            )),
            None if waiting > 0 => None,
            None => Some("though nobody can tell how many rows fewer it has".to_owned()),
        })
    }

    /// Counts the turns in the journals of dead processes that are of these tables, as far as the registry says which these are.
    async fn waiting(&self) -> Result<usize> {
        let id = registry::store_id(self.connection, &self.locks).await;
        let id = id.ok().flatten();
        let mut waiting = 0;
        for path in journal::list(&self.options.home.join("journal"))? {
            let Some(orphan) = Orphan::open(path)? else {
                continue;
            };
            let ours = orphan.turns.iter().filter(|turn| {
                let theirs = id.as_ref().is_some_and(|id| *id != turn.store);
                turn.store.is_empty() || !theirs
            });
            waiting += ours.count();
        }
        Ok(waiting)
    }
}

/// Holds versions that were set aside, and puts them back when it is dropped with them.
struct Aside {
    name: String,
    versions: PathBuf,
    folder: PathBuf,
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Aside {
    fn new(options: &Options, name: &str) -> Result<Aside> {
        let aside = options.home.join("aside");
        make_folder(&aside)?;
        Ok(Aside {
            name: name.to_owned(),
            versions: folder(options, name).join("_versions"),
            folder: aside,
            moved: Vec::new(),
        })
    }

    /// Sets the latest version aside. Returns whether there was one.
    fn take(&mut self) -> Result<bool> {
        let Some(head) = head(&self.versions)? else {
            return Ok(false);
        };
        let file = head.file_name().unwrap_or_default().to_string_lossy();
        let to = self
            .folder
            .join(format!("{}-{}-{file}", self.name, new_id()));
        let context = || format!("cannot set `{}` aside", head.display());
        move_file(&head, &to).with_context(context)?;
        // A hint to a version that is gone would only cost time.
        drop(fs::remove_file(
            self.versions.join("latest_version_hint.json"),
        ));
        self.moved.push((head, to));
        Ok(true)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        for (from, to) in self.moved.drain(..).rev() {
            // What cannot be put back is still aside.
            drop(move_file(&to, &from));
        }
    }
}

/// Moves a file, also to another disk: the home may be on one, and the tables on another.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::copy(from, to)?;
            fs::remove_file(from)
        }
        moved => moved,
    }
}
