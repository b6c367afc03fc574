//! Reads a line: blank, a command, or a message.

use std::path::Path;

use crate::commands::{OUTSIDE, is_near, names, takes_phrases, takes_text};

/// Is what a person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Blank,
    /// The words of a command, its name first.
    Command(Vec<String>),
    Message(String),
}

/// Takes a complete line, or the several lines of one message, apart.
pub fn parse(text: &str) -> Input {
    let line = text.trim();
    if line.is_empty() {
        return Input::Blank;
    }
    if is_command(line) {
        let name = line.split(char::is_whitespace).next().unwrap_or_default();
        if takes_text(name) {
            return Input::Command(options_and_text(line));
        }
        return Input::Command(words(line, takes_phrases(name)));
    }
    // A second slash has what would be a command said to the model; before anything else it is meant: `//path`.
    if let Some((before, after)) = text.split_once('/')
        && before.trim().is_empty()
        && is_command(after)
    {
        return Input::Message(ended(&format!("{before}{after}")));
    }
    let quoted = line
        .strip_prefix("\"\"\"")
        .and_then(|rest| rest.strip_suffix("\"\"\""));
    match quoted {
        Some(quoted) if quoted.trim().is_empty() => Input::Blank,
        Some(quoted) => Input::Message(without_marks(quoted).to_owned()),
        None => Input::Message(ended(text)),
    }
}

/// Returns a text without the line breaks that end it; its indentation is its own.
fn ended(text: &str) -> String {
    text.trim_end_matches(['\r', '\n']).to_owned()
}

/// Returns what stands between the line of an opening mark and that of the closing one.
fn without_marks(quoted: &str) -> &str {
    let ends = ["\r\n", "\n"];
    let after = ends.iter().find_map(|end| quoted.strip_prefix(end));
    let quoted = after.unwrap_or(quoted);
    let before = ends.iter().find_map(|end| quoted.strip_suffix(end));
    before.unwrap_or(quoted)
}

/// Adds a line to those that belong together; returns whether the next one does, too.
pub fn goes_on(text: &mut String, line: &str) -> bool {
    text.push_str(line);
    let continued = continued(text).map(str::len);
    if let Some(length) = continued {
        text.truncate(length);
    }
    let more = continued.is_some() || is_open(text);
    if more {
        text.push('\n');
    }
    more
}

/// Returns what stands before a `\` that has the next line go on; within a block it is text like any other.
pub fn continued(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\r').unwrap_or(text);
    line.strip_suffix('\\').filter(|_| !is_open(text))
}

/// Returns whether a `"""` or a code fence is open.
pub fn is_open(text: &str) -> bool {
    let mut open = None;
    for line in text.lines() {
        let after = line.trim_start().trim_start_matches('`');
        let ticks = line.trim_start().len() - after.len();
        open = match open {
            // What follows a fence is a language; with more backticks it is code within a line.
            None if ticks >= 3 && !after.contains('`') => Some(Block::Fence(ticks)),
            Some(Block::Fence(opened)) => (ticks < opened).then_some(Block::Fence(opened)),
            None | Some(Block::Quotes) => {
                let turns = line.matches("\"\"\"").count() % 2 == 1;
                (open.is_some() != turns).then_some(Block::Quotes)
            }
        };
    }
    // What is a command may have to be looked up, and it is asked at each key.
    open.is_some() && !is_command(text.trim_start())
}

/// Is what a text may be in the middle of.
#[derive(Clone, Copy)]
enum Block {
    Quotes,
    /// How many backticks opened it, and close it.
    Fence(usize),
}

/// Returns the command that a word is in other shells, where it stands alone: `exit`, `quit()`, `:q`, `\\?`.
pub fn elsewhere(line: &str) -> Option<&'static str> {
    let line = line.trim().to_lowercase();
    let bare = line.trim_end_matches(';').trim_end_matches("()");
    let marked = bare.strip_prefix(['.', ':', '\\']);
    match (marked.unwrap_or(bare), marked.is_some()) {
        ("exit" | "quit", _) | ("q" | "q!" | "wq" | "x", true) => Some("/quit"),
        ("help" | "?" | "/?", _) | ("h", true) => Some("/help"),
        _ => None,
    }
}

/// Returns whether a line is meant as a command: it begins with the name of one, or with what is so near to one that it is a slip. So
/// `/usr/bin` is none, nor is `/tmp is full`, nor `/usr is full` where there is such a folder; but a name alone asks for something, and so
/// does one with `--help`.
fn is_command(line: &str) -> bool {
    let Some(rest) = line.strip_prefix('/') else {
        return false;
    };
    let name = rest.split(char::is_whitespace).next().unwrap_or_default();
    let slashed = &line[..=name.len()];
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphabetic() || c == '-');
    let is_alone = || slashed.len() == line.trim_end().len();
    let asks = matches!(rest[name.len()..].trim(), "--help" | "-h");
    let is_meant = || (asks || is_alone() || is_near(slashed)) && !Path::new(slashed).exists();
    let is_known = || names().iter().any(|known| known == slashed) || OUTSIDE.contains(&name);
    is_name && (is_known() || is_meant())
}

/// Splits off the name of a command and the options before its text; the text stays as it is.
fn options_and_text(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    loop {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        // The value of an option follows it, but for flags.
        let is_value = words
            .last()
            .is_some_and(|last: &String| is_option(last) && !last.contains('=') && last != "--csv");
        if rest.is_empty() || !(words.is_empty() || is_option(word) || is_value) {
            break;
        }
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words.extend((!rest.is_empty()).then(|| rest.to_owned()));
    words
}

fn is_option(word: &str) -> bool {
    word.starts_with("--") || word == "-n" || word == "-h"
}

/// Splits a line into words. A quote counts only at the start of a word, so `what's new` is two words.
///
/// With `phrases`, double quotes stay around what they quote, but for the value of an option.
fn words(line: &str, phrases: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = matches!(first, '"' | '\'').then(|| {
            let inner = &rest[1..];
            // The closing quote ends a word, too.
            let end = inner.match_indices(first).map(|(at, _)| at);
            end.into_iter()
                .find(|&at| {
                    inner[at + 1..]
                        .chars()
                        .next()
                        .is_none_or(char::is_whitespace)
                })
                .map(|at| (&inner[..at], &inner[at + 1..]))
        });
        let (word, after) = match quoted.flatten() {
            Some(split) => split,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        let is_value = words.last().is_some_and(|last| last.starts_with("--"));
        let is_phrase = phrases && first == '"' && !word.starts_with('"') && !is_value;
        words.push(match is_phrase {
            true => format!("\"{word}\""),
            false => word.to_owned(),
        });
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn command(line: &str, expected: &[&str]) {
        assert_eq!(
            parse(line),
            Input::Command(expected.iter().map(ToString::to_string).collect())
        );
    }

    #[track_caller]
    fn message(line: &str, expected: &str) {
        assert_eq!(parse(line), Input::Message(expected.to_owned()));
    }

    #[test]
    fn a_slash_and_letters_are_a_command() {
        command("/search what's new", &["/search", "what's", "new"]);
        command("  /max-tokens 5\n", &["/max-tokens", "5"]);
        command(
            "/search \"an exact phrase\" --user \"o'brien\" 'and more'",
            &[
                "/search",
                "\"an exact phrase\"",
                "--user",
                "o'brien",
                "and more",
            ],
        );
        command("/search \"open é", &["/search", "\"open", "é"]);
        command(
            "/system \"an exact phrase\"",
            &["/system", "an exact phrase"],
        );
        command(
            "/sql --csv --limit 5 SELECT 'a  b', \"x\"\nFROM t",
            &[
                "/sql",
                "--csv",
                "--limit",
                "5",
                "SELECT 'a  b', \"x\"\nFROM t",
            ],
        );
        command("/sql", &["/sql"]);
        command("/serch x", &["/serch", "x"]);
        command("/é", &["/é"]);
        command("/serach --user x", &["/serach", "--user", "x"]);
        command("/temprature 0.5", &["/temprature", "0.5"]);
        command("/temp 0.5", &["/temp", "0.5"]);
        command("/Search x", &["/Search", "x"]);
        command("/hlep me", &["/hlep", "me"]);
    }

    #[test]
    fn words_of_other_shells_are_known_where_they_stand_alone() {
        for (command, lines) in [
            (Some("/quit"), "exit|Quit|exit()|quit;|:q|:q!|\\q|.exit"),
            (Some("/help"), "help|?|HELP|help()|:help|\\?|/?"),
            (None, "exit the loop|q|x|help me|what?|??|bye|//exit"),
        ] {
            for line in lines.split('|') {
                assert_eq!(elsewhere(line), command, "{line}");
            }
        }
    }

    #[test]
    fn other_lines_are_messages() {
        message("/usr/bin/env what is this?", "/usr/bin/env what is this?");
        message("//search is a command", "/search is a command");
        message("/", "/");
        message("/tmp is full", "/tmp is full");
        message("/usr is full", "/usr is full");
        message("/etc or\n/opt?", "/etc or\n/opt?");
        message("/me waves", "/me waves");
        message("/dev/null", "/dev/null");
        message("// returns the sum", "// returns the sum");
        message("/// a comment", "/// a comment");
        message("//", "//");
        message("//a: is\n//this right?", "//a: is\n//this right?");
        message(
            "    def f():\n        return 1\r\n",
            "    def f():\n        return 1",
        );
        message("  //search me ", "  /search me ");
        message("\"\"\"\n/search\n\nx\n\"\"\"", "/search\n\nx");
        message("\"\"\"\r\n\n  x\n\n\"\"\"", "\n  x\n");
        assert_eq!(parse(" \t\r\n"), Input::Blank);
        assert_eq!(parse("\"\"\"\"\"\""), Input::Blank);
    }

    /// Reads a script; returns the texts that its lines make.
    fn texts(script: &str) -> Vec<String> {
        let mut texts = vec![String::new()];
        for line in script.split('\n') {
            let last = texts.last_mut().unwrap();
            if !goes_on(last, line) {
                texts.push(String::new());
            }
        }
        texts.retain(|text| !text.is_empty());
        texts
    }

    #[track_caller]
    fn one_text(script: &str, expected: &str) {
        assert_eq!(texts(script), [expected]);
    }

    #[test]
    fn an_open_block_wants_more_lines() {
        for open in [
            "\"\"\"one",
            "```rust\nfn main() {}",
            "````\n```\nx\n```",
            "```python\n\"\"\"a docstring\"\"\"",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "one",
            "\"\"\"one\"\"\"",
            "```\nx\n```",
            "```x``` is code",
            "```python\n\"\"\"half a docstring\n```",
            "\"\"\"\n```\n\"\"\"",
            "/search ```",
            "",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    // Finding M25.
    #[test]
    fn a_backslash_joins_lines_outside_of_blocks_and_is_text_within() {
        one_text("one\\\ntwo", "one\ntwo");
        one_text("one\\\r\ntwo", "one\ntwo");
        one_text("/system be\\\nkind", "/system be\nkind");
        for block in [
            "```sh\ncargo run \\\n  --release\n```",
            "\"\"\"\n#define F(x) \\\r\n  x\n\"\"\"",
            "see\n```\nRUN a \\\n\\\n```",
        ] {
            let script = block
                .strip_prefix("see\n")
                .map(|block| format!("see\\\n{block}"));
            one_text(&script.unwrap_or_else(|| block.to_owned()), block);
        }
        // A text that is complete is left alone.
        message("RUN a \\\n  && b", "RUN a \\\n  && b");
    }

    #[test]
    fn spoilt_lines_are_commands_messages_or_errors() {
        let seeds = [
            "/search \"connection reset\" --from 2025-09-01 --limit 3",
            "/sql SELECT count(*) FROM interactions WHERE query = 'x'",
            "/forget 3f2a9c1e --dry-run",
            "//text and \\\nmore",
            "what's new?",
        ];
        crate::mutate::each(&seeds, |text| {
            drop(texts(text));
            if let Input::Command(words) = parse(text) {
                drop(crate::commands::Line::read(&words));
            }
        });
    }
}
