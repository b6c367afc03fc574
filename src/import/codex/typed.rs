//! What a person typed, and what editors, apps and the program put around it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::item::is_picture;
use crate::import::files::text;

/// The elements that are put before or after what was typed.
const ELEMENTS: [&str; 32] = [
    "agents_md",
    "app-context",
    "apps_instructions",
    "codex_internal_context",
    "collaboration_mode",
    "context_window",
    "developer_instructions",
    "environment_context",
    "goal_context",
    "hook_context",
    "hook_prompt",
    "ide_context",
    "ide_diagnostics",
    "ide_opened_file",
    "ide_selection",
    "image",
    "in-app-browser-context",
    "instructions",
    "model_switch",
    "multi_agent_mode",
    "permissions",
    "personality_spec",
    "plugins_instructions",
    "recommended_plugins",
    "skill",
    "skills_instructions",
    "subagent_notification",
    "system-reminder",
    "turn_aborted",
    "user_action",
    "user_instructions",
    "user_shell_command",
];
/// How the instructions of a project are put before what was typed.
const INSTRUCTIONS: &str = "# AGENTS.md instructions";
/// How a summary begins that the program writes in the user's name.
const SUMMARY: &str = "Another language model started to solve this problem and produced a summary";
/// How apps begin what they put before a request, where it is neither a heading nor an element.
const AMBIENT: &str = "This block is automatically supplied";

static REQUEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?im)^#{1,3} my request(?: for [^:\n]{1,40})?:")
        .expect("it is a regular expression")
});

/// Is a message in the user's name.
#[derive(Debug, Default, PartialEq)]
pub struct Message {
    /// What was typed, with `[image]` for each picture.
    pub typed: String,
    /// What was put around it.
    pub context: Vec<String>,
}

impl Message {
    /// Reads an event, or an item, of the user.
    pub fn of(value: &Value) -> Message {
        let mut message = split(&words(value));
        for _ in 0..pictures(value) {
            message.typed.push_str("\n[image]");
        }
        message.typed = message.typed.trim().to_owned();
        message
    }
}

/// Returns the words of a message, without its pictures.
pub fn words(value: &Value) -> String {
    if let Some(words) = value["message"].as_str().or(value["content"].as_str()) {
        return words.to_owned();
    }
    let words = content(value).filter(|block| !is_picture(block));
    let words = words.map(|block| text(block, "text"));
    // The program puts a picture between two blocks.
    let words = words.filter(|words| {
        let words = words.trim();
        let opens = words.starts_with("<image") && words.ends_with('>') && !words.contains("</");
        !words.is_empty() && !opens && words != "</image>"
    });
    words.collect::<Vec<&str>>().join("\n\n")
}

fn pictures(value: &Value) -> usize {
    let named = ["images", "local_images"].map(|name| value[name].as_array().map_or(0, Vec::len));
    named.iter().sum::<usize>() + content(value).filter(|block| is_picture(block)).count()
}

fn content(value: &Value) -> impl Iterator<Item = &Value> {
    let item = if value["item"].is_object() {
        &value["item"]
    } else {
        value
    };
    item["content"].as_array().into_iter().flatten()
}

/// Says who wrote an item that is in the user's name.
#[derive(Debug, PartialEq)]
pub enum By {
    User,
    Program,
    /// Nothing tells, unless events do.
    Unknown,
}

pub fn by_whom(item: &Value) -> By {
    let kinds = &item["internal_chat_message_metadata_passthrough"]["content_item_kinds"];
    let kinds = || {
        kinds
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    };
    if kinds().any(|kind| kind.starts_with("user.")) {
        return By::User;
    }
    let words = words(item);
    let words = words.trim_start();
    // What was cut short has no end.
    let is_open = opening(words).is_some_and(|(name, _)| name.contains('_') && is_put(name));
    let is_named = kinds().any(|kind| kind != "unknown");
    let begins = [INSTRUCTIONS, SUMMARY]
        .iter()
        .any(|mark| words.starts_with(mark));
    match is_named || is_open || begins || Message::of(item).typed.is_empty() {
        true => By::Program,
        false => By::Unknown,
    }
}

/// Returns whether an item is a command that the user ran beside the conversation, and what came of it.
pub fn is_shell(item: &Value) -> bool {
    words(item).trim_start().starts_with("<user_shell_command>")
}

/// Tells what was typed from what was put around it.
fn split(words: &str) -> Message {
    let mut typed = words.trim();
    let mut context = Vec::new();
    let mut has_asked = false;
    loop {
        let (put, rest) = if let Some(end) = leading(typed) {
            typed.split_at(end)
        } else if let Some(start) = trailing(typed) {
            (&typed[start..], &typed[..start])
        } else if let Some((put, rest)) = request(typed).filter(|_| !has_asked) {
            has_asked = true;
            (put, rest)
        } else {
            break;
        };
        if !put.trim().is_empty() {
            context.push(put.trim().to_owned());
        }
        typed = rest.trim();
    }
    Message {
        typed: typed.to_owned(),
        context,
    }
}

/// Returns what an editor or an app put before a request, and the request; files may be sent without one.
fn request(words: &str) -> Option<(&str, &str)> {
    let is_put = words.starts_with(['#', '<']) || words.starts_with(AMBIENT);
    let heading = REQUEST.find(words).filter(|_| is_put)?;
    let asked = &words[heading.end()..];
    (!asked.trim().is_empty()).then_some((&words[..heading.start()], asked))
}

/// Returns where a block ends that was put before what was typed.
fn leading(words: &str) -> Option<usize> {
    let Some(after) = words.strip_prefix(INSTRUCTIONS) else {
        return element(words);
    };
    // They are in an element below their heading.
    let (_, below) = after.split_once('\n')?;
    let below = below.trim_start();
    Some(words.len() - below.len() + element(below)?)
}

fn is_put(name: &str) -> bool {
    ELEMENTS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns how long the element is that a text begins with, if it is one that is put around what was typed.
fn element(words: &str) -> Option<usize> {
    let (name, inner) = opening(words).filter(|(name, _)| is_put(name))?;
    [name, inner].iter().find_map(|name| {
        let closing = format!("</{name}>");
        Some(words.find(&closing)? + closing.len())
    })
}

/// Returns the name of the element that a text begins with, and all that its opening tag holds.
fn opening(words: &str) -> Option<(&str, &str)> {
    let (inner, _) = words.strip_prefix('<')?.split_once('>')?;
    let name = inner.split(char::is_whitespace).next()?;
    Some((name, inner))
}

/// Returns where an element begins that was put, on lines of its own, after what was typed.
fn trailing(words: &str) -> Option<usize> {
    let (_, name) = words.strip_suffix('>')?.rsplit_once("</")?;
    let start = words.rfind(&format!("\n<{name}"))? + 1;
    (element(&words[start..])? == words.len() - start).then_some(start)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(words: &str, typed: &str, blocks: usize) {
        let message = Message::of(&json!({"message": words}));
        assert_eq!(
            (&*message.typed, message.context.len()),
            (typed, blocks),
            "{message:?}"
        );
    }

    #[test]
    fn what_was_typed_is_told_from_what_was_put_around_it() {
        let ide = "# Context from my IDE setup:\n\n## Active file: a.rs\n\n## Open tabs:\n- a.rs: a.rs\n\n";
        check(&format!("{ide}## My request for Codex:\nWhy?\n"), "Why?", 1);
        check(&format!("{ide}## My request for Codex: Why?"), "Why?", 1);
        check(
            "# Files mentioned by the user:\n\n## a.png: /a.png\n\n## My request for Codex:\nWhy?\n",
            "Why?",
            1,
        );
        check(
            "# In app browser:\n- tab\n\n## My request for Codex:\nA\n\n## My request for Codex:\nB",
            "A\n\n## My request for Codex:\nB",
            1,
        );
        check("## My request for Codex:\nWhy?", "Why?", 0);
        let around = "<environment_context>\n<cwd>/</cwd>\n</environment_context>";
        check(&format!("{around}\n\nWhy?"), "Why?", 1);
        check(&format!("Why?\n\n{around}"), "Why?", 1);
        check(
            &format!(
                "{around}\n{ide}## My request for Codex:\nWhy?\n\n<skill>\n<name>a</name>\n</skill>"
            ),
            "Why?",
            3,
        );
        check(
            "# AGENTS.md instructions for /\n\n<INSTRUCTIONS>\nBe kind.\n</INSTRUCTIONS>\n\nWhy?",
            "Why?",
            1,
        );
        check(around, "", 1);
        // What a person writes about such blocks is what he wrote.
        for typed in [
            "What is <environment_context> for?",
            "<skill> is a tag: what does it do?",
            "What does\n## My request for Codex:\nmean?",
            "<my_tag>a</my_tag> is no XML, why?",
            "# AGENTS.md instructions should be shorter",
            "Write <skill>a</skill>",
        ] {
            check(typed, typed, 0);
        }
        let files = "# Files mentioned by the user:\n\n## a.png: /a.png";
        let unasked = format!("{files}\n\n## My request for Codex:");
        check(&unasked, &unasked, 0);
    }
}
