//! Tables that fit the terminal: where their columns do not, a row is a block.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Row, Table, presets};

use super::theme::Look;

/// What comes around the content of a cell.
const PADDING: usize = 2;
/// How narrow the column of text may get that comes last.
const NARROWEST: usize = 24 + PADDING;

/// Returns an empty table.
pub fn table(headings: &[&str], look: Look) -> Table {
    let mut table = empty(look);
    if !headings.is_empty() {
        let headings = headings.iter();
        table.set_header(headings.map(|heading| Cell::new(heading).add_attribute(Attribute::Dim)));
    }
    table
}

fn empty(look: Look) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(columns(look.width()));
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// Draws a table whose last column gives way, if anything does; where that is not enough, each row as a block: what is short on one
/// line, and the text below it.
pub fn drawn(table: &Table, look: Look) -> String {
    let mut table = table.clone();
    let mut needed = needed(&table);
    let last = needed.pop().unwrap_or_default();
    if needed.iter().sum::<usize>() + last.min(NARROWEST) <= look.width() {
        for (column, width) in table.column_iter_mut().zip(needed) {
            let width = comfy_table::Width::Fixed(columns(width));
            column.set_constraint(ColumnConstraint::Absolute(width));
        }
        return lines(&table);
    }
    let headings: Vec<String> = table.header().map(contents).unwrap_or_default();
    let is_text = last > NARROWEST;
    let mut blocks = empty(look);
    for row in table.row_iter() {
        let mut cells = contents(row);
        let text = cells.pop_if(|_| is_text).filter(|text| !text.is_empty());
        let named = cells
            .iter()
            .zip(&headings)
            .filter(|(cell, _)| !cell.is_empty());
        // A number by itself says nothing, but for that of the row.
        let named = named.map(|(cell, heading)| {
            let is_number = cell.starts_with(|c: char| c.is_ascii_digit()) && cell.len() < 8;
            match is_number && heading != "#" {
                true => format!("{heading} {cell}").trim().to_owned(),
                false => cell.clone(),
            }
        });
        let named = named.collect::<Vec<_>>().join(" · ");
        if blocks.row_count() > 0 {
            blocks.add_row([""]);
        }
        blocks.add_row([Cell::new(named).add_attribute(Attribute::Dim)]);
        blocks.add_rows(text.map(|text| [text]));
    }
    lines(&blocks)
}

/// Draws the rows of a query: where they do not fit on a line each, a block of one column a line, as psql does by `\x`.
pub fn rows(table: &Table, look: Look) -> String {
    if needed(table).iter().sum::<usize>() <= look.width() {
        return lines(table);
    }
    let headings: Vec<String> = table.header().map(contents).unwrap_or_default();
    let mut blocks = empty(look);
    for (at, row) in table.row_iter().enumerate() {
        if at > 0 {
            blocks.add_row([""]);
        }
        let heading = format!("row {}", at + 1);
        blocks.add_row([Cell::new(heading).add_attribute(Attribute::Dim)]);
        for (heading, cell) in headings.iter().zip(contents(row)) {
            blocks.add_row([format!("{heading}: {cell}").trim_end()]);
        }
    }
    lines(&blocks)
}

/// Returns how wide each column is with what comes around the content of a cell.
fn needed(table: &Table) -> Vec<usize> {
    let widths = table.column_max_content_widths().into_iter();
    widths.map(|width| usize::from(width) + PADDING).collect()
}

fn columns(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}

fn contents(row: &Row) -> Vec<String> {
    row.cell_iter().map(Cell::content).collect()
}

fn lines(table: &Table) -> String {
    let drawn = table.to_string();
    let lines: Vec<&str> = drawn.lines().map(str::trim_end).collect();
    lines.join("\n")
}
