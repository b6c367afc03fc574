//! Holds the tree to its rules: floors and rooms, sizes, who prints, who may name which crate, what README lists.
//!
//! The maps are in the code: of floors in `src/lib.rs`, of rooms in the `mod.rs` of a folder.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::rust::{Source, names};
use crate::harness::project;

/// What the top level of the repository may hold.
const TOP_LEVEL: &str = "Cargo.toml Cargo.lock build.rs src kernel tests assets README.md LICENSE-MIT LICENSE-APACHE \
    .github .ci .cargo .gitignore .git target";

const LONGEST_FILE: usize = 400;

/// Columns that only typed filters may compare.
const COLUMNS: &str = "user_id session_id interaction_id react_id passage_id timestamp username";

#[test]
fn imports_point_to_lower_floors() {
    let floors = map("src/lib.rs");
    let mut faults = Vec::new();
    for file in sources("src") {
        let home = file.module();
        if !floors.contains_key(&home) {
            faults.push(file.fault(
                1,
                &format!("`{home}` is not on the map of floors in src/lib.rs"),
            ));
        }
        // The library's root sees every floor; `main` is another crate.
        if home == "lib" || home == "main" {
            continue;
        }
        for (line, path) in file.imports(0) {
            let lower = floors.get(&path[0]) < floors.get(&home);
            // Tests have it from their own folder.
            if path[0] != home && path[0] != "mutate" && !lower {
                let rule = format!(
                    "by the map in src/lib.rs, `{home}` may not import `{}`",
                    path[0]
                );
                faults.push(file.fault(line, &rule));
            }
        }
    }
    report(&faults);
}

#[test]
fn imports_point_to_lower_rooms() {
    let mut faults = Vec::new();
    for face in sources("src")
        .iter()
        .filter(|file| file.text.contains("# Rooms"))
    {
        let folder = face.path.parent().expect("a file lies in a folder");
        let rooms = map(&face.path.display().to_string());
        let outer: Vec<String> = names(folder);
        for file in sources(&folder.display().to_string()) {
            let Some(home) = names(&file.path).get(outer.len()).cloned() else {
                continue;
            };
            if !rooms.contains_key(&home) {
                let rule = format!(
                    "`{home}` is not on the map of rooms in {}",
                    face.path.display()
                );
                faults.push(file.fault(1, &rule));
            }
            for (line, path) in file.imports(outer.len()) {
                let Some(room) = path.strip_prefix(&outer[..]).and_then(<[String]>::first) else {
                    continue;
                };
                if *room != home
                    && room != "*"
                    && (rooms.get(room) >= rooms.get(&home) || !rooms.contains_key(room))
                {
                    let rule = format!(
                        "by the map in {}, `{home}` may not import `{room}`",
                        face.path.display()
                    );
                    faults.push(file.fault(line, &rule));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn every_file_opens_with_what_it_is_responsible_for() {
    let mut files = everything();
    files.retain(|file| !file.text.starts_with("//! "));
    report_files(&files, "a file opens with a `//!` line");
}

#[test]
fn no_file_outgrows_400_lines() {
    let mut files = everything();
    files.retain(|file| file.text.lines().count() > LONGEST_FILE);
    report_files(&files, "a file over 400 lines wants to be two");
}

#[test]
fn only_ui_writes_to_the_terminal() {
    let words = "print! println! eprint! eprintln! \
        io::stdout io::stderr io::Stdout io::Stderr stdout() stderr()";
    only_in(&["ui"], words, "only `ui` writes to the terminal");
}

#[test]
fn http_stays_in_providers_the_hub_download_and_the_sender_of_spans() {
    let rule = "`reqwest` is for `provider`, `embedder` and `export` alone";
    only_in(&["provider", "embedder", "export"], "reqwest", rule);
}

#[test]
fn database_types_stay_in_the_store() {
    let words = "lancedb:: arrow:: arrow_array:: arrow_schema:: serde_arrow:: datafusion::";
    only_in(
        &["store"],
        words,
        "LanceDB, Arrow and DataFusion are for `store` alone",
    );
}

#[test]
fn crates_for_the_terminal_stay_where_they_belong() {
    only_in(
        &["repl", "ui"],
        "rustyline",
        "only `repl` reads lines, and `ui` approvals",
    );
    only_in(&["ui"], "indicatif", "only `ui` draws bars");
}

#[test]
fn the_kernel_is_for_the_embedder_alone() {
    let rule = "only `embedder` multiplies matrices";
    only_in(&["embedder"], "allm_kernel candle_core candle_nn", rule);
}

#[test]
fn filters_are_expressions_and_not_formatted_text() {
    let mut faults = Vec::new();
    // The columns that another program's file has are only known when it is read.
    let ours = sources("src")
        .into_iter()
        .filter(|file| file.module() != "import");
    for file in ours {
        for (line, text) in file.formatted() {
            if let Some(word) = asks(&text) {
                let rule = format!(
                    "`{word}` in formatted text: a filter is typed, and a query of ours is constant"
                );
                faults.push(file.fault(line, &rule));
            }
        }
        for line in file.find("only_if") {
            faults.push(file.fault(line, "a filter is typed: `only_if_expr`"));
        }
    }
    report(&faults);
}

#[test]
fn top_level_holds_only_what_belongs_there() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(project()).expect("the repository can be listed") {
        let name = entry.expect("an entry can be read").file_name();
        let name = name.to_string_lossy();
        if !TOP_LEVEL.split_whitespace().any(|known| known == name) {
            faults.push(format!("{name}:1: not in TOP_LEVEL"));
        }
    }
    report(&faults);
}

#[test]
fn readme_lists_the_commands_as_help_does() {
    let readme = fs::read_to_string(project().join("README.md")).expect("README.md can be read");
    let name = |usage: &str| usage.split([' ', '`']).next().map(str::to_owned);
    let mut table = allm::commands::table();
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(readme.lines()) {
        let Some(row) = line.strip_prefix("| `").filter(|row| row.starts_with('/')) else {
            continue;
        };
        let Some(at) = table.iter().position(|(usage, _)| name(usage) == name(row)) else {
            faults.push(format!("README.md:{number}: `/help` lacks this: {line}"));
            continue;
        };
        let help = table.remove(at).1.replace('|', r"\|");
        if !row.ends_with(&format!("| {help} |")) {
            faults.push(format!("README.md:{number}: `/help` says: {help}"));
        }
    }
    for (usage, _) in &table {
        faults.push(format!("README.md:1: `{usage}` of `/help` has no row"));
    }
    report(&faults);
}

#[test]
fn paths_and_texts_are_told_from_the_rest() {
    let text = r##"use crate::{store::{self, open::Store}, agent::Agent}; // crate::ui
        /* println! */ fn f() { let quote = '"'; let a: &'a str = r#"crate::repl " "#;
        format!("SELECT {}", "user_id"); super::commands::x(); crate::config::y(); }
        mod tests { use super::*; }"##;
    let file = Source::new(PathBuf::from("src/chat/mod.rs"), text.to_owned());
    let imports = file.imports(0).into_iter();
    let imports: Vec<_> = imports
        .map(|(line, path)| format!("{line}:{}", path.join("/")))
        .collect();
    assert_eq!(
        imports,
        [
            "1:store/self",
            "1:store/open/Store",
            "1:agent/Agent",
            "3:commands/x",
            "3:config/y"
        ]
    );
    assert!(file.find("println!").is_empty());
    assert_eq!(file.formatted(), [(3, "SELECT {}".to_owned())]);
    assert_eq!(asks("SELECT {}"), Some("SELECT"));
    assert_eq!(asks("{key} NOT IN (x)"), Some("IN ("));
    assert_eq!(asks("user_id = {id}"), Some("user_id"));
    assert_eq!(asks("select one of {all}"), None);
}

/// Reports each use of `words` in `src/` outside the named modules.
#[track_caller]
fn only_in(modules: &[&str], words: &str, rule: &str) {
    let mut faults = Vec::new();
    for file in sources("src") {
        for word in words
            .split_whitespace()
            .filter(|_| !modules.contains(&&*file.module()))
        {
            let uses = file.find(word).into_iter();
            faults.extend(uses.map(|line| file.fault(line, &format!("{rule}: `{word}`"))));
        }
    }
    report(&faults);
}

#[track_caller]
fn report_files(files: &[Source], rule: &str) {
    report(
        &files
            .iter()
            .map(|file| file.fault(1, rule))
            .collect::<Vec<_>>(),
    );
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Reads the map in a file's first comment: what stands on which level.
fn map(path: &str) -> HashMap<String, usize> {
    let text = fs::read_to_string(project().join(path)).expect("a file with a map can be read");
    let drawn = text.split("```").nth(1).expect("a map is drawn in a block");
    let mut map = HashMap::new();
    for line in drawn.lines().filter_map(|line| line.strip_prefix("//!")) {
        let (level, rest) = line.trim().split_once("  ").unwrap_or_default();
        if let Ok(level) = level.parse() {
            let names = rest.split("  ").next().unwrap_or_default();
            map.extend(names.split(' ').map(|name| (name.to_owned(), level)));
        }
    }
    map
}

fn everything() -> Vec<Source> {
    let folders = ["src", "kernel", "tests"].into_iter();
    folders.flat_map(sources).collect()
}

/// Reads every Rust file below a folder of the repository, sorted by path.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let mut paths = vec![project().join(folder)];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the tree can be listed");
            paths.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let path = path
                .strip_prefix(project())
                .expect("it lies below the root");
            files.push(Source::new(path.to_owned(), text));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Returns what of a text asks a database something.
fn asks(text: &str) -> Option<&'static str> {
    let words = ["SELECT", "WHERE", "IN (", "IS NULL", "BETWEEN", "LIKE"];
    let word = words.into_iter().find(|word| text.contains(word));
    word.filter(|_| text.contains('{')).or_else(|| {
        let operators = ["=", "!=", "<", ">"];
        COLUMNS.split_whitespace().find(|column| {
            let mut rests = text.split(column).skip(1).map(str::trim_start);
            rests.any(|rest| operators.iter().any(|operator| rest.starts_with(operator)))
        })
    })
}
