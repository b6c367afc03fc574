//! The lines of an answer: server-sent events (<https://platform.openai.com/docs/api-reference/chat-streaming>).

use serde_json::{Deserializer, Value, json};

use super::content::{self, Part};
use super::thought::Thought;
use crate::conversation::{Finish, Usage};
use crate::provider::calls::Calls;
use crate::provider::said::{Said, find, read};
use crate::provider::stream::{Decode, DecodeError};
use crate::provider::{ChatEvent, End};

/// The longest data of one event, in bytes.
const LONGEST_DATA: usize = 16 << 20;

/// Decodes the lines of an answer, server-sent events with one JSON object each; an object that comes without an event will do.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact about the answer so far"
)]
pub struct Decoder {
    calls: Calls,
    thought: Thought,
    end: End,
    /// The model has said why it does not answer.
    refused: bool,
    /// Something of the answer has come.
    spoke: bool,
    /// The choice that is read, by its index; a server is asked for one.
    choice: Option<u64>,
    /// What is decoded and not handed over yet.
    ready: Vec<ChatEvent>,
    /// Data that go on in the next line.
    held: String,
    /// What is held is no event.
    bare: bool,
    /// The event that comes is an error, whatever its data look like.
    fails: bool,
    begun: bool,
}

impl Decoder {
    /// Takes the data of an event, or a line of them.
    fn data(&mut self, text: &str) -> Result<(), DecodeError> {
        if self.held.is_empty() {
            return self.documents(text);
        }
        if self.held.len() + text.len() > LONGEST_DATA {
            return Err(DecodeError::Malformed("the data do not end".to_owned()));
        }
        self.held.push('\n');
        self.held.push_str(text);
        Ok(())
    }

    /// Reads what is held; there is no more of it.
    fn release(&mut self) -> Result<(), DecodeError> {
        let held = std::mem::take(&mut self.held);
        self.documents(&held)?;
        match std::mem::take(&mut self.held) {
            rest if rest.is_empty() => Ok(()),
            rest if self.fails => Err(DecodeError::Reported(Said::from(&*rest))),
            _ => Err(DecodeError::Malformed("the data are cut off".to_owned())),
        }
    }

    /// Reads one JSON document after the other; there may be several where their events were not kept apart.
    fn documents(&mut self, text: &str) -> Result<(), DecodeError> {
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            rest = rest.strip_prefix("data:").unwrap_or(rest).trim_start();
            if rest.is_empty() {
                return Ok(());
            }
            if rest.starts_with("[DONE]") {
                self.close();
                return Ok(());
            }
            let mut documents = Deserializer::from_str(rest).into_iter::<Value>();
            match documents.next() {
                None => return Ok(()),
                Some(Ok(document)) => {
                    rest = &rest[documents.byte_offset()..];
                    self.begun = true;
                    self.document(&document)?;
                }
                Some(Err(error)) if error.is_eof() => {
                    rest.clone_into(&mut self.held);
                    return Ok(());
                }
                Some(Err(_)) if self.fails => return Err(DecodeError::Reported(rest.into())),
                Some(Err(error)) => return Err(DecodeError::Malformed(error.to_string())),
            }
        }
    }

    fn document(&mut self, document: &Value) -> Result<(), DecodeError> {
        let said = find(document).or_else(|| coded(document));
        if let Some(said) = said.or_else(|| self.fails.then(|| read(&document.to_string()))) {
            return Err(DecodeError::Reported(said));
        }
        if let Value::Array(documents) = document {
            return documents
                .iter()
                .try_for_each(|document| self.document(document));
        }
        if let (true, Some(model)) = (self.end.model.is_empty(), document["model"].as_str()) {
            model.clone_into(&mut self.end.model);
        }
        self.count(&document["x_groq"]["usage"]);
        self.count(&document["usage"]);
        let mut whole = false;
        for choice in document["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().or(self.choice).unwrap_or_default();
            if *self.choice.get_or_insert(index) == index {
                whole |= self.read(choice)?;
            }
        }
        if whole {
            self.close();
        }
        Ok(())
    }

    /// Takes the numbers of tokens that are told, in any of the names that are in use.
    fn count(&mut self, usage: &Value) {
        let number = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
        let input = number(["prompt_tokens", "input_tokens"]);
        let output = number(["completion_tokens", "output_tokens"]);
        if input.or(output).is_some() {
            let known = self.end.usage.unwrap_or_default();
            self.end.usage = Some(Usage {
                input_tokens: input.or(known.input_tokens),
                output_tokens: output.or(known.output_tokens),
            });
        }
    }

    /// Reads a choice, and returns whether it is all of the answer.
    fn read(&mut self, choice: &Value) -> Result<bool, DecodeError> {
        if let Some(said) = find(choice) {
            return Err(DecodeError::Reported(said));
        }
        self.count(&choice["usage"]);
        // A server that does not stream sends the whole message at once; one that does may show it as well.
        let whole = choice["message"].is_object() && !choice["delta"].is_object();
        let message = match whole {
            true => &choice["message"],
            false => &choice["delta"],
        };
        if !(whole && self.spoke) {
            self.message(message)?;
        }
        // Some servers have an empty reason in each event.
        let reason = choice["finish_reason"].as_str().unwrap_or_default();
        self.end.finish = Finish::read(reason).or(self.end.finish.take());
        Ok(whole)
    }

    fn message(&mut self, message: &Value) -> Result<(), DecodeError> {
        let before = self.ready.len();
        let thoughts = self.thought.hear(message).into_iter();
        self.ready.extend(thoughts.map(ChatEvent::Reasoning));
        let mut called = Vec::new();
        for part in content::parts(&message["content"]) {
            match part {
                Part::Text(text) => self.ready.push(ChatEvent::Text(text)),
                Part::Thought(text) => self.ready.push(ChatEvent::Reasoning(text)),
                Part::Refusal(text) => self.refuse(&text),
                Part::Call(call) => called.push(call),
            }
        }
        self.refuse(message["refusal"].as_str().unwrap_or_default());
        match &message["tool_calls"] {
            Value::Array(calls) => called.extend(calls),
            call => called.extend(Some(call).filter(|call| call.is_object())),
        }
        // The older form has one call, and stands beside the newer one at some servers.
        let older = json!({"function": message["function_call"]});
        if called.is_empty() && older["function"].is_object() {
            called.push(&older);
        }
        for (part, position) in called.into_iter().zip(0..) {
            self.calls.add(part, position)?;
        }
        self.spoke |= self.ready.len() > before || !self.calls.is_empty();
        Ok(())
    }

    fn refuse(&mut self, text: &str) {
        if !text.is_empty() {
            self.refused = true;
            self.ready.push(ChatEvent::Text(text.to_owned()));
        }
    }

    fn close(&mut self) {
        let calls = self.calls.take();
        let mut end = std::mem::take(&mut self.end);
        end.attached = std::mem::take(&mut self.thought).attached(!calls.is_empty());
        if self.refused {
            end.finish = Some(Finish::Refusal);
        }
        self.ready
            .extend(calls.into_iter().map(ChatEvent::ToolCall));
        self.ready.push(ChatEvent::Done(end));
    }
}

/// Reads the error of a server that calls none so, but has a code beside its words.
fn coded(document: &Value) -> Option<Said> {
    let fails = match &document["code"] {
        Value::Number(code) => code.as_i64().is_none_or(|code| code >= 400),
        code => code.as_str().is_some_and(|code| !code.is_empty()),
    };
    let words = ["message", "msg", "detail"];
    let tells = words.iter().any(|name| document[*name].is_string());
    (fails && tells && document["choices"].is_null()).then(|| read(&document.to_string()))
}

impl Decode for Decoder {
    fn line(&mut self, line: &str) -> Result<Vec<ChatEvent>, DecodeError> {
        let text = line.trim();
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        match field {
            _ if self.bare => {
                self.data(text)?;
                // Its last line is not indented; what looks like it and is not is held again.
                if line.starts_with(['}', ']']) {
                    self.bare = false;
                    let held = std::mem::take(&mut self.held);
                    self.documents(&held)?;
                    self.bare = !self.held.is_empty();
                }
            }
            "" if text.is_empty() => {
                self.release()?;
                self.fails = false;
            }
            "data" => self.data(value.trim())?,
            "event" => self.fails = value.trim() == "error",
            "error" => return Err(DecodeError::Reported(read(value.trim()))),
            "" | "id" | "retry" => {}
            _ if text.starts_with(['{', '[']) => {
                self.data(text)?;
                self.bare = !self.held.is_empty();
            }
            // Fields that nobody knows are to be passed over.
            _ if self.begun && field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {}
            _ => return Err(DecodeError::Malformed("not a server-sent event".to_owned())),
        }
        Ok(std::mem::take(&mut self.ready))
    }

    fn end(&mut self) -> Result<Vec<ChatEvent>, DecodeError> {
        // What is cut off here is cut off by the connection.
        if !self.is_finished()
            && let Err(error @ DecodeError::Reported(_)) = self.release()
        {
            return Err(error);
        }
        // Some servers leave out `[DONE]`.
        if self.is_finished() {
            self.close();
        }
        Ok(std::mem::take(&mut self.ready))
    }

    fn is_finished(&self) -> bool {
        self.end.finish.is_some()
    }
}
