//! What is done behind the prompt: a person types on while a turn is stored and embedded, and nothing of it is lost.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, Terminal};
use crate::scripted::{self, Said};
use crate::server::{self, Chunk, Reply, Server};

/// Longer than anybody waits for a prompt, and shorter than the long text takes.
const SOON: Duration = Duration::from_secs(3);

/// Returns so many bytes of text whose passages differ, with a few words in the middle that are looked for.
fn long_text(bytes: usize) -> String {
    let words = [
        "harbour", "lantern", "orchard", "saddle", "thistle", "velvet", "walnut", "cobalt",
    ];
    let mut text = String::new();
    let mut number = 7_usize;
    while text.len() < bytes {
        if text.len() > bytes / 2 && !text.contains("quokka") {
            text.push_str("The quokka lives on Rottnest. ");
        }
        text.push_str("It was");
        for _ in 0..12 {
            number = (number * 1_103_515_245 + 12_345) % 2_147_483_648;
            text.push(' ');
            text.push_str(words[number / 65_536 % words.len()]);
        }
        text.push_str(". ");
    }
    text.trim_end().to_owned()
}

/// Starts a shell and pastes a long text into it; it has been answered, and the prompt is there again.
fn pasted(home: &Home, bytes: usize) -> (Terminal, Server) {
    let server = server::ollama(|_| "I have read it.".to_owned());
    let mut shell = home.terminal(&["chat", "--no-tools", "--base-url", &server.url]);
    shell.wait_for("llama3.2:latest › ");
    // In the way of terminals that say what is pasted.
    shell.type_keys(&format!("\x1b[200~{}\x1b[201~\r", long_text(bytes)));
    shell.wait_for("I have read it.");
    let answered = Instant::now();
    shell.wait_for("llama3.2:latest › ");
    assert!(answered.elapsed() < SOON, "{:?}", answered.elapsed());
    (shell, server)
}

#[track_caller]
fn all_is_stored(home: &Home, turns: u64) {
    let found = home
        .allm()
        .args([
            "search",
            "--json",
            "--mode",
            "semantic",
            "--min-score",
            "-1",
        ])
        .args(["where does the quokka live?"])
        .ok_json();
    assert_eq!(found["count"], turns, "{found}");
    let doctor = home.allm().args(["doctor", "--json"]).run().json();
    let vectors = doctor[0]["checks"].as_array().unwrap().iter();
    let vectors: Vec<&Value> = vectors.filter(|check| check["what"] == "vectors").collect();
    assert_eq!(vectors[0]["state"], "fine", "{vectors:?}");
    assert_eq!(journals(home), Vec::<PathBuf>::new());
}

fn journals(home: &Home) -> Vec<PathBuf> {
    let journals = fs::read_dir(home.path().join("journal")).unwrap();
    journals.map(|entry| entry.unwrap().path()).collect()
}

// Finding M15.
#[test]
fn a_long_text_keeps_nobody_waiting_and_is_found_by_its_words_at_once() {
    let home = Home::new();
    let (mut shell, _server) = pasted(&home, 60_000);
    shell.type_keys("/search quokka\r");
    // What is listed is how the question begins.
    shell.wait_for("It was");
    shell.wait_for("llama3.2:latest › ");
    // So is what comes while its vectors are made.
    shell.type_keys("where does the wombat live?\r");
    shell.wait_for("I have read it.");
    shell.wait_for("llama3.2:latest › ");
    shell.type_keys("/search wombat\r");
    shell.wait_for("where does the");
    shell.wait_for("llama3.2:latest › ");
    shell.type_keys("/quit\r");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    all_is_stored(&home, 2);
}

/// Keeps everybody from the tables of a home until it is unlocked.
fn held(home: &Home) -> File {
    let gate = fs::read_dir(home.path()).unwrap();
    let mut gate = gate.map(|entry| entry.unwrap().path());
    let gate = gate.find(|path| path.to_string_lossy().ends_with("erase.lock"));
    let held = File::open(gate.unwrap()).unwrap();
    held.lock().unwrap();
    held
}

// Finding M15.
#[test]
fn who_leaves_at_once_loses_nothing() {
    let home = Home::new();
    let server = server::ollama(|_| "On Rottnest.".to_owned());
    let chat = ["chat", "--no-tools", "--base-url", &server.url];
    let mut shell = home.terminal(&chat);
    shell.wait_for("llama3.2:latest › ");
    let held = held(&home);
    shell.type_keys("where does the quokka live?\r");
    shell.wait_for("On Rottnest.");
    shell.wait_for("llama3.2:latest › ");
    shell.type_keys("/quit\r");
    shell.wait_for("storing what was said last; Ctrl-C leaves at once");
    shell.type_keys("\x03");
    let asked = Instant::now();
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(journals(&home).len(), 1);
    held.unlock().unwrap();
    // The next start takes it up behind its prompt.
    let started = Instant::now();
    let mut shell = home.terminal(&["chat", "-p", "offline"]);
    shell.wait_for("› ");
    assert!(started.elapsed() < 2 * SOON, "{:?}", started.elapsed());
    shell.type_keys("/search quokka\r");
    shell.wait_for("where does the");
    shell.type_keys("/quit\r");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    all_is_stored(&home, 1);
}

// Finding M15.
#[test]
fn a_store_that_another_process_holds_keeps_nobody_from_talking() {
    let server = server::ollama(|question| format!("about {question}"));
    let home = Home::new();
    home.allm()
        .args(["chat", "-p", "offline", "hello"])
        .run()
        .ok();
    let mut shell = home.terminal(&["chat", "--no-tools", "--base-url", &server.url]);
    shell.wait_for("llama3.2:latest › ");
    let held = held(&home);
    for question in ["the first", "the second"] {
        shell.type_keys(&format!("{question}\r"));
        shell.wait_for(&format!("about {question}"));
        shell.wait_for("llama3.2:latest › ");
    }
    // What needs the tables waits, and hears Ctrl-C.
    shell.type_keys("/show\r");
    std::thread::sleep(Duration::from_millis(300));
    shell.type_keys("\x03");
    shell.wait_for("llama3.2:latest › ");
    held.unlock().unwrap();
    shell.type_keys("/show\r");
    shell.wait_for("about the second");
    shell.wait_for("llama3.2:latest › ");
    shell.type_keys("/quit\r");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    let all = home.allm().args(["timeframe", "today", "--json"]).ok_json();
    assert_eq!(all["count"], 3, "{all}");
}

/// Starts a chat in JSON that says these lines, and waits for nobody.
fn talk(home: &Home, server: &Server, args: &str, script: &str) -> Child {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"));
    shell.args("chat --json -p ollama -m m --base-url".split(' '));
    shell.arg(&server.url).args(args.split_whitespace());
    shell
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice")
        .current_dir(home.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    let stdin = shell.stdin.as_mut().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    shell
}

fn turns(home: &Home) -> Vec<Value> {
    let found = home.allm().args(["timeframe", "today", "--json"]).ok_json();
    found["interactions"].as_array().unwrap().clone()
}

// Finding M15: what is stored behind the prompt is in the journal before.
#[test]
fn a_shell_that_is_killed_right_after_an_answer_has_it() {
    let (home, server) = (
        Home::new(),
        scripted::ollama(None, vec![Said::Text("An answer.")]),
    );
    let tries = match std::env::var_os("ALLM_SLOW_TESTS") {
        Some(_) => 50,
        None => 4,
    };
    for number in 0..tries {
        let mut shell = talk(
            &home,
            &server,
            "--no-tools",
            &format!("question {number}\n"),
        );
        let mut line = String::new();
        let mut stdout = BufReader::new(shell.stdout.as_mut().unwrap());
        stdout.read_line(&mut line).unwrap();
        std::thread::sleep(Duration::from_millis(number * 13 % 200));
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
    let turns = turns(&home);
    let said: Vec<_> = turns
        .iter()
        .map(|turn| (turn["query"].clone(), turn["response"].clone()))
        .collect();
    let expected: Vec<_> = (0..tries)
        .map(|number| (json!(format!("question {number}")), json!("An answer.")))
        .collect();
    assert_eq!(said, expected);
    assert_eq!(journals(&home), Vec::<PathBuf>::new());
}

/// A server whose model answers once, then calls a tool, and is silent when it is told what came of it.
fn calls_and_stalls() -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| {
        if request.path == "/api/show" {
            return Reply::json(200, &json!({"capabilities": ["tools"]}));
        }
        if request.path != "/api/chat" {
            return Reply::json(404, &json!({"error": "not found"}));
        }
        let said = match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Said::Text("An answer."),
            1 => scripted::calls("list_files", json!({"path": "."})),
            _ => {
                let silence = vec![Chunk::Wait(Duration::from_mins(1))];
                return Reply::chunks(200, "application/x-ndjson", silence);
            }
        };
        Reply::text(200, "application/x-ndjson", scripted::ollama_body(&said))
    })
}

#[test]
fn what_a_killed_shell_has_sent_is_shown_byte_for_byte() {
    let (home, server) = (Home::new(), calls_and_stalls());
    let script = "a question with \"quotes\" and 東京\nwhat is here?\n";
    let mut shell = talk(&home, &server, "", script);
    let sent = || -> Vec<String> {
        let sent = server.requests().into_iter();
        let sent = sent.filter(|(line, _)| line == "POST /api/chat");
        sent.map(|(_, body)| body).collect()
    };
    // Whatever has reached the server is in the journal.
    let started = Instant::now();
    while sent().len() < 3 && started.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    let (turns, sent) = (turns(&home), sent());
    assert_eq!((turns.len(), sent.len()), (2, 3));
    for (turn, expected) in turns.iter().zip([&sent[..1], &sent[1..]]) {
        let id = turn["interaction_id"].as_str().unwrap();
        let context = home.allm().args(["context", "--json", id]).ok_json();
        assert_eq!(context["requests"], json!(expected), "{}", turn["query"]);
    }
    let id = turns[1]["interaction_id"].as_str().unwrap();
    let steps = home.allm().args(["scratchpad", "--json", id]).ok_json();
    assert_eq!(steps["steps"][0]["action"]["name"], "list_files", "{steps}");
}
