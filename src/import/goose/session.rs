//! One session of goose: what was typed, what the program has written beside it, what came of it.

use std::collections::HashMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Known, NAME};
use crate::import::files::{text, time};
use crate::import::turns::{Conversation, Turns};
use crate::import::{Item, Take};

/// Hands over the turns of a session.
pub fn session(
    id: &str,
    about: &Value,
    messages: Vec<Value>,
    known: &mut Known,
    take: &mut Take<'_>,
) -> Result<()> {
    let mut metadata = Map::new();
    for (name, column) in [("folder", "working_dir"), ("kind", "session_type")] {
        if !matches!(text(about, column), "" | "user") {
            metadata.insert(name.to_owned(), about[column].clone());
        }
    }
    // Goose counts the tokens of a session, and not of its turns.
    let tokens = ["input_tokens", "output_tokens"].map(|name| {
        let count = about[format!("accumulated_{name}")].as_u64();
        Some((name.to_owned(), json!(count?)))
    });
    let tokens: Map<String, Value> = tokens.into_iter().flatten().collect();
    if !tokens.is_empty() {
        metadata.insert("tokens".to_owned(), Value::Object(tokens));
    }
    let title = [text(about, "name"), text(about, "description")];
    let title = title.into_iter().find(|title| !title.is_empty());
    let conversation = Conversation {
        id: id.to_owned(),
        title: title.unwrap_or_default().to_owned(),
        metadata,
        ..Conversation::default()
    };
    let mut reading = Reading {
        turns: Turns::new(conversation, ""),
        id: id.to_owned(),
        model: text(about, "model").to_owned(),
        provider: text(about, "provider").to_owned(),
        last: time(&about["created_at"]).unwrap_or_default(),
        asked: String::new(),
        is_compacted: false,
        is_copied: false,
        counts: HashMap::new(),
        items: Vec::new(),
    };
    for message in &messages {
        reading.message(message, known);
    }
    let Reading { turns, items, .. } = reading;
    for turn in turns.finish() {
        take(NAME, turn.into())?;
    }
    items.into_iter().try_for_each(|item| take(NAME, item))
}

/// Returns whether a message has something that the user typed.
pub fn is_typed(message: &Value) -> bool {
    text(message, "role") == "user" && !is_hidden(message) && !said(message).0.is_empty()
}

/// Returns whether only the model saw a message: the program has written it.
fn is_hidden(message: &Value) -> bool {
    let about = &message["metadata"];
    about["userVisible"] == false && about["agentVisible"] != false
}

/// Returns what a message says, and what was put beside it for the model.
fn said(message: &Value) -> (String, Vec<String>) {
    let (mut said, mut beside) = (Vec::new(), Vec::new());
    for block in blocks(message) {
        let words = match kind(block) {
            "text" => text(block, "text").trim().to_owned(),
            "image" => "[image]".to_owned(),
            _ => continue,
        };
        match for_model(block) {
            true => beside.push(words),
            false => said.push(words),
        }
    }
    said.retain(|words| !words.is_empty());
    (said.join("\n\n"), beside)
}

fn blocks(message: &Value) -> &[Value] {
    message["content"].as_array().map_or(&[], Vec::as_slice)
}

/// Returns what a block is; the first versions, in Python, named them otherwise.
fn kind(block: &Value) -> &str {
    match text(block, "type") {
        "Text" => "text",
        "ToolUse" => "toolRequest",
        "ToolResult" => "toolResponse",
        kind => kind,
    }
}

/// Returns whether a block is for the model alone.
fn for_model(block: &Value) -> bool {
    let audience = block["annotations"]["audience"].as_array();
    audience.is_some_and(|audience| !audience.is_empty() && !audience.contains(&json!("user")))
}

struct Reading {
    turns: Turns,
    id: String,
    model: String,
    provider: String,
    last: DateTime<Utc>,
    /// What was asked last.
    asked: String,
    /// Whether the conversation was summed up since: the program repeats the question then.
    is_compacted: bool,
    /// Whether the turn is one of another session.
    is_copied: bool,
    /// How many questions there were at a time, in seconds.
    counts: HashMap<i64, usize>,
    items: Vec<Item>,
}

impl Reading {
    fn message(&mut self, message: &Value, known: &mut Known) {
        self.last = time(&message["created"]).unwrap_or(self.last);
        if text(message, "role") == "user" {
            self.user(message, known);
        }
        if self.is_copied || is_hidden(message) {
            return;
        }
        for block in blocks(message) {
            self.block(block, text(message, "role"));
        }
    }

    fn user(&mut self, message: &Value, known: &mut Known) {
        if is_hidden(message) {
            self.is_compacted = true;
            return self.skip("said by the program");
        }
        let (said, beside) = said(message);
        if said.is_empty() {
            let is_result = |block: &Value| kind(block) == "toolResponse";
            return self.skip(match blocks(message).iter().any(is_result) {
                true => "result of a call",
                false => "said by the program",
            });
        }
        if std::mem::take(&mut self.is_compacted) && said == self.asked {
            return self.skip("repeated by the program");
        }
        // Ids that goose gave are unlike all others.
        let message_id = text(message, "id");
        if message_id.starts_with("msg_") {
            let first = known.messages.entry(message_id.to_owned());
            self.is_copied = *first.or_insert_with(|| self.id.clone()) != self.id;
        } else {
            self.is_copied = false;
        }
        if self.is_copied {
            return self
                .items
                .push(Item::LeftOut("copied from another session".to_owned()));
        }
        // The older files have no ids, and goose makes some up when it puts them into the database.
        let seconds = self.last.timestamp();
        let count = self.counts.entry(seconds).or_default();
        let id = format!("{}/{seconds}/{count}", self.id);
        *count += 1;
        self.turns.user(&id, self.last, &said);
        self.turns.provider(&self.provider);
        self.turns.keep("context", beside);
        self.asked = said;
    }

    fn skip(&mut self, why: &str) {
        self.items.push(Item::Skipped(why.to_owned()));
    }

    fn block(&mut self, block: &Value, role: &str) {
        let id = text(block, "id");
        match kind(block) {
            "text" if role == "assistant" && !for_model(block) => {
                let id = format!("{}/{}", self.id, self.last.timestamp());
                let model = self.model.clone();
                self.turns
                    .answer(&id, self.last, &model, text(block, "text"));
            }
            "thinking" | "reasoning" => {
                let thought = [text(block, "thinking"), text(block, "text")].concat();
                self.turns.thought(&self.id, self.last, &thought);
            }
            "toolRequest" | "frontendToolRequest" => {
                let call = &block["toolCall"];
                let (name, arguments) = match call.get("value") {
                    Some(call) => (text(call, "name"), call["arguments"].clone()),
                    None => (text(block, "name"), block["parameters"].clone()),
                };
                self.turns.call(id, self.last, name, arguments);
                let error = text(call, "error");
                if !error.is_empty() {
                    self.turns.observation(id, self.last, error, false);
                }
            }
            "toolResponse" => {
                let (told, success) = outcome(block);
                let id = if id.is_empty() {
                    text(block, "tool_use_id")
                } else {
                    id
                };
                self.turns.observation(id, self.last, &told, success);
            }
            "error" | "systemNotification" => {
                let notice = [text(block, "message"), text(block, "msg")].concat();
                self.turns.keep("notices", vec![notice]);
            }
            _ => {}
        }
    }
}

/// Returns what came of a call, and whether it went well.
fn outcome(block: &Value) -> (String, bool) {
    let result = &block["toolResult"];
    let value = &result["value"];
    let blocks = value.as_array().or(value["content"].as_array());
    let Some(blocks) = blocks else {
        let told = [&result["error"], &block["output"]];
        let told = told.into_iter().find_map(Value::as_str).unwrap_or_default();
        let failed = text(result, "status") == "error" || block["is_error"] == true;
        return (told.to_owned(), !failed);
    };
    // The same may be there once for the model and once for the user.
    let mut told: Vec<&str> = Vec::new();
    for block in blocks {
        let words = match text(block, "type") {
            "image" => "[image]",
            "resource" => text(&block["resource"], "text"),
            _ => text(block, "text"),
        };
        if !words.is_empty() && !told.contains(&words) {
            told.push(words);
        }
    }
    (told.join("\n\n"), value["isError"] != true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_sessions_are_read_all_the_same() {
        let seed = r#"[{"role":"user","created":1742933180,"content":[{"type":"text","text":"q"}]},
            {"role":"assistant","content":[{"type":"toolRequest","id":"c","toolCall":{"status":"success","value":{"name":"ls"}}}]},
            {"role":"user","content":[{"type":"toolResponse","id":"c","toolResult":{"value":[{"type":"text","text":"r"}]}}]},
            {"role":"user","content":[{"type":"text","text":"s"}],"metadata":{"userVisible":false}}]"#;
        let read = |text: &str| {
            let messages = serde_json::from_str(text).unwrap_or_default();
            let mut items = Vec::new();
            let mut take = |_, item| {
                items.push(item);
                Ok(())
            };
            let about = json!({"name": "n"});
            session("s", &about, messages, &mut Known::default(), &mut take).unwrap();
            items
        };
        assert_eq!(read(seed).len(), 3);
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
