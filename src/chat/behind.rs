//! What is done behind the prompt: storing turns, drawing facts from them, upkeep; and leaving, which waits for it.

use std::time::Duration;

use super::Chat;
use crate::store::Turn;

/// How long leaving may wait for upkeep of the tables, and a turn for these when the journal could not take it.
const PATIENCE: Duration = Duration::from_secs(2);

impl Chat {
    /// Makes a turn that has ended durable; the tables get it in the background.
    pub(super) async fn keep(&mut self, turn: &mut Turn) {
        let (Some(journal), false) = (self.live.journal.clone(), self.is_private()) else {
            return;
        };
        let (cleaned, journaled) = self.memory.store.end(&journal, turn);
        turn.redacted = cleaned.redacted;
        let (durable, backlog) = (journaled.is_ok(), &self.memory.backlog);
        backlog.push(cleaned, journal, journaled);
        if !durable {
            drop(tokio::time::timeout(PATIENCE, backlog.rows()).await);
        }
        self.maintain();
    }

    /// Keeps the tables quick, once the turns so far are in them.
    fn maintain(&mut self) {
        let running = self.maintenance.as_ref();
        if running.is_some_and(|running| !running.is_finished()) {
            return;
        }
        let (backlog, store) = (self.memory.backlog.clone(), self.memory.store.quiet());
        self.maintenance = Some(tokio::spawn(async move {
            backlog.done().await;
            if store.is_maintenance_due().await {
                // Upkeep that meets another writer fails and costs nothing: the next round does it.
                drop(store.maintain().await);
            }
        }));
    }

    /// Returns what tells for what leaving waits, if that is worth to be told.
    pub fn waits_for(&self) -> impl Fn() -> Option<&'static str> + use<> {
        let (backlog, store) = (self.memory.backlog.clone(), self.memory.store.clone());
        let learning = !self.learning.is_empty();
        move || {
            if backlog.is_busy() {
                Some(
                    "storing what was said last; Ctrl-C leaves at once, and the next start stores it",
                )
            } else if learning {
                Some("drawing the facts from the last answer; Ctrl-C leaves at once")
            } else if store.catches_up() {
                Some("tidying up the tables, which was cut short before; Ctrl-C leaves at once")
            } else {
                None
            }
        }
    }

    /// Ends the conversation: waits until all is stored, for the facts of the last answers, and a moment for upkeep that is under
    /// way; what is cut short is done to its end the next time. Returns what the person should know.
    pub async fn close(&mut self) -> Option<String> {
        self.memory.backlog.done().await;
        let mut notice = None;
        while let Some(learned) = self.learning.join_next().await {
            notice = notice.or(self.complaint(learned));
        }
        if let Some(mut maintenance) = self.maintenance.take() {
            let ended = tokio::time::timeout(PATIENCE, &mut maintenance).await;
            if ended.is_err() && self.memory.store.catches_up() {
                drop(maintenance.await);
            }
        }
        notice
    }
}
