//! The only integration-test crate: the real binary, a real store, real HTTP on loopback.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;
mod rust;
mod scripted;
mod server;
mod terminal;
mod tidy;

mod agent;
mod behind;
mod beside;
mod claude_code;
mod clock;
mod codex;
mod compatible;
mod contract;
mod counting;
mod crashes;
mod data_exports;
mod doctor;
mod embedding;
mod evaluation;
mod export;
mod faults;
mod finding;
mod forget;
mod fulldisk;
mod history;
mod images;
mod import;
mod keys;
mod layout;
mod moving;
mod names;
mod other_shells;
mod otlp;
mod people;
mod places;
mod powercut;
mod predecessor;
mod privacy;
mod recall;
mod removal;
mod replay;
mod retention;
mod search;
mod secrets;
mod server_faults;
mod shell;
mod spans;
mod sql;
mod talk;
mod tools;
mod transcripts;
mod upkeep;
