//! A turn on its way into the tables: into the journal when it begins, into LanceDB when it has ended.

mod facts;
mod gone;
pub mod journal;
pub mod passages;
mod people;
mod record;
mod recovery;
mod traces;
mod turn;

pub use journal::{Journal, Partial};
pub use recovery::Recovered;
pub use traces::Traces;
pub use turn::Turn;
