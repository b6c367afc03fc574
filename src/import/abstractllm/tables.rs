//! The rows of the predecessor's LanceDB tables, whose schemas were inferred from their first rows.

use std::collections::HashMap;

use serde_json::Value;

use super::super::files::text;
use super::text::{answer, facts, key, local, question, steps, usage};
use super::{Gathered, Told};
use crate::conversation::Status;
use crate::timeframe::Zone;

pub const NAME: &str = "lance";

/// Reads the turns of the tables.
pub fn turns(tables: &HashMap<&'static str, Vec<Value>>, zone: Zone, gathered: &mut Gathered) {
    let file = |table: &str| format!("{table}.lance");
    let rows = |table: &str| tables.get(table).into_iter().flatten();
    let cycles: HashMap<&str, &Value> = rows("react_cycles")
        .map(|row| (key(text(row, "interaction_id")), row))
        .collect();
    let sessions: HashMap<&str, &Value> = rows("sessions")
        .map(|row| (text(row, "user_id"), row))
        .collect();
    let mut used = 0;
    for row in rows("interactions") {
        let id = key(text(row, "interaction_id"));
        let Some(when) = local(&row["timestamp"], zone) else {
            gathered.unread(
                NAME,
                &file("interactions"),
                format!("interaction {id}"),
                "it has no time".to_owned(),
            );
            continue;
        };
        let asked = question(text(row, "query"));
        let mut told = Told::new(NAME, text(row, "session_id"), id, when, asked);
        let turn = &mut told.turn;
        turn.response = answer(text(row, "response"));
        turn.facts = facts(&row["facts_extracted"]);
        turn.usage = usage(&row["token_usage"]);
        turn.duration_ms = row["duration_ms"].as_i64().unwrap_or_default().max(0);
        let mut success = true;
        if let Some(cycle) = cycles.get(id) {
            used += 1;
            turn.steps = steps(&cycle["steps"], zone, when);
            success = cycle["success"] != false;
        }
        turn.status = match (success, turn.response.is_empty()) {
            (false, _) => Status::Failed,
            (true, true) => Status::Interrupted,
            (true, false) => Status::Completed,
        };
        // A session's own id joins with nothing; its user does.
        if let Some(session) = sessions.get(text(row, "user_id")) {
            text(session, "provider").clone_into(&mut turn.provider);
            let model = Some(text(session, "model")).filter(|model| *model != "unknown");
            model.unwrap_or_default().clone_into(&mut turn.model);
            text(session, "system_prompt").clone_into(&mut told.system);
        }
        gathered.told(&file("interactions"), told);
    }
    for _ in used..cycles.len() {
        gathered.skipped(
            NAME,
            &file("react_cycles"),
            "ReAct cycle without an interaction",
        );
    }
}
