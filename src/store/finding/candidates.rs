//! The passages that may answer a query: those closest in meaning, those with its words, those with its phrases.

use std::sync::Arc;

use anyhow::{Context, Error, Result};
use lancedb::datafusion::functions::regex::expr_fn::regexp_like;
use lancedb::expr::{DfExpr, col, contains, lit};

use super::search::{Mode, SearchQuery};
use super::terms::Terms;
use crate::store::open::Store;
use crate::store::tables::index::has_words;
use crate::store::tables::{Filter, Having, Order, Origin, Passage};
use crate::store::vocabulary::{Sample, runs};

/// How many passages with a phrase are compared, at least.
const QUOTING: usize = 1_000;
/// How many passages are compared where no index says which have most of the words.
pub const LOOKED_THROUGH: usize = 4_000;
/// Longer pieces of a script without blanks are sentences, which nobody has said as they stand; in bytes.
const LONGEST_RUN: usize = 48;
/// How many passages are read to learn how rare words are.
const SAMPLED: usize = 1_000;

const PASSAGE: [&str; 7] = [
    "passage_id",
    "interaction_id",
    "session_id",
    "timestamp",
    "source",
    "position",
    "text",
];
/// The same with the vector.
const EMBEDDED: [&str; 8] = [
    "passage_id",
    "interaction_id",
    "session_id",
    "timestamp",
    "source",
    "position",
    "text",
    "embedding",
];

/// Is what one way of looking has found: passages with their cosines, best first.
pub struct Way {
    pub passages: Vec<(Passage, Option<f32>)>,
    /// Whether there are no more.
    pub complete: bool,
}

/// Is what looking for the meaning has come to: passages with their cosines.
pub type Near = Result<Vec<(Passage, f32)>>;
/// Is what looking for the words has come to: passages, and of each list of them whether that is all.
pub type Worded = Result<Vec<(Vec<Passage>, bool)>>;

impl Store {
    /// Returns the passages closest in meaning.
    pub(super) async fn near(
        &self,
        query: &SearchQuery,
        vector: Option<&[f32]>,
        limit: usize,
    ) -> Near {
        let Some(vector) = vector.filter(|_| !query.has_quotes()) else {
            return Ok(Vec::new());
        };
        self.passages
            .nearest("embedding", vector, query.expr(), &PASSAGE, limit)
            .await
    }

    /// Returns the passages with words of the query, or where it has phrases, with these.
    pub(super) async fn worded(
        &self,
        query: &SearchQuery,
        terms: &Terms,
        limit: usize,
        notices: &mut Vec<Error>,
    ) -> Worded {
        if query.has_quotes() {
            let limit = limit.max(QUOTING);
            let quoting = self.quoting(query, terms, limit, notices).await?;
            return Ok(vec![(quoting, true)]);
        }
        if query.mode == Mode::Semantic {
            return Ok(Vec::new());
        }
        let context = "the full-text index cannot be searched";
        self.having(query, terms, limit).await.context(context)
    }

    /// Puts together what each way of looking has found. Where one is broken, the other one counts, and that is said.
    pub(super) fn together(
        query: &SearchQuery,
        vector: Option<&[f32]>,
        limit: usize,
        found: (Near, Worded),
        notices: &mut Vec<Error>,
    ) -> Result<Vec<Way>> {
        let (near, words) = found;
        let near = match near {
            Ok(near) => near,
            Err(error) if query.mode == Mode::Hybrid && words.is_ok() => {
                note(notices, error.context("looked for the words alone"));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let words = match words {
            Ok(words) => words,
            Err(error) if query.mode == Mode::Hybrid && vector.is_some() && !query.has_quotes() => {
                note(notices, error.context("looked for the meaning alone"));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let near = near.into_iter();
        let near: Vec<_> = near
            .map(|(passage, cosine)| (passage, Some(cosine)))
            .collect();
        let mut ways = vec![Way {
            complete: near.len() < limit,
            passages: near,
        }];
        ways.extend(words.into_iter().map(|(passages, complete)| Way {
            passages: compared(passages, vector),
            complete,
        }));
        Ok(ways)
    }

    /// Returns passages with words of a query, those of actions apart, and of each whether that is all.
    async fn having(&self, query: &SearchQuery, terms: &Terms, limit: usize) -> Worded {
        let is_indexed = has_words(&self.passages, "text").await?;
        let action = || lit(Origin::Action.as_str());
        let said = query
            .asks_for_words()
            .then(|| col("source").not_eq(action()));
        let asks = query.sources.is_empty() || query.asks_for(Some(Origin::Action));
        let done = asks.then(|| col("source").eq(action()));
        let mut wanted = vec![said, done];
        let mut ways = Vec::new();
        if is_indexed && wanted.iter().all(Option::is_some) {
            // A condition that few of many rows fulfil costs the index more than the words do.
            let all = self.indexed(terms, query.expr(), query.limit, limit);
            let (all, complete) = all.await?;
            let is_done = |passage: &Passage| passage.origin() == Some(Origin::Action);
            let (done, said): (Vec<_>, Vec<_>) = all.into_iter().partition(is_done);
            ways.push((done, complete));
            // Many actions are short and may leave no room for what was said.
            if complete || said.len() >= limit / 2 {
                ways.push((said, complete));
                return Ok(ways);
            }
            wanted.truncate(1);
        }
        for these in wanted.into_iter().flatten() {
            let these = query.expr().into_iter().chain([these]).reduce(DfExpr::and);
            ways.push(match is_indexed {
                true => self.indexed(terms, these, query.limit, limit).await?,
                false => self.unindexed(terms, these, limit).await?,
            });
        }
        Ok(ways)
    }

    /// Asks the index for words.
    async fn indexed(
        &self,
        terms: &Terms,
        filter: Option<DfExpr>,
        wanted: usize,
        limit: usize,
    ) -> Result<(Vec<Passage>, bool)> {
        let text = terms.text();
        let found =
            self.passages
                .matching("text", text, Having::Any, filter.clone(), &EMBEDDED, limit);
        let mut found = found.await?;
        let complete = found.len() < limit;
        // It cuts what has no blanks into the words of a dictionary, and they may not be those of the query.
        let runs = terms.runs().iter();
        let runs: Vec<&String> = runs.filter(|run| run.len() <= LONGEST_RUN).collect();
        let has_runs = |passage: &&Passage| runs.iter().all(|run| passage.text.contains(*run));
        if !runs.is_empty() && found.iter().filter(has_runs).count() < wanted {
            let there = runs
                .iter()
                .map(|run| contains(col("text"), lit(run.as_str())));
            let there = there.reduce(DfExpr::or);
            let these = filter.into_iter().chain(there).reduce(DfExpr::and);
            found.extend(self.latest(these, limit).await?);
        }
        Ok((found, complete))
    }

    /// Looks through the passages for words while there is no index: LanceDB would tell upper from lower case then, and find no word that
    /// has no blanks around it.
    async fn unindexed(
        &self,
        terms: &Terms,
        filter: Option<DfExpr>,
        limit: usize,
    ) -> Result<(Vec<Passage>, bool)> {
        let words: Vec<String> = terms
            .words()
            .map(|(word, stem)| begins(word, stem))
            .collect();
        if words.is_empty() {
            return Ok((Vec::new(), true));
        }
        let there = regexp_like(col("text"), lit(words.join("|")), None);
        let these = filter.into_iter().chain([there]).reduce(DfExpr::and);
        let limit = limit.max(LOOKED_THROUGH);
        let found = self.latest(these, limit).await?;
        let complete = found.len() < limit;
        Ok((found, complete))
    }

    /// Returns the latest passages that match.
    async fn latest(&self, filter: Option<DfExpr>, limit: usize) -> Result<Vec<Passage>> {
        let latest = Some(Order::Descending("timestamp"));
        self.passages
            .select(filter, &EMBEDDED, latest, Some(limit))
            .await
    }

    /// Returns the passages with all phrases of a query; the latest, where there are too many.
    async fn quoting(
        &self,
        query: &SearchQuery,
        terms: &Terms,
        limit: usize,
        notices: &mut Vec<Error>,
    ) -> Result<Vec<Passage>> {
        // The index knows words and not their order. That is enough where few passages have them all, and words are told apart by blanks.
        let phrases = terms.phrases().join(" ");
        let asking = async {
            if runs(&phrases).next().is_some() || !has_words(&self.passages, "text").await? {
                return Ok(None);
            }
            let found = self.passages.matching(
                "text",
                &phrases,
                Having::All,
                query.expr(),
                &EMBEDDED,
                limit,
            );
            found.await.map(Some)
        };
        match asking.await {
            Ok(Some(mut found)) => {
                let complete = found.len() < limit;
                found.retain(|passage| terms.has_phrases(&passage.text));
                if complete && !found.is_empty() {
                    return Ok(found);
                }
            }
            Ok(None) => {}
            Err(error) => note(
                notices,
                error.context(
                    "looked through every text, as the full-text index cannot be searched",
                ),
            ),
        }
        // Common words, and parts of words.
        let there = terms.phrases().iter().map(|phrase| {
            let words: Vec<String> = phrase.split(' ').map(regex::escape).collect();
            let pattern = format!("(?i){}", words.join(r"\s+"));
            regexp_like(col("text"), lit(pattern), None)
        });
        let filter = query.expr().into_iter().chain(there).reduce(DfExpr::and);
        self.latest(filter, limit).await
    }

    /// Returns how rare words are in what the filter's user said, and how alike any two passages of it. Read again when the history has grown by a quarter.
    pub(super) async fn sample(&self, filter: &Filter) -> Result<Arc<Sample>> {
        let rows = self.passages.count(None).await?;
        if let Some((scope, known, sample)) = &*self.sampled.lock().await
            && scope == filter.scope()
            && (rows == *known || *known >= SAMPLED && rows < known + known / 4)
        {
            return Ok(Arc::clone(sample));
        }
        let theirs = self.passages.count(filter.scope_expr()).await?;
        // Those of so many turns: an index has these ids in order, and they are random.
        let some =
            (theirs > SAMPLED).then(|| col("interaction_id").lt(lit(share(SAMPLED, theirs))));
        let some = filter
            .scope_expr()
            .into_iter()
            .chain(some)
            .reduce(DfExpr::and);
        let columns = ["text", "embedding"];
        let passages = self.passages.select(some, &columns, None, None).await?;
        let texts = passages.iter().map(|passage| passage.text.as_str());
        let vectors = passages.iter().filter_map(|row| row.embedding.as_deref());
        let sample = Arc::new(Sample::new(texts).of(rows).with(vectors));
        *self.sampled.lock().await = Some((filter.scope().clone(), rows, Arc::clone(&sample)));
        Ok(sample)
    }
}

/// Returns what about so many ids of so many lie below: they are random.
fn share(some: usize, of: usize) -> String {
    let below = (some as u64) * (1 << 32) / (of as u64).max(1);
    format!("{below:08x}")
}

/// Returns a pattern for the words of a stem, and for more: the texts are compared exactly afterwards.
fn begins(word: &str, stem: &str) -> String {
    let same = word.chars().zip(stem.chars()).take_while(|(a, b)| a == b);
    let same: String = same.map(|(letter, _)| letter).collect();
    // `policy` and `policies` have the stem `polici`, and `writing` has `write`.
    let same = same.strip_suffix(['i', 'e']).unwrap_or(&same);
    // With an accent it is the same letter. Both cases are spelt out: to fold those of a wide class takes a regex long to be made.
    let letter = |letter: char| match letter.is_ascii_alphabetic() {
        true => {
            let (lower, upper) = (letter.to_ascii_lowercase(), letter.to_ascii_uppercase());
            format!(r"[{lower}{upper}\x{{80}}-\x{{10FFFF}}]")
        }
        false => format!("(?i:{})", regex::escape(&letter.to_string())),
    };
    same.chars().map(letter).collect()
}

pub(super) fn compared(
    passages: Vec<Passage>,
    vector: Option<&[f32]>,
) -> Vec<(Passage, Option<f32>)> {
    let compared = |passage: Passage| {
        let both = vector.zip(passage.embedding.as_deref());
        let cosine = both.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum());
        (passage, cosine)
    };
    passages.into_iter().map(compared).collect()
}

pub(super) fn note(notices: &mut Vec<Error>, notice: Error) {
    // Looked for again with more candidates, it fails again.
    let text = notice.to_string();
    if !notices.iter().any(|known| known.to_string() == text) {
        notices.push(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding L16.
    #[test]
    fn a_share_of_random_ids_is_taken() {
        assert_eq!(share(1_000, 2_000), "80000000");
        let ids = (0..4_000).map(|_| crate::store::words::new_id());
        let below = share(1_000, 4_000);
        let taken = ids.filter(|id| *id < below).count();
        assert!((800..1_200).contains(&taken), "{taken}");
    }
}
