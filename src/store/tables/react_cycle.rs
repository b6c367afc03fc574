//! The `react_cycles` table: the stored steps of a turn.

use chrono::{DateTime, Utc};
use lancedb::arrow::arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::column::{long_text, moment, text, vector};
use super::table::Record;

/// Holds the scratchpad of one turn.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReactCycle {
    pub react_id: String,
    pub interaction_id: String,
    pub session_id: String,
    pub user_id: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub timestamp: DateTime<Utc>,
    /// JSON text: the list of steps.
    pub scratchpad: String,
    pub(in crate::store) scratchpad_embedding: Option<Vec<f32>>,
    pub steps: i64,
    pub success: bool,
    /// JSON text.
    pub metadata: String,
}

impl Record for ReactCycle {
    const NAME: &'static str = "react_cycles";
    const KEY: &'static str = "react_id";

    fn key(&self) -> &str {
        &self.react_id
    }

    fn columns(dimension: usize) -> Vec<Field> {
        vec![
            text("react_id"),
            text("interaction_id"),
            text("session_id"),
            text("user_id"),
            moment("timestamp"),
            long_text("scratchpad"),
            vector("scratchpad_embedding", dimension),
            Field::new("steps", DataType::Int64, false),
            Field::new("success", DataType::Boolean, false),
            text("metadata"),
        ]
    }
}
