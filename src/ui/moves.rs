//! What came in, what went out, and what was removed.

use std::path::Path;

use anyhow::Result;
use comfy_table::{Cell, CellAlignment};
use serde_json::{Value, json};

use super::fit::{drawn, table};
use super::theme::Look;
use super::{Ui, draw, json, table};
use crate::conversation::counted;
use crate::export::Sent;
use crate::import::{Part, Report};
use crate::store::{Interaction, Moved};

/// How many files are named for a reason; an import may read thousands.
const NAMED: usize = 5;

impl Ui {
    /// Says how many rows were exported or imported.
    pub fn moved(&self, what: &str, moved: &Moved) -> Result<()> {
        if self.json {
            return self.print_json(&with_counts(json!({"type": what}), moved)?);
        }
        let known = match moved.known {
            0 => String::new(),
            1 => "; 1 row was there already".to_owned(),
            known => format!("; {} were there already", counted(known, "row")),
        };
        self.note(&format!(
            "{what}ed {}, {}, {}{known}",
            counted(moved.interactions, "interaction"),
            counted(moved.sessions, "session"),
            counted(moved.users, "user")
        ));
        Ok(())
    }

    /// Shows an export that is no JSON itself, as a part of an object.
    pub fn exported(&self, moved: &Moved, text: &str) -> Result<()> {
        let mut export = with_counts(json!({"type": "export"}), moved)?;
        export["text"] = json!(text);
        self.print_json(&export)
    }

    /// Says what was sent, and where to.
    pub fn sent(&self, url: &str, sent: &Sent) -> Result<()> {
        let (interactions, spans) = (sent.interactions, sent.spans);
        if self.json {
            return self.print_json(&json!(
                {"type": "export", "to": url, "interactions": interactions, "spans": spans}
            ));
        }
        self.note(&format!(
            "sent to {url}: {}, {}",
            counted(interactions, "interaction"),
            counted(spans, "span")
        ));
        Ok(())
    }

    /// Says that a person did not agree to something, so that nothing was changed.
    pub fn declined(&self, what: &str) -> Result<()> {
        if self.json {
            return self.print_json(&json!({"type": what, "declined": true}));
        }
        self.note("nothing was changed");
        Ok(())
    }

    /// Shows the first of the interactions that are to be removed, and how many more there are.
    pub fn doomed(&self, first: &[Interaction], count: usize) -> Result<()> {
        draw(&table::questions(first, self.look))?;
        match count - first.len() {
            0 => {}
            more => self.note(&format!("and {more} more")),
        }
        Ok(())
    }

    /// Says how much was forgotten, and where it is kept; or would be, and what comes first.
    pub fn forgotten(
        &self,
        count: usize,
        first: &[Interaction],
        backup: Option<&Path>,
        dry_run: bool,
    ) -> Result<()> {
        if self.json {
            let backup = backup.map(|path| path.display().to_string());
            let mut forgotten = json!(
                {"type": "forgotten", "count": count, "dry_run": dry_run, "backup": backup}
            );
            if dry_run {
                forgotten["first"] = json::questions(first);
            }
            return self.print_json(&forgotten);
        }
        if !first.is_empty() {
            self.doomed(first, count)?;
        }
        let message = match (count, dry_run) {
            (0, _) => "there is nothing to remove".to_owned(),
            (_, true) => "nothing was removed: this was a dry run".to_owned(),
            (count, false) => format!("{count} removed for good"),
        };
        self.note(&message);
        if let Some(backup) = backup {
            self.note(&format!("an export is in {}", backup.display()));
        }
        Ok(())
    }

    /// Says how many passages have got vectors.
    pub fn reindexed(&self, made: usize) -> Result<()> {
        if self.json {
            return self.print_json(&json!({"type": "reindex", "embedded": made}));
        }
        self.note(&match made {
            0 => "nothing is missing".to_owned(),
            made => format!("{} embedded", counted(made, "passage")),
        });
        Ok(())
    }

    /// Shows what an import found in each part of its source, and what became of it.
    pub fn imported(&self, source: &str, report: &Report, dry_run: bool) -> Result<()> {
        if self.json {
            return self.print_json(&json!(
                {"type": "import", "source": source, "dry_run": dry_run, "parts": report.parts, "redacted": report.redacted}
            ));
        }
        if report.parts.is_empty() {
            self.note("there is nothing to bring in");
            return Ok(());
        }
        draw(&parts(&report.parts, dry_run, self.look))?;
        for part in &report.parts {
            for (why, count) in &part.total.skipped {
                let files = files(part, why);
                self.note(&format!("{}: {count} passed over: {why}{files}", part.name));
            }
            for (place, why) in &part.named {
                self.warn(&format!("{}: cannot read {place}: {why}", part.name));
            }
            if part.total.broken > part.named.len() {
                let more = part.total.broken - part.named.len();
                self.warn(&format!("{}: {more} more cannot be read", part.name));
            }
        }
        if report.redacted > 0 {
            let secrets = counted(report.redacted, "secret");
            self.note(&format!("{secrets} left out of what is stored"));
        }
        if dry_run {
            self.note("nothing was brought in: this was a dry run");
        }
        Ok(())
    }
}

/// Adds the numbers of rows to an object.
fn with_counts(mut object: Value, moved: &Moved) -> Result<Value> {
    if let (Value::Object(object), Value::Object(counts)) =
        (&mut object, serde_json::to_value(moved)?)
    {
        object.extend(counts);
    }
    Ok(object)
}

/// Draws what was found in the parts of a history that is brought in; what there is none of has no column, so that it fits a terminal.
fn parts(parts: &[Part], dry_run: bool, look: Look) -> String {
    type Count = fn(&Part) -> usize;
    let columns: [(&str, bool, Count); 8] = [
        ("found", true, |part| part.total.found),
        (
            if dry_run { "to import" } else { "imported" },
            true,
            |part| part.total.imported,
        ),
        ("grown", false, |part| part.total.updated),
        ("known", false, |part| part.total.known),
        ("skipped", false, |part| part.total.skipped.values().sum()),
        ("broken", false, |part| part.total.broken),
        ("messages", true, |part| part.total.messages),
        ("left out", false, |part| part.total.missing()),
    ];
    let shown = columns.into_iter();
    let shown =
        shown.filter(|(_, always, count)| *always || parts.iter().any(|part| count(part) > 0));
    let (headings, counts): (Vec<&str>, Vec<Count>) =
        shown.map(|(heading, _, count)| (heading, count)).unzip();
    let headings: Vec<&str> = std::iter::once("source").chain(headings).collect();
    let mut rows = table(&headings, look);
    for part in parts {
        let count = |count: &Count| Cell::new(count(part)).set_alignment(CellAlignment::Right);
        let cells = std::iter::once(Cell::new(part.name)).chain(counts.iter().map(count));
        rows.add_row(cells);
    }
    drawn(&rows, look)
}

/// Returns in which files messages of the user were left out for some reason, and how many.
fn files(part: &Part, why: &str) -> String {
    let left_out = part.files.iter().filter_map(|file| {
        let count = file.counts.left_out.get(why)?;
        Some(format!(
            "{count} of {} in {}",
            counted(file.counts.messages, "message"),
            file.file
        ))
    });
    let mut files: Vec<String> = left_out.collect();
    if files.len() > NAMED {
        let more = files.split_off(NAMED).len();
        let more = counted(more, "more file");
        files.push(format!("{more} (`--json` names them)"));
    }
    match files.is_empty() {
        true => String::new(),
        false => format!(" ({})", files.join(", ")),
    }
}
