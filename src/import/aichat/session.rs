//! The YAML file of a session: its model and role, and the messages without times, those first that were summed up.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{NAME, agent, place};
use crate::import::files::{decoded, name, open, text};
use crate::import::turns::{Conversation, Turns};
use crate::import::{Item, Take};

/// How the contents of a file begin that was read beside a question.
const QUOTED: &str = "\n============ ";
/// What stands for the question in the prompt of a role.
const INPUT: &str = "__INPUT__";

/// Reads a session. What comes of a file that cannot be read is told; whoever takes may refuse.
pub fn read(path: &Path, take: &mut Take<'_>) -> Result<Result<()>> {
    let session = match parsed(path) {
        Ok(session) => session,
        Err(error) => return Ok(Err(error)),
    };
    for item in session.items() {
        take(NAME, item)?;
    }
    Ok(Ok(()))
}

struct Session {
    id: String,
    title: String,
    agent: String,
    value: Value,
    role: Role,
    begun: DateTime<Utc>,
}

fn parsed(path: &Path) -> Result<Session> {
    let file = open(path)?;
    let about = file.metadata()?;
    let mut yaml = String::new();
    decoded(file).read_to_string(&mut yaml)?;
    let value: Value = serde_yaml_ng::from_str(&yaml)?;
    let messages = &value["messages"];
    messages
        .as_array()
        .context("it is no session of aichat: it has no messages")?;
    let stem = path.with_extension("");
    let sessions = place(path);
    let id = sessions.and_then(|sessions| stem.strip_prefix(sessions).ok());
    let id = id.map_or_else(|| name(&stem), |id| id.display().to_string());
    let home = sessions.and_then(Path::parent);
    let agent = home.map(agent).unwrap_or_default();
    // A session that aichat has named itself begins with its time.
    let named = name(&stem);
    let begun = named
        .get(..15)
        .and_then(|time| NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").ok());
    let local = begun.and_then(|time| time.and_local_timezone(Local).earliest());
    // What was copied is younger than what is in it, what was written to again is not.
    let times = [about.created(), about.modified()].into_iter().flatten();
    let written = times.min().map(DateTime::<Utc>::from).unwrap_or_default();
    let title = match begun {
        Some(_) => named.get(16..).unwrap_or_default().replace('-', " "),
        None => named,
    };
    Ok(Session {
        role: Role::read(
            home.map(|home| home.join("roles")),
            text(&value, "role_name"),
        ),
        id: format!("{agent}/{id}"),
        title,
        agent,
        value,
        begun: local.map_or(written, |time| time.to_utc()),
    })
}

/// Is what a role puts around questions, as far as its file is there.
#[derive(Default)]
struct Role {
    before: String,
    after: String,
    /// Questions and answers that a session begins with, as examples.
    examples: Vec<String>,
}

impl Role {
    fn read(folder: Option<PathBuf>, name: &str) -> Role {
        let file = folder.map(|folder| folder.join(format!("{name}.md")));
        let read = file
            .filter(|_| !name.is_empty())
            .and_then(|file| std::fs::read_to_string(file).ok());
        let prompt = read.unwrap_or_default();
        // What is set for the role stands above its prompt.
        let prompt = match prompt
            .trim()
            .strip_prefix("---")
            .and_then(|rest| rest.split_once("\n---"))
        {
            Some((_, prompt)) => prompt.trim_start_matches('-').trim(),
            None => prompt.trim(),
        };
        if let Some((before, after)) = prompt.split_once(INPUT) {
            return Role {
                before: before.to_owned(),
                after: after.to_owned(),
                examples: Vec::new(),
            };
        }
        let pieces = prompt.split("### INPUT:").skip(1);
        let pieces = pieces.flat_map(|piece| piece.split("### OUTPUT:"));
        Role {
            examples: pieces.map(|piece| piece.trim().to_owned()).collect(),
            ..Role::default()
        }
    }

    /// Returns what was typed, without the prompt around it.
    fn without<'w>(&self, words: &'w str) -> &'w str {
        let inside = words
            .strip_prefix(&*self.before)
            .and_then(|rest| rest.strip_suffix(&*self.after));
        inside.unwrap_or(words)
    }
}

impl Session {
    fn items(self) -> Vec<Item> {
        let value = &self.value;
        let list = |name: &str| value[name].as_array().map_or(&[][..], Vec::as_slice);
        let messages: Vec<&Value> = list("compressed_messages")
            .iter()
            .chain(list("messages"))
            .collect();
        let is_system = |message: &&&Value| text(message, "role") == "system";
        let system = messages
            .first()
            .filter(is_system)
            .map(|message| said(&message["content"]).0);
        let mut metadata = Map::new();
        for (name, known) in [("role", text(value, "role_name")), ("agent", &self.agent)] {
            if !known.is_empty() {
                metadata.insert(name.to_owned(), json!(known));
            }
        }
        let (provider, model) = text(value, "model")
            .split_once(':')
            .unwrap_or(("", text(value, "model")));
        let conversation = Conversation {
            id: self.id.clone(),
            title: self.title.clone(),
            system_prompt: system.unwrap_or_default(),
            metadata,
        };
        let (mut turns, mut items, mut number) = (Turns::new(conversation, ""), Vec::new(), 0);
        let mut examples = self.role.examples.iter();
        for (at, message) in messages.iter().enumerate() {
            let content = &message["content"];
            let (words, context) = said(content);
            let time = self.begun + TimeDelta::milliseconds(number);
            let id = format!("{}/{at}", self.id);
            let mut is_example = || examples.next().is_some_and(|example| *example == words);
            match text(message, "role") {
                "system" if at == 0 => {}
                "system" => items.push(Item::Skipped("summary of the conversation".to_owned())),
                "user" | "assistant" if is_example() => {
                    items.push(Item::Skipped("example of the role".to_owned()));
                }
                "user" if words.is_empty() => items.push(Item::LeftOut("empty".to_owned())),
                "user" => {
                    let words = self.role.without(&words);
                    // Who empties a session begins anew under its name.
                    turns.user(&format!("{}/{number}/{words}", self.id), time, words);
                    turns.provider(provider);
                    turns.keep("context", context);
                    number += 1;
                }
                "tool" => {
                    turns.answer(&id, time, model, text(content, "text"));
                    let calls = content["tool_results"].as_array().into_iter().flatten();
                    for (of, each) in calls.enumerate() {
                        call(&mut turns, time, &format!("{id}/{of}"), each);
                    }
                }
                "assistant" => turns.answer(&id, time, model, &words),
                _ => {}
            }
        }
        let turns = turns.finish().into_iter().map(Item::from);
        turns.chain(items).collect()
    }
}

/// Takes a call with what came of it, and what was said before it.
pub fn call(turns: &mut Turns, time: DateTime<Utc>, id: &str, result: &Value) {
    let call = &result["call"];
    turns.answer(id, time, "", text(result, "said"));
    turns.call(id, time, text(call, "name"), call["arguments"].clone());
    let output = match &result["output"] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        output => output.to_string(),
    };
    turns.observation(id, time, &output, true);
}

/// Returns what a message says, and what was put beside it.
fn said(content: &Value) -> (String, Vec<String>) {
    let whole = match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let part = |part: &Value| match text(part, "type") {
                "text" => text(part, "text").to_owned(),
                _ => "[image]".to_owned(),
            };
            let parts: Vec<String> = parts.iter().map(part).collect();
            parts.join("\n")
        }
        Value::Number(_) | Value::Bool(_) => content.to_string(),
        _ => String::new(),
    };
    match whole.split_once(QUOTED) {
        Some((typed, quoted)) if !typed.trim().is_empty() => {
            let quoted = format!("{}{quoted}", QUOTED.trim_start());
            (typed.trim().to_owned(), vec![quoted])
        }
        _ => (whole.trim().to_owned(), Vec::new()),
    }
}
