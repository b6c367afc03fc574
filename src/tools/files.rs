//! `read_file` and `write_file`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;

use super::{Access, Tool, read, spec, umask};
use crate::conversation::ToolSpec;

/// The most that is read of a file at once, in bytes.
const LONGEST: u64 = 1 << 20;
/// How much of a file is looked at to tell whether it is text.
const SAMPLE: usize = 8 << 10;

/// Reads a file, or some of its lines.
pub struct ReadFile(pub Arc<Access>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    path: String,
    from_line: Option<u64>,
    to_line: Option<u64>,
}

impl Tool for ReadFile {
    fn spec(&self) -> ToolSpec {
        spec(
            "read_file",
            "Read a text file, or some of its lines.",
            json!({
                "path": {"type": "string", "description": "Relative to the working directory."},
                "from_line": {"type": "integer", "description": "The first line, counted from 1."},
                "to_line": {"type": "integer", "description": "The last line, included."},
            }),
            &["path"],
        )
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let arguments: ReadArguments = read(&arguments)?;
            let path = self.0.existing(&arguments.path)?;
            tokio::task::spawn_blocking(move || lines(&path, &arguments)).await?
        })
    }
}

fn lines(path: &Path, arguments: &ReadArguments) -> Result<String> {
    let name = &arguments.path;
    let metadata = fs::metadata(path).with_context(|| format!("cannot read `{name}`"))?;
    if metadata.is_dir() {
        bail!("`{name}` is a folder; list_files shows what is in it");
    }
    // Reading a pipe or a device could wait for ever.
    if !metadata.is_file() {
        bail!("`{name}` is not a file");
    }
    let file = File::open(path).with_context(|| format!("cannot read `{name}`"))?;
    let mut reader = BufReader::with_capacity(SAMPLE, file);
    if reader.fill_buf()?.contains(&0) {
        return Ok(format!(
            "`{name}` is a binary file of {} bytes",
            metadata.len()
        ));
    }
    let from = arguments.from_line.unwrap_or(1).max(1);
    let to = arguments.to_line.unwrap_or(u64::MAX);
    let (mut text, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    while number < to {
        line.clear();
        // A single line may be as long as a disk.
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        number += 1;
        if number < from {
            continue;
        }
        if text.len() + line.len() > usize::try_from(LONGEST)? {
            return Ok(format!(
                "{}\n[… cut before line {number}; the file has {} bytes; read on with from_line …]",
                String::from_utf8_lossy(&text),
                metadata.len()
            ));
        }
        text.extend_from_slice(&line);
    }
    if number < from && from > 1 {
        bail!("`{name}` has only {number} lines");
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Writes a file.
pub struct WriteFile(pub Arc<Access>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteArguments {
    path: String,
    content: String,
}

impl Tool for WriteFile {
    fn spec(&self) -> ToolSpec {
        spec(
            "write_file",
            "Write a text file, whole; what it held before is replaced. The user is asked first.",
            json!({
                "path": {"type": "string", "description": "Relative to the working directory."},
                "content": {"type": "string", "description": "All that the file is to hold."},
            }),
            &["path", "content"],
        )
    }

    fn mutates(&self) -> bool {
        true
    }

    fn preview(&self, arguments: &Value) -> Result<String> {
        let WriteArguments { path, content } = read(arguments)?;
        let real = self.0.writable(&path)?;
        if !real.exists() {
            let lines: Vec<String> = content.lines().map(|line| format!("+{line}")).collect();
            return Ok(format!("new file {path}\n{}", lines.join("\n")));
        }
        let old = fs::read(&real).with_context(|| format!("cannot read `{path}`"))?;
        let Ok(old) = String::from_utf8(old) else {
            return Ok(format!("replaces the binary file {path} with\n{content}"));
        };
        if old == content {
            return Ok(format!("leaves {path} as it is"));
        }
        let diff = TextDiff::from_lines(&old, &content);
        Ok(diff
            .unified_diff()
            .context_radius(3)
            .header(&path, &path)
            .to_string())
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let WriteArguments { path, content } = read(&arguments)?;
            let real = self.0.writable(&path)?;
            let bytes = content.len();
            tokio::task::spawn_blocking(move || replace(&real, content.as_bytes()))
                .await?
                .with_context(|| format!("cannot write `{path}`"))?;
            Ok(format!("wrote {bytes} bytes to `{path}`"))
        })
    }
}

/// Puts a whole new file in the place of the old one, so that a full disk costs nothing.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    if path.is_dir() {
        bail!("it is a folder");
    }
    let folder = path.parent().context("it has no folder")?;
    umask::create_folders(folder)?;
    let mut new = tempfile::Builder::new()
        .prefix(".allm-")
        .tempfile_in(folder)?;
    new.write_all(content)?;
    // A file that was not there gets the permissions of any new one.
    let permissions = match fs::metadata(path) {
        Ok(old) => old.permissions(),
        Err(_) => fs::Permissions::from_mode(0o666 & !umask::former()),
    };
    new.as_file().set_permissions(permissions)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}
