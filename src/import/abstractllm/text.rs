//! What the predecessor wrapped texts into, taken off again.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

use super::super::files::{text, time};
use crate::conversation::{Step, ToolCall, Usage};
use crate::timeframe::Zone;

/// Returns what the user typed: a preamble from the program's memory stood before it.
pub fn question(said: &str) -> &str {
    if !said.starts_with("Session: ") {
        return said.trim();
    }
    // The preamble separates its own parts with a backslash and an n, and the question with true line breaks.
    match said.split_once("\n\nUser: ") {
        Some((_, question)) => question.trim(),
        None => said.trim(),
    }
}

/// Returns an answer, which may be the Python notation of the object that held it.
pub fn answer(said: &str) -> String {
    let said = said.trim();
    let bare = said.strip_prefix("Final answer: ").unwrap_or(said);
    let Some(rest) = bare.strip_prefix("GenerateResponse(content=") else {
        return said.to_owned();
    };
    let quote = rest.chars().next();
    let (Some(quote @ ('\'' | '"')), mut rest) = (quote, rest.chars().skip(1)) else {
        // It had no text.
        return String::new();
    };
    let mut answer = String::new();
    while let Some(c) = rest.next() {
        match c {
            c if c == quote => break,
            '\\' => match rest.next() {
                Some('n') => answer.push('\n'),
                Some('t') => answer.push('\t'),
                Some('r') => answer.push('\r'),
                Some('x') => answer.extend(code(&mut rest, 2)),
                Some('u') => answer.extend(code(&mut rest, 4)),
                Some('U') => answer.extend(code(&mut rest, 8)),
                Some(c) => answer.push(c),
                None => {}
            },
            c => answer.push(c),
        }
    }
    answer
}

fn code(rest: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
    let digits: String = rest.take(digits).collect();
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

/// Returns an id without the word before it, which differs from place to place.
pub fn key(id: &str) -> &str {
    let known = ["cycle_", "interaction_"];
    known
        .iter()
        .find_map(|word| id.strip_prefix(word))
        .unwrap_or(id)
}

/// Reads a time that was written in local time, unless it names its zone. Tables count the microseconds since 1970 by it.
pub fn local(value: &Value, zone: Zone) -> Option<DateTime<Utc>> {
    if let Some(micros) = value.as_i64() {
        let naive = DateTime::from_timestamp_micros(micros)?.naive_utc();
        return Some(zone.moment(naive));
    }
    let naive = value.as_str()?.parse::<NaiveDateTime>();
    match naive {
        Ok(naive) => Some(zone.moment(naive)),
        Err(_) => time(value),
    }
}

/// Returns the facts of a turn, each once: texts, or objects with subject, predicate and object.
pub fn facts(value: &Value) -> Vec<String> {
    let mut facts: Vec<String> = Vec::new();
    for fact in value.as_array().into_iter().flatten() {
        let fact = match fact.as_str() {
            Some(fact) => fact.to_owned(),
            None => format!(
                "{} --[{}]--> {}",
                text(fact, "subject"),
                text(fact, "predicate"),
                text(fact, "object")
            ),
        };
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts
}

/// Returns the steps of a list of tool calls.
pub fn steps(calls: &Value, zone: Zone, otherwise: DateTime<Utc>) -> Vec<Step> {
    let calls = calls.as_array().into_iter().flatten();
    calls.map(|call| step(call, zone, otherwise)).collect()
}

fn step(call: &Value, zone: Zone, otherwise: DateTime<Utc>) -> Step {
    let error = call["error"].as_str().map(str::to_owned);
    let name = [text(call, "name"), text(call, "tool_name")];
    let name = name.into_iter().find(|name| !name.is_empty());
    let mut arguments = call["arguments"].clone();
    if let Some(arguments) = arguments.as_object_mut() {
        // In a table, a call has the arguments of all other calls, too, as nulls.
        arguments.retain(|_, value| !value.is_null());
    }
    let thought = [text(call, "reasoning"), text(call, "thought")];
    Step {
        thought: thought
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned(),
        action: name.map(|name| ToolCall {
            name: name.to_owned(),
            arguments,
            ..ToolCall::default()
        }),
        observation: plain(&call["result"]),
        success: call["success"] != false && error.is_none(),
        error,
        started_at: local(&call["timestamp"], zone).unwrap_or(otherwise),
        duration_ms: milliseconds(&call["execution_time"]).unsigned_abs(),
        ..Step::default()
    }
}

/// Returns a text as it is, and anything else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns a number of seconds in milliseconds.
pub fn milliseconds(value: &Value) -> i64 {
    let seconds = value.as_f64().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "no turn takes so long")]
    let milliseconds = (seconds * 1e3).round() as i64;
    milliseconds.max(0)
}

/// Returns the tokens of a turn; it wrote 0 for what it did not know.
pub fn usage(value: &Value) -> Option<Usage> {
    let tokens = |name: &str| value[name].as_u64().filter(|tokens| *tokens > 0);
    let usage = Usage {
        input_tokens: tokens("prompt_tokens"),
        output_tokens: tokens("completion_tokens"),
    };
    (usage != Usage::default()).then_some(usage)
}

/// Holds what went to a model.
#[derive(Debug, Default)]
pub struct Request {
    /// The body as it was sent.
    pub body: String,
    pub question: String,
    pub system: String,
    pub model: String,
}

/// Reads the text that was kept of a request: where it went, and its body.
pub fn request(kept: &str) -> Request {
    let body = kept
        .split_once("REQUEST PAYLOAD:\n")
        .map_or(kept, |(_, body)| body);
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let messages = parsed["messages"].as_array();
    let last = |role: &str| {
        let messages = messages.into_iter().flatten().rev();
        let of_role = messages.filter(|message| text(message, "role") == role);
        let mut said = of_role.map(|message| text(message, "content"));
        // What tools returned was sent in the user's name.
        let said = said.find(|said| !said.starts_with("[SYSTEM: Tool execution result]"));
        said.unwrap_or_default().to_owned()
    };
    let asked = match messages {
        Some(_) => last("user"),
        // What is no request is all that is known of the turn.
        None => kept.to_owned(),
    };
    Request {
        body: body.to_owned(),
        question: question(&asked).to_owned(),
        system: last("system"),
        model: text(&parsed, "model").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_texts_are_unwrapped() {
        let asked = "Session: 6f5d36c1, 2026/11/22 08:38\\n\\n--- Recent Context ---\\n- [user, 08:38] two\nlines\\n\n\nUser: And redis?\n\nUser: is a word\n";
        assert_eq!(question(asked), "And redis?\n\nUser: is a word");
        assert_eq!(question("Session: of parliament"), "Session: of parliament");
        assert_eq!(question("  plain "), "plain");
        let check = |said: &str, expected: &str| assert_eq!(answer(said), expected, "{said}");
        check("plain 'text'", "plain 'text'");
        check(
            "GenerateResponse(content='It\\'s\\n\\xe9 \\u65e5', raw_response=None)",
            "It's\né 日",
        );
        check(
            "Final answer: GenerateResponse(content=\"it's\", usage={})",
            "it's",
        );
        check("GenerateResponse(content=None, raw_response=None)", "");
        check("GenerateResponse(content='cut", "cut");
        check("Final answer: 42", "Final answer: 42");
    }

    #[test]
    fn spoilt_texts_are_read_all_the_same() {
        let seeds = [
            "Final answer: GenerateResponse(content='a\\'b\\u65e5', raw_response=None)",
            "ENDPOINT: x\n\nREQUEST PAYLOAD:\n{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        ];
        crate::mutate::each(&seeds, |text| {
            drop((answer(text), request(text), question(text).len()));
        });
    }
}
