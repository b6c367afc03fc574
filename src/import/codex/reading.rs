//! Puts the lines of a transcript together to turns: a turn for each task, whatever is said while it runs.

use std::collections::{HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::item::{called, handed, is_answer, is_call, is_users, output, texts, thought};
use super::line::Line;
use super::tasks::{Session, Task, sessions, tasks};
use super::typed::{By, Message, by_whom, is_shell, words};
use crate::conversation::Usage;
use crate::import::Item;
use crate::import::files::{text, time};
use crate::import::turns::{SourceTurn, Turns};
use crate::store::id_of;

/// Why things are passed over.
const SUMMARY: &str = "summary of a conversation";
const BY_PROGRAM: &str = "said by the program in the user's name";
const TWICE: &str = "told twice";

/// Tells a turn from the others of its session, wherever it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Task(Uuid),
    /// What was asked, where tasks have no ids.
    Asked(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Task(id) => id.fmt(f),
            Key::Asked(digest) => digest.fmt(f),
        }
    }
}

/// Is a turn of a session.
pub struct Found {
    pub session: String,
    pub key: Key,
    /// Whether a fork repeats it.
    pub is_replayed: bool,
    pub turn: SourceTurn,
}

/// Reads one transcript.
pub struct Reading<'l> {
    sessions: Vec<Session<'l>>,
    turns: Vec<Turns>,
    /// The keys of the turns, by session and in order.
    keys: Vec<Vec<Key>>,
    /// What is passed over.
    pub aside: Vec<Item>,
    model: String,
    last: DateTime<Utc>,
    /// How many tokens the session had taken when they were counted last.
    total: Option<u64>,
    /// Whether the file tells what was said, beside what goes between the program and the model: by the user, by the model.
    hears: bool,
    tells: bool,
    /// Whether the task has a turn.
    has_begun: bool,
    /// What the user said last, as long as nothing follows.
    said: Option<String>,
}

impl<'l> Reading<'l> {
    /// Reads the lines of a file that is called so, where sessions have names.
    pub fn of(file: &str, lines: &'l [Value], names: &HashMap<String, String>) -> Reading<'l> {
        let sessions = sessions(file, lines);
        let hears = |line: &Value| matches!(Line::of(line), Line::Typed(_));
        let tells = |line: &Value| matches!(Line::of(line), Line::Told(_));
        let turns = sessions.iter().map(|session| {
            let title = names.get(&session.id).cloned().unwrap_or_default();
            Turns::new(session.conversation(title), "")
        });
        let mut reading = Reading {
            turns: turns.collect(),
            keys: vec![Vec::new(); sessions.len()],
            aside: Vec::new(),
            model: String::new(),
            last: sessions[0].began.unwrap_or_default(),
            total: None,
            hears: lines.iter().any(hears),
            tells: lines.iter().any(tells),
            has_begun: false,
            said: None,
            sessions,
        };
        for task in tasks(lines, &reading.sessions) {
            reading.task(&task);
        }
        reading
    }

    /// Returns the sessions that the transcript was forked from.
    pub fn parents(&self) -> Vec<String> {
        self.sessions[1..].iter().map(|it| it.id.clone()).collect()
    }

    /// Returns the turns, those of other sessions first.
    pub fn finish(self) -> Vec<Found> {
        let own = &self.sessions[0];
        let own_provider = own.provider().unwrap_or("openai");
        let mut found = Vec::new();
        let sessions = self.sessions.iter().zip(self.turns).zip(self.keys);
        for ((session, turns), keys) in sessions {
            let is_replayed = session.id != own.id;
            let these = turns.finish().into_iter().zip(keys).map(|(mut turn, key)| {
                let provider = session.provider().unwrap_or(own_provider);
                provider.clone_into(&mut turn.provider);
                if is_replayed {
                    as_replayed(&mut turn, &own.id);
                }
                Found {
                    session: session.id.clone(),
                    key,
                    is_replayed,
                    turn,
                }
            });
            let mut these: Vec<Found> = these.collect();
            // Whatever is replayed came before.
            if is_replayed {
                these.append(&mut found);
            }
            found.append(&mut these);
        }
        found
    }

    fn task(&mut self, task: &Task<'_>) {
        self.has_begun = false;
        self.said = None;
        let heard = heard(task.lines);
        // A replay may leave the events out.
        let is_silent = heard.is_empty() && (task.is_task || !self.hears);
        let is_answered =
            |line: &Value| matches!(Line::of(line), Line::Item(item) if is_answer(item));
        let is_answered = task.lines.iter().any(is_answered);
        let summaries = summaries(task, self.tells);
        for (at, line) in task.lines.iter().enumerate() {
            self.last = time(&line["timestamp"]).unwrap_or(self.last);
            match Line::of(line) {
                Line::Typed(event) => self.typed(task, event),
                Line::Item(item) if is_users(item) => {
                    self.said = None;
                    // An event says the same, beside it as a rule.
                    let next = task.lines.get(at + 1).map(Line::of);
                    if heard.contains(&squeezed(item)) || matches!(next, Some(Line::Typed(_))) {
                        continue;
                    }
                    match by_whom(item) {
                        By::User => self.user(task, item),
                        By::Unknown if is_silent => self.user(task, item),
                        By::Unknown => self.not_typed(),
                        By::Program if is_shell(item) => self.not_typed(),
                        By::Program => {}
                    }
                }
                Line::Item(item) if summaries.contains(&at) => {
                    let summary = Item::Skipped(SUMMARY.to_owned());
                    self.aside.extend(is_answer(item).then_some(summary));
                }
                Line::Item(item) => self.item(task, item),
                Line::Context(context) => text(context, "model").clone_into(&mut self.model),
                Line::Told(event) if !is_answered => self.told(task, event),
                Line::Tokens(event) => self.tokens(task, event),
                Line::TaskAborted if self.has_begun || !task.is_task => {
                    self.turns[task.session].broken_off();
                }
                _ => {}
            }
        }
    }

    fn typed(&mut self, task: &Task<'_>, event: &Value) {
        let said = words(event);
        // Some tasks tell it twice.
        if self.said.replace(said.clone()) == Some(said) {
            self.aside.push(Item::LeftOut(TWICE.to_owned()));
        } else {
            self.user(task, event);
        }
    }

    /// Takes what the user said: a turn begins, or goes on where its task runs.
    fn user(&mut self, task: &Task<'_>, said: &Value) {
        let message = Message::of(said);
        if message.typed.is_empty() {
            self.aside.push(Item::LeftOut(BY_PROGRAM.to_owned()));
            return;
        }
        if task.is_task && self.has_begun {
            let turns = &mut self.turns[task.session];
            turns.meanwhile("", self.last, &message.typed);
        } else {
            let (id, time) = self.begin(task, &words(said));
            self.turns[task.session].user(&id, time, &message.typed);
        }
        self.turns[task.session].keep("context", message.context);
    }

    /// Begins a turn: returns what it is called, the same wherever it is told of, and when it began.
    fn begin(&mut self, task: &Task<'_>, words: &str) -> (String, DateTime<Utc>) {
        self.has_begun = true;
        let (session, keys) = (&self.sessions[task.session], &mut self.keys[task.session]);
        let asked = || Key::Asked(id_of(&[words.trim()]));
        let key = task.turn.map_or_else(asked, Key::Task);
        let id = match keys.iter().filter(|known| **known == key).count() {
            0 => format!("{}/{key}", session.id),
            same => format!("{}/{key}/{same}", session.id),
        };
        // A replay says when it was written, as a rule, not what happened when.
        let order = TimeDelta::milliseconds(i64::try_from(keys.len()).unwrap_or_default());
        let is_kept = self.sessions[0].began.is_none_or(|own| self.last < own);
        let began = task.began().or(is_kept.then_some(self.last));
        let began = began.or(session.began.map(|began| began + order));
        keys.push(key);
        match task.session {
            0 => (id, self.last),
            _ => (id, began.unwrap_or(self.last)),
        }
    }

    /// Counts what is in the user's name and was not typed. What goes with each conversation is no news.
    fn not_typed(&mut self) {
        self.aside.push(Item::Skipped(BY_PROGRAM.to_owned()));
    }

    /// Begins a turn where a task answers nothing that the user said.
    fn unasked(&mut self, task: &Task<'_>, said: &str) {
        let is_first = self.keys[task.session].is_empty();
        if !self.has_begun && (task.is_task || is_first) {
            let (id, time) = self.begin(task, said);
            self.turns[task.session].unasked(&id, time, said);
        }
    }

    /// Takes what another agent said: what the task is for, or something that comes while it runs.
    fn handed(&mut self, task: &Task<'_>, item: &Value) {
        let said = handed(item);
        if self.has_begun {
            let (turns, id) = (&mut self.turns[task.session], text(item, "id"));
            turns.late(id, self.last, "", "agent_message", &said);
        } else {
            self.unasked(task, &said);
        }
    }

    fn tokens(&mut self, task: &Task<'_>, event: &Value) {
        // The same count may be told again.
        let total = event["info"]["total_token_usage"]["total_tokens"].as_u64();
        if std::mem::replace(&mut self.total, total) == total {
            return;
        }
        let last = &event["info"]["last_token_usage"];
        let usage = Usage {
            input_tokens: last["input_tokens"].as_u64(),
            output_tokens: last["output_tokens"].as_u64(),
        };
        if usage != Usage::default() {
            self.turns[task.session].usage(usage);
        }
    }

    /// Takes what the model said where nothing but the event tells it.
    fn told(&mut self, task: &Task<'_>, event: &Value) {
        self.unasked(task, "");
        let id = format!("{}/0", self.sessions[task.session].id);
        self.turns[task.session].answer(&id, self.last, &self.model, &words(event));
    }

    fn item(&mut self, task: &Task<'_>, item: &Value) {
        let kind = text(item, "type");
        if kind == "agent_message" {
            return self.handed(task, item);
        }
        let thought = match kind {
            "reasoning" => thought(item),
            _ => String::new(),
        };
        if is_answer(item) || is_call(item) || !thought.is_empty() {
            self.said = None;
            self.unasked(task, "");
        } else if kind.ends_with("_output") && self.keys[task.session].is_empty() {
            self.unasked(task, "");
        }
        let turns = &mut self.turns[task.session];
        let id = format!("{}/0", self.sessions[task.session].id);
        match kind {
            "message" if is_answer(item) => {
                turns.answer(&id, self.last, &self.model, &texts(&item["content"]));
            }
            "reasoning" if !thought.is_empty() => turns.thought(&id, self.last, &thought),
            "function_call" => {
                let arguments = text(item, "arguments");
                let arguments =
                    serde_json::from_str(arguments).unwrap_or_else(|_| json!({"text": arguments}));
                turns.call(called(item), self.last, text(item, "name"), arguments);
            }
            "custom_tool_call" => {
                let input = json!({"input": item["input"]});
                turns.call(called(item), self.last, text(item, "name"), input);
            }
            "local_shell_call" => {
                turns.call(called(item), self.last, "shell", item["action"].clone());
            }
            "web_search_call" => turns.call(
                called(item),
                self.last,
                "web_search",
                item["action"].clone(),
            ),
            "function_call_output" | "custom_tool_call_output" => {
                let (observed, success) = output(&item["output"]);
                turns.observation(text(item, "call_id"), self.last, &observed, success);
            }
            _ => {}
        }
    }
}

/// Makes a turn of one that a fork repeats: all its lines are stamped with the moment of the fork.
fn as_replayed(turn: &mut SourceTurn, fork: &str) {
    turn.duration_ms = 0;
    for step in &mut turn.steps {
        step.started_at = turn.timestamp;
        step.duration_ms = 0;
    }
    turn.metadata.insert("replayed_by".to_owned(), json!(fork));
}

/// Returns what the user said, as the events tell it.
fn heard(lines: &[Value]) -> HashSet<String> {
    let heard = lines.iter().filter_map(|line| match Line::of(line) {
        Line::Typed(event) => Some(squeezed(event)),
        _ => None,
    });
    heard.collect()
}

/// Returns the words of a message without blanks, which differ between an event and its item.
fn squeezed(said: &Value) -> String {
    words(said).split_whitespace().collect()
}

/// Returns the lines with which the program sums up a conversation, so that it can begin anew: in a task of their own, or in another.
fn summaries(task: &Task<'_>, tells: bool) -> Vec<usize> {
    let item = |at: &usize| match Line::of(&task.lines[*at]) {
        Line::Item(item) => Some(item),
        _ => None,
    };
    let all = || (0..task.lines.len()).filter_map(|at| Some((at, item(&at)?)));
    let is_asked = task
        .lines
        .iter()
        .any(|line| matches!(Line::of(line), Line::Typed(_)))
        || all().any(|(_, item)| {
            is_users(item) && by_whom(item) != By::Program
                || is_call(item)
                || text(item, "type") == "agent_message"
        });
    let sums_up = |line: &Value| matches!(Line::of(line), Line::Compacted(_));
    let is_told = task
        .lines
        .iter()
        .any(|line| matches!(Line::of(line), Line::Told(_)));
    if task.is_task && !is_asked && (task.lines.iter().any(sums_up) || tells && !is_told) {
        return all().map(|(at, _)| at).collect();
    }
    let mut summaries = Vec::new();
    for (at, line) in task.lines.iter().enumerate() {
        let Line::Compacted(compacted) = Line::of(line) else {
            continue;
        };
        let answer = all().rfind(|(before, item)| *before < at && is_answer(item));
        if let Some((before, answer)) = answer {
            let (whole, said) = (text(compacted, "message").trim(), texts(&answer["content"]));
            let before_it = whole.strip_suffix(said.trim());
            if before_it.is_some_and(|before| before.is_empty() || before.ends_with('\n')) {
                summaries.push(before);
            }
        }
    }
    summaries
}
