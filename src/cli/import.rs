//! `allm import`: how a history is brought in.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use super::histories::{Format, SETTINGS, named};
use super::opening::username;
use crate::commands::embed;
use crate::config::path;
use crate::import::{
    AbstractLlm, Aichat, ClaudeCode, Codex, DataExport, Gemini, Goose, Importer, JsonLines, Llm,
    Opencode, Report, Source,
};
use crate::repl::Outcome;
use crate::store::{self, Options, Restore, Store};
use crate::timeframe;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    disable_help_subcommand = true,
    subcommand_value_name = "SOURCE",
    subcommand_help_heading = "Sources",
    after_help = "Examples:\n  allm import abstractllm --dry-run\n  allm import llm\n  allm import chatgpt export.zip --since 2025-01-01\n  allm import jsonl backup.jsonl\n\nSources are only read. An import can be repeated: what is there is passed over."
)]
pub struct Args {
    #[command(subcommand)]
    source: Format,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  allm migrate --dry-run")]
pub struct MigrateArgs {
    /// Its data directory [default: ~/.abstractllm]
    #[arg(value_name = "HOME", value_parser = path())]
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
            let home = named(folder, &[], ".abstractllm")?;
            return predecessor(home, options, &bringing).await;
        }
        Format::Llm { file } => {
            let log = format!("{SETTINGS}/io.datasette.llm/logs.db");
            Arc::new(Llm(named(file, &[("LLM_USER_PATH", "logs.db")], &log)?))
        }
        Format::Chatgpt { export } => Arc::new(DataExport::chatgpt(export)),
        Format::Claude { export } => Arc::new(DataExport::claude(export)),
        Format::ClaudeCode { folder } => {
            let variables = [("CLAUDE_CONFIG_DIR", "projects")];
            Arc::new(ClaudeCode(named(folder, &variables, ".claude/projects")?))
        }
        Format::Codex { folder } => {
            Arc::new(Codex(named(folder, &[("CODEX_HOME", "")], ".codex")?))
        }
        Format::GeminiCli { folder } => {
            let variables = [("GEMINI_CLI_HOME", ".gemini")];
            Arc::new(Gemini(named(folder, &variables, ".gemini")?))
        }
        Format::Opencode { folder } => {
            let variables = [("XDG_DATA_HOME", "opencode")];
            Arc::new(Opencode(named(
                folder,
                &variables,
                ".local/share/opencode",
            )?))
        }
        Format::Goose { folder } => {
            let variables = [("GOOSE_PATH_ROOT", "data"), ("XDG_DATA_HOME", "goose")];
            Arc::new(Goose(named(folder, &variables, ".local/share/goose")?))
        }
        Format::Aichat { folder } => {
            let variables = [("AICHAT_CONFIG_DIR", ""), ("XDG_CONFIG_HOME", "aichat")];
            let aichat = format!("{SETTINGS}/aichat");
            Arc::new(Aichat(named(folder, &variables, &aichat)?))
        }
        Format::Jsonl { file } => {
            let lines = JsonLines::open(&file)?;
            if is_export(&lines)? {
                return restore(&lines, options, &bringing).await;
            }
            Arc::new(lines)
        }
    };
    bringing.all(&source, options).await
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
    /// Records, says what came of it, and makes the vectors.
    async fn all(&self, source: &Arc<dyn Source>, options: Options) -> Result<Outcome> {
        let report = self.bring(source, options.clone()).await?;
        let outcome = self.say(&**source, &report)?;
        self.embed(options).await?;
        Ok(outcome)
    }

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
        })
    }

    /// Makes the vectors of what was recorded, and of what an import before this one was stopped at.
    async fn embed(&self, options: Options) -> Result<()> {
        if self.embed && !self.dry_run {
            embed(&Store::open(options).await?, self.ui).await?;
        }
        Ok(())
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
        return bringing.all(&source, options).await;
    }
    let place = options.uri.clone();
    let nowhere = tempfile::tempdir().context("cannot make a temporary folder")?;
    let beside = match bringing.dry_run {
        true => Options {
            home: nowhere.path().to_owned(),
            uri: nowhere.path().join("lancedb").display().to_string(),
            ..options.clone()
        },
        false => Options {
            uri: store::incoming(&place),
            ..options.clone()
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
    bringing.embed(options).await?;
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
    ui.moved("import", &moved)?;
    match bringing.dry_run {
        true => ui.note("nothing was brought in: this was a dry run"),
        false if bringing.embed => drop(embed(&store, ui).await?),
        false => {}
    }
    Ok(Outcome::Done)
}
