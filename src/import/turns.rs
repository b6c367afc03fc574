//! Puts messages together to turns: each begins with what the user said, and ends before the user speaks again.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::conversation::{Status, Step, ToolCall, Usage};

/// Holds what a source tells of a conversation, besides its turns.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// What the source calls it, unique in the source.
    pub id: String,
    /// Empty where the source has none.
    pub title: String,
    pub system_prompt: String,
    /// What else is worth keeping.
    pub metadata: Map<String, Value>,
}

/// Holds what a source tells of one turn.
#[derive(Debug, Clone)]
pub struct SourceTurn {
    /// What the source calls it, unique in the source.
    pub id: String,
    /// Another name of it, by which a store may have it from an earlier import.
    pub also: Option<String>,
    pub conversation: Arc<Conversation>,
    pub timestamp: DateTime<Utc>,
    pub query: String,
    pub response: String,
    pub steps: Vec<Step>,
    pub facts: Vec<String>,
    pub usage: Option<Usage>,
    pub duration_ms: i64,
    pub provider: String,
    pub model: String,
    pub status: Status,
    /// How many messages of the user it holds: one as a rule, more where he went on while it ran.
    pub messages: usize,
    /// The requests as they were sent, where the source kept them.
    pub requests: Vec<String>,
    /// What else is worth keeping.
    pub metadata: Map<String, Value>,
}

impl SourceTurn {
    /// Returns a turn that has just begun.
    pub fn new(
        conversation: &Arc<Conversation>,
        id: impl Into<String>,
        timestamp: DateTime<Utc>,
        query: impl Into<String>,
    ) -> SourceTurn {
        SourceTurn {
            id: id.into(),
            also: None,
            conversation: Arc::clone(conversation),
            timestamp,
            query: query.into(),
            response: String::new(),
            steps: Vec::new(),
            facts: Vec::new(),
            usage: None,
            duration_ms: 0,
            provider: String::new(),
            model: String::new(),
            status: Status::Interrupted,
            messages: 1,
            requests: Vec::new(),
            metadata: Map::new(),
        }
    }
}

/// Puts the messages of one conversation together to turns.
pub struct Turns {
    conversation: Arc<Conversation>,
    provider: &'static str,
    done: Vec<SourceTurn>,
    turn: Option<SourceTurn>,
    /// What the model thought, and said, since its last call.
    thought: String,
    said: String,
    /// What tools made that can be the answer.
    made: String,
    /// The steps of the turn by the id of their call, and whether they wait for their observation.
    calls: HashMap<String, (usize, bool)>,
    /// When something was heard last.
    last: DateTime<Utc>,
    broken_off: bool,
    early: Option<Usage>,
}

impl Turns {
    /// Begins a conversation with a provider.
    pub fn new(conversation: Conversation, provider: &'static str) -> Turns {
        Turns {
            conversation: Arc::new(conversation),
            provider,
            done: Vec::new(),
            turn: None,
            thought: String::new(),
            said: String::new(),
            made: String::new(),
            calls: HashMap::new(),
            last: DateTime::UNIX_EPOCH,
            broken_off: false,
            early: None,
        }
    }

    /// Takes what the user said: a turn begins.
    pub fn user(&mut self, id: &str, time: DateTime<Utc>, text: &str) {
        self.end();
        let mut turn = SourceTurn::new(&self.conversation, id, time, text.trim());
        self.provider.clone_into(&mut turn.provider);
        turn.usage = self.early.take();
        self.last = time;
        self.turn = Some(turn);
    }

    /// Takes what the user said while the turn runs: it is a part of it.
    pub fn meanwhile(&mut self, id: &str, time: DateTime<Utc>, text: &str) {
        let turn = self.turn(id, time);
        append(&mut turn.query, text.trim());
        turn.messages += 1;
    }

    /// Says that the turn holds more messages of the user.
    pub fn holds_more(&mut self, messages: usize) {
        if let Some(turn) = &mut self.turn {
            turn.messages += messages;
        }
    }

    /// Keeps what else is known of the turn; a list goes on where there is one of its name.
    pub fn keep(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let nothing = value.as_array().is_some_and(Vec::is_empty);
        let Some(turn) = self.turn.as_mut().filter(|_| !nothing) else {
            return;
        };
        let kept = turn.metadata.entry(name).or_insert(Value::Null);
        match (kept, value) {
            (Value::Array(kept), Value::Array(more)) => kept.extend(more),
            (kept, value) => *kept = value,
        }
    }

    /// Takes what came late of a call, or of something that ran beside the turn: what was said before it was said to the user.
    pub fn late(&mut self, id: &str, time: DateTime<Utc>, call_id: &str, name: &str, text: &str) {
        let said = std::mem::take(&mut self.said);
        let turn = self.turn(id, time);
        append(&mut turn.response, &said);
        let known = self.calls.get(call_id).map(|(at, _)| *at);
        if let Some(step) = known.and_then(|at| self.turn.as_mut()?.steps.get_mut(at)) {
            append(&mut step.observation, text);
            return;
        }
        self.call(id, time, name, Value::Object(Map::new()));
        self.observation(id, time, text, true);
    }

    /// Begins a turn with what somebody else said than the user, or with nothing.
    pub fn unasked(&mut self, id: &str, time: DateTime<Utc>, text: &str) {
        self.user(id, time, text);
        if let Some(turn) = &mut self.turn {
            turn.messages = 0;
        }
    }

    /// Says who gave the answer, where the source tells it of each.
    pub fn provider(&mut self, name: &str) {
        if let Some(turn) = self.turn.as_mut().filter(|_| !name.is_empty()) {
            name.clone_into(&mut turn.provider);
        }
    }

    /// Returns the turn; where a conversation begins with an answer, one without a question.
    fn turn(&mut self, id: &str, time: DateTime<Utc>) -> &mut SourceTurn {
        self.last = self.last.max(time);
        if self.turn.is_none() {
            self.unasked(id, time, "");
        }
        self.turn.as_mut().expect("it has just been begun")
    }

    /// Takes what the model said; what it said before it called a tool is a thought.
    pub fn answer(&mut self, id: &str, time: DateTime<Utc>, model: &str, text: &str) {
        let turn = self.turn(id, time);
        if !model.is_empty() {
            model.clone_into(&mut turn.model);
        }
        append(&mut self.said, text);
    }

    /// Takes what the model thought.
    pub fn thought(&mut self, id: &str, time: DateTime<Utc>, text: &str) {
        self.turn(id, time);
        append(&mut self.thought, text);
    }

    /// Takes a call of a tool; `call_id` is what its observation will name.
    pub fn call(&mut self, call_id: &str, time: DateTime<Utc>, name: &str, arguments: Value) {
        self.turn(call_id, time);
        let mut thought = std::mem::take(&mut self.thought);
        append(&mut thought, &std::mem::take(&mut self.said));
        let Some(turn) = &mut self.turn else { return };
        let at = turn.steps.len();
        self.calls.insert(call_id.to_owned(), (at, true));
        turn.steps.push(Step {
            thought,
            action: Some(ToolCall {
                name: name.to_owned(),
                arguments,
                ..ToolCall::default()
            }),
            success: true,
            started_at: time,
            ..Step::default()
        });
    }

    /// Returns whether nothing came of a call yet.
    pub fn awaits(&self, call_id: &str) -> bool {
        self.calls.get(call_id).is_some_and(|(_, waits)| *waits)
    }

    /// Takes what came of a call.
    pub fn observation(&mut self, call_id: &str, time: DateTime<Utc>, text: &str, success: bool) {
        self.last = self.last.max(time);
        if !self.awaits(call_id) {
            // What nobody called is kept all the same.
            self.call(call_id, time, call_id, Value::Object(Map::new()));
        }
        let Some((at, waits)) = self.calls.get_mut(call_id) else {
            return;
        };
        *waits = false;
        let turn = self.turn.as_mut();
        let Some(step) = turn.and_then(|turn| turn.steps.get_mut(*at)) else {
            return;
        };
        append(&mut step.observation, text);
        step.success = success;
        if !success {
            step.error = text.trim().lines().next().map(str::to_owned);
        }
        step.duration_ms = u64::try_from((time - step.started_at).num_milliseconds()).unwrap_or(0);
    }

    /// Takes what a tool made, which is the answer where the model says nothing more.
    pub fn made(&mut self, id: &str, time: DateTime<Utc>, text: &str) {
        self.turn(id, time);
        if self.made != text {
            append(&mut self.made, text);
        }
    }

    /// Adds the tokens of a request; those before the first turn count to that.
    pub fn usage(&mut self, usage: Usage) {
        let sum = match &mut self.turn {
            Some(turn) => &mut turn.usage,
            None => &mut self.early,
        };
        *sum.get_or_insert_default() += usage;
    }

    /// Says that the turn was broken off.
    pub fn broken_off(&mut self) {
        self.broken_off = true;
    }

    /// Says that the turn went on all the same.
    pub fn went_on(&mut self) {
        self.broken_off = false;
    }

    /// Returns the turns.
    pub fn finish(mut self) -> Vec<SourceTurn> {
        self.end();
        self.done
    }

    /// Returns the turns of a conversation that was known at its end.
    pub fn finish_as(mut self, conversation: Conversation) -> Vec<SourceTurn> {
        self.end();
        let conversation = Arc::new(conversation);
        for turn in &mut self.done {
            turn.conversation = Arc::clone(&conversation);
        }
        self.done
    }

    fn end(&mut self) {
        let Some(mut turn) = self.turn.take() else {
            return;
        };
        self.calls.clear();
        let thought = std::mem::take(&mut self.thought);
        append(&mut turn.response, &std::mem::take(&mut self.said));
        let made = std::mem::take(&mut self.made);
        if turn.response.is_empty() {
            turn.response = made;
        }
        if !thought.is_empty() {
            turn.steps.push(thinking(thought, self.last));
        }
        turn.duration_ms = (self.last - turn.timestamp).num_milliseconds().max(0);
        let broken_off = std::mem::take(&mut self.broken_off);
        if !turn.response.is_empty() && !broken_off {
            turn.status = Status::Completed;
        }
        self.done.push(turn);
    }
}

/// Returns the step of a model that only thought.
pub fn thinking(thought: String, time: DateTime<Utc>) -> Step {
    Step {
        thought,
        success: true,
        started_at: time,
        ..Step::default()
    }
}

/// Adds a paragraph.
fn append(to: &mut String, text: &str) {
    let text = text.trim_matches('\n');
    if text.trim().is_empty() {
        return;
    }
    if !to.is_empty() {
        to.push_str("\n\n");
    }
    to.push_str(text);
}
