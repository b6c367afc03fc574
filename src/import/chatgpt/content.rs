//! What a message of ChatGPT says, as text, whatever its kind of content.

use serde_json::{Map, Value};

use crate::import::files::text;

/// Returns what a message says, as text.
pub fn said(message: &Value) -> String {
    let content = &message["content"];
    let lines = match text(content, "content_type") {
        "thoughts" => list(&content["thoughts"]).map(part).collect(),
        "tether_quote" | "sonic_webpage" => {
            vec![source(content), first(content, &["text", "snippet"])]
        }
        "tether_browsing_display" => vec![first(content, &["result", "summary"])],
        "computer_output" => vec![source(&content["state"]), part(&content["screenshot"])],
        "execution_output" => vec![first(content, &["text"]), pictures(&message["metadata"])],
        _ if content["parts"].is_array() => parts(&content["parts"]),
        _ if content.is_string() => vec![content.as_str().unwrap_or_default().to_owned()],
        _ => vec![first(content, &["text", "content", "result", "output_str"])],
    };
    joined(lines, "\n")
}

fn parts(parts: &Value) -> Vec<String> {
    let kind = |part: &Value| text(part, "content_type").to_owned();
    // What was spoken is there as text and as sound.
    let is_transcribed = list(parts).any(|part| kind(part) == "audio_transcription");
    let said = list(parts).filter(|part| {
        let kind = kind(part);
        let is_sound = kind.contains("audio") && kind != "audio_transcription";
        !(is_sound && is_transcribed && !shows_video(part))
    });
    said.map(part).collect()
}

fn part(part: &Value) -> String {
    if let Some(text) = part.as_str() {
        return text.to_owned();
    }
    match text(part, "content_type") {
        "audio_transcription" => text(part, "text").to_owned(),
        kind if kind.contains("video") && shows_video(part) => "[video]".to_owned(),
        kind if kind.contains("audio") => "[audio]".to_owned(),
        kind if kind.contains("image") => "[image]".to_owned(),
        _ if !text(part, "asset_pointer").is_empty() => "[file]".to_owned(),
        _ => joined(
            ["summary", "content", "text"].map(|name| text(part, name).to_owned()),
            ": ",
        ),
    }
}

/// Returns whether something seen belongs to what was heard: a call has a place for it in any case.
fn shows_video(part: &Value) -> bool {
    let kind = text(part, "content_type");
    let has_pictures = list(&part["frames_asset_pointers"]).next().is_some();
    kind.contains("video")
        && (!kind.contains("audio")
            || part["video_container_asset_pointer"].is_string()
            || has_pictures)
}

/// Returns the pictures that a program drew.
fn pictures(metadata: &Value) -> String {
    let drawn = list(&metadata["aggregate_result"]["messages"]);
    let drawn = drawn.filter(|message| text(message, "message_type") == "image");
    joined(drawn.map(|_| "[image]".to_owned()), "\n")
}

/// Returns a page's title and address.
fn source(page: &Value) -> String {
    joined(
        [
            first(page, &["title", "domain"]),
            text(page, "url").to_owned(),
        ],
        " ",
    )
}

/// Returns whether a message holds a picture.
pub fn shows_picture(message: &Value) -> bool {
    let is_picture = |part: &Value| text(part, "content_type").contains("image");
    list(&message["content"]["parts"]).any(is_picture) || !pictures(&message["metadata"]).is_empty()
}

/// Returns the names of the files that were attached to a message.
pub fn attached(message: &Value) -> impl Iterator<Item = String> {
    let files = list(&message["metadata"]["attachments"]);
    files.map(|file| format!("[file: {}]", first(file, &["name", "file_name", "id"])))
}

/// Returns the custom instructions, or what is remembered of the user, that a message brings, if it does.
pub fn instructions(message: &Value) -> Option<Map<String, Value>> {
    let (content, metadata) = (&message["content"], &message["metadata"]);
    let all = match text(content, "content_type") {
        "user_editable_context" => pick(content, &["user_profile", "user_instructions"]),
        "model_editable_context" => pick(content, &["model_set_context"]),
        _ if metadata["is_user_system_message"] != true => return None,
        _ => match &metadata["user_context_message_data"] {
            Value::Object(all) => all.clone(),
            _ => Map::from_iter([("user_instructions".to_owned(), said(message).into())]),
        },
    };
    let blank = |value: &Value| {
        value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
    };
    Some(all.into_iter().filter(|(_, value)| !blank(value)).collect())
}

fn pick(value: &Value, names: &[&str]) -> Map<String, Value> {
    let named = names
        .iter()
        .map(|name| ((*name).to_owned(), value[*name].clone()));
    named.collect()
}

/// Returns the report of a research that a message carries: the message that it is.
///
/// It lies in the state of a widget, which is JSON text in the metadata or in what a tool says; older ones are what a tool says.
pub fn report(message: &Value) -> Option<Value> {
    fn find(value: &Value) -> Option<Value> {
        match value {
            Value::Object(all) => match all.get("report_message") {
                Some(report) if !said(report).trim().is_empty() => Some(report.clone()),
                _ => all.values().find_map(find),
            },
            Value::Array(all) => all.iter().find_map(find),
            Value::String(text) if text.contains("report_message") => {
                let state = &text[text.find('{')?..];
                let state = serde_json::Deserializer::from_str(state)
                    .into_iter()
                    .next()?;
                find(&state.ok()?)
            }
            _ => None,
        }
    }
    let is_tools = text(&message["author"], "role") == "tool";
    if is_tools && message["metadata"]["is_async_task_result_message"] == true {
        return Some(message.clone()).filter(|report| !said(report).trim().is_empty());
    }
    find(&message["metadata"]).or_else(|| find(&message["content"]))
}

/// Returns the text of a document that a call writes.
pub fn document(function: &str, arguments: &Value) -> Option<String> {
    match function {
        "canmore.create_textdoc" => arguments["content"].as_str().map(str::to_owned),
        // Only what replaces the whole is a text of its own.
        "canmore.update_textdoc" => {
            let mut updates = list(&arguments["updates"]);
            let whole = updates.find(|update| text(update, "pattern") == ".*")?;
            whole["replacement"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// Returns the first member that is text and not empty.
fn first(value: &Value, names: &[&str]) -> String {
    let mut texts = names.iter().map(|name| text(value, name));
    texts
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn joined(texts: impl IntoIterator<Item = String>, with: &str) -> String {
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join(with)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
