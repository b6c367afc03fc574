//! A turn as it happens: the answer streams to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use super::theme::{dim, fitted, folded, one_line, visible};
use super::waiting::Waiting;
use super::{Ui, Unread, approval, report, say};
use crate::agent::{Approval, Frontend, TurnEvent};
use crate::conversation::{Step, ToolCall};
use crate::tools::{Heard, Preview, RUN_COMMAND};

/// The longest call that is shown whole before it runs, in characters.
const LONGEST: usize = 200;

/// Shows a turn while it runs.
pub struct Live<'u> {
    ui: &'u Ui,
    unread: &'u mut Unread,
    /// The sign that nothing has come yet.
    waiting: Option<Waiting>,
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
    pub fn new(ui: &'u Ui, unread: &'u mut Unread) -> Live<'u> {
        Live {
            ui,
            unread,
            waiting: ui.waiting(),
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
        self.waiting = None;
        if let Some(held) = self.held.take() {
            self.answer(&held);
        }
        // The terminal has written `^C` there.
        let is_echoed = self.ui.watched() && !self.unread.is_hushed();
        if interrupted && self.behind == Behind::LineEnd && is_echoed {
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
        self.waiting = None;
        if self.behind == Behind::Reasoning {
            self.end_line();
        }
        let shown = self.ui.look.text(text);
        self.out(&shown);
        self.behind = behind(text, Behind::Answer);
    }

    fn line(&mut self, text: &str) {
        self.end_line();
        let line = format!("{}\n", dim(&folded(text), self.ui.color_err));
        match &self.waiting {
            Some(waiting) => waiting.above(&line),
            None => say(&line),
        }
    }

    /// Shows from now on how long something takes.
    fn wait(&mut self) {
        self.waiting = None;
        self.end_line();
        self.waiting = self.ui.waiting();
    }
}

/// Returns what a person who watches sees of what came of an action: in one line, but of a command also how its output begins.
fn seen(step: &Step) -> Vec<String> {
    const LINES: usize = 5;
    let is_command = step
        .action
        .as_ref()
        .is_some_and(|call| call.name == RUN_COMMAND);
    let observation = step.observation.trim_start_matches("error: ");
    let (ended, output) = observation.split_once('\n').unwrap_or((observation, ""));
    // What was refused has not run.
    if !is_command || output.is_empty() {
        return vec![report::outcome(step)];
    }
    let says =
        |line: &&str| !line.trim().is_empty() && !matches!(*line, "--- stdout" | "--- stderr");
    let lines: Vec<&str> = output.lines().filter(says).collect();
    let mut seen = vec![one_line(ended)];
    seen.extend(lines.iter().take(LINES).map(|line| fitted(line)));
    match lines.len().saturating_sub(LINES) {
        0 => {}
        // To say so takes a line, too.
        1 => seen.push(fitted(lines[LINES])),
        more => seen.push(format!("  … {more} more lines")),
    }
    seen
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
                self.waiting = None;
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
                    // The command itself is shown before anybody says yes to it.
                    let shown = match call.name == RUN_COMMAND && io::stdin().is_terminal() {
                        true => call.name.clone(),
                        false => report::call(call, LONGEST),
                    };
                    self.line(&format!("→ {shown}"));
                    self.wait();
                }
            }
            TurnEvent::Observation(step) => {
                if let Some(held) = &mut self.held {
                    held.clear();
                }
                if self.ui.watched() && step.action.is_some() {
                    self.waiting = None;
                    let came = seen(step).join("\n");
                    self.line(&format!("← {came}"));
                }
                self.wait();
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

    fn hears(&mut self) -> Option<Heard> {
        self.waiting.as_ref().map(Waiting::heard)
    }

    fn approve(&mut self, call: &ToolCall, preview: &Preview) -> Approval {
        self.waiting = None;
        self.end_line();
        // What was typed before the question is no answer to it.
        self.unread.keep();
        let approval = approval::ask(self.ui, call, preview);
        self.wait();
        approval
    }

    fn approved(&mut self, _call: &ToolCall, preview: &Preview) {
        if self.ui.watched() {
            self.waiting = None;
            self.end_line();
            approval::show(self.ui, preview);
            self.wait();
        }
    }
}
