//! Spans of OpenTelemetry with the names of the semantic conventions for generative AI: a trace for each turn, in it the turn itself, below
//! it a span for each request to the model and for each call of a tool. As text, each line is a whole request of OTLP/JSON, as OTLP's file
//! exporter writes them and a collector takes them.
//!
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/>,
//! <https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>

mod asked;
mod receiver;
mod send;
mod wire;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Writer;
use crate::conversation::{Status, Step, cut};
use crate::store::{Interaction, Session};
use asked::{Asked, asked, ended_at, text};
use wire::{KeyValue, Kind, Request, Span, attribute};

pub use receiver::{Address, Protocol, Receiver};
pub use send::{Sent, send};

/// How many turns are in one request, and how many bytes about; some receivers take no more than a few megabytes.
const BATCH: usize = 100;
const ENOUGH: usize = 2 << 20;
/// The longest message of a failure, in characters.
const LONGEST_MESSAGE: usize = 1000;

/// Makes the spans of turns, and puts them into requests.
#[derive(Default)]
pub struct Spans {
    user: String,
    system: String,
    spans: Vec<Span>,
    turns: usize,
    bytes: usize,
}

impl Spans {
    pub fn session(&mut self, session: &Session, user: &str) {
        user.clone_into(&mut self.user);
        session.system_prompt.clone_into(&mut self.system);
    }

    /// Takes a turn, and returns a request when there is enough for one.
    pub fn turn(
        &mut self,
        turn: &Interaction,
        steps: &[Step],
        requests: &[String],
    ) -> Option<Request> {
        let mut spans = vec![self.whole(turn)];
        let asked = asked(turn, steps, requests, &self.system);
        let last = asked.len() - 1;
        for (at, asked) in asked.iter().enumerate() {
            spans.push(chat(turn, at, asked, at == last));
        }
        let actions = steps.iter().enumerate();
        spans.extend(actions.filter_map(|(at, step)| tool(turn, at, step)));
        self.bytes += spans.iter().map(Message::encoded_len).sum::<usize>();
        self.spans.extend(spans);
        self.turns += 1;
        let is_full = self.turns >= BATCH || self.bytes >= ENOUGH;
        is_full.then(|| self.end()).flatten()
    }

    /// Returns what is left, if anything is.
    pub fn end(&mut self) -> Option<Request> {
        let spans = std::mem::take(&mut self.spans);
        (self.turns, self.bytes) = (0, 0);
        if spans.is_empty() {
            return None;
        }
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            attribute("service.name", "allm"),
            attribute("service.version", version),
        ];
        let scope = wire::Scope {
            name: "allm".to_owned(),
            version: version.to_owned(),
        };
        Some(Request {
            resource_spans: vec![wire::ResourceSpans {
                resource: Some(wire::Resource { attributes }),
                scope_spans: vec![wire::ScopeSpans {
                    scope: Some(scope),
                    spans,
                }],
            }],
        })
    }

    /// Returns the span of a whole turn. Its tokens are told by the requests: who adds up spans would count them twice.
    fn whole(&self, turn: &Interaction) -> Span {
        let mut attributes = vec![
            attribute("gen_ai.operation.name", "invoke_agent"),
            attribute("gen_ai.agent.name", "allm"),
            attribute("allm.interaction.id", turn.interaction_id.as_str()),
            attribute("allm.interaction.status", turn.status.as_str()),
            attribute("user.name", self.user.as_str()),
        ];
        attributes.extend(common(turn));
        if !self.system.is_empty() {
            let instructions = json!([{"type": "text", "content": self.system}]);
            let instructions = instructions.to_string();
            attributes.push(attribute("gen_ai.system_instructions", instructions));
        }
        let asked = json!({"role": "user", "parts": Vec::from_iter(text(&turn.query))});
        attributes.push(messages("input", &[asked]));
        attributes.extend(answered(turn, Vec::from_iter(text(&turn.response)), true));
        attributes.extend(plain(turn));
        let took = TimeDelta::milliseconds(turn.duration_ms);
        let span = span(turn, "turn", turn.timestamp, turn.timestamp + took);
        Span {
            name: "invoke_agent allm".to_owned(),
            kind: Kind::Internal.into(),
            parent_span_id: Vec::new(),
            ..failed(span, failure(turn), "failed", attributes)
        }
    }
}

/// Writes requests as lines of text.
#[derive(Default)]
pub struct Lines(Spans);

impl Writer for Lines {
    fn session(&mut self, session: &Session, user: &str) -> Result<String> {
        self.0.session(session, user);
        Ok(String::new())
    }

    fn turn(&mut self, turn: &Interaction, steps: &[Step], requests: &[String]) -> Result<String> {
        line(self.0.turn(turn, steps, requests))
    }

    fn end(&mut self) -> Result<String> {
        line(self.0.end())
    }
}

fn line(request: Option<Request>) -> Result<String> {
    match request {
        Some(request) => Ok(serde_json::to_string(&request)? + "\n"),
        None => Ok(String::new()),
    }
}

/// Returns the span of a request. What the server counted, it counted for the turn: its last request tells it.
fn chat(turn: &Interaction, at: usize, asked: &Asked, is_last: bool) -> Span {
    let model = asked.body["model"].as_str().unwrap_or(&turn.model);
    let mut attributes = vec![attribute("gen_ai.operation.name", "chat")];
    attributes.extend(common(turn));
    for (name, names) in [
        ("temperature", &["temperature"][..]),
        ("top_p", &["top_p"][..]),
    ] {
        let value = asked.option(names).and_then(serde_json::Value::as_f64);
        attributes.extend(value.map(|value| attribute(&format!("gen_ai.request.{name}"), value)));
    }
    for (name, names) in [
        (
            "max_tokens",
            &["max_tokens", "max_completion_tokens", "num_predict"][..],
        ),
        ("seed", &["seed"][..]),
    ] {
        let value = asked.option(names).and_then(serde_json::Value::as_i64);
        attributes.extend(value.map(|value| attribute(&format!("gen_ai.request.{name}"), value)));
    }
    attributes.push(messages("input", &asked.input()));
    attributes.extend(answered(turn, asked.reply.clone(), is_last));
    if is_last {
        let finish = turn.finish_reason.as_deref();
        let finish = finish.filter(|_| turn.status == Status::Completed);
        let finish = finish.map(|finish| wire::Value::list([finish]));
        attributes.extend(finish.map(|finish| attribute("gen_ai.response.finish_reasons", finish)));
        let model = turn.answered_model.as_deref();
        attributes.extend(model.map(|model| attribute("gen_ai.response.model", model)));
        attributes.extend(plain(turn));
    }
    let usage = turn.usage().filter(|_| is_last).unwrap_or_default();
    for (name, tokens) in [
        ("gen_ai.usage.input_tokens", usage.input_tokens),
        ("gen_ai.usage.output_tokens", usage.output_tokens),
    ] {
        let tokens = tokens.and_then(|tokens| i64::try_from(tokens).ok());
        attributes.extend(tokens.map(|tokens| attribute(name, tokens)));
    }
    let span = span(turn, &format!("chat/{at}"), asked.begun, asked.ended);
    let failure = failure(turn).filter(|_| is_last);
    Span {
        name: format!("chat {model}").trim_end().to_owned(),
        kind: Kind::Client.into(),
        ..failed(span, failure, "failed", attributes)
    }
}

/// Returns the span of a step that called a tool.
fn tool(turn: &Interaction, at: usize, step: &Step) -> Option<Span> {
    let action = step.action.as_ref()?;
    let mut attributes = vec![
        attribute("gen_ai.operation.name", "execute_tool"),
        attribute("gen_ai.tool.name", action.name.as_str()),
        attribute("gen_ai.tool.type", "function"),
        attribute("gen_ai.conversation.id", turn.session_id.as_str()),
        attribute("gen_ai.tool.call.arguments", action.arguments.to_string()),
        attribute("gen_ai.tool.call.result", step.observation.as_str()),
    ];
    if !action.id.is_empty() {
        attributes.push(attribute("gen_ai.tool.call.id", action.id.as_str()));
    }
    if !step.thought.is_empty() {
        attributes.push(attribute("allm.thought", step.thought.as_str()));
    }
    let failure = (!step.success).then(|| step.error.clone().unwrap_or_default());
    let span = span(turn, &at.to_string(), step.started_at, ended_at(step));
    Some(Span {
        name: format!("execute_tool {}", action.name),
        kind: Kind::Internal.into(),
        ..failed(span, failure, "tool_error", attributes)
    })
}

/// Returns what is said of a turn as a whole and of each of its requests.
fn common(turn: &Interaction) -> Vec<KeyValue> {
    let known = [
        ("gen_ai.conversation.id", &turn.session_id),
        ("gen_ai.provider.name", &turn.provider),
        ("gen_ai.request.model", &turn.model),
    ];
    given(&known)
}

/// Returns attributes, but for those without a value.
fn given(values: &[(&str, &String)]) -> Vec<KeyValue> {
    let values = values.iter().filter(|(_, value)| !value.is_empty());
    let values = values.map(|(name, value)| attribute(name, value.as_str()));
    values.collect()
}

/// Returns why a turn failed, if it did.
fn failure(turn: &Interaction) -> Option<String> {
    let metadata: serde_json::Value = serde_json::from_str(&turn.metadata).unwrap_or_default();
    let why = metadata["error"].as_str().unwrap_or_default().to_owned();
    (turn.status == Status::Failed).then_some(why)
}

/// Returns a span with its attributes, and with its failure, if there is one; receivers count the kinds of it, so they are few.
fn failed(mut span: Span, failure: Option<String>, kind: &str, attributes: Vec<KeyValue>) -> Span {
    span.attributes = attributes;
    if let Some(why) = failure {
        span.attributes.push(attribute("error.type", kind));
        let why = cut(&why, LONGEST_MESSAGE);
        span.status = Some(wire::Status::error(&why));
    }
    span
}

/// Returns a span below that of the turn.
fn span(turn: &Interaction, what: &str, begun: DateTime<Utc>, ended: DateTime<Utc>) -> Span {
    let nanoseconds = |time: DateTime<Utc>| {
        let time = time.timestamp_nanos_opt().unwrap_or_default();
        u64::try_from(time).unwrap_or_default()
    };
    Span {
        trace_id: id(&turn.interaction_id, "trace", 16),
        span_id: id(&turn.interaction_id, what, 8),
        parent_span_id: id(&turn.interaction_id, "turn", 8),
        start_time_unix_nano: nanoseconds(begun),
        end_time_unix_nano: nanoseconds(ended),
        ..Span::default()
    }
}

/// Returns messages as the conventions have them, as JSON text.
fn messages(which: &str, messages: &[serde_json::Value]) -> KeyValue {
    let text = serde_json::Value::from(messages).to_string();
    attribute(&format!("gen_ai.{which}.messages"), text)
}

/// Returns the message that came back, if one did. Readers drop one that does not say why it ends there: a reply that is not the last
/// calls tools; of the last it may not be known.
fn answered(turn: &Interaction, parts: Vec<serde_json::Value>, is_last: bool) -> Option<KeyValue> {
    let finish = match turn.status {
        _ if !is_last => "tool_call",
        Status::Completed => turn.finish_reason.as_deref().unwrap_or("unknown"),
        Status::Interrupted => "interrupted",
        Status::Failed => "error",
    };
    let message = json!({"role": "assistant", "parts": parts, "finish_reason": finish});
    (!parts.is_empty()).then(|| messages("output", &[message]))
}

/// Returns question and answer as those read them who know no messages.
///
/// <https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md>
fn plain(turn: &Interaction) -> Vec<KeyValue> {
    let known = [
        ("input.value", &turn.query),
        ("output.value", &turn.response),
    ];
    given(&known)
}

/// Returns an id of so many bytes that follows from the turn's, so that spans that are sent again are the same ones.
fn id(turn: &str, what: &str, bytes: usize) -> Vec<u8> {
    let hash = Sha256::new()
        .chain_update(turn)
        .chain_update("/")
        .chain_update(what)
        .finalize();
    hash[..bytes].to_vec()
}
