//! SQL, sessions and figures over what is recorded.

use serde_json::{Value, json};

use crate::harness::Home;
use crate::scripted::{self, Said, calls};
use crate::server;

fn filled() -> Home {
    let home = Home::new();
    let server = scripted::ollama(
        Some(&["tools"]),
        vec![
            calls("current_time", json!({})),
            Said::Text("It is \"late\", o'clock."),
        ],
    );
    let run = home.allm().env("OLLAMA_HOST", &server.url);
    run.args(["chat", "-p", "ollama"])
        .stdin("what's the time?\nand now?\n")
        .run()
        .ok();
    home
}

fn sql(home: &Home, query: &str) -> Value {
    home.allm().args(["sql", "--json", query]).ok_json()
}

#[test]
fn queries_join_group_and_count() {
    let home = filled();
    let rows = sql(
        &home,
        "SELECT count(*) AS n, min(status), sum(duration_ms) > 0, max(timestamp) FROM interactions",
    );
    assert_eq!(rows["columns"][0], "n");
    let row = &rows["rows"][0];
    assert_eq!(
        (&row[0], &row[1], &row[2]),
        (&json!(2), &json!("completed"), &json!(true))
    );
    assert!(row[3].as_str().unwrap().ends_with('Z'), "{row}");
    let vectors = sql(&home, "SELECT context_embedding FROM interactions LIMIT 1");
    assert_eq!(vectors["rows"], json!([["[384 floats]"]]));
    let joined = sql(
        &home,
        "SELECT i.query, r.steps FROM react_cycles r JOIN interactions i USING (interaction_id) WHERE i.query LIKE '%what''s%'",
    );
    assert_eq!(joined["rows"], json!([["what's the time?", 1]]));
    let limited = home.allm().args([
        "sql",
        "--limit",
        "1",
        "--csv",
        "SELECT query, response FROM interactions ORDER BY timestamp",
    ]);
    let limited = limited.run().ok();
    assert_eq!(
        limited.stdout,
        "query,response\nwhat's the time?,\"It is \"\"late\"\", o'clock.\"\n"
    );
    assert_eq!(
        limited.stderr,
        "only the first row is shown; raise --limit\n"
    );
    // In a chat the text of the query stays as it is; outside it may come from a pipe.
    let inside = home.allm().args(["chat", "--json"]);
    let inside = inside.stdin("/sql SELECT 'a  b' AS \"x y\"\n").run().ok();
    assert_eq!(
        (&inside.json()[0]["columns"], &inside.json()[0]["rows"]),
        (&json!(["x y"]), &json!([["a  b"]]))
    );
    let piped = home
        .allm()
        .args(["sql", "--json"])
        .stdin("SELECT\n  1 AS one")
        .run()
        .ok();
    assert_eq!(piped.json()[0]["rows"], json!([[1]]));
    let table = home
        .allm()
        .args(["sql", "SELECT model, 7 AS seven FROM interactions LIMIT 1"]);
    assert_eq!(
        table.run().ok().stdout,
        " model            seven\n llama3.2:latest      7\n"
    );
}

#[test]
fn nothing_is_changed_and_no_file_is_read() {
    let home = filled();
    let secret = home.folder().join("secret.csv");
    std::fs::write(&secret, "password\nhunter2\n").unwrap();
    let path = secret.display();
    for query in [
        "DELETE FROM interactions".to_owned(),
        "UPDATE interactions SET query = ''".to_owned(),
        "INSERT INTO users SELECT * FROM users".to_owned(),
        "DROP TABLE interactions".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{path}'"),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        format!("COPY (SELECT 1) TO '{path}'"),
        format!("SELECT * FROM '{path}'"),
        format!("SELECT * FROM read_csv('{path}')"),
        "SELECT 1; SELECT 2".to_owned(),
        "SELECT * FROM registry".to_owned(),
        "SELEC 1".to_owned(),
        " ".to_owned(),
    ] {
        let output = home.allm().args(["sql", "--json", &query]).run().fails(1);
        let error = &output.json()[0];
        assert_eq!(error["type"], "error", "{query}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let refused = home
        .allm()
        .args(["sql", "DELETE FROM interactions"])
        .run()
        .fails(1);
    assert_eq!(
        refused.stderr,
        "error: only SELECT is possible here\nhint: the history is read here, and changed nowhere but in a chat\n"
    );
    assert_eq!(
        sql(&home, "SELECT count(*) FROM interactions")["rows"],
        json!([[2]])
    );
    assert_eq!(
        std::fs::read_to_string(&secret).unwrap(),
        "password\nhunter2\n"
    );
}

#[test]
fn the_queries_of_the_readme_run() {
    let home = filled();
    let readme = include_str!("../../README.md");
    let block = readme
        .split("```sql\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let latest = sql(&home, "SELECT max(timestamp) FROM interactions");
    let day = format!(
        "{}T00:00:00Z",
        &latest["rows"][0][0].as_str().unwrap()[..10]
    );
    let expected = [
        json!([["llama3.2:latest", 2]]),
        json!([[day, 2]]),
        json!([]),
        json!([["what's the time?", 2]]),
        json!([["what's the time?", 1, true]]),
    ];
    let queries: Vec<&str> = block.lines().collect();
    assert_eq!(queries.len(), expected.len());
    for (query, expected) in queries.into_iter().zip(expected) {
        let mut rows = sql(&home, query)["rows"].clone();
        for row in rows.as_array_mut().unwrap() {
            // What is left are durations and moments of the turns.
            row.as_array_mut()
                .unwrap()
                .truncate(expected[0].as_array().unwrap().len());
        }
        assert_eq!(rows, expected, "{query}");
    }
}

#[test]
fn sessions_are_found_resumed_and_added_up() {
    let home = Home::new();
    let server = server::ollama(|question| format!("about {question}"));
    let chat = |script: &str| {
        let run = home.allm().env("OLLAMA_HOST", &server.url);
        let run = run.args(["chat", "-p", "ollama", "--no-tools", "--json"]);
        run.stdin(script).run().ok().json()
    };
    let first = chat("a deadlock in the pool\nand its cause\n");
    chat("pancakes with cream\n");
    let session = first[0]["session_id"].as_str().unwrap();
    let ask = |args: &[&str]| {
        home.allm()
            .args(args.iter().copied())
            .args(["--json"])
            .ok_json()
    };
    let found = ask(&["sessions", "locks that block each other"]);
    assert_eq!(
        (&found["count"], &found["sessions"][0]["turns"]),
        (&json!(1), &json!(2))
    );
    assert!(
        found["sessions"][0]["usage"]["input_tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(ask(&["sessions"])["count"], 2);
    let limited = home.allm().args(["sessions", "--limit", "1"]).run().ok();
    assert!(
        limited.stderr.contains("1 earlier one is not shown"),
        "{}",
        limited.stderr
    );
    assert_eq!(ask(&["sessions", "--to", "2020-01-01"])["count"], 0);

    let lines = chat(&format!(
        "/resume {}\nand then?\n/history 2\n/last\n",
        &session[..8]
    ));
    assert_eq!(
        (&lines[0]["type"], &lines[0]["turns"]),
        (&json!("resume"), &json!(2))
    );
    assert_eq!(lines[1]["session_id"], session);
    let bodies = scripted::bodies(&server);
    let sent = bodies.last().unwrap()["messages"].as_array().unwrap();
    assert_eq!(sent.len(), 6, "{sent:?}");
    assert_eq!(lines[2]["interactions"][0]["query"], "and its cause");
    assert_eq!(
        (&lines[3]["type"], &lines[3]["response"]),
        (&json!("last"), &json!("about and then?"))
    );
    assert_eq!(
        home.allm().args(["last"]).run().ok().stdout,
        "about and then?\n"
    );

    for by in ["model", "user", "session", "day"] {
        let stats = ask(&["stats", "--by", by]);
        let groups = stats["groups"].as_array().unwrap();
        let turns: u64 = groups
            .iter()
            .map(|group| group["count"].as_u64().unwrap())
            .sum();
        assert_eq!(turns, 4, "{by}: {stats}");
    }
    assert_eq!(ask(&["stats", "--by", "user"])["groups"][0]["key"], "alice");
    assert_eq!(ask(&["stats", "--by", "session"])["groups"][0]["count"], 3);
    assert_eq!(ask(&["stats", "--by", "tool"])["count"], 0);
    let table = home.allm().args(["stats", "--by", "day"]).run().ok();
    assert!(table.stdout.contains('▇'), "{}", table.stdout);
}

#[test]
fn what_a_person_reads_fits_the_terminal_and_has_times_of_their_zone() {
    let home = filled();
    let ask = |columns: &str, query: &str| {
        let run = home.allm().env("COLUMNS", columns);
        run.args(["--tz", "Asia/Tokyo", "sql", query])
            .run()
            .ok()
            .stdout
    };
    let query = "SELECT timestamp, query, input_tokens FROM interactions ORDER BY timestamp";
    let wide = ask("80", query);
    assert!(wide.starts_with(" timestamp "), "{wide}");
    assert!(wide.contains(" +09:00  what's the time? "), "{wide}");
    let narrow: Vec<String> = ask("50", query).lines().map(str::to_owned).collect();
    assert_eq!(narrow.len(), 9, "{narrow:?}");
    assert_eq!(
        (&narrow[0][..], &narrow[2][..], &narrow[3][..]),
        (" row 1", " query: what's the time?", " input_tokens: 1000")
    );
    assert!(
        narrow[1].starts_with(" timestamp: 20") && narrow[1].ends_with(" +09:00"),
        "{narrow:?}"
    );
    let days =
        "SELECT date_trunc('day', timestamp) AS day, count(*) FROM interactions GROUP BY day";
    let day = ask("80", days);
    assert!(
        day.starts_with(" day ") && day.contains(" 00:00:00 +09:00 "),
        "{day}"
    );
}

#[test]
fn views_tell_of_themselves_and_headings_are_what_was_asked() {
    let home = filled();
    let tables = sql(&home, "SHOW TABLES;");
    assert_eq!(tables["rows"][0][0], "interactions");
    assert_eq!(tables["count"], 5);
    let described = sql(&home, "describe interactions");
    let rows = described["rows"].as_array().unwrap();
    for row in [
        json!(["timestamp", "time", false]),
        json!(["input_tokens", "integer", true]),
        json!(["error", "text", true]),
        json!(["facts_extracted", "list of texts", false]),
    ] {
        assert!(rows.contains(&row), "{row}: {described}");
    }
    let unknown = home.allm().args(["sql", "describe secrets"]).run().fails(1);
    assert!(
        unknown.stderr.contains("there is no table `secrets`"),
        "{}",
        unknown.stderr
    );
    for (query, columns) in [
        (
            "SELECT count(*), count(1), 7, 'a.b' FROM interactions",
            json!(["count(*)", "count(*)", "7", "'a.b'"]),
        ),
        (
            "SELECT sum(i.output_tokens) > 1, max(role) AS \"a.b\" FROM interactions i, users",
            json!(["sum(output_tokens) > 1", "a.b"]),
        ),
    ] {
        assert_eq!(sql(&home, query)["columns"], columns, "{query}");
    }
    let sums = sql(
        &home,
        "SELECT sum(input_tokens), sum(output_tokens), max(error) FROM interactions",
    );
    assert_eq!(sums["rows"], json!([[1500, 21, null]]));
}

#[test]
fn options_after_a_query_are_no_comment() {
    let home = Home::new();
    for args in [
        &["sql", "SELECT 1", "--csv"][..],
        &["sql", "SELECT", "1", "--limit=5"],
        &["sql", "--jsn", "SELECT 1"],
        &["sql", "SELECT 1 --csv"],
    ] {
        let refused = home.allm().args(args.iter().copied()).run().fails(1);
        assert!(
            refused
                .stderr
                .contains("hint: options come before the query"),
            "{args:?}: {}",
            refused.stderr
        );
    }
    let quoted = home
        .allm()
        .args(["sql", "--csv", "--", "SELECT '--csv' AS a -- csv"]);
    assert_eq!(quoted.run().ok().stdout, "a\n--csv\n");
}
