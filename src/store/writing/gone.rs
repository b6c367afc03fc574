//! A turn that runs while another shell removes what it has quoted: what it quotes of that is not stored.

use std::collections::HashSet;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::{Traces, Turn};
use crate::store::open::Store;
use crate::store::tables::among;

#[derive(Deserialize)]
struct There {
    interaction_id: String,
}

impl Store {
    /// Takes what was removed since a turn began out of what it has quoted, and out of the requests that were sent for it.
    pub(in crate::store) async fn take_out_gone(&self, turn: &mut Turn) -> Result<()> {
        if turn.erasures == self.locks.erasures() {
            return Ok(());
        }
        let (mut quoted, mut ids) = (Vec::new(), HashSet::new());
        for step in &turn.steps {
            let observation: Value = serde_json::from_str(&step.observation).unwrap_or_default();
            for hit in observation["hits"].as_array().into_iter().flatten() {
                if let Some(id) = hit["interaction_id"].as_str() {
                    ids.insert(id.to_owned());
                    let passage = hit["passage"].as_str().unwrap_or_default();
                    quoted.push((id.to_owned(), passage.to_owned()));
                }
            }
        }
        let metadata: Value = serde_json::from_str(&turn.interaction.metadata).unwrap_or_default();
        let recalled = metadata["recalled"].as_array().into_iter().flatten();
        ids.extend(recalled.filter_map(Value::as_str).map(str::to_owned));
        if ids.is_empty() {
            return Ok(());
        }
        let asked: Vec<String> = ids.iter().cloned().collect();
        let there = self
            .interactions
            .columns::<There>(Some(among(&asked)), &["interaction_id"]);
        for row in there.await? {
            ids.remove(&row.interaction_id);
        }
        quoted.retain(|(id, _)| ids.contains(id));
        let passages = quoted.into_iter().map(|(_, passage)| passage);
        let traces = Traces::new(ids, [], passages);
        for step in &mut turn.steps {
            traces.take_out(&mut step.observation);
        }
        traces.take_out(&mut turn.interaction.response);
        for body in &mut turn.requests {
            traces.take_out(body);
        }
        // What a dead process of before had packed says nothing without what it was packed against.
        let packed = &mut turn.interaction.context_verbatim;
        if traces.take_out(&mut packed.clone()) {
            "[]".clone_into(packed);
        }
        Ok(())
    }
}
