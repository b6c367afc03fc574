//! Colours and widths, and text made safe to show.

use owo_colors::OwoColorize;

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
            '\u{80}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{2028}'
            | '\u{2029}' => {
                shown.push_str(&format!("<U+{:04X}>", u32::from(c)));
            }
            _ => shown.push(c),
        }
    }
    shown
}

/// Returns the text on one line: blanks of any kind become one, and control characters visible.
pub fn one_line(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns how many columns there are to fill.
pub fn width() -> usize {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .filter(|&columns| columns >= 20);
    set.or_else(|| comfy_table::Table::new().width().map(usize::from))
        .unwrap_or(100)
}

/// Returns text that steps back, where colour is on.
pub fn dim(text: &str, color: bool) -> String {
    if color {
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
}
