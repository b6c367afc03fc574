//! Private keys: text of many lines, which programs number, quote, escape and cut off.

use std::sync::LazyLock;

use regex::Regex;

/// What all keys have in their first and last line.
pub const WORDS: &[&str] = &["PRIVATE KEY"];
const BEGIN: &str = "-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----";
const END: &str = "-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----";
/// What stands between the lines of a key: breaks, also written out, and what programs put before lines.
const GAP: &str = r#"(?:[\s>|"',:\d-]|\\+[nrt])"#;
/// A key from its first line to its last, whatever stands between the lines.
pub const WHOLE: &str = "(<begin>(?:-{0,4}[^-])*?-*<end>)";
/// A key that was cut off: its first line, headers, and no more than can be key material.
pub const WITHOUT_END: &str = r"(<begin>(?:<gap>*[A-Z][A-Za-z-]+: [^\r\n\\]+)*<gap>*[A-Za-z0-9+/]{60,}={0,2}(?:<gap>*[A-Za-z0-9+/]{16,}={0,2})*)";
/// The end of a key, where its beginning was cut off.
pub const WITHOUT_BEGIN: &str =
    "((?:[A-Za-z0-9+/]{40,}={0,2}<gap>+)+(?:[A-Za-z0-9+/]+={0,2}<gap>+)?<end>)";

/// The shortest run of characters that is taken for a part of a key.
const RUN: usize = 16;

/// Compiles a pattern, which may name the parts of a key.
pub fn compiled(pattern: &str) -> Regex {
    let parts = [("<begin>", BEGIN), ("<end>", END), ("<gap>", GAP)];
    let pattern = parts
        .into_iter()
        .fold(pattern.to_owned(), |pattern, (name, part)| {
            pattern.replace(name, part)
        });
    Regex::new(&pattern).expect("the patterns are tested")
}

/// Returns where a private key begins that has not ended; one that is only talked about is none.
pub fn open_key(text: &str) -> Option<usize> {
    static FIRST_LINE: LazyLock<Regex> = LazyLock::new(|| compiled(BEGIN));
    /// After so many bytes without key material there comes none.
    const TOLD: usize = 256;
    if !text.contains("-----BEGIN") {
        return None;
    }
    let begin = FIRST_LINE.find_iter(text).last()?;
    let rest = &text[begin.end()..];
    let open = !rest.contains("-----END") && (rest.len() < TOLD || runs(rest).any(|run| run >= 40));
    open.then_some(begin.start())
}

/// Returns the lengths of all runs of characters that a key is written in.
fn runs(text: &str) -> impl Iterator<Item = usize> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)))
        .map(str::len)
}

/// Returns whether what stands between the first and the last line of a key is one, and no talk about keys.
pub fn is_key(text: &str) -> bool {
    /// What the two lines are long, about.
    const MARKS: usize = 64;
    let long: usize = runs(text).filter(|run| *run >= RUN).sum();
    long >= RUN && long * 2 > text.len().saturating_sub(MARKS)
}

#[cfg(test)]
mod tests {
    use super::super::patterns::tests::{check, word};
    use super::*;

    fn pem(line_break: &str) -> String {
        let body = [word(64), word(64), word(23) + "="].join(line_break);
        let [begin, end] = ["BEGIN", "END"].map(|mark| format!("-----{mark} RSA PRIVATE KEY-----"));
        [begin, body, end].join(line_break)
    }

    #[test]
    fn private_keys_are_taken_out_however_their_lines_are_broken() {
        for line_break in [
            "\n",
            "\r\n",
            "\\n",
            "\\\\n",
            "\n> ",
            "\n-",
            "\n    12\t",
            "\\n\" +\n\"",
            " ",
        ] {
            check(
                &format!("a {} b", pem(line_break)),
                "a [REDACTED:private-key] b",
            );
        }
        let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011\n\n";
        let (begin, rest) = pem("\n")
            .split_once('\n')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        check(
            &format!("{begin}\n{headers}{rest}"),
            "[REDACTED:private-key]",
        );
    }

    // Finding M1.
    #[test]
    fn a_mention_of_a_private_key_costs_nothing_around_it() {
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        for text in [
            format!("What does `{begin}` mean? I have seen it in files, and so on."),
            format!("Between {begin} and {end} there is base64, and after it nothing."),
            format!("{begin}\n...\n{end}\nis the form"),
            format!(
                "{begin}\\nNote: this is prose {}",
                "and goes on ".repeat(50)
            ),
        ] {
            check(&text, &text);
        }
        check(
            &format!("What does `{begin}` mean? I have\n{}\nhere.", pem("\n")),
            &format!("What does `{begin}` mean? I have\n[REDACTED:private-key]\nhere."),
        );
    }

    // Finding M1.
    #[test]
    fn what_is_left_of_a_private_key_that_was_cut_is_taken_out_and_no_more() {
        let whole = pem("\n");
        let (head, tail) = (&whole[..116], &whole[whole.len() - 119..]);
        check(
            &format!("{head}\n[… 12 of 34 bytes left out …]\nand on"),
            "[REDACTED:private-key]\n[… 12 of 34 bytes left out …]\nand on",
        );
        check(
            &format!("[… left out …]\n{tail}\nand on"),
            "[… left out …]\n[REDACTED:private-key]\nand on",
        );
    }

    // Finding L1.
    #[test]
    fn only_a_private_key_is_open() {
        let begin = "-----BEGIN RSA PRIVATE KEY-----";
        assert_eq!(open_key(&format!("a {begin}\nMII")), Some(2));
        assert_eq!(open_key(&format!("a {begin}\n{}", pem("\n"))), None);
        assert_eq!(open_key(&format!("{begin}\n{}", word(300))), Some(0));
        assert_eq!(
            open_key(&format!("{begin} {}", "is a line ".repeat(30))),
            None
        );
        assert_eq!(open_key("-----BEGIN CERTIFICATE-----\nMII"), None);
    }
}
