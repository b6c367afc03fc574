//! For tests: a recorded answer is decoded whole and cut at every byte.

use super::ChatEvent;
use super::lines::Lines;
use super::stream::Decode;

/// Checks that a recorded answer decodes to these events, whole and cut at every byte.
#[track_caller]
pub fn check(recorded: &str, decoder: impl Decode, expected: &[ChatEvent]) {
    assert_eq!(decode(recorded, decoder), expected);
}

/// Draws the events of a recorded answer, a line each, which are the same wherever it is cut.
#[track_caller]
pub fn drawn(recorded: &str, decoder: impl Decode) -> String {
    let events = decode(recorded, decoder);
    let lines = events.iter().map(|event| line(event, recorded));
    lines.collect::<Vec<_>>().join("\n")
}

/// Decodes an answer. Decoders see nothing but lines, so it is these that must not depend on where the bytes are cut.
#[track_caller]
fn decode(recorded: &str, mut decoder: impl Decode) -> Vec<ChatEvent> {
    let bytes = recorded.as_bytes();
    let whole = lines(&[bytes]);
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(lines(&[head, tail]), whole, "cut at byte {cut}");
    }
    let mut events = Vec::new();
    for line in whole {
        events.extend(decoder.line(&line).unwrap());
    }
    let is_done = |event: &ChatEvent| matches!(event, ChatEvent::Done(_));
    if !events.iter().any(is_done) {
        events.extend(decoder.end().unwrap());
    }
    events
}

#[track_caller]
fn lines(chunks: &[&[u8]]) -> Vec<String> {
    let mut lines = Lines::default();
    let complete = chunks.iter().flat_map(|chunk| lines.push(chunk).unwrap());
    let mut complete: Vec<String> = complete.collect();
    complete.extend(lines.finish());
    complete
}

/// Draws an event. An id that was made here is `new`.
fn line(event: &ChatEvent, recorded: &str) -> String {
    match event {
        ChatEvent::Text(text) => text.clone(),
        ChatEvent::Reasoning(text) => format!("~{text}"),
        ChatEvent::ToolCall(call) => {
            let known = recorded.contains(&format!("{:?}", call.id));
            let id = if known { &call.id } else { "new" };
            let attached = serde_json::to_string(&call.attached).unwrap();
            format!("{}#{id} {} {attached}", call.name, call.arguments)
        }
        ChatEvent::Done(end) => {
            let finish = end.finish.as_ref().map_or("", |finish| finish.as_str());
            let usage = end.usage.unwrap_or_default();
            let tokens = [usage.input_tokens, usage.output_tokens];
            let tokens = tokens.map(|n| n.map_or_else(String::new, |n| n.to_string()));
            let attached = serde_json::to_string(&end.attached).unwrap();
            format!(".{finish} {} {attached}", tokens.join("/"))
        }
        ChatEvent::Sent(_) | ChatEvent::Notice(_) | ChatEvent::Retry { .. } => {
            unreachable!("it is no line")
        }
    }
}
