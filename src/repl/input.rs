//! Reads a line: blank, a command, or a message.

use crate::commands::{takes_phrases, takes_text};

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
    let text = text.replace("\\\r\n", "\n").replace("\\\n", "\n");
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
    if let Some(rest) = line.strip_prefix("//") {
        return Input::Message(format!("/{rest}"));
    }
    let quoted = line
        .strip_prefix("\"\"\"")
        .and_then(|rest| rest.strip_suffix("\"\"\""));
    match quoted {
        Some(quoted) if quoted.trim().is_empty() => Input::Blank,
        Some(quoted) => Input::Message(quoted.trim_matches('\n').to_owned()),
        None => Input::Message(line.to_owned()),
    }
}

/// Returns whether more lines belong to this text: it ends with `\`, or a `"""` or a code fence is open.
pub fn is_open(text: &str) -> bool {
    if text.trim_end_matches(['\r', '\n']).ends_with('\\') {
        return true;
    }
    if is_command(text.trim_start()) {
        return false;
    }
    let fences = text
        .lines()
        .filter(|line| line.trim_start().starts_with("```"))
        .count();
    let quotes = text.matches("\"\"\"").count();
    fences % 2 == 1 || quotes % 2 == 1
}

/// Returns whether a line is a command: a slash, then letters or dashes up to a blank. So `/usr/bin` is none.
fn is_command(line: &str) -> bool {
    let Some(rest) = line.strip_prefix('/') else {
        return false;
    };
    let name = rest.split(char::is_whitespace).next().unwrap_or_default();
    !name.is_empty() && name.chars().all(|c| c.is_alphabetic() || c == '-')
}

/// Splits off the name of a command and the options before its text; the text stays as it is.
fn options_and_text(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    loop {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        // The value of an option follows it, but for flags.
        let is_value = words.last().is_some_and(|last: &String| {
            last.starts_with("--") && !last.contains('=') && last != "--csv"
        });
        if rest.is_empty() || !(words.is_empty() || word.starts_with("--") || is_value) {
            break;
        }
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words.extend((!rest.is_empty()).then(|| rest.to_owned()));
    words
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
    }

    #[test]
    fn other_lines_are_messages() {
        message("/usr/bin/env what is this?", "/usr/bin/env what is this?");
        message("//search is a command", "/search is a command");
        message("/", "/");
        message("one\\\ntwo", "one\ntwo");
        message("\"\"\"\n/search\n\nx\n\"\"\"", "/search\n\nx");
        assert_eq!(parse(" \t\r\n"), Input::Blank);
        assert_eq!(parse("\"\"\"\"\"\""), Input::Blank);
    }

    #[test]
    fn an_open_block_wants_more_lines() {
        for open in [
            "one\\",
            "\"\"\"one",
            "```rust\nfn main() {}",
            "/system be\\\n",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in ["one", "\"\"\"one\"\"\"", "```\nx\n```", "/search ```", ""] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn spoilt_lines_are_commands_messages_or_errors() {
        use clap::Parser;
        let seeds = [
            "/search \"connection reset\" --from 2025-09-01 --limit 3",
            "/sql SELECT count(*) FROM interactions WHERE query = 'x'",
            "/forget 3f2a9c1e --dry-run",
            "//text and \\\nmore",
            "what's new?",
        ];
        crate::mutate::each(&seeds, |text| {
            is_open(text);
            if let Input::Command(words) = parse(text) {
                drop(crate::commands::Line::try_parse_from(words));
            }
        });
    }
}
