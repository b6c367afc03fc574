//! A turn as it happens: the answer streams to stdout, everything else to stderr.

use std::io::{self, Write};

use super::theme::{dim, one_line, visible};
use super::{Ui, say};
use crate::agent::{Frontend, TurnEvent};

/// Shows a turn while it runs.
pub struct Live<'u> {
    ui: &'u Ui,
    /// What the cursor stands behind.
    behind: Behind,
    /// The first error of writing to stdout; the turn goes on, so that it is recorded.
    broken: Option<io::Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    LineEnd,
    Answer,
    Reasoning,
}

impl<'u> Live<'u> {
    /// Returns a front end for one turn.
    pub fn new(ui: &'u Ui) -> Live<'u> {
        Live {
            ui,
            behind: Behind::LineEnd,
            broken: None,
        }
    }

    /// Ends the last line. Fails when the answer could not be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_line();
        self.broken.map_or(Ok(()), Err)
    }

    fn end_line(&mut self) {
        match self.behind {
            Behind::LineEnd => {}
            Behind::Answer => self.out("\n"),
            Behind::Reasoning => say("\n"),
        }
        self.behind = Behind::LineEnd;
    }

    fn out(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.broken.get_or_insert(error);
        }
    }

    fn line(&mut self, text: &str) {
        self.end_line();
        say(&format!("{}\n", dim(text, self.ui.color_err)));
    }
}

impl Frontend for Live<'_> {
    fn show(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(_) if self.ui.json => {}
            TurnEvent::Text(text) => {
                if self.behind == Behind::Reasoning {
                    self.end_line();
                }
                self.out(&visible(text));
                self.behind = if text.ends_with('\n') {
                    Behind::LineEnd
                } else {
                    Behind::Answer
                };
            }
            TurnEvent::Reasoning(text) if self.ui.watched() => {
                if self.behind == Behind::Answer {
                    self.end_line();
                }
                say(&dim(&visible(text), self.ui.color_err));
                self.behind = if text.ends_with('\n') {
                    Behind::LineEnd
                } else {
                    Behind::Reasoning
                };
            }
            TurnEvent::Action(call) if self.ui.watched() => {
                self.line(&format!(
                    "→ {} {}",
                    one_line(&call.name),
                    one_line(&call.arguments.to_string())
                ));
            }
            TurnEvent::Observation(step) if self.ui.watched() => {
                let outcome = if step.success { "ok" } else { "error" };
                self.line(&format!("← {outcome}, {} bytes", step.observation.len()));
            }
            TurnEvent::Reasoning(_) | TurnEvent::Action(_) | TurnEvent::Observation(_) => {}
            TurnEvent::Retry { reason, delay } => {
                self.line(&format!(
                    "{}; trying again in {:.1} s",
                    one_line(reason),
                    delay.as_secs_f32()
                ));
            }
            TurnEvent::LeftOut { turns } => {
                self.line(&format!(
                    "the first {turns} turns no longer fit the model's window and were left out"
                ));
            }
        }
    }
}
