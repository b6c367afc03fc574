//! Talking to a model over HTTP: both protocols, what is sent, what is recorded, and what a failing server costs.

use serde_json::{Value, json};

use crate::harness::{Home, Run};
use crate::scripted::{self, Said};
use crate::server::{self, Reply, Server};

fn ollama_chat(home: &Home, server: &Server, args: &[&str]) -> Run {
    home.allm()
        .args(["chat", "--provider", "ollama", "--base-url", &server.url])
        .args(args.iter().copied())
}

fn bodies(server: &Server, path: &str) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests
        .filter(|(line, _)| line == &format!("POST {path}"))
        .map(|(_, body)| body)
        .collect()
}

#[test]
fn ollama_answers_and_the_next_process_finds_it() {
    let server = server::ollama(|question| format!("naïve answer to {question} 東京 🦀"));
    let home = Home::new();
    let output = ollama_chat(&home, &server, &["why", "did", "the", "linker", "fail?"])
        .run()
        .ok();
    assert_eq!(
        output.stdout,
        "naïve answer to why did the linker fail? 東京 🦀\n"
    );
    assert_eq!(output.stderr, "");

    let found = home
        .allm()
        .args(["search", "--json", "trouble with linking"])
        .ok_json();
    let hit = &found["hits"][0];
    assert_eq!(hit["query"], "why did the linker fail?");
    assert_eq!(hit["user"], "alice");
    assert_eq!(
        (&hit["provider"], &hit["model"], &hit["status"]),
        (
            &json!("ollama"),
            &json!("llama3.2:latest"),
            &json!("completed")
        )
    );
    assert!(hit["similarity"].as_f64().unwrap() > 0.3, "{hit}");

    let shown = home
        .allm()
        .args([
            "show",
            "--json",
            &hit["interaction_id"].as_str().unwrap()[..8],
        ])
        .ok_json();
    assert_eq!(
        shown["usage"],
        json!({"input_tokens": 11, "output_tokens": 10})
    );
    assert_eq!(
        shown["requests"],
        json!(bodies(&server, "/api/chat")),
        "the exact bytes that were sent are kept"
    );
    let sent: Value = serde_json::from_str(shown["requests"][0].as_str().unwrap()).unwrap();
    assert_eq!(sent["options"]["num_ctx"], 8192);
}

#[test]
fn openai_answers_with_usage_and_the_key_goes_nowhere_else() {
    let server = server::openai(|question| format!("answer to {question}"));
    let home = Home::new();
    let run = home
        .allm()
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_BASE_URL", &server.url);
    let turn = run
        .args([
            "chat",
            "--json",
            "--temperature",
            "0.5",
            "--seed",
            "7",
            "hello",
        ])
        .ok_json();
    assert_eq!(turn["response"], "answer to hello");
    assert_eq!(
        turn["usage"],
        json!({"input_tokens": 11, "output_tokens": 3})
    );
    assert_eq!(
        (&turn["provider"], &turn["model"]),
        (&json!("openai"), &json!("gpt-test"))
    );
    let body: Value = serde_json::from_str(&bodies(&server, "/v1/chat/completions")[0]).unwrap();
    assert_eq!(
        (
            &body["temperature"],
            &body["seed"],
            &body["stream_options"]["include_usage"]
        ),
        (&json!(0.5), &json!(7), &json!(true))
    );
    for entry in walk(home.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(
            !bytes.windows(7).any(|window| window == b"sk-test"),
            "the key is in {}",
            entry.display()
        );
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn the_conversation_so_far_is_sent_with_every_turn_and_again_after_resuming() {
    let server = server::ollama(|question| format!("about {question}"));
    let home = Home::new();
    let script = "my name is Ada\nwhat is my name?\n/new\nfresh\n";
    let turns = ollama_chat(&home, &server, &["--json"])
        .stdin(script)
        .run()
        .ok()
        .json();
    assert_eq!(turns.len(), 4);
    assert_ne!(turns[0]["session_id"], turns[3]["session_id"]);
    let contents = |body: &String| -> Vec<String> {
        let body: Value = serde_json::from_str(body).unwrap();
        body["messages"].as_array().unwrap()[1..]
            .iter()
            .map(|message| message["content"].as_str().unwrap().to_owned())
            .collect()
    };
    let sent = bodies(&server, "/api/chat");
    assert_eq!(
        contents(&sent[1]),
        ["my name is Ada", "about my name is Ada", "what is my name?"]
    );
    assert_eq!(contents(&sent[2]), ["fresh"]);

    let session = turns[0]["session_id"].as_str().unwrap();
    ollama_chat(&home, &server, &["--session", &session[..8], "and now?"])
        .run()
        .ok();
    let sent = bodies(&server, "/api/chat");
    assert_eq!(
        contents(&sent[3])[2..],
        ["what is my name?", "about what is my name?", "and now?"]
    );
    // What a request shares with the one before it is stored once, and comes back byte for byte.
    for (index, turn) in [(0, &turns[0]), (1, &turns[1]), (2, &turns[3])] {
        let shown = home
            .allm()
            .args(["show", "--json", turn["interaction_id"].as_str().unwrap()])
            .ok_json();
        assert_eq!(shown["requests"], json!([sent[index]]));
    }
    let sessions = home.allm().args(["sessions", "--json"]).ok_json();
    let titles: Vec<_> = sessions["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| (&session["title"], &session["turns"]))
        .collect();
    assert_eq!(
        titles,
        [
            (&json!("my name is Ada"), &json!(3)),
            (&json!("fresh"), &json!(1))
        ]
    );
}

#[test]
fn settings_of_the_chat_reach_the_server() {
    let server = server::ollama(|_| "ok".to_owned());
    let home = Home::new();
    let script = "/system be brief, what's more be kind\n/temperature 0.2\n/max-tokens 64\n/seed 9\nhello\n/temperature default\n/model llama3.2\nagain\n";
    ollama_chat(&home, &server, &["--json"])
        .stdin(script)
        .run()
        .ok();
    let sent: Vec<Value> = bodies(&server, "/api/chat")
        .iter()
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    assert_eq!(
        sent[0]["messages"][0]["content"],
        "be brief, what's more be kind"
    );
    assert_eq!(
        sent[0]["options"],
        json!({"num_ctx": 8192, "temperature": 0.2, "num_predict": 64, "seed": 9})
    );
    assert_eq!(
        sent[1]["options"],
        json!({"num_ctx": 8192, "num_predict": 64, "seed": 9})
    );
    assert_eq!(sent[1]["model"], "llama3.2");
}

#[test]
fn turns_that_no_longer_fit_are_left_out_and_said() {
    let server = server::ollama(|_| "word ".repeat(1200));
    let home = Home::new();
    std::fs::write(home.path().join("config.toml"), "ollama_window = 4096\n").unwrap();
    let output = ollama_chat(&home, &server, &[])
        .stdin("one\ntwo\nthree\n")
        .run()
        .ok();
    assert!(
        output
            .stderr
            .contains("the first 2 turns no longer fit the model's window"),
        "{}",
        output.stderr
    );
    let last: Value = serde_json::from_str(&bodies(&server, "/api/chat")[2]).unwrap();
    assert_eq!(last["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn auto_takes_what_answers() {
    let home = Home::new();
    let ollama = server::ollama(|_| "from ollama".to_owned());
    let turn = home
        .allm()
        .env("OLLAMA_HOST", &ollama.url)
        .args(["chat", "--json", "hi"])
        .ok_json();
    assert_eq!(turn["provider"], "ollama");
    let openai = server::openai(|_| "from openai".to_owned());
    let turn = home
        .allm()
        .args(["chat", "--json", "--base-url", &openai.url, "hi"])
        .ok_json();
    assert_eq!(turn["provider"], "openai");
    let empty = Server::start(|_| Reply::json(200, &json!({"models": []})));
    let output = home
        .allm()
        .env("OLLAMA_HOST", &empty.url)
        .args(["chat", "hi"])
        .run()
        .ok();
    assert!(
        output.stderr.starts_with(
            "Ollama has no model yet (`ollama pull llama3.2` fetches one), so answers are quoted"
        ),
        "{}",
        output.stderr
    );
}

#[test]
fn the_last_answer_is_the_last_that_there_is() {
    let home = Home::new();
    let server = scripted::ollama(None, vec![Said::Text("fine"), Said::Refused(400, "no")]);
    let chat = home.allm().env("OLLAMA_HOST", &server.url);
    let chat = chat.args(["chat", "-p", "ollama", "--no-tools"]);
    let said = chat.stdin("one\ntwo\n/last\n").run().fails(1).stdout;
    assert_eq!(said, "fine\nfine\n");
    assert_eq!(home.allm().args(["last"]).run().ok().stdout, "fine\n");
    let none = Home::new().allm().args(["last"]).run().fails(1).stderr;
    assert!(none.contains("nothing has been answered yet"), "{none}");
}
