//! What happens during a turn, for whoever watches it.

use std::time::Duration;

use crate::conversation::{Step, ToolCall};

/// Watches a turn.
pub trait Frontend {
    /// Shows what has just happened.
    fn show(&mut self, event: TurnEvent<'_>);
}

/// Reports what happens during a turn.
#[derive(Debug, Clone, Copy)]
pub enum TurnEvent<'e> {
    /// A piece of the answer.
    Text(&'e str),
    /// A piece of the model's reasoning.
    Reasoning(&'e str),
    /// A tool is about to run.
    Action(&'e ToolCall),
    /// A tool has run.
    Observation(&'e Step),
    /// The request is tried again after this delay.
    Retry { reason: &'e str, delay: Duration },
    /// This many turns of the conversation did not fit into the model's window.
    LeftOut { turns: usize },
}
