//! Tells reasoning that a model writes as `<think>…</think>` into its text from the text itself, while it streams.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Is a piece of what a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Reasoning(String),
}

/// Splits a stream of text. A tag counts at the beginning of a line, so that an answer may be about tags.
pub struct Thinking {
    inside: bool,
    /// What may be the beginning of a tag.
    held: String,
    at_line_start: bool,
    /// A tag has just closed: the blanks after it belong to nobody.
    trims: bool,
}

impl Thinking {
    pub fn new() -> Thinking {
        Thinking {
            inside: false,
            held: String::new(),
            at_line_start: true,
            trims: false,
        }
    }

    /// Takes a chunk and returns what is certain by now.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for c in text.chars() {
            self.held.push(c);
            let tag = if self.inside { CLOSE } else { OPEN };
            if self.held == tag {
                self.held.clear();
                self.inside = !self.inside;
                self.trims = !self.inside;
                self.at_line_start = true;
                continue;
            }
            // What is held and is no tag goes out from its front, until the rest may be one.
            while !self.held.is_empty()
                && !(tag.starts_with(&self.held) && (self.inside || self.at_line_start))
            {
                let first = self.held.remove(0);
                self.emit(first, &mut pieces);
            }
        }
        pieces
    }

    /// Returns what is left when the stream has ended.
    pub fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for c in std::mem::take(&mut self.held).chars() {
            self.emit(c, &mut pieces);
        }
        pieces
    }

    fn emit(&mut self, c: char, pieces: &mut Vec<Piece>) {
        if !self.inside {
            if self.trims && c.is_whitespace() {
                return;
            }
            self.trims = false;
            self.at_line_start = c == '\n' || self.at_line_start && c.is_whitespace();
        }
        match (pieces.last_mut(), self.inside) {
            (Some(Piece::Reasoning(text)), true) | (Some(Piece::Text(text)), false) => text.push(c),
            (_, true) => pieces.push(Piece::Reasoning(c.into())),
            (_, false) => pieces.push(Piece::Text(c.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, reasoning: &str, answer: &str) {
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let mut thinking = Thinking::new();
            let mut pieces = thinking.push(&text[..cut]);
            pieces.extend(thinking.push(&text[cut..]));
            pieces.extend(thinking.finish());
            let (mut thought, mut said) = (String::new(), String::new());
            for piece in pieces {
                match piece {
                    Piece::Reasoning(text) => thought += &text,
                    Piece::Text(text) => said += &text,
                }
            }
            assert_eq!(
                (thought.as_str(), said.as_str()),
                (reasoning, answer),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn reasoning_is_told_from_the_answer_wherever_the_text_is_cut() {
        check("<think>hm 🦀\n</think>\n\nYes.", "hm 🦀\n", "Yes.");
        check(" \n<think>a < b</think>c", "a < b", " \nc");
        check("one\n<think>two</think>three", "two", "one\nthree");
        check(
            "The <think> tag, <thin air",
            "",
            "The <think> tag, <thin air",
        );
        check("<think>never closed", "never closed", "");
        check("<<think>x", "", "<<think>x");
        check("<think></think>x", "", "x");
    }
}
