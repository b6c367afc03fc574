//! Which files are transcripts, in which order they are read, and how they are unpacked.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::import::files::{files, name, open, time};

/// How files begin that are compressed with Zstandard.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How long the first line of a transcript may be, in bytes: it has the instructions of the program.
const LONGEST_HEAD: u64 = 8 << 20;

/// Returns the transcripts below a folder, those first whose sessions began first: a fork comes after what it was forked from. One
/// that is there compressed, too, counts once.
pub fn transcripts(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut paths = files(folder, "jsonl")?;
    let plain: HashSet<String> = paths.iter().map(|path| stem(path)).collect();
    let packed = files(folder, "zst")?;
    paths.extend(
        packed
            .into_iter()
            .filter(|path| !plain.contains(&stem(path))),
    );
    paths.retain(|path| name(path).starts_with("rollout-"));
    paths.sort_by_cached_key(|path| began(path));
    Ok(paths)
}

/// Returns the name of a transcript, compressed or not.
pub fn stem(path: &Path) -> String {
    let name = name(path);
    let name = name.strip_suffix(".zst").unwrap_or(&name);
    name.strip_suffix(".jsonl").unwrap_or(name).to_owned()
}

/// Returns when a session began, as the first line of its transcript says.
fn began(path: &Path) -> Option<DateTime<Utc>> {
    let mut first = String::new();
    let mut file = BufReader::new(reader(path).ok()?).take(LONGEST_HEAD);
    file.read_line(&mut first).ok()?;
    let first: Value = serde_json::from_str(first.trim_start_matches('\u{feff}')).ok()?;
    let times = [&first["payload"], &first].map(|meta| time(&meta["timestamp"]));
    times.into_iter().flatten().next()
}

/// Opens a transcript.
pub fn reader(path: &Path) -> Result<Box<dyn Read>> {
    let mut file = BufReader::new(open(path)?);
    let is_named = path.extension().is_some_and(|extension| extension == "zst");
    if is_named || file.fill_buf()?.starts_with(&MAGIC) {
        return Ok(Box::new(zstd::Decoder::with_buffer(file)?));
    }
    Ok(Box::new(file))
}
