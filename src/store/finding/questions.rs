//! The questions to which candidates are pieces of answers: what a piece is about may be said there alone.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use lancedb::expr::{col, lit};

use super::candidates::{Way, compared};
use crate::store::open::Store;
use crate::store::tables::{Origin, one_of};

/// How many are read at once.
const MOST: usize = 500;

impl Store {
    /// Returns how alike they are: their cosines, by interaction. Of one with several passages it is the best.
    pub(super) async fn questions(
        &self,
        ways: &[Way],
        vector: &[f32],
    ) -> Result<HashMap<String, f32>> {
        let all = ways.iter().flat_map(|way| &way.passages);
        let answers = all.filter(|(passage, _)| passage.origin() == Some(Origin::Response));
        let answers = answers.map(|(passage, _)| passage.interaction_id.as_str());
        let answers: Vec<&str> = answers.collect::<HashSet<_>>().into_iter().collect();
        let mut questions: HashMap<String, f32> = HashMap::new();
        for some in answers.chunks(MOST) {
            let these = one_of("interaction_id", some.iter().copied());
            let these = these.and(col("source").eq(lit(Origin::Query.as_str())));
            let columns = ["interaction_id", "embedding"];
            let passages = self.passages.select(Some(these), &columns, None, None);
            for (passage, cosine) in compared(passages.await?, Some(vector)) {
                let Some(cosine) = cosine else { continue };
                let best = questions.entry(passage.interaction_id).or_insert(cosine);
                *best = best.max(cosine);
            }
        }
        Ok(questions)
    }
}
