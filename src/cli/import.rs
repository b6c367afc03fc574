//! `allm import`: which histories can be brought in, where they are as a rule, and how it goes.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::opening::username;
use crate::commands::embed;
use crate::import::{
    AbstractLlm, ChatGpt, Claude, ClaudeCode, Codex, Importer, JsonLines, Llm, Report, Source,
};
use crate::repl::Outcome;
use crate::store::{self, Options, Restore, Store};
use crate::timeframe;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  allm import abstractllm --dry-run\n  allm import llm\n  allm import chatgpt export.zip --since 2025-01-01\n  allm import jsonl backup.jsonl\n\nSources are only read. An import can be repeated: what is there is passed over."
)]
pub struct Args {
    #[command(subcommand)]
    source: Format,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    /// Its data directory [default: ~/.abstractllm]
    #[arg(value_name = "HOME")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

impl From<MigrateArgs> for Args {
    fn from(args: MigrateArgs) -> Args {
        Args {
            source: Format::Abstractllm {
                folder: args.folder,
            },
            how: args.how,
        }
    }
}

#[derive(Debug, clap::Args)]
struct How {
    /// Say what would be brought in, and bring in nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Whose history it becomes, for an admin [default: yours]
    #[arg(id = "whose", long = "user", value_name = "NAME", global = true)]
    user: Option<String>,
    /// Leave out what was before this date or time
    #[arg(long, value_name = "TIME", global = true)]
    since: Option<String>,
    /// Make no vectors now: `allm reindex` makes them later
    #[arg(long, global = true)]
    no_embed: bool,
}

#[derive(Debug, Subcommand)]
enum Format {
    /// What the Python program AbstractLLM left
    Abstractllm {
        /// Its data directory [default: ~/.abstractllm]
        #[arg(value_name = "HOME")]
        folder: Option<PathBuf>,
    },
    /// The log of simonw's `llm`
    Llm {
        /// Its database [default: logs.db in $LLM_USER_PATH or where llm keeps it]
        file: Option<PathBuf>,
    },
    /// OpenAI's data export
    Chatgpt {
        /// The archive, its folder, or the conversations.json in it
        export: PathBuf,
    },
    /// The data export of claude.ai
    Claude {
        /// The archive, its folder, or the conversations.json in it
        export: PathBuf,
    },
    /// The transcripts of Claude Code
    ClaudeCode {
        /// Their folder, or one transcript [default: projects in $CLAUDE_CONFIG_DIR or ~/.claude]
        folder: Option<PathBuf>,
    },
    /// The transcripts of Codex
    Codex {
        /// Their folder, or one transcript [default: $CODEX_HOME or ~/.codex]
        folder: Option<PathBuf>,
    },
    /// What `allm export` has written, or any JSON Lines with timestamp, query and response
    #[command(
        after_help = "Examples:\n  allm import jsonl backup.jsonl\n  allm export --all-users | allm --home copy import jsonl -\n\nLines of other programs may have, too: id, session, title, system, provider, model, input_tokens, output_tokens, duration_ms, facts, steps, status."
    )]
    Jsonl {
        /// The file; `-` for standard input
        file: PathBuf,
    },
}

/// Brings a history in.
pub async fn import(
    args: Args,
    options: Options,
    user: Option<String>,
    ui: &Ui,
) -> Result<Outcome> {
    let since = args.how.since.as_deref();
    let since = since
        .map(|text| timeframe::from(text, ui.zone()))
        .transpose()?;
    let whose = args.how.user.as_deref().map(store::username).transpose()?;
    let bringing = Bringing {
        by: username(user)?,
        whose,
        since,
        embed: !args.how.no_embed,
        dry_run: args.how.dry_run,
        ui,
    };
    let source: Arc<dyn Source> = match args.source {
        Format::Abstractllm { folder } => {
            let home = named(folder, "", ".abstractllm", "")?;
            return predecessor(home, options, &bringing).await;
        }
        Format::Llm { file } => {
            Arc::new(Llm(named(file, "LLM_USER_PATH", llm_folder(), "logs.db")?))
        }
        Format::Chatgpt { export } => Arc::new(ChatGpt(export)),
        Format::Claude { export } => Arc::new(Claude(export)),
        Format::ClaudeCode { folder } => {
            let folder = named(folder, "CLAUDE_CONFIG_DIR", ".claude", "projects")?;
            Arc::new(ClaudeCode(folder))
        }
        Format::Codex { folder } => Arc::new(Codex(named(folder, "CODEX_HOME", ".codex", "")?)),
        Format::Jsonl { file } => {
            let lines = JsonLines::open(&file)?;
            if is_export(&lines)? {
                return restore(&lines, options, &bringing).await;
            }
            Arc::new(lines)
        }
    };
    let report = bringing.bring(&source, options).await?;
    bringing.say(&*source, &report)
}

/// Holds how a history is brought in.
struct Bringing<'u> {
    /// The name of who brings it in, and of whose it becomes, if that is not the same.
    by: String,
    whose: Option<String>,
    since: Option<DateTime<Utc>>,
    embed: bool,
    dry_run: bool,
    ui: &'u Ui,
}

impl Bringing<'_> {
    async fn bring(&self, source: &Arc<dyn Source>, options: Options) -> Result<Report> {
        let importer = self.importer(options).await?;
        let looked = self.look(&importer, source).await?;
        if self.dry_run || looked.stored() == 0 {
            return Ok(looked);
        }
        let bar = self.ui.bar("importing", looked.stored());
        let report = importer.run(source, &mut |done| bar.at(done)).await;
        bar.end();
        report
    }

    async fn importer(&self, options: Options) -> Result<Importer> {
        let store = Store::open(options).await?;
        let by = store.who(&self.by).await?;
        let whose = self.whose.as_ref().unwrap_or(&by.username);
        Ok(Importer {
            user: store.owner(by.me(), whose).await?,
            store: Arc::new(store),
            by,
            since: self.since,
            embed: self.embed,
        })
    }

    async fn look(&self, importer: &Importer, source: &Arc<dyn Source>) -> Result<Report> {
        let spinner = self.ui.spinner("reading");
        let looked = importer.look(source, &mut |found| spinner.at(found)).await;
        spinner.end();
        looked
    }

    fn say(&self, source: &dyn Source, report: &Report) -> Result<Outcome> {
        self.ui.imported(source.name(), report, self.dry_run)?;
        Ok(match report.broken() {
            0 => Outcome::Done,
            _ => Outcome::Failed,
        })
    }
}

/// Brings in what the predecessor left. Where its tables are in the place of ours, ours are made beside them and take their place
/// once everything is found in them.
async fn predecessor(home: PathBuf, options: Options, bringing: &Bringing<'_>) -> Result<Outcome> {
    let folder = home.join("lancedb");
    let found = store::foreign(&folder.display().to_string()).await?;
    let (mut tables, mut unread) = (HashMap::new(), Vec::new());
    for (name, columns) in AbstractLlm::TABLES {
        let Some(place) = &found else { break };
        match store::foreign_rows(place, name, columns).await {
            Ok(rows) => drop(tables.insert(*name, rows)),
            Err(error) => unread.push((format!("{name}.lance"), format!("{error:#}"))),
        }
    }
    let source: Arc<dyn Source> = Arc::new(AbstractLlm {
        home,
        tables,
        unread,
        zone: bringing.ui.zone(),
    });
    // The same place may have several names.
    let real = |path: &str| std::fs::canonicalize(path).ok();
    let theirs = found.as_deref().and_then(real);
    let is_in_the_way = theirs.is_some() && theirs == real(&options.uri);
    if !is_in_the_way {
        let report = bringing.bring(&source, options).await?;
        return bringing.say(&*source, &report);
    }
    let place = options.uri.clone();
    let nowhere = tempfile::tempdir().context("cannot make a temporary folder")?;
    let beside = match bringing.dry_run {
        true => Options {
            home: nowhere.path().to_owned(),
            uri: nowhere.path().join("lancedb").display().to_string(),
            ..options
        },
        false => Options {
            uri: store::incoming(&place),
            ..options
        },
    };
    let report = bringing.bring(&source, beside.clone()).await?;
    if bringing.dry_run {
        return bringing.say(&*source, &report);
    }
    let missing = {
        let importer = bringing.importer(beside).await?;
        bringing.look(&importer, &source).await?.stored()
    };
    let outcome = bringing.say(&*source, &report)?;
    let mut tables = report.parts.iter();
    let tables = tables.find(|part| part.name == AbstractLlm::TABLES_PART);
    let unread = tables.map_or(0, |part| part.total.broken);
    if missing > 0 || unread > 0 {
        bringing.ui.warn(&format!(
            "the tables of AbstractLLM stay where they are, because not all of them is in ours: {unread} rows cannot be read, {missing} turns are missing"
        ));
        return Ok(Outcome::Failed);
    }
    let aside = store::take_place(&place)?;
    let aside = aside.display();
    bringing
        .ui
        .note(&format!("the tables of AbstractLLM are kept in {aside}"));
    Ok(outcome)
}

/// Returns whether the first words say that this is an export of ours.
fn is_export(lines: &JsonLines) -> Result<bool> {
    const WORDS: &[u8] = br#"{"type":"allm""#;
    let mut first = Vec::new();
    lines
        .reader()?
        .take(WORDS.len() as u64)
        .read_to_end(&mut first)?;
    Ok(first == WORDS)
}

/// Brings an export in; what has no vectors gets some.
async fn restore(lines: &JsonLines, options: Options, bringing: &Bringing<'_>) -> Result<Outcome> {
    let ui = bringing.ui;
    let store = Store::open(options).await?;
    let by = store.who(&bringing.by).await?;
    let how = Restore {
        me: by.me(),
        user: bringing.whose.clone(),
        since: bringing.since,
        dry_run: bringing.dry_run,
    };
    let spinner = ui.spinner("reading");
    let moved = store
        .restore(|| lines.reader(), how, &mut |rows| spinner.at(rows))
        .await;
    spinner.end();
    let moved = moved?;
    if bringing.embed && !bringing.dry_run {
        embed(&store, ui).await?;
    }
    ui.moved("import", &moved)?;
    if bringing.dry_run {
        ui.note("nothing was brought in: this was a dry run");
    }
    Ok(Outcome::Done)
}

/// Returns the path that was named, or where a program keeps its data: in the folder that a variable names, or below the home.
fn named(path: Option<PathBuf>, variable: &str, folder: &str, inside: &str) -> Result<PathBuf> {
    if let Some(path) = path {
        return Ok(path);
    }
    let set = std::env::var_os(variable).filter(|value| !value.is_empty());
    let folder = match set {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()
            .context("cannot find your home directory: say where it is")?
            .join(folder),
    };
    Ok(if inside.is_empty() {
        folder
    } else {
        folder.join(inside)
    })
}

/// Where `llm` keeps its data, below the home.
fn llm_folder() -> &'static str {
    if cfg!(target_os = "macos") {
        "Library/Application Support/io.datasette.llm"
    } else {
        ".config/io.datasette.llm"
    }
}
