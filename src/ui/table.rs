//! Tables that fit the terminal.

use anyhow::Result;
use comfy_table::{Attribute, Cell, CellAlignment};
use serde_json::Value;

use super::fit::{self, drawn, table};
use super::json::Names;
use super::list::{List, said};
use super::report::{milliseconds, moment, time};
use super::theme::{Look, bytes, one_line};
use crate::chat::{Chat, Quotes};
use crate::conversation::{self, short_id};
use crate::store::{CycleHit, Fact, Group, Interaction, Rows, Stats, User};
use crate::tools::Cover;

/// Cuts a text to one line of at most `longest` characters.
pub fn cut(text: &str, longest: usize) -> String {
    conversation::cut(&one_line(text), longest)
}

pub fn name(interaction: &Interaction, names: &Names) -> String {
    names
        .get(&interaction.user_id)
        .map(|name| one_line(name))
        .unwrap_or_default()
}

/// Draws ReAct cycles below so many rows: when, of which interaction, how like, how many steps.
pub fn cycles(cycles: &[CycleHit], rows: usize, look: Look) -> String {
    let mut list = List::after(rows, &["when", "id", "like", "steps", "outcome"], look);
    for cycle in cycles {
        list.row([
            Cell::new(moment(cycle.timestamp, look.zone)).add_attribute(Attribute::Dim),
            Cell::new(short_id(&cycle.interaction_id)),
            Cell::new(format!("{:.2}", cycle.similarity)).set_alignment(CellAlignment::Right),
            Cell::new(cycle.steps).set_alignment(CellAlignment::Right),
            Cell::new(if cycle.success { "ok" } else { "with errors" }),
        ]);
    }
    list.drawn()
}

/// Draws what is recalled.
pub fn recalled(
    interactions: &[Interaction],
    quotes: &Quotes,
    names: &Names,
    look: Look,
) -> String {
    let quoted: Vec<Interaction> = quotes.of(interactions).cloned().collect();
    // They are no list to choose from.
    let look = Look {
        numbered: false,
        ..look
    };
    self::interactions(&quoted, names, look)
}

/// Draws facts.
pub fn facts(facts: &[Fact], look: Look) -> String {
    let mut list = List::new(&["when", "id", "fact"], look);
    for fact in facts {
        list.row([
            Cell::new(moment(fact.timestamp, look.zone)).add_attribute(Attribute::Dim),
            Cell::new(short_id(&fact.interaction_id)),
            Cell::new(cut(&fact.text, 3 * look.width())),
        ]);
    }
    list.drawn()
}

/// Draws what turns add up to; days with a bar each.
pub fn groups(by: &str, groups: &[Group], look: Look) -> String {
    const BAR: usize = 24;
    let of_tool = by == "tool";
    let mut headings = vec![by, if of_tool { "calls" } else { "turns" }, "failed"];
    if !of_tool {
        headings.extend(["tokens in", "out"]);
    }
    headings.extend(["p50", "p95", ""]);
    let mut table = table(&headings, look);
    let most = groups.iter().map(|group| group.count).max().unwrap_or(1);
    for group in groups {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let key = if by == "session" {
            short_id(&group.key).to_owned()
        } else {
            cut(&group.key, look.width() / 3)
        };
        let mut row = vec![
            Cell::new(key),
            right(group.count.to_string()),
            right(group.failed.to_string()),
        ];
        if !of_tool {
            let count = |tokens: Option<u64>| right(tokens.unwrap_or_default().to_string());
            row.extend([
                count(group.usage.input_tokens),
                count(group.usage.output_tokens),
            ]);
        }
        let bar = (group.count * BAR).div_ceil(most.max(1));
        row.extend([
            right(milliseconds(group.p50_ms)),
            right(milliseconds(group.p95_ms)),
            Cell::new(if by == "day" {
                "▇".repeat(bar)
            } else {
                String::new()
            }),
        ]);
        table.add_row(row);
    }
    drawn(&table, look)
}

/// Draws users.
pub fn users(users: &[User], look: Look) -> String {
    let mut table = table(&["user", "role", "since"], look);
    for user in users {
        table.add_row([
            Cell::new(one_line(&user.username)),
            Cell::new(user.role()),
            Cell::new(moment(user.created_at, look.zone)).add_attribute(Attribute::Dim),
        ]);
    }
    drawn(&table, look)
}

/// Draws the rows of a query, moments in the person's zone.
pub fn rows(rows: &Rows, look: Look) -> String {
    // A heading may be any text that the query has.
    let headings = rows.columns.iter().map(|name| cut(name, look.width()));
    let headings: Vec<String> = headings.collect();
    let columns: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = table(&columns, look);
    for row in &rows.rows {
        let moments = rows.moments.iter().copied().chain(std::iter::repeat(false));
        table.add_row(row.iter().zip(moments).map(|(value, is_moment)| {
            let shown = text(value);
            let moment = is_moment.then(|| shown.parse().ok()).flatten();
            let shown = moment.map_or(shown, |moment| look.zone.shown(moment));
            let cell = Cell::new(cut(&shown, 3 * look.width()));
            match value {
                Value::Number(_) => cell.set_alignment(CellAlignment::Right),
                _ => cell,
            }
        }));
    }
    fit::rows(&table, look)
}

/// Writes rows as comma-separated values.
pub fn csv(rows: &Rows) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&rows.columns)?;
    for row in &rows.rows {
        writer.write_record(row.iter().map(text))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Draws the tools.
pub fn tools(chat: &Chat, look: Look) -> String {
    let mut table = table(&["tool", "", "", "what it does"], look);
    for (tool, on) in chat.settings.tools.list() {
        let spec = tool.spec();
        let approved = chat.approved(&spec.name);
        let asks = match (tool.mutates(), approved.contains(&Cover::Tool)) {
            (false, _) => String::new(),
            (true, true) => "approved".to_owned(),
            (true, false) if approved.is_empty() => "asks first".to_owned(),
            (true, false) => {
                let approved = approved.iter().map(|cover| cut(&cover.to_string(), 60));
                let approved: Vec<String> = approved.collect();
                format!("asks first, but for {}", approved.join(", "))
            }
        };
        table.add_row([
            Cell::new(one_line(&spec.name)),
            Cell::new(if on { "on" } else { "off" }),
            Cell::new(asks),
            Cell::new(one_line(&spec.description)),
        ]);
    }
    drawn(&table, look)
}

/// Draws interactions in order of time.
pub fn interactions(interactions: &[Interaction], names: &Names, look: Look) -> String {
    let headings = ["when", "user", "id", "status", "question and answer"];
    let mut list = List::new(&headings, look);
    for interaction in interactions {
        list.row([
            Cell::new(time(interaction, look.zone)).add_attribute(Attribute::Dim),
            Cell::new(name(interaction, names)),
            Cell::new(short_id(&interaction.interaction_id)),
            Cell::new(interaction.status.as_str()),
            Cell::new(said(interaction, 2 * look.width())),
        ]);
    }
    list.drawn()
}

/// Draws what was asked when, and in which conversation.
pub fn questions(interactions: &[Interaction], look: Look) -> String {
    let mut table = table(&["when", "session", "id", "question"], look);
    for interaction in interactions {
        table.add_row([
            Cell::new(time(interaction, look.zone)).add_attribute(Attribute::Dim),
            Cell::new(short_id(&interaction.session_id)),
            Cell::new(short_id(&interaction.interaction_id)),
            Cell::new(cut(&interaction.query, 2 * look.width())),
        ]);
    }
    drawn(&table, look)
}

/// Draws what the store is made of.
pub fn stats(stats: &Stats, look: Look) -> String {
    let mut table = table(
        &[
            "table",
            "rows",
            "on disk",
            "fragments",
            "versions",
            "not indexed",
        ],
        look,
    );
    for row in &stats.tables {
        let number = |number: usize| Cell::new(number).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(row.name),
            number(row.rows),
            Cell::new(bytes(row.bytes)).set_alignment(CellAlignment::Right),
            number(row.fragments),
            number(row.versions),
            number(row.unindexed_rows),
        ]);
    }
    let count = |tokens: Option<u64>| tokens.unwrap_or_default();
    let reasons = stats.finish_reasons.iter();
    let reasons: Vec<String> = reasons
        .map(|(reason, count)| format!("{count} {}", one_line(reason)))
        .collect();
    let finished = match reasons.is_empty() {
        true => String::new(),
        false => format!("\n ended with    {}", reasons.join(", ")),
    };
    format!(
        "{}\n\n turns         {}, with {} tokens in, {} out{finished}\n on disk       {}\n embeddings    {}, {} dimensions",
        drawn(&table, look),
        stats.turns,
        count(stats.usage.input_tokens),
        count(stats.usage.output_tokens),
        bytes(stats.disk_bytes),
        one_line(&stats.model),
        stats.dimension,
    )
}
