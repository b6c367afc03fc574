//! A query taken apart: its words by stem, its phrases, the names and times in it.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

use super::marks::marks;
use crate::store::embedding::ends;
use crate::store::vocabulary::{Sample, Word, keys, runs, words};
use crate::timeframe::{Named, Zone, named};

/// What was done on a day is told about in the days after it, too.
const TOLD_LATER: i64 = 3;
/// Of an identifier whose parts alone are there half is there.
const IN_PARTS: f32 = 0.5;

/// What unknown names weigh in a query that is about them: a stray `IDE` in a long question is not what it asks for.
const UNKNOWN: f32 = 0.25;

/// How many passages a full-text index looks through, some 20 ms: it is asked for the rarest words first. What has none of them is no
/// answer where so many have the others.
const LOOKED_THROUGH: usize = 200_000;
/// How many words of a query count; of a longer one the rarest.
const MOST_WORDS: usize = 64;

/// Holds what is looked for, taken apart.
#[derive(Debug, Default)]
pub struct Terms {
    /// What a full-text index is asked for.
    text: String,
    words: Vec<Term>,
    /// What must be there as it stands, in lower case with single blanks.
    phrases: Vec<String>,
    /// What is in scripts without blanks, each piece as it stands.
    runs: Vec<String>,
    /// What names something: has a capital or a digit.
    names: HashSet<String>,
    /// What words are marked by where they are found: not only within a phrase.
    marked: Vec<Word>,
    times: Vec<Named>,
    zone: Zone,
}

/// Is a word of a query with its weight.
#[derive(Debug)]
struct Term {
    /// As it was typed, in lower case.
    text: String,
    key: String,
    weight: f32,
    parts: Vec<Term>,
}

impl Term {
    fn new(query: &str, word: Word, sample: &Sample) -> Term {
        let parts = word.parts.into_iter();
        Term {
            text: query[word.range].to_lowercase(),
            weight: sample.weight(&word.key),
            key: word.key,
            parts: parts.map(|part| Term::new(query, part, sample)).collect(),
        }
    }

    /// Returns how much of it is there, 0 to 1.
    fn found(&self, there: &HashSet<String>) -> f32 {
        match there.contains(&self.key) {
            true => 1.0,
            false => IN_PARTS * share(&self.parts, there),
        }
    }

    /// Returns it, or else its smallest parts, as they were typed.
    fn pieces(&self) -> Vec<&Term> {
        match self.parts.is_empty() {
            true => vec![self],
            false => self.parts.iter().flat_map(Term::pieces).collect(),
        }
    }
}

fn share(terms: &[Term], there: &HashSet<String>) -> f32 {
    let all: f32 = terms.iter().map(|term| term.weight).sum();
    if all == 0.0 {
        return 0.0;
    }
    let found = terms.iter().map(|term| term.weight * term.found(there));
    found.sum::<f32>() / all
}

impl Terms {
    /// Takes a query apart; where a person typed it, what stands between double quotes is a phrase.
    pub fn new(query: &str, sample: &Sample, quoted: bool, zone: Zone) -> Terms {
        let ends = ends(query);
        let times = named(&ends, zone, Utc::now());
        let is_time = |word: &Word| holds(&times, &word.range);
        let mut all = words(&ends);
        // What says something, else what there is.
        let telling: [&dyn Fn(&Word) -> bool; 2] =
            [&|word| !word.is_stop && !is_time(word), &|word| {
                !is_time(word)
            }];
        if let Some(keep) = telling.iter().find(|keep| all.iter().any(keep)) {
            all.retain(keep);
        }
        let mut names = HashSet::new();
        for word in &all {
            note_names(&ends, word, &mut names);
        }
        let mut seen = HashSet::new();
        all.retain(|word| seen.insert(word.key.clone()));
        let kept = all.clone();
        let all = all.into_iter();
        let mut all: Vec<Term> = all.map(|word| Term::new(&ends, word, sample)).collect();
        if all.len() > MOST_WORDS {
            all.sort_by(|a, b| b.weight.total_cmp(&a.weight));
            all.truncate(MOST_WORDS);
        }
        let mut runs: Vec<String> = self::runs(&ends)
            .map(|run| run.as_str().to_owned())
            .collect();
        runs.sort_unstable();
        runs.dedup();
        // The index has words of its own for runs.
        let is_spaced = |text: &&str| self::runs(text).next().is_none();
        let asked = asked(&all, sample).into_iter().filter(is_spaced);
        let asked = asked.chain(runs.iter().map(String::as_str));
        let asked: Vec<&str> = asked.collect();
        let phrases = if quoted { phrases(query) } else { Vec::new() };
        // What has no blanks is marked by more than a character, unless that is all.
        let quotes: Vec<Range<usize>> = match quoted {
            true => quoted_parts(&ends).collect(),
            false => Vec::new(),
        };
        let is_marked = |word: &Word| {
            let text = &ends[word.range.clone()];
            let is_part = |run: &String| run != text && run.contains(text);
            let holds =
                |at: &Range<usize>| at.start <= word.range.start && word.range.end <= at.end;
            (text.chars().nth(1).is_some() || !runs.iter().any(is_part))
                && !quotes.iter().any(holds)
        };
        let marked = kept.into_iter().filter(is_marked).collect();
        Terms {
            text: asked.join(" "),
            words: all,
            phrases,
            marked,
            runs,
            names,
            times,
            zone,
        }
    }

    /// Returns what a full-text index is asked for.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the words and their parts as they were typed, in lower case, each with what it is compared by.
    pub fn words(&self) -> impl Iterator<Item = (&str, &str)> {
        let pieces = self.words.iter().flat_map(Term::pieces);
        pieces.map(|term| (term.text.as_str(), term.key.as_str()))
    }

    /// Returns what must be there as it stands.
    pub fn phrases(&self) -> &[String] {
        &self.phrases
    }

    /// Returns the pieces in scripts without blanks.
    pub fn runs(&self) -> &[String] {
        &self.runs
    }

    /// Returns whether a part of the query says when.
    pub fn is_time(&self, part: &Range<usize>) -> bool {
        holds(&self.times, part)
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
        self.share_of(&keys(words(text)))
    }

    /// Returns what of a text is looked for, in bytes.
    pub fn marks(&self, text: &str) -> Vec<Range<usize>> {
        let words = words(text);
        let there = keys(words.clone());
        // Where an identifier is as a whole, its parts elsewhere are other words.
        let asked = self
            .marked
            .iter()
            .flat_map(|word| match there.contains(&word.key) {
                true => HashSet::from([word.key.clone()]),
                false => keys(word.parts.clone()),
            });
        let asked: HashSet<String> = asked.collect();
        marks(text, &words, &self.phrases, |key| asked.contains(key))
    }

    /// Returns the same of the keys of a text's words.
    pub fn share_of(&self, there: &HashSet<String>) -> f32 {
        share(&self.words, there)
    }

    /// Returns whether a moment lies in a time that the query names, or shortly after it.
    pub fn is_timely(&self, moment: DateTime<Utc>) -> bool {
        let mut days = (0..=TOLD_LATER).map(|days| moment - TimeDelta::days(days));
        days.any(|day| {
            let mut times = self.times.iter();
            times.any(|named| named.time.holds(day, self.zone))
        })
    }

    /// Returns whether a good part of the query is names that neither the sample nor any of the texts mentions, whose keys these are.
    pub fn names_unknown<'t>(
        &self,
        sample: &Sample,
        texts: impl Iterator<Item = &'t HashSet<String>>,
    ) -> bool {
        let mut unknown: HashSet<&String> = self
            .names
            .iter()
            .filter(|name| !sample.contains(name))
            .collect();
        for known in texts {
            if unknown.is_empty() {
                break;
            }
            unknown.retain(|name| !known.contains(*name));
        }
        let unknown: f32 = unknown.iter().map(|name| sample.weight(name)).sum();
        let all: f32 = self.words.iter().map(|term| term.weight).sum();
        unknown > 0.0 && unknown >= UNKNOWN * all
    }
}

/// Returns whether a part of a query belongs to one of its times.
fn holds(times: &[Named], part: &Range<usize>) -> bool {
    let is_there = |time: &Named| part.start < time.at.end && time.at.start < part.end;
    times.iter().any(is_there)
}

/// Returns the words that an index is asked for, the rarest first. It cuts at signs, but knows no humps.
fn asked<'t>(terms: &'t [Term], sample: &Sample) -> Vec<&'t str> {
    let pieces = terms.iter().flat_map(|term| {
        let is_whole = term.text.chars().all(char::is_alphanumeric);
        let whole = Some(term).filter(|term| is_whole && !term.parts.is_empty());
        whole.into_iter().chain(term.pieces())
    });
    let mut seen = HashSet::new();
    let pieces = pieces.filter(|piece| seen.insert(piece.text.as_str()));
    let mut pieces: Vec<&Term> = pieces.collect();
    pieces.sort_by_key(|piece| sample.spread(&piece.key));
    let mut looked_through = 0;
    let is_asked = |(at, piece): &(usize, &Term)| {
        looked_through += sample.spread(&piece.key);
        *at == 0 || looked_through <= LOOKED_THROUGH
    };
    let asked = pieces.into_iter().enumerate().take_while(is_asked);
    asked.map(|(_, piece)| piece.text.as_str()).collect()
}

/// Notes what of a word names something: what has a capital or a digit, of what signs put together each part.
fn note_names(query: &str, word: &Word, names: &mut HashSet<String>) {
    let text = &query[word.range.clone()];
    if text.chars().all(char::is_alphanumeric) {
        if text.contains(|c: char| c.is_uppercase() || c.is_ascii_digit()) {
            names.insert(word.key.clone());
        }
    } else {
        for part in &word.parts {
            note_names(query, part, names);
        }
    }
}

/// Returns what stands between double quotes.
pub fn phrases(query: &str) -> Vec<String> {
    let phrases = quoted_parts(query).map(|at| plain(&query[at]));
    phrases.filter(|phrase| !phrase.is_empty()).collect()
}

/// Returns where something stands between double quotes; the last part is quoted only when its quote is closed.
fn quoted_parts(query: &str) -> impl Iterator<Item = Range<usize>> {
    let quotes: Vec<usize> = query.match_indices('"').map(|(at, _)| at).collect();
    let pairs: Vec<[usize; 2]> = quotes.as_chunks().0.to_vec();
    pairs.into_iter().map(|[open, close]| open + 1..close)
}

/// Returns a text in lower case with single blanks.
fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}
