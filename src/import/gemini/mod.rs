//! What Gemini CLI keeps below `~/.gemini/tmp`: a folder for each project, in it the sessions (JSON, since version 0.40 JSON Lines),
//! `logs.json` with all that was typed, and what was saved by `/chat save`.

mod said;
mod session;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::files::{below, decoded, each_element, each_line, files, name, open, text, time};
use super::turns::{Conversation, SourceTurn};
use super::{Item, Source, Take};
use session::Session;

const NAME: &str = "gemini-cli";
const PROVIDER: &str = "google";
const TOLD: &str = "told elsewhere, too";

/// Is the folder that Gemini CLI keeps its data in, one of the folders in it, or one file.
pub struct Gemini(pub PathBuf);

/// Says what a file holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A session; what began as one JSON object goes on in JSON Lines of the same name, so these are read first.
    Lines,
    Object,
    /// What the others may have told already.
    Saved,
    Typed,
}

impl Source for Gemini {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let tmp = self.0.join("tmp");
        let root = if tmp.is_dir() { &tmp } else { &self.0 };
        let mut found = Vec::new();
        if root.is_file() {
            found.extend(kind(root).map(|kind| (kind, root.clone())));
        } else {
            for extension in ["json", "jsonl"] {
                let files = files(root, extension)?.into_iter();
                found.extend(files.filter_map(|path| Some((kind(&path)?, path))));
            }
        }
        found.sort();
        if found.is_empty() {
            bail!(
                "there are no sessions of Gemini CLI in `{}`",
                self.0.display()
            );
        }
        let mut known = Known::default();
        for (kind, path) in found {
            take(NAME, Item::File(below(root, &path)))?;
            let read = match kind {
                Kind::Lines | Kind::Object => session(&path, kind, &mut known, take)?,
                Kind::Saved => saved(&path, &known, take)?,
                Kind::Typed => typed(&path, &known, take)?,
            };
            if let Err(error) = read {
                take(NAME, Item::Broken(name(&path), format!("{error:#}")))?;
            }
        }
        Ok(())
    }
}

/// Returns what a file holds, by its place and name.
fn kind(path: &Path) -> Option<Kind> {
    let called = name(path);
    let is_lines = path.extension().is_some_and(|known| known == "jsonl");
    let mut folders = path.parent().into_iter().flat_map(Path::ancestors).take(2);
    let is_chat = folders.any(|folder| name(folder) == "chats");
    match &*called {
        "logs.json" => Some(Kind::Typed),
        _ if is_lines && (is_chat || called.starts_with("session-")) => Some(Kind::Lines),
        _ if called.starts_with("session-") => Some(Kind::Object),
        _ if called.starts_with("checkpoint-") => Some(Kind::Saved),
        _ => None,
    }
}

/// Holds what was told in sessions.
#[derive(Default)]
struct Known {
    /// What was typed, by session.
    typed: HashMap<String, HashSet<String>>,
    /// Questions with their answers.
    turns: HashSet<(String, String)>,
}

/// Says whether a file could be read at all.
type Read = Result<()>;

/// Reads a session. What comes of a file that cannot be read is told; whoever takes may refuse.
fn session(path: &Path, kind: Kind, known: &mut Known, take: &mut Take<'_>) -> Result<Read> {
    let mut session = Session::default();
    let mut unread = Vec::new();
    let read = open(path).and_then(|file| match kind {
        Kind::Lines => each_line(file, &mut |number, line| {
            match line {
                Ok(line) => session.record(line),
                Err(error) => {
                    let place = format!("{}, line {number}", name(path));
                    unread.push((place, error.to_string()));
                }
            }
            Ok(())
        }),
        _ => each_element(file, &mut |record| {
            session.record(record);
            Ok(())
        }),
    });
    for (place, why) in unread {
        take(NAME, Item::Broken(place, why))?;
    }
    if read.is_ok() && !session.is_one() {
        return Ok(Err(anyhow::anyhow!("it is no session of Gemini CLI")));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let (conversation, told) = session.turns(&stem, &folder(path));
    let said = known.typed.entry(conversation).or_default();
    said.extend(told.typed);
    for item in told.items {
        if let Item::Turn(turn) = &item {
            let turn = (turn.query.clone(), turn.response.clone());
            known.turns.insert(turn);
        }
        take(NAME, item)?;
    }
    Ok(read)
}

/// Returns what is known of the folder that was worked in, by the place of a file.
fn folder(path: &Path) -> Map<String, Value> {
    let mut known = Map::new();
    let chats = path.ancestors().find(|folder| name(folder) == "chats");
    if let Some(chats) = chats
        && let Some(parent) = path.parent().filter(|parent| *parent != chats)
    {
        known.insert("parent".to_owned(), json!(name(parent)));
    }
    let project = chats.unwrap_or(path).parent();
    if let Some(project) = project {
        match std::fs::read_to_string(project.join(".project_root")) {
            Ok(folder) => known.insert("folder".to_owned(), json!(folder.trim())),
            // Older versions name the folder by the hash of its path.
            Err(_) => known.insert("project".to_owned(), json!(name(project))),
        };
    }
    known
}

/// Reads what was saved by `/chat save`: messages without times and ids.
fn saved(path: &Path, known: &Known, take: &mut Take<'_>) -> Result<Read> {
    let read = || -> Result<(Value, DateTime<Utc>)> {
        let file = open(path)?;
        let written = file.metadata()?.modified()?;
        let value = serde_json::from_reader(decoded(file))?;
        Ok((value, written.into()))
    };
    let (value, written) = match read() {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let contents = value.as_array().or(value["history"].as_array());
    let Some(contents) = contents else {
        return Ok(Err(anyhow::anyhow!("there is no history in it")));
    };
    let place = folder(path);
    let project = place.values().next().map(ToString::to_string);
    let tag = name(path);
    let tag = tag
        .trim_start_matches("checkpoint-")
        .trim_end_matches(".json");
    let mut session = Session::default();
    let id = format!("{}/{tag}", project.unwrap_or_default());
    session.record(json!({"sessionId": id, "startTime": written.to_rfc3339(), "summary": tag}));
    for (at, content) in contents.iter().enumerate() {
        let kind = match text(content, "role") {
            "user" => "user",
            _ => "gemini",
        };
        session.record(json!({"id": at.to_string(), "type": kind, "content": content["parts"]}));
    }
    let (_, told) = session.turns(tag, &place);
    for item in told.items {
        let is_told = |turn: &SourceTurn| {
            let said = (turn.query.clone(), turn.response.clone());
            known.turns.contains(&said)
        };
        let items = match item {
            Item::Turn(turn) if is_told(&turn) => turn.left_out(TOLD),
            item => vec![item],
        };
        items.into_iter().try_for_each(|item| take(NAME, item))?;
    }
    Ok(Ok(()))
}

/// Reads what was typed, session by session: versions before 0.3 kept nothing else.
fn typed(path: &Path, known: &Known, take: &mut Take<'_>) -> Result<Read> {
    let mut refused = None;
    let mut conversations = HashMap::new();
    let place = folder(path);
    let mut number = 0;
    let read = open(path).and_then(|file| {
        each_element(file, &mut |entry| {
            number += 1;
            let item = entry_of(&entry, &place, known, &mut conversations);
            let item = item.unwrap_or_else(|error| {
                Item::Broken(
                    format!("{}, entry {number}", name(path)),
                    format!("{error:#}"),
                )
            });
            let taken = take(NAME, item);
            refused = taken.err();
            match refused {
                Some(_) => anyhow::bail!("it was not taken"),
                None => Ok(()),
            }
        })
    });
    match refused {
        Some(error) => Err(error),
        None => Ok(read),
    }
}

fn entry_of(
    entry: &Value,
    place: &Map<String, Value>,
    known: &Known,
    conversations: &mut HashMap<String, std::sync::Arc<Conversation>>,
) -> Result<Item> {
    let message = entry["message"].as_str().context("it has no message")?;
    let time = time(&entry["timestamp"]).context("its time is no time")?;
    let id = text(entry, "sessionId");
    if text(entry, "type") != "user" {
        return Ok(Item::Skipped("not typed by the user".to_owned()));
    }
    if known
        .typed
        .get(id)
        .is_some_and(|typed| typed.contains(message.trim()))
    {
        return Ok(Item::LeftOut(TOLD.to_owned()));
    }
    if said::is_command(message) {
        return Ok(Item::LeftOut("command of the program".to_owned()));
    }
    let conversation = conversations.entry(id.to_owned()).or_insert_with(|| {
        std::sync::Arc::new(Conversation {
            id: id.to_owned(),
            metadata: place.clone(),
            ..Conversation::default()
        })
    });
    let turn = format!(
        "{id}/logs/{}/{}",
        entry["messageId"],
        time.timestamp_micros()
    );
    let mut turn = SourceTurn::new(conversation, turn, time, message.trim());
    PROVIDER.clone_into(&mut turn.provider);
    Ok(turn.into())
}
