//! Reads alone: by meaning and words, by time and id, by SQL, and what it all adds up to.

mod around;
mod candidates;
mod careful;
mod facts;
mod groups;
mod listing;
mod marks;
mod people;
mod questions;
mod rank;
mod requests;
mod score;
mod search;
mod similar;
mod spelling;
mod sql;
mod stats;
mod terms;
mod views;

pub use around::Around;
pub use facts::Fact;
pub use groups::{By, Group};
pub use listing::{Named, Outline, SessionSummary};
pub use search::{Found, Hit, Matched, Mode, SearchQuery};
pub use similar::CycleHit;
pub use sql::Rows;
pub use stats::{Stats, TableStats};
pub use terms::Terms;
