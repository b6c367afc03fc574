//! People who get other names: their history stays theirs, wherever it is renamed and under whatever name they come.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::crashes::stalling;
use crate::harness::{Home, Run};

fn as_user(home: &Home, user: &str, args: &[&str]) -> Run {
    let run = home.allm().env("ALLM_USER", user);
    run.args(args.iter().copied())
}

/// Returns how many turns a user has.
fn turns(home: &Home, user: &str) -> Value {
    let all = ["timeframe", "2000-01-01", "2100-01-01", "--json"];
    as_user(home, user, &all).ok_json()["count"].clone()
}

fn usernames(home: &Home, user: &str) -> Vec<String> {
    let users = as_user(home, user, &["users", "--json"]).ok_json();
    let name = |user: &Value| format!("{} {}", user["username"], user["role"]).replace('"', "");
    users["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(name)
        .collect()
}

/// Holds a chat that is told one line after the other.
struct Shell {
    process: Child,
    lines: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Shell {
    fn start(home: &Home, user: &str, args: &[&str]) -> Shell {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allm"));
        command.args(["chat", "--json", "--no-tools"]).args(args);
        command.env_remove("OPENAI_API_KEY");
        command.env("ALLM_HOME", home.path()).env("ALLM_USER", user);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::null()).spawn().unwrap();
        Shell {
            lines: process.stdin.take().unwrap(),
            said: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.lines, "{line}").unwrap();
    }

    fn ask(&mut self, line: &str) -> Value {
        self.tell(line);
        let mut said = String::new();
        self.said.read_line(&mut said).unwrap();
        serde_json::from_str(&said).unwrap()
    }
}

// Finding M6.
#[test]
fn who_takes_another_name_in_a_chat_goes_on_as_the_same() {
    let home = Home::new();
    let script = "hello\n/users rename alice al\nhello again\n/history\n/user\n";
    let chat = ["chat", "--json", "-p", "offline"];
    let lines = as_user(&home, "alice", &chat)
        .stdin(script)
        .run()
        .ok()
        .json();
    assert_eq!(lines[1]["users"][0]["username"], "al");
    assert_eq!(
        (&lines[0]["user"], &lines[2]["user"], &lines[3]["count"]),
        (&json!("alice"), &json!("al"), &json!(2))
    );
    assert_eq!(lines[4]["value"], "al");
    // The system calls them alice still.
    let again = as_user(&home, "alice", &["chat", "-p", "offline", "once more"]);
    let again = again.run().ok().stderr;
    assert!(again.contains("`alice` is called `al` now"), "{again}");
    assert_eq!(usernames(&home, "alice"), ["al admin"]);
    assert_eq!(
        (turns(&home, "alice"), turns(&home, "al")),
        (json!(3), json!(3))
    );
    // Until someone else has the name.
    as_user(&home, "alice", &["users", "add", "alice"])
        .run()
        .ok();
    assert_eq!(
        (turns(&home, "alice"), turns(&home, "al")),
        (json!(0), json!(3))
    );
    assert_eq!(usernames(&home, "al"), ["al admin", "alice member"]);
}

// Finding M6.
#[test]
fn who_gets_another_name_from_another_shell_goes_on_as_the_same() {
    let home = Home::new();
    as_user(&home, "alice", &["chat", "-p", "offline", "hi"])
        .run()
        .ok();
    let mut shell = Shell::start(&home, "bob", &["-p", "offline"]);
    let first = shell.ask("first");
    for change in [["rename", "bob", "robert"], ["add", "bob", ""]] {
        let change = change.into_iter().filter(|word| !word.is_empty());
        let run = as_user(&home, "alice", &["users"]).args(change);
        run.run().ok();
    }
    let second = shell.ask("second");
    assert_eq!(
        (&first["user"], &second["user"]),
        (&json!("bob"), &json!("robert"))
    );
    assert_eq!(first["session_id"], second["session_id"]);
    assert_eq!(shell.ask("/history")["count"], 2);
    drop(shell.lines);
    shell.process.wait().unwrap();
    assert_eq!(
        (turns(&home, "robert"), turns(&home, "bob")),
        (json!(2), json!(0))
    );
}

// Finding M6.
#[test]
fn a_journal_of_before_belongs_to_who_wrote_it() {
    let (home, server) = (Home::new(), stalling());
    as_user(&home, "alice", &["chat", "-p", "offline", "hi"])
        .run()
        .ok();
    as_user(&home, "bob", &["chat", "-p", "offline", "hi"])
        .run()
        .ok();
    let mut shell = Shell::start(
        &home,
        "bob",
        &["-p", "ollama", "-m", "m", "--base-url", &server.url],
    );
    shell.tell("what was I to remember?");
    let journal = || {
        std::fs::read_dir(home.path().join("journal"))
            .into_iter()
            .flatten()
            .flatten()
    };
    while !journal().any(|file| file.metadata().is_ok_and(|file| file.len() > 0)) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    as_user(&home, "alice", &["users", "rename", "bob", "robert"])
        .run()
        .ok();
    as_user(&home, "alice", &["users", "add", "bob"]).run().ok();
    shell.process.kill().unwrap();
    shell.process.wait().unwrap();
    assert_eq!(
        (turns(&home, "bob"), turns(&home, "robert")),
        (json!(0), json!(2))
    );
    assert_eq!(
        usernames(&home, "alice"),
        ["alice admin", "robert member", "bob member"]
    );
}

#[test]
fn a_name_that_went_round_finds_who_had_it_last() {
    let home = Home::new();
    let alice = |args: &[&str]| as_user(&home, "alice", args).run().ok();
    alice(&["chat", "-p", "offline", "hi"]);
    let talk = |user: &str| {
        as_user(&home, user, &["chat", "-p", "offline", "hello"])
            .run()
            .ok()
    };
    talk("bob");
    alice(&["users", "rename", "bob", "robert"]);
    alice(&["users", "add", "bob"]);
    talk("bob");
    alice(&["users", "rename", "bob", "bobby"]);
    let output = talk("bob");
    assert!(
        output.stderr.contains("`bob` is called `bobby` now"),
        "{output:?}"
    );
    assert_eq!(
        (turns(&home, "bobby"), turns(&home, "robert")),
        (json!(2), json!(1))
    );
    // An admin finds them by it, too.
    let seen = as_user(
        &home,
        "alice",
        &["timeframe", "today", "--json", "--user", "bob"],
    );
    assert_eq!(seen.ok_json()["interactions"][0]["user"], "bobby");
}
