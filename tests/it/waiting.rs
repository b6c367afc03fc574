//! Waiting on a terminal: what it shows, what a command shows while it runs, and where keys go that nobody reads.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, Terminal};
use crate::scripted::{self, Said, calls, ollama_body};
use crate::server::{Chunk, Reply, Server};

/// Starts a server whose model takes its time before its answer, and within it.
fn slow() -> Server {
    Server::start(|request| match request.path.as_str() {
        "/api/tags" => Reply::json(200, &json!({"models": [{"name": "org/slow"}]})),
        "/api/show" => Reply::json(200, &json!({"capabilities": ["completion"]})),
        _ => {
            let pause = || Chunk::Wait(Duration::from_millis(1300));
            let begins = json!({"message": {"content": "the beginning"}, "done": false});
            let begins = Chunk::Bytes(format!("{begins}\n").into());
            let ends = Chunk::Bytes(ollama_body(&Said::Text(" and the end")).into());
            Reply::chunks(
                200,
                "application/x-ndjson",
                vec![pause(), begins, pause(), ends],
            )
        }
    })
}

fn shell(home: &Home, server: &Server, args: &[&str]) -> Terminal {
    let args = [&["chat", "--base-url", &server.url], args].concat();
    home.terminal(&args)
}

#[test]
fn what_waits_shows_its_seconds_and_what_is_typed_meanwhile_stays_for_the_next_line() {
    let (home, server) = (Home::new(), slow());
    let mut shell = shell(&home, &server, &["--no-tools"]);
    shell.wait_for("slow › ");
    shell.type_keys("tell me\r");
    shell.wait_for(" 0 s");
    shell.wait_for(" 1 s");
    shell.wait_for("the beginning");
    shell.type_keys("and them\x7fn?\r");
    shell.wait_for(" and the end");
    shell.wait_for("slow › ");
    shell.wait_for("and then?");
    assert!(shell.screen().contains("the beginning and the end"));
    // Nothing has been sent yet, and Enter sends it.
    shell.type_keys("\r");
    shell.wait_for(" 0 s");
    // Ctrl-C takes the answer, and not what was typed.
    shell.type_keys("or else\x03");
    shell.wait_for("interrupted");
    shell.wait_for("slow › ");
    shell.wait_for("or else");
    shell.type_keys("\x15/quit\r");
    shell.wait_for("`allm chat -c` goes on from here");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    let asked = home.allm().args(["timeframe", "today", "--json"]).ok_json();
    let asked: Vec<_> = asked["interactions"].as_array().unwrap().iter().collect();
    let asked: Vec<_> = asked.iter().map(|turn| &turn["query"]).collect();
    assert_eq!(asked, ["tell me", "and then?"]);
}

#[test]
fn an_answer_may_come_when_it_is_complete() {
    let (home, server) = (Home::new(), slow());
    let mut shell = shell(&home, &server, &["--no-tools"]);
    shell.wait_for("slow › ");
    shell.type_keys("/stream off\r");
    shell.wait_for("stream: off");
    shell.wait_for("slow › ");
    shell.type_keys("tell me\r");
    // As long as something is missing it is waited for.
    shell.wait_for(" 2 s");
    shell.wait_for("the beginning and the end");
    shell.wait_for("slow › ");
    shell.type_keys("/config\r");
    shell.wait_for("\nstream ");
    shell.wait_for("false");
}

#[test]
fn a_command_shows_its_last_lines_while_it_runs_and_its_first_ones_after_it() {
    let script = "for n in 1 2 3 4 5 6; do echo line $n; done; sleep 1.3; echo 'the \u{1b}[2Jend' >&2; exit 3";
    let home = Home::new();
    let server = || {
        let run = calls("run_command", json!({"command": script}));
        scripted::ollama(
            Some(&["completion", "tools"]),
            vec![run, Said::Text("It failed.")],
        )
    };
    let (first, second) = (server(), server());
    let mut shell = shell(&home, &first, &["-p", "ollama", "--yes"]);
    shell.wait_for("› ");
    shell.type_keys("run it\r");
    shell.wait_for("→ run_command");
    shell.wait_for("  line 4");
    shell.wait_for("  line 6");
    shell.wait_for(" 1 s");
    for seen in [
        "← exit code 3",
        "\n  line 1",
        "\n  line 5",
        "\n  … 2 more lines",
        "It failed.",
    ] {
        shell.wait_for(seen);
    }
    shell.wait_for("› ");
    shell.type_keys("\x04");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    let piped = home
        .allm()
        .args(["chat", "-p", "ollama", "--yes", "--base-url"]);
    let piped = piped.args([&second.url, "run it"]).run().ok();
    assert_eq!(
        (piped.stdout.as_str(), piped.stderr.as_str()),
        ("It failed.\n", "")
    );
}

#[test]
fn what_was_typed_before_a_question_is_no_answer_to_it() {
    let home = Home::new();
    let run = calls("run_command", json!({"command": "touch ran"}));
    let body = ollama_body(&run);
    let server = Server::start(move |request| match request.path.as_str() {
        "/api/tags" => Reply::json(200, &json!({"models": [{"name": "slow"}]})),
        "/api/show" => Reply::json(200, &json!({"capabilities": ["completion", "tools"]})),
        _ if request.body.contains("refused") => {
            let said = ollama_body(&Said::Text("As you like."));
            Reply::text(200, "application/x-ndjson", said)
        }
        _ => {
            let chunks = vec![
                Chunk::Wait(Duration::from_millis(800)),
                Chunk::Bytes(body.clone().into()),
            ];
            Reply::chunks(200, "application/x-ndjson", chunks)
        }
    });
    let mut shell = shell(&home, &server, &[]);
    shell.wait_for("slow › ");
    shell.type_keys("go\r");
    shell.wait_for(" 0 s");
    shell.type_keys("yes\r");
    shell.wait_for("why not:");
    std::thread::sleep(Duration::from_millis(300));
    shell.type_keys("n\r");
    shell.wait_for("As you like.");
    shell.wait_for("slow › ");
    shell.wait_for("yes");
    assert!(!home.folder().join("ran").exists());
}
