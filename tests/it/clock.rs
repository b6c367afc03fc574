//! A clock that is set back costs no turn. Needs libfaketime (<https://github.com/wolfcw/libfaketime>); without it, it is left out.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Home, left_out};
use crate::import::interactions;

/// Where distributions put the library.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

#[test]
fn a_clock_that_is_set_back_costs_no_turn() {
    let mut libraries = LIBRARIES.iter();
    let Some(library) = libraries.find(|library| Path::new(library).exists()) else {
        left_out("libfaketime is not installed");
        return;
    };
    let home = Home::new();
    let clock = home.folder().join("clock");
    fs::write(&clock, "+0d\n").unwrap();
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"))
        .args(["chat", "-p", "offline", "--json"])
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice")
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = shell.stdin.take().unwrap();
    let mut answers = BufReader::new(shell.stdout.take().unwrap()).lines();
    for (at, offset) in ["+0d", "-2d", "-2d", "-30d"].iter().enumerate() {
        fs::write(&clock, format!("{offset}\n")).unwrap();
        writeln!(lines, "line {at} of the evening").unwrap();
        answers.next().unwrap().unwrap();
    }
    drop(lines);
    assert!(shell.wait().unwrap().success());
    let turns = interactions(&home);
    let said: Vec<&str> = turns
        .iter()
        .map(|turn| turn["query"].as_str().unwrap())
        .collect();
    let expected = [3, 1, 2, 0].map(|at| format!("line {at} of the evening"));
    assert_eq!(said, expected);
    home.allm().args(["doctor"]).run().ok();
}
