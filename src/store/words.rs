//! What every room of the store needs: ids, moments, errors with a hint.

use chrono::{DateTime, SubsecRound, Utc};

/// Is an error that comes with a hint for the person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    pub message: String,
    pub hint: String,
}

/// Returns a new id: `UUIDv4` as text.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Returns the time as the tables keep it, in whole microseconds.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
