//! Tells what a person typed from what the program put around it, or says in the user's name.

use serde_json::Value;

use crate::import::files::text;

/// What stands before and after the contents of files that a question names.
const QUOTED: [&str; 2] = [
    "\n--- Content from referenced files ---",
    "\n--- Content from referenced context ---",
];
const QUOTED_END: &str = "\n--- End of content ---";
/// How messages begin that the program writes in the user's name.
const PROGRAM: [&str; 8] = [
    "<session_context>",
    "<hook_context>",
    "<state_snapshot>",
    "<background_output",
    "This is the Gemini CLI. We are setting up the context for our chat.",
    "Here is the user's editor context as a JSON object.",
    "Here is a summary of changes in the user's editor context",
    "System: Potential loop detected.",
];

/// Is what stands in the user's name.
pub enum Said {
    /// What was typed, and what was put around it.
    Words(String, Vec<String>),
    Program(&'static str),
    /// What came of calls.
    Results,
}

/// Reads a message in the user's name.
pub fn said(message: &Value) -> Said {
    let content = &message["content"];
    let parts = match content {
        Value::Array(parts) => &parts[..],
        part => std::slice::from_ref(part),
    };
    // The program puts what it says before or after what was typed, each in a part of its own.
    let (mut context, mut all) = (Vec::new(), String::new());
    for words in parts.iter().map(words) {
        match is_program(&words) {
            true => context.push(words.trim().to_owned()),
            false => all.push_str(&words),
        }
    }
    let shown = words(&message["displayContent"]);
    let typed = match shown.trim() {
        "" => without_quotes(&all, &mut context),
        shown => {
            // What was sent has what was typed, and more; or what a command of the user stands for.
            context.push(match all.split_once(shown) {
                Some((before, after)) => format!("{}\n{}", before.trim(), after.trim())
                    .trim()
                    .to_owned(),
                None => all.clone(),
            });
            shown.to_owned()
        }
    };
    context.retain(|text| !text.trim().is_empty());
    let is_result = |part: &Value| part.get("functionResponse").is_some();
    match typed.trim() {
        "" if parts.iter().any(is_result) => Said::Results,
        "" if context.is_empty() => Said::Program("empty"),
        "" => Said::Program("said by the program"),
        typed => Said::Words(typed.to_owned(), context),
    }
}

fn is_program(words: &str) -> bool {
    let words = words.trim_start();
    PROGRAM.iter().any(|begin| words.starts_with(begin))
}

/// Takes the contents of files out of a question.
fn without_quotes(all: &str, context: &mut Vec<String>) -> String {
    let begin = QUOTED.iter().filter_map(|mark| all.find(mark)).min();
    let Some(begin) = begin else {
        return all.to_owned();
    };
    let (typed, quoted) = all.split_at(begin);
    let (quoted, rest) = quoted.rsplit_once(QUOTED_END).unwrap_or((quoted, ""));
    context.push(quoted.trim().to_owned());
    format!("{typed}{rest}")
}

/// Returns the texts of a content: text, a part, or parts. What is no text is named.
pub fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(words).collect(),
        Value::Object(_) if content["thought"] == true => String::new(),
        Value::Object(part) => {
            let kind = |data: &Value| text(data, "mimeType").split('/').next().map(str::to_owned);
            let data = part.get("inlineData").or(part.get("fileData"));
            match data.and_then(kind) {
                Some(kind) if kind.is_empty() => "\n[file]".to_owned(),
                Some(kind) => format!("\n[{kind}]"),
                None => text(content, "text").to_owned(),
            }
        }
        _ => String::new(),
    }
}

/// Returns whether a line is a command of the program, and no path.
pub fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let Some(command) = words.next().and_then(|word| word.strip_prefix('/')) else {
        return line.trim() == "?";
    };
    let is_letter = |letter: char| letter.is_alphanumeric() || "-_:?".contains(letter);
    !command.is_empty() && command.chars().all(is_letter)
}
