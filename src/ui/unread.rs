//! The keyboard while nobody reads from it: what is typed then shows up nowhere, and is kept for the line that is edited next.

use std::io::{self, IsTerminal};

use nix::sys::termios::{
    InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::read;

/// Holds what was typed while nobody read, and how the terminal was before that.
#[derive(Default)]
pub struct Unread {
    is_used: bool,
    before: Option<Termios>,
    /// Whether what is typed is taken from whoever reads next.
    keeps: bool,
    typed: Vec<u8>,
}

impl Unread {
    /// Returns the keyboard of a terminal on which lines are edited.
    pub fn of_terminal() -> Unread {
        Unread {
            is_used: io::stdin().is_terminal(),
            before: None,
            keeps: false,
            typed: Vec::new(),
        }
    }

    /// Shows nothing of what is typed from now on. What is typed during an answer is to be `kept`; after a command it is read as if it
    /// had been typed then, Enter with it.
    pub fn hush(&mut self, kept: bool) {
        if self.is_used && self.before.is_none() {
            self.keeps = kept;
            // A terminal that cannot do it shows what is typed, as others do.
            self.before = tcgetattr(io::stdin()).ok();
            self.quiet();
        }
    }

    /// Returns whether nothing is shown of what is typed.
    pub fn is_hushed(&self) -> bool {
        self.before.is_some()
    }

    /// Keeps what has been typed so far: whoever reads next does not get it.
    pub fn keep(&mut self) {
        // Whoever stopped and continued us may have changed it.
        if !self.keeps || !self.quiet() {
            return;
        }
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = read(io::stdin(), &mut buffer) {
            self.typed.extend_from_slice(&buffer[..count]);
        }
    }

    /// Makes the terminal what it was, and returns what has been typed.
    pub fn rest(&mut self) -> String {
        self.keep();
        if let Some(before) = self.before.take() {
            tcsetattr(io::stdin(), SetArg::TCSANOW, &before).ok();
        }
        edited(&std::mem::take(&mut self.typed))
    }

    /// Lets keys come one by one, without waiting for any, and Ctrl-C without those before it being lost.
    fn quiet(&self) -> bool {
        let Some(mut quiet) = self.before.clone() else {
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
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.rest();
    }
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
}
