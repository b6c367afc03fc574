//! `messages.md`: a heading with the time, the question, a rule, the answer and another rule, again and again.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::Result;
use chrono::{DateTime, Utc};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{NAME, agent};
use crate::import::files::{decoded, name, open, time};
use crate::import::turns::{Conversation, Turns};
use crate::import::{Item, Take};

const RULE: &str = "--------";

/// The heading of an entry. Versions before 0.15 have no summary in it, the first no time.
static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^# CHAT:(?<summary>.*)\[(?<time>\d{4}-\d\d-\d\d[^\]]*)\](?: \((?<role>.*)\))?\s*$")
        .expect("the pattern is valid")
});
const FIRST: &str = "AICHAT: ";

/// Is one question with its answer.
#[derive(Default)]
struct Entry<'t> {
    summary: &'t str,
    time: Option<DateTime<Utc>>,
    role: &'t str,
    lines: Vec<&'t str>,
}

/// Reads the file. What comes of one that cannot be read is told; whoever takes may refuse.
pub fn read(path: &Path, take: &mut Take<'_>) -> Result<Result<()>> {
    let (text, mut last) = match whole(path) {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let mut counts = HashMap::new();
    let agent = path.parent().map(agent).unwrap_or_default();
    for (number, entry) in entries(&text) {
        let Some(mut entry) = entry else {
            let place = format!("{}, line {number}", name(path));
            take(
                NAME,
                Item::Broken(place, "it belongs to no question".to_owned()),
            )?;
            continue;
        };
        last = *entry.time.get_or_insert(last);
        take(NAME, entry.turn(&agent, last, &mut counts))?;
    }
    Ok(Ok(()))
}

/// Returns what is in the file, and when it was written to.
fn whole(path: &Path) -> Result<(String, DateTime<Utc>)> {
    let file = open(path)?;
    let written = file.metadata()?.modified()?;
    let mut bytes = Vec::new();
    decoded(file).read_to_end(&mut bytes)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), written.into()))
}

/// Returns the entries with the numbers of their first lines; nothing where lines belong to none.
fn entries(text: &str) -> Vec<(usize, Option<Entry<'_>>)> {
    let mut entries: Vec<(usize, Option<Entry<'_>>)> = Vec::new();
    // A heading may be quoted: only after a rule does another entry begin.
    let mut before = RULE;
    for (number, line) in (1..).zip(text.lines()) {
        if before == RULE
            && let Some(entry) = heading(line)
        {
            entries.push((number, Some(entry)));
        } else if let Some((_, Some(entry))) = entries.last_mut() {
            entry.lines.push(line);
        } else if !line.trim().is_empty() && entries.is_empty() {
            entries.push((number, None));
        }
        if !line.trim().is_empty() {
            before = line.trim_end();
        }
    }
    entries
}

fn heading(line: &str) -> Option<Entry<'_>> {
    if let Some(question) = line.strip_prefix(FIRST) {
        return Some(Entry {
            lines: vec![question],
            ..Entry::default()
        });
    }
    let found = HEADING.captures(line)?;
    let named = |name: &str| found.name(name).map_or("", |found| found.as_str());
    Some(Entry {
        summary: named("summary").trim(),
        time: Some(time(&Value::from(named("time")))?),
        role: named("role"),
        lines: Vec::new(),
    })
}

impl Entry<'_> {
    fn turn(
        &self,
        agent: &str,
        at: DateTime<Utc>,
        counts: &mut HashMap<(DateTime<Utc>, String), usize>,
    ) -> Item {
        let (question, answer) = self.halves();
        let mut metadata = Map::new();
        // A role with `#` before it is the name of documents that were searched.
        let (role, documents) = self.role.split_once('#').unwrap_or((self.role, ""));
        for (name, value) in [("role", role), ("documents", documents), ("agent", agent)] {
            if !value.is_empty() {
                metadata.insert(name.to_owned(), json!(value));
            }
        }
        // What belongs to no session is put together by day.
        let conversation = Conversation {
            id: format!("messages/{agent}/{}", at.format("%F")),
            ..Conversation::default()
        };
        let count = counts.entry((at, question.clone())).or_default();
        let id = format!("messages/{agent}/{}/{question}/{count}", at.timestamp());
        *count += 1;
        let mut turns = Turns::new(conversation, "");
        turns.user(&id, at, &question);
        let (calls, answer) = calls(&answer);
        for (number, call) in (0..).zip(calls) {
            super::session::call(&mut turns, at, &format!("{id}/{number}"), &call);
        }
        turns.answer(&id, at, "", answer);
        match turns.finish().pop() {
            Some(mut turn) => {
                turn.metadata.extend(metadata);
                turn.into()
            }
            None => Item::LeftOut("empty".to_owned()),
        }
    }

    /// Returns the question and the answer. Both may have rules in them; the heading says how the question goes.
    fn halves(&self) -> (String, String) {
        let mut lines = &self.lines[..];
        while let [rest @ .., last] = lines
            && last.trim().is_empty()
        {
            lines = rest;
        }
        let is_rule = |line: &&str| line.trim_end() == RULE;
        if let [rest @ .., last] = lines
            && is_rule(last)
            && rest.iter().any(is_rule)
        {
            lines = rest;
        }
        let rules: Vec<usize> = (0..lines.len()).filter(|at| is_rule(&lines[*at])).collect();
        let question = |at: usize| lines[..at].join("\n").trim().to_owned();
        let fits = rules.iter().find(|at| self.is_of(&question(**at)));
        match fits.or(rules.first()) {
            Some(at) => (question(*at), lines[at + 1..].join("\n")),
            None => (lines.join("\n").trim().to_owned(), String::new()),
        }
    }

    /// Returns whether a question is that of the heading, which has the beginning of it on one line.
    fn is_of(&self, question: &str) -> bool {
        let is_cut = self.summary.ends_with("...");
        let begin = self.summary.trim_end_matches("...");
        let (typed, has_files) = match question.strip_prefix(".file ") {
            Some(files) => (
                files.split_once(" -- ").map_or("", |(_, typed)| typed),
                true,
            ),
            None => (question, false),
        };
        let typed = typed.replace(char::is_control, " ");
        typed == self.summary
            || (is_cut && typed.starts_with(begin))
            || (has_files && begin.starts_with(&typed))
    }
}

/// Returns the calls that an answer begins with, and the rest of it.
fn calls(answer: &str) -> (Vec<Value>, &str) {
    let block = answer.trim_start().strip_prefix("<tool_calls>\n");
    let Some((block, rest)) = block.and_then(|block| block.split_once("\n</tool_calls>")) else {
        return (Vec::new(), answer);
    };
    let (said, calls) = block.rsplit_once('\n').unwrap_or(("", block));
    match serde_json::from_str(calls) {
        Ok(Value::Array(mut calls)) => {
            if let Some(first) = calls.first_mut().filter(|first| first.is_object()) {
                first["said"] = json!(said);
            }
            (calls, rest)
        }
        _ => (Vec::new(), answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_messages_are_read_all_the_same() {
        let seed = "# CHAT: q -------- r [2024-11-20T08:00:00+01:00] (a#b)\nq\n--------\nr\n--------\n<tool_calls>\n[{\"call\":{\"name\":\"ls\"},\"output\":1}]\n</tool_calls>\ns\n--------\n\nAICHAT: t\n\n--------\nu\n--------\n\n";
        let read = |text: &str| -> Vec<Item> {
            let mut counts = HashMap::new();
            let entries = entries(text).into_iter().filter_map(|(_, entry)| entry);
            entries
                .map(|entry| entry.turn("", DateTime::UNIX_EPOCH, &mut counts))
                .collect()
        };
        assert_eq!(read(seed).len(), 2);
        crate::mutate::each(&[seed], |text| drop(read(text)));
    }
}
