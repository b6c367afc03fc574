//! What is typed before the first prompt is there: its lines are run at it, in order.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, Terminal, wait_until};
use crate::scripted::{Said, ollama_body};
use crate::server::{self, Chunk, Reply, Server};

/// Starts a server that takes its time to say what models it has.
fn late() -> Server {
    Server::start(|request| match request.path.as_str() {
        "/api/tags" => {
            let models = json!({"models": [{"name": "late"}]}).to_string();
            let chunks = vec![
                Chunk::Wait(Duration::from_millis(1500)),
                Chunk::Bytes(models.into()),
            ];
            Reply::chunks(200, "application/json", chunks)
        }
        "/api/show" => Reply::json(200, &json!({"capabilities": ["completion"]})),
        _ => {
            let said = ollama_body(&Said::Text("So it is."));
            Reply::text(200, "application/x-ndjson", said)
        }
    })
}

/// Waits until the chat has begun, and nothing shows of what is typed.
#[track_caller]
fn until_hushed(shell: &mut Terminal, server: &Server, asked: usize) {
    let has_asked = || server.requests().len() > asked;
    wait_until("the server is asked", has_asked);
    shell.type_keys("unseen\x15");
    std::thread::sleep(Duration::from_millis(100));
    assert!(!shell.screen().contains("unseen"), "{}", shell.screen());
}

#[test]
fn lines_typed_before_the_first_prompt_are_run_at_it() {
    let server = server::ollama(|question| format!("<{}>", question.replace('\n', "|")));
    let home = Home::new();
    let mut shell = home.terminal(&["chat", "--base-url", &server.url]);
    shell.type_keys("one\rtwo \\\rthree\r```\rx\r```\r/seed 7\rfour");
    for seen in [
        "llama3.2:latest › ",
        "one\r\n",
        "<one>",
        "two \r\nthree\r\n",
        "<two |three>",
        "<```|x|```>",
        "/seed 7\r\n",
        "seed: 7",
        "llama3.2:latest › ",
        "four",
    ] {
        shell.wait_for(seen);
    }
    // What no Enter has ended waits for one.
    shell.type_keys("\r");
    shell.wait_for("<four>");
    shell.wait_for("llama3.2:latest › ");
    shell.type_keys("\x04");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    let lines = std::fs::read_to_string(home.path().join("history.txt")).unwrap();
    assert_eq!(
        lines,
        "#V2\none\ntwo \\nthree\n```\\nx\\n```\n/seed 7\nfour\n"
    );

    let mut shell = home.terminal(&["chat", "--base-url", &server.url]);
    shell.type_keys("five\r\x04");
    shell.wait_for("<five>");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
}

#[test]
fn what_is_typed_while_the_chat_begins_is_not_seen_before_its_prompt() {
    let (home, server) = (Home::new(), late());
    let mut shell = home.terminal(&["chat", "--base-url", &server.url]);
    until_hushed(&mut shell, &server, 0);
    shell.type_keys("is it so?\rand that?");
    shell.wait_for("late › ");
    shell.wait_for("is it so?\r\n");
    shell.wait_for("So it is.");
    shell.wait_for("late › ");
    shell.wait_for("and that?");
    shell.type_keys("\x15/quit\r");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());

    let asked = server.requests().len();
    let mut shell = home.terminal(&["chat", "--base-url", &server.url]);
    until_hushed(&mut shell, &server, asked);
    shell.type_keys("\x03");
    assert_eq!(shell.exit_status(), 130, "{}", shell.screen());
}

#[test]
fn ctrl_c_takes_the_answer_and_leaves_the_lines_after_it() {
    let server = server::ollama(|question| match question {
        "one" => {
            std::thread::sleep(Duration::from_secs(2));
            "late".to_owned()
        }
        question => format!("<{}>", question.replace('\n', "|")),
    });
    let home = Home::new();
    let mut shell = home.terminal(&["chat", "--base-url", &server.url]);
    shell.type_keys("one\rtwo\rthr");
    shell.wait_for(" s\x1b");
    shell.type_keys("\x03");
    shell.wait_for("interrupted");
    shell.wait_for("llama3.2:latest › ");
    shell.wait_for("thr");
    shell.type_keys("ee\r");
    shell.wait_for("<two|three>");
}
