//! Shows sessions: a list of them, the turns of one, where it was left.

use std::collections::HashMap;

use anyhow::Result;
use comfy_table::{Attribute, Cell, CellAlignment};
use unicode_width::UnicodeWidthStr;

use super::hits::passage;
use super::list::List;
use super::report::moment;
use super::theme::{Look, clipped, dim, one_line, short_name, strong, visible};
use super::{Names, Talk, Ui, draw, json, say, table};
use crate::chat::Resumed;
use crate::conversation::{counted, short_id};
use crate::store::{Hit, Interaction, Session, SessionSummary, Terms};

/// Holds what sessions have of what was looked for; nothing, where nothing was.
#[derive(Default)]
pub struct Matches {
    pub terms: Terms,
    /// The best hit of a session, by its id.
    pub hits: HashMap<String, Hit>,
    /// How like it each of them is.
    pub scores: HashMap<String, f32>,
}

impl Ui {
    /// Shows sessions, what they have of what was looked for, and how many more there are.
    pub fn sessions(
        &self,
        sessions: &[SessionSummary],
        matches: &Matches,
        more: usize,
    ) -> Result<()> {
        if self.json {
            return self.print_json(&json::sessions(sessions, matches, more));
        }
        if sessions.is_empty() {
            self.note("there is no such session");
            return Ok(());
        }
        draw(&list(sessions, matches, self.look))?;
        if more > 0 && !matches.scores.is_empty() {
            self.note(&format!(
                "{more} that are less like it are not shown; raise --limit"
            ));
            return Ok(());
        }
        self.more(more);
        Ok(())
    }

    /// Says that a conversation goes on, and where it was left.
    pub fn resumed(
        &self,
        session_id: &str,
        title: &str,
        resumed: &Resumed,
        names: &Names,
    ) -> Result<()> {
        if self.json {
            return self.print_json(&json::resumed(session_id, title, resumed, names));
        }
        self.goes_on(title, resumed.turns, resumed.last.as_ref());
        Ok(())
    }

    /// Tells the person after how many turns a conversation goes on, and the last of them, if they are to see it.
    pub fn goes_on(&self, title: &str, turns: usize, last: Option<&Interaction>) {
        let turns = counted(turns, "turn");
        let title = one_line(title);
        self.note(&format!("going on after {turns}: {title}"));
        let is_wanted = !self.json && self.talk != Talk::Quiet;
        let Some(last) = last.filter(|_| is_wanted) else {
            return;
        };
        let asked = format!("› {}", beginning(&last.query, 3, self.look.width()));
        let asked = strong(&asked, self.color_err);
        let answer = beginning(&last.response, 12, self.look.width());
        say(&format!("{asked}\n{answer}\n"));
        self.footer(last, None);
    }

    /// Shows a session: what it is, and its turns.
    pub fn session(&self, session: &Session, turns: &[Interaction], names: &Names) -> Result<()> {
        if self.json {
            return self.print_json(&json::session(session, turns, names));
        }
        let mut text = about(session, turns.len(), self.look);
        if !turns.is_empty() {
            let turns = table::interactions(turns, names, self.look);
            text.push_str(&format!("\n{turns}"));
        }
        draw(&text)
    }
}

/// Draws sessions.
fn list(sessions: &[SessionSummary], matches: &Matches, look: Look) -> String {
    let headings = ["last active", "id", "turns", "tokens", "model", "title"];
    let mut list = List::new(&headings, look);
    for summary in sessions {
        let session = &summary.session;
        let usage = &summary.usage;
        let tokens =
            usage.input_tokens.unwrap_or_default() + usage.output_tokens.unwrap_or_default();
        let title = session.title.as_deref().unwrap_or_default();
        let marks = matches.terms.marks(title);
        let mut text = passage(title, &marks, look.width(), look.color);
        let hit = matches.hits.get(&session.session_id);
        if let Some(matched) = hit.and_then(|hit| hit.matched.as_ref()) {
            let said = passage(&matched.text, &matched.marks, look.width(), look.color);
            // The title is the first question, unless it came from elsewhere.
            if said != text {
                text.push_str(&format!("\n→ {said}"));
            }
        }
        list.row([
            Cell::new(moment(session.last_active, look.zone)).add_attribute(Attribute::Dim),
            Cell::new(short_id(&session.session_id)),
            Cell::new(summary.turns).set_alignment(CellAlignment::Right),
            Cell::new(tokens).set_alignment(CellAlignment::Right),
            Cell::new(short_name(&session.model)),
            Cell::new(text),
        ]);
    }
    list.drawn()
}

/// Returns what a session is, as lines above its turns.
fn about(session: &Session, turns: usize, look: Look) -> String {
    let mut text = String::new();
    let model = format!("{} {}", session.provider, session.model);
    for (name, value) in [
        ("session", session.session_id.as_str()),
        ("title", session.title.as_deref().unwrap_or_default()),
        ("begun", &look.zone.shown(session.created_at)),
        ("answered by", model.trim()),
        ("turns", &turns.to_string()),
    ] {
        let name = dim(&format!("{name:<12}"), look.color);
        text.push_str(&format!("{name} {}\n", one_line(value)));
    }
    text
}

/// Returns the beginning of a text, of at most so many lines on a screen of this width.
fn beginning(text: &str, lines: usize, width: usize) -> String {
    let text = visible(text.trim());
    let mut left = lines;
    let mut shown: Vec<String> = Vec::new();
    for line in text.lines() {
        if left == 0 {
            shown.push("…".to_owned());
            break;
        }
        let takes = line.width().div_ceil(width.max(1)).max(1);
        shown.push(match takes > left {
            true => clipped(line, left * width).into_owned(),
            false => line.to_owned(),
        });
        left = left.saturating_sub(takes);
    }
    shown.join("\n")
}
