//! A table for spreadsheets (RFC 4180), a row for each turn.

use anyhow::{Context, Result};
use chrono::SecondsFormat;

use super::Writer;
use crate::conversation::Step;
use crate::store::{Interaction, Session};

const HEADINGS: [&str; 16] = [
    "interaction_id",
    "session_id",
    "session_title",
    "user",
    "timestamp",
    "query",
    "response",
    "status",
    "provider",
    "model",
    "input_tokens",
    "output_tokens",
    "duration_ms",
    "steps",
    "tools",
    "facts",
];

/// Writes rows.
#[derive(Default)]
pub struct Csv {
    title: String,
    user: String,
}

impl Writer for Csv {
    fn begin(&mut self) -> Result<String> {
        row(HEADINGS.map(str::to_owned))
    }

    fn session(&mut self, session: &Session, user: &str) -> Result<String> {
        self.title = session.title.clone().unwrap_or_default();
        user.clone_into(&mut self.user);
        Ok(String::new())
    }

    fn turn(&mut self, turn: &Interaction, steps: &[Step], _requests: &[String]) -> Result<String> {
        let usage = turn.usage().unwrap_or_default();
        let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let actions = steps.iter().filter_map(|step| step.action.as_ref());
        let mut tools: Vec<&str> = actions.map(|action| action.name.as_str()).collect();
        tools.dedup();
        row([
            turn.interaction_id.clone(),
            turn.session_id.clone(),
            harmless(&self.title),
            harmless(&self.user),
            turn.timestamp.to_rfc3339_opts(SecondsFormat::Micros, true),
            harmless(&turn.query),
            harmless(&turn.response),
            turn.status.as_str().to_owned(),
            harmless(&turn.provider),
            harmless(&turn.model),
            number(usage.input_tokens),
            number(usage.output_tokens),
            turn.duration_ms.to_string(),
            steps.len().to_string(),
            harmless(&tools.join(" ")),
            harmless(&turn.facts_extracted.join("\n")),
        ])
    }
}

/// Returns a text that no spreadsheet takes for a formula: what a model says could fetch and send something there.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn row(cells: [String; HEADINGS.len()]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    let bytes = writer.into_inner().context("memory can be written to")?;
    Ok(String::from_utf8(bytes)?)
}
