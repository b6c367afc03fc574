//! Stores of earlier programs: opened whole, brought up to date in place, whatever comes between.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use allm::store::foreign_rows;
use lancedb::Connection;
use lancedb::arrow::arrow_schema::{DataType, Field, Schema};
use lancedb::table::NewColumnTransform;
use serde_json::{Value, json};

use crate::harness::{Home, project};

const TABLES: [(&str, &str); 5] = [
    ("users", "user_id"),
    ("sessions", "session_id"),
    ("interactions", "interaction_id"),
    ("react_cycles", "react_id"),
    ("passages", "passage_id"),
];
const NEW: [&str; 5] = [
    "finish_reason",
    "answered_model",
    "first_token_ms",
    "folder",
    "branch",
];

/// Returns a home with a store that the first program has written: nine turns, with tools, a recall, Japanese and one that was killed.
fn first_round() -> Home {
    let home = Home::new();
    let store = project().join("tests/fixtures/first-round.zip");
    let mut archive = zip::ZipArchive::new(File::open(store).unwrap()).unwrap();
    archive.extract(home.path()).unwrap();
    home
}

fn uri(home: &Home) -> String {
    home.path().join("lancedb").display().to_string()
}

async fn connect(home: &Home) -> Connection {
    lancedb::connect(&uri(home)).execute().await.unwrap()
}

/// Returns the columns of each table.
async fn columns(home: &Home) -> BTreeMap<&'static str, Vec<String>> {
    let connection = connect(home).await;
    let mut columns = BTreeMap::new();
    for (table, _) in TABLES {
        let schema = connection.open_table(table).execute().await.unwrap();
        let schema = schema.schema().await.unwrap();
        let names = schema.fields().iter().map(|field| field.name().clone());
        columns.insert(table, names.collect());
    }
    columns
}

/// Returns what all tables hold in these columns, vectors and all, as text in an order of its own.
async fn rows(home: &Home, columns: &BTreeMap<&'static str, Vec<String>>) -> Vec<String> {
    let mut all = Vec::new();
    for (table, key) in TABLES {
        let names: Vec<&str> = columns[table].iter().map(String::as_str).collect();
        let mut rows = foreign_rows(&uri(home), table, &names).await.unwrap();
        rows.sort_by_key(|row| row[key].to_string());
        all.extend(rows.iter().map(|row| format!("{table} {row}")));
    }
    all
}

/// Returns the version of the layout that the registry names.
async fn version(home: &Home) -> Value {
    let registry = foreign_rows(&uri(home), "registry", &["key", "value"]).await;
    let registry = registry.unwrap();
    let version = registry.iter().find(|row| row["key"] == "schema_version");
    version.unwrap()["value"].clone()
}

fn sql(home: &Home, query: &str) -> Value {
    let run = home.allm().args(["--json", "sql", "--all-users", query]);
    run.ok_json()["rows"].clone()
}

/// Returns what the doctor says of something.
fn finding(home: &Home, what: &str, args: &[&str]) -> Value {
    let run = home.allm().args(["--json", "doctor"]);
    let report = run.args(args.iter().copied()).run().json().remove(0);
    let mut findings = report["checks"].as_array().unwrap().iter();
    findings
        .find(|finding| finding["what"] == what)
        .unwrap()
        .clone()
}

/// Adds the new columns and leaves the registry as it is: the state between two steps.
async fn widen(home: &Home) {
    let columns = NEW.map(|name| match name {
        "first_token_ms" => Field::new(name, DataType::Int64, true),
        _ => Field::new(name, DataType::Utf8, true),
    });
    let table = connect(home).await.open_table("interactions").execute();
    let empty = NewColumnTransform::AllNulls(Arc::new(Schema::new(columns.to_vec())));
    let adding = table.await.unwrap();
    let adding = adding.add_columns().transform(empty).execute().await;
    adding.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_first_program_is_opened_whole_and_brought_up_to_date() {
    let home = first_round();
    let known = columns(&home).await;
    let before = rows(&home, &known).await;
    // The doctor only looks.
    let old = finding(&home, "layout", &[]);
    assert_eq!(old["state"], "odd", "{old}");
    assert_eq!(
        (version(&home).await, columns(&home).await),
        (json!("1"), known.clone())
    );

    let empty = NEW.map(|name| format!("count({name})")).join(", ");
    let counted = sql(
        &home,
        &format!("SELECT count(*), {empty} FROM interactions"),
    );
    assert_eq!(counted, json!([[9, 0, 0, 0, 0, 0]]));
    assert_eq!(version(&home).await, json!("2"));
    assert_eq!(rows(&home, &known).await, before);
    let left = finding(&home, "layout", &[]);
    assert!(
        left["detail"]
            .as_str()
            .unwrap()
            .contains("turns whose tool calls"),
        "{left}"
    );
    assert_eq!(finding(&home, "rows", &[])["state"], "fine");

    // What is said from now on has them.
    let git = home.folder().join("work/.git");
    std::fs::create_dir_all(&git).unwrap();
    std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let chat = "cd work && \"$ALLM\" chat -p offline --json again";
    let turn = home.shell(chat).ok_json();
    let work = std::fs::canonicalize(home.folder().join("work")).unwrap();
    assert_eq!(
        (&turn["folder"], &turn["branch"]),
        (&json!(work), &json!("main"))
    );
    let places =
        "SELECT folder, branch FROM interactions WHERE folder IS NOT NULL ORDER BY timestamp";
    let folder = std::fs::canonicalize(home.folder()).unwrap();
    assert_eq!(sql(&home, places), json!([[work, "main"]]));

    // What was done in turns of before is found by now, or behind the next chat.
    home.allm()
        .args(["chat", "-p", "offline", "once more"])
        .run()
        .ok();
    assert_eq!(finding(&home, "layout", &[])["state"], "fine");
    let calls = "SELECT count(*) > 1, count(embedding) FROM passages WHERE source = 'action'";
    assert_eq!(sql(&home, calls), json!([[true, 0]]));

    // They are moved along, and an export without them is still taken.
    let run = home.allm().args(["export", "--all-users"]);
    let export = run.run().ok().stdout;
    let plain: Vec<String> = export
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            let row = row.as_object_mut().unwrap();
            row.retain(|name, _| !NEW.contains(&name.as_str()));
            json!(row).to_string()
        })
        .collect();
    for (export, place) in [
        (export, json!([[work, "main"], [folder, null]])),
        (plain.join("\n"), json!([])),
    ] {
        let copy = Home::new();
        let run = copy.allm().args(["import", "jsonl", "-", "--no-embed"]);
        run.stdin(&export).run().ok();
        assert_eq!(
            sql(&copy, "SELECT count(*) FROM interactions"),
            json!([[11]])
        );
        assert_eq!(sql(&copy, places), place);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bringing_a_store_up_to_date_may_be_cut_short_anywhere() {
    let home = first_round();
    let known = columns(&home).await;
    let before = rows(&home, &known).await;
    // Killed at some moment, by two at once, and between the steps.
    for wait in [20, 60, 120, 200] {
        let mut run = home.allm().args(["stats"]).spawn();
        std::thread::sleep(Duration::from_millis(wait));
        run.kill().unwrap();
        run.wait().unwrap();
        assert_eq!(rows(&home, &known).await, before, "after {wait} ms");
    }
    let between = first_round();
    widen(&between).await;
    for home in [home, between] {
        let mut runs = [(); 3].map(|()| home.allm().args(["stats"]).spawn());
        for run in &mut runs {
            assert!(run.wait().unwrap().success());
        }
        assert_eq!(version(&home).await, json!("2"));
        assert_eq!(rows(&home, &known).await, before);
        let grown = columns(&home).await;
        let grown: Vec<&str> = grown["interactions"].iter().map(String::as_str).collect();
        assert!(NEW.iter().all(|name| grown.contains(name)), "{grown:?}");
    }

    // A table that has gone back to a version of before gets them again.
    let home = first_round();
    let versions = home.path().join("lancedb/interactions.lance/_versions");
    let there = || -> Vec<PathBuf> {
        let files = std::fs::read_dir(&versions).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    };
    let old = there();
    home.allm().args(["stats"]).run().ok();
    for file in there().into_iter().filter(|file| !old.contains(file)) {
        std::fs::remove_file(file).unwrap();
    }
    std::fs::remove_file(versions.join("latest_version_hint.json")).ok();
    assert_eq!(finding(&home, "layout", &[])["state"], "odd");
    assert_eq!(
        sql(&home, "SELECT count(*), count(folder) FROM interactions"),
        json!([[9, 0]])
    );
}

#[tokio::test]
async fn a_store_of_a_later_program_is_left_alone() {
    let home = first_round();
    let table = connect(&home).await.open_table("registry").execute();
    let update = table
        .await
        .unwrap()
        .update()
        .only_if("key = 'schema_version'");
    update.column("value", "'99'").execute().await.unwrap();
    let known = columns(&home).await;
    let before = rows(&home, &known).await;
    for args in [
        &["search", "x"][..],
        &["chat", "-p", "offline", "x"],
        &["reindex"],
    ] {
        let refused = home.allm().args(args.iter().copied()).run().fails(1);
        assert!(
            refused.stderr.contains("has layout 99"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("a newer allm has made it"));
    }
    assert_eq!(
        (rows(&home, &known).await, columns(&home).await),
        (before, known)
    );
}
