//! What a person means by an id, by a number, or by nothing: the last list of a chat, and its last turn.

use anyhow::{Result, bail};

use super::arguments::Whose;
use crate::chat::Memory;
use crate::store::{Filter, Hinted, Named};

/// Holds what was shown last, and may be meant next.
#[derive(Debug, Default)]
pub struct Shown {
    /// The last turn of the conversation.
    pub last: Option<String>,
    /// The last list; outside a chat there is none.
    list: Option<List>,
}

/// Holds the ids of a list in their order, and whose history it is of.
#[derive(Debug, Default)]
struct List {
    ids: Vec<String>,
    whose: Whose,
}

impl Shown {
    /// Returns what a chat begins with, whose lists are numbered.
    pub fn in_chat() -> Shown {
        Shown {
            last: None,
            list: Some(List::default()),
        }
    }

    /// Takes note of a list. One without rows leaves the numbers to the one before.
    pub fn list(&mut self, ids: Vec<&String>, whose: &Whose) {
        if let Some(list) = self.list.as_mut().filter(|_| !ids.is_empty()) {
            list.ids = ids.into_iter().cloned().collect();
            list.whose = whose.clone();
        }
    }

    /// Puts the id that is meant in the place of a number; of a list of others' history it is theirs.
    pub fn id(&self, word: &mut String, whose: &mut Whose) -> Result<()> {
        let Some(number) = number(word) else {
            return Ok(());
        };
        let hinted = |message: String, hint: &str| Hinted {
            message,
            hint: hint.to_owned(),
        };
        let Some(list) = &self.list else {
            let message =
                format!("`{word}` is the number of a row, and lists have numbers in a chat");
            bail!(hinted(
                message,
                "give an id, or its first 4 characters or more"
            ));
        };
        let Some(id) = number.checked_sub(1).and_then(|at| list.ids.get(at)) else {
            let message = match list.ids.len() {
                0 => format!("`{word}` is the number of a row, and nothing has been listed yet"),
                rows => format!("the last list has the numbers 1 to {rows}, and no `{word}`"),
            };
            let hint = "`/search`, `/timeframe` and `/sessions` make lists; an id has 4 characters or more";
            bail!(hinted(message, hint));
        };
        word.clone_from(id);
        if !whose.is_given() {
            *whose = list.whose.clone();
        }
        Ok(())
    }

    /// Does so with words in a chat, if each of them is the number of a row or may be an id: `404` may be looked for.
    pub fn ids(&self, words: &[String], whose: &mut Whose) -> Result<Vec<String>> {
        let mut ids = words.to_vec();
        let Some(list) = &self.list else {
            return Ok(ids);
        };
        let is_row = |number: usize| (1..=list.ids.len()).contains(&number);
        let is_meant = |word: &String| {
            let number = number(word);
            number.is_some_and(|number| word.starts_with('#') || is_row(number)) || may_be_id(word)
        };
        if words.iter().all(is_meant) {
            ids.iter_mut().try_for_each(|word| self.id(word, whose))?;
        }
        Ok(ids)
    }
}

/// Reads the number of a row: with a `#`, or shorter than any beginning of an id.
fn number(word: &str) -> Option<usize> {
    let digits = match word.strip_prefix('#') {
        Some(digits) => digits,
        None => Some(word).filter(|word| word.len() < 4)?,
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Returns the interactions and sessions that words name by their ids; none where they are meant as words.
pub async fn named(words: &[String], filter: &Filter, memory: &Memory) -> Result<Vec<Named>> {
    let mut all = Vec::new();
    if !words.iter().all(|word| may_be_id(word)) {
        return Ok(all);
    }
    for word in words {
        match memory.store.named(filter, word).await {
            // A year, a port or a date names nothing but by chance.
            Err(_) if word.chars().all(|c| c.is_ascii_digit() || c == '-') => {
                return Ok(Vec::new());
            }
            found => all.push(found?),
        }
    }
    Ok(all)
}

/// Returns whether a word may be an id: hexadecimal, with a digit in it, so that `face` and `added` are words.
fn may_be_id(text: &str) -> bool {
    text.len() >= 4
        && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        && text.chars().any(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_too_short_for_an_id_or_has_a_mark() {
        let check =
            |word: &str, expected: Option<usize>| assert_eq!(number(word), expected, "{word}");
        for (word, meant) in [
            ("2", 2),
            ("007", 7),
            ("#2", 2),
            ("999", 999),
            ("#1234", 1234),
        ] {
            check(word, Some(meant));
        }
        for word in ["1234", "2a", "+2", "-2", "#", "", "#+2", "٢", "two"] {
            check(word, None);
        }
        assert!(may_be_id("1234") && may_be_id("1a2b3c4d-") && !may_be_id("face"));
    }
}
