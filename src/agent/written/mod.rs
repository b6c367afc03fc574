//! Calls that a model writes as text where it should make them: a reply that is nothing but such calls, or ends in marked ones.

mod forms;
#[cfg(test)]
mod tests;

use super::think::{Begins, begins};
use crate::conversation::{ToolCall, ToolSpec};
use forms::{ARGUMENTS, BESIDE, FENCES, LISTS, NAMES, OPENERS, WRAPPINGS, calls};

pub use forms::meant;

/// While a text is no longer than this, in bytes, it is looked at again with each piece.
const LOOKED_AT: usize = 1 << 10;

/// Is what a text turned out to be.
#[derive(Debug, PartialEq)]
pub enum Said {
    Text(String),
    /// Calls, and how they were written.
    Calls(Vec<ToolCall>, String),
}

/// Holds text back as long as it may be a call.
pub struct Written<'t> {
    tools: &'t [ToolSpec],
    state: State,
    /// Something of the line has come.
    in_line: bool,
    /// In a block of code, which only shows what it holds.
    fenced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// All that has come may be a call.
    Undecided,
    /// It is text.
    Flows,
    /// A mark has come that begins a call.
    Marked,
}

impl<'t> Written<'t> {
    /// Looks for calls of these tools.
    pub fn new(tools: &'t [ToolSpec]) -> Written<'t> {
        Written {
            tools,
            state: State::Undecided,
            in_line: false,
            fenced: false,
        }
    }

    /// Takes a chunk and returns the text that is certain by now; the rest is added to `held`.
    pub fn push(&mut self, held: &mut String, chunk: &str) -> String {
        held.push_str(chunk);
        if self.state == State::Undecided && !self.may_be_call(held) {
            self.state = State::Flows;
        }
        if self.state != State::Flows {
            return String::new();
        }
        let mut certain = 0;
        for (at, c) in held.char_indices() {
            if !self.in_line && !c.is_whitespace() {
                let rest = &held[at..];
                let fence = begins(rest, "```");
                let mark = match self.fenced {
                    true => Begins::No,
                    false => opener(rest),
                };
                if mark == Begins::Yes {
                    self.state = State::Marked;
                }
                if mark != Begins::No || fence == Begins::Maybe {
                    return held.drain(..certain).collect();
                }
                self.fenced ^= fence == Begins::Yes;
            }
            self.in_line = c != '\n' && (self.in_line || !c.is_whitespace());
            certain = at + c.len_utf8();
        }
        std::mem::take(held)
    }

    /// Returns what was held back, now that the reply has ended.
    pub fn finish(self, held: &mut String) -> Option<Said> {
        let held = std::mem::take(held);
        if held.is_empty() {
            return None;
        }
        Some(match calls(&held, self.tools) {
            Some(calls) => Said::Calls(calls, held),
            None => Said::Text(held),
        })
    }

    /// Returns whether a text may be the beginning of nothing but calls.
    fn may_be_call(&self, text: &str) -> bool {
        let text = text.trim_start();
        if text.len() > LOOKED_AT || text.is_empty() || opener(text) != Begins::No {
            return true;
        }
        let inner = match begins(text, "```") {
            Begins::Maybe => return true,
            Begins::No => text,
            Begins::Yes => match text[3..].split_once('\n') {
                None => return FENCES.iter().any(|name| name.starts_with(text[3..].trim())),
                Some((name, _)) if !FENCES.contains(&name.trim()) => return false,
                Some((_, inner)) => inner.trim_start(),
            },
        };
        if inner.is_empty() || opener(inner) != Begins::No {
            return true;
        }
        inner.starts_with(['{', '[']) && self.may_be_object(inner)
    }

    /// Returns whether the first field of an object may be one of a call.
    fn may_be_object(&self, text: &str) -> bool {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '[' || c == '{');
        let Some(key) = text.strip_prefix('"') else {
            return text.is_empty();
        };
        let mut known = [&NAMES[..], &ARGUMENTS, &LISTS, &WRAPPINGS, &BESIDE]
            .into_iter()
            .flatten();
        let Some((key, rest)) = key.split_once('"') else {
            return known.any(|name| name.starts_with(key));
        };
        if !known.any(|name| *name == key) {
            return false;
        }
        // A tool that is not offered is none.
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
        let value = value.and_then(|value| value.strip_prefix('"')?.split_once('"'));
        !NAMES.contains(&key) || value.is_none_or(|(name, _)| meant(name, self.tools).is_some())
    }
}

fn opener(text: &str) -> Begins {
    let found = OPENERS.iter().map(|mark| begins(text, mark));
    found.fold(Begins::No, |so_far, found| match (so_far, found) {
        (Begins::Yes, _) | (_, Begins::Yes) => Begins::Yes,
        (Begins::Maybe, _) | (_, Begins::Maybe) => Begins::Maybe,
        _ => Begins::No,
    })
}
