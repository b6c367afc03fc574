//! What a person can ask for.
//!
//! # Rooms
//!
//! ```text
//!  6  mod                         the face: commands as a whole
//!  5  run                         what each sets off
//!  4  help                        what they say of themselves
//!  3  list                        the one list of commands
//!  2  forget                      removal, after an export
//!  1  search timeframe similar sql show facts sessions users export reindex stats recall settings
//!                                 one file a family
//!  0  arguments query spool       what several take; flags among words; text for a slow reader
//! ```
//!
//! A file imports only from lower rooms; `tests/it/tidy.rs` checks it.

mod list;

mod run;

mod export;
mod facts;
mod forget;
mod help;
mod recall;
mod reindex;
mod search;
mod sessions;
mod settings;
mod show;
mod similar;
mod sql;
mod stats;
mod timeframe;
mod users;

mod arguments;
mod query;
mod spool;

pub use forget::{Expired, expire, expired};
pub use list::{
    Command, History, Line, LiveCommand, is_near, names, settled, table, takes_phrases, takes_text,
};
pub use reindex::embed;
pub use run::{Flow, interrupt, until_interrupted};
