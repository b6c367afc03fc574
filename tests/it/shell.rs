//! The shell and its commands, through a pipe and through a terminal.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, wait_until};
use crate::server::{self, Chunk, Reply, Server};

#[test]
fn a_script_prints_one_json_object_a_line_and_another_process_finds_its_turns() {
    let home = Home::new();
    let output = home
        .allm()
        .args(["chat", "--json"])
        .stdin("first question\n/search first\n/quit\n")
        .run()
        .ok();
    let lines = output.json();
    assert_eq!(lines.len(), 2, "{}", output.stdout);
    assert_eq!(
        (&lines[0]["type"], &lines[0]["provider"], &lines[0]["user"]),
        (&json!("turn"), &json!("offline"), &json!("alice"))
    );
    assert_eq!(
        (&lines[1]["type"], &lines[1]["hits"][0]["query"]),
        (&json!("search"), &json!("first question"))
    );
    let found = home.allm().args(["search", "--json", "first"]).ok_json();
    assert_eq!(
        found["hits"][0]["interaction_id"],
        lines[0]["interaction_id"]
    );
}

#[test]
fn without_a_model_the_closest_past_passages_are_quoted() {
    let home = Home::new();
    let first = home
        .allm()
        .args(["chat", "the staging database listens on port 6543"])
        .run()
        .ok();
    assert!(
        first
            .stdout
            .starts_with("Nothing like that is recorded yet"),
        "{}",
        first.stdout
    );
    let turn = home
        .allm()
        .args([
            "chat",
            "--json",
            "which port does the staging database use?",
        ])
        .ok_json();
    let answer = turn["response"].as_str().unwrap();
    assert!(
        answer.contains("you wrote\n> the staging database listens on port 6543"),
        "{answer}"
    );
    assert_eq!(
        turn["steps"][0]["action"],
        json!({"name": "search_memory", "arguments": {"query": "which port does the staging database use?"}})
    );
    // A question asked again is not its own answer, and quotes are not found a second time.
    let again = home
        .allm()
        .args([
            "chat",
            "--json",
            "which port does the staging database use?",
        ])
        .ok_json();
    assert_eq!(again["response"], turn["response"]);
    let found = home
        .allm()
        .args(["search", "--json", "port of the staging database"])
        .ok_json();
    assert!(
        found["hits"]
            .as_array()
            .unwrap()
            .iter()
            .all(|hit| hit["matched"]["source"] == "query"),
        "{found}"
    );
    let shown = home
        .allm()
        .args(["show", turn["interaction_id"].as_str().unwrap()])
        .run()
        .ok();
    assert!(
        shown.stdout.contains("step 1\naction  search_memory"),
        "{}",
        shown.stdout
    );
}

#[test]
fn lines_are_messages_commands_or_blocks() {
    let server = server::ollama(|question| format!("<{question}>"));
    let home = Home::new();
    let script = "/usr/bin/env what is this?\n\n//search me\n\"\"\"\nline one\n/quit\n\"\"\"\nends with \\\nanother\n";
    let output = home
        .allm()
        .args(["chat", "--base-url", &server.url])
        .stdin(script)
        .run()
        .ok();
    assert_eq!(
        output.stdout,
        "</usr/bin/env what is this?>\n</search me>\n<line one\n/quit>\n<ends with \nanother>\n"
    );
}

#[test]
fn a_terminal_shows_prompt_answer_and_footer() {
    let server = server::ollama(|question| format!("You said {question}.\x1b]0;owned\x07"));
    let home = Home::new();
    let mut terminal = home.terminal(&["chat", "--base-url", &server.url]);
    terminal.wait_for("/help lists the commands");
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("hello\r");
    terminal.wait_for("You said hello.␛]0;owned␇");
    terminal.wait_for("11 in, 3 out · 1% of 8192");
    terminal.wait_for("llama3.2:latest › ");
    // Ctrl-C at the prompt clears the line and nothing else.
    terminal.type_keys("not sent\x03");
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("/show\r");
    terminal.wait_for("You said hello.");
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("/help\r");
    terminal.wait_for("/timeframe");
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("\x04");
    assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
    assert!(
        !terminal.screen().contains("\x1b]0;"),
        "the answer cannot steer the terminal"
    );
    let history = std::fs::read_to_string(home.path().join("history.txt")).unwrap();
    assert!(
        history.contains("hello") && history.contains("/show"),
        "{history}"
    );
}

// Finding M25.
#[test]
fn a_backslash_before_enter_joins_lines_and_what_is_pasted_stays_as_it_is() {
    let server = server::ollama(|question| format!("<{}>", question.replace('\n', "|")));
    let home = Home::new();
    let mut terminal = home.terminal(&["chat", "--base-url", &server.url]);
    for (typed, said) in [
        ("one \\\rtwo", "<one |two>"),
        ("one\x1b\rtwo\nthree", "<one|two|three>"),
        ("\x1b[200~RUN a \\\r  && b\x1b[201~", "<RUN a \\|  && b>"),
        (
            "```sh\rcargo run \\\r  -q\r```",
            "<```sh|cargo run \\|  -q|```>",
        ),
        (
            "\x1b[200~    def f():\r        return 1 \\\r            + 2\r\x1b[201~",
            "<    def f():|        return 1 \\|            + 2>",
        ),
        // Tab completes nothing there.
        ("one \\\t\rtwo", "<one |two>"),
        // What is pasted goes on, too, and keeps its `\`.
        ("\x1b[200~RUN a \\\x1b[201~\r  && b", "<RUN a \\|  && b>"),
    ] {
        terminal.wait_for("llama3.2:latest › ");
        terminal.type_keys(&format!("{typed}\r"));
        terminal.wait_for(said);
    }
    // What is open shows it.
    assert!(terminal.screen().contains("… "));
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("\x04");
    assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
    // A terminal that cannot edit lines has no keys to bind.
    let mut terminal = home.terminal_with(
        &["chat", "--base-url", &server.url],
        &[("TERM", "dumb"), ("NO_COLOR", "1")],
    );
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("one \\\rtwo\r");
    terminal.wait_for("<one |two>");
}

#[test]
fn a_hint_is_one_line_and_leaves_with_the_line() {
    let server = server::ollama(|question| format!("<{}>", question.replace('\n', "|")));
    let home = Home::new();
    let long = "z".repeat(300);
    let history = format!("#V2\nfirst {long}\nfn main() {{\\n    hidden();\\n}}\n");
    std::fs::write(home.path().join("history.txt"), history).unwrap();
    let mut terminal = home.terminal(&["chat", "--base-url", &server.url]);
    terminal.wait_for("llama3.2:latest › ");
    terminal.type_keys("fn");
    terminal.wait_for(" main() {…");
    let before = terminal.screen().len();
    terminal.type_keys("\x03");
    // The line is drawn once more, and then comes the next prompt.
    let drawn = || {
        terminal.screen()[before..]
            .matches("llama3.2:latest › ")
            .count()
    };
    wait_until("the prompt is back", || drawn() == 2);
    let after = &terminal.screen()[before..];
    assert!(
        after.contains("fn\r") && !after.contains("main"),
        "{after:?}"
    );
    terminal.type_keys("fi");
    terminal.wait_for("zzz…");
    assert!(!terminal.screen().contains(&"z".repeat(100)));
    terminal.type_keys("\x15fn\x1b[C\r");
    // It is taken whole, and what was interrupted was never sent.
    terminal.wait_for("<fn main() {|    hidden();|}>");
    terminal.wait_for("llama3.2:latest › ");
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|(line, _)| line.ends_with("/api/chat"))
            .count(),
        1
    );
}

// Finding L13.
#[test]
fn the_lines_of_before_stay_in_the_history() {
    let home = Home::new();
    let history = home.path().join("history.txt");
    let before = (0..150).fold(String::new(), |lines, line| format!("{lines}line {line}\n"));
    std::fs::write(&history, format!("#V2\n{before}")).unwrap();
    let mut terminal = home.terminal(&["chat", "-p", "offline"]);
    terminal.wait_for("› ");
    terminal.type_keys("/help /quit\r");
    terminal.wait_for("Usage: /quit");
    terminal.wait_for("› ");
    terminal.type_keys("\x04");
    assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
    let after = std::fs::read_to_string(&history).unwrap();
    assert!(after.contains("line 0\n") && after.contains("/help /quit\n"));
}

// Finding L12.
#[test]
fn the_last_turn_is_that_of_the_conversation_that_goes_on() {
    let home = Home::new();
    let chat = |script: &str| {
        let run = home.allm().args(["chat", "-p", "offline", "--json"]);
        run.stdin(script).run().json()
    };
    let first = chat("first\n").remove(0);
    let id = |name: &str| first[name].as_str().unwrap();
    let (turn, session) = (id("interaction_id"), id("session_id"));
    let lines = chat(&format!(
        "second\n/resume {session}\n/show\n/forget {turn} --yes --no-backup\n/show\n/users add bob\n/user bob\n/show\n"
    ));
    assert_eq!(lines[2]["query"], "first");
    assert_eq!(lines[4]["query"], "second", "{}", lines[4]);
    assert_eq!(lines[7]["error"], "nothing is recorded yet");
}

// Finding M20.
#[test]
fn what_could_steer_a_terminal_is_shown_there_and_kept_in_a_pipe() {
    const SAID: &str = "\u{1b}]0;owned\u{7} \u{9b}2J \u{5e9}\u{200f}!\r\nnext";
    let server = server::ollama(|_| SAID.to_owned());
    let home = Home::new();
    let asked = ["chat", "--base-url", &server.url, "\u{9b}3J?"];
    let answer = home.allm().args(asked).run().ok();
    assert_eq!(answer.stdout, format!("{SAID}\n"));
    let last = home.allm().args(["last"]).run().ok();
    assert_eq!(last.stdout, format!("{SAID}\n"));
    let shown = home.allm().args(["show"]).run().ok();
    assert!(shown.stdout.contains(SAID), "{}", shown.stdout);
    let sql = "SELECT query, response FROM interactions";
    for args in [
        &["sql", "--csv", sql][..],
        &["sql", sql],
        &["last"],
        &["last", "--json"],
        &["show"],
        &["context"],
        &["context", "--raw"],
        &["export"],
    ] {
        let mut terminal = home.terminal(args);
        assert_eq!(terminal.exit_status(), 0, "{args:?}");
        let screen = terminal.screen();
        assert!(screen.contains("2J") || screen.contains("3J"), "{args:?}");
        let steers = ["\u{1b}]", "\u{7}", "\u{9b}", "\u{200f}"];
        let found = steers.iter().find(|steers| screen.contains(**steers));
        assert_eq!(found, None, "{args:?}: {screen:?}");
    }
}

#[test]
fn ctrl_c_stops_an_answer_and_keeps_what_came() {
    let server = Server::start(|request| {
        if request.path == "/api/tags" {
            return Reply::json(200, &json!({"models": [{"name": "slow"}]}));
        }
        if request.path == "/api/show" {
            return Reply::json(200, &json!({"capabilities": ["completion"]}));
        }
        let first = format!(
            "{}\n",
            json!({"message": {"content": "the beginning"}, "done": false})
        );
        let chunks = vec![
            Chunk::Bytes(first.into()),
            Chunk::Wait(Duration::from_secs(30)),
        ];
        Reply::chunks(200, "application/x-ndjson", chunks)
    });
    let home = Home::new();
    let mut terminal = home.terminal(&["chat", "--base-url", &server.url]);
    terminal.wait_for("slow › ");
    terminal.type_keys("tell me\r");
    terminal.wait_for("the beginning");
    terminal.type_keys("\x03");
    terminal.wait_for("interrupted");
    terminal.wait_for("slow › ");
    terminal.type_keys("/quit\r");
    assert_eq!(terminal.exit_status(), 0);
    let all = home
        .allm()
        .args(["timeframe", "2020-01-01", "2100-01-01", "--json"])
        .ok_json();
    let turn = &all["interactions"][0];
    assert_eq!(
        (&turn["status"], &turn["response"]),
        (&json!("interrupted"), &json!("the beginning"))
    );
}

#[test]
fn version_and_help_touch_nothing() {
    let home = Home::new();
    let version = home.allm().args(["--version"]).run().ok();
    assert_eq!(
        version.stdout,
        concat!("allm ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let help = home.allm().args(["search", "--help"]).run().ok();
    assert!(
        help.stdout
            .contains("Usage: allm search [OPTIONS] <WORDS>..."),
        "{}",
        help.stdout
    );
    assert!(
        help.stdout
            .contains("  allm search how did we fix the deadlock"),
        "{}",
        help.stdout
    );
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}
