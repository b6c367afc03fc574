//! The predecessor's JSON files: a folder for each turn, the scratchpads of a session, and the requests, kept apart.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use flate2::read::GzDecoder;
use serde_json::Value;

use super::super::files::{decoded, each_line, files, name, text, time};
use super::text::{answer, facts, key, local, milliseconds, plain, request, steps, usage};
use super::{Gathered, Told};
use crate::conversation::{Status, Step, ToolCall};
use crate::timeframe::Zone;

pub const TURNS: &str = "json";
pub const CONTEXTS: &str = "contexts";
pub const LOGS: &str = "context_logs";
/// Entries of a scratchpad belong to the turn that began about then, where only its question says to which.
const ABOUT: TimeDelta = TimeDelta::minutes(10);

/// Reads the sessions' folders.
pub fn sessions(home: &Path, zone: Zone, gathered: &mut Gathered) -> Result<()> {
    let folder = home.join("sessions");
    if !folder.is_dir() {
        return Ok(());
    }
    let mut turns: HashMap<std::path::PathBuf, Vec<std::path::PathBuf>> = HashMap::new();
    let mut pads = HashMap::new();
    for path in files(&folder, "json")? {
        let Some(parent) = path.parent() else {
            continue;
        };
        let above = parent.parent().map(name);
        if above.as_deref() == Some("interactions") {
            turns.entry(parent.to_owned()).or_default().push(path);
        } else if name(parent) == "scratchpads" && name(&path).starts_with("scratchpad_") {
            match json(&path) {
                Ok(pad) => drop(pads.insert(session_of(&path), pad)),
                Err(error) => gathered.broken(TURNS, &path, &error),
            }
        }
    }
    let mut turns: Vec<_> = turns.into_iter().collect();
    turns.sort();
    for (folder, paths) in turns {
        turn(&folder, &paths, zone, &pads, gathered);
    }
    for path in files(&folder, "gz")? {
        match unpacked(&path).and_then(|text| Ok(serde_json::from_str(&text)?)) {
            Ok(kept) => context(&kept, &path, zone, gathered),
            Err(error) => gathered.broken(CONTEXTS, &path, &error),
        }
    }
    Ok(())
}

/// Returns the name of the session's folder, two above a file in it.
fn session_of(path: &Path) -> String {
    let session = path.parent().and_then(Path::parent);
    session.map(name).unwrap_or_default()
}

fn json(path: &Path) -> Result<Value> {
    Ok(serde_json::from_reader(decoded(File::open(path)?))?)
}

fn unpacked(path: &Path) -> Result<String> {
    let mut text = String::new();
    let mut file = GzDecoder::new(BufReader::new(File::open(path)?));
    file.read_to_string(&mut text)
        .context("it cannot be unpacked")?;
    Ok(text)
}

/// Reads the folder of a turn: what was asked, and in a file with another name what was answered.
fn turn(
    folder: &Path,
    paths: &[std::path::PathBuf],
    zone: Zone,
    pads: &HashMap<String, Value>,
    gathered: &mut Gathered,
) {
    let (mut asked, mut answered) = (Value::Null, Vec::new());
    for path in paths {
        match json(path) {
            Ok(read) if name(path) == "context.json" => asked = read,
            Ok(read) => answered.push(read),
            Err(error) => gathered.broken(TURNS, path, &error),
        }
    }
    answered.sort_by_key(|cycle| text(cycle, "timestamp").to_owned());
    let first = answered.first().unwrap_or(&Value::Null);
    let either = |name: &str| match text(&asked, name) {
        "" => text(first, name).to_owned(),
        known => known.to_owned(),
    };
    let when = local(&asked["timestamp"], zone).or_else(|| local(&first["timestamp"], zone));
    let (query, when) = (either("query"), when.unwrap_or_default());
    if asked.is_null() && answered.is_empty() {
        return;
    }
    let session = folder.parent().and_then(Path::parent).map(name);
    let session = session.unwrap_or_default();
    let id = match either("interaction_id") {
        id if id.is_empty() => name(folder),
        id => id,
    };
    let mut told = Told::new(TURNS, &session, key(&id), when, &query);
    for cycle in &answered {
        let said = answer(text(cycle, "response_content"));
        if !said.is_empty() {
            told.turn.response = said;
        }
        told.turn
            .steps
            .extend(steps(&cycle["tools_executed"], zone, when));
    }
    if told.turn.steps.is_empty()
        && let Some(pad) = pads.get(&session)
    {
        let (steps, said) = scratched(pad, &id, &query, when);
        // A streamed answer has the calls in it, as they were written.
        if !said.is_empty() && !steps.is_empty() {
            told.turn.response = said;
        }
        told.turn.steps = steps;
    }
    told.turn.facts = facts(&asked["facts_extracted"]);
    told.turn.usage = usage(&asked["usage"]);
    text(&asked, "model").clone_into(&mut told.turn.model);
    let took = [&asked["reasoning_time"], &asked["usage"]["total_time"]];
    told.turn.duration_ms = took.into_iter().map(milliseconds).max().unwrap_or_default();
    if !told.turn.response.is_empty() {
        told.turn.status = Status::Completed;
    }
    let file = gathered.place(folder);
    gathered.told(&file, told);
}

/// Returns the calls that a scratchpad has of a turn, and what it says was answered. Where an answer was streamed, the turn has two
/// cycles, of which one ends, and in it each call is there twice.
fn scratched(pad: &Value, id: &str, query: &str, when: DateTime<Utc>) -> (Vec<Step>, String) {
    let entries = pad["entries"].as_array();
    let at = |entry: &Value| time(&entry["timestamp"]).unwrap_or_default();
    let is_start = |entry: &&Value| {
        let asked = super::text::question(text(&entry["metadata"], "query"));
        let same = super::same(asked, query);
        text(entry, "phase") == "cycle_start" && same && (at(entry) - when).abs() < ABOUT
    };
    let started = entries.into_iter().flatten().filter(is_start);
    let mut cycles: Vec<&str> = started.map(|entry| text(entry, "cycle_id")).collect();
    cycles.push(id);
    let mut steps: Vec<Step> = Vec::new();
    let mut said = String::new();
    for entry in entries.into_iter().flatten() {
        if !cycles.contains(&text(entry, "cycle_id")) {
            continue;
        }
        let (tool, arguments) = (text(entry, "tool_name"), entry["tool_args"].clone());
        match text(entry, "phase") {
            "acting" => {
                let thought = text(entry, "content");
                let thought = thought.split("\n\nAction: ").next().unwrap_or_default();
                let again = steps.last().and_then(|step| step.action.as_ref());
                if again.is_some_and(|call| call.name == tool && call.arguments == arguments) {
                    continue;
                }
                steps.push(Step {
                    thought: thought.to_owned(),
                    action: Some(ToolCall {
                        name: tool.to_owned(),
                        arguments,
                        ..ToolCall::default()
                    }),
                    success: true,
                    started_at: at(entry),
                    ..Step::default()
                });
            }
            "observing" => {
                if let Some(step) = steps.last_mut().filter(|step| step.observation.is_empty()) {
                    step.observation = plain(&entry["tool_result"]);
                    step.success = entry["tool_success"] != false;
                    step.error = entry["error_details"].as_str().map(str::to_owned);
                    let took = milliseconds(&entry["tool_execution_time"]);
                    step.duration_ms = took.unsigned_abs();
                }
            }
            "final_answer" => {
                let content = text(entry, "content");
                let bare = content.strip_prefix("Final answer: ").unwrap_or(content);
                said = answer(bare);
            }
            _ => {}
        }
    }
    (steps, said)
}

/// Reads a request that was kept by itself, under an id of its own.
fn context(kept: &Value, path: &Path, zone: Zone, gathered: &mut Gathered) {
    let sent = request(text(kept, "verbatim_context"));
    let when = local(&kept["timestamp"], zone).unwrap_or_default();
    let id = key(text(kept, "interaction_id"));
    let mut told = Told::new(CONTEXTS, &session_of(path), id, when, &sent.question);
    told.turn.requests = vec![sent.body];
    text(kept, "model").clone_into(&mut told.turn.model);
    text(kept, "provider").clone_into(&mut told.turn.provider);
    told.system = sent.system;
    let file = gathered.place(path);
    gathered.told(&file, told);
}

/// Reads the logs of what was sent and what came back: two lines for each turn, of which the second knows the answer.
pub fn logs(home: &Path, zone: Zone, gathered: &mut Gathered) -> Result<()> {
    let folder = home.join("context_logs");
    if !folder.is_dir() {
        return Ok(());
    }
    for path in files(&folder, "jsonl")? {
        let mut lines = Vec::new();
        let read = File::open(&path).map_err(Into::into).and_then(|file| {
            each_line(file, &mut |number, line| {
                lines.push((number, line));
                Ok(())
            })
        });
        if let Err(error) = read {
            gathered.broken(LOGS, &path, &error);
        }
        let file = gathered.place(&path);
        let mut logged: Vec<Told> = Vec::new();
        for (number, line) in lines {
            match line {
                Ok(line) => log(&line, number, &path, zone, &mut logged),
                Err(error) => {
                    let place = format!("{}, line {number}", name(&path));
                    gathered.unread(LOGS, &file, place, error.to_string());
                }
            }
        }
        for told in logged {
            gathered.told(&file, told);
        }
    }
    Ok(())
}

fn log(line: &Value, number: usize, path: &Path, zone: Zone, logged: &mut Vec<Told>) {
    let when = local(&line["timestamp"], zone).unwrap_or_default();
    let question = super::text::question(text(line, "prompt"));
    let response = answer(text(line, "response"));
    let before = logged.last_mut().filter(|told| {
        told.turn.query == question && told.turn.response.is_empty() && !response.is_empty()
    });
    if let Some(told) = before {
        told.turn.duration_ms = (when - told.turn.timestamp).num_milliseconds().max(0);
        told.turn.response = response;
        told.turn.status = Status::Completed;
        return;
    }
    let session = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut told = Told::new(LOGS, &session, &number.to_string(), when, question);
    text(line, "model").clone_into(&mut told.turn.model);
    text(line, "provider").clone_into(&mut told.turn.provider);
    text(line, "system_prompt").clone_into(&mut told.system);
    if !response.is_empty() {
        told.turn.response = response;
        told.turn.status = Status::Completed;
    }
    logged.push(told);
}
