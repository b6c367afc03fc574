//! Words as they are spelt in the history, where one that was typed is nowhere.

use std::collections::HashMap;

use anyhow::Result;

use super::candidates::LOOKED_THROUGH;
use super::search::SearchQuery;
use super::terms::Terms;
use crate::store::embedding::ends;
use crate::store::open::Store;
use crate::store::tables::index::has_words;
use crate::store::tables::{Having, Order};
use crate::store::vocabulary::{Word, words};

/// Shorter words are a letter off too many others.
const SHORTEST: usize = 5;
/// How many words of a query are looked at.
const MOST: usize = 8;
/// How many passages with a word that is nearly the same are read.
const READ: usize = 50;

/// Is a query whose words are spelt as the history has them.
pub struct Respelt {
    pub text: String,
    /// What was typed, and what it was taken for.
    pub instead: Vec<(String, String)>,
}

impl Store {
    /// Spells the words of a query that the history does not have as it has them, where a letter is all that is off.
    pub(super) async fn respelt(
        &self,
        query: &SearchQuery,
        terms: &Terms,
    ) -> Result<Option<Respelt>> {
        let mut text = ends(&query.text).into_owned();
        let mut doubtful = words(&text);
        // What has a digit is another thing if a letter is off.
        doubtful.retain(|word| {
            let is_word = word.parts.is_empty() && word.key.chars().all(char::is_alphabetic);
            let is_long = word.key.chars().count() >= SHORTEST;
            is_word && is_long && !word.is_stop && !terms.is_time(&word.range)
        });
        // Whoever pastes a text has not mistyped a word.
        doubtful.truncate(MOST);
        let mut latest = None;
        if !has_words(&self.passages, "text").await? {
            let columns = ["text", "timestamp"];
            let order = Some(Order::Descending("timestamp"));
            let rows = self
                .passages
                .select(query.expr(), &columns, order, Some(LOOKED_THROUGH));
            latest = Some(rows.await?);
        }
        let mut instead = Vec::new();
        // From the end on, so that the places before stay as they are.
        for word in doubtful.into_iter().rev() {
            let typed = text[word.range.clone()].to_owned();
            let mut near = Vec::new();
            if latest.is_none() {
                let (how, columns) = (Having::Nearly, ["text"]);
                let some =
                    self.passages
                        .matching("text", &typed, how, query.expr(), &columns, READ);
                near = some.await?;
            }
            let rows = latest.as_ref().unwrap_or(&near).iter();
            if let Some(meant) = nearest(&word, rows.map(|row| row.text.as_str())) {
                text.replace_range(word.range, &meant);
                instead.push((typed, meant));
            }
        }
        instead.reverse();
        Ok((!instead.is_empty()).then_some(Respelt { text, instead }))
    }
}

/// Returns the most frequent word of some texts that is a letter off; none, where one is the same.
fn nearest<'t>(word: &Word, texts: impl Iterator<Item = &'t str>) -> Option<String> {
    let mut near: HashMap<String, usize> = HashMap::new();
    for text in texts {
        for other in words(text) {
            if other.key == word.key {
                return None;
            }
            if other.key.chars().all(char::is_alphabetic)
                && other.key.chars().count() >= SHORTEST
                && strsim::osa_distance(&other.key, &word.key) == 1
            {
                *near.entry(text[other.range].to_lowercase()).or_default() += 1;
            }
        }
    }
    let most = near
        .into_iter()
        .max_by(|(a, left), (b, right)| left.cmp(right).then(b.cmp(a)));
    most.map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_nowhere_is_taken_for_the_one_next_to_it() {
        let near = |typed: &str, texts: &[&str]| nearest(&words(typed)[0], texts.iter().copied());
        let texts = ["The deadlocks of the pool", "a deadlock, and a headlock"];
        assert_eq!(near("deadlok", &texts).as_deref(), Some("deadlock"));
        assert_eq!(near("daedlock", &texts).as_deref(), Some("deadlock"));
        assert_eq!(near("deadlocked", &texts), None);
        assert_eq!(near("dreadlok", &texts), None);
    }
}
