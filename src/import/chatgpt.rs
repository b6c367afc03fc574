//! OpenAI's data export: `conversations.json`, alone, in a folder or in the ZIP archive. Each conversation is a tree of messages, of
//! which the branch is read that was shown last.

use std::path::PathBuf;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::files::{each_conversation, text, time};
use super::turns::{Conversation, Turns};
use super::{Item, Source, Take};

const NAME: &str = "chatgpt";

/// Is a data export of ChatGPT.
pub struct ChatGpt(pub PathBuf);

impl Source for ChatGpt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        each_conversation(&self.0, NAME, take, conversation)
    }
}

fn conversation(value: &Value, place: &str, take: &mut Take<'_>) -> Result<()> {
    let id = match text(value, "conversation_id") {
        "" => text(value, "id"),
        id => id,
    };
    let Some(mapping) = value["mapping"].as_object().filter(|_| !id.is_empty()) else {
        let why = "it has no id or no messages".to_owned();
        return take(NAME, Item::Broken(place.to_owned(), why));
    };
    // From the message that was shown last up to the first one; a damaged tree may go in circles.
    let mut branch = Vec::new();
    let mut at = match text(value, "current_node") {
        "" => deepest(mapping),
        node => node,
    };
    while let Some(node) = mapping.get(at).filter(|_| branch.len() < mapping.len()) {
        branch.push(node);
        at = text(node, "parent");
    }
    if branch.is_empty() {
        return take(
            NAME,
            Item::Skipped("conversation without messages".to_owned()),
        );
    }
    let mut turns = Turns::new(
        Conversation {
            id: id.to_owned(),
            title: text(value, "title").to_owned(),
            ..Conversation::default()
        },
        "openai",
    );
    let mut last = time(&value["create_time"]).unwrap_or_default();
    let model = text(value, "default_model_slug");
    for node in branch.into_iter().rev() {
        let message = &node["message"];
        last = time(&message["create_time"]).unwrap_or(last);
        read(message, text(node, "id"), last, model, &mut turns);
    }
    turns
        .finish()
        .into_iter()
        .try_for_each(|turn| take(NAME, turn.into()))
}

/// Returns the last message, where the export does not say which was shown.
fn deepest(mapping: &serde_json::Map<String, Value>) -> &str {
    let leaf = |node: &&Value| node["children"].as_array().is_none_or(Vec::is_empty);
    let leaves = mapping.values().filter(leaf);
    let when = |node: &&Value| time(&node["message"]["create_time"]).unwrap_or_default();
    leaves.max_by_key(when).map_or("", |node| text(node, "id"))
}

fn read(message: &Value, node: &str, time: DateTime<Utc>, model: &str, turns: &mut Turns) {
    let said = content(&message["content"]);
    let id = match text(message, "id") {
        "" => node,
        id => id,
    };
    let metadata = &message["metadata"];
    let hidden = metadata["is_visually_hidden_from_conversation"] == true;
    let kind = text(&message["content"], "content_type");
    match text(&message["author"], "role") {
        "user" if hidden || kind == "user_editable_context" => {}
        "user" => {
            let attached = metadata["attachments"].as_array().into_iter().flatten();
            let attached = attached.map(|file| format!("[file: {}]", text(file, "name")));
            let all: Vec<String> = std::iter::once(said).chain(attached).collect();
            turns.user(id, time, all.join("\n").trim());
        }
        "assistant" => match text(message, "recipient") {
            "all" | "" if kind == "thoughts" || kind == "reasoning_recap" => {
                turns.thought(id, time, &said);
            }
            "all" | "" => {
                let model = match text(metadata, "model_slug") {
                    "" => model,
                    slug => slug,
                };
                if !said.trim().is_empty() {
                    turns.answer(id, time, model, &said);
                }
            }
            tool => {
                let arguments =
                    serde_json::from_str(&said).unwrap_or_else(|_| json!({"text": said}));
                turns.call(program(tool), time, tool, arguments);
            }
        },
        "tool" => {
            // Its author is the tool, or one of its functions.
            let name = program(text(&message["author"], "name"));
            turns.observation(name, time, &said, true);
        }
        _ => {}
    }
}

/// Returns the tool that a function belongs to.
fn program(function: &str) -> &str {
    function.split('.').next().unwrap_or(function)
}

/// Returns what a message says, as text.
fn content(content: &Value) -> String {
    let parts = |name: &str| -> String {
        let parts = content[name].as_array().into_iter().flatten();
        let parts: Vec<String> = parts.map(part).filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    };
    match text(content, "content_type") {
        "code" | "execution_output" | "tether_quote" | "reasoning_recap" | "system_error" => {
            let text = match text(content, "text") {
                "" => text(content, "content"),
                text => text,
            };
            text.to_owned()
        }
        "tether_browsing_display" => text(content, "result").to_owned(),
        "thoughts" => parts("thoughts"),
        _ if content["parts"].is_array() => parts("parts"),
        _ => text(content, "text").to_owned(),
    }
}

fn part(part: &Value) -> String {
    if let Some(text) = part.as_str() {
        return text.to_owned();
    }
    match text(part, "content_type") {
        "image_asset_pointer" => "[image]".to_owned(),
        "audio_transcription" => text(part, "text").to_owned(),
        kind if kind.contains("audio") => "[audio]".to_owned(),
        kind if kind.contains("video") => "[video]".to_owned(),
        _ => {
            let said = [
                text(part, "summary"),
                text(part, "content"),
                text(part, "text"),
            ];
            said.into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(": ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_exports_are_read_all_the_same() {
        let seed = r#"[{"id":"c","title":"t","create_time":1.5,"current_node":"b","mapping":{"a":{"id":"a","parent":"","message":{"author":{"role":"user"},"content":{"content_type":"text","parts":["q"]}}},"b":{"id":"b","parent":"a","message":{"author":{"role":"assistant"},"content":{"parts":["r"]}}}}}]"#;
        let read = |text: &str| {
            let mut turns = 0;
            let read = crate::import::files::each_element(text.as_bytes(), &mut |value| {
                conversation(&value, "", &mut |_, item| {
                    turns += usize::from(matches!(item, Item::Turn(_)));
                    Ok(())
                })
            });
            read.map(|()| turns)
        };
        assert_eq!(read(seed).unwrap(), 1);
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
