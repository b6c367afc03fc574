//! `/export`: the history, whole, or in a form for others to read.

use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use tempfile::NamedTempFile;

use super::arguments::{self, When, Whose};
use super::shown::Shown;
use super::spool::Spool;
use super::which::Which;
use crate::chat::{Chat, Memory};
use crate::config::{path, variable};
use crate::export::{self, Address, Form, Protocol, Receiver, Sent};
use crate::store::{Filter, Hinted, Moved, is_read_only};
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /export\n  /export -o today.md --from today\n  /export -f csv -o september.csv --from 2025-09-01 --to 2025-09-30\n  /export --all-users --vectors --output backup.jsonl\n  /export --otlp http://127.0.0.1:4318 --from yesterday\n\nIn a chat, without a filter, it is the conversation you are in.\n\njsonl has everything, and `allm import jsonl FILE` brings it back; markdown is a transcript; csv is for spreadsheets; otel has OpenTelemetry spans, a request of OTLP/JSON on each line, and --otlp sends them itself: without a URL to $OTEL_EXPORTER_OTLP_ENDPOINT, with the headers in $OTEL_EXPORTER_OTLP_HEADERS. Without --format the name of the file decides; without a file it is jsonl, in a chat markdown."
)]
pub struct Args {
    /// The form: jsonl, markdown, csv or otel
    #[arg(short, long, value_enum, hide_possible_values = true)]
    format: Option<Format>,
    /// The file; without one, or with `-`, standard output
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    output: Option<PathBuf>,
    /// Write over the file if it is there
    #[arg(long, requires = "output")]
    force: bool,
    /// Send OpenTelemetry spans to the receiver at this base URL
    #[arg(
        long,
        value_name = "URL",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["output", "vectors"]
    )]
    otlp: Option<String>,
    /// How spans are sent: http/protobuf or http/json [default: $OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf]
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        requires = "otlp",
        hide_possible_values = true
    )]
    otlp_protocol: Option<Protocol>,
    /// Only one conversation, by the id of the session or of one of its turns, or in a chat by its number in the last list
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Write the vectors, too, into jsonl; without them they are made again when it is brought back
    #[arg(long)]
    vectors: bool,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    which: Box<Which>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jsonl,
    #[value(alias = "md")]
    Markdown,
    Csv,
    Otel,
}

impl Args {
    /// Returns whether all that there is is asked for.
    fn is_bare(&self) -> bool {
        let when = self.when.from.is_some() || self.when.to.is_some();
        self.session.is_none() && !self.whose.is_given() && !when && !self.which.is_given()
    }

    fn format(&self, otherwise: Format) -> Result<Format> {
        let named = self.output.as_ref().and_then(|path| path.extension());
        let Some(ending) = named.filter(|_| self.format.is_none() && self.otlp.is_none()) else {
            let spans = self.otlp.as_ref().map(|_| Format::Otel);
            return Ok(self.format.or(spans).unwrap_or(otherwise));
        };
        let ending = ending.to_string_lossy().to_lowercase();
        match ending.as_str() {
            "md" | "markdown" => Ok(Format::Markdown),
            "csv" => Ok(Format::Csv),
            "jsonl" | "ndjson" => Ok(Format::Jsonl),
            _ => Err(anyhow::Error::new(Hinted {
                message: format!("no form has the ending `.{ending}`"),
                hint: "name the file .jsonl, .md or .csv, or say `--format`".to_owned(),
            })),
        }
    }
}

/// Exports in a chat: the conversation that goes on, unless something else is asked for.
pub async fn in_chat(mut args: Args, chat: &Chat, shown: &Shown, ui: &Ui) -> Result<()> {
    if !args.is_bare() {
        return run(args, &chat.memory, shown, ui).await;
    }
    let filter = chat.memory.filter(args.whose.whom(), None, None).await?;
    let session = chat.memory.store.session(&filter, chat.session_id()).await;
    let session = session.context("nothing of this conversation is recorded yet")?;
    args.format = Some(args.format(Format::Markdown)?);
    args.session = Some(session.session_id);
    run(args, &chat.memory, shown, ui).await
}

pub async fn run(mut args: Args, memory: &Memory, shown: &Shown, ui: &Ui) -> Result<()> {
    if let Some(id) = &mut args.session {
        shown.id(id, &mut args.whose)?;
    }
    let (from, until) = args.when.bounds(ui)?;
    let filter = memory.filter(args.whose.whom(), from, until).await?;
    let mut filter = args.which.narrow(filter, memory).await?;
    if let Some(session) = &args.session {
        let session = arguments::session(session, &args.whose, memory).await?;
        filter = filter.in_session(&session.session_id);
    }
    let form = match args.format(Format::Jsonl)? {
        Format::Jsonl => None,
        Format::Markdown => Some(Form::Markdown),
        Format::Csv => Some(Form::Csv),
        Format::Otel => Some(Form::Otel),
    };
    let what = What {
        filter,
        form,
        vectors: args.vectors,
    };
    if let Some(url) = &args.otlp {
        ensure!(
            form == Some(Form::Otel),
            "`--otlp` sends spans alone: leave out `--format`"
        );
        let receiver = receiver(url, args.otlp_protocol)?;
        return send(&what.filter, &receiver, memory, ui).await;
    }
    if let Some(path) = args.output.filter(|path| *path != Path::new("-")) {
        let moved = to_file(&path, &what, args.force, memory, ui).await?;
        return ui.moved("export", &moved);
    }
    // Their lines are objects already.
    let is_json = matches!(form, None | Some(Form::Otel));
    if ui.json && !is_json {
        let mut all = String::new();
        let mut put = |text: &str| {
            all.push_str(text);
            Ok(())
        };
        let moved = what.write(memory, &mut put).await?;
        return ui.exported(&moved, &all);
    }
    let out = ui.clone();
    let mut put = move |text: &str| match is_json {
        true => out.put_json(text),
        false => out.put(text),
    };
    if ui.fills_file() {
        return what.write(memory, &mut put).await.map(drop);
    }
    // While the history is read nobody else may tidy up or forget, and a pager is open for hours.
    let mut spool = match Spool::new(memory.store.home(), put.clone()) {
        Ok(spool) => spool,
        // Where nothing can be written nobody tidies up, either.
        Err(error) if error.downcast_ref().is_some_and(is_read_only) => {
            return what.write(memory, &mut put).await.map(drop);
        }
        Err(error) => return Err(error),
    };
    let written = what.write(memory, &mut |text| spool.write(text)).await;
    spool.finish().await?;
    written.map(drop)
}

/// Returns the receiver of spans that a URL and the variables name that exporters of OpenTelemetry go by.
///
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
fn receiver(url: &str, protocol: Option<Protocol>) -> Result<Receiver> {
    let set = |name: &str| {
        let of_traces = variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
        of_traces.or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let protocol = match (protocol, set("PROTOCOL")) {
        (Some(protocol), _) => protocol,
        (None, None) => Protocol::Protobuf,
        (None, Some(named)) => Protocol::from_str(&named, true).map_err(|_| Hinted {
            message: format!("cannot send spans by `{named}`"),
            hint: "`--otlp-protocol http/protobuf` or `http/json` goes before the variable"
                .to_owned(),
        })?,
    };
    let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    let address = match (url.is_empty(), &whole, &base) {
        (false, _, _) => Address::Base(url),
        (true, Some(whole), _) => Address::Whole(whole),
        (true, None, Some(base)) => Address::Base(base),
        (true, None, None) => Address::Base("http://localhost:4318"),
    };
    let timeout = match set("TIMEOUT") {
        None => Duration::from_secs(10),
        Some(text) => {
            let number = text.parse().ok().filter(|number| *number > 0);
            let number = number.with_context(|| format!("`{text}` is no time limit in ms"))?;
            Duration::from_millis(number)
        }
    };
    Receiver::new(
        &address,
        protocol,
        &set("HEADERS").unwrap_or_default(),
        timeout,
    )
}

/// Sends the spans of what the filter lets through.
async fn send(filter: &Filter, receiver: &Receiver, memory: &Memory, ui: &Ui) -> Result<()> {
    let sent = export::send(&memory.store, filter, receiver, &|text| ui.note(text)).await?;
    if sent.rejected > 0 {
        let Sent {
            rejected, spans, ..
        } = sent;
        bail!(
            "`{}` has not taken {rejected} of {spans} spans: {}",
            receiver.shown(),
            sent.said
        );
    }
    if !sent.said.is_empty() {
        ui.warn(&sent.said);
    }
    ui.sent(&receiver.shown(), &sent)
}

/// Says what is written, and how.
pub struct What {
    pub filter: Filter,
    /// Without one, all of it, to be brought back.
    pub form: Option<Form>,
    pub vectors: bool,
}

impl What {
    async fn write(
        &self,
        memory: &Memory,
        put: &mut (dyn FnMut(&str) -> Result<()> + Send),
    ) -> Result<Moved> {
        let store = &memory.store;
        match self.form {
            None => {
                let mut line = |line: &str| put(&format!("{line}\n"));
                store.export(&self.filter, self.vectors, &mut line).await
            }
            Some(form) => export::write(store, &self.filter, form, memory.zone, put).await,
        }
    }
}

/// Writes to a file that is not there yet, unless it may be written over, and is there when all is in it: an export is asked for when
/// something may go wrong.
pub async fn to_file(
    path: &Path,
    what: &What,
    force: bool,
    memory: &Memory,
    ui: &Ui,
) -> Result<Moved> {
    let context = || format!("cannot write `{}`", path.display());
    if path.exists() && !path.is_file() {
        bail!("cannot write `{}`: it is no file", path.display());
    }
    if !force && path.symlink_metadata().is_ok() {
        bail!(Hinted {
            message: format!("cannot write `{}`: it is there already", path.display()),
            hint: "`--force` writes over it".to_owned(),
        });
    }
    // What a link names is written over, and not the link.
    if path.is_symlink() && !path.exists() {
        bail!(
            "cannot write `{}`: it is a link that leads nowhere",
            path.display()
        );
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = real.as_path();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).with_context(context)?;
    let mut file = BufWriter::new(file);
    let spinner = ui.spinner("writing");
    let mut pieces = 0;
    let mut put = |text: &str| {
        pieces += 1;
        spinner.at(pieces);
        file.write_all(text.as_bytes()).with_context(context)
    };
    let moved = what.write(memory, &mut put).await;
    spinner.end();
    let moved = moved?;
    let file = file.into_inner().map_err(IntoInnerError::into_error);
    let file = file.with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    match force {
        true => file.persist(path).with_context(context)?,
        false => file.persist_noclobber(path).with_context(context)?,
    };
    // Else a power cut could take the name away.
    let named = File::open(folder).and_then(|folder| folder.sync_all());
    named.with_context(context)?;
    Ok(moved)
}
