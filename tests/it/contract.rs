//! What `--json` promises: one object for each command, whatever becomes of it.

use serde_json::{Value, json};

use crate::harness::Home;

/// Returns a home with two conversations of two turns.
fn talked() -> Home {
    let home = Home::new();
    for script in ["one\ntwo\n", "three\nfour\n"] {
        let run = home.allm().args(["chat", "-p", "offline"]);
        run.stdin(script).run().ok();
    }
    home
}

fn ask(home: &Home, args: &[&str]) -> Value {
    let run = home.allm().args(args.iter().copied());
    run.args(["--json"]).ok_json()
}

// Finding L9.
#[test]
fn a_list_says_how_much_it_leaves_out() {
    let home = talked();
    for (args, count, more) in [
        (
            &["timeframe", "2020-01-01", "2100-01-01", "--limit", "3"][..],
            3,
            1,
        ),
        (&["timeframe", "2020-01-01", "2100-01-01"], 4, 0),
        (&["sessions", "--limit", "1"], 1, 1),
        (&["sessions"], 2, 0),
    ] {
        let list = ask(&home, args);
        let told = (&list["count"], &list["more"]);
        assert_eq!(told, (&json!(count), &json!(more)), "{args:?}");
    }
}

// Finding L9.
#[test]
fn figures_have_the_same_fields_whatever_they_are_added_up_by() {
    let home = talked();
    let whole = ask(&home, &["stats"]);
    let by = ask(&home, &["stats", "--by", "session"]);
    assert_eq!((&by["by"], &by["count"]), (&json!("session"), &json!(2)));
    assert_eq!(by["groups"].as_array().unwrap().len(), 2);
    for field in ["type", "tables", "disk_bytes", "embedding", "turns"] {
        assert_eq!(by[field], whole[field], "{field}");
    }
}

// Finding L9.
#[test]
fn an_export_that_is_no_json_is_a_part_of_an_object() {
    let home = Home::new();
    let run = home.allm().args(["chat", "-p", "offline", "--json"]);
    let script = "why?\n/export\n/export --format csv\n/export --format jsonl\n";
    let lines = run.stdin(script).run().ok().json();
    let text = |at: usize| lines[at]["text"].as_str().unwrap_or_default();
    assert_eq!(lines[1]["type"], "export");
    assert_eq!(lines[1]["interactions"], 1);
    assert!(text(1).contains("> why?"), "{}", lines[1]);
    assert!(text(2).contains(",why?,"), "{}", lines[2]);
    assert_eq!(lines[3]["type"], "allm");
}

// Finding L9.
#[test]
fn a_no_is_an_answer_in_json_too() {
    let home = talked();
    let mut terminal = home.terminal(&["forget", "--match", "two", "--json"]);
    terminal.wait_for("Remove them for good?");
    terminal.type_keys("n\r");
    terminal.wait_for("{\"type\":\"forgotten\",\"declined\":true}");
    assert_eq!(terminal.exit_status(), 0);
    assert_eq!(
        ask(&home, &["timeframe", "2020-01-01", "2100-01-01"])["count"],
        4
    );
}
