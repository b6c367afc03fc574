//! Where a text says what is looked for.

use std::ops::Range;

use crate::store::vocabulary::Word;

/// Returns what of a text matches, in bytes, in order, and nothing twice: phrases as they stand, and words whose key `asked` says is
/// looked for, an identifier as a whole or by its parts.
///
/// Phrases are in lower case with single blanks.
pub fn marks(
    text: &str,
    words: &[Word],
    phrases: &[String],
    asked: impl Fn(&str) -> bool,
) -> Vec<Range<usize>> {
    fn places_of(word: &Word, asked: &impl Fn(&str) -> bool, marks: &mut Vec<Range<usize>>) {
        if asked(&word.key) {
            marks.push(word.range.clone());
        } else {
            for part in &word.parts {
                places_of(part, asked, marks);
            }
        }
    }
    let mut marks = places(text, phrases);
    for word in words {
        places_of(word, &asked, &mut marks);
    }
    marks.sort_unstable_by_key(|mark| (mark.start, mark.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for mark in marks {
        match joined.last_mut() {
            Some(last) if is_joined(text.get(last.end..mark.start)) => {
                last.end = last.end.max(mark.end);
            }
            _ => joined.push(mark),
        }
    }
    joined
}

/// Returns whether what stands between two marks does not part them: nothing, or what joins the parts of an identifier.
fn is_joined(between: Option<&str>) -> bool {
    between.is_none_or(|between| between.chars().all(|c| "-._:/".contains(c)))
}

/// Returns where phrases stand in a text, whatever the case and the blanks.
fn places(text: &str, phrases: &[String]) -> Vec<Range<usize>> {
    if phrases.is_empty() {
        return Vec::new();
    }
    let mut plain = String::new();
    // Where in the text each byte of `plain` comes from.
    let mut origins = Vec::new();
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if !c.is_whitespace() {
            plain.extend(c.to_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
        origins.resize(plain.len(), at..end);
    }
    let found = |phrase| {
        plain
            .match_indices(phrase)
            .map(|(at, found)| at..at + found.len())
    };
    let found = phrases.iter().flat_map(|phrase| found(phrase.as_str()));
    let origin = |place: Range<usize>| origins[place.start].start..origins[place.end - 1].end;
    found.map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::vocabulary::words;

    /// Checks what is marked of a text, between brackets.
    #[track_caller]
    fn check(asked: &[&str], phrases: &[&str], expected: &str) {
        let text = expected.replace(['[', ']'], "");
        let phrases: Vec<String> = phrases.iter().map(ToString::to_string).collect();
        let marks = marks(&text, &words(&text), &phrases, |word| asked.contains(&word));
        let mut shown = text.clone();
        for mark in marks.into_iter().rev() {
            shown.insert(mark.end, ']');
            shown.insert(mark.start, '[');
        }
        assert_eq!(shown, expected);
    }

    #[test]
    fn words_identifiers_and_phrases_are_marked() {
        check(
            &["lock"],
            &[],
            "A [Lock] is as [locks] are, and no deadlock: [LOCK].",
        );
        check(&["err", "conn", "42"], &[], "see [ERR_CONN_42], [42]");
        check(&["err_conn_42"], &[], "see [ERR_CONN_42], 42");
        check(&["user"], &[], "get[User]Name");
        check(&["std::fs::read"], &[], "`[std::fs::read]` and std::fs");
        check(&["接続", "続プ"], &[], "次の[接続プ]ールの接");
        check(&["naiv"], &[], "🦀 [Naïve] 東京");
        check(
            &[],
            &["reset by peer"],
            "by a peer, [Reset\n  by peer]; [reset by PEER]",
        );
        check(&["by"], &["reset by peer"], "[by] [reset by peer]");
        check(&[], &["i\u{307}x"], "[İx] y");
        check(&["x"], &[], "");
    }
}
