//! Makes vectors of the model's own kind for texts that it would take hours to embed: some sentences are embedded once, and each text
//! gets the vector of one of its topic, moved by as much as two others differ.

use std::collections::HashMap;

use allm::embedder::Embedder;
use anyhow::Result;
use serde_json::Value;

use super::synthetic::{Numbers, TOPICS, own_words};

/// The vocabulary of the bundled model: words that it knows.
const TOKENIZER: &str = include_str!("../../assets/all-MiniLM-L6-v2/tokenizer.json");
/// How many words the sentences of a topic share.
const SHARED: usize = 6;
/// How far a vector is moved at most, in parts of how much two sentences differ. Then the nearest of a million are as near as those
/// of as much prose.
const MOVED: f32 = 1.1;

/// Has the form of sentences, each with two words of their topic, `#`, and two others, `*`.
const FORMS: [&str; 12] = [
    "How do I keep the # away from the * while the # is still *?",
    "The # was slower than the * until we moved the # behind a *.",
    "We decided to use # with *, because # needs no *.",
    "Why does # say that the * of a # is *?",
    "It is the * that breaks # and not the # of the *.",
    "Please write a # that reads each * and leaves the # to *.",
    "My * asked about #, and I said # is like *.",
    "First check the * of the #, then change # to *.",
    "I went to see the # with a *, and the # was *.",
    "An error of # in *: the # has no *.",
    "Is there a * between # and # for *?",
    "Remember that # comes before *, and # after *.",
];

/// Embeds texts of synthetic histories.
#[derive(Clone)]
pub struct Sentences {
    name: String,
    /// Those of one topic beside each other.
    vectors: Vec<Vec<f32>>,
    topics: HashMap<String, u64>,
}

impl Sentences {
    /// Has the model embed about so many sentences.
    pub fn new(model: &dyn Embedder, count: u64) -> Result<Sentences> {
        let words = words()?;
        let mut texts = Vec::new();
        for topic in 0..TOPICS {
            let mut numbers = Numbers(topic);
            let shared = (0..SHARED).map(|_| words[numbers.index(words.len())].clone());
            let shared: Vec<String> = shared.collect();
            for _ in 0..count / TOPICS {
                let form = FORMS[numbers.index(FORMS.len())];
                let word = |c: char| match c {
                    '#' => shared[numbers.index(SHARED)].clone(),
                    '*' => words[numbers.index(words.len())].clone(),
                    _ => c.to_string(),
                };
                texts.push(form.chars().map(word).collect::<String>());
            }
        }
        let mut vectors = Vec::new();
        for some in texts.chunks(256) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            vectors.extend(model.embed(&some)?);
        }
        Ok(Sentences {
            name: model.name().to_owned(),
            vectors,
            topics: own_words().collect(),
        })
    }

    /// Returns which topic has most words of a text to itself.
    fn topic(&self, text: &str) -> Option<u64> {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        let words = text.split(|c: char| !c.is_alphanumeric());
        for topic in words.filter_map(|word| self.topics.get(word)) {
            *counts.entry(*topic).or_default() += 1;
        }
        let most = counts
            .into_iter()
            .max_by_key(|(topic, count)| (*count, *topic));
        most.map(|(topic, _)| topic)
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let seed = text.bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        let mut numbers = Numbers(seed);
        let topic = self.topic(text).unwrap_or_else(|| numbers.below(TOPICS));
        let per_topic = self.vectors.len() as u64 / TOPICS;
        let own = topic * per_topic + numbers.below(per_topic);
        let own = &self.vectors[usize::try_from(own).unwrap_or_default()];
        let mut any = || &self.vectors[numbers.index(self.vectors.len())];
        let (one, other) = (any(), any());
        let moved = MOVED * numbers.below(1_000) as f32 / 1_000.0;
        let each = own.iter().zip(one).zip(other);
        let mut vector: Vec<f32> = each
            .map(|((own, one), other)| own + moved * (one - other) / 2_f32.sqrt())
            .collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in &mut vector {
            *x /= length;
        }
        vector
    }
}

impl Embedder for Sentences {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.vectors[0].len()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }

    fn passages<'t>(&self, text: &'t str) -> Result<Vec<&'t str>> {
        Ok(vec![text])
    }
}

/// Returns the words of the model's vocabulary.
fn words() -> Result<Vec<String>> {
    let tokenizer: Value = serde_json::from_str(TOKENIZER)?;
    let words = tokenizer["model"]["vocab"].as_object();
    let words = words.into_iter().flatten().map(|(word, _)| word);
    let is_word = |word: &&String| word.len() > 3 && word.chars().all(|c| c.is_ascii_lowercase());
    let mut words: Vec<String> = words.filter(is_word).cloned().collect();
    words.sort_unstable();
    Ok(words)
}
