//! Servers that fail: what is said of it, and that it costs nothing that came.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, Run, left_out};
use crate::scripted;
use crate::server::{self, Chunk, Reply, Server};

fn ollama_chat(home: &Home, server: &Server, args: &[&str]) -> Run {
    home.allm()
        .args(["chat", "--no-tools", "--provider", "ollama"])
        .args(["--base-url", &server.url])
        .args(args.iter().copied())
}

/// Runs one turn against a server that fails, and checks that the error is reported in three lines and the turn is kept.
#[track_caller]
fn failing(server: &Server, provider: &str, expected_error: &str, kept_response: &str) -> String {
    let home = Home::new();
    let run = home.allm().args([
        "chat",
        "--no-tools",
        "--provider",
        provider,
        "--base-url",
        &server.url,
        "--model",
        "llama3.2",
    ]);
    let output = run.stdin("question\n").run().fails(1);
    assert!(
        output.stderr.contains(&format!("error: {expected_error}")),
        "{}",
        output.stderr
    );
    let listed = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(listed["count"], 1);
    let turn = &listed["interactions"][0];
    assert_eq!(
        (&turn["status"], &turn["query"], &turn["response"]),
        (&json!("failed"), &json!("question"), &json!(kept_response))
    );
    output.stderr
}

fn line_of(text: &str, done: bool) -> Chunk {
    let line = serde_json::json!({"message": {"content": text}, "done": done});
    Chunk::Bytes(format!("{line}\n").into_bytes())
}

fn line(text: &str) -> Chunk {
    Chunk::Bytes(
        format!(
            "{}\n",
            json!({"message": {"role": "assistant", "content": text}, "done": false})
        )
        .into(),
    )
}

#[test]
fn a_server_that_dies_in_an_answer_costs_nothing_that_came() {
    let cut = Server::start(|_| {
        Reply::chunks(
            200,
            "application/x-ndjson",
            vec![line("half an "), line("answer"), Chunk::Cut],
        )
    });
    failing(
        &cut,
        "ollama",
        "the answer of Ollama broke off",
        "half an answer",
    );
    let closed = Server::start(|_| Reply::chunks(200, "application/x-ndjson", vec![line("half")]));
    failing(
        &closed,
        "ollama",
        "the answer of Ollama broke off: the connection closed before the answer ended",
        "half",
    );
}

#[test]
fn malformed_and_refused_answers_are_explained() {
    let malformed = Server::start(|_| {
        Reply::chunks(
            200,
            "application/x-ndjson",
            vec![line("one "), Chunk::Bytes(b"<html>\n".to_vec())],
        )
    });
    failing(&malformed, "ollama", "cannot read what Ollama sent", "one ");
    let missing = server::ollama(|_| String::new());
    let home = Home::new();
    let run = ollama_chat(&home, &missing, &["--model", "nosuch", "hi"])
        .run()
        .fails(1);
    assert!(
        run.stderr
            .contains("error: Ollama has no model `nosuch`: model 'nosuch' not found"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("\nhint: fetch it with `ollama pull nosuch`"),
        "{}",
        run.stderr
    );
    let reported = Server::start(|_| {
        Reply::text(
            200,
            "application/x-ndjson",
            "{\"error\":\"out of memory\"}\n",
        )
    });
    failing(&reported, "ollama", "Ollama reported: out of memory", "");
    let wrong_key = server::openai(|_| String::new());
    let run = home
        .allm()
        .env("OPENAI_API_KEY", "sk-wrong")
        .args(["chat", "--base-url", &wrong_key.url, "-m", "gpt-test", "hi"])
        .run()
        .fails(1);
    assert!(
        run.stderr.contains(
            "refused the key: Incorrect API key provided\nhint: check the key in `OPENAI_API_KEY`"
        ),
        "{}",
        run.stderr
    );
    let no_key = home
        .allm()
        .args([
            "chat",
            "-p",
            "openai",
            "--base-url",
            "https://example.invalid",
            "hi",
        ])
        .run()
        .fails(1);
    assert!(
        no_key
            .stderr
            .contains("`https://example.invalid/v1` wants a key, and `OPENAI_API_KEY` is not set"),
        "{}",
        no_key.stderr
    );
}

#[test]
fn a_silent_server_is_given_up_after_the_idle_time() {
    let server = Server::answering(|_| {
        Reply::chunks(
            200,
            "application/x-ndjson",
            vec![line("a "), Chunk::Wait(Duration::from_secs(30))],
        )
    });
    let home = Home::new();
    std::fs::write(home.path().join("config.toml"), "idle_timeout_s = 3\n").unwrap();
    let output = ollama_chat(&home, &server, &["--model", "m", "hi"])
        .run()
        .fails(1);
    assert_eq!(output.stdout, "a \n");
    assert!(
        output
            .stderr
            .contains("error: Ollama was silent for 3 s\nhint: raise `idle_timeout_s`"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_busy_server_is_asked_again_before_the_first_byte_only() {
    let asked = AtomicUsize::new(0);
    let busy = Server::answering(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Reply {
            headers: vec![("retry-after", "0".to_owned())],
            ..Reply::text(429, "text/plain", "slow down")
        },
        1 => Reply::text(503, "text/plain", "loading"),
        _ => Reply::text(
            200,
            "application/x-ndjson",
            "{\"message\":{\"content\":\"here\"},\"done\":true}\n",
        ),
    });
    let home = Home::new();
    let output = ollama_chat(&home, &busy, &["--model", "m", "hi"])
        .run()
        .ok();
    assert_eq!(output.stdout, "here\n");
    assert!(
        output
            .stderr
            .contains("Ollama answered 429: slow down; trying again in 0.0 s"),
        "{}",
        output.stderr
    );
    assert_eq!(scripted::bodies(&busy).len(), 3);

    let patient = Server::start(|_| Reply {
        headers: vec![("retry-after", "3600".to_owned())],
        ..Reply::text(503, "text/plain", "later")
    });
    ollama_chat(&home, &patient, &["--model", "m", "hi"])
        .run()
        .fails(1);
    let spent = json!({"error": {"message": "no money", "code": "insufficient_quota"}});
    let spent = Server::start(move |_| Reply::json(429, &spent));
    let broken = Server::start(|_| Reply::text(500, "text/plain", "broken"));
    for server in [&spent, &broken] {
        ollama_chat(&home, server, &["--model", "m", "hi"])
            .run()
            .fails(1);
    }
    let asked = [&patient, &spent, &broken].map(|server| scripted::bodies(server).len());
    assert_eq!(asked, [1, 1, 4]);
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_a_hint() {
    let home = Home::new();
    let output = home
        .allm()
        .args(["chat", "-p", "ollama", "hi"])
        .run()
        .fails(1);
    let expected = "error: cannot reach Ollama at `http://127.0.0.1:9`: connection refused\nhint: start it with `ollama serve`, or choose another provider with `--provider`\n";
    assert_eq!(output.stderr, expected);
}

#[test]
fn what_no_server_should_send_is_survived() {
    let ndjson = "application/x-ndjson";
    let whole = || line_of("and the end", true);
    let long = format!(
        "{{\"message\":{{\"content\":\"{}\"}},\"done\":false}}\n",
        "x".repeat(10 << 20)
    );
    for (what, kind, chunks, error) in [
        (
            "10 MB in a line",
            ndjson,
            vec![Chunk::Bytes(long.into_bytes()), whole()],
            None,
        ),
        (
            "invalid UTF-8",
            ndjson,
            vec![
                Chunk::Bytes(b"{\"message\":{\"content\":\"\xff\xfe\"},\"done\":false}\n".to_vec()),
                whole(),
            ],
            None,
        ),
        (
            "half a line",
            ndjson,
            vec![line("one "), Chunk::Bytes(b"{\"message\":{\"con".to_vec())],
            Some("error: "),
        ),
        (
            "another kind",
            "text/html",
            vec![Chunk::Bytes(b"<!doctype html><p>hello".to_vec())],
            Some("error: cannot read what Ollama sent"),
        ),
        (
            "nothing",
            ndjson,
            vec![],
            Some("error: the answer of Ollama broke off"),
        ),
    ] {
        let chunks = std::sync::Mutex::new(Some(chunks));
        let server = Server::answering(move |_| {
            let chunks = chunks.lock().unwrap().take().unwrap_or_default();
            Reply::chunks(200, kind, chunks)
        });
        let home = Home::new();
        let output = ollama_chat(&home, &server, &["--model", "m", what]).run();
        assert_eq!(
            output.status,
            i32::from(error.is_some()),
            "{what}: {}",
            output.stderr
        );
        assert!(
            output.stderr.contains(error.unwrap_or_default()),
            "{what}: {}",
            output.stderr
        );
        let stored = home.allm().args(["show", "--json"]).ok_json().to_string();
        assert!(
            stored.contains("interaction_id"),
            "{what}: {}",
            &stored[..stored.len().min(300)]
        );
    }
}

#[test]
fn an_endless_answer_is_given_up_and_kept() {
    if std::env::var_os("ALLM_SLOW_TESTS").is_none() {
        left_out("it takes long; `ALLM_SLOW_TESTS=1` tries it");
        return;
    }
    let mut chunks = Vec::new();
    let piece = format!(
        "{{\"message\":{{\"content\":\"{}\"}},\"done\":false}}\n",
        "y ".repeat(1 << 19)
    );
    chunks.resize_with(20, || Chunk::Bytes(piece.clone().into_bytes()));
    let chunks = std::sync::Mutex::new(Some(chunks));
    let server = Server::answering(move |_| {
        Reply::chunks(
            200,
            "application/x-ndjson",
            chunks.lock().unwrap().take().unwrap_or_default(),
        )
    });
    let home = Home::new();
    let output = ollama_chat(&home, &server, &["--model", "m", "--no-redact", "go on"])
        .run()
        .fails(1);
    assert!(
        output.stderr.contains("it is longer than 16 MiB"),
        "{}",
        output.stderr
    );
}
