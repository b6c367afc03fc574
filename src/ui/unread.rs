//! The keyboard while nobody reads from it: what is typed then shows up nowhere, and is kept for the line that is edited next.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::termios::{
    FlushArg, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcflush, tcgetattr,
    tcsetattr,
};
use nix::unistd::read;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;

use super::theme::is_dumb;

/// How the terminal was before it was hushed; there is one terminal, and whoever leaves makes it that again.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Holds what was typed while nobody read.
#[derive(Default)]
pub struct Unread {
    is_used: bool,
    /// Whether what is typed is taken from whoever reads next.
    keeps: bool,
    typed: Vec<u8>,
    /// What leaves with Ctrl-C while the chat begins.
    leaving: Option<AbortHandle>,
}

impl Unread {
    /// Returns the keyboard of a terminal on which lines are edited. Until the first of them is, Ctrl-C ends the program.
    ///
    /// It is hushed as long as this lives, also between a line and what it asks for: keys come as they were pressed, and show up nowhere.
    pub fn of_terminal(runtime: &Runtime) -> Unread {
        let mut unread = Unread {
            // A dumb terminal has no bindings for keys, and lines come as they do from a pipe.
            is_used: io::stdin().is_terminal() && !is_dumb(),
            keeps: false,
            typed: Vec::new(),
            leaving: None,
        };
        let _entered = runtime.enter();
        // Where nothing hears Ctrl-C, nothing may be hushed that it would leave so.
        if unread.is_used
            && let Ok(mut interrupts) = signal(SignalKind::interrupt())
        {
            // A terminal that cannot do it shows what is typed, as others do.
            *before() = tcgetattr(io::stdin()).ok();
            quiet();
            unread.keeps(true);
            let leaving = runtime.spawn(async move {
                interrupts.recv().await;
                restore();
                std::process::exit(130);
            });
            unread.leaving = Some(leaving.abort_handle());
        }
        unread
    }

    /// Returns the lines that were typed before the first prompt, each to be run as if it had been typed there; none for Ctrl-D. What no
    /// Enter has ended stays.
    pub fn lines(&mut self) -> Vec<Option<String>> {
        if let Some(leaving) = self.leaving.take() {
            leaving.abort();
        }
        self.keep();
        let mut lines = Vec::new();
        let mut line = Vec::new();
        for key in std::mem::take(&mut self.typed) {
            match key {
                b'\r' | b'\n' => lines.push(Some(edited(&std::mem::take(&mut line)))),
                // Ctrl-D, and what the terminal makes of it where it collects lines itself.
                b'\x04' | b'\0' if edited(&line).is_empty() => lines.push(None),
                key => line.push(key),
            }
        }
        self.typed = line;
        lines
    }

    /// Says what becomes of what is typed from now on. During an answer it is to be kept; after a command it is read as if it had been
    /// typed then, Enter with it.
    pub fn keeps(&mut self, keeps: bool) {
        self.keep();
        self.keeps = keeps;
    }

    /// Returns whether nothing is shown of what is typed.
    pub fn is_hushed(&self) -> bool {
        self.is_used && before().is_some()
    }

    /// Keeps what has been typed so far: whoever reads next does not get it.
    pub fn keep(&mut self) {
        // Whoever stopped and continued us may have changed it.
        if !self.keeps || !quiet() {
            return;
        }
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = read(io::stdin(), &mut buffer) {
            self.typed.extend_from_slice(&buffer[..count]);
        }
    }

    /// Returns what has been typed.
    pub fn rest(&mut self) -> String {
        self.keep();
        edited(&std::mem::take(&mut self.typed))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        restore();
    }
}

/// Lets another program have the terminal as it was.
pub fn as_usual<T>(work: impl FnOnce() -> T) -> T {
    let usual = before().clone();
    if let Some(usual) = &usual {
        tcsetattr(io::stdin(), SetArg::TCSANOW, usual).ok();
    }
    let done = work();
    quiet();
    done
}

/// Forgets what was typed before a question that it cannot be the answer to.
pub fn forget() {
    tcflush(io::stdin(), FlushArg::TCIFLUSH).ok();
}

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the terminal what it was before it was hushed, if it was.
fn restore() {
    if let Some(usual) = before().take() {
        tcsetattr(io::stdin(), SetArg::TCSANOW, &usual).ok();
    }
}

/// Lets keys come one by one, without waiting for any, and Ctrl-C without those before it being lost.
fn quiet() -> bool {
    let Some(mut quiet) = before().clone() else {
        return false;
    };
    quiet.input_flags.remove(InputFlags::ICRNL);
    quiet
        .local_flags
        .remove(LocalFlags::ECHO | LocalFlags::ICANON);
    quiet.local_flags.insert(LocalFlags::NOFLSH);
    quiet.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
    quiet.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    tcsetattr(io::stdin(), SetArg::TCSANOW, &quiet).is_ok()
}

/// Returns the text that keys have made. Enter ends lines and sends nothing: nobody has seen what it would send.
fn edited(keys: &[u8]) -> String {
    let keys = String::from_utf8_lossy(keys);
    let mut text = String::new();
    let mut keys = keys.chars().peekable();
    while let Some(key) = keys.next() {
        match key {
            '\r' | '\n' => text.push('\n'),
            '\x08' | '\x7f' => drop(text.pop()),
            '\x15' => text.truncate(text.rfind('\n').map_or(0, |end| end + 1)),
            '\x17' => {
                let before = text.trim_end_matches(' ').rfind([' ', '\n']);
                text.truncate(before.map_or(0, |end| end + 1));
            }
            // Arrows and their like: up to their final letter.
            '\x1b' => {
                if keys.next_if(|next| matches!(next, '[' | 'O')).is_some() {
                    while keys.next().is_some_and(|next| !matches!(next, '@'..='~')) {}
                }
            }
            _ if key.is_control() && key != '\t' => {}
            _ => text.push(key),
        }
    }
    text.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_nobody_read_are_the_text_they_would_have_made() {
        for (keys, text) in [
            ("and then?", "and then?"),
            ("and then?\r", "and then?"),
            ("one\rtwo\r", "one\ntwo"),
            ("nox\x7f\x7f\x7fyes", "yes"),
            ("\x7f", ""),
            ("one two \x17three", "one three"),
            ("one\rtwo\x15three", "one\nthree"),
            ("a\x1b[Ab\x1bOPc\x1b[1;5Cd\te\x04", "abcd\te"),
            ("\x1b[200~pasted\x1b[201~", "pasted"),
            ("naïve 東京", "naïve 東京"),
        ] {
            assert_eq!(edited(keys.as_bytes()), text, "{keys:?}");
        }
    }

    #[test]
    fn what_came_before_the_first_prompt_is_lines_and_the_beginning_of_one() {
        for (keys, expected, rest) in [
            ("", &[][..], ""),
            ("on", &[], "on"),
            ("one\ntwo\rthr", &[Some("one"), Some("two")], "thr"),
            ("nox\x7f\x7f\x7fyes\r\r", &[Some("yes"), Some("")], ""),
            ("one\r\x04", &[Some("one"), None], ""),
            ("one\n\0", &[Some("one"), None], ""),
            ("on\x04e\r", &[Some("one")], ""),
        ] {
            let mut unread = Unread::default();
            unread.typed.extend(keys.bytes());
            let lines = unread.lines();
            let lines: Vec<Option<&str>> = lines.iter().map(Option::as_deref).collect();
            assert_eq!(
                (&lines[..], &*unread.typed),
                (expected, rest.as_bytes()),
                "{keys:?}"
            );
        }
    }
}
