//! claude.ai's data export: each conversation is a tree of messages, edited ones and new attempts included, of which the branch is
//! read that was shown.

use std::collections::HashMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::data_export::{NOT_SHOWN, Node, aside, id, link, not_shown, shown};
use super::files::{text, time};
use super::turns::{Conversation, Turns};
use super::{Item, Take};

pub const NAME: &str = "claude";

/// Reads a conversation.
pub fn conversation(value: &Value, place: &str, take: &mut Take<'_>) -> Result<()> {
    let Some(messages) = value["chat_messages"].as_array() else {
        let why = "it has no messages".to_owned();
        return take(NAME, Item::Broken(place.to_owned(), why));
    };
    let Some(first) = messages.first() else {
        let why = "conversation without messages".to_owned();
        return take(NAME, Item::Skipped(why));
    };
    let id = id(value, &["uuid", "id"], "created_at", first, &said(first));
    let nodes = nodes(messages);
    let current = text(value, "current_leaf_message_uuid");
    let named = |message: &Value| !current.is_empty() && text(message, "uuid") == current;
    let branch = shown(&nodes, messages.iter().position(named));
    let conversation = Conversation {
        id,
        title: text(value, "name").to_owned(),
        metadata: not_shown(messages.len() - branch.len()),
        ..Conversation::default()
    };
    let mut reader = Reader {
        turns: Turns::new(conversation, "anthropic"),
        model: text(value, "model"),
        last: time(&value["created_at"]).unwrap_or_default(),
        open: Vec::new(),
    };
    for &at in &branch {
        reader.read(at, &messages[at]);
    }
    for turn in reader.turns.finish() {
        take(NAME, turn.into())?;
    }
    let unshown = aside(&nodes, &branch).filter(|&at| is_users(&messages[at]));
    unshown
        .map(|_| Item::LeftOut(NOT_SHOWN.to_owned()))
        .try_for_each(|item| take(NAME, item))
}

/// Returns the tree of messages, which are in the order of their making.
///
/// A question may follow nothing, which is said in several ways. What follows a message that is not there follows the one before it.
fn nodes(messages: &[Value]) -> Vec<Node> {
    let mut places = HashMap::new();
    let mut named = HashMap::new();
    for (at, message) in messages.iter().enumerate() {
        places.entry(text(message, "uuid")).or_insert(at);
        *named
            .entry(text(message, "parent_message_uuid"))
            .or_insert(0) += 1;
    }
    places.remove("");
    let is_tree = named.keys().any(|parent| places.contains_key(parent));
    let node = |(at, message): (usize, &Value)| {
        let parent = text(message, "parent_message_uuid");
        let is_said = message.get("parent_message_uuid").is_some();
        let is_none = parent.is_empty() || parent.starts_with("00000000-") || named[parent] > 1;
        let parent = match places.get(parent) {
            Some(parent) => Some(*parent),
            None if !is_tree || (is_said && is_none && is_users(message)) => None,
            None => at.checked_sub(1),
        };
        Node {
            parent,
            time: time(&message["created_at"]),
        }
    };
    messages.iter().enumerate().map(node).collect()
}

fn is_users(message: &Value) -> bool {
    matches!(text(message, "sender"), "human" | "user")
}

/// Puts the messages of a branch together.
struct Reader<'v> {
    turns: Turns,
    model: &'v str,
    /// When something was said last: not every message has a time.
    last: DateTime<Utc>,
    /// The calls without a result: the name of the tool, and what the call is named.
    open: Vec<(String, String)>,
}

impl Reader<'_> {
    fn read(&mut self, at: usize, message: &Value) {
        let id = match text(message, "uuid") {
            "" => format!("{at}"),
            id => id.to_owned(),
        };
        self.last = time(&message["created_at"]).unwrap_or(self.last);
        if is_users(message) {
            self.open.clear();
            self.turns.user(&id, self.last, &said(message));
            return;
        }
        let blocks = message["content"].as_array();
        let Some(blocks) = blocks.filter(|blocks| !blocks.is_empty()) else {
            self.turns
                .answer(&id, self.last, self.model, text(message, "text"));
            return;
        };
        for (at, block) in blocks.iter().enumerate() {
            self.block(&id, at, block);
        }
    }

    fn block(&mut self, id: &str, at: usize, block: &Value) {
        let begun = time(&block["start_timestamp"]).unwrap_or(self.last);
        match text(block, "type") {
            "text" if !text(block, "text").is_empty() => {
                self.turns.answer(id, begun, self.model, &cited(block));
            }
            "thinking" => self.turns.thought(id, begun, &thought(block)),
            "tool_use" => {
                let (name, input) = (text(block, "name"), block["input"].clone());
                let call = match text(block, "id") {
                    "" => format!("{id}/{at}"),
                    id => id.to_owned(),
                };
                // Only what is there as a whole is a text of its own.
                if name == "artifacts" {
                    self.turns.made(id, begun, text(&input, "content"));
                }
                self.turns.call(&call, begun, name, input);
                self.open.push((name.to_owned(), call));
            }
            "tool_result" => {
                let call = self.answered(block).unwrap_or_else(|| format!("{id}/{at}"));
                let observed = super::claude_code::result(&block["content"]);
                let success = block["is_error"] != true;
                self.turns.observation(&call, begun, &observed, success);
            }
            "image" => self.turns.answer(id, begun, self.model, "[image]"),
            // A note that is read out, a warning: whatever has a text was shown.
            _ if text(block, "text").is_empty() => {}
            _ => self
                .turns
                .answer(id, begun, self.model, text(block, "text")),
        }
    }

    /// Returns the call that a result belongs to: the one that it names, or the first that waits for one of its tool.
    fn answered(&mut self, result: &Value) -> Option<String> {
        let (id, name) = (text(result, "tool_use_id"), text(result, "name"));
        let names = |call: &(String, String)| match id {
            "" => name.is_empty() || call.0 == name,
            id => call.1 == id,
        };
        match self.open.iter().position(names) {
            Some(at) => Some(self.open.remove(at).1),
            None if id.is_empty() => (!self.open.is_empty()).then(|| self.open.remove(0).1),
            None => Some(id.to_owned()),
        }
    }
}

/// Returns what a person said, with the texts of what was attached.
fn said(message: &Value) -> String {
    let blocks = message["content"].as_array().into_iter().flatten();
    let blocks = blocks.map(|block| match text(block, "type") {
        "image" => "[image]",
        _ => text(block, "text"),
    });
    let blocks: Vec<&str> = blocks.filter(|text| !text.is_empty()).collect();
    let mut said = match blocks.join("\n") {
        empty if empty.trim().is_empty() => text(message, "text").to_owned(),
        blocks => blocks,
    };
    for attachment in message["attachments"].as_array().into_iter().flatten() {
        let content = text(attachment, "extracted_content");
        said.push_str(&format!("\n\n[file: {}]\n{content}", name(attachment)));
    }
    let files = ["files", "files_v2"].map(|files| &message[files]);
    let files = files.into_iter().find(|files| files[0].is_object());
    for file in files.and_then(Value::as_array).into_iter().flatten() {
        said.push_str(&format!("\n\n[file: {}]", name(file)));
    }
    said
}

/// Returns the name of a file, or what else there is to know of it.
fn name(file: &Value) -> &str {
    let names = ["file_name", "name", "file_kind", "file_type"].map(|name| text(file, name));
    names
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

/// Returns what was thought, or what was shown of it.
fn thought(block: &Value) -> String {
    let thought = text(block, "thinking");
    if !thought.trim().is_empty() {
        return thought.to_owned();
    }
    let summaries = block["summaries"].as_array().into_iter().flatten();
    let summaries: Vec<&str> = summaries.map(|summary| text(summary, "summary")).collect();
    summaries.join("\n")
}

/// Returns a text with links to its sources where it cites them.
fn cited(block: &Value) -> String {
    let said = text(block, "text");
    let places: Vec<usize> = said.char_indices().map(|(at, _)| at).collect();
    let citation = |citation: &Value| {
        let of = [
            &citation["details"],
            &citation["metadata"],
            &citation["sources"][0],
        ];
        let all = std::iter::once(citation).chain(of);
        let first = |name: &str| {
            let mut texts = all.clone().map(|value| text(value, name));
            texts.find(|text| !text.trim().is_empty())
        };
        let url =
            first("url").filter(|url| url.starts_with("http://") || url.starts_with("https://"))?;
        let end = ["end_index", "end_char_index"]
            .iter()
            .find_map(|name| citation[*name].as_u64());
        let end = end.and_then(|end| places.get(usize::try_from(end).ok()?).copied());
        // A word is not cut, however its letters were counted.
        let rest = &said[end.unwrap_or(said.len())..];
        let word = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        Some((
            said.len() - rest.len() + word,
            link(first("title").unwrap_or(url), url),
        ))
    };
    let citations = block["citations"].as_array().into_iter().flatten();
    let mut links: Vec<(usize, String)> = citations.filter_map(citation).collect();
    links.sort_by_key(|(place, _)| *place);
    links.dedup();
    let (mut cited, mut done) = (String::with_capacity(said.len()), 0);
    for (place, link) in links {
        cited.push_str(&said[done..place]);
        cited.push_str(&format!(" ({link})"));
        done = place;
    }
    cited.push_str(&said[done..]);
    cited
}
