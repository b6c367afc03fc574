//! What a model has done, as text that is found again: the commands, paths, ids and texts in the arguments of its calls.

use serde_json::Value;

use crate::conversation::ToolCall;

/// Returns a call as text: the name of the tool, and what it was given; nothing, where that is nothing.
pub fn text(call: &ToolCall) -> String {
    let said = match &call.arguments {
        // Some sources keep them as the text that the model wrote.
        Value::String(text) => match serde_json::from_str(text) {
            Ok(arguments @ (Value::Object(_) | Value::Array(_))) => said(&arguments),
            _ => text.clone(),
        },
        arguments => said(arguments),
    };
    if said.trim().is_empty() {
        return said;
    }
    format!("{}: {said}", call.name)
}

/// Returns the texts and numbers in a value: the words of a list on one line, as of a command, what has a name on its own.
fn said(value: &Value) -> String {
    let joined = |values: &mut dyn Iterator<Item = &Value>, between: &str| {
        let mut said: Vec<String> = values.map(said).collect();
        said.retain(|said| !said.trim().is_empty());
        said.join(between)
    };
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(values) if values.iter().all(Value::is_object) => {
            joined(&mut values.iter(), "\n")
        }
        Value::Array(values) => joined(&mut values.iter(), " "),
        Value::Object(values) => joined(&mut values.values(), "\n"),
        Value::Bool(_) | Value::Null => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_done_reads_as_it_was_written() {
        let check = |arguments: Value, expected: &str| {
            let call = ToolCall {
                name: "run".to_owned(),
                arguments,
                ..ToolCall::default()
            };
            assert_eq!(text(&call), expected);
        };
        check(
            json!({"command": "rsync -az a b", "timeout": 30}),
            "run: rsync -az a b\n30",
        );
        check(
            json!({"command": ["bash", "-lc", "ls"], "x": null}),
            "run: bash -lc ls",
        );
        check(
            json!({"edits": [{"old": "a\nb"}, {"new": ""}, {"new": "c"}]}),
            "run: a\nb\nc",
        );
        check(
            json!("{\"path\": \"a.txt\", \"deep\": {\"on\": true}}"),
            "run: a.txt",
        );
        check(json!("print(1)"), "run: print(1)");
        for nothing in [json!({}), json!(null), json!({"all": true, "of": [" "]})] {
            check(nothing, "");
        }
    }
}
