//! What is listed fits the terminal, as wide as it is now.

use unicode_width::UnicodeWidthStr;

use crate::harness::Home;

#[test]
fn lists_fit_any_width_and_break_no_number() {
    let home = Home::new();
    let question = "why does the pool of connections run dry whenever the nightly job begins?";
    let script = format!("{question}\n/title pools\n");
    let chat = home.allm().args(["chat", "-p", "offline"]);
    chat.stdin(&script).run().ok();
    let id = home.allm().args(["last", "--json"]).ok_json()["interaction_id"].clone();
    let id = id.as_str().unwrap()[..8].to_owned();
    let year = &home.allm().args(["last", "--json"]).ok_json()["timestamp"]
        .as_str()
        .unwrap()[..10]
        .to_owned();
    for (columns, is_table) in [("110", true), ("80", true), ("50", false)] {
        for command in [
            &["search", "pool", "--min-score", "0"][..],
            &["timeframe", "today"],
            &["sessions"],
            &["stats"],
            &["users"],
        ] {
            let run = home
                .allm()
                .env("COLUMNS", columns)
                .args(command.iter().copied());
            let shown = run.run().ok().stdout;
            // What stands below the figures is text.
            let rows = shown.split("\n\n turns").next().unwrap();
            let widest = rows.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(
                widest <= columns.parse().unwrap(),
                "{columns} {command:?}:\n{shown}"
            );
            if command[0] == "stats" && !is_table {
                assert!(shown.contains("not indexed 1"), "{columns}:\n{shown}");
            }
            if matches!(command[0], "search" | "timeframe") {
                assert!(
                    shown.contains(&id) && shown.contains(year),
                    "{columns}:\n{shown}"
                );
                // The passages of a search want more room than a list leaves them at 80.
                let is_table = is_table && (command[0] != "search" || columns == "110");
                assert_eq!(shown.starts_with(" when"), is_table, "{columns}:\n{shown}");
            }
        }
    }
}

#[test]
fn the_width_is_the_one_that_the_terminal_has_now() {
    let home = Home::new();
    let mut chat = home.terminal(&["chat", "-p", "offline"]);
    chat.wait_for("extractive");
    let sql = "/sql SELECT concat('x', repeat('y', 25)) AS a, repeat('z', 25) AS b, 7 AS c\r";
    for (columns, expected) in [(100, "y  z"), (50, "b: zzz"), (0, "y  z"), (110, "y  z")] {
        chat.resize(columns);
        chat.type_keys(sql);
        chat.wait_for(expected);
    }
    chat.type_keys("/quit\r");
}

#[test]
fn settings_follow_the_terminal_and_are_cut_by_columns() {
    let home = Home::new();
    let system = "東京".repeat(200);
    let mut chat = home.terminal(&["chat", "-p", "offline", "--system", &system]);
    chat.wait_for("extractive › ");
    for columns in [110, 50] {
        chat.resize(columns);
        let before = chat.screen().len();
        chat.type_keys("/config\r");
        chat.wait_for("\r\nsystem ");
        chat.wait_for("…\r\n");
        let screen = chat.screen();
        let line = screen[before..]
            .lines()
            .find(|line| line.starts_with("system "));
        let shown = line.unwrap().width();
        let columns = usize::from(columns);
        assert!(
            shown <= columns && shown > columns - 4,
            "{columns}: {shown}"
        );
    }
}

#[test]
fn what_is_said_beside_answers_breaks_between_words() {
    let home = Home::new();
    let mut chat = home.terminal(&["chat", "-p", "offline"]);
    chat.wait_for("extractive › ");
    for (columns, told) in [
        (
            110,
            "`/help` lists the commands, `//nosuch` says it to the model",
        ),
        (
            50,
            "`/help` lists the commands, `//nosuch` says\r\nit to the model",
        ),
    ] {
        chat.resize(columns);
        chat.type_keys("/nosuch\r");
        chat.wait_for(told);
    }
    chat.type_keys("/quit\r");
    assert_eq!(chat.exit_status(), 0, "{}", chat.screen());
}

#[test]
fn even_a_column_or_two_are_written_to() {
    let home = Home::new();
    let chat = home.allm().args(["chat", "-p", "offline"]);
    chat.stdin("why does the pool run dry?\n").run().ok();
    let mut chat = home.terminal(&["chat", "-p", "offline", "-c"]);
    chat.wait_for("extractive › ");
    for columns in [1, 2, 3] {
        for command in [
            "/search pool",
            "/history",
            "/sessions",
            "/config",
            "/timeframe today",
        ] {
            chat.type_keys(command);
            chat.wait_for(command.split(' ').next_back().unwrap());
            chat.resize(columns);
            chat.type_keys("\r");
            std::thread::sleep(std::time::Duration::from_millis(300));
            chat.resize(100);
            chat.type_keys("/seed\r");
            chat.wait_for("seed: ");
        }
    }
    assert!(!chat.screen().contains("panicked"), "{}", chat.screen());
}

#[test]
fn headings_and_cells_of_a_query_may_be_any_text_of_any_length() {
    let home = Home::new();
    let heading = "SELECT 1 AS \"a\u{1b}[31mb\", 2 AS c";
    for columns in ["110", "50"] {
        let mut shown = home.terminal_with(&["sql", heading], &[("COLUMNS", columns)]);
        shown.wait_for("a␛[31mb");
        assert_eq!(shown.exit_status(), 0, "{}", shown.screen());
    }
    let long = "SELECT repeat('x', 70000) AS a, 1 AS b, 2 AS c";
    for columns in ["50", "30000"] {
        let run = home.allm().env("COLUMNS", columns);
        let shown = run.args(["sql", long]).run().ok().stdout;
        assert!(shown.contains("xxx"), "{columns}");
    }
}

#[test]
fn a_dumb_terminal_gets_no_colours() {
    let home = Home::new();
    for (term, is_colored) in [("dumb", false), ("xterm", true)] {
        let mut users = home.terminal_with(&["stats"], &[("TERM", term)]);
        users.wait_for("turns");
        users.wait_for("dimensions");
        assert_eq!(
            users.screen().contains("\u{1b}["),
            is_colored,
            "{}",
            users.screen()
        );
    }
}
