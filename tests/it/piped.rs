//! What is piped in beside a message: its material, the message itself, or what cannot be either.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::Home;
use crate::server;

#[test]
fn what_is_piped_in_beside_a_message_is_its_material() {
    let server = server::ollama(|question| format!("<{question}>"));
    let home = Home::new();
    // What writes, the words of the message, what is asked, and what is said of it.
    for (writes, words, asked, told) in [
        (
            "printf 'a log\\n'",
            "sum up",
            "sum up\n\n```\na log\n```",
            "",
        ),
        (
            "printf 'a\\n````\\n  b'",
            "sum up",
            "sum up\n\n`````\na\n````\n  b\n`````",
            "",
        ),
        (":", "hello", "hello", ""),
        ("printf '\\n \\n'", "hello", "hello", ""),
        ("printf '  why?\\nwhy not?\\n'", "-", "  why?\nwhy not?", ""),
        (
            "printf '\\377\\376h\\000i\\000'",
            "read",
            "read\n\n```\nhi\n```",
            "",
        ),
        ("printf '\\357\\273\\277hi'", "-", "hi", ""),
        (
            "printf 'caf\\351\\n'",
            "read",
            "read\n\n```\ncaf\u{fffd}\n```",
            "not all UTF-8: 1 place in it",
        ),
        (
            "sleep 2; printf late",
            "read",
            "read\n\n```\nlate\n```",
            "waiting for standard input to end: it is part of the message",
        ),
        (
            "sleep 2; printf late",
            "-",
            "late",
            "waiting for standard input to end: it is the message\n",
        ),
    ] {
        let script = format!(
            "({writes}) | \"$ALLM\" chat --base-url {} {words}",
            server.url
        );
        let output = home.shell(&script).run().ok();
        assert_eq!(output.stdout, format!("<{asked}>\n"), "{writes}");
        assert!(output.stderr.contains(told), "{}", output.stderr);
        assert_eq!(
            output.stderr.contains("standard input"),
            !told.is_empty(),
            "{}",
            output.stderr
        );
    }
    let asked = server.requests().len();
    for (writes, words, told) in [
        (
            "head -c 1100000 /dev/zero | tr '\\0' x",
            "read",
            "more than 1 MiB",
        ),
        ("yes", "-", "more than 1 MiB"),
        ("printf 'PK\\003\\004\\000\\000'", "read", "is no text"),
        (":", "-", "there is no message"),
    ] {
        let script = format!(
            "({writes}) | \"$ALLM\" chat --base-url {} {words}",
            server.url
        );
        let output = home.shell(&script).run().fails(1);
        assert!(output.stderr.contains(told), "{writes}: {}", output.stderr);
    }
    let sent = server.requests();
    let sent = sent[asked..]
        .iter()
        .filter(|(line, _)| line == "POST /api/chat");
    assert_eq!(sent.count(), 0);
}

#[test]
fn a_pipe_that_stays_open_is_told_of_and_ctrl_c_ends_the_wait() {
    let home = Home::new();
    let mut allm = Command::new(env!("CARGO_BIN_EXE_allm"))
        .args(["chat", "-p", "offline", "read"])
        .env("ALLM_HOME", home.path())
        .current_dir(home.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let open = allm.stdin.take();
    let mut told = String::new();
    let mut stderr = BufReader::new(allm.stderr.take().unwrap());
    stderr.read_line(&mut told).unwrap();
    assert!(told.starts_with("waiting for standard input"), "{told}");
    let asked = Instant::now();
    let mut kill = Command::new("kill");
    kill.args(["-INT", &allm.id().to_string()]);
    assert!(kill.status().unwrap().success());
    assert_eq!(allm.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10));
    drop(open);
}
