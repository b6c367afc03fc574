//! Mends escapes in JSON that stand for half a character: programs that cut a text between two UTF-16 units write such, and no parser
//! of JSON takes them.

use std::io::{self, BufRead, Read};

/// What is written in the place of half a character.
const UNKNOWN: &[u8] = br"\ufffd";

/// Reads JSON in which each `\ud83d` has its other half.
pub struct Mended<R> {
    json: R,
    /// What is to be handed over yet, from a place on.
    ready: Vec<u8>,
    done: usize,
    /// An escape that is not whole yet, with its backslash.
    escape: Vec<u8>,
    /// A first half that waits for its second.
    half: Option<[u8; 6]>,
}

impl<R: BufRead> Mended<R> {
    pub fn new(json: R) -> Mended<R> {
        Mended {
            json,
            ready: Vec::new(),
            done: 0,
            escape: Vec::new(),
            half: None,
        }
    }

    /// Reads some more; returns whether there was any.
    fn fill(&mut self) -> io::Result<bool> {
        self.ready.clear();
        self.done = 0;
        let mut text = std::mem::take(&mut self.ready);
        let read = self.json.fill_buf()?;
        let count = read.len();
        let mut rest = read;
        while let Some((&byte, after)) = rest.split_first() {
            if self.escape.is_empty() && self.half.is_none() && byte != b'\\' {
                // Nearly all of it is plain text.
                let plain = rest.iter().position(|byte| *byte == b'\\');
                let (plain, after) = rest.split_at(plain.unwrap_or(rest.len()));
                text.extend_from_slice(plain);
                rest = after;
                continue;
            }
            rest = after;
            take(byte, &mut self.escape, &mut self.half, &mut text);
        }
        self.json.consume(count);
        if count == 0 {
            give_up(&mut self.half, &mut text);
            text.append(&mut self.escape);
        }
        self.ready = text;
        Ok(count > 0 || !self.ready.is_empty())
    }
}

/// Takes a byte of an escape, or one after a first half.
fn take(byte: u8, escape: &mut Vec<u8>, half: &mut Option<[u8; 6]>, text: &mut Vec<u8>) {
    if escape.is_empty() && byte != b'\\' {
        give_up(half, text);
        text.push(byte);
        return;
    }
    escape.push(byte);
    let is_unit = match escape.len() {
        1 => true,
        2 => byte == b'u',
        _ => byte.is_ascii_hexdigit(),
    };
    let Ok(unit) = <[u8; 6]>::try_from(&escape[..]) else {
        if !is_unit {
            give_up(half, text);
            text.append(escape);
        }
        return;
    };
    escape.clear();
    let digits = std::str::from_utf8(&unit[2..]).unwrap_or_default();
    match (u16::from_str_radix(digits, 16), half.take()) {
        (Ok(0xDC00..=0xDFFF), Some(first)) => {
            text.extend_from_slice(&first);
            text.extend_from_slice(&unit);
        }
        (code, first) => {
            give_up(&mut { first }, text);
            match code {
                Ok(0xD800..=0xDBFF) => *half = Some(unit),
                Ok(0xDC00..=0xDFFF) => text.extend_from_slice(UNKNOWN),
                _ => text.extend_from_slice(&unit),
            }
        }
    }
}

/// Writes down that a first half has no second.
fn give_up(half: &mut Option<[u8; 6]>, text: &mut Vec<u8>) {
    if half.take().is_some() {
        text.extend_from_slice(UNKNOWN);
    }
}

impl<R: BufRead> Read for Mended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.done == self.ready.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let ready = &self.ready[self.done..];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.done += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_mended_wherever_the_text_is_cut() {
        for (json, expected) in [
            (r#""plain \" \\ \n""#, "plain \" \\ \n"),
            (r#""\ud83d\ude00 \u00e9""#, "😀 é"),
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\ud83dx \ude00""#, "\u{fffd}x \u{fffd}"),
            (r#""\ud83d\ud83d\ude00\n""#, "\u{fffd}😀\n"),
            (r#""\ud83d\n\\ud83d""#, "\u{fffd}\n\\ud83d"),
        ] {
            for size in 1..=json.len() {
                let cut = io::BufReader::with_capacity(size, json.as_bytes());
                let read: String = serde_json::from_reader(Mended::new(cut)).unwrap();
                assert_eq!(read, expected, "{json} in pieces of {size}");
            }
        }
        // What is no escape stays as it is.
        for odd in [r"\u12", r"\ud83d\u12", r"\", r"\x\ud8"] {
            let mut read = String::new();
            Mended::new(odd.as_bytes())
                .read_to_string(&mut read)
                .unwrap();
            assert_eq!(read.replace(r"\ufffd", r"\ud83d"), odd);
        }
    }
}
