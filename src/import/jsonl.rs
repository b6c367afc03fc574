//! JSON Lines with a turn in each: `timestamp`, `query` and `response`, and what else is known.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::files::{decoded, each_line, name, open, time};
use super::turns::{Conversation, SourceTurn};
use super::{Item, Source, Take};
use crate::conversation::{Status, Step, Usage};

const NAME: &str = "jsonl";

/// Is a file of JSON Lines.
pub struct JsonLines {
    name: String,
    file: File,
}

/// Is one line. Times are RFC 3339, or seconds since 1970; a time without a zone is in UTC.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Line {
    timestamp: Value,
    query: Option<String>,
    response: Option<String>,
    /// What tells this turn from all others; without one, its time and its question do.
    id: String,
    #[serde(
        alias = "session_id",
        alias = "conversation_id",
        alias = "conversation"
    )]
    session: String,
    title: String,
    #[serde(alias = "system_prompt")]
    system: String,
    provider: String,
    model: String,
    folder: String,
    branch: String,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    duration_ms: i64,
    #[serde(alias = "facts_extracted")]
    facts: Vec<String>,
    steps: Vec<Step>,
    status: Status,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            timestamp: Value::Null,
            query: None,
            response: None,
            id: String::new(),
            session: String::new(),
            title: String::new(),
            system: String::new(),
            provider: String::new(),
            model: String::new(),
            folder: String::new(),
            branch: String::new(),
            input_tokens: None,
            output_tokens: None,
            duration_ms: 0,
            facts: Vec::new(),
            steps: Vec::new(),
            status: Status::Completed,
        }
    }
}

impl JsonLines {
    /// Opens a file, or reads standard input to its end when the path is `-`: sources are read more than once.
    pub fn open(path: &Path) -> Result<JsonLines> {
        let name = name(path);
        if path != Path::new("-") {
            let file = open(path)?;
            if !file.metadata()?.is_file() {
                bail!("`{}` is no file", path.display());
            }
            return Ok(JsonLines { name, file });
        }
        let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
        io::copy(&mut io::stdin().lock(), &mut file).context("cannot keep standard input")?;
        Ok(JsonLines { name, file })
    }

    /// Reads the text from the beginning.
    pub fn reader(&self) -> Result<impl BufRead + use<>> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(decoded(file))
    }
}

impl Source for JsonLines {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        take(NAME, Item::File(self.name.clone()))?;
        let mut conversations = HashMap::new();
        each_line(self.reader()?, &mut |number, line| {
            let turn = line
                .map_err(Into::into)
                .and_then(|line| turn(line, &mut conversations));
            match turn {
                Ok(turn) => take(NAME, turn.into()),
                Err(error) => {
                    let place = format!("line {number}");
                    take(NAME, Item::Broken(place, format!("{error:#}")))
                }
            }
        })
    }
}

fn turn(line: Value, conversations: &mut HashMap<String, Arc<Conversation>>) -> Result<SourceTurn> {
    let line: Line = serde_json::from_value(line)?;
    let timestamp = time(&line.timestamp)
        .with_context(|| format!("its timestamp is no time: {}", line.timestamp))?;
    let query = line.query.context("it has no query")?;
    let response = line.response.context("it has no response")?;
    let session = match &*line.session {
        // What belongs to no conversation is put together by day.
        "" => timestamp.format("%F").to_string(),
        session => session.to_owned(),
    };
    let conversation = conversations.entry(session.clone()).or_insert_with(|| {
        Arc::new(Conversation {
            id: session.clone(),
            title: line.title,
            system_prompt: line.system,
            ..Conversation::default()
        })
    });
    let id = match &*line.id {
        "" => format!("{session}/{}/{query}", timestamp.timestamp_micros()),
        id => format!("{session}/{id}"),
    };
    let usage = Usage {
        input_tokens: line.input_tokens,
        output_tokens: line.output_tokens,
    };
    Ok(SourceTurn {
        response,
        steps: line.steps,
        facts: line.facts,
        usage: (usage != Usage::default()).then_some(usage),
        duration_ms: line.duration_ms.max(0),
        provider: line.provider,
        model: line.model,
        status: line.status,
        metadata: place(line.folder, line.branch),
        ..SourceTurn::new(conversation, id, timestamp, query)
    })
}

/// Returns where a turn was had, as far as that is known.
fn place(folder: String, branch: String) -> Map<String, Value> {
    let known = [("folder", folder), ("branch", branch)].into_iter();
    known
        .filter(|(_, place)| !place.is_empty())
        .map(|(name, place)| (name.to_owned(), place.into()))
        .collect()
}
