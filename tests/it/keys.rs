//! The key of an OpenAI-compatible server: where it goes, and who is asked without it.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::Home;
use crate::privacy::key;
use crate::scripted::{Said, openai_body};
use crate::server::{self, Chunk, Reply, Request, Server};

type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Starts a server that remembers of each request the path and the key.
fn recording(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Server, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let server = Server::start(move |request| {
        let key = request.headers.get("authorization").cloned();
        log.lock().unwrap().push((request.path.clone(), key));
        reply(request)
    });
    (server, seen)
}

/// Speaks as an OpenAI-compatible server that wants no key, wherever it is reached.
fn compatible(request: &Request) -> Reply {
    let path = request.path.trim_start_matches("http://box.example:1234");
    match path {
        "/v1/models" => Reply::json(200, &json!({"object": "list", "data": [{"id": "m"}]})),
        "/v1/chat/completions" => {
            let body = openai_body(&Said::Text("here"));
            Reply::chunks(200, "text/event-stream", vec![Chunk::Bytes(body.into())])
        }
        _ => Reply::json(404, &json!({"error": "not found"})),
    }
}

fn keys(seen: &Seen) -> Vec<Option<String>> {
    let seen = seen.lock().unwrap();
    seen.iter().map(|(_, key)| key.clone()).collect()
}

// Finding M19.
#[test]
fn a_key_goes_in_clear_text_to_no_other_machine_unless_it_is_told_to() {
    // As a proxy, the server stands for a machine elsewhere.
    let (proxy, seen) = recording(compatible);
    let home = Home::new();
    let ask = |name: &str, value: &str, args: &[&str]| {
        let run = home.allm().env("http_proxy", &proxy.url);
        let run = run.env("OPENAI_API_KEY", &key()).env(name, value);
        run.args(["chat", "--no-tools"])
            .args(args.iter().copied())
            .run()
            .ok()
    };
    let base = ["--base-url", "http://box.example:1234", "hi"];
    for output in [
        ask("UNUSED", "", &base),
        ask("OPENAI_BASE_URL", base[1], &["hi"]),
    ] {
        assert_eq!(output.stdout, "here\n");
        let warning = "warning: `OPENAI_API_KEY` is not sent to `http://box.example:1234/v1`";
        assert!(output.stderr.contains(warning), "{}", output.stderr);
    }
    assert!(keys(&seen).iter().all(Option::is_none), "{seen:?}");
    assert!(seen.lock().unwrap().len() > 3, "{seen:?}");

    seen.lock().unwrap().clear();
    let told = ask("UNUSED", "", &[&["-p", "openai"][..], &base].concat());
    let warning = "warning: `OPENAI_API_KEY` goes to `http://box.example:1234/v1` in clear text";
    assert!(told.stderr.contains(warning), "{}", told.stderr);
    let sent = Some(format!("Bearer {}", key()));
    assert!(keys(&seen).iter().all(|key| *key == sent), "{seen:?}");
}

// Finding M19.
#[test]
fn what_is_at_a_base_url_is_found_out_without_the_key() {
    let home = Home::new();
    let ask = |server: &Server| {
        let run = home.allm().env("OPENAI_API_KEY", &key());
        run.args(["chat", "--json", "--no-tools", "--base-url", &server.url])
            .args(["hi"])
            .ok_json()["provider"]
            .clone()
    };
    let line = json!({"message": {"content": "here"}, "done": true});
    let (ollama, seen) = recording(move |request| match request.path.as_str() {
        "/api/tags" => Reply::json(200, &json!({"models": [{"name": "m"}]})),
        _ => Reply::text(200, "application/x-ndjson", format!("{line}\n")),
    });
    assert_eq!(ask(&ollama), "ollama");
    assert!(keys(&seen).iter().all(Option::is_none), "{seen:?}");

    // To this machine the key may go; first comes the question what is there.
    let (openai, seen) = recording(compatible);
    assert_eq!(ask(&openai), "openai");
    let keys = keys(&seen);
    assert!(keys[0].is_none() && keys[1].is_some(), "{seen:?}");

    // llama.cpp lists its models in both forms, and speaks one.
    let (llama, _) = recording(|request| match request.path.as_str() {
        "/api/tags" => Reply::json(
            200,
            &json!({"models": [{"name": "m"}], "object": "list", "data": [{"id": "m"}]}),
        ),
        _ => compatible(request),
    });
    assert_eq!(ask(&llama), "openai");
}

#[test]
fn a_server_that_wants_no_key_is_found_by_its_variable() {
    let home = Home::new();
    let server = server::openai(|_| "from openai".to_owned());
    let ask = |url: &str| {
        let run = home.allm().env("OPENAI_BASE_URL", url);
        run.args(["chat", "hi"]).run().ok()
    };
    assert_eq!(ask(&server.url).stdout, "from openai\n");
    let port = server.url.rsplit(':').next().unwrap();
    assert_eq!(
        ask(&format!("http://0.0.0.0:{port}")).stdout,
        "from openai\n"
    );
    let nobody = ask("http://127.0.0.1:9").stderr;
    assert!(
        nobody.starts_with("no answer at `http://127.0.0.1:9/v1`, no Ollama at"),
        "{nobody}"
    );
}

#[test]
fn a_server_that_wants_a_key_is_no_server_that_refused_one() {
    let home = Home::new();
    let refuse = |status: u16, key: &str| {
        let server = Server::start(move |_| Reply::json(status, &json!({"error": "no"})));
        let run = home.allm().env("OPENAI_API_KEY", key);
        let run = run.args(["chat", "-p", "openai", "-m", "m", "--base-url", &server.url]);
        run.args(["hi"]).run().fails(1).stderr
    };
    assert!(refuse(401, &key()).contains("refused the key: no"));
    let without = refuse(401, "");
    assert!(
        without.contains("answered 401: no\nhint: set `OPENAI_API_KEY`"),
        "{without}"
    );
    let forbidden = refuse(403, &key());
    assert!(
        forbidden.contains("answered 403: no") && !forbidden.contains("OPENAI_API_KEY"),
        "{forbidden}"
    );
}
