//! What is forgotten is gone from everything that quoted it, whoever is in the store meanwhile, and whatever ends the shell that forgets.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Home, say, wait_until};
use crate::privacy::files_with;
use crate::scripted::{self, Said, calls};
use crate::server::{Chunk, Reply, Server};

/// An answer of several passages, with a word in each of them that stands nowhere else, and with what JSON has to escape.
fn secret() -> String {
    let sentence = |n: usize| {
        format!(
            "Step {n} of the \"vault\" procedure: turn wheel quokka{n} to the left until it clicks,\nthen wait for the lamp and write the number down in the book that lies beside it.\n"
        )
    };
    (1..=12).map(sentence).collect()
}

const ASKED: &str = "how is the vault opened, step by step?";

/// Returns everything that the store shows to anyone: rows, requests, SQL.
fn all_of(home: &Home) -> String {
    let export = home.allm().args(["export", "--all-users"]).run().ok();
    let mut all = export.stdout.clone();
    for line in export.stdout.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["type"] == "interaction" {
            let id = row["interaction_id"].as_str().unwrap();
            let context = home.allm().args(["context", id, "--json"]).ok_json();
            all += &context.to_string();
        }
    }
    all
}

fn leaks(home: &Home) -> Vec<String> {
    let all = all_of(home);
    let words = (1..=12).map(|n| format!("quokka{n} "));
    words.filter(|word| all.contains(word)).collect()
}

fn chat<'h>(home: &'h Home, server: &Server, args: &[&'h str]) -> crate::harness::Run {
    home.allm()
        .env("OLLAMA_HOST", &server.url)
        .args(["chat", "-p", "ollama"])
        .args(args.iter().copied())
}

/// Says the secret, and returns the id of its turn.
fn told(home: &Home) -> String {
    let answer = secret();
    let server = crate::server::ollama(move |_| answer.clone());
    let turn = chat(home, &server, &["--no-tools", "--json", ASKED]).ok_json();
    turn["interaction_id"].as_str().unwrap().to_owned()
}

// Finding H7.
#[test]
fn what_quoted_it_by_any_way_has_it_no_more() {
    let home = Home::new();
    let answer = secret();
    let server = crate::server::ollama(move |question| match question {
        _ if question.ends_with(ASKED) => answer.clone(),
        _ => "Of course.".to_owned(),
    });
    // Later requests of the conversation repeat it; what another asks in the same words is another's.
    let script = format!("{ASKED}\nplease continue\nplease continue\n");
    chat(&home, &server, &["--no-tools"])
        .stdin(&script)
        .run()
        .ok();
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    let id = |at: usize| {
        turns["interactions"][at]["interaction_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (first, second) = (id(0), id(1));
    // Recall quotes it, with its middle left out where it is long.
    chat(&home, &server, &["--no-tools"])
        .stdin(&format!("/recall {first}\nand now?\n"))
        .run()
        .ok();
    // A model finds it, and says it again.
    let found = calls(
        "search_memory",
        json!({"query": "step 7: turn the wheel to the left"}),
    );
    let again = Said::Text(
        "As you said: Step 7 of the \"vault\" procedure: turn wheel quokka7 to the left until it clicks,\nthen wait for the lamp and write the number down in the book that lies beside it. Nothing else.",
    );
    let searching = scripted::ollama(Some(&["tools"]), vec![found, again, Said::Text("Yes.")]);
    chat(&home, &searching, &[])
        .stdin("what about wheel seven?\nreally?\n")
        .run()
        .ok();
    // Without a model, it is quoted.
    home.allm()
        .args([
            "chat",
            "-p",
            "offline",
            "turn the wheel to the left until it clicks",
        ])
        .run()
        .ok();
    let history = "#V2\nhow is the vault opened, step by step?\nplease continue\nplease continue\nwhat about wheel seven?\n";
    fs::write(home.path().join("history.txt"), history).unwrap();
    assert!(leaks(&home).len() > 8);

    let gone = home
        .allm()
        .args(["forget", &first, &second, "--yes", "--no-backup", "--json"])
        .ok_json();
    assert_eq!(gone["count"], 2, "{gone}");
    assert_eq!(leaks(&home), Vec::<String>::new());
    let left = all_of(&home);
    assert!(
        left.contains("[forgotten]") && left.contains("Nothing else."),
        "{left}"
    );
    // One of two turns with the same question is left, and its question with it.
    assert!(left.contains("please continue"), "{left}");
    let kept = fs::read_to_string(home.path().join("history.txt")).unwrap();
    assert_eq!(kept, "#V2\nplease continue\nwhat about wheel seven?\n");
    assert_eq!(
        files_with(home.path(), ASKED.as_bytes()),
        Vec::<String>::new()
    );
    // What a model said again was cut into passages again.
    let found = home
        .allm()
        .args(["search", "--in", "response", "Nothing else", "--json"])
        .ok_json();
    assert!(
        found["hits"][0]["response"]
            .as_str()
            .unwrap()
            .contains("[forgotten] Nothing else."),
        "{found}"
    );
    let doctor = home.allm().args(["doctor", "--json"]).run().ok().json();
    assert!(!doctor[0].to_string().contains("wrong"), "{doctor:?}");
}

// Finding H7.
#[test]
fn an_import_does_not_bring_it_back() {
    let home = Home::new();
    let line = json!({"timestamp": "2026-01-02T03:04:05Z", "query": ASKED, "response": secret()});
    let import = || {
        home.allm()
            .args(["import", "jsonl", "-", "--json"])
            .stdin(&line.to_string())
            .ok_json()
    };
    assert_eq!(import()["parts"][0]["imported"], 1);
    let forget = [
        "forget",
        "--match",
        "the vault opened",
        "--yes",
        "--no-backup",
    ];
    home.allm().args(forget).run().ok();
    let again = import();
    assert_eq!(again["parts"][0]["imported"], 0, "{again}");
    assert_eq!(
        again["parts"][0]["skipped"]["forgotten before"], 1,
        "{again}"
    );
    assert_eq!(leaks(&home), Vec::<String>::new());
}

/// A server whose model searches the history, and then begins an answer that does not end before it is told to.
fn searching_slowly(home: &Path) -> Server {
    let go = home.join("go-on");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |request| match request.path.as_str() {
        "/api/tags" => Reply::json(200, &json!({"models": [{"name": "m"}]})),
        "/api/show" => Reply::json(200, &json!({"capabilities": ["tools"]})),
        _ => {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                let call = calls(
                    "search_memory",
                    json!({"query": "step 7: turn the wheel to the left"}),
                );
                let body = scripted::ollama_body(&call).into_bytes();
                return Reply::chunks(200, "application/x-ndjson", vec![Chunk::Bytes(body)]);
            }
            wait_until("the test goes on", || go.exists());
            let body = scripted::ollama_body(&Said::Text("It is said.")).into_bytes();
            Reply::chunks(200, "application/x-ndjson", vec![Chunk::Bytes(body)])
        }
    })
}

// Finding H6.
#[test]
fn a_shell_in_a_turn_keeps_its_journal_and_forgets_too() {
    let home = Home::new();
    let id = told(&home);
    let server = searching_slowly(home.folder());
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"));
    shell.args([
        "chat",
        "-p",
        "ollama",
        "-m",
        "m",
        "--base-url",
        &server.url,
        "what of wheel seven?",
    ]);
    shell
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice")
        .current_dir(home.folder());
    let mut shell = shell
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = || {
        let entries = fs::read_dir(home.path().join("journal"))
            .into_iter()
            .flatten()
            .flatten();
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        texts.collect::<String>()
    };
    wait_until("the answer of the tool is in the journal", || {
        journal().contains("quokka")
    });
    home.allm()
        .args(["forget", &id, "--yes", "--no-backup"])
        .run()
        .ok();
    // The turn that runs is still in its journal, and nobody took it for a dead shell's.
    assert!(journal().contains("what of wheel seven?"));
    assert_eq!(
        home.allm()
            .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
            .ok_json()["count"],
        0
    );
    fs::write(home.folder().join("go-on"), "").unwrap();
    assert!(shell.wait().unwrap().success());
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(
        (&turns["count"], &turns["interactions"][0]["response"]),
        (&json!(1), &json!("It is said.")),
        "{turns}"
    );
    assert_eq!(leaks(&home), Vec::<String>::new());
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Asserts that a turn and all that belongs to it is there, or that nothing of it is. Returns whether it is there.
#[track_caller]
pub fn all_or_nothing(home: &Home, whole: &str) -> bool {
    let all = all_of(home);
    let there = all == whole;
    let words: Vec<String> = (1..=12)
        .map(|n| format!("quokka{n} "))
        .filter(|word| all.contains(word))
        .collect();
    assert!(there || words.is_empty(), "half of it is left: {words:?}");
    assert!(
        there || all.contains("please continue"),
        "more is gone than was to go: {all}"
    );
    there
}

/// Returns a home in which something can be forgotten that others quote, its id, and all that is in it.
pub fn quoted() -> (Home, String, String) {
    let home = Home::new();
    let answer = secret();
    let server = crate::server::ollama(move |question| match question {
        ASKED => answer.clone(),
        _ => "Of course.".to_owned(),
    });
    let script = format!("{ASKED}\nplease continue\n");
    chat(&home, &server, &["--no-tools"])
        .stdin(&script)
        .run()
        .ok();
    home.allm()
        .args([
            "chat",
            "-p",
            "offline",
            "turn the wheel to the left until it clicks",
        ])
        .run()
        .ok();
    let turns = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    let id = turns["interactions"][0]["interaction_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let all = all_of(&home);
    (home, id, all)
}

// Finding H4.
#[test]
fn a_kill_leaves_all_of_it_or_nothing() {
    let (home, id, whole) = quoted();
    let kills = if std::env::var_os("ALLM_SLOW_TESTS").is_some() {
        20
    } else {
        5
    };
    // How long it takes on this machine, from the start of the process to its end.
    let tried = Home::new();
    copy(home.path(), tried.path());
    let start = std::time::Instant::now();
    tried
        .allm()
        .args(["forget", &id, "--yes", "--no-backup"])
        .run()
        .ok();
    let takes = start.elapsed();
    assert!(!all_or_nothing(&tried, &whole));
    let mut gone = 0;
    for kill in 0..kills {
        let copied = Home::new();
        copy(home.path(), copied.path());
        let mut child = copied
            .allm()
            .args(["forget", &id, "--yes", "--no-backup"])
            .spawn();
        std::thread::sleep(takes * (2 * kill + 1) / (2 * kills));
        child.kill().ok();
        child.wait().unwrap();
        gone += usize::from(!all_or_nothing(&copied, &whole));
        let doctor = copied.allm().args(["doctor", "--json"]).run().ok().json();
        assert!(!doctor[0].to_string().contains("\"wrong\""), "{doctor:?}");
    }
    say(&format!("{gone} of {kills} kills came after it had begun"));
}

// Finding H4.
#[test]
fn ctrl_c_waits_until_what_was_begun_is_done() {
    let (home, id, whole) = quoted();
    let mut shell = home.terminal(&["forget", &id, "--no-backup"]);
    shell.wait_for("Remove them for good?");
    shell.type_keys("y\r");
    // The file that says what is being removed is there from the first step to the last.
    let marker = home.path().join("lancedb.erasing");
    wait_until("it has begun", || marker.exists());
    shell.type_keys("\u{3}");
    assert_eq!(shell.exit_status(), 0, "{}", shell.screen());
    assert!(shell.screen().contains("finishing, "), "{}", shell.screen());
    assert!(!marker.exists());
    assert!(!all_or_nothing(&home, &whole));
}
