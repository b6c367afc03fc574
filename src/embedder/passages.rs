//! Cuts long text into passages, on sentence borders where it can.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Cuts `text` into pieces of at most `limit` tokens; `tokens` holds where each token of the text starts, in bytes.
///
/// A piece ends with a sentence or a line; one that is longer than the limit by itself ends with a word, or, when it has no
/// blank, with a token. Blank pieces are left out, and the pieces have no blanks around them.
pub fn cut<'t>(text: &'t str, tokens: &[usize], limit: usize) -> Vec<&'t str> {
    let count = |range: &Range<usize>| {
        tokens.partition_point(|&start| start < range.end)
            - tokens.partition_point(|&start| start < range.start)
    };
    let mut pieces = Vec::new();
    let mut piece = 0..0;
    for sentence in sentences(text) {
        let joined = piece.start..sentence.end;
        if count(&joined) <= limit {
            piece = joined;
            continue;
        }
        pieces.push(piece);
        piece = sentence;
        while count(&piece) > limit {
            let first = tokens.partition_point(|&start| start < piece.start);
            let latest = tokens[first + limit];
            let border = text[piece.start..latest]
                .rfind(char::is_whitespace)
                .map_or(latest, |blank| piece.start + blank + 1);
            // A border that falls inside a wide blank, or at the very start, would not get us on.
            let border = if border > piece.start && text.is_char_boundary(border) {
                border
            } else {
                latest
            };
            if border <= piece.start {
                break;
            }
            pieces.push(piece.start..border);
            piece.start = border;
        }
    }
    pieces.push(piece);
    pieces
        .into_iter()
        .map(|range| text[range].trim())
        .filter(|piece| !piece.is_empty())
        .collect()
}

fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (start, sentence) in text.split_sentence_bound_indices() {
        let mut line_start = start;
        for line in sentence.split_inclusive('\n') {
            ranges.push(line_start..line_start + line.len());
            line_start += line.len();
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, limit: usize, expected: &[&str]) {
        // Every word is a token here; a word of more than ten letters is one token a letter.
        let mut tokens = Vec::new();
        for (start, word) in text
            .split_word_bound_indices()
            .filter(|(_, word)| !word.trim().is_empty())
        {
            match word.chars().count() {
                0..=10 => tokens.push(start),
                _ => tokens.extend(word.char_indices().map(|(offset, _)| start + offset)),
            }
        }
        assert_eq!(cut(text, &tokens, limit), expected);
    }

    #[test]
    fn text_is_cut_on_sentence_borders() {
        check("", 5, &[]);
        check(" \n ", 5, &[]);
        check("One two. Three four.", 20, &["One two. Three four."]);
        check("One two. Three four.", 4, &["One two.", "Three four."]);
        check(
            "one two\nthree four\nfive",
            4,
            &["one two\nthree four", "five"],
        );
    }

    #[test]
    fn a_long_sentence_is_cut_on_words_and_a_long_word_on_tokens() {
        check(
            "one two three four five",
            2,
            &["one two", "three four", "five"],
        );
        check("éééééééééééé", 5, &["ééééé", "ééééé", "éé"]);
        check(
            "one\u{3000}two\u{3000}three",
            2,
            &["one\u{3000}two", "three"],
        );
    }
}
