//! What a line of a transcript is, in all forms that versions have written it in.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::import::files::text;

/// Is what a line tells.
pub enum Line<'l> {
    /// What is known of a session: the first is that of the file, those after it belong to what it was forked from.
    Session(&'l Value),
    TaskStarted,
    TaskEnded,
    TaskAborted,
    /// The settings of a task.
    Context(&'l Value),
    /// What the user said, told apart from what the program says in his name.
    Typed(&'l Value),
    /// What the model said, told apart from what it says to the program.
    Told(&'l Value),
    /// How many tokens were taken.
    Tokens(&'l Value),
    /// What goes between the program and the model.
    Item(&'l Value),
    /// The conversation begins anew with a summary.
    Compacted(&'l Value),
    Other,
}

impl Line<'_> {
    pub fn of(line: &Value) -> Line<'_> {
        let payload = &line["payload"];
        match text(line, "type") {
            "session_meta" => Line::Session(payload),
            "turn_context" => Line::Context(payload),
            "response_item" => Line::Item(payload),
            "compacted" => Line::Compacted(payload),
            "event_msg" => event(payload),
            // The first transcripts had the items themselves.
            _ if payload.is_null() => Line::Item(line),
            _ => Line::Other,
        }
    }
}

fn event(event: &Value) -> Line<'_> {
    match text(event, "type") {
        "task_started" | "turn_started" => Line::TaskStarted,
        "task_complete" | "turn_complete" => Line::TaskEnded,
        "turn_aborted" => Line::TaskAborted,
        "token_count" => Line::Tokens(event),
        "user_message" => Line::Typed(event),
        "agent_message" => Line::Told(event),
        "context_compacted" => Line::Compacted(event),
        "item_completed" => match text(&event["item"], "type") {
            "UserMessage" => Line::Typed(event),
            "AgentMessage" => Line::Told(event),
            "ContextCompaction" => Line::Compacted(event),
            _ => Line::Other,
        },
        _ => Line::Other,
    }
}

/// Returns when something began whose id says so (UUID version 7).
pub fn begun(id: &str) -> Option<DateTime<Utc>> {
    began(Uuid::parse_str(id).ok()?)
}

/// Returns when something began, as its id says.
pub fn began(id: Uuid) -> Option<DateTime<Utc>> {
    let millis = i64::try_from(id.as_u128() >> 80).ok()?;
    DateTime::from_timestamp_millis(millis).filter(|_| id.get_version_num() == 7)
}
