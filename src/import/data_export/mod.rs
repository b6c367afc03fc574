//! The data exports that chat services send: many conversations in JSON, alone, in folders and in archives, each of them a tree of
//! messages of which one branch was shown.
//!
//! Services tell messages apart within a conversation; the same id in two of them is two messages. An export may hold a conversation
//! more than once: of each turn the newest copy counts.

mod branch;
mod json;
mod link;
mod parts;

use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::escapes::Mended;
use super::files::{decoded, text, time};
use super::turns::SourceTurn;
use super::{FOUND_TWICE, Item, Source, Take, chatgpt, claude};
use crate::store::id_of;
use json::Found;
use parts::Part;

pub use branch::{Node, aside, shown};
pub use link::link;

/// Why a message is in no turn that was not shown.
pub const NOT_SHOWN: &str = "on a branch that was not shown";

/// Returns what a conversation is called; one without a name is told by when it began and by its first message, which stay the same.
pub fn id(value: &Value, names: &[&str], begun: &str, first: &Value, said: &str) -> String {
    let mut ids = names.iter().map(|name| text(value, name));
    if let Some(id) = ids.find(|id| !id.is_empty()) {
        return id.to_owned();
    }
    let begun = match &value[begun] {
        // A title may change; nothing else is left.
        Value::Null => [text(value, "title"), text(value, "name")].concat(),
        begun => begun.to_string(),
    };
    let message = [text(first, "id"), text(first, "uuid")].concat();
    id_of(&["conversation", &begun, &message, said])
}

/// Returns what is kept of messages that were not shown: how many there are.
pub fn not_shown(count: usize) -> Map<String, Value> {
    let counted = (count > 0).then(|| ("not_shown".to_owned(), count.into()));
    counted.into_iter().collect()
}

/// Reads one conversation, and names its place where it is broken.
type Read = fn(&Value, &str, &mut Take<'_>) -> Result<()>;

/// Says what the exports of a service are like.
#[derive(Debug, Clone, Copy)]
struct Service {
    name: &'static str,
    /// Where a conversation has its messages, and where those of other services have them.
    messages: &'static str,
    others: &'static str,
    read: Read,
}

/// Is a data export.
pub struct DataExport {
    path: PathBuf,
    service: Service,
    holders: OnceLock<Holders>,
}

/// Is what is found in an export.
enum Event<'e> {
    File(&'e str),
    /// A conversation, its number in the export, and its place.
    Conversation(&'e Value, usize, String),
    Broken(String, String),
}

impl DataExport {
    /// Is one of OpenAI's.
    pub fn chatgpt(path: PathBuf) -> DataExport {
        let service = Service {
            name: chatgpt::NAME,
            messages: "mapping",
            others: "chat_messages",
            read: chatgpt::conversation,
        };
        DataExport::new(path, service)
    }

    /// Is one of claude.ai.
    pub fn claude(path: PathBuf) -> DataExport {
        let service = Service {
            name: claude::NAME,
            messages: "chat_messages",
            others: "mapping",
            read: claude::conversation,
        };
        DataExport::new(path, service)
    }

    fn new(path: PathBuf, service: Service) -> DataExport {
        DataExport {
            path,
            service,
            holders: OnceLock::new(),
        }
    }

    /// Hands over what is in the export.
    fn each(&self, take: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        let path = self.path.display();
        let (mut ours, mut others) = (0, 0);
        // Where no file is named as its sender names it, any of them may be one.
        for (wanted, is_named) in [
            (parts::is_named_so as fn(&str) -> bool, true),
            (parts::is_text, false),
        ] {
            let (mut files, mut number) = (0, 0);
            parts::each_part(&self.path, wanted, &mut |name, part| {
                let text = match part {
                    Part::Text(text) => text,
                    // Archives are opened each time.
                    Part::Unreadable(_) if !is_named && !wanted(name) => return Ok(()),
                    Part::Unreadable(why) => return take(Event::Broken(name.to_owned(), why)),
                };
                files += 1;
                take(Event::File(name))?;
                let mut here = 0;
                let done = json::each_conversation(
                    BufReader::new(Mended::new(decoded(text))),
                    self.service.messages,
                    &mut |found| {
                        let value = match found {
                            Found::Conversation(value) => value,
                            Found::Other(value) => {
                                others += usize::from(value.get(self.service.others).is_some());
                                if !is_named {
                                    return Ok(());
                                }
                                value
                            }
                        };
                        ours += usize::from(value.get(self.service.messages).is_some());
                        number += 1;
                        here += 1;
                        let place = format!("{name}, conversation {here}");
                        take(Event::Conversation(&value, number, place))
                    },
                );
                match done {
                    // Whoever takes may refuse, too.
                    Err(error) if error.is::<serde_json::Error>() => {
                        let place = format!("{name}, after conversation {here}");
                        take(Event::Broken(place, error.to_string()))
                    }
                    done => done,
                }
            })?;
            if ours == 0 && others > 0 {
                let name = self.service.name;
                bail!("the conversations in `{path}` are not of {name}: is it a data export?");
            }
            if ours > 0 || (is_named && files > 0) {
                return Ok(());
            }
        }
        bail!("there is no conversations.json in `{path}`: is it a data export?")
    }

    /// Reads a conversation, of which each turn has an id of its own.
    fn turns(
        &self,
        conversation: &Value,
        place: &str,
        turn: &mut dyn FnMut(SourceTurn) -> Result<()>,
        other: &mut Take<'_>,
    ) -> Result<()> {
        let mut ids = HashSet::new();
        (self.service.read)(conversation, place, &mut |part, item| match item {
            Item::Turn(mut read) => {
                let id = read.id.clone();
                let mut number = 2;
                while !ids.insert(read.id.clone()) {
                    read.id = format!("{id}/{number}");
                    number += 1;
                }
                turn(*read)
            }
            item => other(part, item),
        })
    }

    /// Returns which conversations hold which turns. The whole export is read for it, once.
    fn holders(&self) -> Result<&Holders> {
        if let Some(holders) = self.holders.get() {
            return Ok(holders);
        }
        let mut holders = Holders::default();
        self.each(&mut |event| {
            let Event::Conversation(value, number, place) = event else {
                return Ok(());
            };
            let updated = time(&value["update_time"]).or_else(|| time(&value["updated_at"]));
            let mut add = |turn: SourceTurn| {
                holders.add(turn, number, updated);
                Ok(())
            };
            self.turns(value, &place, &mut add, &mut |_, _| Ok(()))
        })?;
        Ok(self.holders.get_or_init(|| holders))
    }
}

impl Source for DataExport {
    fn name(&self) -> &'static str {
        self.service.name
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let name = self.service.name;
        let holders = self.holders()?;
        self.each(&mut |event| match event {
            Event::File(file) => take(name, Item::File(file.to_owned())),
            Event::Broken(place, why) => take(name, Item::Broken(place, why)),
            Event::Conversation(value, number, place) => {
                let mut items = Vec::new();
                let mut turn = |mut turn: SourceTurn| {
                    match holders.tell_apart(&mut turn, number) {
                        true => items.push(turn.into()),
                        false => items.extend(turn.left_out(FOUND_TWICE)),
                    }
                    Ok(())
                };
                let mut rest = Vec::new();
                self.turns(value, &place, &mut turn, &mut |_, item| {
                    rest.push(item);
                    Ok(())
                })?;
                items
                    .into_iter()
                    .chain(rest)
                    .try_for_each(|item| take(name, item))
            }
        })
    }
}

/// Knows which conversations hold the turns of an export, by what their messages are called.
#[derive(Debug, Default)]
struct Holders(HashMap<String, Vec<Holder>>);

/// Is a conversation that holds a turn, in its newest copy.
#[derive(Debug)]
struct Holder {
    conversation: String,
    number: usize,
    updated: Option<DateTime<Utc>>,
}

impl Holders {
    fn add(&mut self, turn: SourceTurn, number: usize, updated: Option<DateTime<Utc>>) {
        let holders = self.0.entry(turn.id).or_default();
        let conversation = &turn.conversation.id;
        let known = holders
            .iter_mut()
            .find(|known| known.conversation == *conversation);
        match known {
            Some(known) if known.updated < updated => {
                (known.number, known.updated) = (number, updated);
            }
            Some(_) => {}
            None => holders.push(Holder {
                conversation: conversation.clone(),
                number,
                updated,
            }),
        }
    }

    /// Names a turn so that no other conversation has one of this name, and returns whether this is its newest copy.
    ///
    /// Of those with one name the first by its id keeps it, wherever it stands in the export. Which has it in a store may have been
    /// decided otherwise, so the other name is told as well.
    fn tell_apart(&self, turn: &mut SourceTurn, number: usize) -> bool {
        let holders = self.0.get(&turn.id).map_or(&[][..], Vec::as_slice);
        let conversation = &turn.conversation.id;
        let first = holders.iter().map(|holder| &holder.conversation).min();
        let mut newest = holders
            .iter()
            .filter(|holder| holder.conversation == *conversation);
        let is_newest = newest.next().is_none_or(|holder| holder.number == number);
        let alone = format!("{conversation}/{}", turn.id);
        turn.also = Some(match first.is_none_or(|first| first == conversation) {
            true => alone,
            false => std::mem::replace(&mut turn.id, alone),
        });
        is_newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoilt_exports_are_read_all_the_same() {
        const CHATGPT: &str = r#"[{"id":"c","title":"t","create_time":1.5,"current_node":"b","mapping":{"a":{"id":"a","parent":"","message":{"author":{"role":"user"},"content":{"content_type":"text","parts":["q"]}}},"t":{"id":"t","parent":"a","message":{"author":{"role":"tool","name":"x"},"content":{"parts":["{\"report_message\":{\"content\":{\"parts\":[\"r\"]}}}"]}}},"b":{"id":"b","parent":"t","message":{"author":{"role":"assistant"},"content":{"parts":["r \ue200cite\ue202turn0search1\ue201【1:2†source】"]},"metadata":{"content_references":[{"matched_text":"\ue200cite\ue202turn0search1\ue201","start_idx":2,"items":[{"url":"https://a.example","title":"a"}]}],"citations":[{"start_ix":28,"end_ix":40,"metadata":{"url":"https://b.example","extra":{"cited_message_idx":1}}}]}}}}}]"#;
        const CLAUDE: &str = r#"{"conversations":[{"uuid":"c","name":"t","created_at":"2025-03-01T10:00:00Z","current_leaf_message_uuid":"b","chat_messages":[{"uuid":"a","parent_message_uuid":"0","sender":"human","text":"q"},{"uuid":"b","parent_message_uuid":"a","sender":"assistant","content":[{"type":"tool_use","name":"x","input":{}},{"type":"tool_result","content":"o"},{"type":"text","text":"r é","citations":[{"end_index":2,"url":"https://a.example"}]}]}]}]}"#;
        let nowhere = PathBuf::new;
        for (export, seed) in [
            (DataExport::chatgpt(nowhere()), CHATGPT),
            (DataExport::claude(nowhere()), CLAUDE),
        ] {
            let read = |text: &str| {
                let mut turns = 0;
                let messages = export.service.messages;
                let read = json::each_conversation(text.as_bytes(), messages, &mut |found| {
                    let (Found::Conversation(value) | Found::Other(value)) = found;
                    let mut turn = |_| {
                        turns += 1;
                        Ok(())
                    };
                    export.turns(&value, "", &mut turn, &mut |_, _| Ok(()))
                });
                read.map(|()| turns)
            };
            assert_eq!(read(seed).unwrap(), 1);
            crate::mutate::each(&[seed], |text| drop(read(text)));
        }
    }
}
