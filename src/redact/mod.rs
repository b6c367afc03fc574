//! Takes secrets out of what is to be stored: those of well-known forms, and those that the program was given itself.

mod patterns;
mod private_key;

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use patterns::{mark, redact};
use private_key::open_key;

/// No secret of one word is longer, in bytes.
const LONGEST: usize = 4096;

/// Takes secrets out of texts.
#[derive(Clone, Default)]
pub struct Redactor {
    off: bool,
    /// Secrets that are known by themselves.
    known: Vec<String>,
}

impl Redactor {
    /// Returns one that also knows these very texts, whatever their form.
    pub fn new(known: impl IntoIterator<Item = String>) -> Redactor {
        let known = known.into_iter().filter(|text| is_telling(text));
        Redactor {
            off: false,
            known: known.collect(),
        }
    }

    /// Returns one that leaves everything as it is.
    pub fn off() -> Redactor {
        Redactor {
            off: true,
            known: Vec::new(),
        }
    }

    /// Takes the secrets out of a text in place, and returns how many there were. In JSON, and in JSON within JSON, each string is
    /// cleaned by itself, since its escapes hide where a word begins. What is no secret stays byte for byte.
    pub fn clean(&self, text: &mut String) -> usize {
        if self.off {
            return 0;
        }
        let (cleaned, count) = self.cleaned(text);
        if let Some(cleaned) = cleaned {
            *text = cleaned;
        }
        count
    }

    /// Takes the secrets out of a JSON value in place, and returns how many there were.
    pub fn clean_value(&self, value: &mut Value) -> usize {
        let mut text = value.to_string();
        let count = self.clean(&mut text);
        if count > 0 {
            *value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        }
        count
    }

    /// Returns the front of a text that is still coming, up to where a secret may have begun.
    pub fn settled<'t>(&self, text: &'t str) -> &'t str {
        if self.off {
            return text;
        }
        let end = text.trim_end_matches(|c: char| c.is_ascii_graphic()).len();
        let end = match text.len() - end {
            0..=LONGEST if !self.is_plain(&text[end..]) => end,
            _ => text.len(),
        };
        let end = open_key(&text[..end]).unwrap_or(end);
        &text[..end]
    }

    /// Returns whether a word is one of prose, which no secret begins with.
    fn is_plain(&self, word: &str) -> bool {
        let first = word.chars().next().map_or(0, char::len_utf8);
        word.len() < 20
            && word[first..]
                .chars()
                .all(|c| c.is_ascii_lowercase() || ".,;:!?')".contains(c))
            && !self.known.iter().any(|known| known.starts_with(word))
    }

    /// Returns the text without its secrets, if there are any, and how many there are.
    fn cleaned(&self, text: &str) -> (Option<String>, usize) {
        match text.trim_start().starts_with(['{', '[', '"']) && is_json(text) {
            true => self.cleaned_json(text),
            false => self.cleaned_text(text),
        }
    }

    fn cleaned_text(&self, text: &str) -> (Option<String>, usize) {
        let mut known: Option<String> = None;
        let mut count = 0;
        for secret in &self.known {
            let text = known.as_deref().unwrap_or(text);
            let found = text.matches(secret).count();
            if found > 0 {
                count += found;
                known = Some(text.replace(secret, &mark("api-key")));
            }
        }
        let (cleaned, found) = redact(known.as_deref().unwrap_or(text));
        let cleaned = (found > 0).then(|| cleaned.into_owned());
        (cleaned.or(known), count + found)
    }

    /// Cleans each string of a JSON text, names included, and copies what is around them.
    fn cleaned_json(&self, text: &str) -> (Option<String>, usize) {
        let (mut cleaned, mut count) = (String::with_capacity(text.len()), 0);
        let mut rest = text;
        let mut name: Option<String> = None;
        while let Some(start) = rest.find('"') {
            let mut strings = Deserializer::from_str(&rest[start..]).into_iter::<String>();
            let Some(Ok(string)) = strings.next() else {
                // A string that no text can be: half of a surrogate pair.
                return self.cleaned_text(text);
            };
            let end = start + strings.byte_offset();
            let (replaced, found) = self.cleaned_field(name.as_deref(), &string);
            cleaned.push_str(&rest[..start]);
            match replaced {
                Some(replaced) => cleaned.push_str(&Value::String(replaced).to_string()),
                None => cleaned.push_str(&rest[start..end]),
            }
            count += found;
            rest = &rest[end..];
            name = rest.trim_start().starts_with(':').then_some(string);
        }
        cleaned.push_str(rest);
        ((count > 0).then_some(cleaned), count)
    }

    /// Cleans a string in JSON; some secrets can only be told by their name.
    fn cleaned_field(&self, name: Option<&str>, text: &str) -> (Option<String>, usize) {
        let (cleaned, count) = self.cleaned(text);
        let Some(name) = name.filter(|_| count == 0 && text.len() <= LONGEST) else {
            return (cleaned, count);
        };
        let front = format!("{name}=");
        let (named, count) = self.cleaned_text(&format!("{front}{text}"));
        match named
            .as_deref()
            .and_then(|named| named.strip_prefix(&front))
        {
            Some(cleaned) => (Some(cleaned.to_owned()), count),
            None => (None, 0),
        }
    }
}

/// Returns whether a text is JSON, one value or several.
fn is_json(text: &str) -> bool {
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.all(|value| value.is_ok())
}

/// Returns whether a text can be nothing but a secret. What people set for servers that want no key is a word or two: `lm-studio`,
/// `sk-no-key-required`.
fn is_telling(text: &str) -> bool {
    let has_digit = text.contains(|c: char| c.is_ascii_digit());
    text.len() >= 8 && has_digit || text.len() >= 20
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Put together here, so that no scanner takes this file for a leak.
    fn key() -> String {
        format!("sk-proj-{}", "aB3dE5gH7jK9mN1p".repeat(3))
    }

    /// Checks that a text with a key for each `KEY` in it is stored with marks instead, and is otherwise the same.
    #[track_caller]
    fn check(text: &str) {
        let mut cleaned = text.replace("KEY", &key());
        let count = Redactor::default().clean(&mut cleaned);
        assert_eq!(cleaned, text.replace("KEY", "[REDACTED:openai]"));
        assert_eq!(count, text.matches("KEY").count(), "{text}");
    }

    // Finding H1.
    #[test]
    fn a_key_is_found_wherever_it_stands_in_json() {
        for blank in ["\n", "\t", "\r\n", "\u{8}", " ", ""] {
            let told = format!("here it is:{blank}KEY\nand on, \"quoted\" 東京");
            check(&told);
            let body = json!({"temperature": 0.5, "messages": [{"role": "user", "content": told}]});
            check(&body.to_string());
            check(&serde_json::to_string_pretty(&body).unwrap());
            // A tool's argument is JSON in JSON, and a file that it writes may be JSON again.
            let file = json!({"name": told}).to_string();
            let arguments = json!({"path": "a.json", "content": file}).to_string();
            check(&json!({"tool_calls": [{"function": {"arguments": arguments}}]}).to_string());
            // JSON among other text is none.
            check(&format!("--- stdout\n{body}\n--- stderr\n"));
        }
    }

    // Finding H1.
    #[test]
    fn what_is_no_secret_stays_byte_for_byte() {
        for text in [
            "{ \"a\" : 1.0e2, \"a\":\"\\u00e9\\/\", \"b\": \"KEY\" }\n",
            "{\"KEY\": 1}\n{\"a\": [\"KEY\", \"\\ud83e\\udd80\"]}\n",
            "[\"half of a pair \\ud83e\", \"KEY\"]",
            "\"KEY\"",
            "{not JSON: \"KEY\"}",
            "{\"none\": [\"at all\"]}",
            "",
        ] {
            check(text);
        }
    }

    // Finding L1.
    #[test]
    fn a_secret_is_known_by_its_name_in_json() {
        let secret = "aB3dE5gH7jK9mN1pQ2sT4vW6".repeat(2)[..40].to_owned();
        let mut text =
            json!({"AccessKeyId": "x", "SecretAccessKey": secret, "sum": secret}).to_string();
        assert_eq!(Redactor::default().clean(&mut text), 1);
        assert_eq!(
            text,
            json!({"AccessKeyId": "x", "SecretAccessKey": "[REDACTED:aws-secret]", "sum": secret})
                .to_string()
        );
    }

    // Finding L1.
    #[test]
    fn the_key_in_use_is_taken_out_whatever_its_form() {
        let known = ["hunter-22/of:the=lake", "token-abc123", "lm-studio", ""];
        let redactor = Redactor::new(known.map(str::to_owned));
        let mut text =
            "a hunter-22/of:the=lake, {\"b\": \"token-abc123\"} for lm-studio".to_owned();
        assert_eq!(redactor.clean(&mut text), 2);
        assert_eq!(
            text,
            "a [REDACTED:api-key], {\"b\": \"[REDACTED:api-key]\"} for lm-studio"
        );
        assert_eq!(redactor.settled("it is hunter"), "it is ");
        assert_eq!(redactor.settled("it is hunt!"), "it is hunt!");
    }

    #[test]
    fn nothing_is_taken_out_where_that_is_off() {
        let mut text = key();
        assert_eq!(Redactor::off().clean(&mut text), 0);
        assert_eq!(Redactor::off().settled(&text), key());
        let mut value = json!({"a": ["b\n".to_owned() + &key(), 7]});
        assert_eq!(Redactor::default().clean_value(&mut value), 1);
        assert_eq!(value, json!({"a": ["b\n[REDACTED:openai]", 7]}));
    }

    #[test]
    fn a_secret_that_is_still_coming_is_held_back() {
        let redactor = Redactor::default();
        let settled = |text: &'static str| redactor.settled(text);
        assert_eq!(settled("the key is sk-abc"), "the key is ");
        assert_eq!(settled("all said."), "all said.");
        assert_eq!(settled("a -----BEGIN RSA PRIVATE KEY-----\nMII "), "a ");
        assert_eq!(settled("日本語の答え"), "日本語の答え");
        // Finding L1.
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\nand so on";
        assert_eq!(settled(certificate), certificate);
    }
}
