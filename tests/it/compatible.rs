//! Servers that speak as OpenAI does, each in its way: ends of streams, errors.

use std::time::Duration;

use crate::harness::{Home, Output};
use crate::scripted::{Said, openai_body};
use crate::server::{Chunk, Reply, Server};

fn ask(home: &Home, server: &Server, args: &[&str], script: &str) -> Output {
    let run = home
        .allm()
        .args(["chat", "-p", "openai", "-m", "m", "--base-url", &server.url]);
    run.args(args.iter().copied()).stdin(script).run()
}

fn stream(body: String) -> Reply {
    Reply::chunks(200, "text/event-stream", vec![Chunk::Bytes(body.into())])
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
        let server = Server::start(move |_| {
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
