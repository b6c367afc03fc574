//! The words of texts as they are compared: by stem, identifiers whole and by their parts; and how rare they are in a history.
//!
//! The stems are those of the full-text index: LanceDB's own tokenizer makes them.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

use lance_tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
    TokenStream,
};
use lru::LruCache;
use regex::Regex;

/// Fewer vectors say more about what they are of than about the model.
const FEW: f32 = 100.0;
/// How many words are remembered with their stems, and how long they are at most, in bytes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(50_000).expect("50,000 is not zero");
const LONGEST_REMEMBERED: usize = 40;

/// Is a word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What two words have in common that count as the same: the stem without accents; of what is put together, all of it.
    pub key: String,
    /// Where in the text it stands, in bytes.
    pub range: Range<usize>,
    /// Whether it says nothing by itself, as `the` does.
    pub is_stop: bool,
    /// What it is put together from, as `snake_case`, `std::fs` and `camelCase` are.
    pub parts: Vec<Word>,
}

/// Returns the words of a text in order. What has no blanks between its words is told apart by its characters and their pairs.
pub fn words(text: &str) -> Vec<Word> {
    let (mut words, mut from) = (Vec::new(), 0);
    for run in runs(text) {
        put_together(text, spaced(text, from..run.start()), &mut words);
        words.extend(pairs(run));
        from = run.end();
    }
    put_together(text, spaced(text, from..text.len()), &mut words);
    words
}

/// Returns what words, and the parts of words, are compared by.
pub fn keys(words: Vec<Word>) -> HashSet<String> {
    let mut keys = HashSet::new();
    for word in words {
        keys.insert(word.key);
        keys.extend(self::keys(word.parts));
    }
    keys
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

/// Returns the words of a part of a text that has blanks.
fn spaced(text: &str, within: Range<usize>) -> Vec<Word> {
    let part = &text[within.clone()];
    let pieces = part.split(|letter: char| !letter.is_alphanumeric());
    let pieces = pieces.filter(|piece| !piece.is_empty());
    let word = |piece: &str| {
        let start = within.start + (piece.as_ptr() as usize - part.as_ptr() as usize);
        let range = start..start + piece.len();
        let Form { key, is_stop } = form(piece);
        let humps = humps(piece).into_iter();
        let parts = humps.map(|hump| Word {
            key: form(&piece[hump.clone()]).key,
            range: start + hump.start..start + hump.end,
            is_stop: false,
            parts: Vec::new(),
        });
        Word {
            key,
            is_stop: is_stop || is_clipped(text, &range),
            range,
            parts: parts.collect(),
        }
    };
    pieces.map(word).collect()
}

/// Is what a word is compared by, and whether it says nothing by itself.
#[derive(Clone)]
struct Form {
    key: String,
    is_stop: bool,
}

/// Returns the form of a word, from memory where it can: texts have the same words again and again.
fn form(word: &str) -> Form {
    static KNOWN: LazyLock<Mutex<LruCache<String, Form>>> =
        LazyLock::new(|| Mutex::new(LruCache::new(REMEMBERED)));
    static STEM: LazyLock<TextAnalyzer> = LazyLock::new(|| {
        TextAnalyzer::builder(RawTokenizer::default())
            .filter(LowerCaser)
            .filter(Stemmer::new(Language::English))
            .filter(AsciiFoldingFilter)
            .build()
    });
    // Of all languages, without those that are names or things in another one.
    static TELLING: LazyLock<TextAnalyzer> = LazyLock::new(|| {
        TextAnalyzer::builder(RawTokenizer::default())
            .filter(LowerCaser)
            .filter(StopWordFilter::all())
            .build()
    });
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(form) = known.get(word) {
        return form.clone();
    }
    let mut key = String::new();
    let mut stem = STEM.clone();
    stem.token_stream(word)
        .process(&mut |token| key.clone_from(&token.text));
    let is_stop = !TELLING.clone().token_stream(word).advance();
    let form = Form { key, is_stop };
    if word.len() <= LONGEST_REMEMBERED {
        known.put(word.to_owned(), form.clone());
    }
    form
}

/// Returns whether a word is what an apostrophe has left of one: of `it's`, `don't`, `l'eau`.
fn is_clipped(text: &str, range: &Range<usize>) -> bool {
    let is_short = text[range.clone()].chars().nth(2).is_none();
    let is_apostrophe = |c: Option<char>| matches!(c, Some('\'' | '’'));
    let mut before = text[..range.start].chars().rev();
    let mut after = text[range.end..].chars();
    let follows = is_apostrophe(before.next()) && before.next().is_some_and(char::is_alphanumeric);
    let rest = is_apostrophe(after.next()).then(|| after.next()).flatten();
    // `Go's` is of something that has a name.
    let owns = rest == Some('s') && !after.next().is_some_and(char::is_alphanumeric);
    let leads = rest.is_some_and(char::is_alphanumeric) && !owns;
    // `don` of `don't`.
    let denies = rest == Some('t') && text[range.clone()].ends_with('n');
    is_short && (follows || leads) || denies
}

/// Returns the parts of `camelCase` and `HTTPServer`, in bytes; of other words none.
fn humps(word: &str) -> Vec<Range<usize>> {
    let mut humps = Vec::new();
    let mut rest = word.chars().skip(1);
    if !rest.any(char::is_uppercase) {
        return humps;
    }
    let mut start = 0;
    let letters: Vec<(usize, char)> = word.char_indices().collect();
    for index in 1..letters.len() {
        let ((_, before), (at, letter)) = (letters[index - 1], letters[index]);
        let next = letters.get(index + 1);
        let begins = letter.is_uppercase()
            && (!before.is_uppercase() || next.is_some_and(|(_, next)| next.is_lowercase()));
        if begins {
            humps.push(start..at);
            start = at;
        }
    }
    if start > 0 {
        humps.push(start..word.len());
    }
    humps
}

/// Adds words, those that nothing but a sign of code is between as one.
fn put_together(text: &str, words: Vec<Word>, all: &mut Vec<Word>) {
    let mut group: Vec<Word> = Vec::new();
    let mut close = |group: &mut Vec<Word>| {
        if group.len() < 2 {
            all.append(group);
            return;
        }
        let range = group[0].range.start..group[group.len() - 1].range.end;
        let parts = group.drain(..).map(|part| Word {
            is_stop: false,
            ..part
        });
        all.push(Word {
            key: text[range.clone()].to_lowercase(),
            parts: parts.collect(),
            is_stop: false,
            range,
        });
    };
    for word in words {
        let between = group
            .last()
            .map(|last| &text[last.range.end..word.range.start]);
        if !between.is_some_and(|between| matches!(between, "_" | "." | "::")) {
            close(&mut group);
        }
        group.push(word);
    }
    close(&mut group);
}

/// Returns each character of a run, and each with the one after it.
fn pairs(run: regex::Match<'_>) -> impl Iterator<Item = Word> {
    let text = run.as_str();
    let mut borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    borders.push(text.len());
    (0..borders.len() - 1).flat_map(move |at| {
        let until = |steps: usize| {
            let piece = borders[at]..*borders.get(at + steps)?;
            Some(Word {
                key: text[piece.clone()].to_lowercase(),
                range: run.start() + piece.start..run.start() + piece.end,
                is_stop: false,
                parts: Vec::new(),
            })
        };
        [until(1), until(2)].into_iter().flatten()
    })
}

/// Counts in how many of some texts each word is.
#[derive(Debug, Default)]
pub struct Sample {
    texts: usize,
    count: HashMap<String, usize>,
    /// How many passages there are, where the texts are some of them.
    passages: usize,
    /// The mean cosine of any two of them.
    alike: f32,
}

impl Sample {
    /// Counts the words of these texts.
    pub fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Sample {
        let mut sample = Sample::default();
        for text in texts {
            sample.texts += 1;
            for key in keys(words(text)) {
                *sample.count.entry(key).or_default() += 1;
            }
        }
        sample
    }

    /// Returns whether any of the texts has a word with this key.
    pub fn contains(&self, key: &str) -> bool {
        self.count.contains_key(key)
    }

    /// Says how many passages there are, of which these texts are some.
    #[must_use]
    pub fn of(self, passages: usize) -> Sample {
        Sample { passages, ..self }
    }

    /// Says how alike any two of these vectors are.
    #[must_use]
    pub fn with<'v>(self, vectors: impl Iterator<Item = &'v [f32]>) -> Sample {
        let (mut sum, mut count) = (Vec::new(), 0_u16);
        for vector in vectors {
            sum.resize(vector.len(), 0.0);
            sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
            count = count.saturating_add(1);
        }
        let count = f32::from(count);
        let together: f32 = sum.iter().map(|x: &f32| x * x).sum();
        // Each is like itself, which says nothing.
        let alike = (together - count) / (count * (count - 1.0));
        Sample {
            alike: Some(alike).filter(|_| count >= FEW).unwrap_or_default(),
            ..self
        }
    }

    /// Returns the cosine that any two texts have by this model; 0, where there are few.
    pub fn alike(&self) -> f32 {
        self.alike
    }

    /// Returns how many passages may have the word.
    pub fn spread(&self, word: &str) -> usize {
        let count = self.count.get(word).copied().unwrap_or_default();
        count * self.passages.max(self.texts) / self.texts.max(1)
    }

    /// Returns how much a word says: the logarithm of how rare it is.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of texts are far below 2^24"
    )]
    pub fn weight(&self, key: &str) -> f32 {
        let count = self.count.get(key).copied().unwrap_or_default() as f32;
        (1.0 + (self.texts as f32 - count + 0.5) / (count + 0.5)).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_in_all_scripts() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = words(text).into_iter().map(|word| word.key).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a Naïve, deadlocks", &["a", "naiv", "deadlock"]);
        check("ERP审批1", &["erp", "审", "审批", "批", "1"]);
        check("（プール）。", &["プ", "プー", "ー", "ール", "ル"]);
        check("서버가 죽", &["서", "서버", "버", "버가", "가", "죽"]);
        check("…", &[]);
        let words: Vec<&str> = runs("log 接続プールの、ไทย x")
            .map(|run| run.as_str())
            .collect();
        assert_eq!(words, ["接続プールの", "ไทย"]);
    }

    #[test]
    fn identifiers_are_kept_whole_and_by_their_parts() {
        let check = |text: &str, whole: &str, parts: &[&str]| {
            let found = words(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(
                (&*found[0].key, &text[found[0].range.clone()]),
                (whole, text)
            );
            let keys = keys(words(text));
            for part in parts {
                assert!(keys.contains(*part), "{text}: {keys:?}");
            }
        };
        check("ERR_CONN_42", "err_conn_42", &["err", "conn", "42"]);
        check("v2.1", "v2.1", &["v2", "1"]);
        check("std::fs::read", "std::fs::read", &["std", "fs", "read"]);
        check("getUserNames", "getusernam", &["get", "user", "name"]);
        check("HTTPServer", "httpserver", &["http", "server"]);
        check(
            "Pool::takeAll",
            "pool::takeall",
            &["pool", "takeal", "take", "all"],
        );
        assert_eq!(words("one. Two-three").len(), 3);
    }

    #[test]
    fn some_words_say_nothing_by_themselves() {
        let telling = |text: &str| {
            let all = words(text).into_iter();
            let all = all.filter(|word| !word.is_stop);
            all.map(|word| text[word.range].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(telling("What is the cause of it?"), ["cause"]);
        assert_eq!(telling("Was ist die Ursache"), ["die", "Ursache"]);
        assert_eq!(telling("Go's limits, it's"), ["Go", "limits"]);
        assert_eq!(
            telling("Caroline's don't l'eau is_it"),
            ["Caroline", "eau", "is_it"]
        );
    }

    #[test]
    fn how_alike_any_two_texts_are_is_known() {
        let alike = |vectors: &[[f32; 2]], count: usize| {
            let vectors = vectors.iter().cycle().take(count);
            let vectors = vectors.map(|vector| &vector[..]);
            Sample::default().with(vectors).alike()
        };
        let apart = [[1.0, 0.0], [-1.0, 0.0]];
        assert!(alike(&apart, 1_000).abs() < 0.01);
        assert!((alike(&[[1.0, 0.0], [0.6, 0.8]], 1_000) - 0.8).abs() < 0.01);
        assert!(alike(&[[1.0, 0.0]], 10) < 1e-6 && alike(&[], 0) < 1e-6);
    }
}
