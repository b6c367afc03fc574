//! The words of texts, and how rare they are in a history.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

/// Returns the words of a text in lower case, in order.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    parts(text).into_iter().map(str::to_lowercase)
}

/// Returns the words of a text; `snake_case` and `a.b.c` are looked for by their parts, and what has no blanks between its words by
/// its characters and their pairs.
pub fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for run in runs(text) {
        let (start, end) = (run.start(), run.end());
        parts.extend(spaced(&text[from..start]));
        parts.extend(pairs(run.as_str()));
        from = end;
    }
    parts.extend(spaced(&text[from..]));
    parts
}

/// Returns what of a text is in scripts that have no blanks between words, or, as Korean, endings at them.
pub fn runs(text: &str) -> impl Iterator<Item = regex::Match<'_>> {
    static UNSPACED: LazyLock<Regex> = LazyLock::new(|| {
        let scripts = r"\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Hang}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}\p{scx=Tibt}";
        Regex::new(&format!(r"[\w&&[{scripts}]]+")).expect("it is a pattern")
    });
    // Most texts have none, and looking for them takes its time.
    let text = if text.is_ascii() { "" } else { text };
    UNSPACED.find_iter(text)
}

fn spaced(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty())
}

/// Returns each character of a run, and each with the one after it.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let mut borders: Vec<usize> = run.char_indices().map(|(at, _)| at).collect();
    borders.push(run.len());
    (0..borders.len() - 1).flat_map(move |at| {
        let until = |steps: usize| Some(&run[borders[at]..*borders.get(at + steps)?]);
        [until(1), until(2)].into_iter().flatten()
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_in_all_scripts() {
        let check = |text: &str, expected: &[&str]| assert_eq!(parts(text), expected, "{text}");
        check("a snake_case, Naïve", &["a", "snake", "case", "Naïve"]);
        check("ERP审批1", &["ERP", "审", "审批", "批", "1"]);
        check("（プール）。", &["プ", "プー", "ー", "ール", "ル"]);
        check("서버가 죽", &["서", "서버", "버", "버가", "가", "죽"]);
        check("…", &[]);
        let words: Vec<&str> = runs("log 接続プールの、ไทย x")
            .map(|run| run.as_str())
            .collect();
        assert_eq!(words, ["接続プールの", "ไทย"]);
    }
}
