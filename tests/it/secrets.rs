//! Secrets are left out of what is stored, wherever they stand.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, wait_until};
use crate::privacy::{files_with, key};
use crate::scripted::{self, Said};
use crate::server::{self, Chunk, Reply, Server};

#[test]
fn secrets_are_left_out_of_everything_that_is_stored() {
    let home = Home::new();
    let key = key();
    let answer = format!("Your key {key} is fine.");
    let server = server::ollama(move |_| answer.clone());
    let ask = |args: &[&str], text: &str| {
        let run = home.allm().env("OLLAMA_HOST", &server.url);
        let run = run.args(["chat", "-p", "ollama", "--json"]);
        run.args(args.iter().copied()).stdin(text).run().ok()
    };
    let output = ask(&[], &format!("is {key} a good key?\nand now?\n"));
    let turns = output.json();
    // The person sees what was said, and the server what was asked.
    assert_eq!(turns[0]["response"], format!("Your key {key} is fine."));
    assert_eq!(
        (&turns[0]["redacted"], &turns[1]["redacted"]),
        (&json!(2), &json!(1))
    );
    assert!(
        output
            .stderr
            .contains("2 secrets left out of what is stored"),
        "{}",
        output.stderr
    );
    assert!(
        server
            .requests()
            .iter()
            .any(|(_, body)| body.contains(&key))
    );
    assert_eq!(
        files_with(home.path(), key.as_bytes()),
        Vec::<String>::new()
    );
    let shown = home.allm().args(["last", "--json"]).ok_json();
    assert!(
        shown
            .to_string()
            .contains("Your key [REDACTED:openai] is fine."),
        "{shown}"
    );
    let id = turns[1]["interaction_id"].as_str().unwrap();
    let context = home.allm().args(["context", id]).run().ok().stdout;
    assert!(
        context.contains("[REDACTED:openai]") && !context.contains(&key),
        "{context}"
    );

    ask(&["--no-redact"], &format!("keep {key}\n"));
    assert!(!files_with(home.path(), key.as_bytes()).is_empty());
}

/// Returns all that a person can get out of a home about a turn.
fn told(home: &Home, id: &str) -> String {
    let tables = ["interactions", "react_cycles", "sessions", "passages"];
    let sql = tables.map(|table| format!("SELECT * FROM {table}"));
    let mut commands = vec![
        vec!["context", id],
        vec!["context", id, "--raw"],
        vec!["show", id],
        vec!["scratchpad", id],
        vec!["export"],
    ];
    commands.extend(sql.iter().map(|sql| vec!["sql", "--csv", sql.as_str()]));
    let output = |args: Vec<&str>| home.allm().args(args).run().ok().stdout;
    commands.into_iter().map(output).collect()
}

// Finding H1.
#[test]
fn a_secret_at_the_beginning_of_a_line_is_left_out_of_requests_too() {
    let key = key();
    let question = format!("here is my key:\n{key}\nand\ta tab:\t{key}");
    let written = json!({"path": "new.txt", "content": format!("one\n{key}\n")});
    let said = vec![
        Said::Calls(
            "",
            "",
            vec![("run_command", json!({"command": "cat token.txt"}))],
        ),
        // A file in JSON, within arguments in JSON.
        Said::Calls(
            "",
            "",
            vec![(
                "write_file",
                json!({"path": "a.json", "content": written.to_string()}),
            )],
        ),
        Said::Text("done"),
    ];
    // The tools' arguments are an object for one, and JSON text for the other.
    for provider in ["ollama", "openai"] {
        let home = Home::new();
        fs::write(home.folder().join("token.txt"), format!("{key}\n")).unwrap();
        let server = match provider {
            "ollama" => scripted::ollama(Some(&["tools"]), said.clone()),
            _ => scripted::openai(said.clone()),
        };
        let run = home.allm().env("OPENAI_API_KEY", "");
        let run = run.args(["chat", "-p", provider, "-m", "m", "--base-url", &server.url]);
        let turn = run.args(["--yes", "--json", &question]).ok_json();
        let sent = server.requests().last().unwrap().1.clone();
        assert!(sent.matches(&key).count() >= 4, "{sent}");
        let told = told(&home, turn["interaction_id"].as_str().unwrap());
        assert!(told.matches("[REDACTED:openai]").count() > 8, "{told}");
        assert!(!told.contains(&key), "{told}");
        let files = files_with(home.path(), key.as_bytes());
        assert_eq!(files, Vec::<String>::new());
    }
}

// Finding H1.
#[test]
fn a_secret_at_the_beginning_of_a_line_is_left_out_of_the_journal() {
    let (home, key) = (Home::new(), key());
    fs::write(home.folder().join("token.txt"), format!("{key}\n")).unwrap();
    let asked = AtomicUsize::new(0);
    let call =
        json!({"function": {"name": "run_command", "arguments": {"command": "cat token.txt"}}});
    let call = json!({"message": {"content": "", "tool_calls": [call]}, "done": true});
    let half = json!({"message": {"content": format!("It is\n{key}\nand ")}, "done": false});
    let server = Server::start(move |request| match request.path.as_str() {
        "/api/chat" if asked.fetch_add(1, Ordering::SeqCst) == 0 => {
            Reply::text(200, "application/x-ndjson", format!("{call}\n"))
        }
        "/api/chat" => {
            let half = Chunk::Bytes(format!("{half}\n").into());
            let chunks = vec![half, Chunk::Wait(Duration::from_mins(1))];
            Reply::chunks(200, "application/x-ndjson", chunks)
        }
        _ => Reply::json(404, &json!({"error": "not found"})),
    });
    let run = home
        .allm()
        .args(["chat", "-p", "ollama", "-m", "m", "--yes"]);
    let run = run.args(["--base-url", &server.url, &format!("a key:\n{key}")]);
    let mut shell = run.spawn();
    let journal = home.path().join("journal");
    wait_until("the answer is in the journal", || {
        journal.is_dir() && !files_with(&journal, b"It is").is_empty()
    });
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert!(!files_with(&journal, b"--- stdout").is_empty());
    let files = files_with(home.path(), key.as_bytes());
    assert_eq!(files, Vec::<String>::new());
    // What is recovered from it is as clean.
    let export = home.allm().args(["export"]).run().ok().stdout;
    assert!(
        export.contains("It is") && !export.contains(&key),
        "{export}"
    );
}

// Finding L1.
#[test]
fn the_key_in_use_is_left_out_of_what_is_stored_whatever_its_form() {
    let (home, key) = (Home::new(), "hunter-22/of-the-lake");
    let server = server::ollama(|question| format!("you said {question}"));
    let run = home.allm().env("OPENAI_API_KEY", key);
    let run = run.args(["chat", "-p", "ollama", "--base-url", &server.url]);
    run.args([format!("is `{key}` good?").as_str()]).run().ok();
    assert_eq!(
        files_with(home.path(), key.as_bytes()),
        Vec::<String>::new()
    );
    let export = home.allm().args(["export"]).run().ok().stdout;
    assert!(
        export.contains("[REDACTED:api-key]") && !export.contains(key),
        "{export}"
    );
}
