//! Earlier turns as they are sent again: with their calls and what came of them, so that each request goes on where the last ended.

use serde_json::{Value, json};

use crate::harness::Home;
use crate::scripted::{self, Said, bodies, calls};
use crate::server::Server;

/// Talks in two processes, the second of which goes on with the conversation, and returns the bodies of all requests as they were sent.
fn talk(server: &Server, provider: &str, args: &[&str]) -> Vec<String> {
    let home = Home::new();
    for name in ["a", "b"] {
        std::fs::write(home.folder().join(name), format!("{name} is here")).unwrap();
    }
    std::fs::write(home.path().join("config.toml"), "max_steps = 2\n").unwrap();
    let say = |more: &[&str], script: &str| {
        let run = home.allm();
        let run = run.args(["chat", "-p", provider, "-m", "m", "--base-url", &server.url]);
        let run = run.args(args.iter().copied()).args(more.iter().copied());
        run.stdin(script).run().ok();
    };
    say(&[], "read both\nand again\n");
    say(&["--continue"], "what was it?\n");
    let asked = server.requests().into_iter();
    asked
        .filter(|(line, _)| line.ends_with("/chat") || line.ends_with("/chat/completions"))
        .map(|(_, body)| body)
        .collect()
}

#[track_caller]
fn check(bodies: &[String]) {
    for pair in bodies.windows(2) {
        let (told, _) = pair[0].rsplit_once(']').unwrap();
        assert!(pair[1].starts_with(told), "{}\n\n{}", pair[0], pair[1]);
    }
}

fn both(thought: &'static str, text: &'static str) -> Said {
    let read = |name: &str| ("read_file", json!({"path": name}));
    Said::Calls(thought, text, vec![read("a"), read("b")])
}

#[test]
fn each_request_goes_on_where_the_last_ended_also_in_another_process() {
    let replies = || {
        vec![
            both("hm", "I look."),
            Said::Text("Both are here."),
            both("", ""),
            // Once more, and that was as often as it may.
            both("", "Again."),
            Said::Text("Still here."),
            Said::Text("Both."),
        ]
    };
    let server = scripted::openai(replies());
    check(&talk(&server, "openai", &[]));
    let last = bodies(&server).pop().unwrap();
    let roles = |body: &Value| -> Vec<String> {
        let messages = body["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect()
    };
    let turn = "user assistant tool tool assistant";
    let (first, second) = (
        turn,
        "user assistant tool tool assistant tool tool user assistant",
    );
    let expected = format!("system {first} {second} user");
    assert_eq!(roles(&last).join(" "), expected);
    assert_eq!(last["messages"][3]["content"], "a is here");

    let server = scripted::ollama(Some(&["tools"]), replies());
    let sent = talk(&server, "ollama", &[]);
    let last = bodies(&server).pop().unwrap();
    assert_eq!(roles(&last).join(" "), expected);
    // Where no call may be made, this API can only leave out the tools, which stand before the messages.
    check(&[&sent[..4], &sent[5..]].concat());
}

#[test]
fn calls_in_text_are_sent_again_as_they_were_written() {
    let act = "Thought: I look.\nAction: read_file\nAction Input: {\"path\": \"a\"}\n";
    let server = scripted::openai(vec![
        Said::Text(act),
        Said::Text("Thought: ah\nFinal Answer: It is here."),
        Said::Text("Final Answer: Still."),
    ]);
    let sent = talk(&server, "openai", &["--react", "text"]);
    check(&sent);
    let last = bodies(&server).pop().unwrap();
    assert_eq!(last["messages"][2]["content"], act);
    assert_eq!(last["messages"][3]["content"], "Observation: a is here");
}

// What a style wrote is nothing for the other: the calls are told in the one at hand.
#[test]
fn a_conversation_goes_on_in_another_style_and_at_another_server() {
    let home = Home::new();
    std::fs::write(home.folder().join("a"), "a is here").unwrap();
    let first = scripted::openai(vec![
        calls("read_file", json!({"path": "a"})),
        Said::Text("It is here."),
    ]);
    let second = scripted::openai(vec![Said::Text("Final Answer: It was a.")]);
    for (server, args) in [
        (&first, &["read a"][..]),
        (&second, &["--continue", "--react", "text", "what was it?"]),
    ] {
        let run = home.allm();
        let run = run.args(["chat", "-p", "openai", "-m", "m", "--base-url", &server.url]);
        run.args(args.iter().copied()).run().ok();
    }
    let body = bodies(&second).pop().unwrap();
    let told = |at: usize| body["messages"][at]["content"].as_str().unwrap().to_owned();
    assert_eq!(told(2), "Action: read_file\nAction Input: {\"path\":\"a\"}");
    assert_eq!(told(3), "Observation: a is here");
    assert_eq!(told(4), "It is here.");
}
