//! What servers tell of themselves and their models: which kind they are, windows, tools, what chats; and the names that they do not list.

use serde_json::{Value, json};

use crate::harness::{Home, Output};
use crate::scripted::{Said, bodies, ollama_body, openai_body};
use crate::server::{Chunk, Reply, Request, Server};

fn text(text: &'static str) -> String {
    openai_body(&Said::Text(text))
}

fn stream(body: String) -> Reply {
    Reply::chunks(200, "text/event-stream", vec![Chunk::Bytes(body.into())])
}

fn missing() -> Reply {
    Reply::json(
        404,
        &json!({"error": {"message": "File Not Found", "code": 404}}),
    )
}

/// Starts a server that answers these paths with these documents, and messages as one API or the other does.
fn telling(documents: Vec<(&'static str, Value)>, answer: fn(&Request) -> Reply) -> Server {
    Server::start(move |request| {
        let told = documents.iter().find(|(path, _)| *path == request.path);
        match told {
            Some((_, document)) => Reply::json(200, document),
            None if request.path.contains("/chat") => answer(request),
            None => missing(),
        }
    })
}

/// Answers as a server with a window of 4096 tokens, of 4 bytes each.
fn narrow(request: &Request) -> Reply {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let messages = body["messages"].as_array().unwrap().iter();
    let bytes: usize = messages
        .map(|message| message["content"].as_str().unwrap().len())
        .sum();
    if bytes / 4 > 4096 {
        let error = "litellm.ContextWindowExceededError: too much";
        return Reply::json(400, &json!({"error": {"message": error}}));
    }
    match request.path.starts_with("/api/") {
        true => stream(ollama_body(&Said::Text("here"))),
        false => stream(text("here")),
    }
}

fn chat(home: &Home, server: &Server, args: &[&str], script: &str) -> Output {
    let run = home.allm().args(["chat", "--base-url", &server.url]);
    run.args(args.iter().copied()).stdin(script).run()
}

#[test]
fn a_conversation_keeps_to_the_window_that_the_server_tells() {
    let list = |entry: Value| json!({"object": "list", "data": [entry]});
    let props = json!({"default_generation_settings": {"n_ctx": 4096}});
    let show =
        json!({"model_info": {"llama.context_length": 4096}, "capabilities": ["completion"]});
    let question = format!("{}\n", "a question of some length, ".repeat(80)).repeat(11);
    for (kind, documents) in [
        (
            "openai",
            vec![(
                "/v1/models",
                list(
                    json!({"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 4096, "n_ctx_train": 8192}}),
                ),
            )],
        ),
        (
            "openai",
            vec![(
                "/v1/models",
                list(json!({"id": "m", "max_model_len": 4096})),
            )],
        ),
        ("openai", vec![("/props", props)]),
        ("ollama", vec![("/api/show", show)]),
    ] {
        let server = telling(documents, narrow);
        let output = chat(
            &Home::new(),
            &server,
            &["-p", kind, "-m", "m", "--no-tools"],
            &question,
        )
        .ok();
        assert!(
            output.stderr.contains("no longer fit the model's window"),
            "{}",
            output.stderr
        );
        assert!(!output.stderr.contains("longer than"), "{}", output.stderr);
        let sent = bodies(&server);
        assert_eq!(sent.len(), 11, "one was refused");
        assert!(kind == "openai" || sent[0]["options"]["num_ctx"] == 4096);
        let asked = server.requests().len() - sent.len();
        // Once for the list that shows whether there is such a model.
        assert!(asked <= 3, "asked {asked} times");
    }
}

#[test]
fn a_server_that_lists_models_as_ollama_does_need_not_be_one() {
    let tags = json!({"models": [{"name": "m", "model": "m", "details": {"format": "gguf"}}]});
    let list = json!({"object": "list", "data": [{"id": "m", "owned_by": "llamacpp"}]});
    let answer: fn(&Request) -> Reply = |_| stream(text("here"));
    let llama = telling(
        vec![("/api/tags", tags.clone()), ("/v1/models", list.clone())],
        answer,
    );
    let said = |server: &Server| {
        let output = chat(&Home::new(), server, &["--no-tools", "--json", "hi"], "").ok();
        output.json()[0]["provider"].clone()
    };
    assert_eq!(said(&llama), "openai");
    let answer: fn(&Request) -> Reply = |_| stream(ollama_body(&Said::Text("here")));
    let version = json!({"version": "0.12.3"});
    let both = vec![
        ("/api/tags", tags),
        ("/v1/models", list),
        ("/api/version", version),
    ];
    assert_eq!(said(&telling(both, answer)), "ollama");
}

#[test]
fn a_model_that_is_not_told_of_tools_is_told_in_words() {
    let props = json!({"chat_template_caps": {"supports_tools": false}});
    let list = json!({"data": [{"id": "m", "owned_by": "llamacpp"}]});
    let reads_little: fn(&Request) -> Reply = |request| {
        let in_words = request.body.contains("Action Input");
        let body = text(if in_words {
            "Final Answer: it is late"
        } else {
            "I cannot know."
        });
        stream(body.replace("\"prompt_tokens\":500", "\"prompt_tokens\":54"))
    };
    for (documents, requests) in [
        (vec![("/v1/models", list), ("/props", props)], 1),
        (vec![], 2),
    ] {
        let server = telling(documents, reads_little);
        let home = Home::new();
        let output = chat(
            &home,
            &server,
            &["-p", "openai", "-m", "m", "--react", "auto"],
            "when?\nand now?\n",
        )
        .ok();
        assert_eq!(
            output.stdout, "it is late\nit is late\n",
            "{}",
            output.stderr
        );
        let notice = "m cannot call tools by itself, so it is asked to write its calls as text";
        assert_eq!(
            output.stderr.matches(notice).count(),
            1,
            "{}",
            output.stderr
        );
        let sent = bodies(&server);
        assert_eq!(sent.len(), requests + 1);
        assert!(sent[requests - 1]["tools"].is_null() && sent[requests]["tools"].is_null());
    }
}

#[test]
fn the_model_that_is_taken_by_itself_can_chat() {
    let answer: fn(&Request) -> Reply = |request| match request.path.as_str() {
        "/api/chat" => stream(ollama_body(&Said::Text("here"))),
        _ => stream(text("here")),
    };
    let model = |kind: &str, server: &Server| {
        let output = chat(
            &Home::new(),
            server,
            &["-p", kind, "--no-tools", "--json", "hi"],
            "",
        );
        output.ok().json()[0]["model"].clone()
    };
    let tags = |names: &[&str]| {
        let models: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        ("/api/tags", json!({"models": models}))
    };
    let list = |names: &[&str]| {
        let models: Vec<Value> = names.iter().map(|name| json!({"id": name})).collect();
        ("/v1/models", json!({"data": models}))
    };
    let named = telling(
        vec![tags(&["nomic-embed-text:latest", "llama3.2:latest"])],
        answer,
    );
    assert_eq!(model("ollama", &named), "llama3.2:latest");
    let listed = telling(
        vec![list(&["text-embedding-3-small", "whisper-1", "m", "tts-1"])],
        answer,
    );
    assert_eq!(model("openai", &listed), "m");
    // What the server says goes before the name.
    let server =
        Server::start(
            |request| match (request.path.as_str(), request.body.contains("plain")) {
                ("/api/tags", _) => Reply::json(
                    200,
                    &json!({"models": [{"name": "plain"}, {"name": "other"}]}),
                ),
                ("/api/show", embeds) => Reply::json(
                    200,
                    &json!({"capabilities": [if embeds { "embedding" } else { "completion" }]}),
                ),
                _ => stream(ollama_body(&Said::Text("here"))),
            },
        );
    assert_eq!(model("ollama", &server), "other");
    let none = telling(vec![("/api/tags", json!({"models": []}))], answer);
    let stderr = chat(&Home::new(), &none, &["-p", "ollama", "hi"], "")
        .fails(1)
        .stderr;
    assert!(
        stderr.contains("Ollama lists no model that answers messages\nhint: fetch one"),
        "{stderr}"
    );
}

#[test]
fn a_name_that_the_server_does_not_list_is_taken_with_a_notice() {
    let answer: fn(&Request) -> Reply = |_| stream(text("here"));
    let list = ("/v1/models", json!({"data": [{"id": "org/a"}]}));
    for (documents, notice) in [
        (
            vec![list],
            "warning: the server lists no `org/a:online`; it has org/a",
        ),
        (
            vec![],
            "warning: whether it has a model `org/a:online` is not known: the OpenAI-compatible server answered 404",
        ),
    ] {
        let server = telling(documents, answer);
        let output = chat(
            &Home::new(),
            &server,
            &["-p", "openai", "-m", "org/a", "--no-tools"],
            "/model org/a:online\nhi\n/model\n",
        )
        .ok();
        assert!(output.stderr.contains(notice), "{}", output.stderr);
        assert_eq!(bodies(&server)[0]["model"], "org/a:online");
    }
    // Without a list, a name is wanted.
    let stderr = chat(
        &Home::new(),
        &telling(vec![], answer),
        &["-p", "openai", "hi"],
        "",
    )
    .fails(1)
    .stderr;
    assert!(stderr.contains("hint: name one with `--model`"), "{stderr}");
}

#[test]
fn thinking_is_switched_in_the_words_of_each_server() {
    let ollama: fn(&Request) -> Reply = |request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        if body["think"].is_string() {
            return Reply::json(
                400,
                &json!({"error": "think value \"low\" is not supported for this model"}),
            );
        }
        stream(ollama_body(&Said::Text("here")))
    };
    let openai: fn(&Request) -> Reply = |request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        if body["reasoning_effort"] == "none" {
            let message = "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.";
            return Reply::json(
                400,
                &json!({"error": {"message": message, "param": "reasoning_effort", "code": "unsupported_value"}}),
            );
        }
        stream(text("here"))
    };
    let script = "one\n/think off\ntwo\n/think low\nthree\n/think\n/think default\nfour\n";
    for (kind, field, answer, sent) in [
        (
            "ollama",
            "think",
            ollama,
            [
                json!(true),
                Value::Null,
                json!(false),
                json!("low"),
                json!(true),
                Value::Null,
            ],
        ),
        (
            "openai",
            "reasoning_effort",
            openai,
            [
                json!("medium"),
                Value::Null,
                json!("none"),
                json!("minimal"),
                json!("low"),
                Value::Null,
            ],
        ),
    ] {
        let (home, server) = (Home::new(), telling(vec![], answer));
        let args = ["-p", kind, "-m", "m", "--no-tools", "--json"];
        chat(
            &home,
            &server,
            &[&args[..], &["--think", "on", "zero"]].concat(),
            "",
        )
        .ok();
        let output = chat(&home, &server, &args, script).ok();
        let settings = output.json();
        let think: Vec<&Value> = settings
            .iter()
            .filter(|line| line["name"] == "think")
            .map(|line| &line["value"])
            .collect();
        assert_eq!(
            think,
            [&json!("off"), &json!("low"), &json!("low"), &Value::Null]
        );
        let bodies = bodies(&server);
        let asked: Vec<&Value> = bodies.iter().map(|body| &body[field]).collect();
        assert_eq!(asked, sent.iter().collect::<Vec<_>>(), "{kind}");
        std::fs::write(home.path().join("config.toml"), "think = false").unwrap();
        chat(&home, &server, &[&args[..], &["five"]].concat(), "").ok();
        let refused = chat(&home, &server, &args, "/think loud\n").fails(1).stdout;
        assert!(
            refused.contains("[possible values: on, off, low, medium, high, default]"),
            "{refused}"
        );
    }
}
