//! claude.ai's data export: `conversations.json`, alone, in a folder or in the ZIP archive.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use super::files::{each_conversation, text, time};
use super::turns::{Conversation, Turns};
use super::{Item, Source, Take};

const NAME: &str = "claude";

/// Is a data export of claude.ai.
pub struct Claude(pub PathBuf);

impl Source for Claude {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        each_conversation(&self.0, NAME, take, conversation)
    }
}

fn conversation(value: &Value, place: &str, take: &mut Take<'_>) -> Result<()> {
    let id = text(value, "uuid");
    let Some(messages) = value["chat_messages"].as_array().filter(|_| !id.is_empty()) else {
        let why = "it has no id or no messages".to_owned();
        return take(NAME, Item::Broken(place.to_owned(), why));
    };
    if messages.is_empty() {
        return take(
            NAME,
            Item::Skipped("conversation without messages".to_owned()),
        );
    }
    let conversation = Conversation {
        id: id.to_owned(),
        title: text(value, "name").to_owned(),
        ..Conversation::default()
    };
    let mut turns = Turns::new(conversation, "anthropic");
    let mut last = time(&value["created_at"]).unwrap_or_default();
    for message in messages {
        let id = text(message, "uuid");
        last = time(&message["created_at"]).unwrap_or(last);
        if text(message, "sender") == "human" {
            turns.user(id, last, &said(message));
            continue;
        }
        let blocks = message["content"].as_array();
        let Some(blocks) = blocks.filter(|blocks| !blocks.is_empty()) else {
            turns.answer(id, last, "", text(message, "text"));
            continue;
        };
        for (at, block) in blocks.iter().enumerate() {
            let begun = time(&block["start_timestamp"]).unwrap_or(last);
            let call_id = |name: &str, at: usize| match text(block, name) {
                "" => format!("{id}/{at}"),
                id => id.to_owned(),
            };
            match text(block, "type") {
                "text" => turns.answer(id, begun, "", text(block, "text")),
                "thinking" => turns.thought(id, begun, text(block, "thinking")),
                "tool_use" => {
                    let (name, input) = (text(block, "name"), block["input"].clone());
                    turns.call(&call_id("id", at), begun, name, input);
                }
                "tool_result" => {
                    let observed = super::claude_code::result(&block["content"]);
                    // Without an id a result belongs to the call before it.
                    let call = call_id("tool_use_id", at.saturating_sub(1));
                    turns.observation(&call, begun, &observed, block["is_error"] != true);
                }
                _ => {}
            }
        }
    }
    turns
        .finish()
        .into_iter()
        .try_for_each(|turn| take(NAME, turn.into()))
}

/// Returns what a person said, with the texts of what was attached.
fn said(message: &Value) -> String {
    let blocks = message["content"].as_array().into_iter().flatten();
    let blocks = blocks.filter(|block| text(block, "type") == "text");
    let blocks: Vec<&str> = blocks.map(|block| text(block, "text")).collect();
    let mut said = match blocks.join("\n") {
        empty if empty.trim().is_empty() => text(message, "text").to_owned(),
        blocks => blocks,
    };
    for attachment in message["attachments"].as_array().into_iter().flatten() {
        let (name, content) = (
            text(attachment, "file_name"),
            text(attachment, "extracted_content"),
        );
        said.push_str(&format!("\n\n[file: {name}]\n{content}"));
    }
    for file in message["files"].as_array().into_iter().flatten() {
        said.push_str(&format!("\n\n[file: {}]", text(file, "file_name")));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_exports_are_read_all_the_same() {
        let seed = r#"[{"uuid":"c","name":"t","created_at":"2025-03-01T10:00:00Z","chat_messages":[{"uuid":"a","sender":"human","text":"q"},{"uuid":"b","sender":"assistant","content":[{"type":"tool_use","name":"x","input":{}},{"type":"tool_result","content":"o"},{"type":"text","text":"r"}]}]}]"#;
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
