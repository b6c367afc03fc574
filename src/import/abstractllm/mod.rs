//! What the Python program AbstractLLM left: JSON files, SQLite files and LanceDB tables, which tell of the same turns under
//! different ids. Each turn is taken from the best of them, and completed from the others.

mod sqlite;
mod tables;
mod text;
mod tree;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::files::below;
use super::turns::{Conversation, SourceTurn};
use super::{Item, Source, Take};
use crate::timeframe::Zone;

/// Why something found is no turn of its own.
const ELSEWHERE: &str = "part of a turn that is told elsewhere";
/// How far apart clocks may be that tell of one turn with one id and one question: local times and UTC are mixed.
const FAR: TimeDelta = TimeDelta::hours(26);
/// How far apart, where only the question is the same.
const NEAR: TimeDelta = TimeDelta::minutes(10);

/// Is a data directory of AbstractLLM.
pub struct AbstractLlm {
    pub home: PathBuf,
    /// The rows of its LanceDB tables, by table.
    pub tables: HashMap<&'static str, Vec<Value>>,
    /// The tables that cannot be read, and why.
    pub unread: Vec<(String, String)>,
    /// The zone of the times that it wrote without one.
    pub zone: Zone,
}

impl AbstractLlm {
    /// The part of a report that is about the tables.
    pub const TABLES_PART: &str = tables::NAME;
    /// The tables that are read, and the columns of each. Its scratchpads repeat all of a session, and its vectors mean nothing here.
    pub const TABLES: &[(&'static str, &[&'static str])] = &[
        (
            "interactions",
            &[
                "interaction_id",
                "session_id",
                "user_id",
                "timestamp",
                "query",
                "response",
                "facts_extracted",
                "token_usage",
                "duration_ms",
            ],
        ),
        (
            "react_cycles",
            &["react_id", "interaction_id", "steps", "success"],
        ),
        (
            "sessions",
            &[
                "session_id",
                "user_id",
                "provider",
                "model",
                "system_prompt",
            ],
        ),
    ];
}

impl Source for AbstractLlm {
    fn name(&self) -> &'static str {
        "abstractllm"
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        if !self.home.is_dir() {
            bail!("there is no folder `{}`", self.home.display());
        }
        let mut gathered = Gathered {
            home: self.home.clone(),
            ..Gathered::default()
        };
        tree::sessions(&self.home, self.zone, &mut gathered)?;
        tables::turns(&self.tables, self.zone, &mut gathered);
        for (table, why) in &self.unread {
            gathered.unread(tables::NAME, table, table.clone(), why.clone());
        }
        sqlite::sessions(&self.home, self.zone, &mut gathered)?;
        tree::logs(&self.home, self.zone, &mut gathered)?;
        gathered
            .join()
            .try_for_each(|(part, item)| take(part, item))
    }
}

/// Is what one part tells of a turn.
struct Told {
    part: &'static str,
    /// The file that it is in.
    file: String,
    turn: SourceTurn,
    /// The system prompt, of which each part knows at most one.
    system: String,
    /// The parts that it was completed from.
    merged: HashSet<&'static str>,
}

impl Told {
    /// Begins a turn; its id is what the part calls it, without the word before it.
    fn new(part: &'static str, session: &str, id: &str, time: DateTime<Utc>, query: &str) -> Told {
        let conversation = Arc::new(Conversation {
            id: session.to_owned(),
            ..Conversation::default()
        });
        Told {
            part,
            file: String::new(),
            turn: SourceTurn::new(&conversation, id, time, query.trim()),
            system: String::new(),
            merged: HashSet::new(),
        }
    }

    fn session(&self) -> &str {
        &self.turn.conversation.id
    }

    /// Completes a turn with what another part tells of it.
    fn merge(&mut self, other: Told) {
        self.merged.insert(other.part);
        let (mine, theirs) = (&mut self.turn, other.turn);
        let fill = |mine: &mut String, theirs: String| {
            if mine.is_empty() {
                *mine = theirs;
            }
        };
        if mine.response.is_empty() && !theirs.response.is_empty() {
            mine.status = theirs.status;
        }
        fill(&mut mine.query, theirs.query);
        fill(&mut mine.response, theirs.response);
        fill(&mut mine.provider, theirs.provider);
        fill(&mut mine.model, theirs.model);
        fill(&mut self.system, other.system);
        if mine.steps.is_empty() {
            mine.steps = theirs.steps;
        }
        if mine.facts.is_empty() {
            mine.facts = theirs.facts;
        }
        mine.usage = mine.usage.or(theirs.usage);
        mine.duration_ms = mine.duration_ms.max(theirs.duration_ms);
        mine.requests.extend(theirs.requests);
    }
}

/// Gathers what the parts tell.
#[derive(Default)]
struct Gathered {
    home: PathBuf,
    turns: Vec<Told>,
    /// What else was found: in which part, in which file.
    items: Vec<(&'static str, String, Item)>,
}

impl Gathered {
    /// Takes what a file tells of a turn.
    fn told(&mut self, file: &str, told: Told) {
        let file = file.to_owned();
        self.turns.push(Told { file, ..told });
    }

    fn skipped(&mut self, part: &'static str, file: &str, why: &str) {
        let item = Item::Skipped(why.to_owned());
        self.items.push((part, file.to_owned(), item));
    }

    fn unread(&mut self, part: &'static str, file: &str, place: String, why: String) {
        let item = Item::Broken(place, why);
        self.items.push((part, file.to_owned(), item));
    }

    fn broken(&mut self, part: &'static str, path: &Path, why: &anyhow::Error) {
        let place = self.place(path);
        self.unread(part, &place, place.clone(), why.root_cause().to_string());
    }

    /// Returns what a file is called.
    fn place(&self, path: &Path) -> String {
        below(&self.home, path)
    }

    /// Puts together what belongs together. Parts come in the order in which they are trusted, except that requests kept apart
    /// and logs know least.
    fn join(mut self) -> impl Iterator<Item = (&'static str, Item)> {
        let order = [
            tree::TURNS,
            tables::NAME,
            sqlite::NAME,
            tree::CONTEXTS,
            tree::LOGS,
        ];
        let rank = |told: &Told| order.iter().position(|part| *part == told.part);
        let mut all = std::mem::take(&mut self.turns);
        all.sort_by_key(|told| (rank(told), told.turn.timestamp));
        let mut joined = Joined::default();
        // The same session has another id in each part.
        let mut sessions: HashMap<String, String> = HashMap::new();
        for mut told in all {
            told.turn.messages = usize::from(!told.turn.query.is_empty());
            match joined.home_of(&told) {
                Some(at) => {
                    let session = joined.turns[at].session().to_owned();
                    if [tables::NAME, sqlite::NAME].contains(&told.part) {
                        sessions.entry(told.session().to_owned()).or_insert(session);
                    }
                    let why = ELSEWHERE.to_owned();
                    let item = match told.turn.query.is_empty() {
                        true => Item::Skipped(why),
                        false => Item::LeftOut(why),
                    };
                    self.items.push((told.part, told.file.clone(), item));
                    joined.merge(at, told);
                }
                None => joined.push(told),
            }
        }
        let joined = joined.turns;
        let systems: HashMap<String, String> = joined
            .iter()
            .filter(|told| !told.system.is_empty())
            .map(|told| (told.session().to_owned(), told.system.clone()))
            .collect();
        let finished = joined.into_iter().map(move |mut told| {
            let own = told.session().to_owned();
            let session = sessions.get(&own).unwrap_or(&own);
            told.turn.id = format!("{own}/{}", told.turn.id);
            told.turn.conversation = Arc::new(Conversation {
                id: session.clone(),
                system_prompt: systems.get(&own).cloned().unwrap_or_default(),
                ..Conversation::default()
            });
            (told.part, told.file, Item::from(told.turn))
        });
        let all = finished.chain(self.items);
        all.flat_map(|(part, file, item)| [(part, Item::File(file)), (part, item)])
    }
}

/// Holds the turns that have been put together, by what another part may know of them, too.
#[derive(Default)]
struct Joined {
    turns: Vec<Told>,
    /// The places of turns by what was asked, whatever the blanks.
    asked: HashMap<String, Vec<usize>>,
    /// The places of turns by their ids.
    named: HashMap<String, Vec<usize>>,
}

impl Joined {
    fn push(&mut self, told: Told) {
        let at = self.turns.len();
        let asked = self.asked.entry(plain(&told.turn.query)).or_default();
        asked.push(at);
        let named = self.named.entry(told.turn.id.clone()).or_default();
        named.push(at);
        self.turns.push(told);
    }

    fn merge(&mut self, at: usize, other: Told) {
        let told = &mut self.turns[at];
        let unasked = told.turn.query.is_empty();
        told.merge(other);
        if unasked && !told.turn.query.is_empty() {
            let asked = self.asked.entry(plain(&told.turn.query)).or_default();
            asked.push(at);
        }
    }

    /// Returns the place of the turn that a part tells more of.
    fn home_of(&self, told: &Told) -> Option<usize> {
        let apart = |other: &Told| (other.turn.timestamp - told.turn.timestamp).abs();
        let requests = [tree::CONTEXTS, tree::LOGS];
        let fits = |other: &Told| {
            let several = told.part == tree::CONTEXTS;
            if other.part == told.part || (other.merged.contains(told.part) && !several) {
                return false;
            }
            let asked = same(&other.turn.query, &told.turn.query);
            if requests.contains(&told.part) {
                return asked && apart(other) < NEAR;
            }
            if told.turn.response.is_empty() && !told.turn.requests.is_empty() && asked {
                return apart(other) < FAR;
            }
            let unasked = other.turn.query.is_empty() || told.turn.query.is_empty();
            other.turn.id == told.turn.id && (asked || unasked) && apart(other) < FAR
        };
        let asked = self.asked.get(&plain(&told.turn.query));
        let named = self.named.get(&told.turn.id);
        let known = asked.into_iter().chain(named).flatten().copied();
        let fitting = known.filter(|at| fits(&self.turns[*at]));
        fitting.min_by_key(|at| (apart(&self.turns[*at]), *at))
    }
}

/// Returns a text with one blank between its words.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether two questions are one, whatever the blanks.
fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Finding L24.
    #[test]
    fn turns_of_two_parts_find_each_other_among_many() {
        let begun = DateTime::UNIX_EPOCH;
        let told = |part, at: i64, query: &str| {
            let time = begun + TimeDelta::minutes(at);
            Told::new(part, "s", &format!("t{at}"), time, query)
        };
        let mut gathered = Gathered::default();
        for at in 0..20_000 {
            gathered
                .turns
                .push(told(tree::TURNS, at, &format!("question  {at}")));
            // One part knows the ids, the other what was asked.
            gathered.turns.push(told(tables::NAME, at, ""));
            let mut request = told(tree::LOGS, at, &format!("question {at}"));
            request.turn.id = format!("log {at}");
            gathered.turns.push(request);
        }
        let (mut turns, mut elsewhere) = (0, 0);
        for (_, item) in gathered.join() {
            match item {
                Item::Skipped(_) | Item::LeftOut(_) => elsewhere += 1,
                Item::Turn(_) => turns += 1,
                Item::File(_) | Item::Broken(..) => {}
            }
        }
        assert_eq!((turns, elsewhere), (20_000, 40_000));
    }
}
