//! One session: its records as they were written, and the turns that they make.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::PROVIDER;
use super::said::{Said, said, words};
use crate::conversation::Usage;
use crate::import::Item;
use crate::import::files::{text, time};
use crate::import::turns::{Conversation, Turns};

/// Holds what the records of a session say in the end.
#[derive(Default)]
pub struct Session {
    about: Map<String, Value>,
    messages: Vec<Value>,
    /// Where a message is, by its id: it is written again when more of it is known.
    places: HashMap<String, usize>,
    /// What the user took back.
    taken_back: Vec<Value>,
}

/// Holds what a session tells.
#[derive(Default)]
pub struct Told {
    pub items: Vec<Item>,
    /// What was typed, also what was taken back.
    pub typed: HashSet<String>,
}

impl Session {
    /// Takes a record: the session with or without messages, a message, a change, or how far the user went back.
    pub fn record(&mut self, record: Value) {
        let Value::Object(mut record) = record else {
            return;
        };
        if let Some(id) = record.get("$rewindTo").and_then(Value::as_str) {
            let from = self.places.get(id).copied().unwrap_or_default();
            self.taken_back.extend(self.messages.drain(from..));
            self.places.retain(|_, at| *at < from);
            return;
        }
        if let Some(Value::Object(change)) = record.remove("$set") {
            // The history that the model is sent has less: what was compressed or cut was said all the same.
            return self.about(change, |session, message| {
                let id = text(&message, "id").to_owned();
                if !session.places.contains_key(&id) {
                    session.message(message);
                }
            });
        }
        if record.contains_key("id") && record.contains_key("type") {
            return self.message(Value::Object(record));
        }
        self.about(record, Session::message);
    }

    fn about(&mut self, mut about: Map<String, Value>, message: fn(&mut Session, Value)) {
        if let Some(Value::Array(messages)) = about.remove("messages") {
            for each in messages {
                message(self, each);
            }
        }
        self.about.extend(about);
    }

    fn message(&mut self, message: Value) {
        let id = text(&message, "id").to_owned();
        match self.places.get(&id) {
            Some(at) if !id.is_empty() => self.messages[*at] = message,
            _ => {
                self.places.insert(id, self.messages.len());
                self.messages.push(message);
            }
        }
    }

    /// Returns whether there was anything to read.
    pub fn is_one(&self) -> bool {
        self.about.contains_key("sessionId") || !self.messages.is_empty()
    }

    /// Returns the id of the session and its turns; `stem` is its id where it has none.
    pub fn turns(self, stem: &str, place: &Map<String, Value>) -> (String, Told) {
        let about = Value::Object(self.about);
        let id = match text(&about, "sessionId") {
            "" => stem,
            id => id,
        };
        let mut metadata = place.clone();
        for (name, known) in [("kind", "kind"), ("folders", "directories")] {
            if !about[known].is_null() && about[known] != "main" {
                metadata.insert(name.to_owned(), about[known].clone());
            }
        }
        let conversation = Conversation {
            id: id.to_owned(),
            title: text(&about, "summary").to_owned(),
            metadata,
            ..Conversation::default()
        };
        let mut reading = Reading {
            turns: Turns::new(conversation, PROVIDER),
            id: id.to_owned(),
            last: time(&about["startTime"]).unwrap_or_default(),
            after_program: false,
            told: Told::default(),
        };
        for (at, message) in self.messages.iter().enumerate() {
            reading.message(at, message);
        }
        for message in &self.taken_back {
            reading.taken_back(message);
        }
        let Reading {
            turns, mut told, ..
        } = reading;
        let turns = turns.finish().into_iter().map(Item::from);
        told.items = turns.chain(told.items).collect();
        (id.to_owned(), told)
    }
}

struct Reading {
    turns: Turns,
    id: String,
    last: DateTime<Utc>,
    /// Whether the program has just said something in the user's name.
    after_program: bool,
    told: Told,
}

impl Reading {
    fn message(&mut self, at: usize, message: &Value) {
        self.last = time(&message["timestamp"]).unwrap_or(self.last);
        let id = match text(message, "id") {
            "" => at.to_string(),
            id => id.to_owned(),
        };
        let id = format!("{}/{id}", self.id);
        match text(message, "type") {
            "user" => self.user(&id, message),
            "gemini" => {
                // Where the program has spoken, it also answers itself.
                let is_its = self.after_program && message["model"].is_null();
                if !is_its || message.get("toolCalls").is_some() {
                    self.answer(&id, message);
                }
                self.after_program = false;
            }
            "info" | "warning" | "error" => {
                let notice = words(&message["content"]);
                let notice = Some(notice).filter(|notice| !notice.trim().is_empty());
                self.turns
                    .keep("notices", notice.into_iter().collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    fn user(&mut self, id: &str, message: &Value) {
        self.after_program = false;
        match said(message) {
            Said::Words(typed, context) => {
                self.turns.user(id, self.last, &typed);
                self.turns.keep("context", context);
                self.told.typed.insert(typed);
            }
            Said::Results => {
                for part in message["content"].as_array().into_iter().flatten() {
                    self.result(part);
                }
                self.skip("result of a call");
            }
            Said::Program(why) => {
                self.after_program = true;
                self.skip(why);
            }
        }
    }

    fn skip(&mut self, why: &str) {
        self.told.items.push(Item::Skipped(why.to_owned()));
    }

    fn taken_back(&mut self, message: &Value) {
        if text(message, "type") != "user" {
            return;
        }
        let item = match said(message) {
            Said::Words(typed, _) => {
                self.told.typed.insert(typed);
                Item::LeftOut("taken back".to_owned())
            }
            Said::Results => Item::Skipped("result of a call".to_owned()),
            Said::Program(why) => Item::Skipped(why.to_owned()),
        };
        self.told.items.push(item);
    }

    fn answer(&mut self, id: &str, message: &Value) {
        let thoughts = message["thoughts"].as_array().into_iter().flatten();
        let mut thoughts: Vec<String> = thoughts
            .map(|thought| {
                let both = [text(thought, "subject"), text(thought, "description")];
                both.map(str::trim).join("\n").trim().to_owned()
            })
            .collect();
        let parts = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        if thoughts.is_empty() {
            let parts = parts.iter().filter(|part| part["thought"] == true);
            thoughts.extend(parts.map(|part| text(part, "text").to_owned()));
        }
        for thought in thoughts {
            self.turns.thought(id, self.last, &thought);
        }
        let model = text(message, "model");
        self.turns
            .answer(id, self.last, model, &words(&message["content"]));
        let calls = message["toolCalls"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        for call in calls {
            self.call(call);
        }
        if calls.is_empty() {
            for part in parts {
                let call = &part["functionCall"];
                if call.is_object() {
                    let (id, arguments) = (call_id(call), call["args"].clone());
                    self.turns
                        .call(&id, self.last, text(call, "name"), arguments);
                }
            }
        }
        let tokens = &message["tokens"];
        let sum = |names: [&str; 2]| {
            let counts = names.iter().filter_map(|name| tokens[*name].as_u64());
            tokens.is_object().then(|| counts.sum())
        };
        let usage = Usage {
            input_tokens: sum(["input", "tool"]),
            output_tokens: sum(["output", "thoughts"]),
        };
        if usage != Usage::default() {
            self.turns.usage(usage);
        }
    }

    /// Takes a call with what came of it.
    fn call(&mut self, call: &Value) {
        let id = call_id(call);
        let ended = time(&call["timestamp"]).unwrap_or(self.last);
        self.turns.call(
            &id,
            self.last.min(ended),
            text(call, "name"),
            call["args"].clone(),
        );
        let (mut told, mut failed) = (Vec::new(), false);
        let result = match &call["result"] {
            Value::Array(parts) => parts.iter().collect(),
            result => vec![result],
        };
        for part in result {
            let (text, error) = outcome(part);
            told.push(text);
            failed |= error;
        }
        told.retain(|text| !text.trim().is_empty());
        if told.is_empty() {
            // What only the person was shown.
            let shown = &call["resultDisplay"];
            let shown = shown.as_str().or(shown["fileDiff"].as_str());
            told.extend(shown.map(str::to_owned));
        }
        let status = text(call, "status");
        let success = !failed && matches!(status, "success" | "");
        if told.is_empty() && !success {
            told.push(status.to_owned());
        }
        self.turns
            .observation(&id, ended, &told.join("\n\n"), success);
    }

    /// Takes what came of a call, where only a message tells it.
    fn result(&mut self, part: &Value) {
        let response = &part["functionResponse"];
        if response.is_object() && self.turns.awaits(&call_id(response)) {
            let (text, failed) = outcome(part);
            self.turns
                .observation(&call_id(response), self.last, &text, !failed);
        }
    }
}

/// Returns what a call is named by: old ones have no id.
fn call_id(call: &Value) -> String {
    let id = text(call, "id");
    let id = if id.is_empty() {
        text(call, "name")
    } else {
        id
    };
    id.to_owned()
}

/// Returns what a part says of a call, and whether it failed.
fn outcome(part: &Value) -> (String, bool) {
    let response = &part["functionResponse"]["response"];
    if !response.is_object() {
        return (words(part), false);
    }
    let error = response.get("error").is_some_and(|error| !error.is_null());
    let told = if error {
        &response["error"]
    } else {
        &response["output"]
    };
    let told = match told {
        Value::String(text) => text.clone(),
        Value::Null => json!(response).to_string(),
        other => other.to_string(),
    };
    (told, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_sessions_are_read_all_the_same() {
        let seed = concat!(
            r#"{"sessionId":"s","startTime":"2025-11-20T08:00:00Z"}"#,
            "\n",
            r#"{"id":"a","timestamp":"2025-11-20T08:00:01Z","type":"user","content":[{"text":"q"}],"displayContent":"q"}"#,
            "\n",
            r#"{"id":"b","type":"gemini","content":"r","toolCalls":[{"id":"c","name":"ls","args":{},"result":[{"functionResponse":{"response":{"error":"no"}}}]}]}"#,
            "\n",
            r#"{"$set":{"messages":[{"id":"c","type":"user","content":"more"}]}}"#,
            "\n",
            r#"{"$rewindTo":"c"}"#,
        );
        let read = |text: &str| {
            let mut session = Session::default();
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.for_each(|line| session.record(line));
            session.turns("s", &Map::new()).1.items
        };
        assert_eq!(read(seed).len(), 2);
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
