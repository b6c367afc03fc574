//! Processes that die, and many at once: no turn is lost and none is doubled.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, wait_until};
use crate::server::{Chunk, Reply, Server};

/// A server that begins to answer and then waits.
pub fn stalling() -> Server {
    Server::answering(|_| {
        let first = format!(
            "{}\n",
            json!({"message": {"content": "the beginning"}, "done": false})
        );
        Reply::chunks(
            200,
            "application/x-ndjson",
            vec![
                Chunk::Bytes(first.into()),
                Chunk::Wait(Duration::from_mins(1)),
            ],
        )
    })
}

#[test]
fn a_turn_of_a_killed_shell_is_recovered_once() {
    let server = stalling();
    let home = Home::new();
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"));
    shell.args("chat --no-tools -p ollama -m m --base-url".split(' '));
    shell.args([&server.url, "do not lose me"]);
    shell
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    let folder = home.path().join("journal");
    let journal = || Some(fs::read_dir(&folder).ok()?.next()?.ok()?.path());
    wait_until("what has come is in the journal", || {
        let text = journal().and_then(|path| fs::read_to_string(path).ok());
        text.is_some_and(|text| text.contains("the beginning"))
    });
    let journal = journal().unwrap();
    shell.kill().unwrap();
    shell.wait().unwrap();
    // A torn last line, as a power cut leaves it, does not hide the lines before it.
    fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .unwrap()
        .write_all(b"{\"ended\":{\"usern")
        .unwrap();

    let list = || {
        home.allm()
            .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
            .run()
            .ok()
    };
    let output = list();
    assert!(
        output
            .stderr
            .contains("1 turn that was only in the journal is stored now"),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stderr
            .contains("warning: a journal has lines that cannot be read"),
        "{}",
        output.stderr
    );
    let turn = &output.json()[0]["interactions"][0];
    assert_eq!(
        (&turn["query"], &turn["status"], &turn["response"]),
        (
            &json!("do not lose me"),
            &json!("interrupted"),
            &json!("the beginning")
        )
    );
    let again = list();
    // What is left is the window, which is echoed.
    assert_eq!(
        (&again.json()[0]["count"], again.stderr.lines().count()),
        (&json!(1), 1)
    );
    let left = fs::read_dir(home.path().join("journal")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    assert!(
        matches!(&left[..], [aside] if aside.extension().unwrap() == "unreadable"),
        "{left:?}"
    );
}

#[test]
fn ctrl_c_in_a_script_records_the_turn_and_exits_with_130() {
    let server = stalling();
    let home = Home::new();
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"));
    shell.args("chat --no-tools -p ollama -m m --base-url".split(' '));
    shell.arg(&server.url);
    shell
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(b"one\ntwo\n")
        .unwrap();
    wait_until("the model is asked", || {
        let mut asked = server.requests().into_iter();
        asked.any(|(line, _)| line.ends_with("/api/chat"))
    });
    let killed = Command::new("kill")
        .args(["-INT", &shell.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(shell.wait().unwrap().code(), Some(130));
    let all = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    assert_eq!(
        (&all["count"], &all["interactions"][0]["status"]),
        (&json!(1), &json!("interrupted"))
    );
}

/// How often a fault is tried.
fn tries(short: u64, slow: u64) -> u64 {
    if std::env::var_os("ALLM_SLOW_TESTS").is_some() {
        slow
    } else {
        short
    }
}

/// Starts a chat that says one line after the other, and waits for nobody.
fn talk(home: &Home, url: &str, name: &str, lines: u64) -> Child {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"));
    shell.args("chat --json --no-tools -p ollama -m m --base-url".split(' '));
    shell.arg(url);
    shell
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut script = String::new();
    for line in 0..lines {
        script.push_str(&format!("{name} {line}\n"));
    }
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    shell
}

fn stored(home: &Home) -> Vec<Value> {
    let args = ["timeframe", "2020-01-01", "2100-01-01", "--json"];
    let found = home.allm().args(args).ok_json();
    found["interactions"].as_array().unwrap().clone()
}

fn queries(turns: &[Value]) -> Vec<String> {
    let query = |turn: &Value| turn["query"].as_str().unwrap().to_owned();
    turns.iter().map(query).collect()
}

/// Every question that reached the server is stored, and none twice.
#[track_caller]
fn nothing_is_lost(home: &Home, server: &Server) {
    let turns = stored(home);
    let stored = queries(&turns);
    let once: BTreeSet<&String> = stored.iter().collect();
    assert_eq!(
        once.len(),
        stored.len(),
        "a turn is there twice: {stored:?}"
    );
    for (_, body) in server.requests() {
        let Ok(body) = serde_json::from_str::<Value>(&body) else {
            continue;
        };
        let Some(message) = body["messages"].as_array().and_then(|all| all.last()) else {
            continue;
        };
        let question = message["content"].as_str().unwrap().to_owned();
        assert!(
            once.contains(&question),
            "`{question}` was asked and is not stored: {stored:?}"
        );
    }
    // What a table has without its interaction would be a turn that is half there.
    let orphans = "SELECT count(*) AS n FROM passages WHERE interaction_id NOT IN (SELECT interaction_id FROM interactions)";
    let rows = home.allm().args(["sql", "--json", orphans]).ok_json();
    assert_eq!(rows["rows"][0][0], 0, "{rows}");
    let journal = fs::read_dir(home.path().join("journal")).unwrap();
    assert_eq!(journal.count(), 0, "the journal is empty");
}

/// A server that takes its time: a word every few milliseconds.
fn slow() -> Server {
    Server::answering(|_| {
        let word = |word: &str, done: bool| {
            Chunk::Bytes(
                format!("{}\n", json!({"message": {"content": word}, "done": done})).into(),
            )
        };
        let mut chunks = Vec::new();
        for _ in 0..8 {
            chunks.push(word("a word ", false));
            chunks.push(Chunk::Wait(Duration::from_millis(10)));
        }
        chunks.push(word("and the end", true));
        Reply::chunks(200, "application/x-ndjson", chunks)
    })
}

/// Lets a shell run to its end, and returns how long it takes on this machine, as busy as it is.
fn whole_run(home: &Home, server: &Server) -> Duration {
    let start = Instant::now();
    let ended = talk(home, &server.url, "whole", 4).wait_with_output();
    assert!(ended.unwrap().status.success());
    start.elapsed()
}

/// Returns a part of a run, from its beginning to its end.
#[expect(clippy::cast_precision_loss, reason = "it is below a hundred")]
fn moment(number: u64) -> f64 {
    (5 + number % 95) as f64 / 100.0
}

#[test]
fn shells_killed_at_any_moment_lose_no_turn() {
    let (home, server) = (Home::new(), slow());
    let takes = whole_run(&home, &server);
    for number in 0..tries(6, 50) {
        let mut shell = talk(&home, &server.url, &format!("kill {number}"), 4);
        std::thread::sleep(takes.mul_f64(moment(number * 97)));
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
    nothing_is_lost(&home, &server);
}

#[test]
fn ctrl_c_at_any_moment_loses_no_turn() {
    let (home, server) = (Home::new(), slow());
    let takes = whole_run(&home, &server);
    for number in 0..tries(6, 50) {
        let mut shell = talk(&home, &server.url, &format!("stop {number}"), 4);
        std::thread::sleep(takes.mul_f64(moment(number * 89)));
        let interrupt = ["-s", "INT", &shell.id().to_string()].map(str::to_owned);
        Command::new("kill").args(interrupt).status().unwrap();
        shell.wait().unwrap();
    }
    nothing_is_lost(&home, &server);
}

#[test]
fn many_shells_on_a_new_store_lose_and_double_nothing() {
    let (home, server) = (Home::new(), slow());
    let (shells, lines) = (tries(6, 20), 5);
    let running: Vec<Child> = (0..shells)
        .map(|number| talk(&home, &server.url, &format!("shell {number} line"), lines))
        .collect();
    for shell in running {
        let output = shell.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            (output.status.code(), stderr.as_str()),
            (Some(0), ""),
            "{stdout}"
        );
    }
    nothing_is_lost(&home, &server);
    let count = u64::try_from(stored(&home).len()).unwrap();
    assert_eq!(count, shells * lines);
    let users = home
        .allm()
        .args(["sql", "--json", "SELECT count(*) AS n FROM users"])
        .ok_json();
    let sessions = "SELECT count(*) AS n, count(DISTINCT session_id) AS d FROM sessions";
    let sessions = home.allm().args(["sql", "--json", sessions]).ok_json();
    let sessions = &sessions["rows"][0];
    assert_eq!(
        (&users["rows"][0][0], &sessions[0], &sessions[1]),
        (&json!(1), &json!(shells), &json!(shells))
    );
}
