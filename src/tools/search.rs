//! `list_files` and `search_files`: what a working directory holds, as version control sees it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::BoxFuture;
use grep_regex::RegexMatcherBuilder;
use grep_searcher::sinks::Lossy;
use grep_searcher::{BinaryDetection, SearcherBuilder};
use ignore::overrides::{Override, OverrideBuilder};
use ignore::{DirEntry, WalkBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Real, Tool, read, spec};
use crate::conversation::{ToolSpec, cut};

/// The most files that are listed.
const LISTED: usize = 1000;
/// The most lines that a search shows.
const SHOWN: usize = 200;
/// The longest line that a search shows whole, in characters.
const LONGEST: usize = 300;
/// The most memory that a regular expression and a line may take each, in bytes; longer lines are passed over with their file.
const ROOM: usize = 16 << 20;
/// How long a walk may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Lists the files below a folder.
pub struct ListFiles(pub Arc<Access>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    path: Option<String>,
    glob: Option<String>,
}

impl Tool for ListFiles {
    fn spec(&self) -> ToolSpec {
        spec(
            "list_files",
            "List the files below a folder, but for what version control ignores.",
            json!({
                "path": {"type": "string", "description": "A folder, relative to the working directory; without it that directory."},
                "glob": {"type": "string", "description": "Only files that match, for example `*.rs` or `src/**/mod.rs`."},
            }),
            &[],
        )
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let ListArguments { path, glob } = read(&arguments)?;
            let access = Arc::clone(&self.0);
            walk(path, glob, Arc::clone(&self.0), move |files, _| {
                let mut lines = Vec::new();
                for file in files {
                    let file = file?;
                    // A folder may have become a link, and the walk would show what is elsewhere.
                    if !file.is_file() {
                        continue;
                    }
                    if lines.len() == LISTED {
                        lines.push(format!("[… only the first {LISTED} files are listed …]"));
                        break;
                    }
                    lines.push(access.shown(file.path()));
                }
                Ok(lines)
            })
            .await
        })
    }
}

/// Searches the files below a folder.
pub struct SearchFiles(pub Arc<Access>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    regex: String,
    path: Option<String>,
    glob: Option<String>,
}

impl Tool for SearchFiles {
    fn spec(&self) -> ToolSpec {
        spec(
            "search_files",
            "Find the lines of text files that match a regular expression; shows path, line number and line.",
            json!({
                "regex": {"type": "string", "description": "In the syntax of Rust's regex crate."},
                "path": {"type": "string", "description": "A folder or file, relative to the working directory; without it that directory."},
                "glob": {"type": "string", "description": "Only files that match, for example `*.rs`."},
            }),
            &["regex"],
        )
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let SearchArguments { regex, path, glob } = read(&arguments)?;
            let matcher = RegexMatcherBuilder::new()
                .line_terminator(Some(b'\n'))
                .size_limit(ROOM)
                .dfa_size_limit(ROOM)
                .build(&regex)
                .context("the regular expression cannot be read")?;
            let access = Arc::clone(&self.0);
            walk(path, glob, Arc::clone(&self.0), move |files, patience| {
                let mut searcher = SearcherBuilder::new()
                    .binary_detection(BinaryDetection::quit(0))
                    .heap_limit(Some(ROOM))
                    .line_number(true)
                    .build();
                let mut lines = Vec::new();
                for file in files {
                    let file = file?;
                    let name = access.shown(file.path());
                    let found = Lossy(|number, line| {
                        let line = cut(line.trim_end(), LONGEST);
                        lines.push(format!("{name}:{number}: {line}"));
                        Ok(lines.len() <= SHOWN)
                    });
                    // A file that cannot be read is passed over, as grep does.
                    let Ok(file) = file.open() else { continue };
                    let file = Patiently { file, patience };
                    drop(searcher.search_reader(&matcher, file, found));
                    if lines.len() > SHOWN {
                        lines.truncate(SHOWN);
                        lines.push(format!("[… only the first {SHOWN} lines are shown …]"));
                        break;
                    }
                }
                Ok(lines)
            })
            .await
        })
    }
}

type Files<'w> = &'w mut dyn Iterator<Item = Result<Real>>;

/// Walks below a folder in a thread of its own, in the order of the paths, and stops when nobody waits for it any more.
async fn walk(
    path: Option<String>,
    glob: Option<String>,
    access: Arc<Access>,
    collect: impl FnOnce(Files<'_>, &Patience) -> Result<Vec<String>> + Send + 'static,
) -> Result<String> {
    let root = access.existing(path.as_deref().unwrap_or("."))?;
    let mut chosen = OverrideBuilder::new(access.root());
    if let Some(glob) = &glob {
        chosen
            .add(glob)
            .with_context(|| format!("`{glob}` is not a glob"))?;
    }
    let chosen = chosen.build()?;
    let stop = Stop(Arc::default());
    let patience = Patience {
        stopped: Arc::clone(&stop.0),
        until: Instant::now() + LIMIT,
    };
    let work = move || {
        let inner = Arc::clone(&access);
        // A file that is named is searched, whatever version control says.
        let walk = WalkBuilder::new(root.path())
            .hidden(false)
            .require_git(false)
            .sort_by_file_path(Path::cmp)
            .filter_entry(move |entry| is_seen(entry, &inner, &chosen))
            .build();
        let mut entries = walk.filter_map(Result::ok);
        let mut files = std::iter::from_fn(|| {
            loop {
                // Asked after the last file, too: it may have been left half-way.
                if patience.is_over() {
                    return Some(Err(anyhow::anyhow!(
                        "it took more than {} s; name a smaller folder",
                        LIMIT.as_secs()
                    )));
                }
                let entry = entries.next()?;
                if entry.file_type().is_some_and(|kind| kind.is_file())
                    && let Some(real) = access.found(entry.path())
                {
                    return Some(Ok(real));
                }
            }
        });
        collect(&mut files, &patience)
    };
    let lines = tokio::task::spawn_blocking(work).await??;
    drop(stop);
    if lines.is_empty() {
        bail!("nothing found");
    }
    Ok(lines.join("\n"))
}

/// Says when a walk has to end.
struct Patience {
    stopped: Arc<AtomicBool>,
    until: Instant,
}

impl Patience {
    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() > self.until
    }
}

/// Reads a file as long as there is patience: one alone may be as large as a disk.
struct Patiently<'p> {
    file: File,
    patience: &'p Patience,
}

impl Read for Patiently<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.patience.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.file.read(buffer)
    }
}

/// Stops a walk when it is dropped.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns whether an entry is listed, or searched. A glob chooses among what version control sees; as an override of the walk it would
/// bring back what is ignored.
fn is_seen(entry: &DirEntry, access: &Access, chosen: &Override) -> bool {
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    // The walk follows no links, so the path is real.
    entry.file_name() != ".git"
        && access.found(entry.path()).is_some()
        && !chosen.matched(entry.path(), is_folder).is_ignore()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    // Finding L18.
    #[tokio::test]
    async fn a_glob_brings_back_nothing_that_version_control_ignores() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.rs", "b.txt", "target/c.rs", "src/d.rs", "src/e.rs"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "fn\n").unwrap();
        }
        fs::write(folder.path().join(".gitignore"), "target\ne.rs\n").unwrap();
        let access = Arc::new(Access::new(folder.path(), &[], &[]).unwrap());
        let list = async |arguments: Value| {
            let listed = ListFiles(Arc::clone(&access)).call(arguments).await;
            listed.unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(list(json!({"glob": "*.rs"})).await, "a.rs\nsrc/d.rs");
        assert_eq!(
            list(json!({"glob": "!src"})).await,
            ".gitignore\na.rs\nb.txt"
        );
        assert_eq!(list(json!({"glob": "src/*"})).await, "src/d.rs");
        assert_eq!(list(json!({"glob": "*.c"})).await, "nothing found");
        let search = SearchFiles(access);
        let found = search.call(json!({"regex": "fn", "glob": "*.rs"})).await;
        assert_eq!(found.unwrap(), "a.rs:1: fn\nsrc/d.rs:1: fn");
        // What is named is searched all the same.
        let found = search
            .call(json!({"regex": "fn", "path": "target/c.rs"}))
            .await;
        assert_eq!(found.unwrap(), "target/c.rs:1: fn");
    }

    // Finding M22.
    #[tokio::test]
    async fn a_search_ends_within_a_file_and_keeps_no_endless_line() {
        let folder = tempfile::tempdir().unwrap();
        let endless = format!("{}heron\n", "x".repeat(ROOM));
        fs::write(folder.path().join("endless"), endless).unwrap();
        fs::write(folder.path().join("short"), "heron\n").unwrap();
        let access = Arc::new(Access::new(folder.path(), &[], &[]).unwrap());
        let found = SearchFiles(access).call(json!({"regex": "heron"})).await;
        assert_eq!(found.unwrap(), "short:1: heron");

        let patience = Patience {
            stopped: Arc::default(),
            until: Instant::now() + LIMIT,
        };
        let mut file = Patiently {
            file: File::open(folder.path().join("short")).unwrap(),
            patience: &patience,
        };
        let mut buffer = [0; 2];
        assert_eq!(file.read(&mut buffer).unwrap(), 2);
        patience.stopped.store(true, Ordering::Relaxed);
        assert!(file.read(&mut buffer).is_err());
    }
}
