//! Lists whose rows a person can name by their numbers in a chat.

use comfy_table::{Attribute, Cell, CellAlignment};

use super::fit::{drawn, table};
use super::report::time;
use super::table::cut;
use super::theme::Look;
use crate::conversation::short_id;
use crate::store::Interaction;

/// Draws a list.
pub struct List {
    table: comfy_table::Table,
    look: Look,
    rows: usize,
}

impl List {
    /// Begins a list whose first row has the number after `rows`.
    pub fn after(rows: usize, headings: &[&str], look: Look) -> List {
        let mark = look.numbered.then_some("#");
        let headings: Vec<&str> = mark.iter().chain(headings).copied().collect();
        List {
            table: table(&headings, look),
            look,
            rows,
        }
    }

    /// Begins a list.
    pub fn new(headings: &[&str], look: Look) -> List {
        List::after(0, headings, look)
    }

    /// Adds a row, which gets the next number.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows += 1;
        self.add(&self.rows.to_string(), cells);
    }

    /// Adds a row that belongs to the one before or after it.
    pub fn beside<const N: usize>(&mut self, cells: [Cell; N]) {
        self.add("", cells.map(|cell| cell.add_attribute(Attribute::Dim)));
    }

    fn add<const N: usize>(&mut self, number: &str, cells: [Cell; N]) {
        let number = Cell::new(number).set_alignment(CellAlignment::Right);
        let number = Some(number).filter(|_| self.look.numbered);
        self.table.add_row(number.into_iter().chain(cells));
    }

    pub fn drawn(&self) -> String {
        drawn(&self.table, self.look)
    }
}

/// Returns the cells of a turn that stands before or after a hit.
pub fn beside(turn: &Interaction, look: Look) -> [Cell; 5] {
    [
        Cell::new(time(turn, look.zone)),
        Cell::new(""),
        Cell::new(short_id(&turn.interaction_id)),
        Cell::new(""),
        Cell::new(said(turn, look.width())),
    ]
}

/// Returns what was asked and what was answered, a line each of so many characters.
pub fn said(turn: &Interaction, longest: usize) -> String {
    let (asked, answered) = (cut(&turn.query, longest), cut(&turn.response, longest));
    let said = format!("{asked}\n→ {answered}");
    said.trim_end_matches("\n→ ").to_owned()
}
