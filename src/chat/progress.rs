//! Keeps the journal up to date while a turn runs, so that a shell that dies loses at most a moment of it, and of what it has sent
//! nothing.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use super::approvals::Approvals;
use crate::agent::{Approval, Frontend, TurnEvent};
use crate::conversation::{Step, ToolCall};
use crate::store::Partial;
use crate::tools::{Heard, Preview};

/// How often what has come is written.
const EVERY: Duration = Duration::from_millis(250);

/// Holds what has come of a turn, and writes what is not written yet.
pub struct Progress<W>(Mutex<State<W>>);

struct State<W> {
    said: String,
    thought: String,
    steps: Vec<Step>,
    changed: bool,
    write: W,
}

/// Passes everything on to a front end, and takes note of it.
pub struct Noting<'f, W> {
    pub frontend: &'f mut dyn Frontend,
    pub approvals: &'f mut Approvals,
    /// Whether every call is approved.
    pub approves_all: bool,
    pub progress: &'f Progress<W>,
    /// Writes a request, before it leaves.
    pub sends: &'f dyn Fn(&str) -> Result<()>,
}

impl<W: FnMut(Partial)> Progress<W> {
    /// Begins with nothing; `write` gets what has come.
    pub fn new(write: W) -> Progress<W> {
        Progress(Mutex::new(State {
            said: String::new(),
            thought: String::new(),
            steps: Vec::new(),
            changed: false,
            write,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what has come, again and again, until it is dropped.
    pub async fn keep(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            self.state().write();
        }
    }
}

impl<W: FnMut(Partial)> State<W> {
    fn write(&mut self) {
        if std::mem::take(&mut self.changed) {
            (self.write)(Partial {
                said: self.said.clone(),
                thought: self.thought.clone(),
                steps: std::mem::take(&mut self.steps),
            });
        }
    }
}

impl<W: FnMut(Partial)> Frontend for Noting<'_, W> {
    fn show(&mut self, event: TurnEvent<'_>) {
        {
            let mut state = self.progress.state();
            match event {
                TurnEvent::Text(text) => state.said.push_str(text),
                TurnEvent::Reasoning(text) => state.thought.push_str(text),
                TurnEvent::Rethought => {
                    let said = std::mem::take(&mut state.said);
                    state.thought.push_str(&said);
                }
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
                TurnEvent::Text(_)
                    | TurnEvent::Reasoning(_)
                    | TurnEvent::Rethought
                    | TurnEvent::Observation(_)
            );
        }
        self.frontend.show(event);
    }

    fn sends(&mut self, body: &str) -> Result<()> {
        // What came before it stands before it.
        self.progress.state().write();
        (self.sends)(body)?;
        self.frontend.sends(body)
    }

    fn hears(&mut self) -> Option<Heard> {
        self.frontend.hears()
    }

    fn approve(&mut self, call: &ToolCall, preview: &Preview) -> Approval {
        if self.approves_all || self.approvals.cover(call, preview) {
            self.frontend.approved(call, preview);
            return Approval::Yes;
        }
        // Nothing else happens until a person has answered, and that may be never.
        self.progress.state().write();
        let approval = self.frontend.approve(call, preview);
        if approval == Approval::Always {
            self.approvals.add(call, preview);
        }
        approval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says how often something had been written when it was asked.
    struct Asked<'w>(&'w Mutex<Vec<String>>, usize);

    impl Frontend for Asked<'_> {
        fn show(&mut self, _event: TurnEvent<'_>) {}

        fn approve(&mut self, _call: &ToolCall, _preview: &Preview) -> Approval {
            self.1 = self.0.lock().unwrap().len();
            Approval::Nobody
        }
    }

    // Finding L26.
    #[test]
    fn what_has_come_is_written_before_a_person_is_asked() {
        let written: Mutex<Vec<String>> = Mutex::default();
        let progress = Progress::new(|partial: Partial| written.lock().unwrap().push(partial.said));
        let mut asked = Asked(&written, 0);
        let mut noting = Noting {
            frontend: &mut asked,
            approvals: &mut Approvals::default(),
            approves_all: false,
            progress: &progress,
            sends: &|_| Ok(()),
        };
        noting.show(TurnEvent::Text("I will remove it."));
        let call = ToolCall {
            name: "run_command".to_owned(),
            ..ToolCall::default()
        };
        noting.approve(&call, &Preview::of(String::new()));
        assert_eq!(asked.1, 1);
        assert_eq!(*written.lock().unwrap(), ["I will remove it."]);
    }
}
