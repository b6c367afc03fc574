//! How well a passage answers a query: its meaning, the words they share, the conversation it stands in, the time it is from.
//!
//! Ranks of two lists cannot be fused without one drowning the other, so both sides are put on one scale, 0 to 1, and count alike:
//! the cosine of the vectors, and the share of the query's words that the passage has, each word weighted by how rare it is. The
//! share is squared: a stray word says little, all of them say all. What answers stands where its matter is talked about, so a
//! passage shares in the best one of its conversation, as documents share in their cluster (Liu and Croft 2004), and a piece of an
//! answer in the question, without which it may not say what it is about.
//!
//! Each constant was chosen on our own questions and on half of LoCoMo, and checked on the other half.

/// What the best passage of the same conversation counts, beside the passage itself.
const CONVERSATION: f32 = 0.3;
/// What the question counts in the meaning of a piece of its answer; the less, the more the piece is alike by itself.
const QUESTION: f32 = 0.45;
/// What is from a time that the query names gains so much of what it lacks.
const TIMELY: f32 = 0.15;
/// What says nothing loses so much of what it lacks, as questions do that are like other questions; with so many words that say
/// something it loses nothing.
const BRIEF: f32 = 0.05;
const TELLING: f32 = 8.0;

/// A query has found something when a passage has half of its words, or is somewhat alike: the cosine of what has nothing in common is
/// below this, and that of most paraphrases above.
const FOUND: f32 = 0.24;
const HALF: f32 = 0.5;
/// Where the history knows none of the words, the model may make anything of them: letters that say nothing are like much.
const FOUND_UNKNOWN: f32 = 0.3;
/// The same of a query that names something the history never mentions.
const FOUND_UNNAMED: f32 = 0.44;
const SHARE_UNNAMED: f32 = 0.32;
/// The words alone are worth it from here on.
const SHARE: f32 = 0.1;
/// What is not even so alike is noise, and so is what is so much poorer than the best.
const ALIKE: f32 = 0.15;
const GAP: f32 = 0.4;

/// Holds how well a passage answers, and why.
#[derive(Debug, Clone, Copy, Default)]
pub struct Score {
    /// The cosine, where there are vectors.
    pub similarity: Option<f32>,
    /// The cosine of the question that it is a piece of the answer to.
    pub question: Option<f32>,
    /// The share of the words, where words count.
    pub share: Option<f32>,
    /// How many of its words say something.
    pub telling: usize,
    /// What the best passage of the same conversation scores by itself.
    pub conversation: f32,
    /// Whether it is from a time that the query names.
    pub is_timely: bool,
    /// What any two texts have as their cosine, where that is much.
    pub base: f32,
    /// Whether others have a cosine: then one without is like nothing.
    pub compares: bool,
}

/// Says what else there is to judge a score by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// What the best of all scores by itself; nothing, where none says that something is found.
    pub best: Option<f32>,
    /// Whether the query names what the history never mentions.
    pub names_unknown: bool,
    /// Whether nothing has any word of the query.
    pub words_unknown: bool,
}

impl Score {
    /// Returns what the passage scores by itself, 1 for the very same text.
    pub fn own(self) -> f32 {
        let words = self.share.map(|share| share * share);
        let own = match (self.meaning(), words) {
            (Some(meaning), Some(words)) => f32::midpoint(meaning, words),
            (one, other) => one.or(other).unwrap_or_default(),
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
        let silent = 1.0 - (self.telling as f32 / TELLING).min(1.0);
        (own - BRIEF * silent * (1.0 - own)).max(0.0)
    }

    /// Returns the score that hits are ordered by, 0 to 1.
    pub fn total(self) -> f32 {
        let own = self.own();
        let there = own + CONVERSATION * (self.conversation.max(own) - own);
        let gain = if self.is_timely { TIMELY } else { 0.0 };
        there + gain * (1.0 - there)
    }

    /// Returns whether it says that the query has found something.
    pub fn is_find(self, beside: Beside) -> bool {
        let share = self.share.unwrap_or_default();
        let (alike, enough) = match beside {
            Beside {
                names_unknown: true,
                ..
            } => (FOUND_UNNAMED, SHARE_UNNAMED),
            Beside {
                words_unknown: true,
                ..
            } => (FOUND_UNKNOWN, HALF),
            _ => (FOUND, HALF),
        };
        match self.meaning() {
            Some(meaning) => meaning >= alike || share >= enough,
            None if beside.names_unknown => share >= SHARE_UNNAMED,
            None => share >= SHARE,
        }
    }

    /// Returns whether it is worth showing when nobody says what is.
    pub fn is_worthwhile(self, beside: Beside) -> bool {
        let share = self.share.unwrap_or_default();
        let is_like = match self.meaning() {
            Some(meaning) => meaning >= ALIKE || share >= HALF,
            None => share >= SHARE,
        };
        is_like && beside.best.is_some_and(|best| self.total() >= GAP * best)
    }

    /// Returns how alike they are, 0 to 1: from what any two texts are on, and with the question.
    pub fn meaning(self) -> Option<f32> {
        let beyond = |cosine: f32| ((cosine - self.base) / (1.0 - self.base)).max(0.0);
        let own = self.similarity.map(beyond);
        let own = own.or(self.compares.then_some(0.0))?;
        let question = self.question.map_or(own, beyond);
        Some(own + QUESTION * (1.0 - own) * (question - own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(similarity: impl Into<Option<f32>>, share: impl Into<Option<f32>>) -> Score {
        Score {
            similarity: similarity.into(),
            share: share.into(),
            telling: 20,
            ..Score::default()
        }
    }

    #[test]
    fn the_same_text_scores_one_and_none_less_than_zero() {
        assert!((score(1.0, 1.0).total() - 1.0).abs() < 1e-6);
        assert!(score(-0.3, 0.0).total() >= 0.0 && score(-0.3, None).total() >= 0.0);
        assert!(score(0.3, 1.0).total() > score(0.6, 0.3).total());
        let narrow = Score {
            base: 0.75,
            ..score(0.78, 0.0)
        };
        assert!(!narrow.is_find(Beside::default()));
        assert!(score(0.78, 0.0).is_find(Beside::default()));
    }

    #[test]
    fn a_good_conversation_and_the_right_time_lift_a_passage_and_never_above_one() {
        let plain = score(0.4, 0.2);
        let there = Score {
            conversation: 0.9,
            ..plain
        };
        let then = Score {
            is_timely: true,
            ..plain
        };
        assert!(there.total() > plain.total() && then.total() > plain.total());
        // By itself it is as poor as before.
        assert!((there.own() - plain.own()).abs() < 1e-6);
        let best = Score {
            conversation: 1.0,
            is_timely: true,
            ..score(1.0, 1.0)
        };
        assert!(best.total() <= 1.0);
    }

    #[test]
    fn a_piece_of_an_answer_means_what_was_asked_and_what_says_nothing_is_worth_less() {
        let plain = score(0.3, 0.0);
        let asked = |question: f32| Score {
            question: Some(question),
            ..plain
        };
        assert!(asked(0.6).total() > plain.total() && asked(0.1).total() < plain.total());
        let same = Score {
            question: Some(0.1),
            ..score(1.0, 1.0)
        };
        assert!((same.total() - 1.0).abs() < 1e-6);
        let brief = |telling| Score { telling, ..plain };
        assert!(brief(1).total() < brief(6).total() && brief(6).total() < brief(8).total());
        assert!((brief(8).total() - brief(80).total()).abs() < 1e-6);
        assert!(Score::default().total() >= 0.0);
    }

    #[test]
    fn nonsense_and_what_is_much_poorer_than_the_best_is_left_out() {
        let plain = Beside::default();
        assert!(!score(0.18, 0.0).is_find(plain) && score(0.4, 0.0).is_find(plain));
        assert!(score(0.1, 0.8).is_find(plain) && score(None, 0.2).is_find(plain));
        let unknown = Beside {
            words_unknown: true,
            ..plain
        };
        assert!(!score(0.27, 0.0).is_find(unknown));
        let unnamed = Beside {
            names_unknown: true,
            ..plain
        };
        assert!(!score(0.4, 0.1).is_find(unnamed) && score(None, 0.5).is_find(unnamed));
        // What has found nothing shows nothing, and beside a good hit a poor one is none.
        assert!(!score(0.2, 0.1).is_worthwhile(plain));
        let beside = |best: Score| Beside {
            best: Some(best.own()),
            ..plain
        };
        assert!(score(0.2, 0.1).is_worthwhile(beside(score(0.3, 0.0))));
        let best = beside(score(0.3, 1.0));
        assert!(!score(0.3, 0.1).is_worthwhile(best) && score(0.6, 0.3).is_worthwhile(best));
        assert!(!score(0.1, 0.1).is_worthwhile(beside(score(0.1, 0.3))));
    }

    // Finding H10.
    #[test]
    fn words_alone_are_no_better_than_words_and_meaning() {
        let compared = |similarity: Option<f32>, share: f32| Score {
            compares: true,
            ..score(similarity, share)
        };
        assert!(compared(None, 1.0).total() < compared(Some(0.6), 1.0).total());
        assert!(compared(None, 0.5).total() < compared(Some(0.4), 0.0).total());
        assert!(compared(None, 1.0).is_find(Beside::default()));
        assert!(!compared(None, 0.2).is_find(Beside::default()));
    }
}
