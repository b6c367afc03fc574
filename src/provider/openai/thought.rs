//! What a model thinks, in the fields that servers give it, and what of it goes back with the message.

use serde_json::{Value, json};

use super::content::text;
use crate::conversation::Attached;
use crate::provider::attached::merge;

/// Where the text of a thought is. Servers that fill several of them say the same in each.
const FIELDS: [&str; 4] = [CONTENT, REASONING, "reasoning_text", "thinking"];
const CONTENT: &str = "reasoning_content";
const REASONING: &str = "reasoning";
const EXTRA: &str = "extra_content";
/// Lists that hold it in more detail, signatures included.
const LISTS: [&str; 2] = ["reasoning_details", "thinking_blocks"];
/// What streams in pieces within the details.
const PIECES: [&str; 5] = ["text", "summary", "thinking", "data", "signature"];

/// Collects what is thought in one message.
#[derive(Default)]
pub struct Thought {
    content: Option<String>,
    reasoning: String,
    lists: [Vec<Value>; LISTS.len()],
    extra: Attached,
    /// It is told in a field of its own, so the details say it again.
    has_field: bool,
}

impl Thought {
    /// Takes what a message, or a piece of one, holds of it, and returns what has not been heard.
    pub fn hear(&mut self, message: &Value) -> Vec<String> {
        if let Some(text) = message[CONTENT].as_str() {
            self.content.get_or_insert_default().push_str(text);
        }
        self.reasoning += message[REASONING].as_str().unwrap_or_default();
        let extra = &message[EXTRA];
        // That a piece is a thought is nothing that the whole message goes back with.
        if !extra.is_null() && extra["google"]["thought"] != true {
            merge(&mut self.extra, EXTRA, extra.clone());
        }
        let mut heard: Vec<String> = Vec::new();
        for said in FIELDS.iter().map(|name| text(&message[*name])) {
            if !said.is_empty() && !heard.contains(&said) {
                heard.push(said);
            }
        }
        self.has_field |= !heard.is_empty();
        for (list, name) in self.lists.iter_mut().zip(LISTS) {
            for piece in message[name].as_array().into_iter().flatten() {
                join(list, piece);
                let said = text(&json!([piece["summary"], piece["text"], piece["thinking"]]));
                if !self.has_field && !said.is_empty() {
                    heard.push(said);
                }
            }
        }
        heard
    }

    /// Returns what goes back with the message. Where it calls tools, DeepSeek wants even an empty thought back.
    pub fn attached(self, calls: bool) -> Attached {
        let mut attached = self.extra;
        let content = self.content.filter(|text| calls || !text.is_empty());
        if let Some(text) = content {
            attached.insert(CONTENT.to_owned(), text.into());
        }
        for (name, list) in LISTS.into_iter().zip(self.lists) {
            if !list.is_empty() {
                attached.insert(name.to_owned(), list.into());
            }
        }
        // The others say it again.
        let told = attached.keys().any(|name| name != EXTRA);
        if !told && !self.reasoning.is_empty() {
            attached.insert(REASONING.to_owned(), self.reasoning.into());
        }
        attached
    }
}

/// Puts a piece to the one of a list that it goes on with.
fn join(list: &mut Vec<Value>, piece: &Value) {
    let Value::Object(fields) = piece else {
        return;
    };
    let last = list.len().saturating_sub(1);
    let goes_on = |at: usize, known: &Value| match (&known["index"], &piece["index"]) {
        // What is signed is whole.
        (Value::Null, Value::Null) => {
            at == last && piece["data"].is_null() && text(&known["signature"]).is_empty()
        }
        (known, new) => known == new,
    };
    let mut known = list.iter_mut().enumerate();
    let known = known.rfind(|(at, known)| known["type"] == piece["type"] && goes_on(*at, known));
    let Some((_, Value::Object(known))) = known else {
        list.push(piece.clone());
        return;
    };
    for (name, value) in fields {
        match (known.get_mut(name), value) {
            (Some(Value::String(said)), Value::String(more)) if PIECES.contains(&&**name) => {
                said.push_str(more);
            }
            _ => merge(known, name, value.clone()),
        }
    }
}

/// Gives every message of a model the field that one of them has: DeepSeek takes all with it or none.
pub fn complete(messages: &mut [Value]) {
    if messages
        .iter()
        .all(|message| message.get(CONTENT).is_none())
    {
        return;
    }
    for message in messages {
        if message["role"] == "assistant" && message.get(CONTENT).is_none() {
            message[CONTENT] = json!("");
        }
    }
}
