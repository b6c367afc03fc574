//! `read_file` and `write_file`.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;

use super::{Access, Cover, Preview, Real, Tool, read, spec};
use crate::conversation::ToolSpec;

/// The most that is read of a file at once, in bytes.
const LONGEST: u64 = 1 << 20;
/// How much of a file is looked at to tell whether it is text.
const SAMPLE: usize = 8 << 10;
/// How long the smallest difference between two texts is looked for; after that any will do.
const PATIENCE: Duration = Duration::from_millis(500);

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
            let real = self.0.existing(&arguments.path)?;
            tokio::task::spawn_blocking(move || lines(&real, &arguments)).await?
        })
    }
}

fn lines(real: &Real, arguments: &ReadArguments) -> Result<String> {
    let name = &arguments.path;
    if real.path().is_dir() {
        bail!("`{name}` is a folder; list_files shows what is in it");
    }
    let file = real
        .open()
        .with_context(|| format!("cannot read `{name}`"))?;
    let bytes = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(SAMPLE, file);
    if reader.fill_buf()?.contains(&0) {
        return Ok(format!("`{name}` is a binary file of {bytes} bytes"));
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
                "{}\n[… cut before line {number}; the file has {bytes} bytes; read on with from_line …]",
                String::from_utf8_lossy(&text)
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

    fn preview<'c>(&'c self, arguments: &'c Value) -> BoxFuture<'c, Result<Preview>> {
        Box::pin(async move {
            let WriteArguments { path, content } = read(arguments)?;
            let real = self.0.writable(&path)?;
            let cover = match self.0.acts_by_itself(&real) {
                true => Cover::Call(Some(
                    "it is hidden, and may run or be obeyed without being called",
                )),
                false => Cover::Tool,
            };
            let text = tokio::task::spawn_blocking(move || difference(&real, &path, &content));
            Ok(Preview {
                text: text.await??,
                cover,
            })
        })
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let WriteArguments { path, content } = read(&arguments)?;
            let real = self.0.writable(&path)?;
            let bytes = content.len();
            tokio::task::spawn_blocking(move || real.replace(content.as_bytes()))
                .await?
                .with_context(|| format!("cannot write `{path}`"))?;
            Ok(format!("wrote {bytes} bytes to `{path}`"))
        })
    }
}

/// Says what writing a file changes.
fn difference(real: &Real, path: &str, content: &str) -> Result<String> {
    if !real.exists() {
        let lines: Vec<String> = content.lines().map(|line| format!("+{line}")).collect();
        return Ok(format!("new file {path}\n{}", lines.join("\n")));
    }
    let file = real
        .open()
        .with_context(|| format!("cannot write `{path}`"))?;
    let bytes = file.metadata()?.len();
    let mut old = Vec::new();
    // A file that grows meanwhile is not read to its end either.
    let read = file.take(LONGEST + 1).read_to_end(&mut old);
    let read = read.with_context(|| format!("cannot read `{path}`"))? as u64;
    if read > LONGEST {
        return Ok(format!(
            "replaces {path}, a file of {bytes} bytes, with\n{content}"
        ));
    }
    let Ok(old) = String::from_utf8(old) else {
        return Ok(format!("replaces the binary file {path} with\n{content}"));
    };
    if old == content {
        return Ok(format!("leaves {path} as it is"));
    }
    let mut diff = TextDiff::configure();
    let diff = diff.timeout(PATIENCE).diff_lines(&old, content);
    let mut diff = diff.unified_diff();
    Ok(diff.context_radius(3).header(path, path).to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use nix::sys::stat::Mode;

    use super::*;

    // Finding M22.
    #[tokio::test]
    async fn a_preview_waits_for_nothing_and_reads_no_more_than_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let tool = WriteFile(Arc::new(Access::new(folder.path(), &[], &[]).unwrap()));
        let preview = async |name: &str, content: &str| {
            let arguments = json!({"path": name, "content": content});
            let preview = tool.preview(&arguments);
            let preview = tokio::time::timeout(Duration::from_secs(20), preview).await;
            match preview.expect("it takes no longer") {
                Ok(preview) => preview.text,
                Err(error) => format!("error: {error:#}"),
            }
        };
        nix::unistd::mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(
            preview("pipe", "x").await,
            "error: cannot write `pipe`: it is not a file"
        );
        fs::create_dir(path("sub")).unwrap();
        assert_eq!(
            preview("sub", "x").await,
            "error: cannot write `sub`: it is a folder"
        );
        File::create(path("big")).unwrap().set_len(1 << 36).unwrap();
        assert_eq!(
            preview("big", "x").await,
            "replaces big, a file of 68719476736 bytes, with\nx"
        );
        let lines = |word: &str| {
            let lines = (0..60_000).map(|n| format!("{word}{n}\n"));
            lines.collect::<Vec<_>>().concat()
        };
        fs::write(path("old"), lines("a")).unwrap();
        let changed = preview("old", &lines("b")).await;
        assert!(changed.starts_with("--- old\n+++ old\n@@ -1,60000 +1,60000 @@\n-a0\n"));
    }
}
