//! Which lines of a transcript belong to one task, and whose it was: a fork begins with a replay of what it was forked from.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::item::{is_answer, is_call};
use super::line::{Line, began, begun};
use crate::import::files::{text, time};
use crate::import::turns::Conversation;

/// How long nothing is written after a replay, at least: a person has to type first.
const PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Is a session that a transcript tells of.
pub struct Session<'l> {
    pub id: String,
    pub began: Option<DateTime<Utc>>,
    /// What is known of it, nothing where only its id is.
    pub meta: &'l Value,
}

/// Is what was written for one task, or before there were tasks.
pub struct Task<'l> {
    pub lines: &'l [Value],
    /// Whether the transcript says that a task began.
    pub is_task: bool,
    /// What the program calls it: an id that says when it began.
    pub turn: Option<Uuid>,
    /// The session that it belongs to.
    pub session: usize,
}

impl Session<'_> {
    /// Returns what is worth keeping of it; an agent's says who it works for.
    pub fn conversation(&self, title: String) -> Conversation {
        let spawned = &self.meta["source"]["subagent"]["thread_spawn"];
        let known = [
            ("folder", &self.meta["cwd"]),
            ("version", &self.meta["cli_version"]),
            ("forked_from", &self.meta["forked_from_id"]),
            ("parent", &self.meta["parent_thread_id"]),
            ("parent", &spawned["parent_thread_id"]),
            ("agent", &spawned["agent_path"]),
            ("agent", &spawned["agent_nickname"]),
            ("agent", &spawned["agent_role"]),
        ];
        let mut metadata = Map::new();
        for (name, value) in known {
            let is_new = !metadata.contains_key(name);
            if is_new && value.as_str().is_some_and(|value| !value.is_empty()) {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
        Conversation {
            id: self.id.clone(),
            title,
            metadata,
            ..Conversation::default()
        }
    }

    pub fn provider(&self) -> Option<&str> {
        let name = self.meta["model_provider"].as_str();
        name.filter(|name| !name.is_empty())
    }
}

/// Returns the session of a transcript, and after it those that it may replay.
pub fn sessions<'l>(file: &str, lines: &'l [Value]) -> Vec<Session<'l>> {
    let metas = lines.iter().filter_map(|line| match Line::of(line) {
        Line::Session(meta) => Some(meta),
        _ => None,
    });
    let mut metas: Vec<&Value> = metas.collect();
    // The first transcripts began with the facts themselves.
    if metas.is_empty() {
        metas.push(lines.first().unwrap_or(&Value::Null));
    }
    let is_own = |meta: &&Value| !text(meta, "id").is_empty() && file.contains(text(meta, "id"));
    let own = metas.iter().position(is_own).unwrap_or_default();
    metas.swap(0, own);
    let mut sessions: Vec<Session<'l>> = Vec::new();
    let mut add = |id: &str, meta: &'l Value| {
        if sessions.iter().all(|known| known.id != id) {
            sessions.push(Session {
                id: id.to_owned(),
                began: time(&meta["timestamp"]).or(begun(id)),
                meta,
            });
        }
    };
    for meta in &metas {
        match text(meta, "id") {
            "" => add(file, meta),
            id => add(id, meta),
        }
    }
    for meta in metas {
        let from = text(meta, "forked_from_id");
        if !from.is_empty() {
            add(from, &Value::Null);
        }
    }
    sessions
}

impl Task<'_> {
    /// Returns when it began, where its id says so.
    pub fn began(&self) -> Option<DateTime<Utc>> {
        began(self.turn?)
    }
}

/// Returns the tasks of a transcript in their order.
pub fn tasks<'l>(lines: &'l [Value], sessions: &[Session<'_>]) -> Vec<Task<'l>> {
    let replayed = replayed(lines, sessions);
    let mut cutting = Cutting {
        lines,
        sessions,
        replayed,
        start: 0,
        is_task: false,
        has_said: false,
        turn: None,
        tasks: Vec::new(),
    };
    for (at, line) in lines.iter().enumerate() {
        cutting.line(at, line);
    }
    cutting.end(lines.len());
    cutting.tasks
}

struct Cutting<'l, 's> {
    lines: &'l [Value],
    sessions: &'s [Session<'s>],
    /// How many lines the replay takes.
    replayed: usize,
    /// What is known of the task so far.
    start: usize,
    is_task: bool,
    has_said: bool,
    turn: Option<Uuid>,
    tasks: Vec<Task<'l>>,
}

impl Cutting<'_, '_> {
    fn line(&mut self, at: usize, line: &Value) {
        let id = Uuid::parse_str(text(&line["payload"], "turn_id")).ok();
        let line = Line::of(line);
        let begins = matches!(line, Line::TaskStarted);
        let is_other = self.has_said || self.is_task && (id.is_none() || id != self.turn);
        // What has no tasks has the lines of several sessions in one.
        let goes_on = at == self.replayed && !self.is_task;
        if begins && is_other || goes_on {
            self.end(at);
        }
        match line {
            Line::TaskStarted => {
                self.is_task = true;
                self.turn = id.or(self.turn);
            }
            Line::Context(_) if self.is_task => self.turn = self.turn.or(id),
            Line::Item(item) => self.has_said |= is_answer(item) || is_call(item),
            Line::TaskEnded | Line::TaskAborted if self.is_task => self.end(at + 1),
            _ => {}
        }
    }

    fn end(&mut self, at: usize) {
        let (start, turn) = (std::mem::replace(&mut self.start, at), self.turn.take());
        let is_task = std::mem::take(&mut self.is_task);
        self.has_said = false;
        if start == at {
            return;
        }
        let session = match turn.and_then(began) {
            Some(time) => owner(self.sessions, time),
            // Nothing tells more than that it is a replay.
            None => usize::from(start < self.replayed),
        };
        self.tasks.push(Task {
            lines: &self.lines[start..at],
            is_task,
            turn,
            session,
        });
    }
}

/// Returns the last session to begin before a time, the first of them for a time before all: a replay has the turns of several.
fn owner(sessions: &[Session<'_>], time: DateTime<Utc>) -> usize {
    let began = |at: &usize| sessions[*at].began;
    if sessions.len() == 1 || began(&0).is_none_or(|own| own <= time) {
        return 0;
    }
    let before = (1..sessions.len()).filter(|at| began(at) <= Some(time));
    let first = (1..sessions.len()).min_by_key(began);
    before.max_by_key(began).or(first).unwrap_or_default()
}

/// Returns how many lines a replay takes where times alone tell: it is written at once.
fn replayed(lines: &[Value], sessions: &[Session<'_>]) -> usize {
    // What goes on in the history of another file does not repeat it.
    if sessions.len() == 1 || sessions[0].meta["history_base"].is_object() {
        return 0;
    }
    let is_parent = |line: &Value| match Line::of(line) {
        Line::Session(meta) => text(meta, "id") != sessions[0].id,
        _ => false,
    };
    let first = lines.iter().rposition(is_parent).unwrap_or_default();
    let mut last = lines.get(first).and_then(|line| time(&line["timestamp"]));
    let ends = lines[first..].iter().position(|line| {
        let now = time(&line["timestamp"]).or(last);
        let before = std::mem::replace(&mut last, now);
        // Some versions keep the times of what they repeat.
        now >= sessions[0].began
            && now
                .zip(before)
                .is_some_and(|(now, before)| now - before >= PAUSE)
    });
    ends.map_or(lines.len(), |ends| first + ends)
}
