//! Histories out of the store and in: exports, and those of other programs.

mod dump;
mod foreign;
mod import;
mod restore;
mod walk;

pub use dump::Moved;
pub use foreign::{foreign, foreign_rows, take_place};
pub use import::{Fate, Imported};
pub use restore::Restore;
pub use walk::{Visit, Visitor};
