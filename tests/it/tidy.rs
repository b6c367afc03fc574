//! Holds the tree to its rules: floors, sizes, who prints, who may name which crate, what README lists.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each floor, from the ground up; a module imports only from lower floors.
const FLOORS: &[&[&str]] = &[
    // Only tests have it.
    &["mutate"],
    &["conversation", "timeframe", "redact"],
    &["provider", "tools", "embedder"],
    &["agent", "store"],
    &["config"],
    &["chat", "import", "export"],
    &["ui"],
    &["commands"],
    &["repl"],
    &["cli", "lib", "main"],
];

/// What the top level of the repository may hold.
const TOP_LEVEL: &str = "Cargo.toml Cargo.lock src tests assets README.md LICENSE-MIT LICENSE-APACHE \
    .github .ci .cargo .gitignore .git target";

const LONGEST_FILE: usize = 400;

/// Columns that only typed filters may compare.
const COLUMNS: &str = "user_id session_id interaction_id react_id passage_id timestamp username";

#[test]
fn imports_point_to_lower_floors() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let home = file.module();
        // The library's root sees every floor; `main` is another crate.
        if home == "lib" || home == "main" {
            continue;
        }
        for (at, name) in file.imports() {
            let lower = floor(&name)
                .zip(floor(&home))
                .is_some_and(|(name, home)| name < home);
            if name != home && !lower {
                let rule = format!("by FLOORS, `{home}` may not import `{name}`");
                faults.push(file.fault(at, &rule));
            }
        }
        if floor(&home).is_none() {
            faults.push(file.fault(0, &format!("`{home}` is not in FLOORS")));
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
fn http_stays_in_providers_and_the_hub_download() {
    let rule = "`reqwest` is for `provider` and `embedder` alone";
    only_in(&["provider", "embedder"], "reqwest", rule);
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
fn filters_are_expressions_and_not_formatted_text() {
    let mut faults = Vec::new();
    for file in sources("src") {
        for at in file.find("format!") {
            let end = closing(&file.code, at);
            if let Some(column) = compared_column(&file.strings[at..end]) {
                let rule = format!("`{column}` is compared in formatted text, not typed");
                faults.push(file.fault(at, &rule));
            }
        }
    }
    report(&faults);
}

#[test]
fn top_level_holds_only_what_belongs_there() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root()).expect("the repository can be listed") {
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
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md can be read");
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
fn comments_and_strings_are_told_from_code() {
    let text = r##"use crate::{store::{self, Store}, agent::Agent}; // crate::ui
        /* println! */ let quote = '"'; let a: &'a str = r#"crate::repl " "#;
        format!("user_id = {}", "\""); super::commands::x(); crate::config::y();"##;
    let file = Source::new(PathBuf::from("src/chat/mod.rs"), text.to_owned());
    let imports = file.imports().into_iter();
    let imports: Vec<_> = imports
        .map(|(at, name)| format!("{}:{name}", file.line(at)))
        .collect();
    assert_eq!(imports, ["1:store", "1:agent", "3:config", "3:commands"]);
    assert!(file.find("println!").is_empty());
    let at = file.find("format!")[0];
    let strings = &file.strings[at..closing(&file.code, at)];
    assert_eq!(compared_column(strings), Some("user_id"));
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
            faults.extend(uses.map(|at| file.fault(at, &format!("{rule}: `{word}`"))));
        }
    }
    report(&faults);
}

#[track_caller]
fn report_files(files: &[Source], rule: &str) {
    report(
        &files
            .iter()
            .map(|file| file.fault(0, rule))
            .collect::<Vec<_>>(),
    );
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn everything() -> Vec<Source> {
    sources("src").into_iter().chain(sources("tests")).collect()
}

/// Reads every Rust file below a folder of the repository, sorted by path.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let mut paths = vec![root().join(folder)];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the tree can be listed");
            paths.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let path = path.strip_prefix(root()).expect("it lies below the root");
            files.push(Source::new(path.to_owned(), text));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Holds a Rust file, and two views of it with the same byte offsets.
struct Source {
    path: PathBuf,
    text: String,
    /// Comments and literals are blanks.
    code: String,
    /// All but literals is blanks.
    strings: String,
}

impl Source {
    fn new(path: PathBuf, text: String) -> Self {
        let (code, strings) = views(&text);
        Self {
            path,
            text,
            code,
            strings,
        }
    }

    /// Returns the top-level module that the file belongs to.
    fn module(&self) -> String {
        let path = self.path.strip_prefix("src").unwrap_or(&self.path);
        let first = path.iter().next().unwrap_or_default().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// Returns the offset and the top-level module of each path into the crate.
    fn imports(&self) -> Vec<(usize, String)> {
        let mut imports = Vec::new();
        for at in self.find("crate::") {
            let names = heads(&self.code[at + "crate::".len()..]);
            imports.extend(names.into_iter().map(|name| (at, name)));
        }
        // `super::` leaves the folder where it names a module that is no file beside this one.
        let folder = root().join(&self.path).with_file_name("");
        for at in self.find("super::") {
            for name in heads(&self.code[at + "super::".len()..]) {
                let file = folder.join(&name);
                let beside = file.is_dir() || file.with_extension("rs").is_file();
                if floor(&name).is_some() && !beside {
                    imports.push((at, name));
                }
            }
        }
        imports
    }

    /// Returns the offsets of a word in the code; it does not match the end of a longer name.
    fn find(&self, word: &str) -> Vec<usize> {
        let found = self.code.match_indices(word).map(|(at, _)| at);
        found
            .filter(|at| !self.code[..*at].ends_with(in_name))
            .collect()
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    fn fault(&self, at: usize, rule: &str) -> String {
        format!("{}:{}: {rule}", self.path.display(), self.line(at))
    }
}

/// Returns the first name of each path in `a::b` or `{a::{b, c}, d}`.
fn heads(paths: &str) -> Vec<String> {
    let end = paths.find(|c| !in_name(c)).unwrap_or(paths.len());
    let group = end == 0 && paths.starts_with('{');
    let paths = if group {
        &paths[1..closing(paths, 0) - 1]
    } else {
        &paths[..end]
    };
    let mut depth = 0;
    let outer = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    let heads = paths
        .split(outer)
        .filter_map(|path| path.trim().split(|c| !in_name(c)).next());
    heads
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the offset after the bracket that closes the first one opened at or after `from`.
fn closing(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth <= 1 => return from + at + 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Returns the column that a text compares as SQL does.
fn compared_column(text: &str) -> Option<&'static str> {
    let operators = ["=", "!=", "<", ">", "LIKE ", "IN (", "IS ", "BETWEEN "];
    COLUMNS.split_whitespace().find(|column| {
        let mut rests = text.split(column).skip(1).map(str::trim_start);
        rests.any(|rest| operators.iter().any(|operator| rest.starts_with(operator)))
    })
}

/// Returns the text without comments and literals, and the literals alone; blanks keep the offsets.
fn views(text: &str) -> (String, String) {
    let (mut code, mut strings) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = token(rest);
        let (part, after) = rest.split_at(length);
        let blank = |b| if b == b'\n' { '\n' } else { ' ' };
        let blank: String = part.bytes().map(blank).collect();
        code += if kind == Kind::Code { part } else { &blank };
        strings += if kind == Kind::Literal { part } else { &blank };
        rest = after;
    }
    (code, strings)
}

#[derive(PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Returns what a text begins with, and its length in bytes.
fn token(text: &str) -> (Kind, usize) {
    let until = |end: &str, from: usize| {
        let length = text[from..].find(end).map(|at| from + at + end.len());
        length.unwrap_or(text.len())
    };
    let hashes = text.bytes().skip(1).take_while(|b| *b == b'#').count();
    match text.as_bytes() {
        [b'/', b'/', ..] => (Kind::Comment, text.find('\n').unwrap_or(text.len())),
        [b'/', b'*', ..] => (Kind::Comment, until("*/", 2)),
        [b'r', ..] if text[1 + hashes..].starts_with('"') => (
            Kind::Literal,
            until(&format!("\"{}", "#".repeat(hashes)), 2 + hashes),
        ),
        [b'"', ..] => (Kind::Literal, quoted(text, '"')),
        [b'\'', b'\\', ..] => (Kind::Literal, quoted(text, '\'')),
        [b'\'', ..] if text.chars().nth(2) == Some('\'') => (Kind::Literal, quoted(text, '\'')),
        _ => (Kind::Code, text.chars().next().map_or(0, char::len_utf8)),
    }
}

/// Returns the length of a literal that ends at its first unescaped quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
