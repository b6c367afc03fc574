//! Remembers: users, sessions, interactions and passages in LanceDB, and a journal of what is not in there yet.
//!
//! Speaks text: vectors, Arrow and LanceDB types never leave this folder.
//!
//! # Rooms
//!
//! ```text
//!  8  mod                         the face: what the store offers, nothing else
//!  7  backlog                     turns that are stored behind the prompt
//!  6  upkeep moving               keeping the tables quick and sound, forgetting; histories out and in
//!  5  writing finding             a turn on its way into the tables; reads alone
//!  4  embedding                   texts into passages with vectors
//!  3  open                        the store: knows its tables, and not what is done with them
//!  2  tables                      rows: what the tables hold, how they are read, written and narrowed down
//!  1  disk locks                  folders and files of ours; who may do what at once
//!  0  words vocabulary            ids, moments, errors with a hint; how rare words are
//! ```
//!
//! A room imports only from lower rooms; `tests/it/tidy.rs` checks it.

mod open;

mod backlog;

mod writing;

mod finding;

mod upkeep;

mod moving;

mod embedding;

mod tables;

mod disk;
mod locks;
mod vocabulary;
mod words;

pub use backlog::Backlog;
pub use disk::{make_folder, replace_file};
pub use finding::{
    Around, By, CycleHit, Fact, Found, Group, Hit, Matched, Mode, Named, Outline, Rows,
    SearchQuery, SessionSummary, Stats, TableStats, Terms,
};
pub use locks::Notice;
pub use locks::is_read_only;
pub use moving::{
    Fate, Imported, Moved, Restore, Visit, Visitor, foreign, foreign_rows, take_place,
};
pub use open::{Options, Store, incoming};
pub use tables::{Filter, Interaction, Kind, Me, Origin, Scope, Session, User, Whom, username};
pub use upkeep::{Finding, Removing, State, change_embedder, examine, other_embedder};
pub use words::{Hinted, id_of, new_id, now};
pub use writing::{Partial, Recovered, SharedJournal, Turn};
