//! Counts what an import found and what became of it, for each part of a source and for each file in it.
//!
//! Counting holds: what the user said in a file is in a turn, or is counted as left out with the reason why.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::Item;
use crate::store::Fate;

/// How many broken rows are named; there may be millions.
const NAMED: usize = 20;
/// Why turns that were removed for good are passed over.
const FORGOTTEN: &str = "forgotten before";

/// Counts things and what became of them.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Counts {
    pub found: usize,
    pub imported: usize,
    /// Turns that were there and have grown since.
    pub updated: usize,
    /// Turns that were there already.
    pub known: usize,
    /// What was passed over, by reason.
    pub skipped: BTreeMap<String, usize>,
    pub broken: usize,
    /// How many messages of the user there are: those in turns, and those left out.
    pub messages: usize,
    pub in_turns: usize,
    /// Messages of the user among what was passed over, by reason.
    pub left_out: BTreeMap<String, usize>,
}

impl Counts {
    /// Counts a thing that is passed over, and with it so many messages of the user.
    fn pass_over(&mut self, why: &str, messages: usize) {
        *self.skipped.entry(why.to_owned()).or_default() += 1;
        if messages > 0 {
            *self.left_out.entry(why.to_owned()).or_default() += messages;
        }
    }

    /// Returns how many messages of the user are in no turn.
    pub fn missing(&self) -> usize {
        self.left_out.values().sum()
    }
}

/// Counts what was found in one part of a source.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Part {
    pub name: &'static str,
    #[serde(flatten)]
    pub total: Counts,
    /// The first of what is broken: where it is, and why.
    pub named: Vec<(String, String)>,
    pub files: Vec<FileCounts>,
}

/// Counts what was found in one file.
#[derive(Debug, Default, Clone, Serialize)]
pub struct FileCounts {
    pub file: String,
    #[serde(flatten)]
    pub counts: Counts,
}

/// Is a file of a part.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    part: usize,
    file: usize,
}

/// Counts what an import found, by part.
#[derive(Debug, Default)]
pub struct Report {
    pub parts: Vec<Part>,
    /// How many secrets were taken out.
    pub redacted: usize,
    /// The places of parts and of their files, by name.
    known: HashMap<(&'static str, String), Place>,
    /// The file of each part that things are found in now.
    current: HashMap<&'static str, Place>,
}

impl Report {
    /// Returns how many things could not be read.
    pub fn broken(&self) -> usize {
        self.parts.iter().map(|part| part.total.broken).sum()
    }

    /// Returns how many turns were, or would be, stored.
    pub fn stored(&self) -> usize {
        let stored = |part: &Part| part.total.imported + part.total.updated;
        self.parts.iter().map(stored).sum()
    }

    /// Counts what a source has found, and returns where that is; what becomes of a turn is not known yet.
    pub fn found(&mut self, part: &'static str, item: &Item) -> Place {
        let place = match (item, self.current.get(part).copied()) {
            (Item::File(file), _) => self.open(part, file),
            (_, Some(place)) => place,
            _ => self.open(part, ""),
        };
        self.count(place, |counts| {
            counts.found += usize::from(!matches!(item, Item::File(_)));
            match item {
                Item::File(_) => {}
                Item::Turn(turn) => counts.messages += turn.messages,
                Item::LeftOut(why) => {
                    counts.messages += 1;
                    counts.pass_over(why, 1);
                }
                Item::Skipped(why) => counts.pass_over(why, 0),
                Item::Broken(..) => counts.broken += 1,
            }
        });
        if let Item::Broken(what, why) = item {
            let named = &mut self.parts[place.part].named;
            if named.len() < NAMED {
                named.push((what.clone(), why.clone()));
            }
        }
        place
    }

    /// Counts a turn that is passed over, with the messages that it holds.
    pub fn pass_over(&mut self, place: Place, messages: usize, why: &str) {
        self.count(place, |counts| counts.pass_over(why, messages));
    }

    /// Counts what became of a turn that holds so many messages.
    pub fn ended(&mut self, place: Place, messages: usize, fate: Fate) {
        self.count(place, |counts| {
            match fate {
                Fate::New => counts.imported += 1,
                Fate::Grown => counts.updated += 1,
                Fate::Known => counts.known += 1,
                Fate::Forgotten => return counts.pass_over(FORGOTTEN, messages),
            }
            counts.in_turns += messages;
        });
    }

    fn count(&mut self, place: Place, change: impl Fn(&mut Counts)) {
        let part = &mut self.parts[place.part];
        change(&mut part.total);
        change(&mut part.files[place.file].counts);
    }

    fn open(&mut self, name: &'static str, file: &str) -> Place {
        let parts = &mut self.parts;
        let place = *self
            .known
            .entry((name, file.to_owned()))
            .or_insert_with(|| {
                let at = parts.iter().position(|part| part.name == name);
                let part = at.unwrap_or_else(|| {
                    parts.push(Part {
                        name,
                        ..Part::default()
                    });
                    parts.len() - 1
                });
                let files = &mut parts[part].files;
                files.push(FileCounts {
                    file: file.to_owned(),
                    ..FileCounts::default()
                });
                Place {
                    part,
                    file: files.len() - 1,
                }
            });
        self.current.insert(name, place);
        place
    }
}
