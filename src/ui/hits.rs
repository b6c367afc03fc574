//! Search results: when, which, how good, the question, and the passage that matched, from near the match on and with it marked.

use std::ops::Range;

use comfy_table::{Attribute, Cell, CellAlignment};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::fit::{drawn, table};
use super::json::Names;
use super::list::{List, beside, said};
use super::report::time;
use super::table::name;
use super::theme::{Look, dim, strong, visible};
use crate::conversation::short_id;
use crate::store::{Around, Hit, Interaction};

/// How wide everything is that stands before the texts in a table.
const BEFORE: usize = 46;
/// And how wide a number.
const NUMBER: usize = 4;
/// How far blocks are moved to the right.
const INDENT: u16 = 2;
/// Where texts would get less room than this beside it, they get lines of their own.
const NARROW: usize = 36;
/// How many lines of a question and of a passage are shown, about.
const QUESTION: usize = 2;
const PASSAGE: usize = 4;

/// Draws search results with the turns around them, if there are any: as a table, or as blocks where that would be too narrow.
pub fn hits(hits: &[Hit], around: &[Around], explain: bool, names: &Names, look: Look) -> String {
    let number = if look.numbered { NUMBER } else { 0 };
    let room = look.width().saturating_sub(BEFORE + number);
    if room < NARROW {
        return blocks(hits, around, explain, names, look);
    }
    let headings = ["when", "user", "id", "score", "question, and what matched"];
    let mut list = List::new(&headings, look);
    for (at, hit) in hits.iter().enumerate() {
        let around = around.get(at);
        if at > 0 && around.is_some() {
            list.beside(["", "", "", "", ""].map(Cell::new));
        }
        for turn in around.iter().flat_map(|around| &around.before) {
            list.beside(beside(turn, look));
        }
        list.row([
            Cell::new(time(&hit.interaction, look.zone)).add_attribute(Attribute::Dim),
            Cell::new(name(&hit.interaction, names)),
            Cell::new(short_id(&hit.interaction.interaction_id)),
            Cell::new(format!("{:.2}", hit.score)).set_alignment(CellAlignment::Right),
            Cell::new(told(hit, around.is_some(), explain, room, look.color)),
        ]);
        for turn in around.iter().flat_map(|around| &around.after) {
            list.beside(beside(turn, look));
        }
    }
    list.drawn()
}

/// Draws search results as blocks.
fn blocks(hits: &[Hit], around: &[Around], explain: bool, names: &Names, look: Look) -> String {
    let room = look.width().saturating_sub(INDENT.into());
    let turn = |turn: &Interaction| {
        let head = format!(
            "{} · {}",
            time(turn, look.zone),
            short_id(&turn.interaction_id)
        );
        dim(
            &format!("{head}\n{}", indented(said(turn, room), look)),
            look.color,
        )
    };
    let mut blocks: Vec<String> = Vec::new();
    for (at, hit) in hits.iter().enumerate() {
        let around = around.get(at);
        blocks.extend(around.iter().flat_map(|around| &around.before).map(turn));
        let mut facts = vec![time(&hit.interaction, look.zone)];
        facts.extend(Some(name(&hit.interaction, names)).filter(|name| !name.is_empty()));
        facts.push(short_id(&hit.interaction.interaction_id).to_owned());
        facts.push(format!("{:.2}", hit.score));
        let number = look.numbered.then(|| format!("{} · ", at + 1));
        let head = format!("{}{}", number.unwrap_or_default(), facts.join(" · "));
        let text = told(hit, around.is_some(), explain, room, look.color);
        blocks.push(format!(
            "{}\n{}",
            dim(&head, look.color),
            indented(text, look)
        ));
        blocks.extend(around.iter().flat_map(|around| &around.after).map(turn));
    }
    blocks.join("\n\n")
}

/// Breaks lines as a table does, a little to the right.
fn indented(text: String, look: Look) -> String {
    let mut lines = table(&[], look);
    lines.add_row([text]);
    if let Some(column) = lines.column_mut(0) {
        column.set_padding((INDENT, 0));
    }
    drawn(&lines, look)
}

/// Returns what its score is made of.
fn explained(hit: &Hit) -> Option<String> {
    let parts = hit.parts?;
    let mut own = Vec::new();
    let meaning = parts.meaning().map(|alike| match parts.question {
        Some(question) => format!("meaning {alike:.2} with the question's {question:.2}"),
        None => format!("meaning {alike:.2}"),
    });
    own.extend(meaning);
    own.extend(parts.share.map(|share| format!("words {share:.2}")));
    let mut text = format!("{:.2} by itself ({})", parts.own(), own.join(", "));
    if parts.conversation > parts.own() + 0.005 {
        text.push_str(&format!(
            ", {:.2} the best of its conversation",
            parts.conversation
        ));
    }
    if parts.is_timely {
        text.push_str(", from the time that is named");
    }
    Some(text)
}

/// Returns what a hit says, on lines that may each be broken at so many columns.
fn told(hit: &Hit, is_among: bool, explain: bool, columns: usize, color: bool) -> String {
    let question = || {
        let line = Line::new(&hit.interaction.query, &hit.marks);
        line.from(0, QUESTION * columns, color)
    };
    let answer = || {
        let line = Line::new(&hit.interaction.response, &[]);
        line.from(0, QUESTION * columns, color)
    };
    let mut text = if let Some(matched) = &hit.matched {
        let passage = passage(&matched.text, &matched.marks, PASSAGE * columns, color);
        match matched.source.as_str() {
            // Between other turns it is to be read as one of them.
            "query" if is_among => format!("{passage}\n→ {}", answer()),
            "query" => passage,
            "response" => format!("{}\n→ {passage}", question()),
            source => format!("{}\n→ {source}: {passage}", question()),
        }
    } else {
        format!("{}\n→ {}", question(), answer())
    };
    if hit.count > 1 {
        text.push_str(&format!("\n({} times the same)", hit.count));
    }
    if let Some(parts) = explained(hit).filter(|_| explain) {
        text.push_str(&format!("\n= {}", dim(&parts, color)));
    }
    text
}

/// Puts a text on one line that is cut to so many columns and begins near what is marked.
pub fn passage(text: &str, marks: &[Range<usize>], columns: usize, color: bool) -> String {
    let line = Line::new(text, marks);
    line.from(line.start(columns), columns, color)
}

/// Holds a text that was put on one line, and what of it is marked.
struct Line {
    text: String,
    marks: Vec<Range<usize>>,
    /// Where each character that a person sees begins: in bytes, and in columns. The end is one, too.
    places: Vec<(usize, usize)>,
}

impl Line {
    /// Puts a text on one line: blanks of any kind become one, and control characters visible.
    fn new(text: &str, marks: &[Range<usize>]) -> Line {
        let mut line = String::new();
        // Where what is no blank comes from, and where it goes.
        let mut moves: Vec<(usize, Range<usize>)> = Vec::new();
        let mut is_blank = false;
        for (at, c) in text.char_indices() {
            if c.is_whitespace() {
                is_blank = !line.is_empty();
                continue;
            }
            if std::mem::take(&mut is_blank) {
                line.push(' ');
            }
            let start = line.len();
            line.push_str(&visible(c.encode_utf8(&mut [0; 4])));
            moves.push((at, start..line.len()));
        }
        let marks = marks.iter().filter_map(|mark| {
            let first = moves.partition_point(|(at, _)| *at < mark.start);
            let after = moves.partition_point(|(at, _)| *at < mark.end);
            let last = moves.get(first..after)?.last()?;
            Some(moves[first].1.start..last.1.end)
        });
        let marks = marks.collect();
        let mut places = Vec::new();
        let mut columns = 0;
        for (at, grapheme) in line.grapheme_indices(true) {
            places.push((at, columns));
            columns += grapheme.width();
        }
        places.push((line.len(), columns));
        Line {
            text: line,
            marks,
            places,
        }
    }

    /// Returns which character that a person sees holds a byte.
    fn holding(&self, byte: usize) -> usize {
        self.places.partition_point(|(at, _)| *at <= byte) - 1
    }

    fn columns(&self, character: usize) -> usize {
        self.places[character].1
    }

    /// Returns whether a word may begin at a character.
    fn is_border(&self, character: usize) -> bool {
        self.text[..self.places[character].0].ends_with(' ')
    }

    /// Returns the character from which on so many columns show most of what is marked: a little before, at the beginning of a word.
    fn start(&self, longest: usize) -> usize {
        if self.columns(self.places.len() - 1) <= longest {
            return 0;
        }
        let places: Vec<usize> = self
            .marks
            .iter()
            .map(|mark| self.columns(self.holding(mark.start)))
            .collect();
        let mut best = (0, 0, 0);
        for (first, place) in places.iter().enumerate() {
            let count = places[first..].partition_point(|other| *other < place + longest / 2);
            let there = &self.marks[first..first + count];
            let mut words: Vec<String> = there
                .iter()
                .map(|mark| self.text[mark.clone()].to_lowercase())
                .collect();
            words.sort_unstable();
            words.dedup();
            if (words.len(), count) > (best.0, best.1) {
                best = (words.len(), count, *place);
            }
        }
        let (_, _, found) = best;
        let earliest = found.saturating_sub(longest / 8);
        let earliest = self
            .places
            .partition_point(|(_, columns)| *columns < earliest);
        let border = (earliest..self.places.len())
            .take_while(|at| self.columns(*at) <= found)
            .find(|at| *at == 0 || self.is_border(*at));
        border.unwrap_or(earliest)
    }

    /// Returns what stands from a character on, as far as so many columns go, with the marks where colour is on.
    fn from(&self, start: usize, longest: usize, color: bool) -> String {
        let last = self.places.len() - 1;
        let before = if start > 0 { "…" } else { "" };
        let limit = (self.columns(start) + longest).saturating_sub(before.width());
        let mut end = last;
        if self.columns(last) > limit {
            // An ellipsis follows.
            end = self.places.partition_point(|(_, columns)| *columns < limit);
            end = end.saturating_sub(1);
            let near = end.saturating_sub(longest / 8).max(start + 1);
            end = (near..=end)
                .rev()
                .find(|at| self.is_border(*at))
                .unwrap_or(end);
        }
        let mut shown = before.to_owned();
        let range = self.places[start].0..self.places[end.max(start)].0;
        let piece = self.text[range.clone()].trim_end();
        let is_marked = |grapheme: &(usize, &str)| {
            let at = range.start + grapheme.0;
            let mut marks = self.marks.iter();
            marks.any(|mark| mark.start < at + grapheme.1.len() && at < mark.end)
        };
        let graphemes: Vec<(usize, &str)> = piece.grapheme_indices(true).collect();
        for run in graphemes.chunk_by(|one, next| is_marked(one) == is_marked(next)) {
            let text: String = run.iter().map(|(_, grapheme)| *grapheme).collect();
            shown.push_str(&strong(&text, color && is_marked(&run[0])));
        }
        if end < last {
            shown.push('…');
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what is shown of a text in so many columns, with what is marked between brackets.
    #[track_caller]
    fn check(text: &str, longest: usize, expected: &str) {
        let mut marks = Vec::new();
        let mut plain = String::new();
        for (at, piece) in text.split(['[', ']']).enumerate() {
            let start = plain.len();
            plain.push_str(piece);
            marks.extend((at % 2 == 1).then_some(start..plain.len()));
        }
        let line = Line::new(&plain, &marks);
        let shown = line.from(line.start(longest), longest, true);
        let shown = shown.replace("\x1b[1m", "[").replace("\x1b[0m", "]");
        assert_eq!(shown, expected);
        let unmarked = line.from(line.start(longest), longest, false);
        assert_eq!(unmarked, expected.replace(['[', ']'], ""));
        assert!(unmarked.width() <= longest, "{unmarked}");
    }

    #[test]
    fn a_passage_is_shown_from_near_what_is_marked_most() {
        check("a [b] c", 20, "a [b] c");
        check("  a\r\n\t[b\n c]\u{9b}d  ", 20, "a [b c]<U+009B>d");
        check("[a\x1b]b", 20, "[a␛]b");
        check("e[e]\u{301}e", 20, "e[e\u{301}]e");
        let far = "word ".repeat(20);
        check(&format!("{far}[lock] {far}"), 24, "…[lock] word word word…");
        check(&format!("{far}[lock]"), 40, "…word [lock]");
        check(
            &format!("[lock] {far}[dead] [lock] {far}"),
            24,
            "…[dead] [lock] word word…",
        );
        check(
            &format!("{}[接続]{}", "東".repeat(40), "京".repeat(40)),
            24,
            "…東[接続]京京京京京京京京…",
        );
        check(&far, 12, "word word…");
        check("word", 1, "…");
    }
}
