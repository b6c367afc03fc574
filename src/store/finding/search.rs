//! Finds interactions: by meaning, by words, or by both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use lancedb::expr::{DfExpr, col, contains, is_in, lit, lower};

use super::score::{Score, Terms};
use crate::store::open::Store;
use crate::store::tables::{Filter, Interaction, Origin, Passage, SHOWN};
use crate::store::vocabulary::Sample;

/// How many passages each way of looking contributes at least.
const CANDIDATES: usize = 60;
/// How many passages are read to learn how rare words are.
const SAMPLED: usize = 1_000;

/// Says how to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// By meaning and by words.
    #[default]
    Hybrid,
    Semantic,
    Text,
}

impl Mode {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Hybrid => "hybrid",
            Mode::Semantic => "semantic",
            Mode::Text => "text",
        }
    }
}

/// Holds what is looked for.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    /// What is meant; what stands between double quotes must be there as it stands.
    pub text: String,
    pub filter: Filter,
    pub limit: usize,
    pub mode: Mode,
    /// What the passages may be pieces of; anything, when empty.
    pub sources: Vec<Origin>,
    /// The least score that is shown; without one, what is worth it.
    pub min_score: Option<f32>,
    /// Passages that say this and nothing else are passed over: a question is no answer to itself.
    pub ignore: Option<String>,
}

impl SearchQuery {
    /// Looks for a text in every way and everywhere.
    pub fn new(text: impl Into<String>, filter: Filter, limit: usize) -> SearchQuery {
        SearchQuery {
            text: text.into(),
            filter,
            limit,
            mode: Mode::default(),
            sources: Vec::new(),
            min_score: None,
            ignore: None,
        }
    }

    fn expr(&self) -> Option<DfExpr> {
        let sources = self.sources.iter().map(|source| lit(source.as_str()));
        let sources = (!self.sources.is_empty()).then(|| is_in(col("source"), sources.collect()));
        and(self.filter.expr(), sources)
    }
}

/// Holds one search result.
#[derive(Debug, Clone)]
pub struct Hit {
    pub interaction: Interaction,
    /// What the hits are sorted by, highest first: 1 for the very same text.
    pub score: f32,
    /// The cosine of what was looked for and what matched.
    pub similarity: Option<f32>,
    /// The passage that matched best; the whole turn when whole turns are compared.
    pub matched: Option<Matched>,
    /// How many interactions have this very question and answer.
    pub count: usize,
}

/// Holds the passage that matched.
#[derive(Debug, Clone)]
pub struct Matched {
    /// What it is a piece of, see [`Origin`].
    pub source: String,
    pub text: String,
}

/// Holds what a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The words that were looked for, in lower case.
    pub words: Vec<String>,
    /// What could not be looked at, and why.
    pub notices: Vec<anyhow::Error>,
}

const PASSAGE: [&str; 5] = ["passage_id", "interaction_id", "source", "position", "text"];

impl Store {
    /// Finds the interactions with the passages that answer a query best.
    ///
    /// Where one way of looking is broken the other goes on, and says so.
    pub async fn search(&self, query: &SearchQuery) -> Result<Found> {
        let mut found = Found::default();
        let mut vector = None;
        if query.mode != Mode::Text {
            match self.embed_query(&query.text).await {
                Ok(embedded) => vector = Some(embedded),
                Err(error) if query.mode == Mode::Semantic => return Err(error),
                Err(error) => found
                    .notices
                    .push(error.context("looked for the words alone")),
            }
        }
        let sample = match query.mode {
            Mode::Semantic => Arc::default(),
            Mode::Hybrid | Mode::Text => self.sample(&query.filter).await?,
        };
        let terms = Terms::new(&query.text, &sample);
        found.words = terms.words().map(str::to_owned).collect();
        let mut fetched = query.limit.saturating_mul(5).max(CANDIDATES);
        loop {
            let candidates = self
                .candidates(
                    query,
                    &terms,
                    vector.as_deref(),
                    fetched,
                    &mut found.notices,
                )
                .await?;
            let complete = candidates.complete;
            let (ranked, cut) = rank(query, &terms, &sample, candidates.passages);
            found.hits = self.hits(query, ranked).await?;
            // Where some were not worth showing, those after them are not, either.
            if complete || cut || found.hits.len() == query.limit {
                return Ok(found);
            }
            fetched = fetched.saturating_mul(4);
        }
    }

    /// Returns the passages that may answer, with their cosines, the closest in meaning first.
    async fn candidates(
        &self,
        query: &SearchQuery,
        terms: &Terms,
        vector: Option<&[f32]>,
        limit: usize,
        notices: &mut Vec<anyhow::Error>,
    ) -> Result<Candidates> {
        let filter = query.expr();
        let meaning = async {
            match vector {
                Some(vector) => {
                    let near =
                        self.passages
                            .nearest("embedding", vector, filter.clone(), &PASSAGE, limit);
                    near.await
                }
                None => Ok(Vec::new()),
            }
        };
        let words = async {
            match query.mode {
                Mode::Semantic => Ok(Vec::new()),
                Mode::Hybrid | Mode::Text => self.worded(query, terms, limit).await,
            }
        };
        let (meaning, words) = tokio::join!(meaning, words);
        let meaning = match meaning {
            Ok(near) => near,
            Err(error) if query.mode == Mode::Hybrid && words.is_ok() => {
                note(notices, error.context("looked for the words alone"));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let words = match words {
            Ok(words) => words,
            Err(error) if query.mode == Mode::Hybrid && vector.is_some() => {
                note(notices, error.context("looked for the meaning alone"));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let complete = meaning.len() < limit && words.len() < limit;
        let mut seen: HashSet<String> = HashSet::new();
        let mut passages = Vec::new();
        for (passage, similarity) in meaning {
            seen.insert(passage.passage_id.clone());
            passages.push((passage, Some(similarity)));
        }
        for passage in words {
            if seen.insert(passage.passage_id.clone()) {
                let similarity = vector
                    .zip(passage.embedding.as_deref())
                    .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum());
                passages.push((passage, similarity));
            }
        }
        Ok(Candidates { passages, complete })
    }

    /// Returns passages with the words of the query; all of its phrases, if it has some.
    async fn worded(
        &self,
        query: &SearchQuery,
        terms: &Terms,
        limit: usize,
    ) -> Result<Vec<Passage>> {
        let columns: Vec<&str> = PASSAGE.into_iter().chain(["embedding"]).collect();
        if terms.phrases().is_empty() {
            let matching =
                self.passages
                    .matching("text", &query.text, false, query.expr(), &columns, limit);
            return matching
                .await
                .context("the full-text index cannot be searched");
        }
        // The index knows words and not their order, so more is read and looked at.
        let phrases = terms.phrases().join(" ");
        let limit = limit.max(1_000);
        let matching =
            self.passages
                .matching("text", &phrases, true, query.expr(), &columns, limit);
        let mut found = matching.await.unwrap_or_default();
        found.retain(|passage| terms.has_phrases(&passage.text));
        if found.is_empty() {
            // Words that the index leaves out, such as `to be or not to be`.
            let there = terms.phrases().iter();
            let there = there.map(|phrase| contains(lower(col("text")), lit(phrase.as_str())));
            let filter = and(query.expr(), there.reduce(DfExpr::and));
            found = self
                .passages
                .select(filter, &columns, None, Some(limit))
                .await?;
        }
        Ok(found)
    }

    /// Fills in the interactions, each question and answer once, best first.
    async fn hits(&self, query: &SearchQuery, ranked: Vec<(Passage, Score)>) -> Result<Vec<Hit>> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut places: HashMap<(String, String), usize> = HashMap::new();
        // Interactions are read as they are needed: there are many more candidates than hits.
        for some in ranked.chunks(query.limit.saturating_add(2)) {
            let ids = some
                .iter()
                .map(|(passage, _)| passage.interaction_id.clone());
            let mut interactions = self.by_id(&query.filter, &ids.collect::<Vec<_>>()).await?;
            for (passage, score) in some {
                // A passage whose interaction is not there yet belongs to a turn that is just being recorded.
                let Some(interaction) = interactions.remove(&passage.interaction_id) else {
                    continue;
                };
                let said = (interaction.query.clone(), interaction.response.clone());
                if let Some(&place) = places.get(&said) {
                    hits[place].count += 1;
                    continue;
                }
                places.insert(said, hits.len());
                hits.push(Hit {
                    interaction,
                    score: score.total(),
                    similarity: score.similarity,
                    matched: Some(Matched {
                        source: passage.source.clone(),
                        text: passage.text.clone(),
                    }),
                    count: 1,
                });
            }
            if hits.len() >= query.limit {
                break;
            }
        }
        hits.truncate(query.limit);
        Ok(hits)
    }

    async fn by_id(&self, filter: &Filter, ids: &[String]) -> Result<HashMap<String, Interaction>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self
            .interactions
            .select(Some(filter.and_ids(ids)), &SHOWN, None, None)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.interaction_id.clone(), row))
            .collect())
    }

    /// Returns how rare words are in what the filter's user said. Read again when the history has grown by a quarter.
    async fn sample(&self, filter: &Filter) -> Result<Arc<Sample>> {
        let rows = self.passages.count(None).await?;
        if let Some((scope, known, sample)) = &*self.sampled.lock().await
            && scope == filter.scope()
            && (rows == *known || *known >= SAMPLED && rows < known + known / 4)
        {
            return Ok(Arc::clone(sample));
        }
        let passages: Vec<Passage> = self
            .passages
            .select(filter.scope_expr(), &["text"], None, Some(SAMPLED))
            .await?;
        let texts = passages.iter().map(|passage| passage.text.as_str());
        let sample = Arc::new(Sample::new(texts));
        *self.sampled.lock().await = Some((filter.scope().clone(), rows, Arc::clone(&sample)));
        Ok(sample)
    }
}

struct Candidates {
    passages: Vec<(Passage, Option<f32>)>,
    /// Whether there are no more.
    complete: bool,
}

/// Returns the best passage of each interaction, best first, and whether some were not worth showing.
fn rank(
    query: &SearchQuery,
    terms: &Terms,
    sample: &Sample,
    candidates: Vec<(Passage, Option<f32>)>,
) -> (Vec<(Passage, Score)>, bool) {
    let mut cut = false;
    let texts = candidates.iter().map(|(passage, _)| passage.text.as_str());
    let unknown = query.mode == Mode::Hybrid && terms.names_unknown(sample, texts);
    let mut best: HashMap<String, (Passage, Score)> = HashMap::new();
    for (passage, similarity) in candidates {
        let repeats = query.ignore.as_ref();
        if repeats.is_some_and(|text| is_same(text, &passage.text))
            || !terms.has_phrases(&passage.text)
        {
            continue;
        }
        let share = (query.mode != Mode::Semantic).then(|| terms.share(&passage.text));
        let score = Score { similarity, share };
        let shown = match query.min_score {
            Some(least) => score.total() >= least,
            None => !terms.phrases().is_empty() || score.is_worthwhile(unknown),
        };
        cut |= !shown;
        let better = best
            .get(&passage.interaction_id)
            .is_none_or(|(_, known)| known.total() < score.total());
        if shown && better {
            best.insert(passage.interaction_id.clone(), (passage, score));
        }
    }
    let mut ranked: Vec<_> = best.into_values().collect();
    ranked.sort_by(|(a, left), (b, right)| {
        right
            .total()
            .total_cmp(&left.total())
            .then_with(|| a.interaction_id.cmp(&b.interaction_id))
    });
    (ranked, cut)
}

fn and(a: Option<DfExpr>, b: Option<DfExpr>) -> Option<DfExpr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (a, b) => a.or(b),
    }
}

fn note(notices: &mut Vec<anyhow::Error>, notice: anyhow::Error) {
    // Looked for again with more candidates, it fails again.
    let text = notice.to_string();
    if !notices.iter().any(|known| known.to_string() == text) {
        notices.push(notice);
    }
}

fn is_same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}
