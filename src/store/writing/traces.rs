//! Takes out of other turns what they quote of turns that are removed: by id where they name it, and by its words where they have it
//! from there.
//!
//! Ids are named by what `search_memory` has found, and at the head of each quote that recall or an answer without a model has made.
//! A later request of the same conversation repeats questions and answers without ids.

use std::collections::{HashMap, HashSet};

use aho_corasick::AhoCorasick;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use crate::conversation::{NO_ANSWER, NO_MORE, OBSERVATION, QUOTES_END, short_id};

/// What stands in the place of what was removed, where others quote it.
pub const FORGOTTEN: &str = "[forgotten]";
/// So many bytes of a passage, or of a sentence in it, are enough to know it for what it is: `please continue` may be anyone's.
const TELLING: usize = 60;
/// What the observation of a search of the history begins with.
const HITS: &str = r#"{"hits":"#;

/// Knows what is to disappear.
#[derive(Default)]
pub struct Traces {
    ids: HashSet<String>,
    /// The ids as quotes have them.
    short: HashSet<String>,
    /// Questions with their answers, without blanks around them.
    said: HashSet<(String, String)>,
    /// The beginnings of telling passages and sentences, and how each of these goes on.
    beginnings: Option<AhoCorasick>,
    passages: Vec<Vec<String>>,
}

impl Traces {
    /// Returns what there may be of turns by their ids, of what was asked and answered in them, and of their passages.
    pub fn new(
        ids: impl IntoIterator<Item = String>,
        said: impl IntoIterator<Item = (String, String)>,
        passages: impl IntoIterator<Item = String>,
    ) -> Traces {
        let ids: HashSet<String> = ids.into_iter().collect();
        let mut by_beginning: HashMap<String, HashSet<String>> = HashMap::new();
        for passage in passages {
            let whole = std::iter::once(passage.as_str());
            for piece in whole.chain(passage.split_sentence_bounds()) {
                let escaped = Value::from(piece.trim()).to_string();
                // As it stands, and as it stands in a JSON string.
                for form in [piece.trim(), escaped.trim_matches('"')] {
                    if form.len() >= TELLING {
                        let (head, rest) = form.split_at(form.ceil_char_boundary(TELLING));
                        let rests = by_beginning.entry(head.to_owned()).or_default();
                        rests.insert(rest.to_owned());
                    }
                }
            }
        }
        let by_beginning = by_beginning
            .into_iter()
            .map(|(head, rests)| (head, rests.into_iter().collect()));
        let (heads, mut passages): (Vec<String>, Vec<Vec<String>>) = by_beginning.unzip();
        for rests in &mut passages {
            // The longest that fits is what is taken.
            rests.sort_by_key(|rest| std::cmp::Reverse(rest.len()));
        }
        let trimmed =
            |(query, answer): (String, String)| (query.trim().to_owned(), answer.trim().to_owned());
        Traces {
            short: ids.iter().map(|id| short_id(id).to_owned()).collect(),
            ids,
            said: said.into_iter().map(trimmed).collect(),
            // Only a set of patterns beyond any memory cannot be built; ids are known all the same.
            beginnings: AhoCorasick::new(heads).ok(),
            passages,
        }
    }

    /// Returns whether a text names one of the ids.
    pub fn named_in(&self, text: &str) -> bool {
        let mut words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
        words.any(|word| self.ids.contains(word))
    }

    /// Takes everything out of a text. Returns whether there was any. JSON text stays as it is, byte for byte, where there is none.
    pub fn take_out(&self, text: &mut String) -> bool {
        if let Some(mut value) = json(text) {
            let found = self.take_out_of(&mut value);
            if found {
                *text = value.to_string();
            }
            return found;
        }
        let found = self.found(text);
        let quoted = self.quotes(text);
        let repeated = self.repeated(text);
        found || quoted || repeated
    }

    fn take_out_of(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.take_out(text),
            Value::Array(values) => {
                let all = values.len();
                values.retain(|value| !self.is_named(value));
                let mut found = values.len() < all;
                found |= self.exchanges(values);
                for value in values {
                    found |= self.take_out_of(value);
                }
                found
            }
            Value::Object(values) => {
                let mut found = false;
                for value in values.values_mut() {
                    found |= self.take_out_of(value);
                }
                found
            }
            _ => false,
        }
    }

    fn is_named(&self, value: &Value) -> bool {
        let id = value.get("interaction_id").and_then(Value::as_str);
        id.is_some_and(|id| self.ids.contains(id))
    }

    /// Takes questions with their answers out of the messages of a request.
    fn exchanges(&self, messages: &mut Vec<Value>) -> bool {
        let mut found = false;
        let mut at = 0;
        while at < messages.len() {
            let Some(query) = asked_in(&messages[at]) else {
                at += 1;
                continue;
            };
            let until = messages[at + 1..]
                .iter()
                .position(|message| asked_in(message).is_some());
            let until = until.map_or(messages.len(), |next| at + 1 + next);
            let answer = messages[at + 1..until]
                .iter()
                .rev()
                .find_map(|message| said_by(message, "assistant"));
            let said = answer.filter(|answer| *answer != NO_ANSWER);
            let exchange = (
                query.trim().to_owned(),
                said.unwrap_or_default().trim().to_owned(),
            );
            if !self.said.contains(&exchange) {
                at = until;
                continue;
            }
            found = true;
            let is_answered = answer.is_some();
            messages[at]["content"] = FORGOTTEN.into();
            if is_answered {
                let last = serde_json::json!({"role": "assistant", "content": FORGOTTEN});
                messages.splice(at + 1..until, [last]);
                at += 2;
            } else {
                at = until;
            }
        }
        found
    }

    /// Takes out what a search has found, where its observation stands within other text, or was cut in the middle.
    fn found(&self, text: &mut String) -> bool {
        let mut found = false;
        let mut from = 0;
        while let Some(start) = text[from..].find(HITS).map(|at| from + at) {
            let mut values =
                serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
            let (read, length) = match values.next() {
                Some(Ok(value)) => (Some(value), values.byte_offset()),
                // Nobody can tell any more whose words the rest is.
                _ => (None, text.len() - start),
            };
            let instead = match read {
                Some(mut value) => {
                    if !self.take_out_of(&mut value) {
                        from = start + length;
                        continue;
                    }
                    value.to_string()
                }
                None => FORGOTTEN.to_owned(),
            };
            found = true;
            text.replace_range(start..start + length, &instead);
            from = start + instead.len();
        }
        found
    }

    /// Takes out quotes with their heads: of recall, up to the next head or the end of the quotes; of an answer without a model, the
    /// quoted lines.
    fn quotes(&self, text: &mut String) -> bool {
        if !text.contains(" · ") {
            return false;
        }
        let mut kept = String::with_capacity(text.len());
        let mut lines = text.split_inclusive('\n').peekable();
        let mut found = false;
        while let Some(line) = lines.next() {
            let mut names = line.trim_end().split(" · ");
            if !names.any(|name| self.short.contains(name)) {
                kept.push_str(line);
                continue;
            }
            found = true;
            let recalled = line.starts_with("--- ");
            let mut last = line;
            while let Some(next) = lines.next_if(|next| match recalled {
                true => !next.starts_with("--- ") && !next.starts_with(QUOTES_END),
                false => next.starts_with('>'),
            }) {
                last = next;
            }
            kept.push_str(FORGOTTEN);
            if recalled {
                kept.push_str("\n\n");
            } else if last.ends_with('\n') {
                kept.push('\n');
            }
        }
        if found {
            *text = kept;
        }
        found
    }

    /// Takes out passages, wherever they stand.
    fn repeated(&self, text: &mut String) -> bool {
        let Some(beginnings) = &self.beginnings else {
            return false;
        };
        let mut kept = String::new();
        let mut from = 0;
        for found in beginnings.find_overlapping_iter(text.as_str()) {
            if found.start() < from {
                continue;
            }
            let rests = self.passages[found.pattern().as_usize()].iter();
            let rest = rests
                .map(String::as_str)
                .find(|rest| text[found.end()..].starts_with(rest));
            if let Some(rest) = rest {
                kept.push_str(&text[from..found.start()]);
                kept.push_str(FORGOTTEN);
                from = found.end() + rest.len();
            }
        }
        if from == 0 {
            return false;
        }
        kept.push_str(&text[from..]);
        *text = kept;
        true
    }
}

/// Reads a text that is a JSON object or array and nothing else.
fn json(text: &str) -> Option<Value> {
    text.trim_start()
        .starts_with(['{', '['])
        .then(|| serde_json::from_str(text).ok())?
}

/// Returns the question in a message, without what was recalled before it. What tools and we ourselves told the model as a user is none.
fn asked_in(message: &Value) -> Option<&str> {
    let said = said_by(message, "user")?;
    if said.starts_with(OBSERVATION) || said == NO_MORE {
        return None;
    }
    let own = said.rsplit_once(QUOTES_END);
    Some(own.map_or(said, |(_, own)| own))
}

fn said_by<'m>(message: &'m Value, role: &str) -> Option<&'m str> {
    if message.get("role")?.as_str()? != role {
        return None;
    }
    message.get("content")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "1a2b3c4d-0000-4000-8000-000000000000";
    const PASSAGE: &str = "The code of the \"vault\" is 1234,\nand nobody is to know it, ever.";

    fn traces() -> Traces {
        let said = [("please continue".to_owned(), PASSAGE.to_owned())];
        Traces::new(
            [ID.to_owned()],
            said,
            [PASSAGE.to_owned(), "please continue".to_owned()],
        )
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut left = text.to_owned();
        assert_eq!(traces().take_out(&mut left), text != expected);
        assert_eq!(left, expected);
    }

    // Finding H7.
    #[test]
    fn what_names_an_id_goes_and_the_rest_stays() {
        let hit = |id: &str, passage: &str| json!({"interaction_id": id, "query": "q", "passage": passage});
        let hits = json!({"hits": [hit(ID, PASSAGE), hit("other", "kept")]}).to_string();
        let left = json!({"hits": [hit("other", "kept")]}).to_string();
        check(&hits, &left);
        // An observation within a request, in the forms of both styles.
        let body =
            |text: &str| json!({"messages": [{"role": "tool", "content": text}]}).to_string();
        check(&body(&hits), &body(&left));
        check(
            &body(&format!("Observation: {hits} and more")),
            &body(&format!("Observation: {left} and more")),
        );
        // Cut in the middle.
        check(
            &body(&format!(
                "{}\n[… 9 of 99 bytes left out …]\nis to know",
                &hits[..60]
            )),
            &body(FORGOTTEN),
        );
        check(&body("{\"hits\":[]}"), &body("{\"hits\":[]}"));
    }

    // Finding H7.
    #[test]
    fn quotes_go_with_their_heads() {
        check(
            "[Quoted]\n\n--- 2026-11-20 14:02 · 1a2b3c4d\nUser: a\nAssistant: b\n[… 1 of 2 bytes left out …]\nc\n\n--- 2026-11-21 10:00 · 99999999\nUser: kept\n\n[End of the quotes. The user now says:]\n\nwhy?",
            "[Quoted]\n\n[forgotten]\n\n--- 2026-11-21 10:00 · 99999999\nUser: kept\n\n[End of the quotes. The user now says:]\n\nwhy?",
        );
        check(
            "The closest:\n\n2026-11-20 14:02 · 1a2b3c4d · you wrote\n> a\n> b\n\n2026-11-20 14:02 · 99999999 · you wrote\n> kept",
            "The closest:\n\n[forgotten]\n\n2026-11-20 14:02 · 99999999 · you wrote\n> kept",
        );
    }

    // Finding H7.
    #[test]
    fn an_exchange_goes_as_a_whole_and_common_words_stay() {
        let said = |query: &str, answer: &str| json!([{"role": "user", "content": query}, {"role": "assistant", "content": answer}]);
        let both = |first: &Value, second: &Value| {
            let messages = [
                first.as_array().unwrap().clone(),
                second.as_array().unwrap().clone(),
            ]
            .concat();
            json!({"messages": messages}).to_string()
        };
        let other = said("please continue", "with something else");
        check(
            &both(&said("please continue", PASSAGE), &other),
            &both(&said(FORGOTTEN, FORGOTTEN), &other),
        );
        check("please continue", "please continue");
        check(
            &format!("it said: {PASSAGE} Yes."),
            "it said: [forgotten] Yes.",
        );
        // Within JSON that is no JSON any more.
        let escaped = Value::from(PASSAGE).to_string();
        check(&format!("x\": {escaped}, \"y"), "x\": \"[forgotten]\", \"y");
        check("{\"b\": 1,  \"a\": 2}", "{\"b\": 1,  \"a\": 2}");
    }
}
