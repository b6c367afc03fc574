//! What rustyline asks while a line is typed: completion, hints, colour, whether the line is complete, and what Enter does.

use std::borrow::Cow;

use owo_colors::OwoColorize;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Cmd, ConditionalEventHandler, Context, Event, EventContext, Helper, RepeatCount};

use super::input::{continued, is_open};
use crate::commands;

/// Helps while a line is typed.
#[derive(Helper)]
pub struct LineHelper {
    hinter: HistoryHinter,
    commands: &'static [String],
    color: bool,
}

impl LineHelper {
    /// Returns a helper; `color` says whether it may colour what is typed.
    pub fn new(color: bool) -> LineHelper {
        LineHelper {
            hinter: HistoryHinter::new(),
            commands: commands::names(),
            color,
        }
    }
}

/// Is what stands dim behind the cursor.
pub struct Ghost {
    shown: String,
    /// What the right arrow makes of it.
    whole: Option<String>,
}

impl Hint for Ghost {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        self.whole.as_deref()
    }
}

impl Hinter for LineHelper {
    type Hint = Ghost;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Ghost> {
        if let Some(whole) = self.hinter.hint(line, pos, context) {
            return Some(Ghost {
                shown: whole.clone(),
                whole: Some(whole),
            });
        }
        // Enter does not send what is open, and a new line waits for something.
        let goes_on = pos == line.len() && (is_open(line) || line.ends_with('\n'));
        goes_on.then(|| Ghost {
            shown: "… ".to_owned(),
            whole: None,
        })
    }
}

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..pos];
        if let Some(before) = continued(typed) {
            return Ok((before.len(), vec!["\n".to_owned()]));
        }
        if !typed.starts_with('/') || typed.contains(char::is_whitespace) {
            return Ok((pos, Vec::new()));
        }
        Ok((
            0,
            self.commands
                .iter()
                .filter(|name| name.starts_with(typed))
                .map(|name| format!("{name} "))
                .collect(),
        ))
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        let name = line.split(char::is_whitespace).next().unwrap_or_default();
        if self.color && self.commands.iter().any(|command| command == name) {
            return Cow::Owned(format!("{}{}", name.cyan(), &line[name.len()..]));
        }
        Cow::Borrowed(line)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.color {
            Cow::Owned(hint.dimmed().to_string())
        } else {
            Cow::Borrowed(hint)
        }
    }

    fn highlight_char(&self, line: &str, _pos: usize, _kind: CmdKind) -> bool {
        self.color && line.starts_with('/')
    }
}

impl Validator for LineHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        Ok(if is_open(text) || continued(text).is_some() {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

/// Is what Enter does after a `\`: it is completed to a line break. So the line breaks of what is pasted are never looked at.
pub struct Continuation;

impl ConditionalEventHandler for Continuation {
    fn handle(
        &self,
        _event: &Event,
        _count: RepeatCount,
        _positive: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        continued(&context.line()[..context.pos()]).map(|_| Cmd::Complete)
    }
}
