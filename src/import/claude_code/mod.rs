//! Claude Code's transcripts: a folder for each project, in it a JSON Lines file for each session, and beside that one for each of
//! its sub-agents; older versions have these in the same file.

mod queue;
mod reading;
mod words;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value};

use super::files::{below, each_line, name, oldest_first, open, text};
use super::turns::Conversation;
use super::{Item, Source, Take};
use reading::Reading;

const NAME: &str = "claude-code";

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
    let mut transcript = Transcript::new(path);
    let read = each_line(file, &mut |number, line| match line {
        Ok(line) => {
            transcript.line(&line);
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
    let mut items = transcript.finish().into_iter();
    items.try_for_each(|item| take(NAME, item))
}

/// Reads one transcript.
struct Transcript {
    session: String,
    /// The sub-agent that the file is of, and what it was to do.
    agent: Option<(String, String)>,
    /// What the session was called by its user and by the program.
    named: String,
    entitled: String,
    /// What the first versions wrote of conversations, this one or others: the message that each ended with, and a title.
    summaries: Vec<(String, String)>,
    messages: HashSet<String>,
    /// The conversations, by sub-agent; that of the session has no name.
    readings: Vec<(String, Reading)>,
    /// The first message before each message of a sub-agent, which older versions know it by.
    roots: HashMap<String, String>,
}

impl Transcript {
    fn new(path: &Path) -> Transcript {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let agent = stem.strip_prefix("agent-").map(|agent| {
            // What a sub-agent was to do is in a file beside it.
            let beside = std::fs::read(path.with_extension("meta.json")).unwrap_or_default();
            let beside: Value = serde_json::from_slice(&beside).unwrap_or_default();
            (agent.to_owned(), text(&beside, "description").to_owned())
        });
        // Sub-agents have a folder in that of their session.
        let above = path.parent().and_then(Path::parent).map(name);
        Transcript {
            session: match agent {
                Some(_) => above.unwrap_or_default(),
                None => stem.into_owned(),
            },
            agent,
            named: String::new(),
            entitled: String::new(),
            summaries: Vec::new(),
            messages: HashSet::new(),
            readings: Vec::new(),
            roots: HashMap::new(),
        }
    }

    fn line(&mut self, line: &Value) {
        match text(line, "type") {
            "custom-title" => text(line, "customTitle").clone_into(&mut self.named),
            "ai-title" => text(line, "aiTitle").clone_into(&mut self.entitled),
            "summary" => {
                let (leaf, summary) = (text(line, "leafUuid"), text(line, "summary"));
                self.summaries.push((leaf.to_owned(), summary.to_owned()));
            }
            _ => {}
        }
        if !text(line, "uuid").is_empty() {
            self.messages.insert(text(line, "uuid").to_owned());
        }
        let agent = self.agent_of(line);
        let known = self.readings.iter().position(|(known, _)| *known == agent);
        let at = known.unwrap_or_else(|| {
            let reading = Reading::new(self.conversation(&agent, line));
            self.readings.push((agent, reading));
            self.readings.len() - 1
        });
        self.readings[at].1.line(line);
    }

    /// Returns the sub-agent that a line is of, if any.
    fn agent_of(&mut self, line: &Value) -> String {
        if let Some((agent, _)) = &self.agent {
            return agent.clone();
        }
        if line["isSidechain"] != true {
            return String::new();
        }
        let agent = text(line, "agentId");
        if !agent.is_empty() {
            return agent.to_owned();
        }
        let (id, before) = (text(line, "uuid"), text(line, "parentUuid"));
        let root = self.roots.get(before).map_or(id, String::as_str).to_owned();
        self.roots.insert(id.to_owned(), root.clone());
        root
    }

    fn conversation(&self, agent: &str, line: &Value) -> Conversation {
        if agent.is_empty() {
            return Conversation {
                id: self.session.clone(),
                ..Conversation::default()
            };
        }
        let parent: &str = match text(line, "sessionId") {
            "" => &self.session,
            session => session,
        };
        Conversation {
            id: format!("{parent}/{agent}"),
            title: self.agent.clone().unwrap_or_default().1,
            metadata: Map::from_iter(
                [("agent", agent), ("parent", parent)]
                    .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))),
            ),
            ..Conversation::default()
        }
    }

    fn finish(self) -> Vec<Item> {
        let mut summaries = self.summaries.into_iter();
        let own = summaries.find(|(leaf, _)| self.messages.contains(leaf));
        let own = own.map(|(_, summary)| summary).unwrap_or_default();
        let titles = [self.named, self.entitled, own];
        let title = titles.into_iter().find(|title| !title.is_empty());
        let title = title.unwrap_or_default();
        let readings = self.readings.into_iter();
        let finished = readings.flat_map(|(agent, reading)| match &*agent {
            "" => reading.finish(&title),
            _ => reading.finish(""),
        });
        finished.collect()
    }
}

/// Returns the content of a tool's result: text, or blocks.
pub fn result(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(block).collect();
            blocks.join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn block(block: &Value) -> String {
    if let Some(text) = block.as_str() {
        return text.to_owned();
    }
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
            r#"{"type":"attachment","attachment":{"type":"queued_command","prompt":"more"}}"#,
            "\n",
            r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"x","is_error":true}]}}"#,
        );
        let read = |text: &str| {
            let mut transcript = Transcript::new(Path::new("a.jsonl"));
            for line in text.lines() {
                transcript.line(&serde_json::from_str(line).unwrap_or_default());
            }
            transcript.finish()
        };
        let whole = read(seed);
        let [Item::Turn(turn)] = &whole[..] else {
            panic!("{whole:?}");
        };
        assert_eq!((turn.query.as_str(), turn.messages), ("/go on\n\nmore", 2));
        assert!(!turn.steps[0].success);
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
