//! What rustyline asks while a line is typed: completion, hints, colour, whether the line is complete, and what keys do.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::OwoColorize;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Event, EventContext, Helper, KeyCode, KeyEvent,
    Modifiers, RepeatCount,
};
use unicode_width::UnicodeWidthStr;

use super::input::{continued, is_open};
use crate::commands;
use crate::ui::{clipped, visible};

/// Helps while a line is typed.
#[derive(Helper)]
pub struct LineHelper {
    hinter: HistoryHinter,
    commands: &'static [String],
    color: bool,
    keys: Keys,
    /// How wide the prompt is, and the terminal.
    pub room: (usize, usize),
}

impl LineHelper {
    /// Returns a helper; `color` says whether it may colour what is typed.
    pub fn new(color: bool, keys: Keys) -> LineHelper {
        LineHelper {
            hinter: HistoryHinter::new(),
            commands: commands::names(),
            color,
            keys,
            room: (0, 0),
        }
    }
}

/// Is what stands dim behind the cursor: how a line went on that begins as the one that is typed, or that it is open.
pub struct Ghost {
    /// What is shown of it: one line, and never a second row of the terminal.
    shown: String,
    /// What the right arrow makes of it.
    whole: Option<String>,
}

impl Ghost {
    /// Returns a hint for what is typed, where the rest of the row has room for one.
    fn new(whole: String, typed: &str, room: (usize, usize)) -> Option<Ghost> {
        let room = rest(typed, room)?;
        let line = whole.lines().next().unwrap_or_default().trim_end();
        let mut line = visible(line).replace('\t', " ");
        if whole.trim_end().contains('\n') {
            line.push('…');
        }
        Some(Ghost {
            shown: clipped(&line, room).into_owned(),
            whole: Some(whole),
        })
    }

    /// Returns the sign that a text is open.
    fn open(typed: &str, room: (usize, usize)) -> Option<Ghost> {
        const SIGN: &str = "… ";
        (rest(typed, room)? >= SIGN.width()).then(|| Ghost {
            shown: SIGN.to_owned(),
            whole: None,
        })
    }
}

/// Returns how many columns are left behind what is typed, but for the one that the cursor takes; none where there is no other.
fn rest(typed: &str, (prompt, terminal): (usize, usize)) -> Option<usize> {
    let before = match typed.rsplit_once('\n') {
        Some((_, last)) => visible(last).width(),
        None => prompt + visible(typed).width(),
    };
    let rest = terminal.checked_sub(before.checked_rem(terminal)? + 1)?;
    (rest > 0).then_some(rest)
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
            return Ghost::new(whole, line, self.room);
        }
        // Enter does not send what is open, and a new line waits for something.
        let goes_on = pos == line.len() && (is_open(line) || line.ends_with('\n'));
        goes_on.then(|| Ghost::open(line, self.room)).flatten()
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
        if self.keys.joining()
            && let Some(before) = continued(typed)
        {
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

/// Knows what keys have done to the line that is typed.
#[derive(Clone, Default)]
pub struct Keys(Arc<State>);

#[derive(Default)]
struct State {
    /// Whether the last `\` was typed; what is pasted is text.
    typed: AtomicBool,
    /// Whether what is completed now is that `\`, and not what Tab asks for.
    joining: AtomicBool,
    interrupted: AtomicBool,
}

impl Keys {
    /// Returns the keys that it wants to hear of.
    pub fn heard() -> [KeyEvent; 4] {
        [
            KeyEvent(KeyCode::Enter, Modifiers::NONE),
            KeyEvent::ctrl('C'),
            KeyEvent(KeyCode::Char('\\'), Modifiers::NONE),
            KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE),
        ]
    }

    /// Returns whether Ctrl-C has ended the line that was just read.
    pub fn interrupted(&self) -> bool {
        self.0.interrupted.swap(false, Ordering::Relaxed)
    }

    /// Returns whether Enter is what asks for a completion.
    fn joining(&self) -> bool {
        self.0.joining.swap(false, Ordering::Relaxed)
    }

    /// Returns whether a `\` before the cursor was typed to join the next line.
    fn joins(&self, line: &str, pos: usize) -> bool {
        pos == line.len() && self.0.typed.load(Ordering::Relaxed)
    }
}

impl ConditionalEventHandler for Keys {
    fn handle(
        &self,
        event: &Event,
        _count: RepeatCount,
        _positive: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let (line, pos) = (context.line(), context.pos());
        // A line that is accepted loses its hint, one that is interrupted does not.
        let ends = event.get(0) == Some(&KeyEvent::ctrl('C')) && context.has_hint();
        self.0.interrupted.store(ends, Ordering::Relaxed);
        if ends {
            return Some(Cmd::AcceptLine);
        }
        match event.get(0)?.0 {
            KeyCode::Char('\\') => self.0.typed.store(true, Ordering::Relaxed),
            KeyCode::BracketedPasteStart => self.0.typed.store(false, Ordering::Relaxed),
            KeyCode::Char('C') => {}
            // It is completed to a line break. So the line breaks of what is pasted are never looked at.
            _ if self.joins(line, pos) && continued(line).is_some() => {
                self.0.joining.store(true, Ordering::Relaxed);
                return Some(Cmd::Complete);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, whole: &str, room: (usize, usize), expected: Option<&str>) {
        let ghost = Ghost::new(whole.to_owned(), typed, room);
        assert_eq!(ghost.as_ref().map(Hint::display), expected);
        assert_eq!(
            ghost.as_ref().and_then(Hint::completion),
            expected.map(|_| whole)
        );
    }

    #[test]
    fn a_hint_fits_into_the_row() {
        check("fn", " main() {\n}", (4, 50), Some(" main() {…"));
        check("one", " two\n", (4, 50), Some(" two"));
        check("one", "\ntwo", (4, 50), Some("…"));
        check("ab", "cdefghij", (4, 10), Some("cd…"));
        check("ab", "cde", (4, 10), Some("cde"));
        check("ab", "東京都", (4, 10), Some("東…"));
        check("abcdefghij", "kl", (4, 10), Some("kl"));
        check("x\nab", "cdefghij", (4, 10), Some("cdefgh…"));
        check("abcd", "e", (5, 10), None);
        check("ab", "c\td\x1b[2J", (4, 50), Some("c d␛[2J"));
        check("ab", "c", (4, 0), None);
    }

    #[test]
    fn the_sign_of_an_open_text_takes_no_second_row() {
        let shown = |typed, room| Ghost::open(typed, room).is_some();
        assert!(shown("```", (4, 10)) && !shown("```a", (4, 10)));
        assert!(shown("```\n1234567", (4, 10)) && !shown("```\n12345678", (4, 10)));
        assert!(!shown("```", (4, 0)));
    }
}
