//! What a person can ask for.
//!
//! # Rooms
//!
//! ```text
//!  8  mod                         the face: commands as a whole
//!  7  run                         what each sets off
//!  6  help                        what they say of themselves
//!  5  list                        the one list of commands
//!  4  forget                      removal, after an export
//!  3  search timeframe similar sql show facts sessions users export reindex stats recall settings
//!                                 one file a family
//!  2  shown                       what an id, a number or nothing means
//!  1  arguments                   what several take
//!  0  which query spool           of what kind; flags among words; text for a slow reader
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

mod shown;

mod arguments;
mod query;
mod spool;
mod which;

pub use forget::{Expired, expire, expired};
pub use list::{
    Command, History, Line, LiveCommand, OUTSIDE, explained, is_near, names, settled, table,
    takes_phrases, takes_text,
};
pub use reindex::embed;
pub use run::{Flow, interrupt, until_interrupted};
pub use shown::Shown;
