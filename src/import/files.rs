//! Opens what other programs wrote, read-only: JSON Lines, long JSON arrays, SQLite databases.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use encoding_rs_io::DecodeReaderBytesBuilder;
use ignore::WalkBuilder;
use rusqlite::{Connection, OpenFlags};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::escapes::Mended;
use super::{Item, Take};

/// How long a line may be, in bytes: transcripts hold pictures and whole files.
const LONGEST_LINE: u64 = 256 << 20;

/// Opens a file.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Reads text: a byte order mark is no part of it, and the encoding that it stands for becomes UTF-8.
pub fn decoded<R: Read>(reader: R) -> BufReader<impl Read + use<R>> {
    let mut builder = DecodeReaderBytesBuilder::new();
    let builder = builder.utf8_passthru(true).strip_bom(true);
    BufReader::new(builder.build(reader))
}

/// Hands over the lines of a JSON Lines file that are not blank, each with its number and what it says.
///
/// # Errors
///
/// Fails when the file cannot be read on.
pub fn each_line(
    reader: impl Read,
    take: &mut dyn FnMut(usize, serde_json::Result<Value>) -> Result<()>,
) -> Result<()> {
    let mut reader = BufReader::new(Mended::new(decoded(reader)));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if (&mut reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?
            == 0
        {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        // A text that was cut within a character is still a text. Files that were joined have a mark within.
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}');
        take(number, serde_json::from_str(text))?;
    }
    Ok(())
}

/// Hands over the elements of a JSON array, one at a time; a single object counts as an array of one.
pub fn each_element(reader: impl Read, take: &mut dyn FnMut(Value) -> Result<()>) -> Result<()> {
    struct Elements<'t, 'f>(
        &'t mut dyn FnMut(Value) -> Result<()>,
        &'f mut Option<anyhow::Error>,
    );

    impl<'de> Visitor<'de> for Elements<'_, '_> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                if let Err(error) = (self.0)(element) {
                    *self.1 = Some(error);
                    return Err(serde::de::Error::custom("it was not taken"));
                }
            }
            Ok(())
        }
    }

    impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_seq(self)
        }
    }

    let mut reader = BufReader::new(Mended::new(decoded(reader)));
    if first_byte(&mut reader)? == Some(b'{') {
        return take(serde_json::from_reader(reader)?);
    }
    let mut refused = None;
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = Elements(take, &mut refused).deserialize(&mut deserializer);
    match refused {
        Some(error) => Err(error),
        None => Ok(read.and_then(|()| deserializer.end())?),
    }
}

/// Returns the first byte that is no blank, and leaves it to be read.
fn first_byte(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace());
        match (blank.count(), buffer.len()) {
            (_, 0) => return Ok(None),
            (blank, all) if blank == all => reader.consume(all),
            (blank, _) => {
                let first = buffer[blank];
                reader.consume(blank);
                return Ok(Some(first));
            }
        }
    }
}

/// Returns the files below a folder with some extension, in the order of their paths. Links are not followed.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = all(folder)?;
    files.retain(|path| path.extension().is_some_and(|known| known == extension));
    Ok(files)
}

/// Returns all files below a folder, as [`files`] does.
pub fn all(folder: &Path) -> Result<Vec<PathBuf>> {
    // A folder that is not there is an error, one inside that cannot be read is not.
    std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut walk = WalkBuilder::new(folder);
    walk.standard_filters(false).follow_links(false);
    let mut files: Vec<PathBuf> = walk
        .build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
        .collect();
    files.sort();
    Ok(files)
}

/// Returns files as [`files`] does, those first that were written to first: what was copied comes after what it was copied from.
pub fn oldest_first(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = files(folder, extension)?;
    files.sort_by_key(|path| {
        std::fs::metadata(path)
            .and_then(|file| file.modified())
            .ok()
    });
    Ok(files)
}

/// Returns the path of a file as it is below a folder, or its name.
pub fn below(folder: &Path, path: &Path) -> String {
    match path.strip_prefix(folder) {
        Ok(below) if below != Path::new("") => below.display().to_string(),
        _ => name(path),
    }
}

/// Returns the last part of a path.
pub fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Names a database that cannot be read where it is one of many, so that the rest of them comes in.
///
/// # Errors
///
/// Fails as the reading did where it is the only one, or was refused what it handed over.
pub fn broken_among_others(
    root: &Path,
    path: &Path,
    part: &'static str,
    read: Result<()>,
    take: &mut Take<'_>,
) -> Result<()> {
    match read {
        Err(error) if root.is_dir() && error.is::<rusqlite::Error>() => {
            take(part, Item::Broken(below(root, path), format!("{error:#}")))
        }
        read => read,
    }
}

/// Opens a SQLite database to read, also while another program writes to it. The returned folder, if any, holds a copy.
pub fn sqlite(path: &Path) -> Result<(Connection, Option<tempfile::TempDir>)> {
    let context = || format!("cannot read `{}`", path.display());
    open(path)?;
    let beside = |suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    // What a program that died has left can only be read by writing: a copy is written to.
    let left = beside("-wal").exists() && !beside("-shm").exists();
    if !left && let Ok(connection) = readable(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        return Ok((connection, None));
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let copy = folder.path().join("copy.db");
    std::fs::copy(path, &copy).with_context(context)?;
    for suffix in ["-wal", "-journal"] {
        if beside(suffix).exists() {
            let to = folder.path().join(format!("copy.db{suffix}"));
            std::fs::copy(beside(suffix), to).with_context(context)?;
        }
    }
    let connection = readable(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE).with_context(context)?;
    Ok((connection, Some(folder)))
}

fn readable(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // What is opened is only looked at now.
    connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(connection)
}

/// Reads a time: RFC 3339, the same without a zone (UTC), or seconds since 1970.
pub fn time(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(seconds) => {
            let seconds = seconds.as_f64()?;
            // Some programs count milliseconds.
            let seconds = if seconds > 1e11 {
                seconds / 1e3
            } else {
                seconds
            };
            #[expect(clippy::cast_possible_truncation, reason = "times fit")]
            let micros = (seconds * 1e6).round() as i64;
            DateTime::from_timestamp_micros(micros)
        }
        Value::String(text) => {
            let text = text.trim();
            let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
            let spaced = || DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z");
            zoned
                .or_else(|_| spaced().map(|time| time.to_utc()))
                .ok()
                .or_else(|| {
                    let naive = |form| chrono::NaiveDateTime::parse_from_str(text, form).ok();
                    let naive =
                        naive("%Y-%m-%dT%H:%M:%S%.f").or_else(|| naive("%Y-%m-%d %H:%M:%S%.f"));
                    Some(naive?.and_utc())
                })
        }
        _ => None,
    }
}

/// Returns a member of an object that is text, or nothing.
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
