//! Writes the history for others to read: transcripts for people, tables for spreadsheets, spans for tracing tools. What is written to
//! be brought back, whole, is written by the store itself.

mod csv;
mod markdown;
mod otel;

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use crate::conversation::Step;
use crate::store::{Filter, Interaction, Moved, Session, Store, Visit};
use crate::timeframe::Zone;

pub use otel::{Address, Protocol, Receiver, Sent, send};

/// Says in which form the history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Markdown,
    Csv,
    Otel,
}

/// Writes one form, piece by piece.
trait Writer: Send {
    /// Returns what stands before everything.
    fn begin(&mut self) -> Result<String> {
        Ok(String::new())
    }

    /// Returns what a conversation begins with.
    fn session(&mut self, session: &Session, user: &str) -> Result<String>;

    /// Returns a turn of the conversation that has begun.
    fn turn(&mut self, turn: &Interaction, steps: &[Step], requests: &[String]) -> Result<String>;

    /// Returns what is left to say.
    fn end(&mut self) -> Result<String> {
        Ok(String::new())
    }
}

/// Writes every turn that the filter lets through, and returns how much there was. Each piece ends with its line.
pub async fn write(
    store: &Store,
    filter: &Filter,
    form: Form,
    zone: Zone,
    write: &mut (dyn FnMut(&str) -> Result<()> + Send),
) -> Result<Moved> {
    let mut writer: Box<dyn Writer> = match form {
        Form::Markdown => Box::new(markdown::Markdown::new(zone)),
        Form::Csv => Box::new(csv::Csv::default()),
        Form::Otel => Box::new(otel::Lines::default()),
    };
    let mut moved = Moved::default();
    let mut users = HashSet::new();
    let mut put = |text: String| {
        if text.is_empty() {
            Ok(())
        } else {
            write(&text)
        }
    };
    put(writer.begin()?)?;
    let mut visit = |visit: Visit, user: &str| match visit {
        Visit::Session(session) => {
            moved.sessions += 1;
            users.insert(session.user_id.clone());
            put(writer.session(&session, user)?)
        }
        Visit::Turn(turn, steps, requests) => {
            moved.interactions += 1;
            put(writer.turn(&turn, &steps, &requests)?)
        }
    };
    walk(store, filter, form == Form::Otel, &mut visit).await?;
    put(writer.end()?)?;
    moved.users = users.len();
    Ok(moved)
}

/// Walks through the history, with the name of whose it is; with the requests of the turns, where these are wanted.
async fn walk(
    store: &Store,
    filter: &Filter,
    requests: bool,
    visit: &mut (dyn FnMut(Visit, &str) -> Result<()> + Send),
) -> Result<()> {
    let users = store.list_users().await?.into_iter();
    let users: HashMap<String, String> = users.map(|user| (user.user_id, user.username)).collect();
    let mut current = String::new();
    let mut named = |next: Visit| {
        if let Visit::Session(session) = &next {
            current = users.get(&session.user_id).cloned().unwrap_or_default();
        }
        visit(next, &current)
    };
    store.walk(filter, requests, &mut named).await
}
