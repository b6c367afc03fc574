//! Tells the requests of a turn apart: what the model was sent with each, in the form of the conventions, and what it replied.
//!
//! What it replied stands in the request after, which goes on from there; only what it said last is the turn's answer.
//!
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::conversation::Step;
use crate::store::Interaction;

/// Holds one request and what came of it.
pub struct Asked {
    /// The body as it was sent; of a turn that was brought in, what can be told of it.
    pub body: Value,
    /// What the message is made of that came back.
    pub reply: Vec<Value>,
    pub begun: DateTime<Utc>,
    pub ended: DateTime<Utc>,
}

impl Asked {
    /// Returns the messages that were sent.
    pub fn input(&self) -> Vec<Value> {
        messages(&self.body).iter().map(message).collect()
    }

    /// Returns an option of the request by any of its names: one server has options by themselves, others beside the messages.
    pub fn option(&self, names: &[&str]) -> Option<&Value> {
        let places = [&self.body, &self.body["options"]].into_iter();
        let mut values = places.flat_map(|place| names.iter().map(|name| &place[*name]));
        values.find(|value| value.is_number())
    }
}

/// Returns the requests of a turn; one that has none stored is taken for a single one.
pub fn asked(
    turn: &Interaction,
    mut steps: &[Step],
    requests: &[String],
    system: &str,
) -> Vec<Asked> {
    let read = |body: &String| serde_json::from_str(body).unwrap_or_default();
    let mut bodies: Vec<Value> = requests.iter().map(read).collect();
    if bodies.is_empty() {
        let mut messages = vec![json!({"role": "user", "content": turn.query})];
        if !system.is_empty() {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        bodies.push(json!({"messages": messages}));
    }
    let is_known = !requests.is_empty();
    let mut begun = turn.timestamp;
    let mut asked = Vec::new();
    for (at, body) in bodies.iter().enumerate() {
        let next = bodies.get(at + 1);
        let replied = next.and_then(|next| replied(body, next));
        let actions = match (replied, next) {
            (Some(replied), _) => calls(replied).len().max(1),
            // It was sent again, in another form.
            (None, Some(_)) => 0,
            (None, None) => usize::MAX,
        };
        let own = take(&mut steps, actions);
        let acted = || own.iter().filter(|step| step.action.is_some() && is_known);
        let mut reply = match replied {
            Some(replied) => parts(replied),
            None if next.is_some() => Vec::new(),
            None => {
                let calls = acted().filter_map(|step| step.action.as_ref());
                let calls = calls.map(|call| told(&call.id, &call.name, &call.arguments));
                text(&turn.response).into_iter().chain(calls).collect()
            }
        };
        // What was thought before a tool stands with the tool where the request is not known.
        let thought = own.iter().filter(|step| is_known || step.action.is_none());
        add_thoughts(&mut reply, thought);
        let ended = match (acted().next(), next) {
            (Some(step), _) => step.started_at,
            (None, Some(_)) => begun,
            (None, None) => turn.timestamp + TimeDelta::milliseconds(turn.duration_ms),
        };
        asked.push(Asked {
            body: body.clone(),
            reply,
            begun,
            ended: ended.max(begun),
        });
        begun = acted().map(ended_at).fold(begun.max(ended), Ord::max);
    }
    asked
}

/// Returns when a step ended.
pub fn ended_at(step: &Step) -> DateTime<Utc> {
    let took = i64::try_from(step.duration_ms).unwrap_or_default();
    step.started_at + TimeDelta::try_milliseconds(took).unwrap_or_default()
}

fn messages(body: &Value) -> &[Value] {
    body["messages"].as_array().map_or(&[], Vec::as_slice)
}

fn calls(message: &Value) -> &[Value] {
    message["tool_calls"].as_array().map_or(&[], Vec::as_slice)
}

/// Returns what a model replied to a request, as the next one repeats it; none where that goes no further.
fn replied<'b>(body: &'b Value, next: &'b Value) -> Option<&'b Value> {
    let last = |body: &'b Value| {
        let mut messages = messages(body).iter().rev();
        messages.find(|message| message["role"] == "assistant")
    };
    let is_longer = messages(next).len() > messages(body).len();
    last(next).filter(|_| is_longer || last(next) != last(body))
}

/// Takes the first steps, up to so many with an action.
fn take<'s>(steps: &mut &'s [Step], actions: usize) -> &'s [Step] {
    let mut left = actions;
    let is_full = |step: &Step| {
        left = left.saturating_sub(usize::from(step.action.is_some()));
        left == 0
    };
    let taken = if actions == 0 {
        0
    } else {
        let full = steps.iter().position(is_full);
        full.map_or(steps.len(), |at| at + 1)
    };
    let (own, rest) = steps.split_at(taken);
    *steps = rest;
    own
}

/// Puts what the model thought before what it said, where it is not among it.
fn add_thoughts<'s>(parts: &mut Vec<Value>, steps: impl Iterator<Item = &'s Step>) {
    if parts.iter().any(|part| part["type"] == "reasoning") {
        return;
    }
    let texts = parts.iter().filter_map(|part| part["content"].as_str());
    let said: String = texts.collect::<Vec<_>>().join("\n");
    let thoughts = steps.map(|step| {
        let thought = step.thought.trim();
        thought.strip_suffix(said.trim()).unwrap_or(thought).trim()
    });
    let thoughts = thoughts.filter(|thought| !thought.is_empty() && !said.contains(thought));
    let thoughts = thoughts.map(|thought| json!({"type": "reasoning", "content": thought}));
    let thoughts: Vec<Value> = thoughts.collect();
    parts.splice(0..0, thoughts);
}

/// Returns a text as a part of a message, if there is any.
pub fn text(content: &str) -> Option<Value> {
    (!content.is_empty()).then(|| json!({"type": "text", "content": content}))
}

/// Returns a call as a part of a message.
fn told(id: &str, name: &str, arguments: &Value) -> Value {
    let mut call = json!({"type": "tool_call", "name": name, "arguments": arguments});
    if !id.is_empty() {
        call["id"] = id.into();
    }
    call
}

fn message(message: &Value) -> Value {
    json!({"role": message["role"], "parts": parts(message)})
}

/// Returns what a message of a request is made of.
fn parts(message: &Value) -> Vec<Value> {
    if message["role"] == "tool" {
        let mut part = json!({"type": "tool_call_response", "response": message["content"]});
        if !message["tool_call_id"].is_null() {
            part["id"] = message["tool_call_id"].clone();
        }
        return vec![part];
    }
    let names = ["reasoning_content", "reasoning", "thinking"];
    let thought = names.iter().find_map(|name| message[*name].as_str());
    let thought = thought.filter(|thought| !thought.is_empty());
    let mut parts: Vec<Value> = thought
        .map(|thought| json!({"type": "reasoning", "content": thought}))
        .into_iter()
        .collect();
    match &message["content"] {
        Value::String(content) => parts.extend(text(content)),
        Value::Array(pieces) => parts.extend(pieces.iter().filter_map(|piece| {
            let content = piece["text"].as_str();
            content.map_or_else(|| Some(piece.clone()), text)
        })),
        _ => {}
    }
    parts.extend(calls(message).iter().map(|call| {
        let function = &call["function"];
        let arguments = match &function["arguments"] {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            arguments => arguments.clone(),
        };
        let id = call["id"].as_str().unwrap_or_default();
        told(
            id,
            function["name"].as_str().unwrap_or_default(),
            &arguments,
        )
    }));
    parts
}
