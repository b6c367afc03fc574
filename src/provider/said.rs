//! What a server says when it refuses or fails, in whatever form.

use serde_json::Value;

use crate::conversation::cut;

/// The longest text of a server that is shown, in characters.
const LONGEST: usize = 300;

/// Holds what a server says of a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    pub message: String,
    /// The server's names for it, where there are any.
    pub code: String,
    /// The tokens of the model's window, where they are told.
    pub window: Option<u32>,
}

impl From<&str> for Said {
    fn from(text: &str) -> Said {
        Said {
            message: cut(text.trim(), LONGEST),
            ..Said::default()
        }
    }
}

/// Finds the error in a JSON document, if it is one: `{"error": "…"}`, `{"error": {"message": "…"}}`, `{"object": "error", "message":
/// "…"}`, or a list of these.
pub fn find(json: &Value) -> Option<Said> {
    let json = json.get(0).unwrap_or(json);
    let is_error = |name: &str| json[name] == "error";
    match &json["error"] {
        Value::Null if is_error("object") || is_error("type") => said(json),
        error => said(error),
    }
}

/// Reads the body of a response that is no success: JSON, or plain text.
pub fn read(body: &str) -> Said {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let json = json.as_ref();
    json.and_then(|json| find(json).or_else(|| said(json)))
        .unwrap_or_else(|| Said::from(body))
}

/// Reads what an error holds; one without a message is told as it is.
fn said(error: &Value) -> Option<Said> {
    let fields = match error {
        Value::String(text) => return Some(Said::from(text.as_str())).filter(is_telling),
        Value::Array(errors) => return errors.first().and_then(said),
        Value::Object(fields) if !fields.is_empty() => fields,
        _ => return None,
    };
    let message = ["message", "msg", "detail"]
        .into_iter()
        .find_map(|name| fields.get(name).and_then(said).filter(is_telling));
    let mut found = message.unwrap_or_else(|| Said::from(error.to_string().as_str()));
    // A gateway says that there was an error, and here what the error was.
    if let Some(raw) = error["metadata"]["raw"].as_str() {
        let behind = read(raw);
        found.message = cut(&format!("{}: {}", found.message, behind.message), LONGEST);
        found.window = behind.window;
        found.code = behind.code;
    }
    for name in ["code", "type"] {
        if let Some(code) = error[name].as_str() {
            found.code += &format!("{code} ");
        }
    }
    let window = error["n_ctx"].as_u64();
    found.window = window.and_then(|n| n.try_into().ok()).or(found.window);
    Some(found)
}

fn is_telling(said: &Said) -> bool {
    !said.message.is_empty()
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
            r#"{"object":"error","message":"no"}"#,
            r#"{"type":"error","error":{"type":"x","message":"no"}}"#,
            r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
            r#"{"message":"no"}"#,
            r#"{"detail":"no"}"#,
            r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#,
            " no\n",
        ] {
            assert_eq!(read(body).message, "no", "{body}");
        }
        assert_eq!(read("").message, "");
        let raw = r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"no\"}}"}}}"#;
        assert_eq!(read(raw).message, "Provider returned error: no");
        let error = |json: Value| find(&json).map(|said| said.message);
        assert_eq!(error(json!({"error": null, "choices": []})), None);
        assert_eq!(error(json!({"error": {}})), None);
        assert_eq!(error(json!({"message": {"content": "x"}})), None);
        assert_eq!(
            error(json!({"error": {"code": 502}})).as_deref(),
            Some(r#"{"code":502}"#)
        );
    }
}
