//! Tells what a person typed from what the program and editors put around it, or say in the user's name.

use serde_json::Value;

use crate::import::files::text;

/// What the program says when a turn was broken off.
const INTERRUPTED: &str = "[Request interrupted by user";
/// How the summaries of the first versions begin, which are not marked.
const SUMMARY: &str = "This session is being continued from a previous conversation";
/// What editors and the program tell the model beside a question.
const CONTEXT: [&str; 4] = [
    "system-reminder",
    "new-diagnostics",
    "user-prompt-submit-hook",
    "environment_context",
];
/// How the names of other such blocks begin.
const EDITORS: [&str; 6] = [
    "ide_",
    "ide-",
    "vscode_",
    "vscode-",
    "editor_",
    "jetbrains_",
];

/// Is what stands in the user's name.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// What a person typed; nothing, where there is only what was put around it.
    Words(String),
    /// A command of the program or of the project, as it was typed.
    Command(String),
    /// A command that a person ran in the shell.
    Shell(String),
    /// What came of it.
    Output(String),
    /// What the program tells of something that it ran beside: of which call, in which words.
    Told(String, String),
    /// Words of the program that nobody needs, and what they are.
    Program(&'static str),
}

/// Holds what a line says in the user's name, besides the results of calls.
#[derive(Debug)]
pub struct Message {
    pub said: Said,
    /// The blocks around it.
    pub context: Vec<String>,
    /// Whether the turn before was broken off.
    pub broken_off: bool,
}

/// Reads the content of a message: text, or blocks.
pub fn message(line: &Value, content: &Value) -> Message {
    let mut message = Message {
        said: Said::Words(String::new()),
        context: Vec::new(),
        broken_off: false,
    };
    let mut pieces = Vec::new();
    let mut piece = |piece: &str| {
        let mut rest = peeled(piece, &mut message.context);
        if rest.starts_with(INTERRUPTED) {
            message.broken_off = true;
            rest = rest.split_once(']').map_or("", |(_, rest)| rest.trim());
        }
        if !rest.is_empty() {
            pieces.push(rest.to_owned());
        }
    };
    match content {
        Value::Array(blocks) => {
            for block in blocks {
                match text(block, "type") {
                    "tool_result" => {}
                    _ => piece(&super::block(block)),
                }
            }
        }
        content => piece(content.as_str().unwrap_or_default()),
    }
    let words = pieces.join("\n");
    message.said = match is_aside(line) {
        Some(why) => Said::Program(why),
        None => said(line, words),
    };
    message
}

/// Returns what a line is that the program marks as none of the conversation.
fn is_aside(line: &Value) -> Option<&'static str> {
    [
        ("isCompactSummary", "summary of the conversation"),
        ("isMeta", "said by the program"),
        ("isVisibleInTranscriptOnly", "said by the program"),
    ]
    .into_iter()
    .find_map(|(mark, why)| (line[mark] == true).then_some(why))
}

fn said(line: &Value, words: String) -> Said {
    let begins = |name: &str| {
        words.starts_with(&format!("<{name}>")) && words.contains(&format!("</{name}>"))
    };
    let within = |name: &str| element(&words, name).map(str::to_owned);
    let told = || Said::Told(within("tool-use-id").unwrap_or_default(), words.clone());
    // What asks a sub-agent is a question to it.
    let is_another = !matches!(text(&line["origin"], "kind"), "" | "human");
    if begins("task-notification") || (is_another && line["isSidechain"] != true) {
        return told();
    }
    match text(line, "commandMode") {
        "task-notification" => return told(),
        "bash" => return Said::Shell(words),
        _ => {}
    }
    if words.starts_with("<command-")
        && let Some(command) = element(&words, "command-name")
    {
        let arguments = element(&words, "command-args").unwrap_or_default();
        let command = format!("/{} {arguments}", command.trim_start_matches('/'));
        return Said::Command(command.trim().to_owned());
    }
    if begins("user-memory-input") {
        let note = within("user-memory-input").unwrap_or_default();
        return Said::Command(format!("# {}", note.trim_start_matches('#').trim()));
    }
    if begins("bash-input") {
        return Said::Shell(within("bash-input").unwrap_or_default());
    }
    if begins("bash-stdout") || begins("bash-stderr") {
        let outputs = ["bash-stdout", "bash-stderr"].map(|name| within(name).unwrap_or_default());
        return Said::Output(outputs.join("\n").trim().to_owned());
    }
    if words.starts_with("<local-command-") && words.contains("</local-command-") {
        return Said::Program("command of the program");
    }
    if words.starts_with(SUMMARY) {
        return Said::Program("summary of the conversation");
    }
    match text(line, "promptSource") {
        "system" => told(),
        _ => Said::Words(words),
    }
}

/// Returns what is within an element.
fn element<'t>(said: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = said.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

/// Takes the blocks of the program and of editors off a text. They stand before it or after it: a person may write of them within.
fn peeled<'t>(text: &'t str, context: &mut Vec<String>) -> &'t str {
    let mut rest = text.trim();
    while let Some((block, after)) = leading(rest) {
        context.push(block.to_owned());
        rest = after.trim();
    }
    let first = context.len();
    while let Some((before, block)) = trailing(rest) {
        context.insert(first, block.to_owned());
        rest = before.trim();
    }
    rest
}

fn is_context(name: &str) -> bool {
    CONTEXT.contains(&name) || EDITORS.iter().any(|editor| name.starts_with(editor))
}

/// Returns the block that a text begins with, and what follows it.
fn leading(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let name = inner.split(['>', ' ', '\n', '/']).next()?;
    if !is_context(name) {
        return None;
    }
    let close = format!("</{name}>");
    let end = text.find(&close)?;
    let (block, after) = text.split_at(end + close.len());
    // What goes on in its line is a person's sentence about it, unless these are the words of an editor.
    let (_, own) = block.split_once('>')?;
    let is_own = own.starts_with('\n') || own.trim_start().starts_with("The user ");
    let alone = after.is_empty() || after.starts_with(['\n', '\r']) || leading(after).is_some();
    (alone || is_own).then_some((block, after))
}

/// Returns what is before the block that a text ends with, in lines of its own, and the block.
fn trailing(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_suffix('>')?.rsplit_once("</")?.1;
    if !is_context(name) {
        return None;
    }
    let open = text.rfind(&format!("<{name}"))?;
    let (before, block) = text.split_at(open);
    let alone = before.ends_with('\n') && block.matches(&format!("</{name}>")).count() == 1;
    alone.then_some((before, block))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(content: Value, said: Said, context: usize) {
        let message = message(&Value::Null, &content);
        assert_eq!(
            (message.said, message.context.len()),
            (said, context),
            "{content}"
        );
    }

    fn words(words: &str) -> Said {
        Said::Words(words.to_owned())
    }

    #[test]
    fn what_is_put_around_a_question_is_told_from_it() {
        const OPENED: &str = "<ide_opened_file>The user opened a.md in the IDE.</ide_opened_file>";
        const LINES: &str = "<ide_selection>\nlet a = 1;\n</ide_selection>";
        const REMINDER: &str = "<system-reminder>\nBe brief.\n</system-reminder>";
        let block = |text: &str| json!({"type": "text", "text": text});
        check(
            json!([block(OPENED), block(LINES), block("Go on.")]),
            words("Go on."),
            2,
        );
        check(
            json!(format!("{OPENED}\n{LINES}\n\nGo on.")),
            words("Go on."),
            2,
        );
        check(json!(format!("{OPENED}Go on.")), words("Go on."), 1);
        check(json!(format!("{OPENED}{LINES}Go on.")), words("Go on."), 2);
        check(json!(format!("Go on.\n\n{REMINDER}")), words("Go on."), 1);
        check(
            json!(format!("{REMINDER}\r\nGo on.\n{LINES}")),
            words("Go on."),
            2,
        );
        check(
            json!([block("Go on."), block(REMINDER)]),
            words("Go on."),
            1,
        );
        check(
            json!([block(REMINDER), {"type": "image"}]),
            words("[image]"),
            1,
        );
        check(json!(REMINDER), words(""), 1);
        for typed in [
            "Why does <ide_selection>x</ide_selection> stand in my title?",
            "<ide_selection>x</ide_selection> stands in my title, why?",
            "<system-reminder> is never closed",
            "Take out <system-reminder>x</system-reminder>",
            "<div>\nThe user\n</div>\nCentre this.",
            "<task-notification> again!",
            "a\n```\n<system-reminder>\nx\n</system-reminder>\n```",
        ] {
            check(json!(typed), words(typed), 0);
        }
    }

    #[test]
    fn what_the_program_says_is_told_from_words() {
        check(
            json!(
                "<command-message>go is running</command-message>\n<command-name>/go</command-name>\n<command-args>on</command-args>"
            ),
            Said::Command("/go on".to_owned()),
            0,
        );
        check(
            json!("<bash-input> ls</bash-input>"),
            Said::Shell("ls".to_owned()),
            0,
        );
        check(
            json!("<bash-stdout>a</bash-stdout><bash-stderr>b</bash-stderr>"),
            Said::Output("a\nb".to_owned()),
            0,
        );
        let told =
            "<task-notification>\n<tool-use-id>t</tool-use-id>\n</task-notification>\nRead it.";
        check(json!(told), Said::Told("t".to_owned(), told.to_owned()), 0);
        let line = json!({"promptSource": "system", "origin": {"kind": "human"}});
        let message = message(&line, &json!("Wake up."));
        assert_eq!(
            message.said,
            Said::Told(String::new(), "Wake up.".to_owned())
        );
    }

    #[test]
    fn spoilt_messages_are_read_all_the_same() {
        let seed = "<ide_selection>The user selected é</ide_selection>Go\n<system-reminder>x</system-reminder>";
        crate::mutate::each(&[seed], |text| drop(message(&Value::Null, &json!(text))));
    }
}
