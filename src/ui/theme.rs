//! Colours and widths, and text made safe to show.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;
use std::sync::LazyLock;

use owo_colors::OwoColorize;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::timeframe::Zone;

/// Says how wide what is drawn on stdout may be, whether it takes colour, in which zone times are shown, who reads it,
/// and whether they can name the rows of a list by numbers.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// What the environment says of the width, where it is not the terminal's own.
    pub columns: Option<usize>,
    pub color: bool,
    pub zone: Zone,
    /// Whether stdout is a terminal, which text can steer, and no file or pipe.
    pub is_terminal: bool,
    pub numbered: bool,
}

impl Look {
    /// Returns how many columns there are to fill, now.
    pub fn width(self) -> usize {
        let now = || terminal(io::stdout());
        self.columns.or_else(now).unwrap_or(80)
    }

    /// Returns a text of others as stdout is to have it: as it is, but for a terminal visible.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        match self.is_terminal {
            true => Cow::Owned(visible(text)),
            false => Cow::Borrowed(text),
        }
    }

    /// Returns JSON as stdout is to have it: for a terminal with escapes where it could be steered.
    pub fn json(self, json: &str) -> Cow<'_, str> {
        match self.is_terminal {
            true => Cow::Owned(escaped(json)),
            false => Cow::Borrowed(json),
        }
    }
}

/// Makes control characters and marks that turn the direction of text visible, so that text cannot steer a terminal.
///
/// Line feeds and tabs stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            // A carriage return before a line feed ends lines on Windows.
            '\r' => {}
            '\0'..='\x1f' => {
                shown.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'));
            }
            '\x7f' => shown.push('\u{2421}'),
            _ if steers(c) => shown.push_str(&format!("<U+{:04X}>", u32::from(c))),
            _ => shown.push(c),
        }
    }
    shown
}

/// Writes as escapes what could steer a terminal. JSON stays the same value: only in its strings are such characters.
fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            _ if steers(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => shown.push(c),
        }
    }
    shown
}

/// Returns whether a character may steer a terminal, or turns the direction of text.
fn steers(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Returns the text on one line: blanks of any kind become one, and control characters visible.
pub fn one_line(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns what `COLUMNS` says, if it says another width than the terminal has at the start: a copy of that would not follow it.
pub fn columns() -> Option<usize> {
    static SET: LazyLock<Option<usize>> = LazyLock::new(|| {
        let set = std::env::var("COLUMNS").ok()?.parse().ok();
        set.filter(|&columns| columns >= 20 && terminal(io::stdout()) != Some(columns))
    });
    *SET
}

/// Returns how many columns there are to fill now.
pub fn width() -> usize {
    width_of(io::stdout())
}

/// Returns how many columns of a stream there are to fill now.
fn width_of(stream: impl AsFd) -> usize {
    columns().or_else(|| terminal(stream)).unwrap_or(80)
}

/// Returns how wide a terminal is now; none where that is not known.
fn terminal(stream: impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    Some(width.0.into()).filter(|width| *width > 0)
}

/// Cuts a line to so many columns, and says with `…` that there is more.
pub fn clipped(line: &str, columns: usize) -> Cow<'_, str> {
    if line.width() <= columns {
        return Cow::Borrowed(line);
    }
    let mut taken = 0;
    let graphemes = line.graphemes(true).take_while(|grapheme| {
        taken += grapheme.width();
        taken < columns
    });
    let length = graphemes.map(str::len).sum();
    Cow::Owned(format!("{}…", line[..length].trim_end()))
}

/// Returns a text with its lines broken between words where stderr is a terminal that they do not fit; what is longer than a line, as
/// a path may be, stays whole.
pub fn folded(text: &str) -> Cow<'_, str> {
    if terminal(io::stderr()).is_none() {
        return Cow::Borrowed(text);
    }
    let options = textwrap::Options::new(width_of(io::stderr()))
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    Cow::Owned(textwrap::fill(text, options))
}

/// Returns whether the terminal can only write lines, one below the other.
pub fn is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|terminal| terminal == "dumb")
}

/// Returns a line of what a command has put out, indented and no longer than a line of the terminal.
pub fn fitted(line: &str) -> String {
    let line = format!("  {}", visible(&line.replace('\t', "    ")));
    clipped(&line, width_of(io::stderr()).saturating_sub(1)).into_owned()
}

/// Returns text that steps back, where colour is on.
pub fn dim(text: &str, color: bool) -> String {
    if color && !text.is_empty() {
        text.dimmed().to_string()
    } else {
        text.to_owned()
    }
}

/// Returns text that stands out, where colour is on.
pub fn strong(text: &str, color: bool) -> String {
    if color {
        text.bold().to_string()
    } else {
        text.to_owned()
    }
}

/// Returns what asks a person to type, where colour is on so that it is seen from afar.
pub fn asking(text: &str, color: bool) -> String {
    if color {
        text.cyan().bold().to_string()
    } else {
        text.to_owned()
    }
}

/// Returns the last part of a model's name, so short that room is left beside it.
pub fn short_name(model: &str) -> String {
    const LONGEST: usize = 24;
    let name = one_line(model);
    let last = name.split('/').rfind(|part| !part.is_empty());
    let last = last.unwrap_or(&name);
    clipped(last, LONGEST).into_owned()
}

/// Returns text that is added, or went well, where colour is on.
pub fn good(text: &str, color: bool) -> String {
    if color {
        text.green().to_string()
    } else {
        text.to_owned()
    }
}

/// Returns text that warns of trouble, where colour is on.
pub fn alarm(text: &str, color: bool) -> String {
    if color {
        text.red().bold().to_string()
    } else {
        text.to_owned()
    }
}

/// Returns a size in three digits or so.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_steer_the_terminal() {
        assert_eq!(
            visible("a\x1b]52;c;x\x07b\r\nc\td\x7f\u{9b}e\u{202e}f"),
            "a␛]52;c;x␇b\nc\td␡<U+009B>e<U+202E>f"
        );
        assert_eq!(one_line(" a\n\n b\x1b[2J"), "a b␛[2J");
        assert_eq!(visible("naïve 東京 🦀"), "naïve 東京 🦀");
    }

    #[test]
    fn lines_are_cut_by_columns() {
        for (line, columns, expected) in [
            ("abcd", 4, "abcd"),
            ("abcde", 4, "abc…"),
            ("a bcd", 3, "a…"),
            ("東京都", 6, "東京都"),
            ("東京都", 5, "東京…"),
            ("東京都", 4, "東…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("ab", 1, "…"),
            ("ab", 0, "…"),
        ] {
            assert_eq!(clipped(line, columns), expected, "{line} {columns}");
        }
    }

    #[test]
    fn of_a_models_name_the_last_part_is_shown_and_not_too_much_of_it() {
        assert_eq!(short_name("llama3.2:latest"), "llama3.2:latest");
        assert_eq!(short_name("openai/gpt-5"), "gpt-5");
        assert_eq!(short_name("/models/qwen3.gguf/"), "qwen3.gguf");
        assert_eq!(
            short_name("x/123456789012345678901234"),
            "123456789012345678901234"
        );
        let long = short_name("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M");
        assert_eq!(
            (long.as_str(), long.chars().count()),
            ("Llama-3.2-3B-Instruct-G…", 24)
        );
        assert_eq!(short_name("a\x1b[2J\nb"), "a␛[2J b");
        assert_eq!(
            (short_name(""), short_name("//")),
            (String::new(), "//".to_owned())
        );
    }

    // Finding M20.
    #[test]
    fn only_a_terminal_is_shown_what_could_steer_it_otherwise() {
        let look = |is_terminal| Look {
            columns: Some(80),
            color: false,
            zone: Zone::default(),
            is_terminal,
            numbered: false,
        };
        let text = "\u{5d0}\u{200f}\r\n\u{9b}2J\x7f\u{202e}";
        let shown = "\u{5d0}<U+200F>\n<U+009B>2J␡<U+202E>";
        assert_eq!(look(true).text(text), shown);
        assert_eq!(look(false).text(text), text);
        let json = serde_json::to_string(text).unwrap();
        let shown = look(true).json(&json);
        assert_eq!(shown.chars().find(|c| steers(*c)), None, "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        assert_eq!(look(false).json(&json), json);
    }
}
