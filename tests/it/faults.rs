//! Bad input and bad luck: each gets a clear error and the right exit code, and costs no turn already made.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::Home;
use crate::server::{Reply, Server};

#[test]
fn wrong_usage_exits_with_2_and_a_suggestion() {
    let home = Home::new();
    let check = |args: &[&str], expected: &str| {
        let output = home.allm().args(args.iter().copied()).run().fails(2);
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("", expected)
        );
    };
    check(
        &["serach", "x"],
        "error: there is no command `serach`\nhint: did you mean `search`? `allm --help` lists the commands\n",
    );
    check(
        &["search"],
        "error: the following required arguments were not provided: <WORDS>...\nhint: usage: allm search [OPTIONS] <WORDS>...\n",
    );
    check(
        &["search", "x", "--limt", "3"],
        "error: unexpected argument '--limt' found\nhint: did you mean `--limit`?\n",
    );
    check(
        &["chat", "--seed", "x"],
        "error: invalid value 'x' for '--seed <N>': invalid digit found in string\nhint: `--help` explains it\n",
    );
    check(
        &["search", "x", "--limit", "0"],
        "error: invalid value '0' for '--limit <N>': 0 is not in 1..=65535\nhint: `--help` explains it\n",
    );
    // Finding L10.
    check(
        &["chat", "--temperature", "-1", "x"],
        "error: invalid value '-1' for '--temperature <X>': give a number from 0 to 2\nhint: `--help` explains it\n",
    );
    check(
        &["chat", "--top-p", "nan", "x"],
        "error: invalid value 'nan' for '--top-p <X>': give a number from 0 to 1\nhint: `--help` explains it\n",
    );
    let empty = home
        .allm()
        .args(["chat", "-p", "offline", "--json", " "])
        .run()
        .fails(1);
    let told = empty.json()[0]["error"].to_string();
    assert!(told.contains("there is no message"), "{told}");
    // Finding L9.
    for (args, told) in [
        (
            &["--json", "serach", "x"][..],
            "there is no command `serach`",
        ),
        (
            &["search", "--limt", "3", "--json"],
            "unexpected argument '--limt' found",
        ),
        (&["--json"], "say what to do"),
        (
            &["--json=1", "users"],
            "unexpected value '1' for '--json' found; no more were expected",
        ),
    ] {
        let run = home.allm().args(args.iter().copied()).run().fails(2);
        assert_eq!(run.json()[0]["error"], told, "{args:?}");
        assert_eq!(run.stderr, "", "{args:?}");
    }
}

#[test]
fn bad_lines_of_a_script_fail_and_the_rest_still_runs() {
    let home = Home::new();
    let script = "/serch x\n/search\n/timeframe yesterdayish\n/show zzzz\n/show 0000\n/temperature hot\nhello\n";
    let output = home.allm().args(["chat"]).stdin(script).run().fails(1);
    assert!(
        output
            .stdout
            .starts_with("Nothing like that is recorded yet"),
        "{}",
        output.stdout
    );
    for expected in [
        "error: there is no command `/serch`\nhint: did you mean `/search`?",
        "error: the following required arguments were not provided: <WORDS>...\nhint: usage: /search",
        "error: cannot read `yesterdayish` as a date or a time\naccepted: 2025-09-15,",
        "error: `zzzz` is not an id: give at least its first 4 characters",
        "error: no interaction and no session has an id that starts with `0000`",
        "error: `hot` is no temperature: give a number from 0 to 2, or `default`",
    ] {
        assert!(
            output.stderr.contains(expected),
            "{expected}\n---\n{}",
            output.stderr
        );
    }
    let output = home
        .allm()
        .args(["chat", "--json"])
        .stdin(script)
        .run()
        .fails(1);
    let lines = output.json();
    assert_eq!(lines.len(), 7);
    assert!(
        lines[..6].iter().all(|line| line["type"] == "error"),
        "{}",
        output.stdout
    );
    let stopped = home
        .allm()
        .args(["chat", "--json", "--fail-fast"])
        .stdin(script)
        .run()
        .fails(1);
    assert_eq!(stopped.json().len(), 1);
}

#[test]
fn a_store_of_the_predecessor_is_left_alone() {
    let home = Home::new();
    let table = home.path().join("lancedb/interactions.lance");
    fs::create_dir_all(&table).unwrap();
    fs::write(table.join("theirs"), "kept").unwrap();
    let output = home.allm().args(["chat", "hello"]).run().fails(1);
    assert!(
        output
            .stderr
            .contains("holds the tables of another program, the Python AbstractLLM"),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stderr
            .contains("\nhint: bring them in with `allm import abstractllm`"),
        "{}",
        output.stderr
    );
    assert_eq!(
        fs::read_dir(home.path().join("lancedb")).unwrap().count(),
        1
    );
    let elsewhere = home.path().join("elsewhere");
    home.allm()
        .args(["chat", "--db", &elsewhere.display().to_string(), "hello"])
        .run()
        .ok();
}

#[test]
fn an_unusable_home_is_an_error() {
    let home = Home::new();
    fs::write(home.path().join("file"), "").unwrap();
    let path = home.path().join("file/home");
    let output = home
        .allm()
        .args(["chat", "--home", &path.display().to_string(), "hi"])
        .run()
        .fails(1);
    assert!(
        output.stderr.starts_with("error: cannot "),
        "{}",
        output.stderr
    );
    fs::write(home.path().join("config.toml"), "modle = \"x\"\n").unwrap();
    let output = home.allm().args(["stats"]).run().fails(1);
    assert!(
        output.stderr.contains("cannot use the settings of") && output.stderr.contains("modle"),
        "{}",
        output.stderr
    );
}

// Finding L21.
#[test]
fn a_home_whose_name_is_no_text_is_an_error() {
    let home = Home::new();
    let place = home.path().join(OsStr::from_bytes(b"home-\xff"));
    let mut stats = Command::new(env!("CARGO_BIN_EXE_allm"));
    let stats = stats.arg("stats").env("ALLM_HOME", &place);
    let output = stats.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: cannot use `") && said.contains("no valid UTF-8"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn the_home_is_for_its_owner_alone() {
    let home = Home::new();
    let place = home.path().join("home");
    home.allm()
        .args(["chat", "--home", &place.display().to_string(), "hi"])
        .run()
        .ok();
    let mut left = vec![place];
    while let Some(path) = left.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
        if metadata.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let home = Home::new();
    home.allm()
        .args(["chat"])
        .stdin("one\ntwo\nthree\n")
        .run()
        .ok();
    let mut listing = Command::new(env!("CARGO_BIN_EXE_allm"));
    listing
        .args(["timeframe", "2020-01-01", "2100-01-01"])
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice");
    let mut listing = listing
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(listing.stdout.take());
    let mut said = String::new();
    let mut stderr = listing.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(
        (listing.wait().unwrap().code(), said.contains("error")),
        (Some(0), false)
    );
}

#[test]
fn tables_that_cannot_be_written_cost_no_turn() {
    let server = Server::start(|_| {
        let line = json!({"message": {"content": "an answer"}, "done": true});
        Reply::text(200, "application/x-ndjson", line.to_string())
    });
    let home = Home::new();
    let chat = |question: &str| {
        let arguments = [
            "chat",
            "-p",
            "ollama",
            "-m",
            "m",
            "--base-url",
            &server.url,
            question,
        ];
        home.allm().args(arguments).run()
    };
    chat("one").ok();
    // A folder in the place of a table's data stands for any fault of the disk.
    let data = home.path().join("lancedb/passages.lance/data");
    let aside = home.path().join("aside");
    fs::rename(&data, &aside).unwrap();
    fs::write(&data, "").unwrap();
    let output = chat("two").ok();
    assert_eq!(output.stdout, "an answer\n");
    assert!(output.stderr.starts_with("warning: the turn is only in the journal, and stored when that works again: cannot write"), "{}", output.stderr);
    assert!(!output.stderr.contains("registry/src"), "{}", output.stderr);
    let output = chat("three").ok();
    assert!(
        output
            .stderr
            .contains("warning: some turns are only in the journal"),
        "{}",
        output.stderr
    );
    fs::remove_file(&data).unwrap();
    fs::rename(&aside, &data).unwrap();
    // A journal that cannot be read does not keep the others from being recovered.
    fs::create_dir(home.path().join("journal/unreadable.jsonl")).unwrap();
    let output = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .run()
        .ok();
    let (stored, kept) = output.stderr.split_once('\n').unwrap();
    assert_eq!(
        stored,
        "2 turns that were only in the journal are stored now"
    );
    assert!(
        kept.starts_with("warning: some turns are only in the journal"),
        "{kept}"
    );
    let list = &output.json()[0];
    let shown: Vec<_> = list["interactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| (&turn["query"], &turn["status"]))
        .collect();
    let (completed, expected) = (
        json!("completed"),
        [json!("one"), json!("two"), json!("three")],
    );
    assert_eq!(
        shown,
        expected
            .iter()
            .map(|query| (query, &completed))
            .collect::<Vec<_>>()
    );
}

#[test]
fn turns_that_had_to_wait_are_stored_in_the_same_shell() {
    let home = Home::new();
    let data = home.path().join("lancedb/passages.lance/data");
    let aside = home.path().join("put-aside");
    // The disk fails while the second answer comes, and works again with the fourth.
    let server = crate::server::ollama(move |question| {
        if question == "two" {
            fs::rename(&data, &aside).unwrap();
            fs::write(&data, "").unwrap();
        } else if question == "four" {
            fs::remove_file(&data).unwrap();
            fs::rename(&aside, &data).unwrap();
        }
        format!("answer {question}")
    });
    let run = home.allm().env("OLLAMA_HOST", &server.url);
    let run = run.args(["chat", "-p", "ollama", "--no-tools"]);
    let output = run.stdin("one\ntwo\nthree\nfour\n").run().ok();
    let told = output.stderr.matches("only in the journal").count();
    assert_eq!(told, 1, "{}", output.stderr);
    assert_eq!(
        fs::read_dir(home.path().join("journal")).unwrap().count(),
        0
    );
    let found = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .run()
        .ok();
    assert!(!found.stderr.contains("stored now"), "{}", found.stderr);
    assert_eq!(found.json()[0]["count"], 4, "{}", found.stdout);
    let context = found.json()[0]["interactions"][3]["interaction_id"].clone();
    let context = home
        .allm()
        .args(["context", context.as_str().unwrap()])
        .run()
        .ok();
    assert!(context.stdout.contains("answer two") && context.stdout.contains("answer three"));
}
