//! What is said of errors, and which of them are worth another try.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Home, Run};
use crate::scripted::{Said, bodies, ollama_body};
use crate::server::{Chunk, Reply, Server};

fn ask(home: &Home, provider: &str, server: &Server) -> Run {
    let run = home
        .allm()
        .args(["chat", "--no-tools", "-p", provider, "-m", "m"]);
    run.args(["--base-url", &server.url, "hi"])
}

/// Returns what is said of a server that answers so, and how often it was asked for an answer.
fn refused(provider: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> (String, usize) {
    let server = Server::start(move |_| reply());
    let stderr = ask(&Home::new(), provider, &server).run().fails(1).stderr;
    (stderr, bodies(&server).len())
}

#[test]
fn what_breaks_off_was_reached_and_is_tried_again_before_the_first_byte() {
    for whole in [None, Some("here")] {
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            if !request.path.ends_with("/chat") || asked.fetch_add(1, Ordering::SeqCst) < 2 {
                // Before the head, and after it.
                return match whole {
                    None => panic!("the connection is closed without an answer"),
                    Some(_) => Reply::chunks(200, "application/x-ndjson", vec![Chunk::Cut]),
                };
            }
            Reply::chunks(
                200,
                "application/x-ndjson",
                vec![Chunk::Bytes(ollama_body(&Said::Text("here")).into())],
            )
        });
        let output = ask(&Home::new(), "ollama", &server).run().ok();
        assert_eq!(output.stdout, "here\n");
        assert_eq!(
            output
                .stderr
                .matches("the answer of Ollama broke off: ")
                .count(),
            2,
            "{}",
            output.stderr
        );
    }
    let settings = "retries = 1\n";
    let closing = Server::start(|_| Reply::chunks(200, "text/plain", vec![Chunk::Cut]));
    let home = Home::new();
    std::fs::write(home.path().join("config.toml"), settings).unwrap();
    let stderr = ask(&home, "ollama", &closing).run().fails(1).stderr;
    assert!(
        stderr.contains("error: the answer of Ollama broke off")
            && !stderr.contains("cannot reach"),
        "{stderr}"
    );
    assert_eq!(bodies(&closing).len(), 2);
}

#[test]
fn each_refusal_has_its_own_hint() {
    let json =
        |status: u16, body: &'static str| move || Reply::text(status, "application/json", body);
    for (provider, status, body, error, hint) in [
        (
            "openai",
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota"}}"#,
            "wants to be paid: You exceeded your current quota",
            "look after quota and credit",
        ),
        (
            "openai",
            402,
            r#"{"error":{"message":"Insufficient Balance"}}"#,
            "wants to be paid: Insufficient Balance",
            "look after quota and credit",
        ),
        (
            "openai",
            400,
            r#"{"error":{"message":"litellm.BadRequestError: Invalid model name passed in model=m","code":"400"}}"#,
            "has no model `m`: litellm.BadRequestError: Invalid model name",
            "list what is there with `/model`",
        ),
        (
            "openai",
            200,
            "data: {\"error\":{\"message\":\"The model `m` does not exist\"}}\n\n",
            "has no model `m`",
            "list what is there with `/model`",
        ),
        (
            "ollama",
            422,
            r#"{"error":"unknown model"}"#,
            "Ollama has no model `m`: unknown model",
            "fetch it with `ollama pull m`",
        ),
        (
            "openai",
            404,
            r#"{"error":{"message":"File Not Found","code":404}}"#,
            "answered 404: File Not Found",
            "nothing answers at that path: check the path of `--base-url`",
        ),
        (
            "openai",
            405,
            "<html><head><title>405 Not Allowed</title></head></html>",
            "answered 405: 405 Not Allowed",
            "nothing answers at that path",
        ),
    ] {
        let (stderr, asked) = refused(provider, json(status, body));
        assert!(
            stderr.contains(error) && stderr.contains(&format!("\nhint: {hint}")),
            "{stderr}"
        );
        assert_eq!(asked, 1, "{stderr}");
    }
}
