//! The words of texts, and how rare they are in a history.

use std::collections::{HashMap, HashSet};

use unicode_segmentation::UnicodeSegmentation;

/// Returns the words of a text in lower case, in order.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    parts(text).map(str::to_lowercase)
}

/// Returns the words of a text; `snake_case` and `a.b.c` are looked for by their parts.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    // Only scripts without blanks between words need the tables of Unicode, and they take their time.
    let (plain, other) = if text.is_ascii() {
        (text, "")
    } else {
        ("", text)
    };
    let other = other.unicode_words();
    std::iter::once(plain)
        .chain(other)
        .flat_map(|word| word.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
}

/// Counts in how many of some texts each word is.
#[derive(Debug, Default)]
pub struct Sample {
    texts: usize,
    count: HashMap<String, usize>,
}

impl Sample {
    /// Counts the words of these texts.
    pub fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Sample {
        let mut sample = Sample::default();
        for text in texts {
            sample.texts += 1;
            for word in words(text).collect::<HashSet<_>>() {
                *sample.count.entry(word).or_default() += 1;
            }
        }
        sample
    }

    /// Returns whether any of the texts has the word.
    pub fn contains(&self, word: &str) -> bool {
        self.count.contains_key(word)
    }

    /// Returns how much a word says: the logarithm of how rare it is.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of texts are far below 2^24"
    )]
    pub fn weight(&self, word: &str) -> f32 {
        let count = self.count.get(word).copied().unwrap_or_default() as f32;
        (1.0 + (self.texts as f32 - count + 0.5) / (count + 0.5)).ln()
    }
}
