//! OpenAI's data export: each conversation is a tree of messages, of which the branch is read that was shown last.

mod content;
mod references;

use std::collections::HashMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::data_export::{NOT_SHOWN, Node, aside, id, not_shown, shown};
use super::files::{text, time};
use super::turns::{Conversation, Turns};
use super::{Item, Take};
use content::{attached, document, instructions, report, said, shows_picture};
use references::Sources;

pub const NAME: &str = "chatgpt";

/// Reads a conversation.
pub fn conversation(value: &Value, place: &str, take: &mut Take<'_>) -> Result<()> {
    let Some(mapping) = value["mapping"].as_object() else {
        let why = "it has no messages".to_owned();
        return take(NAME, Item::Broken(place.to_owned(), why));
    };
    let mut all = mapping.values().map(|node| &node["message"]);
    let Some(first) = all.find(|message| !message.is_null()) else {
        let why = "conversation without messages".to_owned();
        return take(NAME, Item::Skipped(why));
    };
    let names = ["conversation_id", "id", "uuid"];
    let id = id(value, &names, "create_time", first, &said(first));
    let messages: Vec<(&String, &Value)> = mapping.iter().collect();
    let nodes = nodes(&messages, mapping);
    let current = text(value, "current_node");
    let last = messages.iter().position(|(key, node)| {
        let names = [key.as_str(), text(node, "id"), text(&node["message"], "id")];
        !current.is_empty() && names.contains(&current)
    });
    let branch = shown(&nodes, last);
    let on_branch: Vec<&Value> = branch
        .iter()
        .map(|&at| &messages[at].1["message"])
        .collect();
    let all = messages
        .iter()
        .filter(|(_, node)| !node["message"].is_null());
    let is_there = on_branch.iter().filter(|message| !message.is_null());
    let conversation = Conversation {
        id,
        title: text(value, "title").to_owned(),
        metadata: not_shown(all.count() - is_there.count()),
        ..Conversation::default()
    };
    let mut reader = Reader::new(value, conversation, &on_branch);
    let reports = reports(&messages, &nodes, &branch);
    for &at in &branch {
        let (key, node) = messages[at];
        reader.read(key, &node["message"], reports.get(&at));
    }
    for turn in reader.turns.finish() {
        take(NAME, turn.into())?;
    }
    let unread = on_branch.iter().filter(|message| is_users(message));
    let unread = unread.filter_map(|message| why_unread(message));
    let unshown = aside(&nodes, &branch).filter_map(|at| {
        let (_, node) = messages[at];
        is_users(&node["message"]).then_some(NOT_SHOWN)
    });
    unread
        .chain(unshown)
        .try_for_each(|why| take(NAME, Item::LeftOut(why.to_owned())))
}

/// Returns the tree of messages. A damaged one may say only in one direction what follows what.
fn nodes(messages: &[(&String, &Value)], mapping: &Map<String, Value>) -> Vec<Node> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, (key, _)) in messages.iter().enumerate() {
        places.insert(key, at);
    }
    for (at, (_, node)) in messages.iter().enumerate() {
        for name in [text(node, "id"), text(&node["message"], "id")] {
            places.entry(name).or_insert(at);
        }
    }
    let mut parents = HashMap::new();
    for (at, (_, node)) in messages.iter().enumerate() {
        let children = node["children"].as_array().into_iter().flatten();
        for child in children.filter_map(|child| places.get(child.as_str()?)) {
            parents.entry(*child).or_insert(at);
        }
    }
    let node = |(at, node): (usize, &Value)| {
        let named = Some(text(node, "parent")).filter(|parent| !parent.is_empty());
        let named = named.and_then(|parent| places.get(parent).copied());
        Node {
            parent: named.or_else(|| parents.get(&at).copied()),
            time: time(&node["message"]["create_time"]),
        }
    };
    mapping.values().enumerate().map(node).collect()
}

fn is_users(message: &Value) -> bool {
    text(&message["author"], "role") == "user"
}

/// Returns why a message of the user on the branch that was shown is no question.
fn why_unread(message: &Value) -> Option<&'static str> {
    if instructions(message).is_some() {
        return Some("custom instructions");
    }
    let is_hidden = message["metadata"]["is_visually_hidden_from_conversation"] == true;
    is_hidden.then_some("hidden in the conversation")
}

fn asks(message: &Value) -> bool {
    is_users(message) && why_unread(message).is_none()
}

/// Returns the reports of researches by the place in the branch where each is read: the state of a widget comes again and again, so
/// of each turn it is the last one. A state may be beside the branch.
fn reports(
    messages: &[(&String, &Value)],
    nodes: &[Node],
    branch: &[usize],
) -> HashMap<usize, Value> {
    let carries = |at: usize| {
        let message = &messages[at].1["message"];
        (!is_users(message)).then(|| report(message))?
    };
    let mut beside: HashMap<usize, Value> = HashMap::new();
    for at in aside(nodes, branch) {
        let parent = nodes[at].parent.filter(|parent| branch.contains(parent));
        if text(&messages[at].1["message"]["author"], "role") == "tool"
            && let Some((parent, report)) = parent.zip(carries(at))
        {
            beside.insert(parent, report);
        }
    }
    let mut reports = HashMap::new();
    let mut last = None;
    for &at in branch {
        if asks(&messages[at].1["message"]) {
            reports.extend(last.take());
        }
        let report = carries(at).or_else(|| beside.remove(&at));
        last = report.map(|report| (at, report)).or(last);
    }
    reports.extend(last);
    reports
}

/// Puts the messages of a branch together.
struct Reader<'v> {
    turns: Turns,
    sources: Sources,
    model: &'v str,
    /// When something was said last: not every message has a time.
    last: DateTime<Utc>,
    has_begun: bool,
    /// The report of the turn: the model may repeat it.
    report: String,
}

impl<'v> Reader<'v> {
    fn new(value: &'v Value, mut conversation: Conversation, branch: &[&Value]) -> Reader<'v> {
        let said: Map<String, Value> = branch
            .iter()
            .filter_map(|message| instructions(message))
            .flatten()
            .collect();
        if !said.is_empty() {
            let name = "custom_instructions".to_owned();
            conversation.metadata.insert(name, Value::Object(said));
        }
        let begun = branch.iter().find_map(|said| time(&said["create_time"]));
        Reader {
            turns: Turns::new(conversation, "openai"),
            sources: Sources::default(),
            model: text(value, "default_model_slug"),
            last: time(&value["create_time"]).or(begun).unwrap_or_default(),
            has_begun: false,
            report: String::new(),
        }
    }

    fn read(&mut self, key: &str, message: &Value, report: Option<&Value>) {
        let metadata = &message["metadata"];
        self.sources.learn(metadata);
        self.last = time(&message["create_time"]).unwrap_or(self.last);
        let id = match text(message, "id") {
            "" => key,
            id => id,
        };
        let said = said(message);
        let is_users = is_users(message);
        let is_idle = !self.has_begun && said.trim().is_empty();
        if instructions(message).is_none() && (asks(message) || !is_users && !is_idle) {
            self.has_begun = true;
            match text(&message["author"], "role") {
                "user" => {
                    let all = std::iter::once(said).chain(attached(message));
                    let all: Vec<String> = all.filter(|said| !said.is_empty()).collect();
                    self.turns.user(id, self.last, &all.join("\n"));
                    self.report.clear();
                }
                "assistant" => self.assistant(id, message, &said),
                "tool" => self.tool(id, message, &said),
                _ => {}
            }
        }
        if let Some(report) = report {
            let metadata = &report["metadata"];
            self.sources.learn(metadata);
            self.answer(id, &content::said(report), metadata);
            self.report = content::said(report);
        }
    }

    fn assistant(&mut self, id: &str, message: &Value, said: &str) {
        let (metadata, time) = (&message["metadata"], self.last);
        let recipient = text(message, "recipient");
        if !matches!(recipient, "" | "all" | "user") {
            self.call(id, recipient, said, metadata);
            return;
        }
        let kind = text(&message["content"], "content_type");
        let is_thought = matches!(kind, "thoughts" | "reasoning_recap")
            || [message, metadata]
                .map(|said| text(said, "channel"))
                .contains(&"analysis")
            || metadata["is_thinking_preamble_message"] == true
            || metadata["is_visually_hidden_from_conversation"] == true;
        if is_thought {
            let thought = self.sources.resolve(said, metadata);
            self.turns.thought(id, time, &thought);
        } else if !said.trim().is_empty() && said.trim() != self.report.trim() {
            self.answer(id, said, metadata);
        }
    }

    fn answer(&mut self, id: &str, said: &str, metadata: &Value) {
        let model = match text(metadata, "model_slug") {
            "" => self.model,
            slug => slug,
        };
        let answer = self.sources.resolve(said, metadata);
        self.turns.answer(id, self.last, model, &answer);
        let unplaced = self.sources.unplaced(&answer, metadata);
        if !unplaced.is_empty() {
            self.turns.keep("sources", Value::Array(unplaced));
        }
    }

    fn call(&mut self, id: &str, function: &str, said: &str, metadata: &Value) {
        let mut arguments = serde_json::from_str(said).unwrap_or_else(|_| json!({"text": said}));
        each_text(&mut arguments, &mut |text| {
            *text = self.sources.resolve(text, metadata);
        });
        if let Some(document) = document(function, &arguments) {
            self.turns.made(id, self.last, &document);
        }
        self.turns
            .call(program(function), self.last, function, arguments);
    }

    fn tool(&mut self, id: &str, message: &Value, said: &str) {
        let metadata = &message["metadata"];
        let author = text(&message["author"], "name");
        if shows_picture(message) {
            self.turns.made(id, self.last, "[image]");
        }
        // A report is the answer, and no observation.
        let said = match report(message) {
            Some(_) => "",
            None => said,
        };
        // Its author is the tool, or one of its functions.
        let name = program(author);
        if said.trim().is_empty() && !self.turns.awaits(name) {
            return;
        }
        if text(metadata, "async_task_type").contains("research") {
            self.turns
                .made(id, self.last, &self.sources.resolve(said, metadata));
        }
        let failed = text(&message["content"], "content_type") == "system_error"
            || text(&metadata["aggregate_result"], "status") == "failed";
        let observed = self.sources.resolve(said, metadata);
        self.turns.observation(name, self.last, &observed, !failed);
    }
}

/// Returns the tool that a function belongs to.
fn program(function: &str) -> &str {
    function.split('.').next().unwrap_or(function)
}

/// Changes each text within a value.
fn each_text(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(all) => all.iter_mut().for_each(|value| each_text(value, change)),
        Value::Object(all) => all.values_mut().for_each(|value| each_text(value, change)),
        _ => {}
    }
}
