//! Makes tokens of texts, and tells which of a text's tokens are those of a part of it.

use std::ops::Range;

use anyhow::{Result, anyhow};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    DecoderWrapper, Encoding, NormalizerWrapper, PostProcessor, PostProcessorWrapper,
    PreTokenizerWrapper, Tokenizer, TokenizerImpl,
};

/// Is a tokenizer whose model is known before its file is read. One that may be of any kind is read three times over.
type OfPieces = TokenizerImpl<
    WordPiece,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// Makes tokens of texts.
pub struct Tokens {
    tokenizer: Tokenizer,
    /// What stands before and behind the tokens of a text, where its words have the same tokens wherever they stand.
    around: Option<(Vec<u32>, Vec<u32>)>,
}

/// Holds the tokens of a text, without marks around them.
pub struct Whole<'a> {
    tokens: &'a Tokens,
    encoding: Encoding,
    /// Where each begins, in bytes.
    pub starts: Vec<usize>,
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    pub fn read(file: &[u8]) -> Result<Tokens> {
        let of_pieces = serde_json::from_slice::<OfPieces>(file).map(Tokenizer::from);
        let mut tokenizer = of_pieces
            .or_else(|_| Tokenizer::from_bytes(file))
            .map_err(|error| anyhow!("cannot read the tokenizer: {error}"))?;
        // The file may carry a truncation and a padding that were meant for training.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| anyhow!("cannot set up the tokenizer: {error}"))?;
        let is_bert = matches!(
            (tokenizer.get_normalizer(), tokenizer.get_pre_tokenizer()),
            (
                Some(NormalizerWrapper::BertNormalizer(_)),
                Some(PreTokenizerWrapper::BertPreTokenizer(_)),
            )
        );
        let mut tokens = Tokens {
            tokenizer,
            around: None,
        };
        if is_bert {
            let word = tokens.encode("a", true)?;
            let is_mark = |token: &u32| *token == 1;
            let mask = word.get_special_tokens_mask();
            let first = mask.iter().take_while(|token| is_mark(token)).count();
            let last = mask.iter().rev().take_while(|token| is_mark(token)).count();
            let ids = word.get_ids();
            tokens.around = Some((ids[..first].to_vec(), ids[ids.len() - last..].to_vec()));
        }
        Ok(tokens)
    }

    /// Returns how many marks stand around a text.
    pub fn marks(&self) -> usize {
        let marks = self.tokenizer.get_post_processor();
        marks.map_or(0, |marks| marks.added_tokens(false))
    }

    /// Returns how many tokens a text has without marks.
    pub fn count(&self, text: &str) -> Result<usize> {
        Ok(self.encode(text, false)?.len())
    }

    /// Returns the tokens of a text with their marks, at most `window`.
    pub fn of(&self, text: &str, window: usize) -> Result<Vec<u32>> {
        let encoding = self.encode(text, true)?;
        let mut ids = encoding.get_ids().to_vec();
        if let (Some(&end), true) = (ids.last(), ids.len() > window) {
            // The mark at the end stays, where there is one.
            let is_mark = encoding.get_special_tokens_mask().last() == Some(&1);
            ids.truncate(window - usize::from(is_mark));
            ids.extend(is_mark.then_some(end));
        }
        Ok(ids)
    }

    /// Returns the tokens of a text without marks.
    pub fn whole(&self, text: &str) -> Result<Whole<'_>> {
        let encoding = self.encode(text, false)?;
        let starts = encoding.get_offsets().iter();
        // A token may begin within a letter, where the letter has several.
        let starts = starts.map(|&(start, _)| text.floor_char_boundary(start));
        Ok(Whole {
            tokens: self,
            starts: starts.collect(),
            encoding,
        })
    }

    fn encode(&self, text: &str, has_marks: bool) -> Result<Encoding> {
        let encoding = self.tokenizer.encode(text, has_marks);
        encoding.map_err(|error| anyhow!("cannot tokenize: {error}"))
    }
}

impl Whole<'_> {
    /// Returns the tokens of a part of the text with their marks, as if it were all, or nothing where they would be others: where a
    /// word is torn apart.
    pub fn between(&self, part: Range<usize>) -> Option<Vec<u32>> {
        let (before, behind) = self.tokens.around.as_ref()?;
        let at = |place| self.starts.partition_point(|&start| start < place);
        let (first, end) = (at(part.start), at(part.end));
        let (words, offsets) = (self.encoding.get_word_ids(), self.encoding.get_offsets());
        let is_border = |token: usize, place: usize| {
            let Some(before) = token.checked_sub(1) else {
                return true;
            };
            let is_same = words.get(token) == Some(&words[before]);
            offsets[before].1 <= place && !is_same
        };
        if !is_border(first, part.start) || !is_border(end, part.end) {
            return None;
        }
        let own = self.encoding.get_ids().get(first..end)?;
        Some([before, own, behind].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUNDLED: &[u8] = include_bytes!("../../assets/all-MiniLM-L6-v2/tokenizer.json");

    #[test]
    fn a_tokenizer_of_known_kind_is_that_of_any_kind() {
        let quick = Tokens::read(BUNDLED).unwrap();
        let mut slow = Tokenizer::from_bytes(BUNDLED).unwrap();
        slow.with_padding(None).with_truncation(None).unwrap();
        let (quick, slow) = (quick.tokenizer.to_string(false), slow.to_string(false));
        assert_eq!(quick.unwrap(), slow.unwrap());
    }

    #[test]
    fn tokens_of_a_part_are_those_of_the_part_alone() {
        let tokens = Tokens::read(BUNDLED).unwrap();
        let text = "Naïve É\u{301}tudes, 東京🦀 isn't it? [SEP] antidisestablishmentarianism 3.14\u{a0}x\n";
        let whole = tokens.whole(text).unwrap();
        let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let mut known = 0;
        for (at, &start) in borders.iter().enumerate() {
            for &end in &borders[at..] {
                if let Some(found) = whole.between(start..end) {
                    let alone = tokens.of(&text[start..end], 256).unwrap();
                    assert_eq!(found, alone, "{:?}", &text[start..end]);
                    known += 1;
                }
            }
        }
        assert!(known > 100, "{known}");
    }
}
