//! Answers as servers and models give them: calls, thoughts and ends in many forms, and what of it is kept, shown and sent back.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Home, Output};
use crate::scripted::{Said, bodies, openai_body};
use crate::server::{Reply, Server};

/// Starts a server that streams one body after the other.
fn server(replies: Vec<String>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| {
        if !request.path.contains("/chat") {
            return Reply::json(404, &json!({"error": "not found"}));
        }
        let turn = asked.fetch_add(1, Ordering::SeqCst);
        let kind = match replies[turn].starts_with("data:") {
            true => "text/event-stream",
            false => "application/x-ndjson",
        };
        Reply::text(200, kind, replies[turn].clone())
    })
}

/// Asks, in one process, as many questions as there are lines.
fn ask(home: &Home, server: &Server, provider: &str, args: &[&str], script: &str) -> Output {
    let run = home.allm();
    let run = run.args(["chat", "-p", provider, "-m", "m", "--base-url", &server.url]);
    run.args(args.iter().copied()).stdin(script).run().ok()
}

/// Returns what streams where these are the deltas, and this the reason of the end.
fn sse(deltas: &[Value], reason: &str) -> String {
    let event = |delta: &Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"choices": [choice]}))
    };
    let mut body: String = deltas
        .iter()
        .map(|delta| event(delta, Value::Null))
        .collect();
    body += &event(&json!({}), json!(reason));
    body + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1234}}\n\ndata: [DONE]\n\n"
}

fn ndjson(pieces: &[&str], reason: &str) -> String {
    let line = |piece: &&str| {
        format!(
            "{}\n",
            json!({"message": {"content": piece}, "done": false})
        )
    };
    let lines: String = pieces.iter().map(line).collect();
    let end = json!({"message": {"content": ""}, "done": true, "done_reason": reason, "prompt_eval_count": 9, "eval_count": 1234});
    format!("{lines}{end}\n")
}

fn said(text: &str) -> Vec<Value> {
    text.split_inclusive(' ')
        .map(|word| json!({"content": word}))
        .collect()
}

#[test]
fn calls_are_made_in_whatever_form_they_come() {
    let (a, b) = (r#"{"path":"a.txt"}"#, r#"{"path":"b.txt"}"#);
    let native = |id: &str, name: &str, arguments: Value| json!({"tool_calls": [{"index": 0, "id": id, "function": {"name": name, "arguments": arguments}}]});
    let written = format!(r#"{{"name": "read_file", "arguments": {a}}}"#);
    let channels = format!(
        "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.read_file <|constrain|>json<|message|>{a}<|call|>"
    );
    let both = ["a is here", "b is here"];
    let forms: Vec<(Vec<Value>, &[&str])> = vec![
        (
            vec![
                native("c1", "read_file", json!(a)),
                native("c2", "read_file", json!(b)),
            ],
            &both,
        ),
        (
            vec![native("c1", "read_file", json!({"path": "a.txt"}))],
            &both[..1],
        ),
        (
            vec![json!({"function_call": {"name": "read_file", "arguments": a}})],
            &both[..1],
        ),
        (
            vec![native(
                "c1",
                "functions.read_file<|channel|>commentary",
                json!(a),
            )],
            &both[..1],
        ),
        (said(&written), &both[..1]),
        (said(&format!("```json\n{written}\n```")), &both[..1]),
        (
            said(&format!("I look.\n<tool_call>\n{written}\n</tool_call>")),
            &both[..1],
        ),
        (said(&channels), &both[..1]),
    ];
    let home = Home::new();
    for name in ["a", "b"] {
        std::fs::write(
            home.folder().join(format!("{name}.txt")),
            format!("{name} is here"),
        )
        .unwrap();
    }
    let mut replies = Vec::new();
    for (deltas, _) in &forms {
        replies.extend([sse(deltas, "stop"), openai_body(&Said::Text("Done."))]);
    }
    let server = server(replies);
    let turns = ask(
        &home,
        &server,
        "openai",
        &["--json"],
        &"read\n".repeat(forms.len()),
    )
    .json();
    let sent = bodies(&server);
    for (at, (deltas, expected)) in forms.iter().enumerate() {
        let turn = &turns[at];
        assert_eq!(turn["response"], "Done.", "{deltas:?}");
        let steps = turn["steps"].as_array().unwrap().iter();
        let observed: Vec<&str> = steps
            .map(|step| step["observation"].as_str().unwrap().trim())
            .collect();
        assert_eq!(&observed, expected, "{deltas:?}");
        // What goes back is a call like any other.
        let messages = sent[2 * at + 1]["messages"].as_array().unwrap();
        let message = &messages[messages.len() - expected.len() - 1];
        let call = &message["tool_calls"][0]["function"];
        assert_eq!(
            (&call["name"], &call["arguments"]),
            (&json!("read_file"), &json!(a))
        );
        let text = message["content"].as_str().unwrap_or_default().trim();
        assert!(["", "I look."].contains(&text), "{message}");
    }

    let text = ndjson(
        &[
            "{\"name\": \"read_file\", ",
            &format!("\"arguments\": {a}}}"),
        ],
        "stop",
    );
    let server = self::server(vec![text, ndjson(&["Done."], "stop")]);
    assert_eq!(
        ask(&home, &server, "ollama", &["read"], "").stdout,
        "Done.\n"
    );
    assert_eq!(bodies(&server)[1]["messages"][3]["content"], "a is here");
}

#[test]
fn what_a_server_attaches_goes_back_to_it_and_to_no_other() {
    let call = json!({"index": 0, "id": "c1", "function": {"name": "read_file", "arguments": "{\"path\":\"a.txt\"}"},
        "extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl"}}});
    let thinks = json!({"content": null, "reasoning_content": "I should read."});
    let first = sse(&[thinks, json!({"tool_calls": [call]})], "tool_calls");
    let done = || openai_body(&Said::Text("It is here."));
    let (here, there) = (server(vec![first, done(), done()]), server(vec![done()]));
    let home = Home::new();
    std::fs::write(home.folder().join("a.txt"), "a is here").unwrap();
    ask(&home, &here, "openai", &[], "read a\nagain\n");
    for body in &bodies(&here)[1..] {
        let message = &body["messages"][2];
        assert_eq!(message["reasoning_content"], "I should read.", "{body}");
        assert_eq!(
            message["tool_calls"][0]["extra_content"]["google"]["thought_signature"],
            "c2lnbmF0dXJl"
        );
    }
    // A server that wants thoughts back wants one with every message.
    assert_eq!(bodies(&here)[2]["messages"][4]["reasoning_content"], "");
    ask(&home, &there, "openai", &["--continue", "again"], "");
    let (_, sent) = there.requests().pop().unwrap();
    assert!(
        sent.contains("a is here") && !sent.contains("c2lnbmF0dXJl") && !sent.contains("reasoning"),
        "{sent}"
    );
}

#[test]
fn thoughts_are_told_from_the_answer() {
    let forms: Vec<(String, &str, &str)> = vec![
        (
            sse(&said("Okay, I greet.\n</think>\n\nHello!"), "stop"),
            "Okay, I greet.",
            "Hello!",
        ),
        (
            sse(&said("[THINK]hm[/THINK]Hello!"), "stop"),
            "hm",
            "Hello!",
        ),
        (
            sse(
                &said(
                    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>",
                ),
                "stop",
            ),
            "hm",
            "Hello!",
        ),
        (
            sse(
                &[
                    json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "17 times 23. "}]}]}),
                    json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "So 391."}]}]}),
                    json!({"content": [{"type": "text", "text": "It is "}]}),
                    json!({"content": "391."}),
                ],
                "stop",
            ),
            "17 times 23. So 391.",
            "It is 391.",
        ),
        (
            sse(
                &said("The mark `</think>` ends it:\n```\nhm\n</think>\n```"),
                "stop",
            ),
            "",
            "The mark `</think>` ends it:\n```\nhm\n</think>\n```",
        ),
    ];
    let home = Home::new();
    let server = server(forms.iter().map(|(body, ..)| body.clone()).collect());
    let turns = ask(
        &home,
        &server,
        "openai",
        &["--no-tools", "--json"],
        &"hi\n".repeat(forms.len()),
    )
    .json();
    for (turn, (body, thought, answer)) in turns.iter().zip(&forms) {
        assert_eq!(turn["response"], *answer, "{body}");
        let thinks = turn["steps"][0]["thought"].as_str().unwrap_or_default();
        assert_eq!(thinks, *thought, "{body}");
    }
    let pieces = ["Okay, I greet.\n</th", "ink>\n\nHello!"];
    let ollama = self::server(vec![ndjson(&pieces, "stop"), ndjson(&pieces, "stop")]);
    assert_eq!(
        ask(&home, &ollama, "ollama", &["--no-tools", "hi"], "").stdout,
        "Hello!\n"
    );
    // On a terminal, where it has been shown, it is told.
    let mut terminal = home.terminal(&[
        "chat",
        "--no-tools",
        "-p",
        "ollama",
        "-m",
        "m",
        "--base-url",
        &ollama.url,
        "hi",
    ]);
    assert_eq!(terminal.exit_status(), 0);
    let screen = terminal.screen();
    let (before, after) = screen.split_once("that was reasoning").unwrap();
    assert!(
        before.contains("Okay, I greet.") && after.contains("Hello!"),
        "{screen}"
    );
}

#[test]
fn an_answer_that_did_not_end_says_so() {
    let forms: Vec<(&str, String, &str, &str)> = vec![
        (
            "openai",
            sse(&said("Never touch the"), "length"),
            "Never touch the",
            "the answer was cut off at 1,234 tokens; `/max-tokens` raises it",
        ),
        (
            "openai",
            sse(&[json!({"reasoning_content": "hm"})], "length"),
            "",
            "the model was still thinking, and gave no answer, when it was cut off at 1,234 tokens",
        ),
        (
            "openai",
            sse(&said("Never"), "content_filter"),
            "Never",
            "the server's filter cut the answer off",
        ),
        (
            "openai",
            sse(&[], "content_filter"),
            "",
            "the server's filter took the answer away",
        ),
        (
            "openai",
            sse(&[json!({"refusal": "I will not."})], "stop"),
            "I will not.",
            "",
        ),
        ("openai", sse(&[], "stop"), "", "the model gave no answer"),
        (
            "ollama",
            ndjson(&["Never touch the"], "length"),
            "Never touch the",
            "the answer was cut off at 1,234 tokens",
        ),
    ];
    let home = Home::new();
    for (provider, body, answer, notice) in forms {
        let server = server(vec![body.clone()]);
        let output = ask(
            &home,
            &server,
            provider,
            &["--no-tools", "--json", "hi"],
            "",
        );
        let turn = &output.json()[0];
        assert_eq!(
            (&turn["response"], &turn["status"]),
            (&json!(answer), &json!("completed")),
            "{body}"
        );
        let told = output
            .stderr
            .lines()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>();
        match notice {
            "" => assert!(told.is_empty(), "{body}: {told:?}"),
            notice => assert!(
                told.iter().any(|line| line.contains(notice)),
                "{body}: {told:?}"
            ),
        }
    }
}
