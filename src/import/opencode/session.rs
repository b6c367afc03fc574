//! The turns of one session: what was typed, what the program put beside it, what came of it.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Message, Session};
use crate::conversation::Usage;
use crate::import::Item;
use crate::import::files::{text, time};
use crate::import::turns::{Conversation, Turns};

/// What stands in the user's name where he ran a command himself.
const RAN: &str = "The following tool was executed by the user";
/// How the titles begin that are none.
const UNTITLED: [&str; 2] = ["New session - ", "Child session - "];

impl Session {
    /// Returns what is in the session.
    pub fn items(self) -> Vec<Item> {
        let info = &self.info;
        let mut metadata = Map::new();
        for (name, known) in [
            ("folder", "directory"),
            ("parent", "parentID"),
            ("version", "version"),
            ("agent", "agent"),
        ] {
            if !text(info, known).is_empty() {
                metadata.insert(name.to_owned(), info[known].clone());
            }
        }
        let title = text(info, "title");
        let is_untitled = UNTITLED.iter().any(|begin| title.starts_with(begin));
        let conversation = Conversation {
            id: text(info, "id").to_owned(),
            title: if is_untitled { "" } else { title }.to_owned(),
            metadata,
            ..Conversation::default()
        };
        let mut reading = Reading {
            turns: Turns::new(conversation, ""),
            last: time(&info["time"]["created"]).unwrap_or_default(),
            ran: false,
            items: Vec::new(),
        };
        let revert = &info["revert"];
        let (reverted, part) = (text(revert, "messageID"), text(revert, "partID"));
        for mut message in in_order(self.messages) {
            let id = text(&message.info, "id");
            let taken_back = match id.cmp(reverted) {
                _ if reverted.is_empty() => false,
                Ordering::Less => false,
                Ordering::Equal if !part.is_empty() => {
                    message.parts.retain(|each| text(each, "id") < part);
                    false
                }
                _ => true,
            };
            match taken_back {
                true => reading.taken_back(&message),
                false => reading.message(&message),
            }
        }
        reading.nothing_ran();
        let turns = reading.turns.finish().into_iter().map(Item::from);
        turns.chain(reading.items).collect()
    }
}

/// Returns the messages in the order in which they came, each answer with its question: the user may have gone on meanwhile.
fn in_order(mut messages: Vec<Message>) -> Vec<Message> {
    messages.sort_by(|one, other| {
        let key = |message: &Message| (begun(&message.info), text(&message.info, "id").to_owned());
        key(one).cmp(&key(other))
    });
    let ids: Vec<String> = messages
        .iter()
        .map(|each| text(&each.info, "id").to_owned())
        .collect();
    let mut of = 0;
    let mut placed: Vec<(usize, Message)> = Vec::new();
    for (at, message) in messages.into_iter().enumerate() {
        let parent = text(&message.info, "parentID");
        let parent = ids.iter().position(|id| !parent.is_empty() && id == parent);
        if parent.is_none() && role(&message.info) == "user" {
            of = at;
        }
        placed.push((parent.unwrap_or(of), message));
    }
    placed.sort_by_key(|(of, _)| *of);
    placed.into_iter().map(|(_, message)| message).collect()
}

/// Returns who speaks: tables of whole messages say it as their type.
fn role(info: &Value) -> &str {
    match text(info, "role") {
        "" => text(info, "type"),
        role => role,
    }
}

/// Returns when a message began.
fn begun(info: &Value) -> Option<DateTime<Utc>> {
    // The first versions had it among the metadata.
    [
        &info["time"]["created"],
        &info["metadata"]["time"]["created"],
        &info["time_created"],
    ]
    .into_iter()
    .find_map(time)
}

struct Reading {
    turns: Turns,
    last: DateTime<Utc>,
    /// Whether the user has just run a command himself, which the next message tells.
    ran: bool,
    items: Vec<Item>,
}

impl Reading {
    fn message(&mut self, message: &Message) {
        let info = &message.info;
        self.last = begun(info).unwrap_or(self.last);
        let id = text(info, "id");
        match role(info) {
            "user" => self.user(id, message),
            "assistant" => self.answer(id, message),
            "synthetic" | "system" => self.skip("said by the program"),
            "compaction" => self.skip("summary of the conversation"),
            "shell" => {
                self.turns
                    .user(id, self.last, &format!("!{}", text(info, "command")));
                let (call, command) = (text(info, "callID"), json!({"command": info["command"]}));
                self.turns.call(call, self.last, "bash", command);
                let ended = time(&info["time"]["completed"]).unwrap_or(self.last);
                self.turns
                    .observation(call, ended, text(info, "output"), true);
            }
            _ => {}
        }
    }

    /// Says that no command was told where one was announced.
    fn nothing_ran(&mut self) {
        if std::mem::take(&mut self.ran) {
            self.skip("said by the program");
        }
    }

    fn skip(&mut self, why: &str) {
        self.items.push(Item::Skipped(why.to_owned()));
    }

    fn taken_back(&mut self, message: &Message) {
        if is_typed(message) {
            self.items.push(Item::LeftOut("taken back".to_owned()));
        }
    }

    fn user(&mut self, id: &str, message: &Message) {
        self.nothing_ran();
        match said(message) {
            Said::Words(words, context) => {
                self.turns.user(id, self.last, &words);
                self.turns.keep("context", context);
            }
            Said::Ran => self.ran = true,
            Said::Program(why) => self.skip(why),
        }
    }

    fn answer(&mut self, id: &str, message: &Message) {
        let info = &message.info;
        if info["summary"] == true || info["metadata"]["assistant"]["summary"] == true {
            return self.skip("summary of the conversation");
        }
        let about = [info, &info["metadata"]["assistant"], &info["model"]];
        let known = |name: &str| {
            about
                .iter()
                .map(|from| text(from, name))
                .find(|known| !known.is_empty())
        };
        let model = known("modelID")
            .or(Some(text(&info["model"], "id")))
            .unwrap_or_default();
        for part in parts(message) {
            self.part(id, model, part);
        }
        let ended = [
            &info["time"]["completed"],
            &info["metadata"]["time"]["completed"],
        ];
        let ended = ended.into_iter().find_map(time).unwrap_or(self.last);
        self.turns.answer(id, ended, model, "");
        self.turns.provider(known("providerID").unwrap_or_default());
        let tokens = [&info["tokens"], &info["metadata"]["assistant"]["tokens"]];
        if let Some(usage) = tokens.into_iter().find_map(usage) {
            self.turns.usage(usage);
        }
        let error = [&info["error"], &info["metadata"]["error"]];
        if let Some(error) = error.into_iter().find(|error| error.is_object()) {
            self.turns.broken_off();
            let why = [
                text(&error["data"], "message"),
                text(error, "message"),
                text(error, "name"),
            ];
            let why = why.into_iter().find(|why| !why.is_empty());
            self.turns.keep(
                "errors",
                why.map(str::to_owned).into_iter().collect::<Vec<_>>(),
            );
        }
    }

    fn part(&mut self, id: &str, model: &str, part: &Value) {
        let at = |name: &str| time(&part["time"][name]).unwrap_or(self.last);
        match text(part, "type") {
            "text" if part["ignored"] != true => {
                self.turns.answer(id, at("end"), model, text(part, "text"));
            }
            "reasoning" => self.turns.thought(id, at("end"), text(part, "text")),
            "tool" => {
                let state = &part["state"];
                let call = [text(part, "callID"), text(part, "id")];
                let call = call.into_iter().find(|id| !id.is_empty()).unwrap_or(id);
                if std::mem::take(&mut self.ran) {
                    let command = format!("!{}", text(&state["input"], "command"));
                    self.turns.user(id, self.last, &command);
                }
                let name = [text(part, "tool"), text(part, "name")];
                let name = name
                    .into_iter()
                    .find(|name| !name.is_empty())
                    .unwrap_or_default();
                let from = [
                    &state["time"]["start"],
                    &part["time"]["ran"],
                    &part["time"]["created"],
                ];
                let to = [&state["time"]["end"], &part["time"]["completed"]];
                let from = from.into_iter().find_map(time).unwrap_or(self.last);
                let to = to.into_iter().find_map(time).unwrap_or(from);
                self.turns.call(call, from, name, state["input"].clone());
                if let Some((told, success)) = outcome(state) {
                    self.turns.observation(call, to, &told, success);
                }
            }
            // The first versions.
            "tool-invocation" => {
                let invocation = &part["toolInvocation"];
                let call = text(invocation, "toolCallId");
                let arguments = invocation["args"].clone();
                self.turns
                    .call(call, self.last, text(invocation, "toolName"), arguments);
                if text(invocation, "state") == "result" {
                    let result = text(invocation, "result");
                    self.turns.observation(call, self.last, result, true);
                }
            }
            _ => {}
        }
    }
}

/// Returns whether a message is one of the user.
pub fn is_typed(message: &Message) -> bool {
    matches!(role(&message.info), "user" | "shell") && !matches!(said(message), Said::Program(_))
}

/// Is what stands in the user's name.
enum Said {
    /// What was typed, and what was put beside it.
    Words(String, Vec<String>),
    /// A command that the user ran himself is told by the next message.
    Ran,
    Program(&'static str),
}

fn said(message: &Message) -> Said {
    let (mut words, mut context, mut why) = (Vec::new(), Vec::new(), "empty");
    let whole = text(&message.info, "text");
    words.extend([whole, text(&message.info, "command")].map(str::to_owned));
    let files = message.info["files"].as_array().into_iter().flatten();
    words.extend(files.map(|file| quoted(text(file, "name"))));
    for part in parts(message) {
        match text(part, "type") {
            "text" if text(part, "text").trim() == RAN => return Said::Ran,
            "text" if part["synthetic"] == true || part["ignored"] == true => {
                why = "said by the program";
                context.push(text(part, "text").trim().to_owned());
            }
            "text" => words.push(text(part, "text").trim().to_owned()),
            // What a command of the project asks a sub-agent.
            "subtask" => words.push(text(part, "prompt").trim().to_owned()),
            // Files that are named in the words are read beside them.
            "file" if text(part, "mime").starts_with("text/") => {
                context.push(quoted(text(part, "filename")));
            }
            "file" if text(part, "mime") == "application/x-directory" => {}
            "file" => words.push(quoted(text(part, "filename"))),
            "compaction" => why = "summary of the conversation",
            _ => {}
        }
    }
    words.retain(|words| !words.is_empty());
    match words.is_empty() {
        true => Said::Program(why),
        false => Said::Words(words.join("\n"), context),
    }
}

/// Returns what stands for a file.
fn quoted(name: &str) -> String {
    match name {
        "" => "[file]".to_owned(),
        name => format!("[file: {name}]"),
    }
}

/// Returns the parts of a message: files of their own, or in it.
fn parts(message: &Message) -> impl Iterator<Item = &Value> {
    let inside = [&message.info["parts"], &message.info["content"]];
    let inside = inside.into_iter().filter_map(Value::as_array).flatten();
    message.parts.iter().chain(inside)
}

/// Returns what came of a call, and whether it went well; nothing, while it runs.
fn outcome(state: &Value) -> Option<(String, bool)> {
    let error = &state["error"];
    let why = error.as_str().unwrap_or_else(|| text(error, "message"));
    let content = state["content"].as_array().into_iter().flatten();
    let content: Vec<&str> = content.map(|block| text(block, "text")).collect();
    let told = match (text(state, "output"), content.join("\n")) {
        ("", content) => content,
        (output, _) => output.to_owned(),
    };
    match text(state, "status") {
        "completed" => Some((told, true)),
        "error" if why.is_empty() => Some((told, false)),
        "error" => Some((why.to_owned(), false)),
        _ => None,
    }
}

/// Counts the tokens of a request: what was read from or written to a cache was sent, too.
fn usage(tokens: &Value) -> Option<Usage> {
    let sum = |counts: &[&Value]| counts.iter().filter_map(|count| count.as_u64()).sum();
    let cache = &tokens["cache"];
    let input: u64 = sum(&[&tokens["input"], &cache["read"], &cache["write"]]);
    let output: u64 = sum(&[&tokens["output"]]);
    // Some versions count apart what was thought, and those count all of it in the end.
    let total = tokens["total"].as_u64().unwrap_or_default();
    let output = output.max(total.saturating_sub(input));
    (input + output > 0).then_some(Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_sessions_are_read_all_the_same() {
        let seed = r#"[{"id":"s","revert":{"messageID":"d"}},
            {"id":"a","role":"user","time":{"created":1795000000000},"parts":[{"type":"text","text":"q"},{"type":"file","filename":"f"}]},
            {"id":"b","parentID":"a","role":"assistant","tokens":{"input":1},"parts":[{"type":"tool","state":{"status":"error","error":"no"}}]},
            {"id":"c","type":"shell","command":"ls"}, {"id":"d","role":"user","text":"more"}]"#;
        let read = |text: &str| {
            let mut values: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
            let info = values.drain(..values.len().min(1)).next();
            let message = |info| Message {
                info,
                parts: Vec::new(),
            };
            let session = Session {
                info: info.unwrap_or_default(),
                messages: values.into_iter().map(message).collect(),
            };
            session.items()
        };
        assert_eq!(read(seed).len(), 3);
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
