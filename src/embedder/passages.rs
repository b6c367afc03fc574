//! Cuts long text into passages: on sentence borders where it can, blocks of code, lists and tables whole where they fit.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Passages share this part of their length with the one before, so that a sentence keeps what leads to it.
const OVERLAP: usize = 8;

/// Cuts `text` into pieces of at most `limit` tokens; `tokens` holds where each token of the text starts, in bytes.
///
/// A piece ends with a sentence or a line; one that is longer than the limit by itself ends with a word, or, when it has no
/// blank, with a token. A piece may begin with the last sentences of the one before. Blank pieces are left out, and the pieces
/// have no blanks around them.
pub fn cut<'t>(text: &'t str, tokens: &[usize], limit: usize) -> Vec<&'t str> {
    let count = |range: Range<usize>| {
        tokens.partition_point(|&start| start < range.end)
            - tokens.partition_point(|&start| start < range.start)
    };
    let units = units(text, |block| count(block) <= limit);
    let mut pieces = Vec::new();
    let (mut first, mut next) = (0, 0);
    while next < units.len() {
        let fits = |first: usize, last: usize| count(units[first].start..units[last].end) <= limit;
        if !fits(next, next) {
            pieces.extend(split(text, tokens, units[next].clone(), limit));
            next += 1;
            first = next;
            continue;
        }
        while next < units.len() && fits(first, next) {
            next += 1;
        }
        pieces.push(units[first].start..units[next - 1].end);
        // The last sentences come again, as far as they are short and leave room for the next one.
        let mut again = next;
        while next < units.len()
            && again > first + 1
            && count(units[again - 1].start..units[next - 1].end) <= limit / OVERLAP
            && fits(again - 1, next)
        {
            again -= 1;
        }
        first = again;
    }
    pieces
        .into_iter()
        .map(|range| text[range].trim())
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// Cuts a sentence that is too long.
fn split(text: &str, tokens: &[usize], unit: Range<usize>, limit: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut rest = unit;
    loop {
        let first = tokens.partition_point(|&start| start < rest.start);
        let latest = match tokens.get(first + limit) {
            Some(&latest) if latest < rest.end => latest,
            _ => break,
        };
        let border = text[rest.start..latest]
            .rfind(char::is_whitespace)
            .map_or(latest, |blank| rest.start + blank + 1);
        // A border that falls inside a wide blank, or at the very start, would not get us on.
        let border = if border > rest.start && text.is_char_boundary(border) {
            border
        } else {
            latest
        };
        if border <= rest.start {
            break;
        }
        pieces.push(rest.start..border);
        rest.start = border;
    }
    pieces.push(rest);
    pieces
}

/// Returns what is not to be torn apart: sentences within a line; whole blocks of code, lists and tables that fit, else their lines.
fn units(text: &str, fits: impl Fn(Range<usize>) -> bool) -> Vec<Range<usize>> {
    let mut units: Vec<Range<usize>> = Vec::new();
    let mut block: Vec<Range<usize>> = Vec::new();
    let mut kind = Kind::Prose;
    let close = |block: &mut Vec<Range<usize>>, units: &mut Vec<Range<usize>>| {
        if let (Some(first), Some(last)) = (block.first(), block.last()) {
            let whole = first.start..last.end;
            if fits(whole.clone()) {
                units.push(whole);
                block.clear();
            }
        }
        units.append(block);
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        if kind == Kind::Code {
            block.push(range);
            if line.trim_start().starts_with("```") {
                close(&mut block, &mut units);
                kind = Kind::Prose;
            }
            continue;
        }
        let new = kind_of(line, kind);
        if new != kind || new == Kind::Code {
            close(&mut block, &mut units);
            kind = new;
        }
        if kind == Kind::Prose {
            let sentences = line.split_sentence_bound_indices();
            units.extend(
                sentences.map(|(at, sentence)| range.start + at..range.start + at + sentence.len()),
            );
        } else {
            block.push(range);
        }
    }
    close(&mut block, &mut units);
    units
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prose,
    Code,
    List,
    Table,
}

/// Returns what a line is a part of; an indented line goes on with the list before it.
fn kind_of(line: &str, before: Kind) -> Kind {
    let inner = line.trim_start();
    let numbered = inner
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .starts_with(['.', ')']);
    if inner.starts_with("```") {
        Kind::Code
    } else if inner.starts_with('|') {
        Kind::Table
    } else if inner.starts_with(['-', '*', '+', '•']) && inner.chars().nth(1) == Some(' ')
        || numbered && inner.starts_with(|c: char| c.is_ascii_digit())
        || before == Kind::List && inner.len() < line.len() && !inner.is_empty()
    {
        Kind::List
    } else {
        Kind::Prose
    }
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
    fn a_passage_begins_with_the_end_of_the_one_before() {
        check(
            "One two three four five. Six. Seven eight nine ten eleven twelve.",
            24,
            &["One two three four five. Six. Seven eight nine ten eleven twelve."],
        );
        check(
            "One two three four five six seven eight nine ten six. Go. Seven eight nine ten eleven.",
            16,
            &[
                "One two three four five six seven eight nine ten six. Go.",
                "Go. Seven eight nine ten eleven.",
            ],
        );
    }

    #[test]
    fn blocks_stay_whole_where_they_fit() {
        check(
            "One two three four.\n- five six. Seven.\n  eight\n\nnine ten",
            8,
            &[
                "One two three four.",
                "- five six. Seven.\n  eight",
                "nine ten",
            ],
        );
        check(
            "one two\n```\na. b. c.\nd\n```\nthree four five six",
            14,
            &["one two", "```\na. b. c.\nd\n```", "three four five six"],
        );
        check("| a | b |\n| c | d |\n", 5, &["| a | b |", "| c | d |"]);
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
