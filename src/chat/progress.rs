//! Keeps the journal up to date while a turn runs, so that a shell that dies loses at most a moment of it.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::agent::{Approval, Frontend, TurnEvent};
use crate::conversation::{Step, ToolCall};
use crate::store::Partial;

/// How often what has come is written.
const EVERY: Duration = Duration::from_millis(250);

/// Holds what has come of a turn and how much of it is written.
#[derive(Default)]
pub struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    said: String,
    thought: String,
    steps: Vec<Step>,
    changed: bool,
}

/// Passes everything on to a front end, and takes note of it.
pub struct Noting<'f> {
    pub frontend: &'f mut dyn Frontend,
    pub progress: &'f Progress,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what has come, again and again, until it is dropped.
    pub async fn keep(&self, mut write: impl FnMut(Partial)) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Some(partial) = self.take() {
                write(partial);
            }
        }
    }

    fn take(&self) -> Option<Partial> {
        let mut state = self.state();
        if !std::mem::take(&mut state.changed) {
            return None;
        }
        Some(Partial {
            said: state.said.clone(),
            thought: state.thought.clone(),
            steps: std::mem::take(&mut state.steps),
        })
    }
}

impl Frontend for Noting<'_> {
    fn show(&mut self, event: TurnEvent<'_>) {
        {
            let mut state = self.progress.state();
            match event {
                TurnEvent::Text(text) => state.said.push_str(text),
                TurnEvent::Reasoning(text) => state.thought.push_str(text),
                // What was said and thought before it is in the step.
                TurnEvent::Observation(step) => {
                    state.steps.push(step.clone());
                    state.said.clear();
                    state.thought.clear();
                }
                _ => {}
            }
            state.changed |= matches!(
                event,
                TurnEvent::Text(_) | TurnEvent::Reasoning(_) | TurnEvent::Observation(_)
            );
        }
        self.frontend.show(event);
    }

    fn approve(&mut self, call: &ToolCall, preview: &str) -> Approval {
        self.frontend.approve(call, preview)
    }
}
