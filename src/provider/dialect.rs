//! What a server refuses to be sent, and what it is sent instead: learnt from its refusals, for as long as the chat lives.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use super::said::Said;

/// What a request is nothing without; a server that takes no tools is asked in another way.
const NEEDED: [&str; 4] = ["model", "messages", "tools", "options"];
/// What a person sets to a number, which may be none that the model takes: that is theirs to mend.
const NUMBERS: [&str; 5] = [
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "top_p",
];
/// What a message is nothing without.
const NEEDED_IN_MESSAGES: [&str; 6] = [
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "tool_name",
    "name",
];

/// Holds what the models of a server refuse.
#[derive(Clone, Default)]
pub struct Dialects(Arc<Mutex<HashMap<String, Vec<Change>>>>);

impl Dialects {
    /// Returns a request as the model has turned out to take it.
    pub fn spoken(&self, model: &str, body: &Value) -> Value {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut body = body.clone();
        for change in known.get(model).into_iter().flatten() {
            change.apply(&mut body);
        }
        body
    }

    /// Learns from the refusal of a request; returns what is done about it, or nothing where that is not known.
    pub fn learn(&self, model: &str, said: &Said, sent: &Value) -> Option<String> {
        let change = role(said, sent).or_else(|| field(said, sent))?;
        let notice = change.to_string();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(model.to_owned()).or_default().push(change);
        Some(notice)
    }
}

/// Is one difference from what is sent to others. Each makes a request smaller or goes on to another form of it, so that this ends.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Without(String),
    Renamed(String, String),
    /// A field with a value of this kind gets another value.
    Instead(String, String, Value),
    WithoutInMessages(String),
    /// The role of the system prompt.
    Developer,
    /// Neighbours of one role become one message.
    Merged,
    /// The system prompt becomes the beginning of the first question, and neighbours of one role one message.
    BeforeQuestion,
}

impl Change {
    fn apply(&self, body: &mut Value) {
        let Some(fields) = body.as_object_mut() else {
            return;
        };
        match self {
            Change::Without(name) => {
                fields.shift_remove(name);
                if name == "stream" {
                    fields.shift_remove("stream_options");
                }
            }
            Change::Renamed(name, other) => {
                let renamed = std::mem::take(fields).into_iter();
                let rename = |field: String| if field == *name { other.clone() } else { field };
                fields.extend(renamed.map(|(field, value)| (rename(field), value)));
            }
            Change::Instead(name, of, other) => {
                if let Some(value) = fields.get_mut(name).filter(|value| kind(value) == *of) {
                    value.clone_from(other);
                }
            }
            Change::WithoutInMessages(name) => each_message(fields, |message| {
                message.shift_remove(name);
            }),
            Change::Developer => each_message(fields, |message| {
                if message["role"] == "system" {
                    message["role"] = json!("developer");
                }
            }),
            Change::Merged => merge(fields),
            Change::BeforeQuestion => {
                put_before_question(fields);
                merge(fields);
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Change::Without(name) | Change::WithoutInMessages(name) => {
                write!(f, "the server takes no `{name}`, so it is left out")
            }
            Change::Renamed(name, other) => {
                write!(
                    f,
                    "the server takes no `{name}`, so it is sent as `{other}`"
                )
            }
            Change::Instead(name, _, other) => write!(
                f,
                "the server does not take this `{name}`, so it is sent as `{}`",
                kind(other)
            ),
            Change::Developer => f.write_str(
                "the model takes no system role, so its prompt is sent with the role `developer`",
            ),
            Change::Merged => {
                f.write_str("the model wants the roles to alternate, so messages are joined")
            }
            Change::BeforeQuestion => f.write_str(
                "the model takes no system role, so its prompt is put before the first question",
            ),
        }
    }
}

/// Returns what kind of value a field has: the type that an object names, else the value itself.
fn kind(value: &Value) -> String {
    match value {
        Value::Object(fields) => match &fields.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            _ => "object".to_owned(),
        },
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn each_message(fields: &mut Map<String, Value>, mut change: impl FnMut(&mut Map<String, Value>)) {
    let messages = fields.get_mut("messages").and_then(Value::as_array_mut);
    let messages = messages.into_iter().flatten();
    messages
        .filter_map(Value::as_object_mut)
        .for_each(&mut change);
}

fn put_before_question(fields: &mut Map<String, Value>) {
    let Some(messages) = fields.get_mut("messages").and_then(Value::as_array_mut) else {
        return;
    };
    let (system, mut rest): (Vec<Value>, Vec<Value>) = std::mem::take(messages)
        .into_iter()
        .partition(|message| message["role"] == "system" || message["role"] == "developer");
    let mut texts: Vec<&str> = system
        .iter()
        .filter_map(|message| message["content"].as_str())
        .collect();
    let asked = rest.iter().position(|message| message["role"] == "user");
    if asked.is_none() {
        rest.insert(0, json!({"role": "user", "content": ""}));
    }
    let question = &mut rest[asked.unwrap_or_default()]["content"];
    texts.extend(question.as_str().filter(|text| !text.is_empty()));
    *question = json!(texts.join("\n\n"));
    *messages = rest;
}

fn merge(fields: &mut Map<String, Value>) {
    let Some(messages) = fields.get_mut("messages").and_then(Value::as_array_mut) else {
        return;
    };
    messages.dedup_by(|next, last| {
        let joined = match (
            are_neighbours(last, next),
            &last["content"],
            &next["content"],
        ) {
            (true, Value::String(text), Value::String(more)) => json!(format!("{text}\n\n{more}")),
            _ => return false,
        };
        last["content"] = joined;
        true
    });
}

/// Returns whether two messages are of one role, and of texts alone.
fn are_neighbours(one: &Value, next: &Value) -> bool {
    let is_plain =
        |message: &Value| message["content"].is_string() && message["tool_calls"].is_null();
    let role = &one["role"];
    (role == "user" || role == "assistant")
        && next["role"] == *role
        && is_plain(one)
        && is_plain(next)
}

/// Returns what to do about a role that is refused.
fn role(said: &Said, sent: &Value) -> Option<Change> {
    static ROLE: LazyLock<Regex> = LazyLock::new(|| {
        let (who, no) = (
            r#"(?:['"`](?:system|developer)['"`]|\b(?:system|developer)[ _](?:role|message|prompt|instruction)s?\b|\brole\W{1,4}(?:system|developer)\b)"#,
            r"(?:\bnot\b|n't\b|\bno\b|unsupported|unexpected|invalid|unknown|illegal|disallowed|disabled|forbidden|\bonly\b)",
        );
        form(&format!(
            r#"{who}.{{0,80}}{no}|{no}.{{0,80}}{who}|\broles?\b.{{0,60}}\balternat|\bonly ['"`]?user\b.{{0,60}}\bassistant|\b(?:start|begin) with (?:a |the )?['"`]?user|\bfirst message\b.{{0,30}}\buser\b"#
        ))
    });
    static NO_DEVELOPER: LazyLock<Regex> = LazyLock::new(|| {
        form(r"developer\W{0,3}(?:instruction|(?:role|message)?s?\W{0,3}(?:is|are)?\W{0,2}not\b)")
    });
    let message = &said.message;
    let names_role = |path: &String| path.starts_with("messages") && path.ends_with("role");
    if !ROLE.is_match(message) && !said.fields.iter().any(names_role) {
        return None;
    }
    let messages = sent["messages"].as_array()?;
    let has = |role: &str| messages.iter().any(|message| message["role"] == role);
    let neighbours = messages
        .windows(2)
        .any(|pair| are_neighbours(&pair[0], &pair[1]));
    if neighbours && message.contains("alternat") {
        return Some(Change::Merged);
    }
    if has("system") && message.contains("developer") && !NO_DEVELOPER.is_match(message) {
        return Some(Change::Developer);
    }
    (has("system") || has("developer")).then_some(Change::BeforeQuestion)
}

/// Returns what to do about a field that is refused.
fn field(said: &Said, sent: &Value) -> Option<Change> {
    let (fields, messages) = (sent.as_object()?, sent["messages"].as_array()?);
    let optional =
        |needed: &'static [&'static str]| move |name: &&String| !needed.contains(&name.as_str());
    let own: Vec<&String> = fields.keys().filter(optional(&NEEDED)).collect();
    let of_messages = messages
        .iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys);
    let of_messages: Vec<&String> = of_messages.filter(optional(&NEEDED_IN_MESSAGES)).collect();

    let as_such = said.fields.iter().find_map(|path| {
        let mut parts = path
            .split(['.', '[', ']', '/'])
            .filter(|part| !part.is_empty());
        match parts.find(|part| *part != "body")? {
            "messages" => {
                let last = parts.next_back()?;
                of_messages.iter().find(|name| **name == last)
            }
            first => own.iter().find(|name| **name == first),
        }
    });
    let name = match as_such {
        Some(name) => (*name).clone(),
        None => in_words(&said.message, own.iter().chain(&of_messages))?,
    };
    if NUMBERS.contains(&name.as_str()) && is_about_a_number(&said.message) {
        return None;
    }
    let Some(value) = fields.get(&name).filter(|_| name != "stream") else {
        return Some(match name.as_str() {
            "stream" => Change::Without(name),
            _ => Change::WithoutInMessages(name),
        });
    };
    Some(match plainer(&name, value) {
        Some(other) => Change::Instead(name, kind(value), other),
        None if name == "max_tokens" => Change::Renamed(name, other_name(&said.message)),
        None => Change::Without(name),
    })
}

/// Returns what to send where a value is refused, for those that have something between all and nothing.
fn plainer(name: &str, value: &Value) -> Option<Value> {
    match (name, kind(value).as_str()) {
        ("response_format", "json_schema") => Some(json!({"type": "json_object"})),
        ("format", _) if value.is_object() => Some(json!("json")),
        ("reasoning_effort", "none") => Some(json!("minimal")),
        ("reasoning_effort", "minimal") => Some(json!("low")),
        ("think", "low" | "medium" | "high") => Some(json!(true)),
        _ => None,
    }
}

/// Returns what `max_tokens` is called, where a server says so.
fn other_name(message: &str) -> String {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| form(r#"\buse (?:the )?['"`]?(max_\w*tokens)\b"#));
    let told = NAME.captures(message).map(|name| name[1].to_owned());
    told.filter(|name| name != "max_tokens")
        .unwrap_or_else(|| "max_completion_tokens".to_owned())
}

/// Returns the first of the names that a refusal has among its words.
fn in_words<'n>(message: &str, names: impl Iterator<Item = &'n &'n String>) -> Option<String> {
    static REFUSES: LazyLock<Regex> = LazyLock::new(|| {
        form(
            r"\b(?:un(?:supported|known|recogni[sz]ed|expected|permitted|available|able)|extra|additional|forbidden|invalid|illegal|only|deprecated|removed|cannot|can't|must (?:not|be)|should be|may not|disallowed|incompatible|disabled|instead|no longer)\b|\b(?:not|n't|no) (?:\w+ ){0,2}?(?:support|permit|allow|accept|recogni|implement|available|compatible|valid|enabled|expected|understood|known|defined|exist)|n't (?:\w+ )?(?:support|accept|allow|available|permitted|enabled)",
        )
    });
    if !REFUSES.is_match(message) {
        return None;
    }
    let position = |name: &String| {
        let forms = match name.as_str() {
            // A word that is in every other sentence.
            "stream" => r#"['"`]stream['"`]|\bstreaming"#.to_owned(),
            "response_format" => {
                r"response[_ -]?format|json[_ -]?(?:schema|object|mode)|structured outputs?"
                    .to_owned()
            }
            "think" | "reasoning_effort" => "reasoning(?:[_ -]?effort)?|think(?:ing)?".to_owned(),
            name => name.replace('_', "[_ -]?"),
        };
        let found = form(&format!(
            r"(?:\A|[^A-Za-z0-9_])(?:{forms})(?:[^A-Za-z0-9_]|\z)"
        ));
        found.find(message).map(|found| found.start())
    };
    let found = names.filter_map(|name| Some((position(name)?, name)));
    let (_, name) = found.min_by_key(|(at, _)| *at)?;
    Some((*name).clone())
}

/// Returns whether a refusal is of a number that is too large or too small, not of the field.
fn is_about_a_number(message: &str) -> bool {
    static RANGE: LazyLock<Regex> = LazyLock::new(|| {
        form(
            r"\btoo (?:large|high|small|low|big|long|many)\b|\b(?:less|lower|greater|higher|more|larger|smaller|fewer) than\b|\bat (?:most|least)\b|\bbetween\b|\brange\b|\bexceeds?\b|\b(?:maximum|minimum) (?:value|of|is)\b|[<>≤≥]|\bpositive\b|\bnon-?negative\b",
        )
    });
    static FIELD: LazyLock<Regex> = LazyLock::new(|| {
        form(r"unsupported|not (?:\w+ )?support|n't support|not compatible|default")
    });
    RANGE.is_match(message) && !FIELD.is_match(message)
}

fn form(form: &str) -> Regex {
    let mut builder = RegexBuilder::new(form);
    let form = builder.case_insensitive(true).dot_matches_new_line(true);
    form.build().expect("the form is tested")
}
