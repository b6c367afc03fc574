//! Rows: what the tables hold, and how they are read, written and narrowed down. Knows nothing of what is done with them.

mod column;
pub mod context;
mod filter;
pub mod index;
mod interaction;
pub mod kind;
mod passage;
mod react_cycle;
pub mod registry;
pub mod session;
mod table;
mod user;

pub use column::vector;
pub use filter::{Filter, Scope, Whom, among, both, one_of};
pub use interaction::{Interaction, SHOWN};
pub use kind::Kind;
pub use passage::{Origin, Passage};
pub use react_cycle::ReactCycle;
pub use session::Session;
pub use table::{Having, Order, Record, Table, read};
pub use user::{Me, User, Users, username};
