//! Puts what may answer a query in order, and says whether looking further could find better.

use std::collections::{HashMap, HashSet};

use super::candidates::Way;
use super::score::{Beside, Score};
use super::search::{Mode, SearchQuery};
use super::terms::Terms;
use crate::store::tables::{Origin, Passage};
use crate::store::vocabulary::{Sample, keys, words};

/// What the words count that a model has done something with, or seen in passing, beside those that were said: each `ls` and each log
/// has the words of many questions.
const PASSING: f32 = 0.8;

/// There are models to which all texts are alike, as E5 is: a cosine says how much more than others two are. Those to which a history
/// of one matter is are below this.
const NARROW: f32 = 0.5;

/// Holds the best passage of each interaction, best first.
pub struct Ranked {
    pub passages: Vec<(Passage, Score)>,
    /// Whether more candidates would bring nothing that is worth showing.
    pub done: bool,
}

/// Holds what may answer a query with its scores.
pub struct Scored<'q> {
    query: &'q SearchQuery,
    ways: Vec<ScoredWay>,
    names_unknown: bool,
}

/// Is what one way of looking has found, compared with the query.
struct ScoredWay {
    passages: Vec<(Passage, Score)>,
    complete: bool,
}

impl<'q> Scored<'q> {
    /// Compares the passages that each way of looking has found with the query.
    pub fn of(
        query: &'q SearchQuery,
        terms: &Terms,
        sample: &Sample,
        ways: Vec<Way>,
    ) -> Scored<'q> {
        let all = || ways.iter().flat_map(|way| &way.passages);
        // Both ways find most of what is good: a text is taken apart once.
        let mut there: HashMap<String, Text> = HashMap::new();
        for (passage, _) in all() {
            let text = there.entry(passage.passage_id.clone());
            text.or_insert_with(|| Text::of(&passage.text));
        }
        let texts = there.values().map(|text| &text.keys);
        let names_unknown = query.mode == Mode::Hybrid && terms.names_unknown(sample, texts);
        let base = Some(sample.alike()).filter(|alike| *alike > NARROW);
        let base = base.unwrap_or_default();
        let compares = all().any(|(_, similarity)| similarity.is_some());
        let score = |(passage, similarity): (Passage, Option<f32>)| {
            let text = &there[&passage.passage_id];
            let weight = if query.asks_for(passage.origin()) {
                1.0
            } else {
                PASSING
            };
            let share = (query.mode != Mode::Semantic).then(|| terms.share_of(&text.keys) * weight);
            let score = Score {
                similarity,
                question: None,
                share,
                telling: text.telling,
                is_timely: terms.is_timely(passage.timestamp),
                conversation: 0.0,
                base,
                compares,
            };
            (passage, score)
        };
        let scored = |way: Way| ScoredWay {
            passages: way.passages.into_iter().map(score).collect(),
            complete: way.complete,
        };
        Scored {
            query,
            ways: ways.into_iter().map(scored).collect(),
            names_unknown,
        }
    }

    /// Returns the interactions with the best passages, best first.
    pub fn best(&self, count: usize) -> Vec<String> {
        let mut best: HashMap<&str, f32> = HashMap::new();
        for (passage, score) in self.meant() {
            let known = best.entry(&passage.interaction_id).or_default();
            *known = known.max(score.own());
        }
        let mut best: Vec<(&str, f32)> = best.into_iter().collect();
        best.sort_by(|(a, left), (b, right)| right.total_cmp(left).then_with(|| a.cmp(b)));
        best.truncate(count);
        best.into_iter().map(|(id, _)| id.to_owned()).collect()
    }

    /// Has pieces of answers read with their questions, whose cosines these are, by interaction.
    #[must_use]
    pub fn with(mut self, questions: &HashMap<String, f32>) -> Scored<'q> {
        for (passage, score) in self.ways.iter_mut().flat_map(|way| &mut way.passages) {
            if passage.origin() == Some(Origin::Response) {
                score.question = questions.get(&passage.interaction_id).copied();
            }
        }
        self
    }

    fn meant(&self) -> impl Iterator<Item = &(Passage, Score)> {
        let all = self.ways.iter().flat_map(|way| &way.passages);
        all.filter(|(passage, _)| is_meant(self.query, passage))
    }

    /// Returns what to judge each by.
    fn beside(&self) -> Beside {
        let mut meant = self.meant();
        let beside = Beside {
            best: None,
            names_unknown: self.names_unknown,
            words_unknown: self.query.mode == Mode::Hybrid
                && meant.all(|(_, score)| score.share == Some(0.0)),
        };
        let finds = self.meant().filter(|(_, score)| score.is_find(beside));
        let finds = finds.map(|(_, score)| score.own());
        Beside {
            best: finds.max_by(f32::total_cmp),
            ..beside
        }
    }

    /// Puts them in order, those that are worth it.
    pub fn ranked(self) -> Ranked {
        let (query, beside) = (self.query, self.beside());
        let conversations = conversations(self.meant());
        let placed = |passage: &Passage, score: Score| Score {
            conversation: conversations
                .get(&passage.session_id)
                .copied()
                .unwrap_or_default(),
            ..score
        };
        let quotes = query.has_quotes();
        let is_shown = |score: Score| match query.min_score {
            Some(least) => score.total() >= least,
            None => quotes || score.is_worthwhile(beside),
        };
        // Where the last of a list is not worth showing, those after it are not, either.
        let is_done = |way: &ScoredWay| {
            let last = way.passages.last();
            way.complete || last.is_none_or(|(passage, score)| !is_shown(placed(passage, *score)))
        };
        let done = self.ways.iter().all(is_done);

        let mut seen = HashSet::new();
        let mut best: HashMap<String, (Passage, Score)> = HashMap::new();
        for (passage, score) in self.ways.into_iter().flat_map(|way| way.passages) {
            let score = placed(&passage, score);
            if !is_meant(query, &passage)
                || !is_shown(score)
                || !seen.insert(passage.passage_id.clone())
            {
                continue;
            }
            let better = best
                .get(&passage.interaction_id)
                .is_none_or(|(_, known)| known.total() < score.total());
            if better {
                best.insert(passage.interaction_id.clone(), (passage, score));
            }
        }
        let mut passages: Vec<_> = best.into_values().collect();
        // Of those that are as good as each other the latest is first.
        passages.sort_by(|(a, left), (b, right)| {
            right
                .total()
                .total_cmp(&left.total())
                .then_with(|| b.timestamp.cmp(&a.timestamp))
                .then_with(|| a.interaction_id.cmp(&b.interaction_id))
        });
        Ranked { passages, done }
    }
}

/// Returns what the best passage of each conversation scores by itself.
fn conversations<'p>(passages: impl Iterator<Item = &'p (Passage, Score)>) -> HashMap<String, f32> {
    let mut conversations: HashMap<String, f32> = HashMap::new();
    for (passage, score) in passages {
        let best = conversations.entry(passage.session_id.clone());
        let best = best.or_default();
        *best = best.max(score.own());
    }
    conversations
}

/// Is a text taken apart.
struct Text {
    keys: HashSet<String>,
    /// How many of its words say something.
    telling: usize,
}

impl Text {
    fn of(text: &str) -> Text {
        let words = words(text);
        Text {
            telling: words.iter().filter(|word| !word.is_stop).count(),
            keys: keys(words),
        }
    }
}

/// Returns whether a passage is looked for at all.
fn is_meant(query: &SearchQuery, passage: &Passage) -> bool {
    let mut repeats = query.ignore.iter();
    query.filter.has(&passage.interaction_id) && !repeats.any(|text| is_same(text, &passage.text))
}

fn is_same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::{Filter, Scope};
    use crate::timeframe::Zone;

    fn passage(id: &str, text: &str) -> Passage {
        Passage {
            passage_id: id.to_owned(),
            interaction_id: id.to_owned(),
            text: text.to_owned(),
            ..Passage::default()
        }
    }

    // Finding U4.
    #[test]
    fn one_poor_passage_does_not_end_the_search() {
        let everyone = Filter::new(Scope::Everyone);
        let query = SearchQuery::new("deadlock of the pool", everyone, 10);
        let sample = Sample::default();
        let terms = Terms::new(&query.text, &sample, false, Zone::default());
        let good = |id| (passage(id, "a deadlock of the pool"), Some(0.8));
        let poor = || (passage("poor", "dogs bark"), Some(-0.1));
        let way = |passages, complete| Way { passages, complete };
        let done = |ways| Scored::of(&query, &terms, &sample, ways).ranked().done;
        let close = || way(vec![good("a"), good("b")], false);
        assert!(!done(vec![close(), way(vec![poor(), good("c")], false)]));
        assert!(!done(vec![close(), way(vec![good("c"), poor()], true)]));
        // There is nothing more, or nothing better.
        let ended = || way(vec![good("a"), poor()], false);
        assert!(done(vec![ended(), way(vec![good("c")], true)]));
        assert!(done(vec![ended(), way(vec![good("c"), poor()], false)]));
        // Of a list that was parted one side may have nothing.
        assert!(done(vec![ended(), way(Vec::new(), false)]));
    }
}
