//! What rustyline asks while a line is typed: completion, hints, colour, and whether the line is complete.

use std::borrow::Cow;

use owo_colors::OwoColorize;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::HistoryHinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Hinter};

use super::input::is_open;
use crate::commands;

/// Helps while a line is typed.
#[derive(Helper, Hinter)]
pub struct LineHelper {
    #[rustyline(Hinter)]
    hinter: HistoryHinter,
    commands: Vec<String>,
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

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..pos];
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
        Ok(if is_open(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}
