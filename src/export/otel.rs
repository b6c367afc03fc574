//! Spans of OpenTelemetry as OTLP/JSON, with the names of the semantic conventions for generative AI: a trace for each turn, in it the
//! turn itself and a span for each call of a tool. Each line is a whole request, as OTLP's file exporter writes them and a collector
//! takes them.
//!
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/>,
//! <https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Writer;
use crate::conversation::{Status, Step};
use crate::store::{Interaction, Session};

/// How many turns are in one request.
const BATCH: usize = 100;
/// Kinds and codes of OTLP.
const INTERNAL: u8 = 1;
const FINE: u8 = 1;
const FAILED: u8 = 2;

/// Writes requests.
#[derive(Default)]
pub struct Otel {
    user: String,
    system: String,
    spans: Vec<Value>,
    turns: usize,
}

impl Writer for Otel {
    fn session(&mut self, session: &Session, user: &str) -> Result<String> {
        user.clone_into(&mut self.user);
        session.system_prompt.clone_into(&mut self.system);
        Ok(String::new())
    }

    fn turn(&mut self, turn: &Interaction, steps: &[Step]) -> Result<String> {
        self.spans.push(self.span(turn));
        let actions = steps.iter().enumerate();
        let spans = actions.filter_map(|(at, step)| tool(turn, at, step));
        self.spans.extend(spans);
        self.turns += 1;
        if self.turns < BATCH {
            return Ok(String::new());
        }
        self.end()
    }

    fn end(&mut self) -> Result<String> {
        let spans = std::mem::take(&mut self.spans);
        self.turns = 0;
        if spans.is_empty() {
            return Ok(String::new());
        }
        let version = env!("CARGO_PKG_VERSION");
        let resource = json!({"attributes": [
            attribute("service.name", "allm".into()),
            attribute("service.version", version.into()),
        ]});
        let scope = json!({"scope": {"name": "allm", "version": version}, "spans": spans});
        let request = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]});
        Ok(format!("{request}\n"))
    }
}

impl Otel {
    /// Returns the span of a turn.
    fn span(&self, turn: &Interaction) -> Value {
        let mut attributes = vec![
            attribute("gen_ai.operation.name", "invoke_agent".into()),
            attribute("gen_ai.agent.name", "allm".into()),
            attribute("gen_ai.conversation.id", turn.session_id.clone().into()),
            attribute("allm.interaction.id", turn.interaction_id.clone().into()),
            attribute("user.name", self.user.clone().into()),
            attribute(
                "gen_ai.input.messages",
                messages("user", &turn.query).into(),
            ),
            attribute(
                "gen_ai.output.messages",
                messages("assistant", &turn.response).into(),
            ),
        ];
        let mut known = |name: &str, value: &str| {
            if !value.is_empty() {
                attributes.push(attribute(name, value.into()));
            }
        };
        known("gen_ai.provider.name", &turn.provider);
        known("gen_ai.request.model", &turn.model);
        if !self.system.is_empty() {
            let instructions = json!([{"type": "text", "content": self.system}]);
            known("gen_ai.system_instructions", &instructions.to_string());
        }
        if turn.status != Status::Completed {
            known("error.type", turn.status.as_str());
        }
        let usage = turn.usage().unwrap_or_default();
        for (name, tokens) in [
            ("gen_ai.usage.input_tokens", usage.input_tokens),
            ("gen_ai.usage.output_tokens", usage.output_tokens),
        ] {
            attributes.extend(tokens.map(|tokens| attribute(name, tokens.into())));
        }
        let took = TimeDelta::milliseconds(turn.duration_ms);
        let failed = turn.status == Status::Failed;
        let name = "invoke_agent allm";
        let ids = (id(&turn.interaction_id, "turn", 8), None);
        span(turn, ids, name, turn.timestamp, took, failed, &attributes)
    }
}

/// Returns the span of a step that called a tool.
fn tool(turn: &Interaction, at: usize, step: &Step) -> Option<Value> {
    let action = step.action.as_ref()?;
    let mut attributes = vec![
        attribute("gen_ai.operation.name", "execute_tool".into()),
        attribute("gen_ai.tool.name", action.name.clone().into()),
        attribute("gen_ai.tool.type", "function".into()),
        attribute("gen_ai.conversation.id", turn.session_id.clone().into()),
        attribute(
            "gen_ai.tool.call.arguments",
            action.arguments.to_string().into(),
        ),
        attribute("gen_ai.tool.call.result", step.observation.clone().into()),
    ];
    if !step.success {
        let error = step.error.clone().unwrap_or_else(|| "failed".to_owned());
        attributes.push(attribute("error.type", error.into()));
    }
    if !step.thought.is_empty() {
        attributes.push(attribute("allm.thought", step.thought.clone().into()));
    }
    let own = id(&turn.interaction_id, &at.to_string(), 8);
    let took = TimeDelta::milliseconds(i64::try_from(step.duration_ms).unwrap_or_default());
    let name = format!("execute_tool {}", action.name);
    let ids = (own, Some(id(&turn.interaction_id, "turn", 8)));
    Some(span(
        turn,
        ids,
        &name,
        step.started_at,
        took,
        !step.success,
        &attributes,
    ))
}

fn span(
    turn: &Interaction,
    (own, parent): (String, Option<String>),
    name: &str,
    begun: DateTime<Utc>,
    took: TimeDelta,
    failed: bool,
    attributes: &[Value],
) -> Value {
    // Nanoseconds do not fit into the numbers of JSON.
    let nanoseconds = |time: DateTime<Utc>| {
        let time = time.timestamp_nanos_opt().unwrap_or_default().max(0);
        time.to_string()
    };
    let mut span = json!({
        "traceId": id(&turn.interaction_id, "trace", 16),
        "spanId": own,
        "name": name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(begun),
        "endTimeUnixNano": nanoseconds(begun + took),
        "attributes": attributes,
        "status": {"code": if failed { FAILED } else { FINE }},
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.into();
    }
    span
}

/// Returns messages in the form of the conventions, as JSON text.
fn messages(role: &str, text: &str) -> String {
    let mut message = json!({"role": role, "parts": [{"type": "text", "content": text}]});
    if role == "assistant" {
        message["finish_reason"] = "stop".into();
    }
    json!([message]).to_string()
}

fn attribute(key: &str, value: Value) -> Value {
    let value = match value {
        // Integers are text: they may be longer than JSON's.
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": key, "value": value})
}

/// Returns an id of so many bytes, in hexadecimal, that follows from the turn's.
fn id(turn: &str, what: &str, bytes: usize) -> String {
    let hash = Sha256::new()
        .chain_update(turn)
        .chain_update("/")
        .chain_update(what)
        .finalize();
    let mut id = String::new();
    for byte in hash.iter().take(bytes) {
        id.push_str(&format!("{byte:02x}"));
    }
    id
}
