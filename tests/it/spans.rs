//! The history as spans of OpenTelemetry: turns, requests, tools.

use serde_json::{Value, json};

use crate::export::{export, told};
use crate::harness::Home;
use crate::scripted::{self, Said};

/// Returns the spans of requests in OTLP/JSON.
pub fn spans(lines: &str) -> Vec<Value> {
    let requests = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let spans = requests
        .map(|request: Value| request["resourceSpans"][0]["scopeSpans"][0]["spans"].clone());
    spans
        .flat_map(|spans| spans.as_array().unwrap().clone())
        .collect()
}

fn named<'s>(spans: &'s [Value], name: &str) -> Vec<&'s Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

/// Returns the value of an attribute; of messages what they say.
fn attribute(span: &Value, key: &str) -> Value {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == key);
    let Some(value) = found.map(|found| &found["value"]) else {
        return Value::Null;
    };
    match value["stringValue"].as_str() {
        Some(text) if key.ends_with(".messages") => serde_json::from_str(text).unwrap(),
        Some(text) => json!(text),
        None if value["arrayValue"].is_object() => value["arrayValue"]["values"].clone(),
        None => value["intValue"].clone(),
    }
}

fn text(role: &str, text: &str) -> Value {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}])
}

#[test]
fn a_turn_that_was_brought_in_is_one_request_and_its_tools() {
    let home = told();
    let spans = spans(&export(&home, "otel"));
    let names: Vec<_> = spans
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    let (turn, look, read) = (
        "invoke_agent allm",
        "execute_tool list_files",
        "execute_tool read_file",
    );
    assert_eq!(
        names,
        [turn, "chat m", look, read, turn, "chat m", turn, "chat"]
    );
    let (turn, chat, tool) = (&spans[0], &spans[1], &spans[3]);
    assert_eq!(
        (&turn["startTimeUnixNano"], &turn["endTimeUnixNano"]),
        (&json!("1756713600000000000"), &json!("1756713602500000000"))
    );
    for span in [chat, tool] {
        assert_eq!(
            (&span["parentSpanId"], &span["traceId"]),
            (&turn["spanId"], &turn["traceId"])
        );
    }
    for (span, length) in [(&turn["traceId"], 32), (&turn["spanId"], 16)] {
        let id = span.as_str().unwrap();
        assert!(
            id.len() == length && id.chars().all(|c| c.is_ascii_hexdigit()),
            "{id}"
        );
    }
    assert_eq!((&turn["kind"], &chat["kind"]), (&json!(1), &json!(3)));
    for (key, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("ollama")),
        ("gen_ai.request.model", json!("m")),
        ("gen_ai.usage.input_tokens", json!("31")),
        ("gen_ai.usage.output_tokens", json!("7")),
        ("output.value", json!("There is **a.txt**.")),
        ("gen_ai.response.finish_reasons", Value::Null),
    ] {
        assert_eq!(attribute(chat, key), value, "{key}");
    }
    let mut said = text("assistant", "There is **a.txt**.");
    said[0]["finish_reason"] = json!("unknown");
    assert_eq!(attribute(chat, "gen_ai.output.messages"), said);
    assert_eq!(attribute(turn, "gen_ai.output.messages"), said);
    let sent = [
        text("system", "Be brief."),
        text("user", "Which files?\nAll of them."),
    ];
    let sent: Vec<_> = sent
        .iter()
        .flat_map(|messages| messages.as_array().unwrap())
        .collect();
    assert_eq!(attribute(chat, "gen_ai.input.messages"), json!(sent));
    assert_eq!(attribute(turn, "gen_ai.usage.input_tokens"), Value::Null);
    assert_eq!(attribute(tool, "gen_ai.tool.name"), "read_file");
    assert_eq!(attribute(tool, "error.type"), "tool_error");
    assert_eq!(
        tool["status"],
        json!({"message": "there is no `no`", "code": 2})
    );
    // Nothing was answered, and nothing is made up.
    for failed in &spans[6..] {
        assert_eq!(failed["status"]["code"], 2);
        assert_eq!(attribute(failed, "error.type"), "failed");
        assert_eq!(attribute(failed, "gen_ai.output.messages"), Value::Null);
    }
    assert_eq!(
        (&chat["status"], attribute(chat, "error.type")),
        (&Value::Null, Value::Null)
    );
}

#[test]
fn each_request_is_a_span_with_what_was_sent_and_what_came_back() {
    let home = Home::new();
    std::fs::write(home.path().join("config.toml"), "retries = 0").unwrap();
    std::fs::write(home.folder().join("a.txt"), "heron").unwrap();
    std::fs::write(home.folder().join("b.txt"), "stork").unwrap();
    let (a, b) = (json!({"path": "a.txt"}), json!({"path": "b.txt"}));
    let both = vec![("read_file", a.clone()), ("read_file", b.clone())];
    let server = scripted::openai(vec![
        Said::Calls("I read both.", "Let me look.", both),
        scripted::calls("read_file", a.clone()),
        Said::Text("<think>Two birds.</think>A heron and a stork."),
        Said::Text("Again."),
    ]);
    let url = server.url.clone();
    let chat = [
        "chat",
        "-p",
        "openai",
        "-m",
        "m",
        "--seed",
        "5",
        "--base-url",
        &url,
    ];
    home.allm()
        .args(chat)
        .stdin("which birds?\nand?\n")
        .run()
        .ok();
    drop(server);
    home.allm().args(chat).args(["-c", "hello?"]).run().fails(1);

    let spans = spans(&export(&home, "otel"));
    let (turns, chats) = (named(&spans, "invoke_agent allm"), named(&spans, "chat m"));
    let tools = named(&spans, "execute_tool read_file");
    assert_eq!(
        (turns.len(), chats.len(), tools.len()),
        (3, 5, 3),
        "{spans:#?}"
    );
    for (at, turn) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2)] {
        assert_eq!(chats[at]["parentSpanId"], turns[turn]["spanId"], "{at}");
        assert_eq!(attribute(chats[at], "gen_ai.request.seed"), "5");
    }
    let call = |id: &str, path: &Value| json!({"type": "tool_call", "id": id, "name": "read_file", "arguments": path});
    let said = |at: usize| attribute(chats[at], "gen_ai.output.messages")[0]["parts"].clone();
    assert_eq!(
        said(0),
        json!([{"type": "reasoning", "content": "I read both."}, {"type": "text", "content": "Let me look."}, call("call_0", &a), call("call_1", &b)])
    );
    assert_eq!(said(1), json!([call("call_0", &a)]));
    assert_eq!(
        said(2),
        json!([{"type": "reasoning", "content": "Two birds."}, {"type": "text", "content": "A heron and a stork."}])
    );
    let sent = |at: usize| attribute(chats[at], "gen_ai.input.messages");
    let of = |at: usize| -> Vec<Value> {
        let messages = sent(at);
        let messages = messages.as_array().unwrap().iter();
        messages.map(|message| message["role"].clone()).collect()
    };
    assert_eq!(of(0), ["system", "user"]);
    assert_eq!(of(1), ["system", "user", "assistant", "tool", "tool"]);
    assert_eq!(of(2)[5..], ["assistant", "tool"]);
    assert_eq!(
        sent(1)[4]["parts"][0],
        json!({"type": "tool_call_response", "response": "stork", "id": "call_1"})
    );
    // Why it stopped is known of the answer alone.
    let finish = "gen_ai.response.finish_reasons";
    assert_eq!(attribute(chats[1], finish), Value::Null);
    assert_eq!(
        attribute(chats[2], finish),
        json!([{"stringValue": "stop"}])
    );
    let reason =
        |at: usize| attribute(chats[at], "gen_ai.output.messages")[0]["finish_reason"].clone();
    assert_eq!((reason(1), reason(2)), (json!("tool_call"), json!("stop")));
    // What the server counted stands once: whoever adds it up has what `/stats` has.
    let tokens: Vec<_> = spans
        .iter()
        .map(|span| attribute(span, "gen_ai.usage.input_tokens"))
        .collect();
    let tokens = tokens
        .iter()
        .filter_map(|tokens| tokens.as_str()?.parse::<u64>().ok());
    assert_eq!(tokens.sum::<u64>(), 4 * 500);
    // One begins where the other ends.
    let time = |span: &Value, which: &str| span[which].as_str().unwrap().parse::<u64>().unwrap();
    let (begins, ends) = ("startTimeUnixNano", "endTimeUnixNano");
    assert_eq!(time(chats[0], begins), time(turns[0], begins));
    assert!(time(chats[0], ends) <= time(tools[0], begins));
    assert!(time(tools[1], ends) <= time(chats[1], begins));
    assert!(time(chats[2], ends) <= time(turns[0], ends));

    for failed in [turns[2], chats[4]] {
        assert_eq!(failed["status"]["code"], 2, "{failed}");
        let why = failed["status"]["message"].as_str().unwrap();
        assert!(why.contains("cannot reach"), "{why}");
        assert_eq!(attribute(failed, "error.type"), "failed");
    }
}
