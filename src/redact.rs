//! Takes well-known secrets out of what is to be stored. Patterns are precise rather than many: prose and code stay as they are.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// What is looked for: the kind, what every match contains (so that most texts are never matched against), and the pattern. Where the
/// pattern has a group, the group is the secret. Prefixes and lengths are those the providers document.
const PATTERNS: &[(&str, &str, &str)] = &[
    (
        "private-key",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    ("anthropic", "sk-ant-", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    (
        "openai",
        "sk-",
        r"\bsk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,}[A-Za-z0-9]",
    ),
    ("groq", "gsk_", r"\bgsk_[A-Za-z0-9]{40,}"),
    ("huggingface", "hf_", r"\bhf_[A-Za-z0-9]{30,}"),
    ("google", "AIza", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("github", "gh", r"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    ("github", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{50,}"),
    ("gitlab", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("aws", "A", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "aws-secret",
        "aws_secret_access_key",
        r"(?i)aws_secret_access_key\W{1,6}([A-Za-z0-9/+]{40})",
    ),
    (
        "slack",
        "xox",
        r"\bxox[abeprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}",
    ),
    (
        "slack",
        "hooks.slack.com",
        r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/]{20,})",
    ),
    (
        "stripe",
        "_",
        r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/]{24,}",
    ),
    ("npm", "npm_", r"\bnpm_[A-Za-z0-9]{36}"),
    ("pypi", "pypi-", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    (
        "jwt",
        "eyJ",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    (
        "password",
        "://",
        r#"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"'<>]*:([^\s/@"'<>]{3,})@"#,
    ),
];

struct Pattern {
    kind: &'static str,
    contains: &'static str,
    regex: Regex,
}

static COMPILED: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let compile = |&(kind, contains, pattern): &(&'static str, &'static str, &str)| Pattern {
        kind,
        contains,
        regex: Regex::new(pattern).expect("the patterns are tested"),
    };
    PATTERNS.iter().map(compile).collect()
});

/// Returns the text with each secret as `[REDACTED:kind]`, and how many there were.
pub fn redact(text: &str) -> (Cow<'_, str>, usize) {
    let mut text = Cow::Borrowed(text);
    let mut count = 0;
    for pattern in COMPILED.iter() {
        // The folded case of one kind's name is the only one that is not as written here.
        let there = text.contains(pattern.contains)
            || pattern.kind == "aws-secret" && text.contains("AWS_SECRET_ACCESS_KEY");
        if !there {
            continue;
        }
        let mut found = 0;
        let replaced = pattern
            .regex
            .replace_all(&text, |captures: &regex::Captures| {
                found += 1;
                let whole = &captures[0];
                let mark = format!("[REDACTED:{}]", pattern.kind);
                match (captures.get(0), captures.get(1)) {
                    (Some(all), Some(secret)) => {
                        let (start, end) =
                            (secret.start() - all.start(), secret.end() - all.start());
                        format!("{}{mark}{}", &whole[..start], &whole[end..])
                    }
                    _ => mark,
                }
            });
        if found > 0 {
            text = Cow::Owned(replaced.into_owned());
            count += found;
        }
    }
    (text, count)
}

/// Takes the secrets out of a text in place, and returns how many there were.
pub fn clean(text: &mut String) -> usize {
    let (Cow::Owned(cleaned), count) = redact(text) else {
        return 0;
    };
    *text = cleaned;
    count
}

/// Returns the front of a text that is still coming, up to where a secret may have begun.
pub fn settled(text: &str) -> &str {
    /// No secret of one word is longer, in bytes.
    const LONGEST: usize = 4096;
    let end = text.trim_end_matches(|c: char| c.is_ascii_graphic()).len();
    let end = match text.len() - end {
        0..=LONGEST if !is_plain(&text[end..]) => end,
        _ => text.len(),
    };
    match text[..end].rfind("-----BEGIN") {
        Some(begin) if !text[begin..end].contains("-----END") => &text[..begin],
        _ => &text[..end],
    }
}

/// Returns whether a word is one of prose, which no secret begins with.
fn is_plain(word: &str) -> bool {
    let first = word.chars().next().map_or(0, char::len_utf8);
    word.len() < 20
        && word[first..]
            .chars()
            .all(|c| c.is_ascii_lowercase() || ".,;:!?')".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that no scanner takes this file for a leak.
    fn secrets() -> Vec<(&'static str, String)> {
        let word = |length: usize| "aB3dE5gH7jK9mN1pQ2sT4vW6".repeat(8)[..length].to_owned();
        vec![
            ("anthropic", format!("sk-ant-api03-{}", word(80))),
            ("openai", format!("sk-proj-{}", word(48))),
            ("openai", format!("sk-{}", word(48))),
            ("groq", format!("gsk_{}", word(52))),
            ("huggingface", format!("hf_{}", word(34))),
            ("google", format!("AIza{}", word(35))),
            ("github", format!("ghp_{}", word(36))),
            ("github", format!("github_pat_{}", word(82))),
            ("gitlab", format!("glpat-{}", word(20))),
            ("aws", format!("AKIA{}", "ABCDEFGH234567AB")),
            ("slack", format!("xoxb-{}", word(40))),
            ("stripe", format!("sk_live_{}", word(24))),
            ("npm", format!("npm_{}", word(36))),
            ("pypi", format!("pypi-{}", word(60))),
            (
                "jwt",
                format!("eyJ{}.eyJ{}.{}", word(20), word(30), word(40)),
            ),
            (
                "private-key",
                format!(
                    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
                    word(60)
                ),
            ),
        ]
    }

    #[test]
    fn well_known_secrets_are_taken_out_and_counted() {
        for (kind, secret) in secrets() {
            let text = format!("use \"{secret}\", then go on");
            let (cleaned, count) = redact(&text);
            assert_eq!(
                (&*cleaned, count),
                (&*format!("use \"[REDACTED:{kind}]\", then go on"), 1),
                "{secret}"
            );
            // Once is enough.
            assert_eq!(redact(&cleaned).1, 0);
        }
        assert_eq!(
            redact("postgres://bob:hunter22@db.example/x").0,
            "postgres://bob:[REDACTED:password]@db.example/x"
        );
        let key = "aB3dE5gH7jK9mN1pQ2sT4vW6aB3dE5gH7jK9mN1p";
        assert_eq!(
            redact(&format!("AWS_SECRET_ACCESS_KEY={key}")).0,
            "AWS_SECRET_ACCESS_KEY=[REDACTED:aws-secret]"
        );
    }

    #[test]
    fn prose_and_code_stay_as_they_are() {
        for text in [
            "the sk- prefix, sk-learn and scikit-learn, task-based-approaches-to-learning",
            "git commit 3f1c0de0a1b2c3d4e5f60718293a4b5c6d7e8f90",
            "550e8400-e29b-41d4-a716-446655440000",
            "http://localhost:8080/a@b and ssh://git@host:22/repo",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "https://example.com/path?x=1:2@3",
            "eyJhbGciOi is how a token begins",
        ] {
            assert_eq!(redact(text), (Cow::Borrowed(text), 0));
        }
    }

    #[test]
    fn a_secret_that_is_still_coming_is_held_back() {
        assert_eq!(settled("the key is sk-abc"), "the key is ");
        assert_eq!(settled("all said."), "all said.");
        assert_eq!(settled("a -----BEGIN RSA PRIVATE KEY-----\nMII "), "a ");
        assert_eq!(settled("日本語の答え"), "日本語の答え");
    }
}
