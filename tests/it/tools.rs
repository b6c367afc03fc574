//! Turns with tools through the real binary: files, commands, approval, and what is recorded of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Home, Run, wait_until};
use crate::scripted::{self, Said, bodies, calls};
use crate::server::Server;

fn model(replies: Vec<Said>) -> Server {
    scripted::ollama(Some(&["completion", "tools"]), replies)
}

fn chat(home: &Home, server: &Server, args: &[&str]) -> Run {
    home.allm()
        .env("OLLAMA_HOST", &server.url)
        .args(["chat", "-p", "ollama"])
        .args(args.iter().copied())
}

/// Returns what the tool of the first step said.
fn observed(turn: &Value) -> &str {
    turn["steps"][0]["observation"].as_str().unwrap()
}

#[test]
fn a_turn_with_tools_is_recorded_step_by_step_and_found_again() {
    let home = Home::new();
    fs::write(
        home.folder().join("notes.txt"),
        "one\nthe heron nests in the reeds\nthree\n",
    )
    .unwrap();
    let read = vec![(
        "read_file",
        json!({"path": "notes.txt", "from_line": 2, "to_line": 2}),
    )];
    let server = model(vec![
        Said::Calls("The notes may say where herons breed.", "", read),
        Said::Text("In the reeds."),
    ]);
    let turn = chat(&home, &server, &["--json", "--yes", "where?"]).ok_json();
    assert_eq!(turn["response"], "In the reeds.");
    let step = &turn["steps"][0];
    assert_eq!(
        (
            &step["thought"],
            &step["action"],
            &step["success"],
            &step["error"]
        ),
        (
            &json!("The notes may say where herons breed."),
            &json!({"name": "read_file", "arguments": {"path": "notes.txt", "from_line": 2, "to_line": 2}}),
            &json!(true),
            &Value::Null
        )
    );
    assert_eq!(observed(&turn), "the heron nests in the reeds\n");

    let id = turn["interaction_id"].as_str().unwrap();
    let ask = |args: &[&str]| {
        home.allm()
            .args(args.iter().copied())
            .args(["--json"])
            .ok_json()
    };
    assert_eq!(ask(&["scratchpad", &id[..8]])["steps"], turn["steps"]);
    assert_eq!(ask(&["show", id])["steps"], turn["steps"]);
    let context = ask(&["context"]);
    let sent = context["requests"].as_array().unwrap().iter();
    let sent: Vec<Value> = sent
        .map(|body| serde_json::from_str(body.as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(sent, bodies(&server));
    let raw = home.allm().args(["context", id, "--raw"]).run().ok();
    assert_eq!(raw.json(), sent);

    let find = |source: &str| ask(&["search", "breeding places of birds", "--in", source]);
    for (source, text) in [
        ("thought", "The notes may say where herons breed."),
        ("observation", "the heron nests in the reeds"),
    ] {
        let hit = &find(source)["hits"][0];
        assert_eq!(hit["matched"]["source"], source);
        assert_eq!(hit["matched"]["text"].as_str().unwrap().trim(), text);
    }
    assert_eq!(find("fact")["count"], 0);
    let similar = ask(&["similar", "birds that breed near water"]);
    assert_eq!(similar["cycles"][0]["interaction_id"], id);
    assert!(similar["cycles"][0]["similarity"].as_f64().unwrap() > 0.3);
}

#[test]
fn files_outside_and_files_with_secrets_are_refused() {
    let home = Home::new();
    let work = home.folder();
    fs::write(work.join(".env"), "TOKEN=hunter2").unwrap();
    fs::write(work.join("data.bin"), b"\x00\x01").unwrap();
    fs::write(work.join("plain.txt"), "TOKEN of another kind").unwrap();
    symlink("/etc/passwd", work.join("innocent.txt")).unwrap();
    let look = |name: &'static str, arguments: Value, args: &[&str]| {
        let server = model(vec![calls(name, arguments), Said::Text("ok")]);
        let mut all = vec!["--json"];
        all.extend(args);
        all.extend(["look"]);
        let turn = chat(&home, &server, &all).ok_json();
        observed(&turn).to_owned()
    };
    for path in ["../x", "/etc/passwd", "innocent.txt"] {
        if path != "../x" || work.parent().unwrap().join("x").exists() {
            let told = look("read_file", json!({"path": path}), &[]);
            assert!(told.contains("is outside the working directory"), "{told}");
        }
    }
    let told = look("list_files", json!({"path": ".."}), &[]);
    assert!(told.contains("is outside the working directory"), "{told}");
    let config = home.path().join("lancedb").display().to_string();
    let told = look(
        "list_files",
        json!({"path": config}),
        &["--allow-path", "/"],
    );
    assert!(told.contains("may hold secrets"), "{told}");
    let told = look("read_file", json!({"path": ".env"}), &[]);
    assert!(told.contains("may hold secrets"), "{told}");
    let told = look(
        "read_file",
        json!({"path": ".env"}),
        &["--allow-path", ".env"],
    );
    assert_eq!(told, "TOKEN=hunter2");
    // A search sees what may be read, and nothing else.
    let told = look("search_files", json!({"regex": "TOKEN|root"}), &[]);
    assert_eq!(told, "plain.txt:1: TOKEN of another kind");
    let told = look("list_files", json!({}), &[]);
    assert_eq!(told, "data.bin\nplain.txt");
    let told = look("read_file", json!({"path": "data.bin"}), &[]);
    assert_eq!(told, "`data.bin` is a binary file of 2 bytes");
}

#[test]
fn without_a_terminal_nothing_is_changed_unless_it_is_approved_beforehand() {
    let home = Home::new();
    let write = || {
        let arguments = json!({"path": "new/file.txt", "content": "written\n"});
        model(vec![calls("write_file", arguments), Said::Text("ok")])
    };
    let turn = chat(&home, &write(), &["--json", "write"]).ok_json();
    assert!(observed(&turn).starts_with("error: nobody is there to approve this call"));
    assert!(!home.folder().join("new").exists());
    chat(&home, &write(), &["--json", "--yes", "write"]).ok_json();
    let written = fs::read_to_string(home.folder().join("new/file.txt")).unwrap();
    assert_eq!(written, "written\n");

    // A command sees no key, and what it prints is kept whole up to 1 MiB.
    let command =
        json!({"command": "echo key=$OPENAI_API_KEY; head -c 1000000 /dev/zero | tr '\\0' x"});
    let server = model(vec![calls("run_command", command), Said::Text("ok")]);
    let run = chat(&home, &server, &["--json", "--yes", "run"]);
    let turn = run.env("OPENAI_API_KEY", "sk-test").ok_json();
    let told = observed(&turn);
    assert!(
        told.starts_with("exit code 0\n--- stdout\nkey=\nxxx"),
        "{}",
        &told[..60]
    );
    assert!(told.len() > 500_000 && told.contains("bytes left out"));
    let sent = bodies(&server)[1].to_string();
    assert!(sent.len() < 80 << 10, "{}", sent.len());
}

#[test]
fn the_model_is_offered_the_tools_that_are_chosen() {
    let home = Home::new();
    let offered = |args: &[&str], script: &str| {
        let server = model(vec![Said::Text("ok")]);
        chat(&home, &server, args).stdin(script).run().ok();
        let body = bodies(&server).remove(0);
        let tools = body["tools"].as_array().cloned().unwrap_or_default();
        let names = tools
            .iter()
            .map(|tool| tool["function"]["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    let all = "read_file list_files search_files write_file run_command search_memory current_time";
    assert_eq!(offered(&[], "hi\n"), all);
    assert_eq!(offered(&["--no-tools"], "hi\n"), "");
    assert_eq!(
        offered(
            &["--tools", "read_file,current_time"],
            "/tools off read_file\nhi\n"
        ),
        "current_time"
    );
    let server = model(vec![Said::Text("ok")]);
    let output = chat(&home, &server, &["--tools", "fly", "hi"])
        .run()
        .fails(1);
    assert_eq!(
        output.stderr,
        format!(
            "error: there is no tool `fly`: there are {}\n",
            all.replace(' ', ", ")
        )
    );
}

#[test]
fn a_person_is_asked_and_can_say_why_not() {
    let home = Home::new();
    fs::write(home.folder().join("poem.txt"), "roses\nare red\n").unwrap();
    let write = || {
        let arguments = json!({"path": "poem.txt", "content": "roses\nare blue\u{1b}[2J\n"});
        calls("write_file", arguments)
    };
    let run = || calls("run_command", json!({"command": "touch ran"}));
    let server = model(vec![
        write(),
        Said::Text("refused"),
        write(),
        Said::Text("agreed"),
        run(),
        Said::Text("once"),
        run(),
        Said::Text("twice"),
    ]);
    let mut terminal =
        home.terminal_with(&["chat", "-p", "ollama"], &[("OLLAMA_HOST", &server.url)]);
    let poem = || fs::read_to_string(home.folder().join("poem.txt")).unwrap();
    terminal.wait_for("› ");
    terminal.type_keys("paint\r");
    terminal.wait_for("-are red");
    terminal.wait_for("+are blue␛[2J");
    terminal.wait_for("Run write_file?");
    terminal.wait_for("why not:");
    terminal.type_keys("n keep the colour\r");
    terminal.wait_for("error: the user refused this call: keep the colour");
    terminal.wait_for("refused");
    assert_eq!(poem(), "roses\nare red\n");
    terminal.wait_for("› ");
    terminal.type_keys("paint\r");
    terminal.wait_for("why not:");
    terminal.type_keys("y\r");
    terminal.wait_for("agreed");
    assert_eq!(poem(), "roses\nare blue\u{1b}[2J\n");
    terminal.wait_for("› ");
    terminal.type_keys("run\r");
    terminal.wait_for("$ touch ran");
    terminal.wait_for("why not:");
    terminal.type_keys("a\r");
    terminal.wait_for("once");
    assert!(home.folder().join("ran").exists());
    terminal.wait_for("› ");
    terminal.type_keys("again\r");
    terminal.wait_for("twice");
    terminal.wait_for("› ");
    terminal.type_keys("\u{4}");
    assert_eq!(terminal.exit_status(), 0);
    assert_eq!(terminal.screen().matches("Run run_command?").count(), 1);
    let told = bodies(&server)[1]["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()["content"]
        .clone();
    assert_eq!(told, "error: the user refused this call: keep the colour");
}

/// A command with a child in the background that never rests.
const RESTLESS: &str = "touch alive; (for i in $(seq 3000); do echo >> alive; sleep 0.1; done) & touch begun; sleep 300";

/// Returns whether the child of [`RESTLESS`] has done nothing for a while.
fn is_quiet(home: &Home) -> bool {
    let alive = || fs::metadata(home.folder().join("alive")).unwrap().len();
    let before = alive();
    thread::sleep(Duration::from_secs(2));
    alive() == before
}

#[test]
fn ctrl_c_in_a_tool_kills_it_and_the_step_is_recorded() {
    let home = Home::new();
    let command = json!({"command": RESTLESS});
    let server = model(vec![
        Said::Calls("It takes long.", "", vec![("run_command", command)]),
        Said::Text("never"),
    ]);
    let args = ["chat", "-p", "ollama", "--yes"];
    let mut terminal = home.terminal_with(&args, &[("OLLAMA_HOST", &server.url)]);
    terminal.wait_for("› ");
    terminal.type_keys("wait\r");
    let begun = home.folder().join("begun");
    wait_until("the command runs", || begun.exists());
    terminal.type_keys("\u{3}");
    terminal.wait_for("interrupted");
    terminal.wait_for("› ");
    terminal.type_keys("\u{4}");
    assert_eq!(terminal.exit_status(), 0);
    let pad = home.allm().args(["scratchpad", "--json"]).ok_json();
    assert_eq!(pad["status"], "interrupted");
    let step = &pad["steps"][0];
    assert_eq!(
        (&step["thought"], &step["success"], &step["error"]),
        (
            &json!("It takes long."),
            &json!(false),
            &json!("interrupted")
        )
    );
    assert!(step["duration_ms"].as_u64().unwrap() > 0, "{step}");
    wait_until("nothing of the command is left", || is_quiet(&home));
}

// Finding L27.
#[test]
fn a_command_dies_with_a_shell_that_is_killed() {
    let home = Home::new();
    let command = json!({"command": RESTLESS});
    let server = model(vec![calls("run_command", command), Said::Text("never")]);
    let mut shell = chat(&home, &server, &["--yes", "wait"]).spawn();
    let begun = home.folder().join("begun");
    wait_until("the command runs", || begun.exists());
    // The watchman is there right after the command.
    thread::sleep(Duration::from_secs(2));
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_until("nothing of the command is left", || is_quiet(&home));
}

// Finding L6.
#[test]
fn what_may_act_by_itself_is_asked_for_each_time() {
    let home = Home::new();
    let write = |path| calls("write_file", json!({"path": path, "content": "x\n"}));
    let said = ["one", "two", "three", "four"].map(Said::Text);
    let [one, two, three, four] = said;
    let server = model(vec![
        write("plain"),
        one,
        write("other"),
        two,
        write(".bashrc"),
        three,
        write(".git/hooks/pre-commit"),
        four,
    ]);
    let mut terminal =
        home.terminal_with(&["chat", "-p", "ollama"], &[("OLLAMA_HOST", &server.url)]);
    let mut turn = |keys: &str, said: &str| {
        terminal.wait_for("› ");
        terminal.type_keys("go\r");
        if !keys.is_empty() {
            terminal.wait_for("why not:");
            terminal.type_keys(keys);
        }
        terminal.wait_for(said);
    };
    turn("a\r", "one");
    turn("", "two");
    turn("y\r", "three");
    turn("n\r", "four");
    terminal.wait_for("› ");
    terminal.type_keys("\u{4}");
    assert_eq!(terminal.exit_status(), 0);
    let screen = terminal.screen();
    assert_eq!(screen.matches("Run write_file? [y]es, [a]lways").count(), 1);
    assert_eq!(screen.matches("Run write_file? [y]es, [n]o").count(), 2);
    assert_eq!(screen.matches("careful: it is hidden").count(), 2);
    let is_there = |name: &str| home.folder().join(name).exists();
    assert!(is_there("other") && is_there(".bashrc") && !is_there(".git"));
}

#[test]
fn a_turn_without_tools_teaches_nothing_about_calling_them() {
    let home = Home::new();
    let server = scripted::ollama(
        None,
        vec![
            Said::Text("plain"),
            Said::Refused(400, "this model does not support tools"),
            Said::Text("Final Answer: written"),
        ],
    );
    let script = "/tools off current_time\none\n/tools on current_time\ntwo\n";
    let args = ["--json", "--tools", "current_time"];
    let output = chat(&home, &server, &args).stdin(script).run().ok();
    assert_eq!(output.json()[3]["response"], "written");
}
