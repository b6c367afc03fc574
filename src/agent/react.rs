//! Thought / Action / Observation as text, for models and servers without tool calling.

use serde_json::{Value, json};

use super::think::Piece;
use crate::conversation::{ToolCall, ToolSpec};

/// What a model is told about the form.
const FORM: &str = include_str!("../../assets/prompts/react.md");

/// Where a model is to stop: what comes of an action is not its to say.
pub const STOP: &str = "\nObservation:";

/// Returns what is added to the system prompt, so that a model knows the tools and how to call them.
pub fn instructions(tools: &[ToolSpec]) -> String {
    let tool = |tool: &ToolSpec| {
        format!(
            "- {}: {} Arguments: {}",
            tool.name, tool.description, tool.parameters["properties"]
        )
    };
    let list: Vec<String> = tools.iter().map(tool).collect();
    FORM.trim().replace("{tools}", &list.join("\n"))
}

/// Returns a call in this form, as a model would have written it.
pub fn action(thought: &str, call: &ToolCall) -> String {
    let (thought, name, input) = (thought.trim(), &call.name, &call.arguments);
    let action = format!("Action: {name}\nAction Input: {input}");
    match thought {
        "" => action,
        thought => format!("Thought: {thought}\n{action}"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Thought,
    Action,
    Input,
    Observation,
    Answer,
}

const LABELS: [(&str, Label); 5] = [
    ("thought:", Label::Thought),
    ("action:", Label::Action),
    ("action input:", Label::Input),
    ("observation:", Label::Observation),
    ("final answer:", Label::Answer),
];

/// Takes a reply apart while it streams.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact about the text so far"
)]
pub struct Parser {
    /// What the text belongs to; `None` before the first label.
    label: Option<Label>,
    /// The beginning of a line that may become a label.
    held: String,
    /// The rest of the line is known to be no label.
    flows: bool,
    /// A code fence that may only wrap the form.
    fence: Option<String>,
    fenced: bool,
    spoke: bool,
    action: String,
    input: String,
    done: bool,
    /// All that counts of the reply, as it was written.
    taken: String,
}

impl Parser {
    /// Takes a chunk and returns what is certain by now: thoughts and pieces of the answer.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for part in text.split_inclusive('\n') {
            if self.done {
                break;
            }
            if self.flows {
                self.flows = !part.ends_with('\n');
                self.taken.push_str(part);
                self.emit(part, &mut pieces);
                continue;
            }
            self.held.push_str(part);
            if !self.may_be_label() {
                let line = std::mem::take(&mut self.held);
                self.flows = !line.ends_with('\n');
                self.line(&line, &mut pieces);
            }
        }
        pieces
    }

    /// Returns whether the model has gone on to write what only a tool can say; nothing that follows counts.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns what is left when the reply has ended, the call that it makes, and all of the reply that counts.
    pub fn finish(mut self) -> (Vec<Piece>, Option<ToolCall>, String) {
        let mut pieces = Vec::new();
        let line = std::mem::take(&mut self.held);
        if !line.is_empty() && !self.done {
            self.line(&line, &mut pieces);
        }
        if let Some(fence) = self.fence.take() {
            self.emit(&fence, &mut pieces);
        }
        let call = call(self.action.trim(), self.input.trim());
        (pieces, call, self.taken)
    }

    /// Returns whether what is held may still become a label or a fence around the form.
    fn may_be_label(&self) -> bool {
        if self.held.ends_with('\n') || self.label == Some(Label::Answer) && !self.fenced {
            return false;
        }
        if self.held.trim_start().starts_with('`') {
            return self.label.is_some() || !self.spoke;
        }
        // Marks of Markdown after a label belong to it.
        if let Some((_, rest)) = label(&self.held) {
            return rest.is_empty();
        }
        let start = bare(&self.held);
        LABELS.iter().any(|(label, _)| label.starts_with(&start))
    }

    fn line(&mut self, line: &str, pieces: &mut Vec<Piece>) {
        self.read(line, pieces);
        if !self.done {
            self.taken.push_str(line);
        }
    }

    fn read(&mut self, line: &str, pieces: &mut Vec<Piece>) {
        let is_fence = line.trim_start().starts_with("```");
        if self.label == Some(Label::Answer) {
            // The fence that opened before the form closes after it.
            if !(self.fenced && line.trim() == "```") {
                self.emit(line, pieces);
            }
            return;
        }
        if let Some((label, rest)) = label(line) {
            self.fenced |= self.fence.take().is_some();
            // After an action comes its observation, which the model does not know yet.
            if label == Label::Observation || self.acted() && label != Label::Input {
                self.done = true;
                return;
            }
            self.label = Some(label);
            self.emit(rest, pieces);
            return;
        }
        if is_fence && self.label.is_none() && !self.spoke && self.fence.is_none() {
            self.fence = Some(line.to_owned());
            return;
        }
        if let Some(fence) = self.fence.take() {
            self.emit(&fence, pieces);
        }
        if is_fence && self.label.is_some_and(|label| label != Label::Input) {
            return;
        }
        self.emit(line, pieces);
    }

    fn acted(&self) -> bool {
        !self.action.trim().is_empty() && self.label != Some(Label::Thought)
    }

    fn emit(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        if text.is_empty() {
            return;
        }
        match self.label {
            None | Some(Label::Answer) => {
                self.spoke |= !text.trim().is_empty();
                pieces.push(Piece::Text(text.to_owned()));
            }
            Some(Label::Thought) => pieces.push(Piece::Reasoning(text.to_owned())),
            Some(Label::Action) => self.action.push_str(text),
            Some(Label::Input) => self.input.push_str(text),
            Some(Label::Observation) => {}
        }
    }
}

/// Returns the text in lower case without the marks of Markdown.
fn bare(text: &str) -> String {
    let marks = ['*', '_', '#', '>'];
    let bare: String = text.chars().filter(|c| !marks.contains(c)).collect();
    bare.trim_start().to_lowercase()
}

/// Returns the label that a line begins with, and what follows it.
fn label(line: &str) -> Option<(Label, &str)> {
    let (before, after) = line.split_once(':')?;
    let name = format!("{}:", bare(before).trim_end());
    let (_, label) = LABELS.iter().find(|(label, _)| *label == name)?;
    Some((*label, after.trim_start_matches(['*', '_', ' ', '\t'])))
}

/// Reads an action and its input, in the forms that models write them.
fn call(action: &str, input: &str) -> Option<ToolCall> {
    // `read_file({"path": "x"})` and `read_file {"path": "x"}` hold the input, too.
    let end = action
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '`' | '*')))
        .unwrap_or(action.len());
    let (name, rest) = action.split_at(end);
    let name = name.trim_matches(['`', '*', '.']);
    if name.is_empty() || ["none", "n", "finish"].contains(&name.to_lowercase().as_str()) {
        return None;
    }
    let rest = rest.trim().trim_start_matches('(').trim_end_matches(')');
    let input = if input.is_empty() { rest } else { input };
    Some(ToolCall {
        name: name.to_owned(),
        arguments: arguments(input),
        ..ToolCall::default()
    })
}

/// Reads the first JSON value of an input, within a code fence or not; what is no JSON stays text.
fn arguments(input: &str) -> Value {
    let inner = input.trim().trim_start_matches("```");
    let inner = inner.strip_prefix("json").unwrap_or(inner).trim();
    if inner.is_empty() {
        return json!({});
    }
    let mut values = serde_json::Deserializer::from_str(inner).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => value,
        _ => Value::String(inner.trim_end_matches('`').trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks thought, answer and call of a reply, whole and cut at every character.
    #[track_caller]
    fn check(reply: &str, thought: &str, answer: &str, called: Option<(&str, Value)>) {
        for cut in (0..=reply.len()).filter(|cut| reply.is_char_boundary(*cut)) {
            let mut parser = Parser::default();
            let mut pieces = parser.push(&reply[..cut]);
            pieces.extend(parser.push(&reply[cut..]));
            let (rest, call, _) = parser.finish();
            pieces.extend(rest);
            let (mut thoughts, mut said) = (String::new(), String::new());
            for piece in pieces {
                match piece {
                    Piece::Reasoning(text) => thoughts += &text,
                    Piece::Text(text) => said += &text,
                    other => panic!("{other:?}"),
                }
            }
            let call = call.map(|call| (call.name, call.arguments));
            let called = called.clone().map(|(name, input)| (name.to_owned(), input));
            assert_eq!(
                (thoughts.trim(), said.trim(), call),
                (thought, answer, called),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn the_form_is_read_wherever_it_is_cut() {
        check(
            "Thought: I must look 🦀.\nAction: read_file\nAction Input: {\"path\": \"a.txt\"}\nObservation: made up\nFinal Answer: wrong",
            "I must look 🦀.",
            "",
            Some(("read_file", json!({"path": "a.txt"}))),
        );
        check(
            "Thought: I know.\nFinal Answer: It is 42:\n```\nAction: none\n```\n",
            "I know.",
            "It is 42:\n```\nAction: none\n```",
            None,
        );
    }

    #[test]
    fn what_models_make_of_the_form_is_read_too() {
        let list = || Some(("list_files", json!({})));
        check(
            "```\n**Thought:** look\n**Action:** `list_files`\n**Action Input:**\n```json\n{}\n```\n```",
            "look",
            "",
            list(),
        );
        check("Action: list_files()", "", "", list());
        check(
            "Action: run_command {\"command\": \"ls\"}\nThought: then",
            "",
            "",
            Some(("run_command", json!({"command": "ls"}))),
        );
        check(
            "Action: run\nAction Input: {\n \"a\": 1\n}\nAction: run\nAction Input: {}",
            "",
            "",
            Some(("run", json!({"a": 1}))),
        );
        check(
            "action: run\naction input: ls -l",
            "",
            "",
            Some(("run", json!("ls -l"))),
        );
        check("Thought: done\nAction: None\n", "done", "", None);
    }

    #[test]
    fn text_without_labels_is_the_answer() {
        check(
            "Just this.\nAnd that: yes.",
            "",
            "Just this.\nAnd that: yes.",
            None,
        );
        check(
            "```rust\nfn main() {}\n```",
            "",
            "```rust\nfn main() {}\n```",
            None,
        );
        check(
            "Let me see.\nAction: list_files\n",
            "",
            "Let me see.",
            Some(("list_files", json!({}))),
        );
        check("```\nThought: x\nFinal Answer: y\n```", "x", "y", None);
        check("", "", "", None);
    }

    #[test]
    fn spoilt_replies_are_parsed_to_the_end() {
        let seeds = [
            "Thought: look\nAction: read_file\nAction Input: {\"path\": \"a.txt\"}\nObservation: x",
            "Thought: done\nFinal Answer: it is 4\nwith a `{` in it",
            "Action: search_memory\nAction Input: ```json\n{\"query\": \"x\"}\n```",
        ];
        crate::mutate::each(&seeds, |text| {
            let mut parser = Parser::default();
            for character in text.chars() {
                parser.push(&character.to_string());
            }
            parser.finish();
        });
    }
}
