//! Finds interactions: by meaning, by words, or by both.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Error, Result};
use lancedb::expr::{DfExpr, col, is_in, lit};

use super::candidates::note;
use super::rank::{Ranked, Scored};
use super::score::Score;
use super::terms::{Terms, phrases};
use crate::store::open::Store;
use crate::store::tables::{Filter, Interaction, Origin, Passage, SHOWN};
use crate::timeframe::Zone;

/// How many passages each way of looking contributes at least, and at most where few of them make a hit of their own.
const CANDIDATES: usize = 60;
const MOST_CANDIDATES: usize = 4_000;
/// For each hit the answers of so many interactions are read with their questions, and so many interactions more than hits are read at
/// the same time: most of them stay among the best.
const ANSWERS: usize = 2;
const SPARE: usize = 4;

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
    pub text: String,
    /// Whether a person typed it as a search: then what stands between double quotes must be there as it stands.
    pub quoted: bool,
    pub filter: Filter,
    pub limit: usize,
    pub mode: Mode,
    /// What the passages may be pieces of; anything, when empty.
    pub sources: Vec<Origin>,
    /// The least score that is shown; without one, what is worth it.
    pub min_score: Option<f32>,
    /// Passages that say this and nothing else are passed over: a question is no answer to itself.
    pub ignore: Option<String>,
    /// Where the times are of that the query names.
    pub zone: Zone,
}

impl SearchQuery {
    /// Looks for a text in every way and everywhere.
    pub fn new(text: impl Into<String>, filter: Filter, limit: usize) -> SearchQuery {
        SearchQuery {
            text: text.into(),
            quoted: false,
            filter,
            limit,
            mode: Mode::default(),
            sources: Vec::new(),
            min_score: None,
            ignore: None,
            zone: Zone::default(),
        }
    }

    /// Returns whether what a passage is a piece of counts in full: somebody asks for it, or it is no action and no observation.
    pub(super) fn asks_for(&self, origin: Option<Origin>) -> bool {
        let in_passing = matches!(origin, Some(Origin::Action | Origin::Observation));
        !in_passing || origin.is_some_and(|origin| self.sources.contains(&origin))
    }

    /// Returns whether what was said is asked for, and not actions alone.
    pub(super) fn asks_for_words(&self) -> bool {
        let mut sources = self.sources.iter();
        self.sources.is_empty() || sources.any(|source| *source != Origin::Action)
    }

    /// Returns whether something must be there as it stands.
    pub(super) fn has_quotes(&self) -> bool {
        self.quoted && !phrases(&self.text).is_empty()
    }

    /// Returns the condition on passages.
    pub(super) fn expr(&self) -> Option<DfExpr> {
        let sources = self.sources.iter().map(|source| lit(source.as_str()));
        let sources = (!self.sources.is_empty()).then(|| is_in(col("source"), sources.collect()));
        self.filter
            .expr()
            .into_iter()
            .chain(sources)
            .reduce(DfExpr::and)
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
    /// What the score is made of, where passages are compared.
    pub parts: Option<Score>,
    /// The passage that matched best; the whole turn when whole turns are compared.
    pub matched: Option<Matched>,
    /// What of the question is looked for, in bytes.
    pub marks: Vec<Range<usize>>,
    /// How many interactions have this very question and answer.
    pub count: usize,
}

/// Holds the passage that matched.
#[derive(Debug, Clone)]
pub struct Matched {
    /// What it is a piece of, see [`Origin`].
    pub source: String,
    pub text: String,
    /// What of the text is looked for, in bytes.
    pub marks: Vec<Range<usize>>,
}

/// Holds what a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// What was looked for.
    pub terms: Terms,
    /// Words that nothing has, and those that were looked for instead.
    pub instead: Vec<(String, String)>,
    /// What could not be looked at, and why.
    pub notices: Vec<anyhow::Error>,
}

impl Store {
    /// Finds the interactions with the passages that answer a query best. Where a person typed it and nothing has any of its words, those
    /// that are a letter off are looked for.
    ///
    /// Where one way of looking is broken the other goes on, and says so.
    pub async fn search(&self, query: &SearchQuery) -> Result<Found> {
        let found = Box::pin(self.look(query)).await?;
        let has_words = |found: &Found| {
            let mut shares = found.hits.iter().filter_map(|hit| hit.parts?.share);
            shares.any(|share| share > 0.0)
        };
        let is_typed = query.quoted && query.mode != Mode::Semantic;
        if !is_typed || has_words(&found) || !found.terms.phrases().is_empty() {
            return Ok(found);
        }
        let Some(respelt) = self.respelt(query, &found.terms).await? else {
            return Ok(found);
        };
        let other = SearchQuery {
            text: respelt.text,
            ..query.clone()
        };
        let mut other = Box::pin(self.look(&other)).await?;
        if !has_words(&other) {
            return Ok(found);
        }
        other.instead = respelt.instead;
        Ok(other)
    }

    async fn look(&self, query: &SearchQuery) -> Result<Found> {
        let mut found = Found::default();
        let mut fetched = query.limit.saturating_mul(5).max(CANDIDATES);
        let mut notices = Vec::new();
        // One computes while the other reads.
        let meaning = async {
            let vector = self.meaning_of(query, &mut found.notices).await?;
            let near = self.near(query, vector.as_deref(), fetched).await;
            anyhow::Ok((vector, near))
        };
        let words = async {
            let sample = self.sample(&query.filter).await?;
            let terms = Terms::new(&query.text, &sample, query.quoted, query.zone);
            let words = self.worded(query, &terms, fetched, &mut notices).await;
            anyhow::Ok((sample, terms, words))
        };
        let (meaning, words) = tokio::join!(meaning, words);
        let ((vector, near), (sample, terms, words)) = (meaning?, words?);
        found.notices.append(&mut notices);
        let vector = vector.as_deref();
        let mut both = (near, words);
        loop {
            let ways = Store::together(query, vector, fetched, both, &mut found.notices)?;
            let scored = Scored::of(query, &terms, &sample, ways);
            let best = scored.best(query.limit.saturating_mul(ANSWERS));
            let first = &best[..best.len().min(query.limit.saturating_add(SPARE))];
            let (questions, known) = tokio::join!(
                self.questions(&best, vector),
                self.by_id(&query.filter, first)
            );
            let questions = questions.unwrap_or_else(|error| {
                let error = error.context("compared answers without their questions");
                note(&mut found.notices, error);
                HashMap::new()
            });
            let Ranked { passages, done } = scored.with(&questions).ranked();
            found.hits = self.hits(query, &terms, passages, known?).await?;
            fetched = fetched.saturating_mul(4);
            let enough = found.hits.len() == query.limit;
            if done || enough || fetched > MOST_CANDIDATES.max(query.limit.saturating_mul(20)) {
                found.terms = terms;
                return Ok(found);
            }
            both = tokio::join!(
                self.near(query, vector, fetched),
                self.worded(query, &terms, fetched, &mut found.notices)
            );
        }
    }

    /// Returns the vector of a query, where its meaning counts.
    async fn meaning_of(
        &self,
        query: &SearchQuery,
        notices: &mut Vec<Error>,
    ) -> Result<Option<Vec<f32>>> {
        if query.mode == Mode::Text {
            return Ok(None);
        }
        match self.embed_query(&query.text).await {
            Err(error) if query.mode == Mode::Hybrid => {
                notices.push(error.context("looked for the words alone"));
                Ok(None)
            }
            embedded => embedded.map(Some),
        }
    }

    /// Fills in the interactions, each question and answer once, best first; some of them are known.
    async fn hits(
        &self,
        query: &SearchQuery,
        terms: &Terms,
        ranked: Vec<(Passage, Score)>,
        mut known: HashMap<String, Interaction>,
    ) -> Result<Vec<Hit>> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut places: HashMap<(String, String), usize> = HashMap::new();
        // Interactions are read as they are needed: there are many more candidates than hits.
        for some in ranked.chunks(query.limit.saturating_add(2)) {
            let ids = some.iter().map(|(passage, _)| &passage.interaction_id);
            let ids = ids.filter(|id| !known.contains_key(*id)).cloned();
            known.extend(self.by_id(&query.filter, &ids.collect::<Vec<_>>()).await?);
            for (passage, score) in some {
                // A passage whose interaction is not there yet belongs to a turn that is just being recorded.
                let Some(interaction) = known.remove(&passage.interaction_id) else {
                    continue;
                };
                let said = (interaction.query.clone(), interaction.response.clone());
                if let Some(&place) = places.get(&said) {
                    hits[place].count += 1;
                    continue;
                }
                places.insert(said, hits.len());
                hits.push(Hit {
                    marks: terms.marks(&interaction.query),
                    interaction,
                    score: score.total(),
                    similarity: score.similarity,
                    parts: Some(*score),
                    matched: Some(Matched {
                        source: passage.source.clone(),
                        text: passage.text.clone(),
                        marks: terms.marks(&passage.text),
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
            .select(Some(filter.turns_among(ids)), &SHOWN, None, None)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.interaction_id.clone(), row))
            .collect())
    }
}
