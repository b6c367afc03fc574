//! Codex's transcripts: a JSON Lines file for each session, below folders for year, month and day.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::files::{below, each_line, files, name, oldest_first, open, text, time};
use super::turns::{Conversation, SourceTurn, Turns};
use super::{Item, Source, Take};
use crate::conversation::Usage;

const NAME: &str = "codex";

/// Is a folder of transcripts, `~/.codex/sessions` as a rule, or one transcript.
pub struct Codex(pub PathBuf);

impl Source for Codex {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        if self.0.is_file() {
            take(NAME, Item::File(name(&self.0)))?;
            return transcript(&self.0, &HashMap::new(), take);
        }
        let names = names(&self.0.join("session_index.jsonl"));
        for path in oldest_first(&self.0, "jsonl")? {
            if name(&path).starts_with("rollout-") {
                take(NAME, Item::File(below(&self.0, &path)))?;
                transcript(&path, &names, take)?;
            }
        }
        for path in files(&self.0, "zst")? {
            take(NAME, Item::File(below(&self.0, &path)))?;
            let why = "it is compressed: `zstd -d` unpacks it".to_owned();
            take(NAME, Item::Broken(name(&path), why))?;
        }
        Ok(())
    }
}

/// Returns what the user has called sessions, by id; the last name counts.
fn names(index: &Path) -> HashMap<String, String> {
    let mut names = HashMap::new();
    let Ok(file) = open(index) else {
        return names;
    };
    let read = each_line(file, &mut |_, line| {
        if let Ok(line) = line {
            let named = (
                text(&line, "id").to_owned(),
                text(&line, "thread_name").to_owned(),
            );
            names.insert(named.0, named.1);
        }
        Ok(())
    });
    // Sessions do without names, too.
    drop(read);
    names
}

fn transcript(path: &Path, names: &HashMap<String, String>, take: &mut Take<'_>) -> Result<()> {
    let broken = |place: String, why: String| Item::Broken(place, why);
    let (mut lines, mut unread) = (Vec::new(), Vec::new());
    let read = open(path).and_then(|file| {
        each_line(file, &mut |number, line| {
            match line {
                Ok(line) => lines.push(line),
                Err(error) => {
                    let place = format!("{}, line {number}", name(path));
                    unread.push(broken(place, error.to_string()));
                }
            }
            Ok(())
        })
    });
    if let Err(error) = read {
        unread.push(broken(name(path), format!("{error:#}")));
    }
    for item in unread {
        take(NAME, item)?;
    }
    for turn in turns(path, &lines, names) {
        take(NAME, turn.into())?;
    }
    Ok(())
}

fn turns(path: &Path, lines: &[Value], names: &HashMap<String, String>) -> Vec<SourceTurn> {
    let meta = lines
        .iter()
        .find(|line| text(line, "type") == "session_meta");
    // The first transcripts began with the facts themselves.
    let meta = meta.map_or_else(
        || lines.first().unwrap_or(&Value::Null),
        |line| &line["payload"],
    );
    let id = match text(meta, "id") {
        "" => path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        id => id.to_owned(),
    };
    let mut kept = Map::new();
    for (name, known) in [("folder", "cwd"), ("version", "cli_version")] {
        if !text(meta, known).is_empty() {
            kept.insert(name.to_owned(), meta[known].clone());
        }
    }
    let provider = match text(meta, "model_provider") {
        "" => "openai",
        provider => provider,
    };
    let conversation = Conversation {
        id: id.clone(),
        title: names.get(&id).cloned().unwrap_or_default(),
        metadata: kept,
        ..Conversation::default()
    };
    let mut reading = Reading {
        turns: Turns::new(conversation, ""),
        id,
        model: String::new(),
        // What the user typed is told apart from what the program says in his name only by events; the first transcripts have none.
        has_events: lines.iter().any(|line| typed(line).is_some()),
        last: time(&meta["timestamp"]).unwrap_or_default(),
        timed: false,
        count: 0,
        total: None,
    };
    for line in lines {
        reading.line(line);
    }
    let mut turns = reading.turns.finish();
    for turn in &mut turns {
        provider.clone_into(&mut turn.provider);
    }
    turns
}

/// Returns what the user typed, where a line says so.
fn typed(line: &Value) -> Option<String> {
    let event = &line["payload"];
    match (text(line, "type"), text(event, "type")) {
        ("event_msg", "user_message") => {
            let images = ["images", "local_images"].map(|name| event[name].as_array());
            let images = images.into_iter().flatten().map(Vec::len).sum();
            Some(format!(
                "{}{}",
                text(event, "message"),
                "\n[image]".repeat(images)
            ))
        }
        ("event_msg", "item_completed") if text(&event["item"], "type") == "UserMessage" => {
            Some(texts(&event["item"]["content"]))
        }
        _ => None,
    }
}

/// Reads one transcript.
struct Reading {
    turns: Turns,
    id: String,
    model: String,
    has_events: bool,
    last: DateTime<Utc>,
    /// Whether the line says when it was written.
    timed: bool,
    /// How many turns have begun.
    count: usize,
    /// How many tokens the session had taken when they were counted last.
    total: Option<u64>,
}

impl Reading {
    fn line(&mut self, line: &Value) {
        let time = time(&line["timestamp"]);
        self.timed = time.is_some();
        self.last = time.unwrap_or(self.last);
        let payload = &line["payload"];
        if let Some(said) = typed(line) {
            return self.begin(&said);
        }
        match text(line, "type") {
            "response_item" => self.item(payload),
            "event_msg" => self.event(payload),
            "turn_context" => text(payload, "model").clone_into(&mut self.model),
            // The first transcripts had the items themselves.
            "session_meta" | "compacted" => {}
            _ if payload.is_null() => self.item(line),
            _ => {}
        }
    }

    fn begin(&mut self, said: &str) {
        self.count += 1;
        // A message has no id of its own, and a session that was taken back goes on in another file under the same id. The first
        // transcripts have no times.
        let id = match self.timed {
            true => format!("{}/{}", self.id, self.last.timestamp_micros()),
            false => format!("{}/{}", self.id, self.count),
        };
        self.turns.user(&id, self.last, said);
    }

    fn event(&mut self, event: &Value) {
        match text(event, "type") {
            "token_count" => {
                // The same count may be told again.
                let total = event["info"]["total_token_usage"]["total_tokens"].as_u64();
                if std::mem::replace(&mut self.total, total) == total {
                    return;
                }
                let last = &event["info"]["last_token_usage"];
                let usage = Usage {
                    input_tokens: last["input_tokens"].as_u64(),
                    output_tokens: last["output_tokens"].as_u64(),
                };
                if usage != Usage::default() {
                    self.turns.usage(usage);
                }
            }
            "turn_aborted" => self.turns.broken_off(),
            _ => {}
        }
    }

    fn item(&mut self, item: &Value) {
        let id = format!("{}/0", self.id);
        match text(item, "type") {
            "message" => self.message(item, &id),
            "reasoning" => {
                let summary = texts(&item["summary"]);
                let whole = texts(&item["content"]);
                let thought = if whole.is_empty() { summary } else { whole };
                self.turns.thought(&id, self.last, &thought);
            }
            "function_call" => {
                let arguments = text(item, "arguments");
                let arguments =
                    serde_json::from_str(arguments).unwrap_or_else(|_| json!({"text": arguments}));
                self.call(item, text(item, "name"), arguments);
            }
            "custom_tool_call" => {
                let input = json!({"input": item["input"]});
                self.call(item, text(item, "name"), input);
            }
            "local_shell_call" => self.call(item, "shell", item["action"].clone()),
            "web_search_call" => self.call(item, "web_search", item["action"].clone()),
            "function_call_output" | "custom_tool_call_output" => {
                let (observed, success) = output(&item["output"]);
                let call = text(item, "call_id");
                self.turns.observation(call, self.last, &observed, success);
            }
            _ => {}
        }
    }

    fn call(&mut self, item: &Value, name: &str, arguments: Value) {
        let call = match text(item, "call_id") {
            "" => text(item, "id"),
            call => call,
        };
        self.turns.call(call, self.last, name, arguments);
    }

    fn message(&mut self, item: &Value, id: &str) {
        let said = texts(&item["content"]);
        match text(item, "role") {
            "assistant" => {
                let model = self.model.clone();
                self.turns.answer(id, self.last, &model, &said);
            }
            "user" if !self.has_events && !is_injected(&said) => self.begin(&said),
            _ => {}
        }
    }
}

/// Returns whether the program said something in the user's name: about the folder, or what the project's files ask for.
fn is_injected(said: &str) -> bool {
    let said = said.trim_start();
    [
        "<environment_context>",
        "<user_instructions>",
        "<turn_aborted>",
        "<subagent_notification>",
        "# AGENTS.md instructions",
    ]
    .iter()
    .any(|mark| said.starts_with(mark))
}

/// Returns the texts of a message's or a thought's blocks.
fn texts(blocks: &Value) -> String {
    let blocks = blocks.as_array().into_iter().flatten();
    let block = |block: &Value| match text(block, "type") {
        "input_image" | "image" | "local_image" => "[image]".to_owned(),
        _ => text(block, "text").to_owned(),
    };
    let blocks: Vec<String> = blocks.map(block).filter(|text| !text.is_empty()).collect();
    blocks.join("\n\n")
}

/// Returns what came of a call, and whether it went well. Outputs are text, JSON in a text, an object or blocks.
fn output(output: &Value) -> (String, bool) {
    if output.is_array() {
        return (texts(output), true);
    }
    let parsed = output
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let parsed = parsed
        .as_ref()
        .filter(|parsed| parsed.is_object())
        .unwrap_or(output);
    let inner = ["output", "content"]
        .into_iter()
        .find_map(|name| parsed[name].as_str());
    let whole = inner.or(output.as_str()).unwrap_or_default();
    let failed = parsed["success"] == false
        || parsed["metadata"]["exit_code"]
            .as_i64()
            .is_some_and(|code| code != 0);
    // Newer ones say it in the first lines of the text.
    let code = whole.lines().take(4).find_map(|line| {
        line.strip_prefix("Process exited with code ")
            .or(line.strip_prefix("Exit code: "))
    });
    let failed = failed || code.is_some_and(|code| code.trim() != "0");
    (whole.to_owned(), !failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_transcripts_are_read_all_the_same() {
        let seed = concat!(
            r#"{"timestamp":"2026-11-24T00:00:12Z","type":"session_meta","payload":{"id":"a","cwd":"/"}}"#,
            "\n",
            r#"{"timestamp":"2026-11-24T00:00:13Z","type":"event_msg","payload":{"type":"user_message","message":"q"}}"#,
            "\n",
            r#"{"type":"response_item","payload":{"type":"function_call","call_id":"c","name":"ls","arguments":"{}"}}"#,
            "\n",
            r#"{"type":"response_item","payload":{"type":"function_call_output","call_id":"c","output":"Exit code: 1"}}"#,
        );
        let read = |text: &str| {
            let lines: Vec<Value> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            turns(Path::new("a.jsonl"), &lines, &HashMap::new())
        };
        let whole = read(seed);
        assert_eq!((whole.len(), whole[0].steps[0].success), (1, false));
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
