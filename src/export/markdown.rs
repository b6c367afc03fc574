//! Transcripts in Markdown, a chapter for each conversation.

use std::fmt::Write;

use anyhow::Result;

use super::Writer;
use crate::conversation::{Status, Step, short_id};
use crate::store::{Interaction, Session};
use crate::timeframe::Zone;
use crate::tools::shorten;

/// How much of an observation is shown, in bytes: a transcript is for people, and some observations are whole files.
const LONGEST: usize = 4 << 10;

/// Writes transcripts, with times in a zone.
pub struct Markdown {
    zone: Zone,
    user: String,
    /// Whether something stands before.
    begun: bool,
}

impl Markdown {
    pub fn new(zone: Zone) -> Markdown {
        Markdown {
            zone,
            user: String::new(),
            begun: false,
        }
    }
}

impl Writer for Markdown {
    fn session(&mut self, session: &Session, user: &str) -> Result<String> {
        user.clone_into(&mut self.user);
        let title = session.title.as_deref().filter(|title| !title.is_empty());
        let mut text = String::new();
        if std::mem::replace(&mut self.begun, true) {
            text.push('\n');
        }
        writeln!(text, "# {}\n", line(title.unwrap_or("Conversation")))?;
        writeln!(text, "- session: `{}`", session.session_id)?;
        writeln!(text, "- user: {}", line(user))?;
        writeln!(text, "- begun: {}", self.zone.shown(session.created_at))?;
        let model = format!("{} {}", session.provider, session.model);
        if !model.trim().is_empty() {
            writeln!(text, "- answered by: {}", line(model.trim()))?;
        }
        if !session.system_prompt.trim().is_empty() {
            writeln!(text, "\n{}", fenced(session.system_prompt.trim(), "system"))?;
        }
        Ok(text)
    }

    fn turn(&mut self, turn: &Interaction, steps: &[Step], _requests: &[String]) -> Result<String> {
        let mut text = String::new();
        let (time, id) = (
            self.zone.shown(turn.timestamp),
            short_id(&turn.interaction_id),
        );
        writeln!(text, "\n## {time} · `{id}`\n")?;
        for asked in turn.query.trim().lines() {
            writeln!(text, "{}", format!("> {asked}").trim_end())?;
        }
        for (at, step) in steps.iter().enumerate() {
            write!(text, "\n{}. ", at + 1)?;
            if !step.thought.trim().is_empty() {
                writeln!(text, "{}", indented(step.thought.trim()))?;
            }
            let Some(action) = &step.action else { continue };
            if !step.thought.trim().is_empty() {
                write!(text, "\n   ")?;
            }
            let failed = if step.success { "" } else { ", failed" };
            let (name, arguments) = (line(&action.name), action.arguments.to_string());
            writeln!(text, "**{name}** {}{failed}", code(&arguments))?;
            if !step.observation.trim().is_empty() {
                let observed = shorten(step.observation.trim_end(), LONGEST);
                writeln!(text, "\n   {}", indented(&fenced(&observed, "")))?;
            }
        }
        if !turn.response.trim().is_empty() {
            writeln!(text, "\n{}", turn.response.trim())?;
        }
        if turn.status != Status::Completed {
            writeln!(text, "\n*{}*", turn.status.as_str())?;
        }
        Ok(text)
    }
}

/// Returns a text on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a text that belongs to the point of a list.
fn indented(text: &str) -> String {
    let mut lines = text.lines();
    let mut indented = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        indented.push('\n');
        if !line.is_empty() {
            indented.push_str("   ");
            indented.push_str(line);
        }
    }
    indented
}

/// Returns the longest run of backquotes in a text.
fn backquotes(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or_default()
}

fn fenced(text: &str, kind: &str) -> String {
    let fence = "`".repeat(backquotes(text).max(2) + 1);
    format!("{fence}{kind}\n{text}\n{fence}")
}

fn code(text: &str) -> String {
    let fence = "`".repeat(backquotes(text) + 1);
    let text = line(text);
    match backquotes(&text) {
        0 => format!("{fence}{text}{fence}"),
        _ => format!("{fence} {text} {fence}"),
    }
}
