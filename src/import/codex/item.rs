//! What goes between the program and the model: messages, thoughts, calls and what came of them.

use serde_json::Value;

use crate::import::files::text;

/// Returns whether an item is a message in the user's name.
pub fn is_users(item: &Value) -> bool {
    text(item, "type") == "message" && text(item, "role") == "user"
}

/// Returns whether an item is a message of the model.
pub fn is_answer(item: &Value) -> bool {
    text(item, "type") == "message" && text(item, "role") == "assistant"
}

/// Returns whether an item is a call of a tool.
pub fn is_call(item: &Value) -> bool {
    text(item, "type").ends_with("_call")
}

/// Returns what an agent was told by another; the program may keep it from us.
pub fn handed(item: &Value) -> String {
    let blocks = item["content"].as_array().into_iter().flatten();
    let said = blocks.filter_map(|block| match text(block, "type") {
        "encrypted_content" => {
            let said = text(block, "encrypted_content");
            said.contains(' ').then_some(said)
        }
        _ => Some(text(block, "text")),
    });
    let said = said.collect::<Vec<&str>>().join("\n");
    let payload = said
        .split_once("Payload:")
        .map(|(_, payload)| payload.trim());
    let payload = payload.filter(|payload| !payload.is_empty());
    payload.unwrap_or(said.trim()).to_owned()
}

/// Returns the id of a call.
pub fn called(item: &Value) -> &str {
    match text(item, "call_id") {
        "" => text(item, "id"),
        call => call,
    }
}

/// Returns what the model thought, or the summary of it.
pub fn thought(item: &Value) -> String {
    let whole = texts(&item["content"]);
    match whole.is_empty() {
        true => texts(&item["summary"]),
        false => whole,
    }
}

/// Returns whether a block is a picture.
pub fn is_picture(block: &Value) -> bool {
    matches!(text(block, "type"), "input_image" | "image" | "local_image")
}

/// Returns the texts of a message's or a thought's blocks.
pub fn texts(blocks: &Value) -> String {
    if let Some(text) = blocks.as_str() {
        return text.to_owned();
    }
    let blocks = blocks.as_array().into_iter().flatten();
    let block = |block: &Value| match is_picture(block) {
        true => "[image]".to_owned(),
        false => text(block, "text").to_owned(),
    };
    let blocks: Vec<String> = blocks.map(block).filter(|text| !text.is_empty()).collect();
    blocks.join("\n\n")
}

/// Returns what came of a call, and whether it went well. Outputs are text, JSON in a text, an object or blocks.
pub fn output(output: &Value) -> (String, bool) {
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
