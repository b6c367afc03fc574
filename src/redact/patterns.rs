//! The forms of well-known secrets. Patterns are precise rather than many: prose and code stay as they are.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexSet};

use super::private_key;

/// What every match contains one of, so that most texts are never matched against.
type Words = &'static [&'static str];
/// What has to hold of a secret besides its form.
type Check = fn(&str) -> bool;

/// What is looked for: the kind, its words, the pattern, and a check. Where the pattern has a group, the
/// group is the secret; where it has none, all of it is, at the edge of a word. Prefixes and lengths are those the providers document.
const PATTERNS: &[(&str, Words, &str, Check)] = &[
    (
        "private-key",
        private_key::WORDS,
        private_key::WHOLE,
        private_key::is_key,
    ),
    (
        "private-key",
        private_key::WORDS,
        private_key::WITHOUT_END,
        any,
    ),
    (
        "private-key",
        private_key::WORDS,
        private_key::WITHOUT_BEGIN,
        any,
    ),
    (
        "anthropic",
        &["sk-ant-"],
        r"sk-ant-[A-Za-z0-9_-]{20,}",
        is_random,
    ),
    ("openrouter", &["sk-or-"], r"sk-or-v1-[0-9a-f]{64}", any),
    // The same with capitals is OpenAI's; in lower case it is DeepSeek's, and that of others who speak as OpenAI does.
    ("openai", &["sk-"], r"sk-[0-9a-f]{32,}(?-u:\b)", any),
    (
        "openai",
        &["sk-"],
        r"sk-[A-Za-z0-9_-]{20,}[A-Za-z0-9]",
        is_random,
    ),
    ("groq", &["gsk_"], r"gsk_[A-Za-z0-9]{40,}", any),
    ("xai", &["xai-"], r"xai-[A-Za-z0-9]{40,}", any),
    ("perplexity", &["pplx-"], r"pplx-[A-Za-z0-9]{40,}", any),
    ("huggingface", &["hf_"], r"hf_[A-Za-z0-9]{30,}", any),
    ("google", &["AIza"], r"AIza[A-Za-z0-9_-]{35}", any),
    (
        "github",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"gh[pousr]_[A-Za-z0-9]{36,}",
        any,
    ),
    (
        "github",
        &["github_pat_"],
        r"github_pat_[A-Za-z0-9_]{50,}",
        any,
    ),
    (
        "gitlab",
        &[
            "glpat-", "gloas-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-",
            "glagent-", "glsoat-",
        ],
        r"gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_-]{20,}",
        has_digit,
    ),
    (
        "aws",
        &["AKIA", "ASIA"],
        r"(?:AKIA|ASIA)[A-Z2-7]{16}(?-u:\b)",
        any,
    ),
    (
        "aws-secret",
        &["ccessKey", "ccess_key", "CCESS_KEY"],
        r"(?i)secret_?access_?key\W{1,12}([A-Za-z0-9/+]{40})",
        any,
    ),
    (
        "aws-session",
        &["ession", "ESSION"],
        r"(?i)session_?token\W{1,12}([A-Za-z0-9/+=]{100,})",
        any,
    ),
    (
        "azure",
        &["ccountKey", "ccessKey"],
        r"(?:AccountKey|SharedAccessKey)\W{1,12}([A-Za-z0-9/+]{40,}={0,2})",
        any,
    ),
    (
        "slack",
        &["xox"],
        r"xox[abeprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}",
        any,
    ),
    (
        "slack",
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/]{20,})",
        any,
    ),
    (
        "stripe",
        &["k_live_", "k_test_", "whsec_"],
        r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}",
        any,
    ),
    (
        "sendgrid",
        &["SG."],
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        any,
    ),
    (
        "vault",
        &["hvs.", "hvb.", "hvr."],
        r"hv[sbr]\.[A-Za-z0-9_-]{24,}",
        any,
    ),
    ("digitalocean", &["_v1_"], r"do[opr]_v1_[0-9a-f]{64}", any),
    (
        "docker",
        &["dckr_"],
        r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
        any,
    ),
    ("npm", &["npm_"], r"npm_[A-Za-z0-9]{36}", any),
    ("pypi", &["pypi-"], r"pypi-[A-Za-z0-9_-]{50,}", any),
    (
        "jwt",
        &["eyJ"],
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        any,
    ),
    (
        "bearer",
        &["earer", "EARER"],
        r"(?i)bearer\s+([A-Za-z0-9._~+/-]{20,}=*)",
        has_digit,
    ),
    (
        "basic",
        &["asic", "ASIC"],
        r"(?i)authorization\W{1,12}basic\s+([A-Za-z0-9+/]{8,}={0,2})",
        any,
    ),
    (
        "password",
        &["://"],
        r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"'<>]*:([^\s/@"'<>]{3,})@"#,
        is_no_mark,
    ),
];

/// Where a secret without a group may begin: at the edge of an ASCII word, which `n` is not after the backslash of a line break that is
/// written out, nor `m` after a colour of the terminal.
const EDGE: &str = r"(?:(?-u:\b)|\\[nrtbf]|\\u[0-9A-Fa-f]{4}|\[[0-9;]*[mK])";

struct Pattern {
    kind: &'static str,
    regex: Regex,
    holds: Check,
}

static COMPILED: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let compile = |&(kind, _, pattern, holds): &(_, _, &str, _)| {
        let mut regex = private_key::compiled(pattern);
        if regex.captures_len() == 1 {
            regex = private_key::compiled(&format!("{EDGE}({pattern})"));
        }
        Pattern { kind, regex, holds }
    };
    PATTERNS.iter().map(compile).collect()
});

/// Finds in one pass which patterns have a word in a text.
static HINTS: LazyLock<RegexSet> = LazyLock::new(|| {
    let words = |words: Words| {
        words
            .iter()
            .map(|word| regex::escape(word))
            .collect::<Vec<_>>()
    };
    let hints = PATTERNS.iter().map(|pattern| words(pattern.1).join("|"));
    RegexSet::new(hints).expect("words are patterns")
});

/// Returns what stands in the place of a secret.
pub fn mark(kind: &str) -> String {
    format!("[REDACTED:{kind}]")
}

/// Returns the text with a mark in the place of each secret, and how many there were.
pub fn redact(text: &str) -> (Cow<'_, str>, usize) {
    let mut text = Cow::Borrowed(text);
    let mut count = 0;
    for index in &HINTS.matches(&text) {
        let pattern = &COMPILED[index];
        let before = count;
        let replaced = pattern.regex.replace_all(&text, |captures: &Captures| {
            let (whole, secret) = (&captures[0], &captures[1]);
            if !(pattern.holds)(secret) {
                return whole.to_owned();
            }
            count += 1;
            // What is around the secret stays; it stands at the end but for the `@` after a password.
            let (head, tail) = whole.rsplit_once(secret).unwrap_or_default();
            format!("{head}{}{tail}", mark(pattern.kind))
        });
        if count > before {
            text = Cow::Owned(replaced.into_owned());
        }
    }
    (text, count)
}

fn any(_: &str) -> bool {
    true
}

/// Returns whether a text has what names and prose in its form do not have.
fn is_random(text: &str) -> bool {
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    has(char::is_ascii_digit) && has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase)
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// Returns whether a secret has not been taken out before.
fn is_no_mark(text: &str) -> bool {
    !text.starts_with("[REDACTED")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn word(length: usize) -> String {
        "aB3dE5gH7jK9mN1pQ2sT4vW6".repeat(20)[..length].to_owned()
    }

    /// Put together here, so that no scanner takes this file for a leak.
    fn secrets() -> Vec<(&'static str, String)> {
        let hex = |length: usize| "0123456789abcdef".repeat(4)[..length].to_owned();
        vec![
            ("anthropic", format!("sk-ant-api03-{}", word(80))),
            ("openrouter", format!("sk-or-v1-{}", hex(64))),
            ("openai", format!("sk-proj-{}", word(48))),
            ("openai", format!("sk-{}", word(48))),
            ("openai", format!("sk-{}", hex(32))),
            ("groq", format!("gsk_{}", word(52))),
            ("xai", format!("xai-{}", word(80))),
            ("perplexity", format!("pplx-{}", word(48))),
            ("huggingface", format!("hf_{}", word(34))),
            ("google", format!("AIza{}", word(35))),
            ("github", format!("ghp_{}", word(36))),
            ("github", format!("github_pat_{}", word(82))),
            ("gitlab", format!("glpat-{}", word(20))),
            ("aws", format!("AKIA{}", "ABCDEFGH234567AB")),
            ("slack", format!("xoxb-{}", word(40))),
            ("stripe", format!("sk_live_{}", word(24))),
            ("sendgrid", format!("SG.{}.{}", word(22), word(43))),
            ("vault", format!("hvs.{}", word(90))),
            ("digitalocean", format!("dop_v1_{}", hex(64))),
            ("docker", format!("dckr_pat_{}", word(27))),
            ("npm", format!("npm_{}", word(36))),
            ("pypi", format!("pypi-{}", word(60))),
            (
                "jwt",
                format!("eyJ{}.eyJ{}.{}", word(20), word(30), word(40)),
            ),
        ]
    }

    #[track_caller]
    pub fn check(text: &str, expected: &str) {
        let (cleaned, count) = redact(text);
        assert_eq!(
            (&*cleaned, count),
            (expected, usize::from(text != expected)),
            "{text}"
        );
        // Once is enough.
        assert_eq!(redact(&cleaned).1, 0, "{cleaned}");
    }

    // Findings H1 and L1.
    #[test]
    fn well_known_secrets_are_taken_out_wherever_they_begin() {
        for (kind, secret) in secrets() {
            for before in [
                "use \"",
                "",
                "a\n",
                "a\\n",
                "\\\\r",
                "\\t",
                "\\u000a",
                "日本語",
                "\x1b[31m",
            ] {
                check(
                    &format!("{before}{secret}\", then go on"),
                    &format!("{before}[REDACTED:{kind}]\", then go on"),
                );
            }
        }
    }

    #[test]
    fn secrets_that_are_known_by_what_stands_before_them_are_taken_out() {
        let (key, long) = (word(40), word(200));
        for (before, secret, after, kind) in [
            ("postgres://bob:", "hunter22", "@db.example/x", "password"),
            ("\\nhttps://a:", "hunter22", "@b", "password"),
            ("AWS_SECRET_ACCESS_KEY=", &key, " ", "aws-secret"),
            ("aws_secret_access_key = ", &key, "\n", "aws-secret"),
            ("\"SecretAccessKey\": \"", &key, "\"", "aws-secret"),
            ("\\\"SecretAccessKey\\\": \\\"", &key, "\\\"", "aws-secret"),
            ("aws_session_token=", &long, "", "aws-session"),
            ("AWS_SESSION_TOKEN=", &long, "", "aws-session"),
            ("\"SessionToken\": \"", &long, "\"", "aws-session"),
            ("AccountName=x;AccountKey=", &word(86), ";", "azure"),
            ("Authorization: Bearer ", &word(40), "\n", "bearer"),
            ("-H 'authorization: basic ", &word(24), "'", "basic"),
        ] {
            check(
                &format!("{before}{secret}{after}"),
                &format!("{before}[REDACTED:{kind}]{after}"),
            );
        }
    }

    #[test]
    fn prose_and_code_stay_as_they_are() {
        for text in [
            "the sk- prefix, sk-learn and scikit-learn, task-based-approaches-to-learning",
            "input.sk-toggleable__control:checked~label.sk-toggleable__label-arrow:before",
            "sk-estimator-doc-link-with-a-long-name-2",
            "a bearer of-very-long-and-hyphenated-names, and Bearer authentication-without-anything",
            "git commit 3f1c0de0a1b2c3d4e5f60718293a4b5c6d7e8f90",
            "550e8400-e29b-41d4-a716-446655440000",
            "http://localhost:8080/a@b and ssh://git@host:22/repo",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "https://example.com/path?x=1:2@3",
            "eyJhbGciOi is how a token begins",
            "the session token is what you get, and the secret access key, too",
        ] {
            check(text, text);
        }
    }
}
