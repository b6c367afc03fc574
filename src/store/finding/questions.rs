//! The questions to which candidates are pieces of answers: what a piece is about may be said there alone.

use std::collections::HashMap;

use anyhow::Result;
use lancedb::expr::{col, lit};

use super::candidates::compared;
use crate::store::open::Store;
use crate::store::tables::{Origin, one_of};

impl Store {
    /// Returns how alike the questions of some interactions are: their cosines, by interaction. Of one with several passages it is the
    /// best.
    pub(super) async fn questions(
        &self,
        interactions: &[String],
        vector: Option<&[f32]>,
    ) -> Result<HashMap<String, f32>> {
        let mut questions: HashMap<String, f32> = HashMap::new();
        if vector.is_none() || interactions.is_empty() {
            return Ok(questions);
        }
        let these = one_of("interaction_id", interactions.iter().map(String::as_str));
        let these = these.and(col("source").eq(lit(Origin::Query.as_str())));
        let columns = ["interaction_id", "embedding"];
        let passages = self.passages.select(Some(these), &columns, None, None);
        for (passage, cosine) in compared(passages.await?, vector) {
            let Some(cosine) = cosine else { continue };
            let best = questions.entry(passage.interaction_id).or_insert(cosine);
            *best = best.max(cosine);
        }
        Ok(questions)
    }
}
