//! Servers that refuse a part of the request: it is left out or sent in another form, once and for as long as the chat lives.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::scripted::{Said, bodies, ollama_body, openai_body};
use crate::server::{Chunk, Reply, Server};

/// Returns what a server finds wrong with a request, if anything.
type Check = fn(&Value) -> Option<(u16, Value)>;

fn has(body: &Value, name: &str) -> bool {
    !body[name].is_null()
}

fn no(message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error"}})
}

fn strict(check: Check) -> Server {
    Server::start(move |request| {
        let ollama = request.path.ends_with("/api/chat");
        if !ollama && !request.path.ends_with("/chat/completions") {
            return Reply::json(404, &json!({"error": "not found"}));
        }
        if let Some((status, error)) = check(&serde_json::from_str(&request.body).unwrap()) {
            // An error within a stream that has begun with a good status.
            return match status {
                200 => Reply::text(200, "text/event-stream", format!("data: {error}\n\n")),
                status => Reply::json(status, &error),
            };
        }
        let said = &Said::Text("here it is");
        let body = if ollama {
            ollama_body(said)
        } else {
            openai_body(said)
        };
        Reply::chunks(200, "text/event-stream", vec![Chunk::Bytes(body.into())])
    })
}

/// Says two things to a server, and checks that one notice is given of each thing that it refuses and that nothing is refused twice.
#[track_caller]
fn check(provider: &str, args: &[&str], check: Check, notices: &[&str]) -> Vec<Value> {
    let (home, server) = (Home::new(), strict(check));
    let run = home
        .allm()
        .args(["chat", "-p", provider, "-m", "m", "--no-tools"]);
    let run = run
        .args(["--base-url", &server.url])
        .args(args.iter().copied());
    let output = run.stdin("one\ntwo\n").run().ok();
    assert_eq!(
        output.stdout, "here it is\nhere it is\n",
        "{}",
        output.stderr
    );
    let told: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.contains(" so "))
        .collect();
    assert_eq!(told, notices, "{}", output.stderr);
    let sent = bodies(&server);
    assert_eq!(sent.len(), notices.len() + 2);
    let first = home.allm().args(["context", "--json"]).ok_json();
    assert_eq!(
        first["requests"].as_array().map(Vec::len),
        Some(1),
        "{first}"
    );
    sent
}

#[test]
fn a_field_that_is_refused_is_renamed_or_left_out() {
    let tokens: Check = |body| {
        has(body, "max_tokens").then(|| {
            (400, json!({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}}))
        })
    };
    let renamed = "the server takes no `max_tokens`, so it is sent as `max_completion_tokens`";
    let sent = check("openai", &["--max-tokens", "50"], tokens, &[renamed]);
    assert_eq!(
        (&sent[1]["max_completion_tokens"], &sent[2]["max_tokens"]),
        (&json!(50), &Value::Null)
    );

    // Both names, one after the other; the others in the words of other servers.
    let nothing: Check = |body| {
        let refused = [
            "max_tokens",
            "max_completion_tokens",
            "stream_options",
            "temperature",
            "seed",
            "top_p",
        ];
        let name = refused.into_iter().find(|name| has(body, name))?;
        Some(match name {
            "stream_options" => (
                422,
                json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs are not permitted", "input": true}]}}),
            ),
            "temperature" => (
                400,
                no(
                    "litellm.UnsupportedParamsError: gpt-5 models don't support temperature=0.5. Only temperature=1 is supported.",
                ),
            ),
            "seed" => (
                400,
                json!({"detail": "{\"error\": {\"message\": \"Additional properties are not allowed ('seed' was unexpected)\"}}"}),
            ),
            "top_p" => (200, no("Unrecognized request argument supplied: topP")),
            name => (
                400,
                json!([{"error": {"code": 400, "message": format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."), "status": "INVALID_ARGUMENT"}}]),
            ),
        })
    };
    let out = |name: &str| format!("the server takes no `{name}`, so it is left out");
    let left_out: Vec<String> = [
        "max_completion_tokens",
        "stream_options",
        "temperature",
        "seed",
        "top_p",
    ]
    .map(out)
    .into();
    let notices: Vec<&str> = [renamed]
        .into_iter()
        .chain(left_out.iter().map(String::as_str))
        .collect();
    let args = [
        "--max-tokens",
        "50",
        "-t",
        "0.5",
        "--seed",
        "7",
        "--top-p",
        "0.9",
    ];
    let sent = check("openai", &args, nothing, &notices);
    let names: Vec<&String> = sent[6].as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "stream", "messages"]);
}

#[test]
fn a_system_prompt_that_is_refused_is_put_before_the_first_question() {
    let refuses: [Check; 4] = [
        |body| {
            (body["messages"][0]["role"] == "system").then(|| {
                (
                    400,
                    json!({"object": "error", "message": "System role not supported", "code": 400}),
                )
            })
        },
        |body| {
            (body["messages"][0]["role"] == "system").then(|| (500, no("Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...")))
        },
        |body| {
            (body["messages"][0]["role"] == "system").then(|| {
                (
                    400,
                    no("Developer instruction is not enabled for models/gemma-3-27b-it"),
                )
            })
        },
        |body| {
            (body["messages"][0]["role"] == "system").then(|| (422, json!({"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}]})))
        },
    ];
    let notice = "the model takes no system role, so its prompt is put before the first question";
    for refuse in refuses {
        let sent = check("openai", &["-s", "be brief"], refuse, &[notice]);
        let last = json!([
            {"role": "user", "content": "be brief\n\none"},
            {"role": "assistant", "content": "here it is"},
            {"role": "user", "content": "two"},
        ]);
        assert_eq!(sent[2]["messages"], last);
    }
    let developer: Check = |body| {
        (body["messages"][0]["role"] == "system").then(|| {
            (400, json!({"error": {"message": "Unsupported value: 'messages[0].role' does not support 'system' with this model. Supported values are: 'developer', 'user', and 'assistant'.", "param": "messages[0].role"}}))
        })
    };
    let notice = "the model takes no system role, so its prompt is sent with the role `developer`";
    let sent = check("openai", &["-s", "be brief"], developer, &[notice]);
    assert_eq!(
        sent[2]["messages"][0],
        json!({"role": "developer", "content": "be brief"})
    );
}

#[test]
fn a_number_that_the_model_does_not_take_is_for_the_person_to_mend() {
    static ASKED: Mutex<usize> = Mutex::new(0);
    let server = strict(|_| {
        *ASKED.lock().unwrap() += 1;
        Some((
            400,
            json!({"error": {"message": "max_tokens is too large: 100000. This model supports at most 4096 completion tokens", "param": "max_tokens"}}),
        ))
    });
    let home = Home::new();
    let run = home.allm().args([
        "chat",
        "-p",
        "openai",
        "-m",
        "m",
        "--no-tools",
        "--max-tokens",
        "100000",
    ]);
    let stderr = run
        .args(["--base-url", &server.url, "hi"])
        .run()
        .fails(1)
        .stderr;
    assert!(
        stderr.contains("answered 400: max_tokens is too large"),
        "{stderr}"
    );
    assert_eq!(*ASKED.lock().unwrap(), 1);
}
