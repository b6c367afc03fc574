//! What a person is told of an answer that is not all that the model had to say.

use super::Transcript;
use crate::conversation::{Finish, cut};

/// The longest word of a server that is shown, in characters.
const LONGEST: usize = 60;

/// Returns what there is to tell; `limit` holds how many tokens the model was allowed to write.
pub fn notice(transcript: &Transcript, limit: Option<u32>) -> Option<String> {
    let answers = !transcript.answer.trim().is_empty();
    let thinks = !transcript.thought.trim().is_empty();
    let text = match transcript.finish.as_ref() {
        Some(Finish::Length) => {
            let tokens = transcript.counted.and_then(|usage| usage.output_tokens);
            let tokens = tokens.or(limit.map(u64::from));
            let tokens = tokens.map_or_else(
                || "the limit of tokens".to_owned(),
                |tokens| format!("{} tokens", grouped(tokens)),
            );
            let what = match (answers, thinks) {
                (true, _) => "the answer was cut off at",
                (false, true) => {
                    "the model was still thinking, and gave no answer, when it was cut off at"
                }
                (false, false) => "the model gave no answer before it was cut off at",
            };
            format!("{what} {tokens}; `/max-tokens` raises it")
        }
        Some(Finish::ContentFilter) if answers => {
            "the server's filter cut the answer off".to_owned()
        }
        Some(Finish::ContentFilter) => "the server's filter took the answer away".to_owned(),
        Some(Finish::Refusal) if !answers => "the model refused to answer".to_owned(),
        Some(Finish::Error) if answers => {
            "the server failed before the answer was whole".to_owned()
        }
        Some(Finish::Error) => "the server failed before there was an answer".to_owned(),
        Some(Finish::Other(word)) => {
            let word = cut(word, LONGEST);
            match answers {
                true => format!(
                    "the answer may not be whole: the server says that it ended with `{word}`"
                ),
                false => {
                    format!("the model gave no answer: the server says that it ended with `{word}`")
                }
            }
        }
        _ if !answers => "the model gave no answer".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Returns a number with its thousands kept apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Usage;

    #[test]
    fn an_answer_that_did_not_end_is_told_of() {
        let told = |finish: &str, answer: &str, thought: &str| {
            let transcript = Transcript {
                answer: answer.to_owned(),
                thought: thought.to_owned(),
                finish: Finish::read(finish),
                counted: Some(Usage {
                    input_tokens: None,
                    output_tokens: Some(4096),
                }),
                ..Transcript::default()
            };
            notice(&transcript, None).unwrap_or_default()
        };
        assert_eq!(told("stop", "yes", "hm"), "");
        assert_eq!(told("refusal", "no", ""), "");
        assert_eq!(told("", "yes", ""), "");
        assert_eq!(told("stop", " ", ""), "the model gave no answer");
        let cut = "the answer was cut off at 4,096 tokens; `/max-tokens` raises it";
        assert_eq!(told("length", "yes", ""), cut);
        let thinking = "the model was still thinking, and gave no answer, when it was cut off at 4,096 tokens; `/max-tokens` raises it";
        assert_eq!(told("MAX_TOKENS", "", "hm"), thinking);
        assert!(told("content_filter", "ye", "").contains("filter cut"));
        assert!(told("content_filter", "", "").contains("filter took"));
        assert!(told("error", "ye", "").contains("failed"));
        assert!(told("abort", "ye", "").ends_with("ended with `abort`"));
    }

    #[test]
    fn thousands_are_kept_apart() {
        let all = [0, 999, 1000, 128_000, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "128,000", "1,234,567"]);
    }
}
