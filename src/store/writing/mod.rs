//! A turn on its way into the tables: into the journal while it runs, into LanceDB when it has ended.

mod actions;
mod coming;
mod facts;
mod gone;
pub mod journal;
pub mod passages;
mod people;
pub mod record;
pub mod recovery;
mod traces;
mod turn;

pub use coming::Partial;
pub use record::SharedJournal;
pub use recovery::Recovered;
pub use traces::Traces;
pub use turn::Turn;
