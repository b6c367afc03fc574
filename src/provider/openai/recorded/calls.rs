//! Calls, however servers stream them.

use serde_json::{Value, json};

use super::super::decoder::Decoder;
use super::stream;
use crate::provider::testing::drawn;

/// Checks the calls that come of deltas, each of which has these parts of calls.
#[track_caller]
fn check_calls(deltas: &[Value], expected: &[&str]) {
    let deltas: Vec<Value> = deltas
        .iter()
        .map(|parts| json!({"tool_calls": parts}))
        .collect();
    let drawn = drawn(&stream(&deltas), Decoder::default());
    let calls: Vec<&str> = drawn
        .lines()
        .filter(|line| !line.starts_with('.'))
        .collect();
    assert_eq!(calls, expected);
}

/// Returns a part of a call; what is empty is left out.
fn part(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Value {
    let mut part = json!({"function": {}});
    if let Some(index) = index {
        part["index"] = index.into();
    }
    if !id.is_empty() {
        part["id"] = id.into();
    }
    if !name.is_empty() {
        part["function"]["name"] = name.into();
    }
    // Nothing at all is another thing than an empty text.
    if arguments != "-" {
        part["function"]["arguments"] = arguments.into();
    }
    part
}

#[test]
fn calls_are_told_apart_however_they_are_streamed() {
    let (a, b) = (r#"{"p":"a"}"#, r#"{"p":"b"}"#);
    let two = [r#"look#c1 {"p":"a"} {}"#, r#"look#c2 {"p":"b"} {}"#];
    let new = [r#"look#new {"p":"a"} {}"#, r#"look#new {"p":"b"} {}"#];
    for index in [Some(0), None] {
        // One index for all, or none.
        check_calls(
            &[
                json!([part(index, "c1", "look", a)]),
                json!([part(index, "c2", "look", b)]),
            ],
            &two,
        );
        check_calls(
            &[
                json!([part(index, "", "look", a)]),
                json!([part(index, "", "look", b)]),
            ],
            &new,
        );
        // In fragments, too.
        let fragments = [
            part(index, "c1", "look", ""),
            part(index, "", "", &a[..3]),
            part(index, "", "", &a[3..]),
            part(index, "c2", "look", "-"),
            part(index, "", "", &b[..3]),
            part(index, "", "", &b[3..]),
        ];
        check_calls(&fragments.map(|part| json!([part])), &two);
        // All said again with every fragment, or with a last one that is empty.
        let again = [&a[..3], &a[3..5], &a[5..], ""];
        let again = again.map(|piece| json!([part(index, "c1", "look", piece)]));
        check_calls(&again, &two[..1]);
        let again = [&a[..3], &a[3..], ""];
        let again = again.map(|piece| json!([part(index, "", "look", piece)]));
        check_calls(&again, &new[..1]);
        // An id of its own for every fragment.
        let ids = [
            part(index, "c1", "look", ""),
            part(index, "c3", "", &a[..3]),
            part(index, "c4", "", &a[3..]),
        ];
        check_calls(&ids.map(|part| json!([part])), &two[..1]);
        // What has come so far each time; something empty before it comes.
        let so_far = [&a[..3], &a[..5], a];
        let so_far = so_far.map(|piece| json!([part(index, "c1", "look", piece)]));
        check_calls(&so_far, &two[..1]);
        let before = [part(index, "c1", "look", "{}"), part(index, "", "", a)];
        check_calls(&before.map(|part| json!([part])), &two[..1]);
        // Without arguments.
        let none = [part(index, "", "now", ""), part(index, "", "look", a)];
        check_calls(&none.map(|part| json!([part])), &["now#new {} {}", new[0]]);
    }
    // Several in one event, whole or interleaved.
    check_calls(
        &[json!([
            part(None, "", "look", a),
            part(None, "", "look", a)
        ])],
        &[new[0], new[0]],
    );
    check_calls(&[json!(part(None, "c1", "look", a))], &two[..1]);
    let heads = json!([
        part(Some(0), "c1", "look", &a[..3]),
        part(Some(1), "c2", "look", &b[..3])
    ]);
    let tails = [
        part(Some(1), "", "", &b[3..]),
        part(Some(0), "", "", &a[3..]),
    ];
    check_calls(&[heads, json!([tails[0]]), json!([tails[1]])], &two);
    let heads = json!([
        part(None, "c1", "look", &a[..3]),
        part(None, "c2", "look", &b[..3])
    ]);
    let tails = [part(None, "c2", "", &b[3..]), part(None, "c1", "", &a[3..])];
    check_calls(&[heads, json!([tails[0]]), json!([tails[1]])], &two);
    // Two with one id, and a name in pieces.
    let twins = [
        part(Some(0), "c1", "look", a),
        part(Some(1), "c1", "look", b),
    ];
    check_calls(&twins.map(|part| json!([part])), &[two[0], new[1]]);
    let twins = [
        part(Some(0), "c1", "look", a),
        part(Some(0), "c1", "look", b),
    ];
    check_calls(&twins.map(|part| json!([part])), &[two[0], new[1]]);
    let pieces = [
        part(Some(0), "c1", "lo", ""),
        part(Some(0), "", "ok", ""),
        part(Some(0), "", "", a),
    ];
    check_calls(&pieces.map(|part| json!([part])), &two[..1]);
}

#[test]
fn arguments_are_read_in_every_form() {
    let look = [r#"look#c1 {"p":"a"} {}"#];
    let text = r#"{"p":"a"}"#;
    for arguments in [
        json!({"p": "a"}),
        json!(text),
        json!(format!(" {text}\n")),
        json!(json!(text).to_string()),
        json!(json!(json!(text).to_string()).to_string()),
    ] {
        check_calls(
            &[
                json!([{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": arguments}}]),
            ],
            &look,
        );
        check_calls(
            &[json!([{"id": "c1", "name": "look", "arguments": arguments}])],
            &look,
        );
    }
    for arguments in [
        json!(null),
        json!(""),
        json!(" "),
        json!("null"),
        json!({}),
        json!("{}"),
    ] {
        check_calls(
            &[json!([{"id": "c1", "function": {"name": "look", "arguments": arguments}}])],
            &["look#c1 {} {}"],
        );
    }
    check_calls(
        &[json!([{"id": "c1", "function": {"name": "look", "arguments": "{\"p\":"}}])],
        &[r#"look#c1 "{\"p\":" {}"#],
    );
    // The object comes whole after its fragments.
    let fragment = |arguments: Value| json!([{"index": 0, "id": "c1", "function": {"name": "look", "arguments": arguments}}]);
    check_calls(
        &[fragment(json!("{\"p\"")), fragment(json!({"p": "a"}))],
        &look,
    );
    check_calls(
        &[
            fragment(json!("{\"p\"")),
            fragment(json!(":\"a\"}")),
            fragment(json!({"p": "a"})),
        ],
        &look,
    );
    // The older form.
    let older = [
        json!({"function_call": {"name": "look", "arguments": ""}}),
        json!({"function_call": {"arguments": text}}),
    ];
    assert_eq!(
        drawn(&stream(&older), Decoder::default()),
        "look#new {\"p\":\"a\"} {}\n.stop / {}"
    );
    let both = json!({"tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": text}}], "function_call": {"name": "look", "arguments": text}});
    assert_eq!(
        drawn(&stream(&[both]), Decoder::default()),
        format!("{}\n.stop / {{}}", look[0])
    );
}
