//! What a person approves for the rest of a conversation: what it covers, how it is shown, and when it ends.

use std::fs;

use serde_json::json;

use crate::harness::{Home, Terminal};
use crate::scripted::{self, Said, calls};

/// Has the next turn made, answers the question if there is one, and waits for the end; returns what was on the screen.
#[track_caller]
fn turn(terminal: &mut Terminal, question: &str, keys: &str, said: &str) -> String {
    let before = terminal.screen().len();
    terminal.wait_for("› ");
    terminal.type_keys("go\r");
    if !question.is_empty() {
        terminal.wait_for(question);
        terminal.type_keys(keys);
    }
    terminal.wait_for(said);
    let shown = terminal.screen()[before..].to_owned();
    assert_eq!(shown.contains("why not:"), !question.is_empty(), "{shown}");
    shown
}

#[test]
fn what_is_approved_for_later_is_narrow_and_ends_with_the_conversation() {
    const ANY: &str = "[a]lways in this chat, [n]o, or why not:";
    const ECHO: &str = "[a]lways `echo …` in this chat, [n]o, or why not:";
    let home = Home::new();
    let poem = home.folder().join("poem.txt");
    fs::write(&poem, "red\n").unwrap();
    let run = |command| calls("run_command", json!({"command": command}));
    let write = |text| calls("write_file", json!({"path": "poem.txt", "content": text}));
    let calls = [
        run("echo 1"),
        run("echo 2"),
        run("rm -rf poem.txt"),
        run("echo 4; rm poem.txt"),
        run("echo 5 > poem.txt"),
        write("blue\n"),
        write("green\n"),
        run("echo 8"),
        run("echo 9"),
        write("pink\n"),
    ];
    let said = [
        "said 1.", "said 2.", "said 3.", "said 4.", "said 5.", "said 6.", "said 7.", "said 8.",
        "said 9.", "said 10.",
    ];
    let replies = calls.into_iter().zip(said.map(Said::Text));
    let replies = replies.flat_map(|(call, text)| [call, text]).collect();
    let server = scripted::ollama(Some(&["completion", "tools"]), replies);
    let args = ["chat", "-p", "ollama"];
    let mut terminal = home.terminal_with(&args, &[("OLLAMA_HOST", &server.url)]);
    turn(&mut terminal, ECHO, "a\r", said[0]);
    turn(&mut terminal, "", "", said[1]);
    let very = "[a]lways this very command in this chat";
    turn(&mut terminal, very, "n\r", said[2]);
    turn(&mut terminal, "[y]es, [n]o, or why not:", "n\r", said[3]);
    turn(&mut terminal, "[y]es, [n]o, or why not:", "n\r", said[4]);
    turn(&mut terminal, ANY, "a\r", said[5]);
    let shown = turn(&mut terminal, "", "", said[6]);
    assert!(
        shown.contains("-blue") && shown.contains("+green"),
        "{shown}"
    );
    assert_eq!(fs::read_to_string(&poem).unwrap(), "green\n");
    terminal.wait_for("› ");
    terminal.type_keys("/tools\r");
    terminal.wait_for("on  approved");
    terminal.wait_for("asks first, but for");
    terminal.wait_for("› ");
    terminal.type_keys("/tools ask run_command\r");
    terminal.wait_for("on  asks first  ");
    turn(&mut terminal, ECHO, "a\r", said[7]);
    terminal.wait_for("› ");
    terminal.type_keys("/tools off run_command\r");
    terminal.wait_for("current_time");
    terminal.wait_for("› ");
    terminal.type_keys("/tools on run_command\r");
    terminal.wait_for("current_time");
    turn(&mut terminal, ECHO, "y\r", said[8]);
    terminal.wait_for("› ");
    terminal.type_keys("/new\r");
    terminal.wait_for("session: ");
    turn(&mut terminal, ANY, "n\r", said[9]);
    assert_eq!(fs::read_to_string(&poem).unwrap(), "green\n");
    terminal.wait_for("› ");
    terminal.type_keys("\u{4}");
    assert_eq!(terminal.exit_status(), 0);
}

#[test]
fn tools_say_what_they_do_without_asking() {
    let home = Home::new();
    let script = "/tools ask run_command\n/tools\n";
    let chat = home
        .allm()
        .args(["chat", "-p", "offline", "--json", "--yes"]);
    let said = chat.stdin(script).run().fails(1).json();
    let error = said[0]["error"].as_str().unwrap();
    assert!(error.contains("begun with `--yes`"), "{error}");
    let tools = said[1]["tools"].as_array().unwrap();
    let run = tools
        .iter()
        .find(|tool| tool["name"] == "run_command")
        .unwrap();
    assert_eq!(
        (&run["asks_first"], &run["approved"]),
        (&json!(false), &json!(["every call"]))
    );
}
