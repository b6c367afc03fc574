//! `/export`: the history as JSON Lines, whole.

use std::io::{BufWriter, IntoInnerError, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{When, Whose};
use crate::chat::Memory;
use crate::store::{Filter, Moved};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /export --output september.jsonl --from 2025-09-01 --to 2025-09-30\n  /export --all-users --vectors --output backup.jsonl\n\n`allm import jsonl FILE` brings it back."
)]
pub struct Args {
    /// The format
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    format: Format,
    /// The file; without one, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only one conversation
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Write the vectors, too; without them they are made again when it is brought back
    #[arg(long)]
    vectors: bool,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    when: When,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Jsonl,
}

pub async fn run(args: Args, memory: &Memory, ui: &Ui) -> Result<()> {
    let Format::Jsonl = args.format;
    let (from, until) = args.when.bounds(memory.zone)?;
    let mut filter = memory.filter(args.whose.whom(), from, until).await?;
    if let Some(session) = &args.session {
        let session = memory.store.session(&filter, session).await?;
        filter = filter.in_session(&session.session_id);
    }
    let Some(path) = args.output else {
        let mut write = |line: &str| ui.print(line);
        memory
            .store
            .export(&filter, args.vectors, &mut write)
            .await?;
        return Ok(());
    };
    let moved = to_file(&path, &filter, args.vectors, memory).await?;
    ui.moved("export", &moved)
}

/// Writes an export to a file that is not there yet: an export is asked for when something may go wrong.
pub async fn to_file(
    path: &Path,
    filter: &Filter,
    vectors: bool,
    memory: &Memory,
) -> Result<Moved> {
    let context = || format!("cannot write `{}`", path.display());
    let mut options = std::fs::OpenOptions::new();
    let file = options.create_new(true).write(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.with_context(context)?);
    let mut write = |line: &str| writeln!(file, "{line}").with_context(context);
    let moved = memory.store.export(filter, vectors, &mut write).await?;
    let file = file.into_inner().map_err(IntoInnerError::into_error);
    file.and_then(|file| file.sync_all())
        .with_context(context)?;
    Ok(moved)
}
