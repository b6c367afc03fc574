//! Claude Code's transcripts: a folder for each project, in it a JSON Lines file for each session.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::files::{below, each_line, name, oldest_first, open, text, time};
use super::turns::{Conversation, Turns};
use super::{Item, Source, Take};
use crate::conversation::Usage;

const NAME: &str = "claude-code";
/// What the program says in the user's name when a turn was broken off.
const INTERRUPTED: &str = "[Request interrupted by user";
/// What it says in the model's name when it did something itself.
const NOTHING_SAID: &str = "No response requested.";
/// What else it says in the user's name: commands that ran beside the conversation, and what came of them.
const BESIDE: [&str; 2] = ["<local-command-", "<bash-"];

/// Is a folder of transcripts, `~/.claude/projects` as a rule, or one transcript.
pub struct ClaudeCode(pub PathBuf);

impl Source for ClaudeCode {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        if self.0.is_file() {
            take(NAME, Item::File(name(&self.0)))?;
            return transcript(&self.0, take);
        }
        for path in oldest_first(&self.0, "jsonl")? {
            take(NAME, Item::File(below(&self.0, &path)))?;
            transcript(&path, take)?;
        }
        Ok(())
    }
}

fn transcript(path: &Path, take: &mut Take<'_>) -> Result<()> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) => return take(NAME, Item::Broken(name(path), format!("{error:#}"))),
    };
    let mut reading = Reading::new(path);
    let read = each_line(file, &mut |number, line| match line {
        Ok(line) => {
            reading.line(&line);
            Ok(())
        }
        Err(error) => {
            let place = format!("{}, line {number}", name(path));
            take(NAME, Item::Broken(place, error.to_string()))
        }
    });
    if let Err(error) = read {
        // Whoever takes has refused, unless the file cannot be read on.
        if !error.is::<std::io::Error>() {
            return Err(error);
        }
        take(NAME, Item::Broken(name(path), error.to_string()))?;
    }
    for _ in 0..reading.aside {
        take(NAME, Item::Skipped("message of a sub-agent".to_owned()))?;
    }
    for turn in reading.finish() {
        // The program's own commands are no conversation; those of a project are answered.
        let silent = turn.response.is_empty() && turn.steps.is_empty();
        if silent && turn.query.starts_with('/') {
            take(NAME, Item::LeftOut("command of the program".to_owned()))?;
        } else {
            take(NAME, turn.into())?;
        }
    }
    Ok(())
}

/// Reads one transcript.
struct Reading {
    id: String,
    /// What it was called by its user and by the program.
    named: String,
    entitled: String,
    /// What the first versions wrote of conversations, this one or others: the message that each ended with, and a title.
    summaries: Vec<(String, String)>,
    messages: HashSet<String>,
    turns: Option<Turns>,
    /// The message whose tokens were counted last: each of its blocks is a line, and repeats them.
    message: String,
    usage: Usage,
    last: DateTime<Utc>,
    /// How many messages were passed over.
    aside: usize,
}

impl Reading {
    fn new(path: &Path) -> Reading {
        let id = path.file_stem().unwrap_or_default().to_string_lossy();
        Reading {
            id: id.into_owned(),
            named: String::new(),
            entitled: String::new(),
            summaries: Vec::new(),
            messages: HashSet::new(),
            turns: None,
            message: String::new(),
            usage: Usage::default(),
            last: DateTime::UNIX_EPOCH,
            aside: 0,
        }
    }

    fn line(&mut self, line: &Value) {
        let kind = text(line, "type");
        match kind {
            "custom-title" => text(line, "customTitle").clone_into(&mut self.named),
            "ai-title" => text(line, "aiTitle").clone_into(&mut self.entitled),
            "summary" => {
                let (leaf, summary) = (text(line, "leafUuid"), text(line, "summary"));
                self.summaries.push((leaf.to_owned(), summary.to_owned()));
            }
            _ => {}
        }
        if kind != "user" && kind != "assistant" {
            return;
        }
        if line["isSidechain"] == true {
            self.aside += 1;
            return;
        }
        self.messages.insert(text(line, "uuid").to_owned());
        self.last = time(&line["timestamp"]).unwrap_or(self.last);
        let id = self.id.clone();
        let mut turns = self.turns.take().unwrap_or_else(|| begin(id, line));
        match kind {
            "user" => self.user(line, &mut turns),
            _ => self.assistant(line, &mut turns),
        }
        self.turns = Some(turns);
    }

    fn user(&mut self, line: &Value, turns: &mut Turns) {
        let uuid = text(line, "uuid");
        let content = &line["message"]["content"];
        let mut said = content.as_str().unwrap_or_default().to_owned();
        for block in content.as_array().into_iter().flatten() {
            match text(block, "type") {
                "tool_result" => {
                    let observed = result(&block["content"]);
                    let call = text(block, "tool_use_id");
                    turns.observation(call, self.last, &observed, block["is_error"] != true);
                }
                _ => said.push_str(&format!("{}\n", result_block(block))),
            }
        }
        let said = said.trim();
        if said.starts_with(INTERRUPTED) {
            turns.broken_off();
        } else if line["isMeta"] != true
            && line["isCompactSummary"] != true
            && !said.is_empty()
            && !BESIDE.iter().any(|mark| said.starts_with(mark))
        {
            self.count(turns);
            turns.user(uuid, self.last, &typed(said));
        }
    }

    fn assistant(&mut self, line: &Value, turns: &mut Turns) {
        let (uuid, message) = (text(line, "uuid"), &line["message"]);
        let model = match text(message, "model") {
            // The program itself speaks, of a limit that was hit for example.
            "<synthetic>" => "",
            model => model,
        };
        for block in message["content"].as_array().into_iter().flatten() {
            match text(block, "type") {
                "text" if text(block, "text") == NOTHING_SAID => {}
                "text" => turns.answer(uuid, self.last, model, text(block, "text")),
                "thinking" => turns.thought(uuid, self.last, text(block, "thinking")),
                "tool_use" => {
                    let (id, name) = (text(block, "id"), text(block, "name"));
                    turns.call(id, self.last, name, block["input"].clone());
                }
                _ => {}
            }
        }
        if text(message, "id") != self.message {
            self.count(turns);
            text(message, "id").clone_into(&mut self.message);
        }
        let usage = &message["usage"];
        let read = [
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ];
        let read = read.iter().filter_map(|name| usage[*name].as_u64());
        // Some versions tell the whole count only in some of the lines.
        self.usage = Usage {
            input_tokens: usage["input_tokens"]
                .as_u64()
                .map(|_| read.sum())
                .max(self.usage.input_tokens),
            output_tokens: usage["output_tokens"]
                .as_u64()
                .max(self.usage.output_tokens),
        };
    }

    /// Counts the tokens of the message that is over.
    fn count(&mut self, turns: &mut Turns) {
        let usage = std::mem::take(&mut self.usage);
        if usage != Usage::default() {
            turns.usage(usage);
        }
    }

    fn finish(mut self) -> Vec<super::SourceTurn> {
        let Some(mut turns) = self.turns.take() else {
            return Vec::new();
        };
        self.count(&mut turns);
        let mut summaries = self.summaries.into_iter();
        let own = summaries.find(|(leaf, _)| self.messages.contains(leaf));
        let own = own.map(|(_, summary)| summary).unwrap_or_default();
        let titles = [self.named, self.entitled, own];
        let title = titles.into_iter().find(|title| !title.is_empty());
        turns.finish_as(&title.unwrap_or_default())
    }
}

/// Begins a conversation with its first line.
fn begin(id: String, line: &Value) -> Turns {
    let mut metadata = Map::new();
    for (name, known) in [
        ("folder", "cwd"),
        ("branch", "gitBranch"),
        ("version", "version"),
    ] {
        if !text(line, known).is_empty() {
            metadata.insert(name.to_owned(), line[known].clone());
        }
    }
    let conversation = Conversation {
        id,
        metadata,
        ..Conversation::default()
    };
    Turns::new(conversation, "anthropic")
}

/// Returns what the user typed: the program writes a command as elements of its own.
fn typed(said: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = said.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim())
    };
    match element("command-name") {
        Some(command) if said.starts_with("<command-") => {
            let arguments = element("command-args").unwrap_or_default();
            format!("{command} {arguments}").trim().to_owned()
        }
        _ => said.to_owned(),
    }
}

/// Returns the content of a tool's result: text, or blocks.
pub fn result(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(result_block).collect();
            blocks.join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn result_block(block: &Value) -> String {
    match text(block, "type") {
        "text" => text(block, "text").to_owned(),
        "image" => "[image]".to_owned(),
        "document" => "[document]".to_owned(),
        _ => block.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_transcripts_are_read_all_the_same() {
        let seed = concat!(
            r#"{"type":"user","uuid":"u","timestamp":"2026-11-24T00:00:12Z","cwd":"/","message":{"content":"<command-name>/go</command-name> <command-args>on</command-args>"}}"#,
            "\n",
            r#"{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t","name":"ls","input":{}}],"usage":{"input_tokens":1}}}"#,
            "\n",
            r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"x","is_error":true}]}}"#,
        );
        let read = |text: &str| {
            let mut reading = Reading::new(Path::new("a.jsonl"));
            for line in text.lines() {
                reading.line(&serde_json::from_str(line).unwrap_or_default());
            }
            reading.finish()
        };
        let whole = read(seed);
        assert_eq!((whole.len(), whole[0].steps[0].success), (1, false));
        assert_eq!(
            typed("<command-name>/go</command-name> <command-args>on</command-args>"),
            "/go on"
        );
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
