//! The forms in which models write calls as text.

use serde_json::{Map, Value};

use crate::agent::think::{Begins, begins};
use crate::conversation::{ToolCall, ToolSpec};
use crate::provider::{fresh_id, read_arguments};

/// What begins a call wherever a line begins.
pub const OPENERS: [&str; 12] = [
    "<tool_call>",
    "<tool_calls>",
    "<function_call>",
    "<function_calls>",
    "<tools>",
    "<function=",
    "<|tool_call|>",
    "<|tool_calls|>",
    "<|tool_call_begin|>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "[TOOL_CALL]",
];
/// What stands between calls and after them, besides blanks and what begins them.
pub const BETWEEN: [&str; 16] = [
    "</tool_call>",
    "</tool_calls>",
    "</function_call>",
    "</function_calls>",
    "</tools>",
    "</function>",
    "<|/tool_call|>",
    "<|/tool_calls|>",
    "<|tool_call_end|>",
    "<|tool_calls_end|>",
    "[/TOOL_CALLS]",
    "[/TOOL_CALL]",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|im_end|>",
    "</s>",
];
/// What the block of code may be called that a call stands in.
pub const FENCES: [&str; 6] = ["", "json", "tool_call", "tool_calls", "tool_code", "tool"];
/// Where the tool is named.
pub const NAMES: [&str; 8] = [
    "name",
    "function",
    "tool",
    "tool_name",
    "function_name",
    "toolName",
    "action",
    "recipient_name",
];
pub const ARGUMENTS: [&str; 9] = [
    "arguments",
    "parameters",
    "args",
    "params",
    "input",
    "tool_input",
    "action_input",
    "kwargs",
    "toolInput",
];
pub const LISTS: [&str; 3] = ["tool_calls", "function_calls", "tool_uses"];
pub const WRAPPINGS: [&str; 3] = ["function", "function_call", "tool_call"];
/// What else a call may hold.
pub const BESIDE: [&str; 4] = ["id", "type", "index", "call_id"];
/// Returns the tool that is meant by a name with a namespace before it, or marks of a format after it.
pub fn meant(name: &str, tools: &[ToolSpec]) -> Option<String> {
    let known = |name: &str| tools.iter().any(|tool| tool.name == name);
    if known(name) {
        return Some(name.to_owned());
    }
    let name = name.split("<|").next().unwrap_or_default();
    let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let mut parts = name.rsplit(['.', ':', '/']);
    let found = parts.find(|part| known(part.trim()));
    found.map(|part| part.trim().to_owned())
}

/// Reads a text that is nothing but calls of these tools.
pub fn calls(text: &str, tools: &[ToolSpec]) -> Option<Vec<ToolCall>> {
    let mut calls = Vec::new();
    let (mut rest, mut marked) = (text, false);
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ';');
        if let Some(after) = rest.strip_prefix("```") {
            let (name, after) = after.split_once('\n').unwrap_or((after, ""));
            FENCES.contains(&name.trim()).then_some(())?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("<function=") {
            let (name, after) = after.split_once('>')?;
            let (arguments, after) = fields(after, name, tools)?;
            calls.push(call(name, &arguments, tools)?);
            rest = after;
        } else if let Some(mark) = OPENERS
            .iter()
            .chain(&BETWEEN)
            .find(|mark| begins(rest, mark) == Begins::Yes)
        {
            marked = true;
            rest = &rest[mark.len()..];
        } else if rest.starts_with(['{', '[']) {
            let (value, after) = document(rest)?;
            read(&value, tools, marked, &mut calls)?;
            rest = after;
        } else if rest.is_empty() {
            return Some(calls).filter(|calls| !calls.is_empty());
        } else {
            // Mistral writes the name before the arguments.
            let brace = rest.find('{')?;
            let name = rest[..brace].trim().trim_end_matches("[ARGS]");
            let name = name.split("[CALL_ID]").next().unwrap_or_default();
            let (value, after) = document(&rest[brace..])?;
            calls.push(call(name, &value, tools)?);
            rest = after;
        }
    }
}

fn document(text: &str) -> Option<(Value, &str)> {
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = documents.next()?.ok()?;
    Some((value, &text[documents.byte_offset()..]))
}

/// Reads the arguments that follow `<function=NAME>`: JSON, or `<parameter=KEY>` with a value each.
fn fields<'t>(text: &'t str, name: &str, tools: &[ToolSpec]) -> Option<(Value, &'t str)> {
    let mut rest = text.trim_start();
    if rest.starts_with('{') {
        return document(rest);
    }
    let tool = tools
        .iter()
        .find(|tool| Some(&tool.name) == meant(name, tools).as_ref())?;
    let mut fields = Map::new();
    while let Some(after) = rest.strip_prefix("<parameter=") {
        let (key, after) = after.split_once('>')?;
        let (value, after) = after.split_once("</parameter>")?;
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        let is_text = tool.parameters["properties"][key]["type"] == "string";
        let read = serde_json::from_str(value).ok().filter(|_| !is_text);
        fields.insert(key.to_owned(), read.unwrap_or_else(|| value.into()));
        rest = after.trim_start();
    }
    Some((Value::Object(fields), rest))
}

/// Reads a call, or several, in any of the forms that models write.
fn read(value: &Value, tools: &[ToolSpec], marked: bool, calls: &mut Vec<ToolCall>) -> Option<()> {
    let object = match value {
        Value::Array(list) if list.is_empty() => return None,
        Value::Array(list) => {
            return list
                .iter()
                .try_for_each(|value| read(value, tools, marked, calls));
        }
        value => value.as_object()?,
    };
    let only = |names: &[&str]| {
        let mut keys = object.keys().map(String::as_str);
        keys.all(|key| names.contains(&key) || BESIDE.contains(&key))
    };
    let inner = LISTS.iter().chain(&WRAPPINGS).find_map(|name| {
        let value = object.get(*name)?;
        let wraps = value.is_array() || value.is_object() && WRAPPINGS.contains(name);
        wraps.then_some((*name, value))
    });
    if let Some((name, inner)) = inner {
        only(&[name]).then_some(())?;
        return read(inner, tools, marked, calls);
    }
    only(&[&NAMES[..], &ARGUMENTS].concat()).then_some(())?;
    let name = NAMES.iter().find_map(|name| object.get(*name)?.as_str())?;
    let arguments = ARGUMENTS.iter().find_map(|name| object.get(*name));
    // A name alone may be anything.
    (marked || arguments.is_some()).then_some(())?;
    calls.push(call(name, arguments.unwrap_or(&Value::Null), tools)?);
    Some(())
}

fn call(name: &str, arguments: &Value, tools: &[ToolSpec]) -> Option<ToolCall> {
    let arguments = match arguments {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) => read_arguments(text),
        value => value.clone(),
    };
    // What describes a tool is no call of it.
    let describes = arguments["type"] == "object" && arguments["properties"].is_object();
    (arguments.is_object() && !describes).then_some(())?;
    Some(ToolCall {
        id: fresh_id(),
        name: meant(name, tools)?,
        arguments,
        ..ToolCall::default()
    })
}
