//! How well a passage answers a query: its meaning, and the words they share.
//!
//! Ranks of two lists cannot be fused without one drowning the other, so both sides are put on one scale: the cosine of the
//! vectors, and the share of the query's words that the passage has, each word weighted by how rare it is. The share counts to the
//! power of 3/2: a stray word says little, nearly all of the words nearly everything.

use std::collections::HashSet;

use crate::store::embedding::ends;
use crate::store::vocabulary::{Sample, parts, runs, words};

/// How much the shared words weigh beside the meaning. On the evaluation set anything from 0.5 to 0.8 does equally well.
const WORDS: f32 = 0.6;
/// What scores less is nonsense.
const FLOOR: f32 = 0.1;
/// Of a query that names something the history never mentions, only what is as similar as this stays, or shares as much.
const NAMED_SIMILARITY: f32 = 0.48;
const NAMED_SHARE: f32 = 0.3;

/// How many words of a query count; of a longer one the rarest.
const MOST_WORDS: usize = 64;

/// Holds what is looked for, taken apart.
pub struct Terms {
    /// What a full-text index is asked for.
    text: String,
    /// The words with their weights, each once.
    words: Vec<(String, f32)>,
    /// What must be there as it stands, in lower case with single blanks.
    phrases: Vec<String>,
    /// What is in scripts without blanks, each piece as it stands.
    runs: Vec<String>,
    /// Words that look like names: with a capital or a digit.
    names: HashSet<String>,
}

impl Terms {
    /// Takes a query apart; where a person typed it, what stands between double quotes is a phrase.
    pub fn new(query: &str, sample: &Sample, quoted: bool) -> Terms {
        let ends = ends(query);
        let mut seen = HashSet::new();
        let all = words(&ends).filter(|word| seen.insert(word.clone()));
        let all = all.map(|word| (word.clone(), sample.weight(&word)));
        let mut all: Vec<(String, f32)> = all.collect();
        let mut text = ends.to_string();
        let mut runs: Vec<String> = runs(&ends).map(|run| run.as_str().to_owned()).collect();
        runs.sort_unstable();
        runs.dedup();
        if all.len() > MOST_WORDS {
            all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            all.truncate(MOST_WORDS);
            let rarest = all.iter().map(|(word, _)| word).chain(&runs);
            text = rarest.map(String::as_str).collect::<Vec<_>>().join(" ");
        }
        let names = parts(&ends)
            .into_iter()
            .filter(|word| word.contains(|c: char| c.is_uppercase() || c.is_ascii_digit()));
        Terms {
            text,
            words: all,
            phrases: if quoted { phrases(query) } else { Vec::new() },
            runs,
            names: names.map(str::to_lowercase).collect(),
        }
    }

    /// Returns what a full-text index is asked for.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the words, in lower case.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|(word, _)| word.as_str())
    }

    /// Returns what must be there as it stands.
    pub fn phrases(&self) -> &[String] {
        &self.phrases
    }

    /// Returns the pieces in scripts without blanks.
    pub fn runs(&self) -> &[String] {
        &self.runs
    }

    /// Returns whether a text has every phrase.
    pub fn has_phrases(&self, text: &str) -> bool {
        self.phrases.is_empty() || {
            let text = plain(text);
            self.phrases.iter().all(|phrase| text.contains(phrase))
        }
    }

    /// Returns the share of the words that a text has, weighted, 0 to 1.
    pub fn share(&self, text: &str) -> f32 {
        let there: HashSet<String> = words(text).collect();
        let found = self.words.iter().filter(|(word, _)| there.contains(word));
        let all: f32 = self.words.iter().map(|(_, weight)| weight).sum();
        if all == 0.0 {
            return 0.0;
        }
        found.map(|(_, weight)| weight).sum::<f32>() / all
    }

    /// Returns whether something is named that neither the sample nor any of the texts mentions.
    pub fn names_unknown<'t>(&self, sample: &Sample, texts: impl Iterator<Item = &'t str>) -> bool {
        let mut unknown: HashSet<&String> = self
            .names
            .iter()
            .filter(|name| !sample.contains(name))
            .collect();
        if unknown.is_empty() {
            return false;
        }
        let known: HashSet<String> = texts.flat_map(words).collect();
        unknown.retain(|name| !known.contains(*name));
        !unknown.is_empty()
    }
}

/// Returns what stands between double quotes.
fn phrases(query: &str) -> Vec<String> {
    let parts: Vec<&str> = query.split('"').collect();
    // The last part is quoted only when its quote is closed.
    let closed = (parts.len() - 1) / 2 * 2;
    let quoted = parts[..closed].iter().skip(1).step_by(2);
    let mut phrases: Vec<String> = quoted.map(|phrase| plain(phrase)).collect();
    phrases.retain(|phrase| !phrase.is_empty());
    phrases
}

/// Holds how well a passage answers.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// The cosine, where there are vectors.
    pub similarity: Option<f32>,
    /// The share of the words, where words count.
    pub share: Option<f32>,
    /// Whether others have a cosine: then one without is like nothing.
    pub compares: bool,
}

impl Score {
    /// Returns the score, 1 for the very same text.
    pub fn total(self) -> f32 {
        match (self.meaning(), self.share) {
            (Some(similarity), Some(share)) => {
                WORDS.mul_add(share * share.sqrt(), similarity) / (1.0 + WORDS)
            }
            (Some(similarity), None) => similarity,
            (None, share) => share.unwrap_or_default(),
        }
    }

    /// Returns whether it is worth showing when nobody says what is.
    pub fn is_worthwhile(self, names_unknown: bool) -> bool {
        let named = self
            .meaning()
            .is_none_or(|similarity| similarity >= NAMED_SIMILARITY)
            || self.share.is_some_and(|share| share >= NAMED_SHARE);
        self.total() >= FLOOR && (named || !names_unknown)
    }

    fn meaning(self) -> Option<f32> {
        self.similarity.or(self.compares.then_some(0.0))
    }
}

/// Returns a text in lower case with single blanks.
fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample::new(
            [
                "the pool is full",
                "the lock is held",
                "the pool of PG_LOCK v2.1",
            ]
            .into_iter(),
        )
    }

    #[test]
    fn rare_words_weigh_more_than_common_ones() {
        let sample = sample();
        let terms = Terms::new("the lock, THE lock", &sample, false);
        assert_eq!(terms.words().collect::<Vec<_>>(), ["the", "lock"]);
        let (common, rare) = (terms.share("the end"), terms.share("a lock"));
        assert!(common > 0.0 && rare > common && (common + rare - 1.0).abs() < 1e-6);
        assert!((terms.share("the pg_lock") - 1.0).abs() < 1e-6);
        assert!(Terms::new("…", &sample, false).share("…") < f32::EPSILON);
    }

    #[test]
    fn phrases_must_stand_as_they_are() {
        let query = "why \"the Pool  is\" \"open";
        // Finding H8: in what nobody typed as a search, quotes are quotes.
        assert!(Terms::new(query, &sample(), false).phrases().is_empty());
        let terms = Terms::new(query, &sample(), true);
        assert_eq!(terms.phrases(), ["the pool is"]);
        assert!(
            terms.has_phrases("so The\npool is full") && !terms.has_phrases("is the pool full")
        );
        assert!(Terms::new("\"\"", &sample(), true).has_phrases("anything"));
    }

    #[test]
    fn what_is_named_and_never_mentioned_is_noticed() {
        let sample = sample();
        let unknown = |query: &str| {
            Terms::new(query, &sample, false).names_unknown(&sample, ["about Redis"].into_iter())
        };
        assert!(unknown("Kafka is full") && unknown("error E0382"));
        assert!(!unknown("PG_LOCK is kept in Redis") && !unknown("kafka is full"));
    }

    #[test]
    fn the_same_text_scores_one_and_nonsense_is_left_out() {
        let score = |similarity, share| Score {
            similarity,
            share,
            compares: false,
        };
        assert!((score(Some(1.0), Some(1.0)).total() - 1.0).abs() < 1e-6);
        assert!(score(Some(0.3), Some(1.0)).total() > score(Some(0.6), Some(0.3)).total());
        assert!(!score(Some(0.12), Some(0.0)).is_worthwhile(false));
        assert!(score(Some(0.4), Some(0.1)).is_worthwhile(false));
        assert!(!score(Some(0.4), Some(0.1)).is_worthwhile(true));
        assert!(score(None, Some(0.2)).is_worthwhile(true));
    }

    // Finding H10.
    #[test]
    fn words_alone_are_no_better_than_words_and_meaning() {
        let score = |similarity, share| Score {
            similarity,
            share: Some(share),
            compares: true,
        };
        assert!(score(None, 1.0).total() < score(Some(0.6), 1.0).total());
        assert!(score(None, 0.5).total() < score(Some(0.4), 0.0).total());
        assert!(score(None, 1.0).is_worthwhile(true));
        assert!(!score(None, 0.2).is_worthwhile(false));
    }

    // Finding M16.
    #[test]
    fn of_very_many_words_the_rarest_count() {
        let many: Vec<String> = (0..200).map(|at| format!("w{at}")).collect();
        let sample = Sample::new([many[..180].join(" ").as_str()].into_iter());
        let terms = Terms::new(&many.join(" "), &sample, false);
        assert_eq!(terms.words().count(), MOST_WORDS);
        assert!((180..200).all(|at| terms.words().any(|word| word == format!("w{at}"))));
        assert_eq!(terms.text().split(' ').count(), MOST_WORDS);
        assert_eq!(Terms::new("a b", &sample, false).text(), "a b");
    }
}
