//! What every room of the store needs: ids, moments, errors with a hint.

use chrono::{DateTime, SubsecRound, Utc};
use sha2::{Digest, Sha256};

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

/// Returns the id that follows from some words, in the form of RFC 9562's version 8.
pub fn id_of(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.len().to_le_bytes());
        hash.update(word);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// Returns whether a text is an id as [`new_id`] and [`id_of`] write it.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}

/// Returns the time as the tables keep it, in whole microseconds.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
