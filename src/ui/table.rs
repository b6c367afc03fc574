//! Tables that fit the terminal.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

use super::json::Names;
use super::report::{short, time};
use super::theme::one_line;
use crate::store::{Hit, Interaction, SessionSummary, Stats};

fn table(headings: &[&str], width: usize, color: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(
        headings
            .iter()
            .map(|heading| Cell::new(heading).add_attribute(Attribute::Dim)),
    );
    table
}

fn drawn(table: &Table) -> String {
    table
        .to_string()
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Cuts a text to one line of at most `longest` characters.
fn cut(text: &str, longest: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

fn name(interaction: &Interaction, names: &Names) -> String {
    names
        .get(&interaction.user_id)
        .map(|name| one_line(name))
        .unwrap_or_default()
}

/// Draws search results: when, which, how like it, the question, and the passage that matched.
pub fn hits(hits: &[Hit], names: &Names, width: usize, color: bool) -> String {
    let mut table = table(
        &["when", "user", "id", "like", "question, and what matched"],
        width,
        color,
    );
    for hit in hits {
        let similarity = hit
            .similarity
            .map_or_else(String::new, |similarity| format!("{similarity:.2}"));
        let query = cut(&hit.interaction.query, 2 * width);
        let text = match &hit.matched {
            Some(matched) if matched.source == "query" => query,
            Some(matched) => format!("{query}\n→ {}", cut(&matched.text, 3 * width)),
            None => format!("{query}\n→ {}", cut(&hit.interaction.response, 2 * width)),
        };
        table.add_row([
            Cell::new(time(&hit.interaction)).add_attribute(Attribute::Dim),
            Cell::new(name(&hit.interaction, names)),
            Cell::new(short(&hit.interaction.interaction_id)),
            Cell::new(similarity).set_alignment(CellAlignment::Right),
            Cell::new(text),
        ]);
    }
    drawn(&table)
}

/// Draws interactions in order of time.
pub fn interactions(
    interactions: &[Interaction],
    names: &Names,
    width: usize,
    color: bool,
) -> String {
    let mut table = table(
        &["when", "user", "id", "status", "question and answer"],
        width,
        color,
    );
    for interaction in interactions {
        let text = format!(
            "{}\n→ {}",
            cut(&interaction.query, 2 * width),
            cut(&interaction.response, 2 * width)
        );
        table.add_row([
            Cell::new(time(interaction)).add_attribute(Attribute::Dim),
            Cell::new(name(interaction, names)),
            Cell::new(short(&interaction.interaction_id)),
            Cell::new(interaction.status.as_str()),
            Cell::new(text.trim_end_matches("\n→ ")),
        ]);
    }
    drawn(&table)
}

/// Draws sessions.
pub fn sessions(sessions: &[SessionSummary], width: usize, color: bool) -> String {
    let mut table = table(
        &["last active", "id", "turns", "model", "title"],
        width,
        color,
    );
    for summary in sessions {
        let session = &summary.session;
        let last_active = session
            .last_active
            .with_timezone(&chrono::Local)
            .format("%Y-%m-%d %H:%M")
            .to_string();
        table.add_row([
            Cell::new(last_active).add_attribute(Attribute::Dim),
            Cell::new(short(&session.session_id)),
            Cell::new(summary.turns).set_alignment(CellAlignment::Right),
            Cell::new(one_line(&session.model)),
            Cell::new(cut(session.title.as_deref().unwrap_or_default(), width)),
        ]);
    }
    drawn(&table)
}

/// Draws what the store is made of.
pub fn stats(stats: &Stats, width: usize, color: bool) -> String {
    let mut table = table(
        &[
            "table",
            "rows",
            "on disk",
            "fragments",
            "versions",
            "not indexed",
        ],
        width,
        color,
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
    format!(
        "{}\n\n turns         {}, with {} tokens in and {} tokens out\n on disk       {}\n embeddings    {}, {} dimensions",
        drawn(&table),
        stats.turns,
        count(stats.usage.input_tokens),
        count(stats.usage.output_tokens),
        bytes(stats.disk_bytes),
        one_line(&stats.model),
        stats.dimension,
    )
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
