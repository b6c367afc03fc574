//! What the Python program left is brought in whole, and left as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::Home;
use crate::import::{fixtures, interactions, parts, show};

/// Copies the files below a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Returns what the files below a folder hold, by their paths.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    all
}

/// Returns a home that the predecessor has used.
fn used() -> Home {
    let home = Home::new();
    copy(&fixtures().join("abstractllm/home"), home.path());
    home
}

#[test]
fn the_predecessors_home_becomes_ours_and_its_tables_are_kept() {
    let home = used();
    let path = home.path().display().to_string();
    let before = contents(home.path());
    let refused = home.allm().args(["sessions"]).run().fails(1);
    assert!(
        refused.stderr.contains("`allm import abstractllm`"),
        "{refused:?}"
    );
    let import = ["--json", "import", "abstractllm", &path];
    let dry = home.allm().args(import).args(["--dry-run"]).ok_json();
    assert_eq!(
        parts(&dry),
        [
            ("json", 4, 4, 0),
            ("lance", 3, 0, 0),
            ("contexts", 3, 0, 0),
            ("context_logs", 3, 0, 0)
        ]
    );
    for (path, bytes) in &before {
        assert_eq!(&fs::read(path).unwrap(), bytes, "{}", path.display());
    }
    let report = home.allm().args(import).ok_json();
    assert_eq!(parts(&report), parts(&dry));
    // Nothing has changed but the place of its tables.
    for (path, bytes) in &before {
        let inside = path.strip_prefix(home.path().join("lancedb"));
        let now = inside.map_or(path.clone(), |inside| {
            home.path().join("lancedb.abstractllm").join(inside)
        });
        assert_eq!(&fs::read(&now).unwrap(), bytes, "{}", now.display());
    }
    assert!(!home.path().join("lancedb.importing").exists());

    let again = home.allm().args(import).ok_json();
    assert!(
        again["parts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|part| part["imported"] == 0),
        "{again}"
    );
    assert_eq!(interactions(&home).len(), 4);
    let found = home
        .allm()
        .args(["search", "which directory is there", "--json"])
        .ok_json();
    assert!(found["count"].as_u64().unwrap() > 0, "{found}");
}

#[test]
fn one_turn_told_in_several_places_becomes_one_with_all_that_is_known() {
    let home = used();
    let path = home.path().display().to_string();
    home.allm()
        .args(["import", "abstractllm", &path])
        .run()
        .ok();
    let turns = interactions(&home);
    let said: Vec<(&str, &str)> = turns
        .iter()
        .map(|turn| {
            (
                turn["query"].as_str().unwrap(),
                turn["response"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (
                "How do I implement caching in Python?",
                "Caching is a technique. Python has functools and lru_cache is a decorator."
            ),
            (
                "LISTFILES please list the files",
                "The directory has one folder named sessions."
            ),
            (
                "And what about redis?\nsecond line of my question",
                "The directory has one folder named sessions."
            ),
            (
                "LISTFILES again in streaming",
                "The directory has one folder named sessions."
            ),
        ]
    );
    assert!(
        turns
            .iter()
            .all(|turn| turn["session_id"] == turns[0]["session_id"])
    );
    assert!(turns.iter().all(|turn| turn["model"] == "qwen3:4b"));
    for (turn, steps) in turns.iter().zip([0, 1, 1, 1]) {
        let shown = show(&home, turn);
        assert_eq!(shown["steps"].as_array().unwrap().len(), steps, "{shown}");
        for step in shown["steps"].as_array().unwrap() {
            assert_eq!(step["action"]["name"], "list_files");
            assert_eq!(
                step["action"]["arguments"]["directory_path"],
                "/home/alice/docs/notes"
            );
            assert!(
                step["observation"]
                    .as_str()
                    .unwrap()
                    .starts_with("No files found")
            );
        }
    }
    let first = show(&home, &turns[0]);
    assert_eq!(first["facts"].as_array().unwrap().len(), 5, "{first}");
    let id = turns[0]["interaction_id"].as_str().unwrap();
    let context = home.allm().args(["context", id, "--raw"]).run().ok().stdout;
    let body: Value = serde_json::from_str(&context).unwrap();
    assert_eq!(body["model"], "qwen3:4b");
}

#[test]
fn clocks_without_a_zone_are_read_in_the_one_that_is_named() {
    let home = Home::new();
    let from = used();
    let path = from.path().display().to_string();
    home.allm()
        .args(["--tz", "Asia/Tokyo", "migrate", &path])
        .run()
        .ok();
    assert!(
        from.path().join("lancedb").exists(),
        "another home stays as it is"
    );
    assert_eq!(
        interactions(&home)[0]["timestamp"],
        "2026-11-21T23:38:30.505303Z"
    );
}

#[test]
fn tables_that_cannot_be_read_stay_where_they_are() {
    let home = used();
    let data = home.path().join("lancedb/interactions.lance/data");
    let file = fs::read_dir(data).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, b"spoilt").unwrap();
    let path = home.path().display().to_string();
    let run = home
        .allm()
        .args(["import", "abstractllm", &path])
        .run()
        .fails(1);
    assert!(run.stderr.contains("stay where they are"), "{run:?}");
    // Finding L9.
    let again = ["import", "abstractllm", &path, "--json"];
    assert_eq!(home.allm().args(again).run().fails(1).json().len(), 1);
    assert!(home.path().join("lancedb/interactions.lance").exists());
    assert!(!home.path().join("lancedb/registry.lance").exists());
}

#[test]
fn a_move_that_was_cut_short_is_ended() {
    let home = used();
    let path = home.path().display().to_string();
    home.allm()
        .args(["import", "abstractllm", &path])
        .run()
        .ok();
    // As it is when the process dies between the two renames.
    fs::rename(
        home.path().join("lancedb"),
        home.path().join("lancedb.importing"),
    )
    .unwrap();
    assert_eq!(interactions(&home).len(), 4);
}

#[test]
fn databases_are_read_row_by_row_and_file_by_file() {
    let home = Home::new();
    let sqlite = fixtures().join("abstractllm/sqlite");
    let path = sqlite.display().to_string();
    let run = home
        .allm()
        .args(["import", "abstractllm", &path, "--json"])
        .run()
        .fails(1);
    // 14 rows and two files that are none; the two turns of the first file are in five rows.
    assert_eq!(parts(&run.json()[0]), [("sqlite", 16, 8, 3)]);
    let text = home
        .allm()
        .args(["import", "abstractllm", &path])
        .run()
        .fails(1);
    for broken in [
        "badgzip",
        "not-a-db/observability.db: ",
        "zero-byte/observability.db: it is empty",
    ] {
        assert!(text.stderr.contains(broken), "{text:?}");
    }
    let turns = interactions(&home);
    let turn = |query: &str| {
        let found = turns.iter().find(|turn| turn["query"] == query);
        show(&home, found.unwrap_or_else(|| panic!("{query}: {turns:?}")))
    };
    let first = turn("How do I implement caching in Python?");
    assert_eq!(first["response"], "Use functools.lru_cache.");
    assert_eq!(first["timestamp"], "2025-09-16T18:10:03Z");
    assert_eq!(first["facts"][0], "functools --[has]--> lru_cache");
    assert_eq!(first["duration_ms"], 2500);
    let second = turn("The cache isn't working properly when keys are unhashable — é ü 日本");
    assert_eq!(second["response"], "Make the arguments hashable.");
    assert_eq!(second["steps"].as_array().unwrap().len(), 1, "{second}");
    assert_eq!(turn("ctx")["timestamp"], "2025-09-15T10:03:21.123456Z");
    for query in ["second", "not gzipped text", "quote id"] {
        assert_eq!(turn(query)["status"], "interrupted");
    }
    let lone: Vec<Value> = turns
        .iter()
        .filter(|turn| turn["query"] == "")
        .map(|turn| show(&home, turn))
        .collect();
    assert!(
        lone.iter()
            .any(|turn| turn["facts"][0] == "a --[is_a]--> b")
    );
    assert!(
        lone.iter()
            .any(|turn| turn["steps"][0]["thought"] == "t" && turn["status"] == "failed")
    );
}
