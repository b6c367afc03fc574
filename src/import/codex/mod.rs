//! Codex's transcripts: a JSON Lines file for each session, below folders for year, month and day.
//!
//! ```text
//!  3  mod                         the source
//!  2  files reading               which files, and in which order; their lines as turns
//!  1  tasks typed                 what belongs together, and to which session; what a person typed
//!  0  line item                   what is written
//! ```
//!
//! A file imports only from lower rooms; `tests/it/tidy.rs` checks it.

mod files;
mod item;
mod line;
mod reading;
mod tasks;
mod typed;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::files::{below, each_line, name, open, text};
use super::{Item, Source, Take};
use files::{reader, stem, transcripts};
use reading::{Found, Key, Reading};

const NAME: &str = "codex";
/// Why turns are passed over that a fork repeats.
const REPLAYED: &str = "replayed from the session that it was forked from";

/// Is a folder of transcripts, `~/.codex` as a rule, or one transcript.
pub struct Codex(pub PathBuf);

impl Source for Codex {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let names = names(&self.0.join("session_index.jsonl"));
        let mut seen = Seen::default();
        for path in transcripts(&self.0)? {
            take(NAME, Item::File(below(&self.0, &path)))?;
            transcript(&path, &names, &mut seen, take)?;
        }
        Ok(())
    }
}

/// Returns what the user has called sessions, by id; the last name counts.
fn names(index: &Path) -> HashMap<String, String> {
    let mut names = HashMap::new();
    let Ok(file) = open(index) else {
        return names;
    };
    let read = each_line(file, &mut |_, line| {
        if let Ok(line) = line {
            let named = (
                text(&line, "id").to_owned(),
                text(&line, "thread_name").to_owned(),
            );
            names.insert(named.0, named.1);
        }
        Ok(())
    });
    // Sessions do without names, too.
    drop(read);
    names
}

fn transcript(
    path: &Path,
    names: &HashMap<String, String>,
    seen: &mut Seen,
    take: &mut Take<'_>,
) -> Result<()> {
    let (mut lines, mut unread) = (Vec::new(), Vec::new());
    let read = reader(path).and_then(|file| {
        each_line(file, &mut |number, line| {
            match line {
                Ok(mut line) => {
                    // It repeats the conversation, with its pictures, each time that it grows too long.
                    if let Some(compacted) = line["payload"].as_object_mut() {
                        compacted.remove("replacement_history");
                    }
                    lines.push(line);
                }
                Err(error) => {
                    let place = format!("{}, line {number}", name(path));
                    unread.push(Item::Broken(place, error.to_string()));
                }
            }
            Ok(())
        })
    });
    if let Err(error) = read {
        unread.push(Item::Broken(name(path), format!("{error:#}")));
    }
    for item in unread {
        take(NAME, item)?;
    }
    let mut reading = Reading::of(&stem(path), &lines, names);
    for item in std::mem::take(&mut reading.aside) {
        take(NAME, item)?;
    }
    let parents = reading.parents();
    let found = reading.finish();
    let again = seen.again(&found, &parents);
    for (found, again) in found.into_iter().zip(again) {
        match again {
            true => {
                for _ in 0..found.turn.messages {
                    take(NAME, Item::LeftOut(REPLAYED.to_owned()))?;
                }
            }
            false => take(NAME, found.turn.into())?,
        }
    }
    Ok(())
}

/// Is what was found in the transcripts that were read before.
#[derive(Default)]
struct Seen {
    tasks: HashSet<Key>,
    /// How many times something was asked in a session.
    asked: HashMap<(String, Key), usize>,
}

impl Seen {
    /// Returns which turns of a transcript repeat what was found in others. Where the file of a session is missing, a replay is all
    /// there is of it.
    fn again(&mut self, found: &[Found], parents: &[String]) -> Vec<bool> {
        let mut used: HashMap<(&String, &Key), usize> = HashMap::new();
        let mut again = Vec::new();
        for found in found {
            again.push(
                found.is_replayed
                    && match &found.key {
                        Key::Task(_) => self.tasks.contains(&found.key),
                        Key::Asked(_) => parents.iter().any(|parent| {
                            let asked = (parent.clone(), found.key.clone());
                            let asked = self.asked.get(&asked).copied().unwrap_or_default();
                            let used = used.entry((parent, &found.key)).or_default();
                            let is_left = *used < asked;
                            *used += usize::from(is_left);
                            is_left
                        }),
                    },
            );
        }
        for (found, _) in found.iter().zip(&again).filter(|(_, again)| !**again) {
            match &found.key {
                Key::Task(_) => {
                    self.tasks.insert(found.key.clone());
                }
                Key::Asked(_) => {
                    let asked = (found.session.clone(), found.key.clone());
                    *self.asked.entry(asked).or_default() += 1;
                }
            }
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn spoilt_transcripts_are_read_all_the_same() {
        let seed = concat!(
            r#"{"timestamp":"2026-11-24T00:00:12Z","type":"session_meta","payload":{"id":"a","cwd":"/","forked_from_id":"b"}}"#,
            "\n",
            r#"{"timestamp":"2026-11-24T00:00:13Z","type":"event_msg","payload":{"type":"user_message","message":"q"}}"#,
            "\n",
            r#"{"type":"response_item","payload":{"type":"function_call","call_id":"c","name":"ls","arguments":"{}"}}"#,
            "\n",
            r#"{"type":"response_item","payload":{"type":"function_call_output","call_id":"c","output":"Exit code: 1"}}"#,
        );
        let tasks = concat!(
            r#"{"type":"session_meta","payload":{"id":"019df3d2-6edb-7322-b537-34d4f10cb129","timestamp":"2026-05-04T16:29:07Z"}}"#,
            "\n",
            r#"{"type":"session_meta","payload":{"id":"019df362-aa9f-7011-903e-4a0878d49fa0"}}"#,
            "\n",
            r#"{"type":"event_msg","payload":{"type":"task_started","turn_id":"019df362-ab00-7011-903e-4a0878d49fa0"}}"#,
            "\n",
            r##"{"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"# A:\n## My request for Codex:\nq\n<skill>s</skill>"}]}}"##,
            "\n",
            r#"{"type":"response_item","payload":{"type":"message","role":"assistant","content":[{"text":"a"}]}}"#,
            "\n",
            r#"{"type":"compacted","payload":{"message":"b\na"}}"#,
            "\n",
            r#"{"type":"event_msg","payload":{"type":"task_complete"}}"#,
        );
        let read = |text: &str| {
            let lines: Vec<Value> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            Reading::of("a", &lines, &HashMap::new()).finish()
        };
        let whole = read(seed);
        assert_eq!((whole.len(), whole[0].turn.steps[0].success), (1, false));
        let replay = read(tasks);
        let (turn, is_replayed) = (&replay[0].turn, replay[0].is_replayed);
        assert_eq!(
            (&*turn.query, &*turn.response, is_replayed),
            ("q", "", true)
        );
        crate::mutate::each(&[seed, tasks], |text| drop(read(text)));
    }

    #[test]
    fn what_other_versions_write_is_read_too() {
        let line = |time: &str, kind: &str, payload: Value| json!({"timestamp": format!("2026-05-04T{time}Z"), "type": kind, "payload": payload});
        let meta = |time: &str, id: &str, from: &str| {
            let meta = json!({"id": id, "timestamp": format!("2026-05-04T{time}Z"), "forked_from_id": from});
            line(time, "session_meta", meta)
        };
        let asked = |time: &str, text: &str| {
            let event = json!({"type": "user_message", "message": text});
            line(time, "event_msg", event)
        };
        let lines = [
            meta("16:00:00", "fork", "parent"),
            // The times of a replay are kept, and words are no blocks.
            meta("14:00:00", "parent", ""),
            asked("14:00:10", "Why?"),
            line(
                "14:00:11",
                "response_item",
                json!({"type": "message", "role": "assistant", "content": "So."}),
            ),
            asked("14:10:00", "Why not?"),
            // Tasks are called as somebody likes, and nothing but an event has the answer.
            line(
                "16:10:00",
                "event_msg",
                json!({"type": "task_started", "turn_id": "turn-1"}),
            ),
            asked("16:10:01", "How?"),
            asked("16:10:02", "And when?"),
            line(
                "16:10:03",
                "event_msg",
                json!({"type": "agent_message", "message": "Thus."}),
            ),
        ];
        let found = Reading::of("fork", &lines, &HashMap::new()).finish();
        let told: Vec<(&str, String, &str, &str)> = found
            .iter()
            .map(|found| {
                let turn = &found.turn;
                let time = turn.timestamp.format("%T").to_string();
                (&*found.session, time, &*turn.query, &*turn.response)
            })
            .collect();
        let time = str::to_owned;
        assert_eq!(
            told,
            [
                ("parent", time("14:00:10"), "Why?", "So."),
                ("parent", time("14:10:00"), "Why not?", ""),
                ("fork", time("16:10:01"), "How?\n\nAnd when?", "Thus."),
            ]
        );
    }
}
