//! The only integration-test crate: the real binary, a real store, real HTTP on loopback.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;
mod server;
mod tidy;

mod embedding;
mod faults;
mod history;
mod server_faults;
mod shell;
mod talk;
