//! From a hit to its conversation: numbers, ids of either kind, what was said around it, and where it was left.

use serde_json::{Value, json};

use crate::harness::{Home, Run};
use crate::server::{self, Server};

const DATABASE: [&str; 3] = [
    "why does Postgres deadlock?",
    "and how are its locks listed?",
    "is a retry enough?",
];
const BREAD: [&str; 2] = ["how long does bread dough rest?", "and in summer?"];

/// Returns a home with two conversations, and the ids of their sessions and of their turns.
fn talked(server: &Server) -> (Home, [String; 2], Vec<Vec<String>>) {
    let home = Home::new();
    let talk = |questions: &[&str]| {
        let run = chat(&home, server, &["--json"]);
        let turns = run.stdin(&questions.join("\n")).run().ok().json();
        let ids = turns.iter().map(|turn| text(&turn["interaction_id"]));
        (text(&turns[0]["session_id"]), ids.collect())
    };
    let ((database, first), (bread, second)) = (talk(&DATABASE), talk(&BREAD));
    (home, [database, bread], vec![first, second])
}

fn server() -> Server {
    server::ollama(|question| match question.contains("bread") {
        true => "Two hours in a warm place.".to_owned(),
        false => format!(
            "{}\nEND",
            "Two transactions wait for each other.\n".repeat(30)
        ),
    })
}

fn chat(home: &Home, server: &Server, args: &[&str]) -> Run {
    let run = home.allm().env("OLLAMA_HOST", &server.url);
    let run = run.args(["chat", "-p", "ollama", "--no-tools"]);
    run.args(args.iter().copied())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns the questions of turns, in the order of the alphabet.
fn sorted(turns: &Value) -> Vec<String> {
    let mut queries = queries(turns);
    queries.sort();
    queries
}

fn queries(turns: &Value) -> Vec<String> {
    let turns = turns.as_array().into_iter().flatten();
    turns.map(|turn| text(&turn["query"])).collect()
}

#[test]
fn a_number_names_the_row_of_the_last_list() {
    let server = server();
    let (home, [database, bread], turns) = talked(&server);
    let script = [
        "/show 1",
        "/search locks of Postgres --limit 2",
        "/show 1",
        "/show #2",
        "/show 3",
        "/search locks --min-score 1",
        "/context 0",
        "/recall 1 2",
        "/similar 1 --limit 3",
        "/show 1",
        "/timeframe 2000-01-01 2100-01-01 --limit 3",
        "/resume 1",
        "/sessions",
        "/export --session 2 --format markdown",
        "/show 1",
        "/context 2",
        "/forget 1 --dry-run",
        "/users add bob",
        "/user bob",
        "a note of bob's",
        "/timeframe today",
        "/user alice",
        "/show 1",
        "/timeframe today --user bob",
        "/show 1",
        "/user bob",
        "/show 1",
        "/show 1 --user alice",
    ];
    let script = script.join("\n");
    let run = chat(&home, &server, &["--json"]).stdin(&script).run();
    let mut said = run.fails(1).json().into_iter();
    let mut next = |kind: &str| {
        let value = said.next().unwrap();
        assert_eq!(value["type"], kind, "{value}");
        value
    };
    let none = next("error");
    let why = "`1` is the number of a row, and nothing has been listed yet";
    let hint = "`/search`, `/timeframe` and `/sessions` make lists; an id has 4 characters or more";
    assert_eq!((&none["error"], &none["hint"]), (&json!(why), &json!(hint)));
    let hits = next("search")["hits"].clone();
    assert_eq!(hits[1]["rank"], 2);
    for hit in [&hits[0], &hits[1]] {
        assert_eq!(next("show")["interaction_id"], hit["interaction_id"]);
    }
    let no = |number| format!("the last list has the numbers 1 to 2, and no `{number}`");
    assert_eq!(next("error")["error"], no(3));
    // What is empty is no list.
    assert_eq!(next("search")["count"], 0);
    assert_eq!(next("error")["error"], no(0));
    let recalled = next("recall");
    assert_eq!(sorted(&recalled["interactions"]), sorted(&hits));
    let similar = next("similar")["hits"].clone();
    assert!(!sorted(&similar).contains(&text(&hits[0]["query"])));
    assert_eq!(next("show")["interaction_id"], similar[0]["interaction_id"]);
    let listed = next("timeframe")["interactions"].clone();
    assert_eq!(listed[0]["interaction_id"], turns[0][2]);
    assert_eq!(next("resume")["session_id"], database);
    assert_eq!(next("sessions")["sessions"][0]["session_id"], bread);
    assert_eq!(next("export")["interactions"], 3);
    let shown = next("session");
    assert_eq!(
        (&shown["session_id"], &shown["count"]),
        (&json!(bread), &json!(2))
    );
    // The turns of a session are a list, too.
    assert_eq!(next("context")["interaction_id"], turns[1][1]);
    assert_eq!(next("forgotten")["count"], 1);
    // A list of others' history, which an admin may see, is meant as such; nobody else gets at a row by its number.
    next("users");
    next("setting");
    let note = next("turn")["interaction_id"].clone();
    next("timeframe");
    next("setting");
    next("error");
    next("timeframe");
    assert_eq!(next("show")["interaction_id"], note);
    next("setting");
    assert_eq!(next("show")["interaction_id"], note);
    let refused = next("error");
    assert_eq!(
        refused["error"],
        "`bob` may not read the history of `alice`"
    );
    let alone = home.allm().args(["show", "2"]).run().fails(1);
    let why = "error: `2` is the number of a row, and lists have numbers in a chat\nhint: give an id, or its first 4 characters or more\n";
    assert_eq!(alone.stderr, why);
}

#[test]
fn an_id_may_be_that_of_a_turn_or_of_a_session() {
    let server = server();
    let (home, [database, bread], turns) = talked(&server);
    let (turn, session) = (&turns[0][0][..8], &database[..8]);
    let script = [
        format!("/show {session}"),
        format!("/recall {session}"),
        format!("/similar {session}"),
        format!("/context {session}"),
        format!("/resume {turn}"),
        "/resume".to_owned(),
        "/resume".to_owned(),
        "and then?".to_owned(),
        format!("/resume {bread}"),
    ];
    let run = chat(&home, &server, &["--json"])
        .stdin(&script.join("\n"))
        .run();
    let said = run.fails(1).json();
    assert_eq!(queries(&said[0]["interactions"]), DATABASE);
    // All that fits, and the latest of it.
    let recalled = queries(&said[1]["interactions"]);
    assert_eq!(recalled[0], DATABASE[2]);
    assert_eq!(said[1]["left_out"], json!(3 - recalled.len()));
    let hits = queries(&said[2]["hits"]);
    assert_eq!(hits.len(), 2, "{hits:?}");
    assert!(hits.iter().all(|query| BREAD.contains(&query.as_str())));
    let why = format!("`{session}` is a session, and one of its turns is asked for");
    assert_eq!(said[3]["error"], why);
    for (at, (id, last)) in [
        (&database, DATABASE[2]),
        (&bread, BREAD[1]),
        (&database, DATABASE[2]),
    ]
    .into_iter()
    .enumerate()
    {
        let resumed = &said[4 + at];
        assert_eq!(resumed["session_id"], *id, "{resumed}");
        assert_eq!(resumed["last"]["query"], last, "{resumed}");
    }
    assert_eq!(said[7]["session_id"], database);
    let alone = Home::new();
    let none = chat(&alone, &server, &["--json"])
        .stdin("hi\n/resume\n")
        .run();
    let none = none.fails(1).json().remove(1);
    assert_eq!(
        none["error"],
        "there is no other conversation to go on with"
    );
    let goes_on = chat(
        &home,
        &server,
        &["--json", "--session", &turns[1][0], "so?"],
    );
    assert_eq!(goes_on.ok_json()["session_id"], bread);
}

#[test]
fn a_hit_comes_with_what_was_said_around_it_and_a_conversation_with_where_it_was_left() {
    let server = server();
    let (home, [database, _], turns) = talked(&server);
    let search = [
        "search",
        "how are locks listed?",
        "--limit",
        "1",
        "--context",
    ];
    let found = |count: &str| {
        let run = home.allm().args(search);
        let mut hit = run.args([count, "--json"]).ok_json()["hits"][0].take();
        assert_eq!(hit["query"], DATABASE[1]);
        (
            queries(&hit["before"].take()),
            queries(&hit["after"].take()),
        )
    };
    let both = (vec![DATABASE[0].to_owned()], vec![DATABASE[2].to_owned()]);
    assert_eq!((found("1"), found("9")), (both.clone(), both));
    assert_eq!(found("0"), (Vec::new(), Vec::new()));
    // What stands around a hit is of any time.
    let hit = home.allm().args(["show", &turns[0][1], "--json"]).ok_json();
    let from = text(&hit["timestamp"]);
    let table = home.allm().args(search).args(["1", "--from", &from]);
    let table = table.run().ok().stdout;
    let at = |id: &str| table.find(&id[..8]).unwrap();
    let places: Vec<usize> = turns[0].iter().map(|id| at(id)).collect();
    assert!(places.is_sorted(), "{table}");
    assert!(!table.contains(" #"), "{table}");

    let script = format!("/search locks listed --limit 1\n/resume {database}\n");
    let resumed = chat(&home, &server, &[]).stdin(&script).run().ok();
    let row = resumed.stdout.lines().nth(1).unwrap();
    assert!(row.trim_start().starts_with("1  20"), "{}", resumed.stdout);
    let title = format!(
        "going on after 3 turns: {}\n› {}\n",
        DATABASE[0], DATABASE[2]
    );
    let left = resumed.stderr.split_once(&title).unwrap().1;
    let lines: Vec<&str> = left.lines().collect();
    assert_eq!((lines.len(), lines[12]), (14, "…"), "{left}");
    assert!(lines[13].contains(&turns[0][2][..8]), "{left}");
}

#[test]
fn sessions_are_listed_by_how_like_they_are_to_what_is_looked_for() {
    let home = Home::new();
    let said = [
        ("Postgres deadlock", "it hangs again", "Two writers wait."),
        ("Bread", "how long does the dough rest?", "Two hours."),
        ("数据库死锁", "再试一次?", "是的"),
        ("A weekend", "which knot is a deadlock?", "None is."),
    ];
    let lines = said.iter().enumerate().map(|(at, (title, query, response))| {
        let time = format!("2026-02-0{}T10:00:00Z", at + 1);
        json!({"timestamp": time, "session": title, "title": title, "query": query, "response": response}).to_string()
    });
    let import = home.allm().args(["import", "jsonl", "-", "--no-embed"]);
    let lines: Vec<String> = lines.collect();
    import.stdin(&lines.join("\n")).run().ok();
    let ask = |words: &[&str]| {
        let run = home.allm().args(["sessions", "--json"]);
        run.args(words.iter().copied()).ok_json()
    };
    let titles = |list: &Value| -> Vec<String> {
        let sessions = list["sessions"].as_array().unwrap().iter();
        sessions.map(|session| text(&session["title"])).collect()
    };
    let found = ask(&["deadlock"]);
    assert_eq!(titles(&found), ["Postgres deadlock", "A weekend"]);
    let (first, second) = (&found["sessions"][0], &found["sessions"][1]);
    assert_eq!(
        (&first["score"], &first["matched"]),
        (&json!(1.0), &Value::Null)
    );
    assert_eq!(second["matched"]["text"], said[3].1, "{second}");
    assert_eq!(
        titles(&ask(&["Deadlocks", "of", "postgres?"]))[0],
        "Postgres deadlock"
    );
    assert_eq!(titles(&ask(&["死锁"])), ["数据库死锁"]);
    assert_eq!(titles(&ask(&[]))[0], "A weekend");
    assert_eq!(ask(&[])["sessions"][0]["score"], Value::Null);
    let limited = home.allm().args(["sessions", "deadlock", "--limit", "1"]);
    let more = limited.run().ok().stderr;
    assert!(
        more.contains("1 that are less like it are not shown"),
        "{more}"
    );
    let table = home.allm().args(["sessions", "deadlock"]).run().ok().stdout;
    assert!(table.contains("→ which knot is a deadlock?"), "{table}");
}
