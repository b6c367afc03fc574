//! The key of an OpenAI-compatible server: where it goes, and who is asked without it.

use std::collections::HashMap;
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

type Headers = Arc<Mutex<Vec<HashMap<String, String>>>>;

/// Starts a server of either kind that remembers the headers of each request.
fn listening() -> (Server, Headers) {
    let seen = Headers::default();
    let log = Arc::clone(&seen);
    let server = Server::start(move |request| {
        log.lock().unwrap().push(request.headers.clone());
        match request.path.as_str() {
            "/api/chat" => {
                let line = json!({"message": {"content": "here"}, "done": true});
                Reply::text(200, "application/x-ndjson", format!("{line}\n"))
            }
            "/api/tags" => Reply::json(200, &json!({"models": [{"name": "m"}]})),
            _ => compatible(request),
        }
    });
    (server, seen)
}

#[test]
fn ollama_gets_its_key_and_what_is_recorded_does_not_hold_it() {
    let (server, seen) = listening();
    let home = Home::new();
    let ask = |args: &[&str]| {
        let run = home
            .allm()
            .env("OLLAMA_API_KEY", &key())
            .env("OLLAMA_HOST", &server.url);
        run.args(["chat", "--no-tools"])
            .args(args.iter().copied())
            .run()
    };
    let said = format!("is {} my key?", key());
    ask(&["-p", "ollama", &said]).ok();
    ask(&["hi"]).ok();
    let sent = format!("Bearer {}", key());
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .all(|headers| headers["authorization"] == sent)
    );
    let stored = home.allm().args(["export"]).run().ok().stdout;
    assert!(
        stored.contains("[REDACTED:") && !stored.contains(&key()),
        "{stored}"
    );

    // Elsewhere and in clear text it goes only when the kind of server is named.
    seen.lock().unwrap().clear();
    let elsewhere = |args: &[&str]| {
        let run = home
            .allm()
            .env("http_proxy", &server.url)
            .env("OLLAMA_API_KEY", &key());
        let run = run.args([
            "chat",
            "--no-tools",
            "-m",
            "m",
            "--base-url",
            "http://box.example:1234",
        ]);
        run.args(args.iter().copied()).run().stderr
    };
    let stderr = elsewhere(&["-p", "ollama", "hi"]);
    assert!(
        stderr.contains("`OLLAMA_API_KEY` goes to `http://box.example:1234` in clear text"),
        "{stderr}"
    );

    let refusing = Server::start(|_| Reply::json(401, &json!({"error": "unauthorized"})));
    for (value, hint) in [
        (key(), "check the key in `OLLAMA_API_KEY`"),
        (String::new(), "set `OLLAMA_API_KEY`"),
    ] {
        let run = home.allm().env("OLLAMA_API_KEY", &value);
        let run = run.args([
            "chat",
            "-p",
            "ollama",
            "-m",
            "m",
            "--base-url",
            &refusing.url,
            "hi",
        ]);
        let stderr = run.run().fails(1).stderr;
        assert!(stderr.contains(&format!("\nhint: {hint}")), "{stderr}");
    }
}

/// Returns a secret of no well-known form.
fn gateway() -> String {
    format!("gate-{}", "7x9q".repeat(6))
}

#[test]
fn headers_of_the_settings_go_to_the_server_and_their_secrets_nowhere_else() {
    let (server, seen) = listening();
    let home = Home::new();
    let settings = home.path().join("config.toml");
    std::fs::write(&settings, "[headers]\nx-title = \"allm\"\n[headers.openai]\napi-key = \"Key ${GATEWAY}\"\nauthorization = \"Basic $GATEWAY\"\n").unwrap();
    let ask = |kind: &str, value: &str, question: &str| {
        let run = home
            .allm()
            .env("GATEWAY", value)
            .env("OPENAI_API_KEY", "sk-something-else");
        let run = run.args([
            "chat",
            "-m",
            "m",
            "--no-tools",
            "-p",
            kind,
            "--base-url",
            &server.url,
        ]);
        run.args([question]).run()
    };
    let said = format!("is {} my key?", gateway());
    ask("openai", &gateway(), &said).ok();
    for headers in seen.lock().unwrap().drain(..) {
        assert_eq!(headers["x-title"], "allm");
        assert_eq!(headers["api-key"], format!("Key {}", gateway()));
        assert_eq!(headers["authorization"], format!("Basic {}", gateway()));
    }
    let stored = home
        .allm()
        .env("GATEWAY", &gateway())
        .args(["export"])
        .run()
        .ok()
        .stdout;
    assert!(
        stored.contains("[REDACTED:") && !stored.contains(&gateway()),
        "{stored}"
    );
    ask("ollama", "", "hi").ok();
    for headers in seen.lock().unwrap().drain(..) {
        assert!(
            headers["x-title"] == "allm" && !headers.contains_key("api-key"),
            "{headers:?}"
        );
    }
    let missing = ask("openai", "", "hi").fails(1).stderr;
    assert!(missing.contains("the header `api-key` in config.toml wants `$GATEWAY`, which is not set\nhint: set `GATEWAY`"), "{missing}");
    ask("offline", "", "hi").ok();
    std::fs::write(&settings, "headers = { \"no good\" = \"$GATEWAY\" }").unwrap();
    let bad = ask("openai", &gateway(), "hi").fails(1).stderr;
    assert!(
        bad.contains("cannot send the header `no good`: no header can be called that")
            && !bad.contains(&gateway()),
        "{bad}"
    );
}

#[test]
fn an_ollama_that_wants_a_key_is_told_of_its_own() {
    let home = Home::new();
    for (status, openai) in [(401, 404), (403, 405)] {
        let server = Server::start(move |request| match request.path.starts_with("/v1") {
            true => Reply::json(openai, &json!({"error": "no such path"})),
            false => Reply::json(status, &json!({"error": "unauthorized"})),
        });
        let url = server.url.as_str();
        for (env, args) in [
            ("", &["chat", "-m", "m", "--base-url", url, "hi"][..]),
            (
                "",
                &["chat", "-p", "ollama", "-m", "m", "--base-url", url, "hi"],
            ),
            (url, &["chat", "-m", "m", "hi"]),
        ] {
            let run = home
                .allm()
                .env("OLLAMA_HOST", env)
                .args(args.iter().copied());
            let said = run.run().fails(1).stderr;
            assert!(!said.contains("OPENAI_API_KEY"), "{args:?}: {said}");
            assert!(said.contains("Ollama answered"), "{args:?}: {said}");
            assert!(
                status != 401 || said.contains("hint: set `OLLAMA_API_KEY`"),
                "{args:?}: {said}"
            );
        }
    }
}
