//! Tables that cannot be read: whether that passes, and the version before the one that a power cut has torn.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lancedb::Connection;

use super::doctor::{Agree, Finding, State, said};
use super::losses::Losses;
use super::reading::{Fault, Whole, count, fault, folder, head, read_whole};
use crate::conversation::counted;
use crate::store::disk::make_folder;
use crate::store::open::Options;
use crate::store::words::new_id;

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
    let mut states = Vec::new();
    for (name, read) in all {
        states.push((
            name,
            match read {
                _ if options.is_local() && !folder(options, name).exists() => Is::Nowhere,
                Ok(whole) => Is::Whole(whole),
                Err(_) if closed.is_some() => go_back(options, &connection, name).await,
                Err(error) => Is::Wrong(said(&error)),
            },
        ));
    }
    let losses = match &closed {
        Some(closed) => Losses::look(options, &connection, &locks.inside(closed))
            .await
            .ok(),
        None => None,
    };
    let mut sound = true;
    for (name, is) in states {
        let (state, detail) = match is {
            Is::Whole(whole) => (State::Fine, whole.detail),
            Is::Wrong(why) => (State::Wrong, why),
            Is::Nowhere => {
                sound &= fix;
                let detail = "is not there; whoever opens the store makes it, without rows";
                (State::Odd, detail.to_owned())
            }
            Is::Back(back) => back.settle(losses.as_ref(), agree),
        };
        sound &= state != State::Wrong;
        findings.push(Finding::new(&format!("table {name}"), state, detail));
    }
    Ok(sound)
}

/// Says what has become of a table.
enum Is {
    Whole(Whole),
    Wrong(String),
    Nowhere,
    /// It has gone back to a version that can be read.
    Back(Back),
}

/// Is a table that has gone back, unless nobody agrees.
struct Back {
    aside: Aside,
    why: String,
    before: Whole,
    /// How many rows it has less, if that is known.
    fewer: Option<usize>,
}

impl Back {
    /// Leaves the table as it is now where nothing is lost by it, or somebody agrees to what is.
    fn settle(mut self, losses: Option<&Losses>, agree: Agree<'_>) -> (State, String) {
        let name = &self.aside.name;
        let loss = match losses {
            Some(losses) => losses.of(name, self.fewer),
            None => Some("though nobody can tell how many rows fewer it has".to_owned()),
        };
        if let Some(loss) = loss
            && !agree(&format!(
                "Go back to the version of `{name}` before, {loss}?"
            ))
        {
            let way = "`allm doctor --fix --yes` goes back to it";
            let detail = format!(
                "{}; the version before can be read, {loss}: {way}",
                self.why
            );
            return (State::Wrong, detail);
        }
        let count = std::mem::take(&mut self.aside.moved).len();
        let detail = format!(
            "what could not be read, {}, is in {}; {}",
            counted(count, "version"),
            self.aside.folder.display(),
            self.before.detail
        );
        (State::Fixed, detail)
    }
}

/// Reads a table again, now that nobody else does anything with it, and sets its latest versions aside until it can be read, if it is
/// torn. Where no version can be read they are put back.
async fn go_back(options: &Options, connection: &Connection, name: &str) -> Is {
    let error = match read_whole(options, connection, name).await {
        Ok(whole) => return Is::Whole(whole),
        Err(error) => error,
    };
    let why = said(&error);
    if fault(&error) != Fault::Torn {
        return Is::Wrong(format!(
            "{why}; nothing is set aside, because that may pass"
        ));
    }
    let rows = count(options, connection, name).await;
    match earlier(options, connection, name).await {
        Ok((aside, before)) => Is::Back(Back {
            aside,
            why,
            fewer: rows.map(|rows| rows.saturating_sub(before.rows)),
            before,
        }),
        Err(error) => Is::Wrong(format!("{why}; {}", said(&error))),
    }
}

async fn earlier(options: &Options, connection: &Connection, name: &str) -> Result<(Aside, Whole)> {
    let mut aside = Aside::new(options, name)?;
    loop {
        if aside.moved.len() == VERSIONS || !aside.take()? {
            bail!("no version of the table can be read");
        }
        match read_whole(options, connection, name).await {
            Ok(whole) => return Ok((aside, whole)),
            Err(error) if fault(&error) == Fault::Torn => {}
            Err(error) => return Err(error.context("the version before cannot be read now")),
        }
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
