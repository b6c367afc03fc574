//! What happens during a turn, for whoever watches it.

use std::time::Duration;

use crate::conversation::{Step, ToolCall};
use crate::tools::{Heard, Preview};

/// Watches a turn.
pub trait Frontend {
    /// Shows what has just happened.
    fn show(&mut self, event: TurnEvent<'_>);
    /// Takes note of a request before it leaves, word for word; an error keeps it from leaving.
    fn sends(&mut self, _body: &str) -> anyhow::Result<()> {
        Ok(())
    }
    /// Returns what is to hear the tool that is about to run, if somebody wants to.
    fn hears(&mut self) -> Option<Heard> {
        None
    }
    /// Asks whether a call that may change something is to run.
    fn approve(&mut self, call: &ToolCall, preview: &Preview) -> Approval;
    /// Shows a call that is about to run without a question: it was approved before.
    fn approved(&mut self, _call: &ToolCall, _preview: &Preview) {}
}

/// Is the answer of a person who was asked whether a call is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    Yes,
    /// Yes, and to what it covers until the conversation ends.
    Always,
    /// No; the reason, if one is given, is told to the model.
    No(String),
    /// There is nobody to ask.
    Nobody,
    /// The person wants the whole turn to end.
    Interrupt,
}

/// Reports what happens during a turn.
#[derive(Debug, Clone, Copy)]
pub enum TurnEvent<'e> {
    /// A piece of the answer; of a thought, when an action follows.
    Text(&'e str),
    /// A piece of the model's reasoning.
    Reasoning(&'e str),
    /// All text since the last action was reasoning: its end was marked, its beginning not.
    Rethought,
    /// A tool is about to run.
    Action(&'e ToolCall),
    /// A step is over: a tool has run, or what seemed the answer was a thought.
    Observation(&'e Step),
    /// The request is tried again after this delay.
    Retry { reason: &'e str, delay: Duration },
    /// What the person should know about the turn.
    Notice(&'e str),
}
