//! Servers that speak as OpenAI does, each in its way: windows, ends of streams, errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Home, Output};
use crate::scripted::{Said, bodies, calls, openai_body};
use crate::server::{Chunk, Reply, Request, Server};

fn ask(home: &Home, server: &Server, args: &[&str], script: &str) -> Output {
    let run = home
        .allm()
        .args(["chat", "-p", "openai", "-m", "m", "--base-url", &server.url]);
    run.args(args.iter().copied()).stdin(script).run()
}

fn stream(body: String) -> Reply {
    Reply::chunks(200, "text/event-stream", vec![Chunk::Bytes(body.into())])
}

/// Returns how many tokens a request is long, about.
fn tokens(request: &Request) -> usize {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let messages = body["messages"].as_array().unwrap().iter();
    let text = messages.filter_map(|message| message["content"].as_str());
    text.map(str::len).sum::<usize>() / 4
}

/// Starts a server with a small window, which refuses what is longer in these words.
fn narrow(window: usize, words: &'static str) -> Server {
    Server::answering(move |request| {
        if tokens(request) > window {
            return Reply::json(400, &json!({"error": {"message": words}}));
        }
        stream(openai_body(&Said::Text("here")))
    })
}

// Finding M28.
#[test]
fn a_conversation_goes_on_when_it_is_longer_than_the_servers_window() {
    let question = "a question of some length, ".repeat(120);
    let script = format!("{question}\n").repeat(12);
    for (words, most) in [
        (
            "This model's maximum context length is 4096 tokens. However, you requested more.",
            1,
        ),
        (
            "the request exceeds the available context size. try increasing the context size or enable context shift",
            2,
        ),
    ] {
        let server = narrow(4096, words);
        let output = ask(&Home::new(), &server, &["--no-tools"], &script).ok();
        assert_eq!(output.stdout.matches("here").count(), 12);
        let notice = "the request is longer than the model's window, so less of the conversation is sent; lower `openai_window`";
        assert!(output.stderr.contains(notice), "{}", output.stderr);
        // What was learnt of the window is not learnt again with each turn.
        let refused = bodies(&server).len() - 12;
        assert!((1..=most).contains(&refused), "{refused} refused");
    }
}

// Finding M28.
#[test]
fn a_question_that_is_too_long_by_itself_is_refused_with_a_hint() {
    let server = narrow(1000, "Your input exceeds the context window of this model.");
    let question = "a question of some length, ".repeat(400);
    let output = ask(&Home::new(), &server, &["--no-tools"], &question).fails(1);
    assert!(
        output
            .stderr
            .contains("exceeds the context window of this model.\nhint: lower `openai_window`"),
        "{}",
        output.stderr
    );
    assert_eq!(bodies(&server).len(), 1);
}

#[test]
fn an_answer_is_whole_once_the_model_has_finished_whatever_the_server_does_then() {
    let whole = openai_body(&Said::Text("here it is"));
    let end = whole.find("data: {\"choices\":[],").unwrap();
    let finished = || Chunk::Bytes(whole[..end].into());
    for rest in [
        vec![Chunk::Cut],
        vec![],
        vec![Chunk::Bytes(b"data: {\"cho".to_vec())],
        vec![Chunk::Bytes(b"data: {\"error\":\"late\"}\n".to_vec())],
        vec![Chunk::Wait(Duration::from_mins(1))],
    ] {
        let chunks = std::sync::Mutex::new(Some(vec![finished()].into_iter().chain(rest)));
        let server = Server::answering(move |_| {
            let chunks = chunks.lock().unwrap().take();
            let chunks = chunks.into_iter().flatten().collect();
            Reply::chunks(200, "text/event-stream", chunks)
        });
        let output = ask(&Home::new(), &server, &["--no-tools", "hi"], "").ok();
        assert_eq!(output.stdout, "here it is\n", "{}", output.stderr);
    }
    // One that has not finished is failed.
    let half = whole[..end / 3].to_owned();
    let server = Server::start(move |_| stream(half.clone()));
    ask(&Home::new(), &server, &["--no-tools", "hi"], "").fails(1);
}

#[test]
fn a_list_of_models_without_end_is_given_up() {
    let server = Server::start(|_| Reply::text(200, "application/json", vec![b' '; 17 << 20]));
    let home = Home::new();
    let run = home.allm().args(["chat", "-p", "openai"]);
    let output = run.args(["--base-url", &server.url, "hi"]).run().fails(1);
    assert!(
        output.stderr.contains("it is longer than 16384 kiB"),
        "{}",
        output.stderr
    );
}

#[test]
fn an_error_in_a_stream_is_told_in_the_servers_words() {
    for (body, words) in [
        (
            "data: {\"object\":\"error\",\"message\":\"on fire\"}\n\n",
            "on fire",
        ),
        (
            "event: error\ndata: {\"reason\":\"on fire\"}\n\n",
            "on fire",
        ),
        ("data: {\"error\":{\"code\":502}}\n\n", "502"),
        ("[{\"error\":{\"message\":\"on fire\"}}]\n", "on fire"),
    ] {
        let server = Server::start(move |_| stream(body.to_owned()));
        let stderr = ask(&Home::new(), &server, &["--no-tools", "hi"], "")
            .fails(1)
            .stderr;
        assert!(
            stderr.contains("error: the OpenAI-compatible server reported: ")
                && stderr.contains(words),
            "{stderr}"
        );
    }
}

#[test]
fn tools_stay_with_the_last_request_and_what_is_missing_is_no_refusal_of_them() {
    let asked = AtomicUsize::new(0);
    let server = Server::answering(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => stream(openai_body(&calls("current_time", json!({})))),
        1 => stream(openai_body(&Said::Text("it is late"))),
        _ => Reply::json(
            400,
            &json!({"error": {"message": "Missing required parameter: 'messages[2].tool_call_id'"}}),
        ),
    });
    let home = Home::new();
    let output = ask(&home, &server, &["--max-steps", "1", "when?"], "").ok();
    assert_eq!(output.stdout, "it is late\n");
    let sent = bodies(&server);
    assert!(sent[0]["tool_choice"].is_null());
    assert_eq!(
        (&sent[1]["tools"], &sent[1]["tool_choice"]),
        (&sent[0]["tools"], &json!("none"))
    );
    let stderr = ask(&home, &server, &["when?"], "").fails(1).stderr;
    assert!(
        stderr.contains("answered 400: Missing required parameter")
            && !stderr.contains("call tools by itself"),
        "{stderr}"
    );
    assert_eq!(bodies(&server).len(), 3);
}
