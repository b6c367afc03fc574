//! What stands in a message besides its text.

use serde_json::{Value, json};

use super::super::decoder::Decoder;
use super::stream;
use crate::provider::testing::drawn;

#[test]
fn what_servers_attach_is_kept_to_go_back() {
    let call = |more: Value| {
        let mut call = json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
        for (name, value) in more.as_object().unwrap() {
            match name.as_str() {
                "inner" => call["function"]["thought_signature"] = value.clone(),
                _ => call[name] = value.clone(),
            }
        }
        json!({"tool_calls": [call]})
    };
    let detail = |index: u64, kind: &str, name: &str, text: &str| json!({"reasoning_details": [{"type": kind, "index": index, name: text}]});
    for (deltas, expected) in [
        (
            vec![call(
                json!({"extra_content": {"google": {"thought_signature": "s"}}, "none": null}),
            )],
            "look#c1 {} {\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}\n.stop / {}",
        ),
        (
            vec![call(json!({"inner": "s"}))],
            "look#c1 {} {\"function\":{\"thought_signature\":\"s\"}}\n.stop / {}",
        ),
        (
            vec![
                json!({"content": "hi"}),
                json!({"content": "", "extra_content": {"google": {"thought_signature": "s"}}}),
            ],
            "hi\n.stop / {\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}",
        ),
        (
            vec![
                json!({"reasoning_content": "I "}),
                json!({"reasoning_content": "look."}),
                call(json!({})),
            ],
            "~I \n~look.\nlook#c1 {} {}\n.stop / {\"reasoning_content\":\"I look.\"}",
        ),
        // An empty thought goes back with a call, and is nothing else.
        (
            vec![json!({"reasoning_content": ""}), call(json!({}))],
            "look#c1 {} {}\n.stop / {\"reasoning_content\":\"\"}",
        ),
        (
            vec![json!({"reasoning_content": "", "content": "hi"})],
            "hi\n.stop / {}",
        ),
        // The same thought in two fields.
        (
            vec![json!({"reasoning": "hm", "reasoning_content": "hm"})],
            "~hm\n.stop / {\"reasoning_content\":\"hm\"}",
        ),
        (
            vec![json!({"reasoning": "hm"})],
            "~hm\n.stop / {\"reasoning\":\"hm\"}",
        ),
        (
            vec![
                json!({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "a", "format": "f"}]}),
                json!({"reasoning": "b", "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "b"}]}),
                json!({"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "s", "text": null}]}),
                detail(0, "reasoning.encrypted", "data", "x"),
                detail(1, "reasoning.encrypted", "data", "y"),
            ],
            "~a\n~b\n.stop / {\"reasoning_details\":[{\"type\":\"reasoning.text\",\"index\":0,\"text\":\"ab\",\"format\":\"f\",\"signature\":\"s\"},\
             {\"type\":\"reasoning.encrypted\",\"index\":0,\"data\":\"x\"},{\"type\":\"reasoning.encrypted\",\"index\":1,\"data\":\"y\"}]}",
        ),
        (
            vec![
                detail(0, "reasoning.summary", "summary", "a"),
                detail(0, "reasoning.summary", "summary", "b"),
            ],
            "~a\n~b\n.stop / {\"reasoning_details\":[{\"type\":\"reasoning.summary\",\"index\":0,\"summary\":\"ab\"}]}",
        ),
        (
            vec![
                json!({"thinking_blocks": [{"type": "thinking", "thinking": "a"}]}),
                json!({"thinking_blocks": [{"type": "thinking", "thinking": "b", "signature": "s"}]}),
                json!({"thinking_blocks": [{"type": "thinking", "thinking": "c"}]}),
            ],
            "~a\n~b\n~c\n.stop / {\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"ab\",\"signature\":\"s\"},\
             {\"type\":\"thinking\",\"thinking\":\"c\"}]}",
        ),
    ] {
        assert_eq!(drawn(&stream(&deltas), Decoder::default()), expected);
    }
}

#[test]
fn content_comes_in_parts_of_many_kinds() {
    for (content, expected) in [
        (
            json!([{"type": "thinking", "thinking": [{"type": "text", "text": "so"}], "closed": true}, {"type": "text", "text": "391"}, "."]),
            "~so\n391\n.",
        ),
        (
            json!([{"type": "reasoning", "text": "so"}, {"type": "output_text", "text": "391"}]),
            "~so\n391",
        ),
        (
            json!([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]}, {"type": "text", "text": {"value": "391"}}]),
            "~so\n391",
        ),
        (
            json!([{"thinking": "so"}, {"text": "391"}, {"type": "unknown", "text": "?"}, {"type": "image_url"}, 7]),
            "~so\n391\n?",
        ),
        (json!({"type": "text", "text": "391"}), "391"),
        (
            json!([{"type": "tool_use", "id": "c1", "name": "look", "input": {"p": "a"}}]),
            "look#c1 {\"p\":\"a\"} {}",
        ),
    ] {
        let end = ".stop / {}";
        let streamed = stream(&[json!({"content": content})]);
        assert_eq!(
            drawn(&streamed, Decoder::default()),
            format!("{expected}\n{end}")
        );
        let whole =
            json!({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]});
        for whole in [
            whole.to_string(),
            serde_json::to_string_pretty(&whole).unwrap(),
        ] {
            assert_eq!(
                drawn(&whole, Decoder::default()),
                format!("{expected}\n{end}")
            );
        }
    }
    let refused = [
        json!({"content": null, "refusal": "I "}),
        json!({"refusal": "won't."}),
    ];
    assert_eq!(
        drawn(&stream(&refused), Decoder::default()),
        "I \nwon't.\n.refusal / {}"
    );
    let part = [json!({"content": [{"type": "refusal", "refusal": "No."}]})];
    assert_eq!(
        drawn(&stream(&part), Decoder::default()),
        "No.\n.refusal / {}"
    );
    let late = [json!({"content": "Yes."}), json!({"reasoning": "hm"})];
    assert_eq!(
        drawn(&stream(&late), Decoder::default()),
        "Yes.\n~hm\n.stop / {\"reasoning\":\"hm\"}"
    );
}
