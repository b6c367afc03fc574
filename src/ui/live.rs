//! A turn as it happens: the answer streams to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use super::theme::{dim, one_line, visible};
use super::{Approvals, Ui, approval, report, say};
use crate::agent::{Approval, Frontend, TurnEvent};
use crate::conversation::ToolCall;
use crate::tools::Preview;

/// The longest call that is shown whole before it runs, in characters.
const LONGEST: usize = 200;

/// Shows a turn while it runs.
pub struct Live<'u> {
    ui: &'u Ui,
    approvals: &'u mut Approvals,
    /// What the cursor stands behind.
    behind: Behind,
    /// Text that is the answer unless an action follows, or a mark says that it was reasoning; kept back where nobody watches it come.
    held: Option<String>,
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
    pub fn new(ui: &'u Ui, approvals: &'u mut Approvals) -> Live<'u> {
        Live {
            ui,
            approvals,
            behind: Behind::LineEnd,
            held: (!io::stdout().is_terminal()).then(String::new),
            broken: None,
        }
    }

    /// Keeps the answer back until it is complete.
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Ends the last line. Fails when the answer could not be written.
    pub fn finish(mut self, interrupted: bool) -> io::Result<()> {
        if let Some(held) = self.held.take() {
            self.answer(&held);
        }
        // The terminal has written `^C` there.
        if interrupted && self.behind == Behind::LineEnd && self.ui.watched() {
            say("\n");
        }
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

    fn answer(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.behind == Behind::Reasoning {
            self.end_line();
        }
        let shown = self.ui.look.text(text);
        self.out(&shown);
        self.behind = behind(text, Behind::Answer);
    }

    fn line(&mut self, text: &str) {
        self.end_line();
        say(&format!("{}\n", dim(text, self.ui.color_err)));
    }
}

fn behind(text: &str, what: Behind) -> Behind {
    if text.ends_with('\n') {
        Behind::LineEnd
    } else {
        what
    }
}

impl Frontend for Live<'_> {
    fn show(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(_) if self.ui.json => {}
            TurnEvent::Text(text) => match &mut self.held {
                Some(held) => held.push_str(text),
                None => self.answer(text),
            },
            TurnEvent::Reasoning(text) if self.ui.watched() => {
                if self.behind == Behind::Answer {
                    self.end_line();
                }
                say(&dim(&visible(text), self.ui.color_err));
                self.behind = behind(text, Behind::Reasoning);
            }
            TurnEvent::Rethought => match &mut self.held {
                Some(held) => held.clear(),
                None if self.ui.json => {}
                // It cannot be taken back.
                None => self.line("↑ that was reasoning"),
            },
            TurnEvent::Action(call) => {
                // What was said before it was a thought.
                if let Some(held) = &mut self.held {
                    held.clear();
                }
                if self.ui.watched() {
                    self.line(&format!("→ {}", report::call(call, LONGEST)));
                }
            }
            TurnEvent::Observation(step) => {
                if let Some(held) = &mut self.held {
                    held.clear();
                }
                if self.ui.watched() && step.action.is_some() {
                    self.line(&format!("← {}", report::outcome(step)));
                }
            }
            TurnEvent::Reasoning(_) => {}
            TurnEvent::Retry { reason, delay } => {
                self.line(&format!(
                    "{}; trying again in {:.1} s",
                    one_line(reason),
                    delay.as_secs_f32()
                ));
            }
            TurnEvent::Notice(text) => self.line(&one_line(text)),
        }
    }

    fn approve(&mut self, call: &ToolCall, preview: &Preview) -> Approval {
        self.end_line();
        approval::ask(self.ui, self.approvals, call, preview)
    }
}
