//! Replies that are calls, and answers that look like them.

use serde_json::{Value, json};

use super::*;

fn tools() -> Vec<ToolSpec> {
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: json!({"type": "object", "properties": {"p": {"type": "string"}}}),
    };
    vec![tool("look"), tool("read_file")]
}

/// Returns what streamed as text, and what was held back, for a reply that is cut there.
fn taken(reply: &str, cut: usize) -> (String, Option<Said>) {
    let tools = tools();
    let (mut written, mut held) = (Written::new(&tools), String::new());
    let mut said = written.push(&mut held, &reply[..cut]);
    said += &written.push(&mut held, &reply[cut..]);
    (said, written.finish(&mut held))
}

/// Checks what comes of a reply, whole and cut at every character: text, then calls.
#[track_caller]
fn check(reply: &str, text: &str, expected: &[(&str, Value)]) {
    for cut in (0..=reply.len()).filter(|cut| reply.is_char_boundary(*cut)) {
        let (mut said, rest) = taken(reply, cut);
        let mut calls = Vec::new();
        match rest {
            Some(Said::Text(text)) => said += &text,
            Some(Said::Calls(made, _)) => calls = made,
            None => {}
        }
        let calls: Vec<_> = calls
            .iter()
            .map(|call| (&*call.name, call.arguments.clone()))
            .collect();
        assert_eq!(
            (&*said, &calls[..]),
            (text, expected),
            "{reply}, cut at {cut}"
        );
    }
}

#[test]
fn a_reply_that_is_nothing_but_calls_is_these_calls() {
    let one = [("look", json!({"p": "a"}))];
    let two = [
        ("look", json!({"p": "a"})),
        ("read_file", json!({"p": "b"})),
    ];
    for reply in [
        r#"{"name": "look", "arguments": {"p": "a"}}"#,
        "\n{\"name\": \"functions.look\",\n \"parameters\": {\"p\": \"a\"}}\n",
        r#"{"name": "look", "arguments": "{\"p\": \"a\"}"}"#,
        r#"{"type": "function", "id": "1", "function": {"name": "look", "arguments": {"p": "a"}}}"#,
        r#"{"function": "look", "args": {"p": "a"}}"#,
        r#"{"tool": "look", "input": {"p": "a"}}"#,
        r#"{"action": "look", "action_input": {"p": "a"}}"#,
        r#"{"arguments": {"p": "a"}, "name": "look"}"#,
        r#"[{"name": "look", "arguments": {"p": "a"}}]"#,
        r#"{"tool_calls": [{"function": {"name": "look", "arguments": "{\"p\": \"a\"}"}}]}"#,
        r#"{"tool_uses": [{"recipient_name": "functions.look", "parameters": {"p": "a"}}]}"#,
        "```json\n{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}\n```",
        "```\n{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}\n```\n",
        "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}\n</tool_call>",
        "```\n<tool_call>{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}</tool_call>\n```",
        "<function_call> {\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}",
        "<|tool_call|>[{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}]<|/tool_call|>",
        "<|python_tag|>{\"name\": \"look\", \"parameters\": {\"p\": \"a\"}}<|eom_id|>",
        "[TOOL_CALLS] [{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}]",
        "[TOOL_CALLS]look[ARGS]{\"p\": \"a\"}",
        "[TOOL_CALLS]look[CALL_ID]x1[ARGS]{\"p\": \"a\"}",
        "<function=look>{\"p\": \"a\"}</function>",
        "<tool_call>\n<function=look>\n<parameter=p>\na\n</parameter>\n</function>\n</tool_call>",
    ] {
        check(reply, "", &one);
    }
    for reply in [
        "{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}\n{\"name\": \"read_file\", \"arguments\": {\"p\": \"b\"}}",
        "[{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}, {\"name\": \"read_file\", \"arguments\": {\"p\": \"b\"}}]",
        "<tool_call>{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}</tool_call>\n<tool_call>{\"name\": \"read_file\", \"arguments\": {\"p\": \"b\"}}</tool_call>",
        "```json\n{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}\n```\n```json\n{\"name\": \"read_file\", \"arguments\": {\"p\": \"b\"}}\n```",
    ] {
        check(reply, "", &two);
    }
    check(r#"<tool_call>{"name": "look"}"#, "", &[("look", json!({}))]);
    // Marks make a call of what words come before, too.
    check(
        "I look.\n <tool_call>{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}",
        "I look.\n ",
        &one,
    );
}

#[test]
fn an_answer_that_shows_json_stays_an_answer() {
    for answer in [
        r#"{"name": "Alice", "arguments": {"p": "a"}}"#,
        r#"{"name": "look", "description": "It looks.", "parameters": {}}"#,
        r#"{"name": "look", "parameters": {"type": "object", "properties": {}}}"#,
        r#"{"name": "look", "arguments": {"p": "a"}} is how it is called."#,
        "It is called so: {\"name\": \"look\", \"arguments\": {}}",
        "It is called so:\n```json\n{\"name\": \"look\", \"arguments\": {}}\n```",
        "```rust\nfn look() {}\n```",
        "```json\n{\"answer\": 4}\n```",
        "So:\n```\n<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call>\n```",
        r#"[{"name": "look"}, {"name": "read_file"}]"#,
        r#"{"answer": 4}"#,
        "[1, 2]",
        "[TOOL",
        "<tool_call> is a mark.",
        "{",
        "",
        "  ",
        "```",
        r#"{"name": "look", "arguments": {"p": "#,
    ] {
        check(answer, answer, &[]);
    }
    // It streams as soon as it is known to be one.
    for answer in [
        r#"{"answer": "#,
        "```rust\nfn",
        r#"{"name": "Alice", "#,
        "[1, ",
    ] {
        assert_eq!(taken(answer, 3), (answer.to_owned(), None));
    }
}

#[test]
fn names_are_cleaned_where_that_gives_a_tool() {
    for name in [
        "look",
        "look<|channel|>commentary",
        "functions.look",
        "functions.look<|constrain|>json",
        "functions.look:0",
        "default_api.look",
        "tools/look",
        " `look` ",
        "look()",
    ] {
        assert_eq!(meant(name, &tools()).as_deref(), Some("look"), "{name}");
    }
    for name in ["", "<|channel|>look", "outlook", "look_up", "functions."] {
        assert_eq!(meant(name, &tools()), None, "{name}");
    }
}

#[test]
fn spoilt_calls_are_read_to_the_end() {
    let seeds = [
        "<tool_call>\n<function=look>\n<parameter=p>\na\n</parameter>\n</function>\n</tool_call>",
        "[TOOL_CALLS]look[CALL_ID]x1[ARGS]{\"p\": \"a\"}",
        "```json\n[{\"name\": \"look\", \"arguments\": {\"p\": \"a\"}}]\n```",
    ];
    crate::mutate::each(&seeds, |text| {
        taken(text, text.len());
    });
}
