//! Keeps the tables quick, sound and no larger than they have to be, and forgets.

mod doctor;
mod erase;
mod maintenance;
mod reembed;
mod reindex;

pub use doctor::{Finding, State, examine};
pub use reembed::{change_embedder, other_embedder};
