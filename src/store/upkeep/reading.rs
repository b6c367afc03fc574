//! Reads a table whole, and tells what is wrong with it: whether a file is torn, or reading it fails for now.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::{FutureExt, TryStreamExt};
use lancedb::Connection;
use lancedb::datafusion::error::DataFusionError;
use lancedb::query::ExecutableQuery;

use crate::conversation::counted;
use crate::store::open::Options;

/// Is a table that could be read.
pub struct Whole {
    pub rows: usize,
    pub detail: String,
}

/// Opens a table and reads all of it.
pub async fn read_whole(options: &Options, connection: &Connection, name: &str) -> Result<Whole> {
    // Some of what makes no sense makes LanceDB panic.
    let reading = AssertUnwindSafe(read(options, connection, name)).catch_unwind();
    match reading.await {
        Ok(read) => read,
        Err(_) => Err(senseless(&folder(options, name))),
    }
}

/// Returns why LanceDB breaks down over a table: the disk, if that does not read its files, or else what is in them.
fn senseless(folder: &Path) -> anyhow::Error {
    let read = |path: PathBuf| io::copy(&mut File::open(path)?, &mut io::sink());
    let files = fs::read_dir(folder.join("data"))
        .and_then(|mut files| files.try_for_each(|file| read(file?.path()).map(drop)));
    match files {
        Ok(()) => anyhow::Error::new(Torn("what is in a file of it makes no sense".to_owned())),
        Err(error) => anyhow::Error::new(error).context("cannot read a file of it"),
    }
}

/// Opens a table, unless its manifest is torn.
async fn open(options: &Options, connection: &Connection, name: &str) -> Result<lancedb::Table> {
    if options.is_local()
        && let Some(manifest) = head(&folder(options, name).join("_versions"))?
    {
        check(&manifest, is_whole_manifest)?;
    }
    Ok(connection.open_table(name).execute().await?)
}

/// Counts the rows of a table by its manifest, which may be whole where a data file is not.
pub async fn count(options: &Options, connection: &Connection, name: &str) -> Option<usize> {
    let table = open(options, connection, name).await.ok()?;
    table.count_rows(None).await.ok()
}

async fn read(options: &Options, connection: &Connection, name: &str) -> Result<Whole> {
    let table = open(options, connection, name).await?;
    let folder = folder(options, name);
    if let (true, Some(native)) = (options.is_local(), table.as_native()) {
        let manifest = native.manifest().await?;
        for file in manifest.fragments.iter().flat_map(|part| &part.files) {
            check(&folder.join("data").join(&file.path), has_end)?;
        }
    }
    let mut rows = 0;
    let mut batches = table.query().execute().await?;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    let stats = table.stats().await?;
    let indices = table.list_indices().await?.len();
    let detail = format!(
        "{} in {}, {}, {indices} {}",
        counted(rows, "row"),
        counted(stats.fragment_stats.num_fragments, "file"),
        counted(table.list_versions().await?.len(), "version"),
        if indices == 1 { "index" } else { "indices" },
    );
    Ok(Whole { rows, detail })
}

/// The last bytes of each file of a table (<https://lance.org/format/table/>).
const MAGIC: [u8; 4] = *b"LANC";

/// Says of a file that it is not there as it was written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Torn(String);

/// Fails with [`Torn`] where a file is not there, or not as it should be.
fn check(path: &Path, is_whole: impl FnOnce(&mut File) -> io::Result<bool>) -> Result<()> {
    match File::open(path).and_then(|mut file| is_whole(&mut file)) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read `{}`", path.display()))
        }
        _ => Err(Torn(format!("`{}` is not whole", path.display())).into()),
    }
}

/// Returns whether a file ends as it should.
fn has_end(file: &mut File) -> io::Result<bool> {
    let mut end = [0; MAGIC.len()];
    let Some(place) = file.metadata()?.len().checked_sub(MAGIC.len() as u64) else {
        return Ok(false);
    };
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut end)?;
    Ok(end == MAGIC)
}

/// Returns whether a manifest ends as it should and is as long as it says: after its length come as many bytes and then 16, which begin
/// with the place of the length.
fn is_whole_manifest(file: &mut File) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let end = bytes.len().saturating_sub(16);
    let number = |at: usize, width: usize| {
        let bytes = bytes.get(at..at.checked_add(width)?)?.iter().rev();
        let number = bytes.fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    };
    let length_at = number(end, 8);
    let begin = length_at.and_then(|at| at.checked_add(4));
    let length = length_at.and_then(|at| number(at, 4));
    let said = begin
        .zip(length)
        .and_then(|(begin, length)| begin.checked_add(length));
    Ok(bytes.ends_with(&MAGIC) && said == Some(end))
}

/// Says what an error in reading says about the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One is not what was written, or is not there.
    Torn,
    /// Nothing: the disk fails, too many files are open, memory is short.
    Passing,
    Unknown,
}

/// Returns what an error says about the files that could not be read.
pub fn fault(error: &anyhow::Error) -> Fault {
    let mut fault = Fault::Unknown;
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
            return match error.kind() {
                InvalidData | NotFound | UnexpectedEof => Fault::Torn,
                _ => Fault::Passing,
            };
        }
        if let Some(error) = cause.downcast_ref::<DataFusionError>()
            && matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
        {
            return Fault::Passing;
        }
        let is_torn = cause
            .downcast_ref::<lance_core::Error>()
            .is_some_and(|error| {
                use lance_core::Error;
                matches!(
                    error.find_root(),
                    Error::CorruptFile { .. }
                        | Error::NotFound { .. }
                        | Error::IO { .. }
                        | Error::Internal { .. }
                        | Error::Arrow { .. }
                        | Error::Schema { .. }
                )
            });
        if is_torn || cause.is::<Torn>() {
            fault = Fault::Torn;
        }
    }
    fault
}

/// Returns where a table is.
pub fn folder(options: &Options, name: &str) -> PathBuf {
    Path::new(&options.uri).join(format!("{name}.lance"))
}

/// Returns the latest manifest of a table. Manifests are named by their version, or by how far it is from the greatest number, in 20
/// digits.
pub fn head(folder: &Path) -> Result<Option<PathBuf>> {
    let mut manifests = Vec::new();
    for entry in fs::read_dir(folder).context("cannot list the versions")? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if let (true, Ok(number)) = (
            path.extension().is_some_and(|kind| kind == "manifest"),
            stem.parse::<u64>(),
        ) {
            let version = if stem.len() == 20 {
                u64::MAX - number
            } else {
                number
            };
            manifests.push((version, path));
        }
    }
    Ok(manifests.into_iter().max().map(|(_, path)| path))
}
