//! Nothing is leaked: secrets are left out of what is stored, and what is said in private is written nowhere.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::Home;
use crate::server;

/// Returns the files below a folder that hold a text.
pub fn files_with(folder: &Path, text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(text.len()).any(|window| window == text)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Put together here, so that no scanner takes this file for a leak.
fn key() -> String {
    format!("sk-proj-{}", "aB3dE5gH7jK9mN1p".repeat(3))
}

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

#[test]
fn what_is_said_in_private_is_written_nowhere_and_forgotten() {
    let home = Home::new();
    let server = server::ollama(|question| format!("heard: {question}"));
    let script = "in public\n/private on\nthe quokka plan\n/private off\nin public again\n";
    let run = home.allm().env("OLLAMA_HOST", &server.url);
    let turns = run
        .args(["chat", "-p", "ollama", "--json"])
        .stdin(script)
        .run()
        .ok()
        .json();
    assert_eq!(
        (&turns[2]["private"], &turns[2]["response"]),
        (&json!(true), &json!("heard: the quokka plan"))
    );
    let bodies = server.requests();
    assert!(!bodies.last().unwrap().1.contains("quokka"), "{bodies:?}");
    assert!(
        bodies.last().unwrap().1.contains("heard: in public"),
        "{bodies:?}"
    );

    let run = home.allm().env("OLLAMA_HOST", &server.url);
    run.args(["chat", "-p", "ollama", "--private", "the quokka, once more"])
        .run()
        .ok();
    assert_eq!(files_with(home.path(), b"quokka"), Vec::<String>::new());
    assert_eq!(home.allm().args(["stats", "--json"]).ok_json()["turns"], 2);

    // The lines of a terminal are not kept, either.
    let url = [("OLLAMA_HOST", server.url.as_str())];
    let mut terminal = home.terminal_with(&["chat", "-p", "ollama", "--private"], &url);
    terminal.wait_for("(private)> ");
    terminal.type_keys("a secret quokka\r");
    terminal.wait_for("nothing of this is recorded");
    terminal.type_keys("/quit\r");
    assert_eq!(terminal.exit_status(), 0);
    assert_eq!(files_with(home.path(), b"quokka"), Vec::<String>::new());
}
