//! Keeps the tables quick, sound and no larger than they have to be, and forgets.

mod behind;
mod compaction;
mod doctor;
mod erase;
mod layout;
mod losses;
mod maintenance;
mod reading;
mod reembed;
mod reindex;
mod resume;
mod rows;
mod torn;
mod traces;

pub use doctor::{Finding, State, examine};
pub use erase::Removing;
pub use reembed::{change_embedder, other_embedder};
