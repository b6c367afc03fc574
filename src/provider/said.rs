//! What a server says when it refuses or fails, in whatever form.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use serde_json::{Map, Value};

use crate::conversation::cut;

/// The longest text of a server that is shown, in characters.
const LONGEST: usize = 300;

/// Holds what a server says of a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    pub message: String,
    /// The server's names for it, where there are any.
    pub code: String,
    /// The fields of the request that it names as such, each as a path with dots.
    pub fields: Vec<String>,
    /// The tokens of the model's window, where they are told.
    pub window: Option<u32>,
    /// How long it wants to be left alone.
    pub wait: Option<Duration>,
}

impl From<&str> for Said {
    fn from(text: &str) -> Said {
        Said {
            message: text.trim().to_owned(),
            wait: wait(text),
            ..Said::default()
        }
    }
}

impl Said {
    /// Returns the message as it is shown.
    pub fn shown(&self) -> String {
        cut(&self.message, LONGEST)
    }
}

/// Finds the error in a JSON document, if it is one: `{"error": "…"}`, `{"error": {"message": "…"}}`, `{"object": "error", "message":
/// "…"}`, or a list of these.
pub fn find(json: &Value) -> Option<Said> {
    let document = json.get(0).unwrap_or(json);
    let is_error = |name: &str| document[name] == "error";
    match &document["error"] {
        Value::Null | Value::Bool(false) if !is_error("object") && !is_error("type") => None,
        Value::Object(fields) if fields.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        _ => said(json),
    }
}

/// Reads the body of a response that is no success: JSON, a page, or plain text.
pub fn read(body: &str) -> Said {
    let json: Option<Value> = serde_json::from_str(body).ok();
    json.as_ref()
        .and_then(said)
        .unwrap_or_else(|| Said::from(title(body).unwrap_or(body)))
}

/// Returns what a page is called.
fn title(body: &str) -> Option<&str> {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?is)\A\s*<.*<title>\s*([^<]*\S)\s*</title>").expect("the form is tested")
    });
    Some(TITLE.captures(body)?.get(1)?.as_str())
}

/// Reads what an error holds; one without a message is told as it is.
fn said(error: &Value) -> Option<Said> {
    let mut said = Said {
        message: message(error).filter(|text| !text.is_empty())?,
        ..Said::default()
    };
    collect(error, &mut said);
    said.wait = said.wait.or_else(|| wait(&said.message));
    Some(said)
}

/// Returns the words of an error, unpacked: gateways say that there was an error, and within that what the error was, as JSON or as
/// JSON in a text.
fn message(error: &Value) -> Option<String> {
    match error {
        Value::String(text) => Some(text_of(text)),
        Value::Array(errors) => Some(joined(errors.iter().filter_map(message), "; ")),
        Value::Object(fields) if !fields.is_empty() => Some(match words(fields) {
            words if words.is_empty() => error.to_string(),
            words => words,
        }),
        _ => None,
    }
}

/// Returns what the fields of an error say, from the general to the particular.
fn words(fields: &Map<String, Value>) -> String {
    let names = [
        "title",
        "error",
        "message",
        "Message",
        "msg",
        "detail",
        "errors",
        "description",
        "reason",
        "error_description",
        "error_message",
    ];
    let parts = names.into_iter().filter_map(|name| fields.get(name));
    let behind = fields.get("metadata").and_then(|more| more.get("raw"));
    let told = joined(parts.chain(behind).filter_map(message), ": ");
    match place(fields) {
        Some(place) if !told.is_empty() && !place.is_empty() => format!("{place}: {told}"),
        _ => told,
    }
}

/// Joins texts; what has been said is not said again.
fn joined(texts: impl Iterator<Item = String>, by: &str) -> String {
    texts.fold(String::new(), |mut all, text| {
        if !all.contains(&text) {
            if !all.is_empty() {
                all += by;
            }
            all += &text;
        }
        all
    })
}

/// Returns a text with the error in it unpacked, if it holds one.
fn text_of(text: &str) -> String {
    let text = text.trim();
    match within(text) {
        Some((before, error, after)) => {
            let told = message(&error).unwrap_or_default();
            let parts = [
                before.trim_end_matches(['-', ':', ' ', '\'', '"']),
                &told,
                after.trim_start_matches(['.', ',', ' ', '\'', '"']),
            ];
            let parts = parts.map(|part| part.trim().to_owned());
            joined(parts.into_iter().filter(|part| !part.is_empty()), ": ")
        }
        None => text.to_owned(),
    }
}

/// Finds the JSON in a text, with what is before and after it.
fn within(text: &str) -> Option<(&str, Value, &str)> {
    const TRIED: usize = 8;
    let starts = text.match_indices(['{', '[']).map(|(at, _)| at);
    starts.take(TRIED).find_map(|at| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let telling = match &value {
            Value::Object(fields) => !words(fields).is_empty(),
            Value::Array(list) => list
                .iter()
                .any(|one| one.is_object() && message(one).is_some()),
            _ => false,
        };
        let end = at + values.byte_offset();
        telling.then(|| (&text[..at], value, &text[end..]))
    })
}

/// Returns which field of the request a complaint is about, as validators say it: `{"loc": ["body", "stop", 0]}`.
fn place(fields: &Map<String, Value>) -> Option<String> {
    let parts = fields.get("loc")?.as_array()?.iter();
    let parts = parts.map(|part| {
        part.as_str()
            .map_or_else(|| part.to_string(), str::to_owned)
    });
    let parts: Vec<String> = parts.skip_while(|part| part == "body").collect();
    Some(parts.join("."))
}

/// Collects what is said beside the words, wherever it stands.
fn collect(error: &Value, said: &mut Said) {
    let fields = match error {
        Value::Object(fields) => fields,
        Value::Array(errors) => return errors.iter().for_each(|error| collect(error, said)),
        Value::String(text) => {
            if let Some((_, error, _)) = within(text) {
                collect(&error, said);
            }
            return;
        }
        _ => return,
    };
    said.fields.extend(place(fields));
    for (name, value) in fields {
        match (name.as_str(), value.as_str()) {
            ("param" | "field", Some(field)) => said.fields.push(field.to_owned()),
            // That it is one is known; what was sent is only said back.
            ("type", Some("error")) | ("input" | "loc", _) => {}
            ("code" | "type" | "status" | "error_type", Some(code)) => {
                said.code += &format!("{code} ");
            }
            ("retryDelay", Some(delay)) => said.wait = duration(delay),
            ("n_ctx" | "max_model_len", None) => {
                said.window = value.as_u64().and_then(|n| n.try_into().ok());
            }
            _ => collect(value, said),
        }
    }
}

/// Reads how long a server wants to be left alone, where its words say so.
fn wait(message: &str) -> Option<Duration> {
    static WORDS: LazyLock<Regex> = LazyLock::new(|| {
        let words = r"(?i)\b(?:try again|retry) (?:in|after) ([\d.]+ ?[a-z]+(?: ?[\d.]+ ?[a-z]+)*)";
        Regex::new(words).expect("the form is tested")
    });
    duration(WORDS.captures(message)?.get(1)?.as_str())
}

/// Reads a time such as `1m26.4s` or `20 seconds`.
fn duration(text: &str) -> Option<Duration> {
    static PART: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"([\d.]+) ?(ms|milli|s|m|h)[a-z]*").expect("the form is tested")
    });
    let seconds = PART.captures_iter(text).map(|part| {
        let unit = match &part[2] {
            "ms" | "milli" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            _ => 3600.0,
        };
        part[1].parse::<f64>().ok().map(|number| number * unit)
    });
    let seconds: f64 = seconds.sum::<Option<f64>>()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_servers_own_message_is_found() {
        for body in [
            r#"{"error":"no"}"#,
            r#"{"error":{"message":"no"}}"#,
            r#"{"error":"{\"error\":{\"message\":\"no\"}}"}"#,
            r#"{"error":{"message":"{\"detail\":[{\"msg\":\"no\"}]}"}}"#,
            r#"{"error":true,"message":"no"}"#,
            r#"{"errors":[{"code":7003,"message":"no"}],"success":false}"#,
            r#"{"object":"error","message":"no"}"#,
            r#"{"object":"error","message":{"detail":[{"type":"x","loc":["body"],"msg":"no","input":{"message":"yes"}}]}}"#,
            r#"{"type":"error","error":{"type":"x","message":"no"}}"#,
            r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
            r#"{"message":"no"}"#,
            r#"{"detail":"no"}"#,
            r#"{"detail":{"error":{"message":"no"}}}"#,
            r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#,
            r#""no""#,
            "<html><head><title> no </title></head><body>nginx</body></html>",
            " no\n",
        ] {
            assert_eq!(read(body).message, "no", "{body}");
        }
        assert_eq!(read("").message, "");
        for (body, message) in [
            (
                r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"no\"}}"}}}"#,
                "Provider returned error: no",
            ),
            (
                r#"{"error":{"message":"litellm.BadRequestError: OpenAIException - {\"error\":{\"message\":\"no\"}}. Model Group=m"}}"#,
                "litellm.BadRequestError: OpenAIException: no: Model Group=m",
            ),
            (
                r#"{"title":"Not Found","status":404,"detail":"no"}"#,
                "Not Found: no",
            ),
            (
                r#"{"detail":[{"loc":["body","stop",0],"msg":"no"},{"loc":["body","seed"],"msg":"never"}]}"#,
                "stop.0: no; seed: never",
            ),
            ("use {braces} and [brackets]", "use {braces} and [brackets]"),
        ] {
            assert_eq!(read(body).message, message, "{body}");
        }
        let error = |json: Value| find(&json).map(|said| said.message);
        assert_eq!(error(json!({"error": null, "choices": []})), None);
        assert_eq!(error(json!({"error": {}})), None);
        assert_eq!(error(json!({"error": false})), None);
        assert_eq!(error(json!({"message": {"content": "x"}})), None);
        assert_eq!(
            error(json!({"error": {"code": 502}})).as_deref(),
            Some(r#"{"code":502}"#)
        );
    }

    #[test]
    fn what_is_told_beside_the_words_is_found_at_any_depth() {
        let said = read(
            r#"{"error":{"message":"{\"error\":{\"param\":\"top_p\",\"message\":\"no\",\"n_ctx\":4096}}","details":[{"fieldViolations":[{"field":"seed"}]},{"retryDelay":"17s"}]}}"#,
        );
        assert_eq!(said.fields, ["top_p", "seed"]);
        assert_eq!(
            (said.window, said.wait),
            (Some(4096), Some(Duration::from_secs(17)))
        );
        for (message, wait) in [
            ("Please try again in 20s. Visit us.", Some(20_000)),
            ("Please try again in 1m26.4s.", Some(86_400)),
            ("try again in 172ms", Some(172)),
            ("Please retry after 5 seconds", Some(5_000)),
            ("try again in a while", None),
        ] {
            assert_eq!(
                read(message).wait,
                wait.map(Duration::from_millis),
                "{message}"
            );
        }
    }
}
