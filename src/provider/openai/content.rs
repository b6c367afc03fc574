//! The content of a message: a text, or a list of parts, each of a kind of its own.

use serde_json::Value;

/// Is a piece of what a message holds.
#[derive(Debug, PartialEq)]
pub enum Part<'v> {
    Text(String),
    Thought(String),
    /// What the model says where it declines.
    Refusal(String),
    /// A call that stands among the texts.
    Call(&'v Value),
}

/// Returns the pieces of a content, in order and none of them empty.
pub fn parts(content: &Value) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    read(content, false, &mut parts);
    parts
}

/// Returns all text of a value, whatever it is wrapped in.
pub fn text(value: &Value) -> String {
    let text = |part| match part {
        Part::Text(text) | Part::Thought(text) | Part::Refusal(text) => text,
        Part::Call(_) => String::new(),
    };
    parts(value).into_iter().map(text).collect()
}

fn read<'v>(value: &'v Value, thinks: bool, parts: &mut Vec<Part<'v>>) {
    match value {
        Value::String(text) if text.is_empty() => {}
        Value::String(text) if thinks => parts.push(Part::Thought(text.clone())),
        Value::String(text) => parts.push(Part::Text(text.clone())),
        Value::Array(list) => {
            for part in list {
                read(part, thinks, parts);
            }
        }
        Value::Object(fields) => {
            let kind = fields.get("type").and_then(Value::as_str);
            let kind = kind.unwrap_or_default();
            if matches!(kind, "tool_use" | "tool_call" | "function_call") {
                return parts.push(Part::Call(value));
            }
            if let Some(Value::String(refusal)) = fields.get("refusal") {
                return parts.push(Part::Refusal(refusal.clone()));
            }
            let thinks = thinks
                || ["think", "reason", "summary"]
                    .iter()
                    .any(|word| kind.contains(word));
            // An unknown part is worth its text, if it has one.
            let names = [
                ("thinking", true),
                ("reasoning", true),
                ("text", thinks),
                ("content", thinks),
                ("summary", true),
                ("value", thinks),
            ];
            let found = names
                .iter()
                .find_map(|(name, thinks)| Some((fields.get(*name)?, *thinks)));
            if let Some((inner, thinks)) = found {
                read(inner, thinks, parts);
            }
        }
        _ => {}
    }
}
