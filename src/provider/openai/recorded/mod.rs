//! Answers as servers stream them, and what is read of them.

mod calls;
mod parts;

use serde_json::{Value, json};

use super::decoder::Decoder;
use crate::conversation::{Finish, ToolCall, Usage};
use crate::provider::stream::{Decode, DecodeError};
use crate::provider::testing::{self, drawn};
use crate::provider::{ChatEvent, End};

const RECORDED: &str = concat!(
    ": keep-alive\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"naïve 東京 🦀\"}}]}\n\n",
    "data:{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"at\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"x\\\"}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":26,\"completion_tokens\":9,\"total_tokens\":35}}\n\n",
    "data: [DONE]\n\n",
);

fn expected() -> Vec<ChatEvent> {
    vec![
        ChatEvent::Reasoning("hm".into()),
        ChatEvent::Text("naïve 東京 🦀".into()),
        ChatEvent::ToolCall(ToolCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: json!({"at": "x"}),
            ..ToolCall::default()
        }),
        ChatEvent::Done(End {
            usage: Some(Usage {
                input_tokens: Some(26),
                output_tokens: Some(9),
            }),
            finish: Some(Finish::ToolCalls),
            attached: json!({"reasoning_content": "hm"})
                .as_object()
                .cloned()
                .unwrap(),
            ..End::default()
        }),
    ]
}

#[test]
fn an_answer_decodes_the_same_wherever_it_is_cut() {
    testing::check(RECORDED, Decoder::default(), &expected());
}

#[test]
fn an_answer_without_the_last_mark_is_whole_once_the_model_has_finished() {
    testing::check(
        &RECORDED.replace("data: [DONE]\n\n", ""),
        Decoder::default(),
        &expected(),
    );
}

#[test]
fn errors_and_noise_are_told_apart() {
    let line = |line: &str| Decoder::default().line(line);
    assert_eq!(
        line(r#"data: {"error":{"message":"overloaded"}}"#),
        Err(DecodeError::Reported("overloaded".into()))
    );
    for reported in [
        r#"data: {"object":"error","message":"overloaded"}"#,
        r#"data: {"type":"error","error":{"message":"overloaded"}}"#,
        r#"data: [{"error":{"message":"overloaded"}}]"#,
        r#"[{"error":{"message":"overloaded"}}]"#,
        r#"{"code":503,"msg":"overloaded"}"#,
        r#"error: {"code":503,"message":"overloaded"}"#,
        r#"data: {"choices":[{"error":{"message":"overloaded"},"finish_reason":"error"}]}"#,
    ] {
        let said = Err(DecodeError::Reported("overloaded".into()));
        assert_eq!(line(reported), said, "{reported}");
    }
    let unnamed = Err(DecodeError::Reported(r#"{"code":502}"#.into()));
    assert_eq!(line(r#"data: {"error":{"code":502}}"#), unnamed);
    for data in [r#"{"message":"overloaded"}"#, "overloaded"] {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.line("event: error"), Ok(Vec::new()));
        let said = decoder.line(&format!("data: {data}"));
        assert_eq!(said, Err(DecodeError::Reported("overloaded".into())));
    }
    assert_eq!(line("data:"), Ok(Vec::new()));
    let mut decoder = Decoder::default();
    assert_eq!(decoder.line("data: {"), Ok(Vec::new()));
    assert!(matches!(decoder.line(""), Err(DecodeError::Malformed(_))));
    assert!(matches!(line("data: }"), Err(DecodeError::Malformed(_))));
    assert!(matches!(line("<html>"), Err(DecodeError::Malformed(_))));
    let whole = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    assert_eq!(
        line(whole),
        Ok(vec![
            ChatEvent::Text("hi".into()),
            ChatEvent::Done(End {
                finish: Some(Finish::Stop),
                ..End::default()
            })
        ])
    );
}

#[test]
fn calls_without_an_id_get_ids_of_their_own() {
    let call = json!({"function": {"name": "look", "arguments": "no JSON"}});
    let message = json!({"tool_calls": [call, call]});
    let whole = json!({"choices": [{"message": message}]}).to_string();
    let events = Decoder::default().line(&whole).unwrap();
    let [ChatEvent::ToolCall(one), ChatEvent::ToolCall(two), _] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(!one.id.is_empty() && one.id != two.id, "{one:?} {two:?}");
    assert_eq!(one.arguments, json!("no JSON"));
}

#[test]
fn spoilt_answers_are_errors_and_nothing_worse() {
    let seeds: Vec<&str> = RECORDED.lines().collect();
    let mut decoder = Decoder::default();
    crate::mutate::each(&seeds, |line| {
        if decoder.line(line).is_err() {
            decoder = Decoder::default();
        }
    });
    decoder.end().ok();
}

/// Returns a stream of these deltas, which the model has ended.
pub fn stream(deltas: &[Value]) -> String {
    let event = |choice: Value| format!("data: {}\n\n", json!({"choices": [choice]}));
    let mut body: String = deltas
        .iter()
        .map(|delta| event(json!({"index": 0, "delta": delta})))
        .collect();
    body += &event(json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    body + "data: [DONE]\n\n"
}

#[test]
fn a_stream_may_have_any_form_that_events_may_have() {
    let said =
        |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string();
    let (one, two) = (said("one "), said("two"));
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let expected = "one \ntwo\n.length 3/2 {}";
    for body in [
        format!("\u{feff}data: {one}\n\ndata: {two}\n\ndata: {end}\n\ndata: [DONE]\n\n"),
        format!("data:{one}\r\n\r\ndata:{two}\r\n\r\ndata:{end}\r\n\r\n"),
        format!("data: {one}\r\rdata: {two}\r\rdata: {end}\r\rdata: [DONE]\r\r"),
        format!(
            ":ok\n\nid: 1\nevent: message\nretry: 9\ndata: {one}\n\ndata\n\n: still here\n\nevent: ping\ndata: {{}}\n\nseen: 1\ndata: {two}\n\n   \n\0\0\ndata: {end}\n\n"
        ),
        format!("data: {one}{two}\ndata: {end}[DONE]\n"),
        format!("data: {one}data: {two}\ndata: {end}\n"),
        format!("{one}\n{two}\n\n{end}\n"),
        format!("[{one},\n{two},\n{end}\n]\n"),
        format!(
            "data: {}\n\ndata: {two}\n\ndata: {end}\n\n",
            one.replace("[{", "[\ndata: {")
                .replace("\"delta\":", "\ndata: \"delta\":\ndata: ")
        ),
        format!(
            "data: {one}\n\ndata: {two}\n\ndata: {}\n\n",
            end.replace("\"usage\"", "\"x_groq\":{\"usage\"")
                .replace("2}}", "2}}}")
        ),
        // Numbers with the choice, or with everything.
        format!(
            "data: {one}\n\ndata: {two}\n\ndata: {}\n\n",
            r#"{"choices":[{"delta":{},"finish_reason":"length","usage":{"prompt_tokens":3,"completion_tokens":2}}]}"#
        ),
        format!(
            "data: {}\n\ndata: {two}\n\ndata: {end}\n\n",
            one.replace(
                "]}",
                r#"],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#
            )
        ),
        // Choices without anything, of another index, or of one that is never 0.
        format!(
            "data: {{\"choices\":[],\"prompt_filter_results\":[]}}\n\ndata: {one}\n\ndata: {}\n\ndata: {two}\n\ndata: {end}\n\n",
            said("other").replace("\"index\":0", "\"index\":1")
        ),
        format!("data: {one}\n\ndata: {two}\n\ndata: {end}\n\n")
            .replace("\"index\":0", "\"index\":2"),
        // All of the message beside each piece of it, and at the end.
        format!(
            "data: {}\n\ndata: {two}\n\ndata: {end}\n\n",
            one.replace("\"delta\"", "\"message\":{\"content\":\"one \"},\"delta\"")
        ),
        format!(
            "data: {one}\n\ndata: {two}\n\ndata: {}\n\n",
            end.replace("\"delta\":{}", "\"message\":{\"content\":\"one two\"}")
        ),
    ] {
        assert_eq!(drawn(&body, Decoder::default()), expected, "{body}");
    }
}
