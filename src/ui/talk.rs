//! What is said to a person beside answers, on stderr.

use std::sync::Arc;

use super::theme::{self, visible};
use super::{Ui, report, say};
use crate::store::Notice;

/// Says how much is said beside answers, warnings and errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Talk {
    Quiet,
    #[default]
    Usual,
    Verbose,
}

impl Ui {
    /// Says more than usual, or less.
    #[must_use]
    pub fn with_talk(self, talk: Talk) -> Ui {
        Ui { talk, ..self }
    }

    /// Says something to the person, on stderr, unless they want it quiet.
    pub fn note(&self, text: &str) {
        if self.talk != Talk::Quiet {
            self.tell(text);
        }
    }

    /// Says what the person has asked for, on stderr: it is no data.
    pub fn tell(&self, text: &str) {
        let text = visible(text);
        let text = theme::dim(&theme::folded(&text), self.color_err);
        say(&format!("{text}\n"));
    }

    /// Says what only those want to know who ask for it.
    pub fn detail(&self, text: &str) {
        if self.talk == Talk::Verbose {
            self.tell(text);
        }
    }

    /// Returns what says something to the person from elsewhere, as [`Ui::note`] does.
    pub fn notice(&self) -> Notice {
        let ui = self.clone();
        Arc::new(move |text| ui.note(text))
    }

    /// Warns the person, on stderr.
    pub fn warn(&self, text: &str) {
        let warning = theme::strong("warning:", self.color_err);
        let text = format!("{warning} {}", visible(text));
        say(&format!("{}\n", theme::folded(&text)));
    }

    /// Warns the person of something that went wrong and is no failure of the command.
    pub fn caution(&self, error: &anyhow::Error) {
        self.warn(&report::brief(error));
    }

    /// Says what went wrong without stopping a command.
    pub fn notices(&self, notices: &[anyhow::Error]) {
        for notice in notices {
            self.caution(notice);
        }
    }
}
