//! Spans on their way to a receiver: OTLP over HTTP.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prost::Message;
use serde_json::json;

use crate::export::{export, told};
use crate::server::{Reply, Request, Server};
use crate::spans::spans;

/// Holds what tells of a request whether it was read right.
#[derive(Clone, PartialEq, Message)]
struct Read {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ReadResource>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ReadScope>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadScope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<ReadSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    begun: u64,
}

type Received = Arc<Mutex<Vec<(HashMap<String, String>, Vec<u8>)>>>;

/// Starts a receiver that gives these answers, the last for ever, and returns what it was sent to its path for traces.
fn receiver(replies: Vec<fn() -> Reply>) -> (Server, Received) {
    let (received, count) = (Received::default(), AtomicUsize::new(0));
    let log = Arc::clone(&received);
    let server = Server::start(move |request: &Request| {
        if (request.method.as_str(), request.path.as_str()) != ("POST", "/v1/traces") {
            return Reply::text(404, "text/plain", "nothing here");
        }
        log.lock()
            .unwrap()
            .push((request.headers.clone(), request.bytes.clone()));
        let at = count.fetch_add(1, Ordering::SeqCst);
        replies[at.min(replies.len() - 1)]()
    });
    (server, received)
}

fn taken() -> Reply {
    protobuf(200, b"")
}

fn protobuf(status: u16, body: &[u8]) -> Reply {
    Reply::text(status, "application/x-protobuf", body)
}

fn busy() -> Reply {
    let mut reply = Reply::text(503, "text/plain", "wait");
    reply.headers.push(("retry-after", "0".to_owned()));
    reply
}

#[test]
fn spans_are_sent_as_protobuf_and_as_json_until_they_are_taken() {
    let home = told();
    let (server, received) = receiver(vec![busy, taken]);
    let headers = [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20abc,x-a=1",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", ""),
    ];
    let base = format!("{}/", server.url);
    let mut run = home.allm().args(["export", "--otlp", &base]);
    for (name, value) in headers {
        run = run.env(name, value);
    }
    let run = run.run().ok();
    assert!(
        run.stderr
            .contains("the receiver is busy (503), trying again in 0 s"),
        "{run:?}"
    );
    let sent = format!(
        "sent to {}/v1/traces: 3 interactions, 8 spans\n",
        server.url
    );
    assert!(run.stderr.ends_with(&sent), "{run:?}");
    let lines = export(&home, "otel");
    let written = spans(&lines);
    {
        let received = received.lock().unwrap();
        assert_eq!(received.len(), 2);
        let (headers, body) = &received[1];
        assert_eq!(
            (
                &*headers["content-type"],
                &*headers["authorization"],
                &*headers["x-a"]
            ),
            ("application/x-protobuf", "Bearer abc", "1")
        );
        let read = Read::decode(&**body).unwrap();
        let read = &read.resources[0].scopes[0].spans;
        assert_eq!(read.len(), written.len());
        for (read, written) in read.iter().zip(&written) {
            let trace = read.trace.iter().map(|byte| format!("{byte:02x}"));
            let trace = trace.collect::<Vec<_>>().concat();
            assert_eq!(
                (
                    json!(trace),
                    json!(read.name),
                    json!(read.kind),
                    json!(read.begun.to_string())
                ),
                (
                    written["traceId"].clone(),
                    written["name"].clone(),
                    written["kind"].clone(),
                    written["startTimeUnixNano"].clone()
                )
            );
        }
    }
    // Without a URL it is the one that other exporters take, too.
    let run = home.allm().args(["export", "--json", "--otlp"]);
    let run = run.env("OTEL_EXPORTER_OTLP_ENDPOINT", &server.url);
    let run = run
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        .ok_json();
    assert_eq!(
        (&run["interactions"], &run["spans"]),
        (&json!(3), &json!(8))
    );
    let received = received.lock().unwrap();
    let (headers, body) = &received[2];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(String::from_utf8_lossy(body), lines.trim_end());
}

#[test]
fn a_receiver_that_does_not_take_spans_is_said() {
    let home = told();
    // One after the other: a part is not taken, in both encodings; a refusal (google.rpc.Status); and what has no form of OTLP.
    let (server, _) = receiver(vec![
        || {
            let partial = json!({"rejectedSpans": "2", "errorMessage": "too old"});
            Reply::json(200, &json!({"partialSuccess": partial}))
        },
        || protobuf(200, b"\x0a\x0b\x08\x03\x12\x07too new"),
        || protobuf(400, b"\x08\x03\x12\x06no way"),
        busy,
        busy,
        busy,
        busy,
        busy,
        || Reply::text(415, "text/plain", "what?"),
        || Reply::json(401, &json!({"error": "who?"})),
    ]);
    let send = |url: &str| format!("/export --from 2025-01-01 --otlp {url}\n");
    let script = send(&server.url).repeat(6) + &send("http://127.0.0.1:9");
    let chat = home.allm().args(["chat", "-p", "offline"]);
    let run = chat.stdin(&script).run().fails(1);
    let stderr = run.stderr.replace(&server.url, "URL");
    let refused = "error: cannot send spans to `URL/v1/traces`: it answered";
    for expected in [
        "error: `URL/v1/traces` has not taken 2 of 8 spans: too old\n",
        "error: `URL/v1/traces` has not taken 3 of 8 spans: too new\n",
        &format!("{refused} 400: no way\n"),
        &format!("{refused} 503: wait\n"),
        &format!("{refused} 415: what?\nhint: it may take JSON: `--otlp-protocol http/json`\n"),
        &format!(
            "{refused} 401: who?\nhint: put what it asks for into `OTEL_EXPORTER_OTLP_HEADERS`"
        ),
        "`http://127.0.0.1:9/v1/traces`: connection refused\nhint: is a receiver running there?",
    ] {
        assert!(stderr.contains(expected), "{expected}\n---\n{stderr}");
    }
    let grpc = home.allm().env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let grpc = grpc.args(["export", "--otlp"]).run().fails(1);
    let expected = "error: cannot send spans by `grpc`\nhint: ";
    assert!(grpc.stderr.starts_with(expected), "{grpc:?}");
}
