//! Opens the files of a data export, wherever they lie: in folders, in ZIP archives, in archives within those.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result};

use crate::import::files::{all, below, name, open};

/// How deep archives may lie in one another.
const DEEPEST: usize = 4;

/// Is a file of an export, or one that cannot be opened and why.
pub enum Part<'p> {
    Text(&'p mut dyn Read),
    Unreadable(String),
}

/// Takes a file of an export with its name. An error ends the reading.
pub type TakePart<'t> = dyn FnMut(&str, Part<'_>) -> Result<()> + 't;

/// Hands over the files of an export whose names are wanted, or the one file that is named.
///
/// # Errors
///
/// Fails when there is nothing at a path, or the archive that is named cannot be read.
pub fn each_part(path: &Path, wanted: fn(&str) -> bool, take: &mut TakePart<'_>) -> Result<()> {
    if !path.is_dir() {
        let mut file = open(path)?;
        return match is_archive(&mut file)? {
            true => archive(file, "", 0, wanted, take)
                .with_context(|| format!("cannot read the archive `{}`", path.display())),
            false => take(&name(path), Part::Text(&mut file)),
        };
    }
    for file in all(path)? {
        let name = below(path, &file);
        let is_packed = has_ending(&name, "zip");
        if !is_packed && !wanted(&name) {
            continue;
        }
        match open(&file) {
            Ok(file) if is_packed => packed(file, &name, 0, wanted, take)?,
            Ok(mut file) => take(&name, Part::Text(&mut file))?,
            Err(error) => take(&name, Part::Unreadable(format!("{error:#}")))?,
        }
    }
    Ok(())
}

/// Reads an archive among other files: it may be broken.
fn packed(
    file: File,
    name: &str,
    depth: usize,
    wanted: fn(&str) -> bool,
    take: &mut TakePart<'_>,
) -> Result<()> {
    match archive(file, &format!("{name}/"), depth, wanted, take) {
        Err(error) if error.is::<zip::result::ZipError>() || error.is::<io::Error>() => {
            take(name, Part::Unreadable(error.to_string()))
        }
        done => done,
    }
}

fn archive(
    file: File,
    within: &str,
    depth: usize,
    wanted: fn(&str) -> bool,
    take: &mut TakePart<'_>,
) -> Result<()> {
    let mut archive = zip::ZipArchive::new(file)?;
    // A name that is no text is none of those wanted.
    let names = archive.file_names().filter_map(Result::ok);
    let mut names: Vec<String> = names.map(std::borrow::Cow::into_owned).collect();
    names.retain(|name| wanted(name) || has_ending(name, "zip"));
    names.sort();
    for name in names {
        let full = format!("{within}{name}");
        let mut part = match archive.by_name(&name) {
            Ok(part) => part,
            Err(error) => {
                take(&full, Part::Unreadable(error.to_string()))?;
                continue;
            }
        };
        if wanted(&name) {
            take(&full, Part::Text(&mut part))?;
        } else if depth == DEEPEST {
            let why = "it lies too deep in other archives".to_owned();
            take(&full, Part::Unreadable(why))?;
        } else {
            let mut copy = tempfile::tempfile().context("cannot make a temporary file")?;
            match io::copy(&mut part, &mut copy) {
                Ok(_) => packed(copy, &full, depth + 1, wanted, take)?,
                Err(error) => take(&full, Part::Unreadable(error.to_string()))?,
            }
        }
    }
    Ok(())
}

fn is_archive(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    // An empty archive begins otherwise.
    Ok(magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06")
}

/// Returns whether a name ends in a dot and so; whatever its case.
fn has_ending(name: &str, ending: &str) -> bool {
    let known = Path::new(name).extension();
    known.is_some_and(|known| known.eq_ignore_ascii_case(ending))
}

/// Returns whether a name is that of conversations, as their senders name them: a file of many, or a folder of files.
pub fn is_named_so(name: &str) -> bool {
    let lower = name.to_lowercase();
    let mut parts = lower.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or_default();
    is_text(name) && (file.starts_with("conversations") || parts.next() == Some("conversations"))
}

/// Returns whether a name is that of some JSON, and not of what a program keeps for itself.
pub fn is_text(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let is_json = ["json", "jsonl", "ndjson"]
        .iter()
        .any(|ending| has_ending(name, ending));
    is_json && !file.starts_with('.')
}
