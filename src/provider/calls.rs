//! The calls of a message as they come: whole or in fragments, each server in its own way.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::attached::merge;
use super::stream::DecodeError;
use crate::conversation::{Attached, ToolCall};

/// The longest arguments of a call that are read, in bytes.
const LONGEST_ARGUMENTS: usize = 16 << 20;
/// Where the arguments of a call are, the usual name first.
const ARGUMENTS: [&str; 3] = ["arguments", "parameters", "input"];

/// Collects the calls of one message.
#[derive(Default)]
pub struct Calls(Vec<Call>);

#[derive(Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    /// JSON text, as far as it has come.
    arguments: String,
    attached: Attached,
}

/// Is what came of a call in one event.
struct Part<'p> {
    /// The index that the server gave.
    told: Option<u64>,
    id: &'p str,
    name: &'p str,
    arguments: Cow<'p, str>,
    /// The arguments came as an object and not as text, which may be a fragment.
    whole: bool,
}

/// Says what a part does to the arguments of the call that came before it at its place.
enum Joins {
    /// Nothing: it begins another call.
    Not,
    Adds,
    Replaces,
    /// It only says again what is known.
    Repeats,
}

/// Returns an id for a call that has none, in the one form that all servers take: Mistral wants just this many letters and digits.
pub fn fresh_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(9)
        .collect()
}

impl Calls {
    /// Returns whether no call has come.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what one event tells of a call; `position` stands for an index where there is none.
    pub fn add(&mut self, part: &Value, position: u64) -> Result<(), DecodeError> {
        // Some servers leave the wrapping out.
        let function = Some(&part["function"]).filter(|function| function.is_object());
        let function = function.unwrap_or(part);
        let found = ARGUMENTS
            .iter()
            .map(|name| &function[*name])
            .find(|value| !value.is_null());
        let told = part["index"].as_u64().or(function["index"].as_u64());
        let given = Part {
            told,
            id: part["id"].as_str().unwrap_or_default(),
            name: function["name"].as_str().unwrap_or_default(),
            arguments: match found {
                None => Cow::Borrowed(""),
                Some(Value::String(text)) => Cow::Borrowed(text),
                Some(value) => Cow::Owned(value.to_string()),
            },
            whole: found.is_some_and(Value::is_object),
        };
        let index = told.unwrap_or(position);
        let by_id = self.0.iter().rposition(|call| {
            !given.id.is_empty() && call.id == given.id && (told.is_none() || call.index == index)
        });
        let known = by_id.or_else(|| self.0.iter().rposition(|call| call.index == index));
        let joins = known.map_or(Joins::Not, |at| self.0[at].joins(&given));
        let call = match (joins, known) {
            (Joins::Not, _) | (_, None) => {
                self.0.push(Call {
                    index,
                    // A server that gives no ids may leave out the name of a call like the last.
                    name: known
                        .filter(|_| given.id.is_empty())
                        .map_or_else(String::new, |at| self.0[at].name.clone()),
                    arguments: given.arguments.into_owned(),
                    ..Call::default()
                });
                let call = self.0.last_mut().expect("it was pushed");
                if !given.name.is_empty() {
                    given.name.clone_into(&mut call.name);
                }
                call
            }
            (joins, Some(at)) => {
                let call = &mut self.0[at];
                call.rename(given.name);
                match joins {
                    Joins::Adds => call.arguments.push_str(&given.arguments),
                    Joins::Replaces => call.arguments = given.arguments.into_owned(),
                    Joins::Not | Joins::Repeats => {}
                }
                call
            }
        };
        if call.id.is_empty() {
            given.id.clone_into(&mut call.id);
        }
        call.keep(part, function);
        if call.arguments.len() > LONGEST_ARGUMENTS {
            let reason = "the arguments of a call do not end";
            return Err(DecodeError::Malformed(reason.to_owned()));
        }
        Ok(())
    }

    /// Returns the calls that have come, each with an id of its own.
    pub fn take(&mut self) -> Vec<ToolCall> {
        let mut calls: Vec<ToolCall> = Vec::new();
        for call in std::mem::take(&mut self.0) {
            if call.name.is_empty() && call.arguments.is_empty() && call.attached.is_empty() {
                continue;
            }
            // Else what two tools say could not be told apart.
            let taken = call.id.is_empty() || calls.iter().any(|other| other.id == call.id);
            calls.push(ToolCall {
                id: if taken { fresh_id() } else { call.id },
                name: call.name,
                arguments: read(&call.arguments),
                attached: call.attached,
            });
        }
        calls
    }
}

impl Call {
    /// Returns what a part does that has the place of this call.
    fn joins(&self, part: &Part<'_>) -> Joins {
        let is_same = !part.id.is_empty() && part.id == self.id;
        let is_other = !part.id.is_empty() && !self.id.is_empty() && !is_same;
        let renames =
            !part.name.is_empty() && !self.name.is_empty() && !part.name.starts_with(&self.name);
        let (blank, begins) = (is_blank(&part.arguments), is_start(&part.arguments));
        if is_other && (!part.name.is_empty() || is_complete(&self.arguments)) {
            return Joins::Not;
        }
        if is_blank(&self.arguments) {
            // A name may come in pieces, but not one that brings all else.
            let in_pieces = part.told.is_some() && !(begins && is_complete(&part.arguments));
            return match renames && !is_same && !in_pieces {
                true => Joins::Not,
                false => Joins::Replaces,
            };
        }
        if blank {
            return match renames {
                true => Joins::Not,
                false => Joins::Repeats,
            };
        }
        if begins && is_complete(&self.arguments) {
            let (known, new) = (read(&self.arguments), read(&part.arguments));
            let nothing = json!({});
            return match () {
                () if renames => Joins::Not,
                // What stood there before the arguments came.
                () if known == nothing && new != nothing => Joins::Replaces,
                () if (known == new || new == nothing) && (is_same || part.name.is_empty()) => {
                    Joins::Repeats
                }
                () => Joins::Not,
            };
        }
        match () {
            () if renames => Joins::Not,
            // Some say all that they have said so far each time.
            () if part.whole || begins && part.arguments.starts_with(&self.arguments) => {
                Joins::Replaces
            }
            () => Joins::Adds,
        }
    }

    /// Takes a name, or a piece of one; some servers say it again with every fragment.
    fn rename(&mut self, name: &str) {
        if name.starts_with(&self.name) {
            name.clone_into(&mut self.name);
        } else if is_blank(&self.arguments) {
            self.name.push_str(name);
        }
    }

    /// Keeps what is nothing to us, and may be something to the server.
    fn keep(&mut self, part: &Value, function: &Value) {
        let known = |name: &str| {
            matches!(name, "id" | "type" | "index" | "function" | "name")
                || ARGUMENTS.contains(&name)
        };
        let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
        for (name, value) in fields(part) {
            if !known(&name) {
                merge(&mut self.attached, &name, value);
            }
        }
        if part["function"].is_object() {
            let inner: Attached = fields(function)
                .into_iter()
                .filter(|(name, value)| !known(name) && !value.is_null())
                .collect();
            if !inner.is_empty() {
                merge(&mut self.attached, "function", Value::Object(inner));
            }
        }
    }
}

fn is_blank(arguments: &str) -> bool {
    let text = arguments.trim();
    text.is_empty() || text == "null"
}

fn is_start(arguments: &str) -> bool {
    arguments.trim_start().starts_with('{')
}

fn is_complete(arguments: &str) -> bool {
    arguments.trim_end().ends_with(['}', '"'])
        && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

/// Reads the arguments of a call: JSON, which some encode twice. What is none stays text.
pub fn read(arguments: &str) -> Value {
    let text = arguments.trim();
    if is_blank(text) {
        return json!({});
    }
    match serde_json::from_str(text) {
        Ok(Value::String(inner)) => read(&inner),
        Ok(value) => value,
        Err(_) => Value::String(text.to_owned()),
    }
}
