//! Tells reasoning that a model writes into its text from the text itself, while it streams.

mod marks;
#[cfg(test)]
mod tests;

use marks::{
    AROUND_ANSWER, CHANNEL, Channel, END, FRAME, MESSAGE, RETURN, START, STARTS, TAGS, channel,
    found, starts_of,
};

pub use marks::{Begins, begins};

/// The longest head of a message in the Harmony format, in bytes.
const LONGEST_HEAD: usize = 400;
/// How Harmony looks where a server has taken its marks out.
const BARE: (&str, &str) = ("analysis", "assistantfinal");

/// Is a piece of what a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Reasoning(String),
    /// What has come of the text so far was reasoning: its beginning was not marked, but its end is.
    Rethought,
    /// A call, written among the text: the tool and its arguments.
    Call(String, String),
}

#[derive(Debug)]
enum Mode {
    Text,
    /// Until this mark.
    Reasoning(&'static str),
    /// The head of a message in the Harmony format, as it was written.
    Head(String),
    Message(Channel),
}

/// Splits a stream of text. A tag counts at the beginning of a line and outside of code, so that an answer may be about tags.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact about the text so far"
)]
pub struct Thinking {
    mode: Mode,
    /// What may be the beginning of a mark.
    held: String,
    place: Place,
    /// A mark has just closed: the blanks after it belong to nobody.
    trims: bool,
    /// A mark that opens a thought has come, be it in the text.
    opened: bool,
    /// Messages come in the Harmony format.
    framed: bool,
    /// Something other than blanks has been text.
    spoke: bool,
    arguments: String,
}

/// Says where in the text the next character stands.
#[derive(Debug, Default)]
struct Place {
    /// The character before it; none in the beginning.
    last: Option<char>,
    /// Only blanks stand before it in its line.
    in_line: bool,
    fenced: bool,
    /// In code within a line.
    code: bool,
    /// How many marks of code the line begins with.
    ticks: usize,
}

impl Place {
    /// Goes past a text, of which marks of code are the first character or none.
    fn pass(&mut self, text: &str) {
        let mut text = text;
        if let Some(after) = text.strip_prefix('`') {
            let begins = self.last != Some('`');
            if !self.in_line || self.ticks > 0 && !begins {
                self.ticks += 1;
                self.fenced ^= self.ticks == 3;
            }
            self.code ^= begins;
            (self.in_line, self.last) = (true, Some('`'));
            text = after;
        }
        let Some(last) = text.chars().next_back() else {
            return;
        };
        if let Some(line) = text.rfind('\n') {
            (self.in_line, self.code) = (false, false);
            text = &text[line + 1..];
        }
        self.ticks = 0;
        self.in_line |= !text.trim_start().is_empty();
        self.last = Some(last);
    }

    fn is_code(&self) -> bool {
        self.fenced || self.code
    }
}

impl Thinking {
    pub fn new() -> Thinking {
        Thinking {
            mode: Mode::Text,
            held: String::new(),
            place: Place::default(),
            trims: false,
            opened: false,
            framed: false,
            spoke: false,
            arguments: String::new(),
        }
    }

    /// Takes a chunk and returns what is certain by now.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        self.scan(None, &mut pieces);
        pieces
    }

    /// Returns what is left when the stream has ended; `calls` says whether the model called tools beside the text.
    pub fn finish(&mut self, calls: bool) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.scan(Some(calls), &mut pieces);
        match std::mem::replace(&mut self.mode, Mode::Text) {
            Mode::Head(head) if !self.framed => self.emit(&head, &mut pieces),
            Mode::Message(channel) => self.end_message(channel, &mut pieces),
            _ => {}
        }
        pieces
    }

    /// Takes what is held apart, until more has to come to tell what it is. `ended` holds whether there are calls.
    fn scan(&mut self, ended: Option<bool>, pieces: &mut Vec<Piece>) {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        while let Some(first) = rest.chars().next() {
            let taken = match self.mark(rest, ended, pieces) {
                Ok(taken) => taken,
                Err(()) if ended.is_some() => 0,
                Err(()) => break,
            };
            if taken > 0 {
                rest = &rest[taken..];
                continue;
            }
            // Up to where the next mark may be there is only text.
            let after = first.len_utf8();
            let plain = match self.mode {
                Mode::Reasoning(close) => rest[after..].find(starts_of(close)),
                _ => rest[after..].find(STARTS),
            };
            let (text, more) = rest.split_at(plain.map_or(rest.len(), |plain| after + plain));
            self.emit(text, pieces);
            rest = more;
        }
        rest.clone_into(&mut self.held);
    }

    /// Takes a mark from the front of the text, and returns its length: 0 where there is none, `Err` where more has to come to tell.
    fn mark(
        &mut self,
        rest: &str,
        ended: Option<bool>,
        pieces: &mut Vec<Piece>,
    ) -> Result<usize, ()> {
        match &self.mode {
            Mode::Text => self.mark_in_text(rest, ended, pieces),
            Mode::Reasoning(close) => {
                let close = *close;
                if found(rest, [&close])?.is_some() {
                    self.mode = Mode::Text;
                    self.reset();
                    return Ok(close.len());
                }
                Ok(0)
            }
            Mode::Head(head) => {
                if found(rest, [&MESSAGE])?.is_none() {
                    return Ok(0);
                }
                let Some(channel) = channel(head) else {
                    return Ok(0);
                };
                let says_more = channel == Channel::Answer && self.spoke;
                self.mode = Mode::Text;
                if says_more {
                    self.trims = false;
                    self.emit("\n\n", pieces);
                }
                self.reset();
                (self.framed, self.opened) = (true, true);
                self.mode = Mode::Message(channel);
                Ok(MESSAGE.len())
            }
            Mode::Message(_) => {
                let Some(mark) = found(rest, &FRAME)? else {
                    return Ok(0);
                };
                if let Mode::Message(channel) = std::mem::replace(&mut self.mode, Mode::Text) {
                    self.end_message(channel, pieces);
                }
                self.reset();
                self.frame(mark);
                Ok(mark.len())
            }
        }
    }

    fn mark_in_text(
        &mut self,
        rest: &str,
        ended: Option<bool>,
        pieces: &mut Vec<Piece>,
    ) -> Result<usize, ()> {
        if self.framed
            && let Some(mark) = found(rest, &FRAME)?
        {
            self.frame(mark);
            return Ok(mark.len());
        }
        if let Some(tag) = found(rest, TAGS.iter().map(|tag| &tag.open))? {
            self.opened = true;
            if self.place.in_line || self.place.is_code() {
                return Ok(0);
            }
            let close = TAGS.iter().find(|known| known.open == tag);
            self.mode = Mode::Reasoning(close.map_or("", |tag| tag.close));
            return Ok(tag.len());
        }
        if self.place.is_code() {
            return Ok(0);
        }
        if self.opened
            && let Some(mark) = found(rest, &AROUND_ANSWER)?
        {
            self.reset();
            return Ok(mark.len());
        }
        if !self.opened
            && let Some(close) = found(rest, TAGS.iter().map(|tag| &tag.close))?
            && self.closes_all(&rest[close.len()..], ended)?
        {
            self.opened = true;
            self.rethink(pieces);
            return Ok(close.len());
        }
        if !self.place.in_line
            && let Some(mark) = found(rest, &[START, CHANNEL])?
        {
            self.frame(mark);
            return Ok(mark.len());
        }
        if let Some(mark) = found(rest, &[END, RETURN])? {
            let after = rest[mark.len()..].trim_start();
            if after.is_empty() && ended.is_some() {
                return Ok(mark.len());
            }
            // The head of the first message was in the prompt.
            if found(after, &[START])?.is_some() {
                self.rethink(pieces);
                self.framed = true;
                return Ok(mark.len());
            }
        }
        if self.place.last.is_none() && (rest.starts_with(BARE.0) || BARE.0.starts_with(rest)) {
            let after = rest.get(BARE.0.len()..).ok_or(())?;
            if after.chars().next().ok_or(())?.is_uppercase() {
                self.opened = true;
                self.mode = Mode::Reasoning(BARE.1);
                return Ok(BARE.0.len());
            }
        }
        Ok(0)
    }

    /// Returns whether a mark that closes a thought, with this after it, closes one that nothing has opened. Where it is only told of,
    /// it stands among words, and it is no end where nothing follows.
    fn closes_all(&self, after: &str, ended: Option<bool>) -> Result<bool, ()> {
        let is_end = |c: char| c.is_alphanumeric() || ".!?…。！？:)]}*".contains(c);
        if self.place.in_line && !self.place.last.is_some_and(is_end) {
            return Ok(false);
        }
        let blanks = after.trim_start_matches([' ', '\t']);
        let follows = after.trim_start();
        match (follows.chars().next(), ended) {
            (None, None) => Err(()),
            (None, Some(calls)) => Ok(calls),
            _ if blanks.starts_with(['\n', '\r']) => Ok(true),
            (Some(next), _) => Ok(blanks.len() == after.len() && !"`\"'”’.,;:)!?".contains(next)),
        }
    }

    fn rethink(&mut self, pieces: &mut Vec<Piece>) {
        pieces.push(Piece::Rethought);
        self.spoke = false;
        self.reset();
    }

    /// Stands at the beginning of a text again.
    fn reset(&mut self) {
        self.place = Place {
            last: Some('\n'),
            ..Place::default()
        };
        self.trims = true;
    }

    /// Begins the head of a message, where a mark does.
    fn frame(&mut self, mark: &'static str) {
        if mark == START || mark == CHANNEL {
            self.mode = Mode::Head(mark.to_owned());
        }
    }

    fn end_message(&mut self, channel: Channel, pieces: &mut Vec<Piece>) {
        if let Channel::Call(name) = channel {
            let arguments = std::mem::take(&mut self.arguments);
            pieces.push(Piece::Call(name, arguments));
        }
    }

    fn emit(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        let is_text = match &mut self.mode {
            Mode::Head(head) => {
                head.push_str(text);
                // What was taken for a head is none.
                if text.contains('\n') || head.len() > LONGEST_HEAD {
                    let head = std::mem::take(head);
                    self.mode = Mode::Text;
                    self.emit(&head, pieces);
                }
                return;
            }
            Mode::Message(Channel::Call(_)) => return self.arguments.push_str(text),
            Mode::Text | Mode::Message(Channel::Answer) => true,
            Mode::Reasoning(_) | Mode::Message(Channel::Thought) => false,
        };
        let text = match is_text && self.trims {
            true => text.trim_start(),
            false => text,
        };
        if text.is_empty() {
            return;
        }
        if is_text {
            self.trims = false;
            self.spoke |= !text.trim_start().is_empty();
            self.place.pass(text);
        }
        match (pieces.last_mut(), is_text) {
            (Some(Piece::Reasoning(said)), false) | (Some(Piece::Text(said)), true) => {
                said.push_str(text);
            }
            (_, false) => pieces.push(Piece::Reasoning(text.to_owned())),
            (_, true) => pieces.push(Piece::Text(text.to_owned())),
        }
    }
}
