//! What comes of a turn while it runs, as lines of the journal: each holds only what is new.

use serde::{Deserialize, Serialize};

use super::Turn;
use crate::conversation::Step;
use crate::store::tables::context::Packed;
use crate::store::words::id_of;

/// Holds what has come of a turn that runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Partial {
    /// All that was said since the last step.
    pub said: String,
    /// All that was thought since the last step.
    pub thought: String,
    /// The steps that have ended since the last time.
    pub steps: Vec<Step>,
}

/// Is what has come of a turn since the last line, as far as it is new.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Came {
    id: String,
    /// How many bytes of what was said, and of what was thought, are on the lines before.
    kept: (usize, usize),
    partial: Partial,
}

/// Is a request, as far as it differs from the one on the line of this kind before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sent {
    id: String,
    /// Says which request that is; absent where this one stands by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    after: Option<String>,
    packed: Packed,
}

/// Knows what the lines written so far say, so that the next one holds only what is new.
#[derive(Default)]
pub struct Coming {
    said: String,
    thought: String,
    /// The last request, and whose it is. It is gone when LanceDB has that turn: a line says nothing without the lines before it, so
    /// these have to be those of turns that are still to be recovered.
    sent: Option<(String, String)>,
}

impl Coming {
    /// Begins with another turn.
    pub fn begin(&mut self) {
        self.said.clear();
        self.thought.clear();
    }

    /// Returns the line for what has come.
    pub fn came(&mut self, id: &str, partial: Partial) -> Came {
        let kept = (
            shared(&self.said, &partial.said),
            shared(&self.thought, &partial.thought),
        );
        let new = Partial {
            said: partial.said[kept.0..].to_owned(),
            thought: partial.thought[kept.1..].to_owned(),
            steps: partial.steps,
        };
        (self.said, self.thought) = (partial.said, partial.thought);
        Came {
            id: id.to_owned(),
            kept,
            partial: new,
        }
    }

    /// Returns the line for a request.
    pub fn sends(&self, id: &str, body: &str) -> Sent {
        let previous = self.sent.as_ref().map(|(_, body)| body.as_str());
        let packed = Packed::new(previous, body);
        Sent {
            id: id.to_owned(),
            after: previous.filter(|_| packed.extends()).map(digest),
            packed,
        }
    }

    /// Takes note that the line of a request is written.
    pub fn sent(&mut self, id: &str, body: String) {
        self.sent = Some((id.to_owned(), body));
    }

    /// Takes note that LanceDB has a turn.
    pub fn stored(&mut self, id: &str) {
        self.sent.take_if(|(of, _)| of == id);
    }
}

impl Came {
    /// Adds what came to its turn, and to what was thought in it. Returns whether that turn was the last to begin.
    pub fn add_to(self, turn: Option<&mut Turn>, thought: &mut String) -> bool {
        let Some(turn) = turn.filter(|turn| turn.interaction.interaction_id == self.id) else {
            return false;
        };
        add(
            &mut turn.interaction.response,
            self.kept.0,
            &self.partial.said,
        );
        add(thought, self.kept.1, &self.partial.thought);
        turn.steps.extend(self.partial.steps);
        true
    }
}

impl Sent {
    /// Adds the request to its turn; `previous` is the one of the line before, and then this one. Returns whether that was possible.
    pub fn add_to(self, turn: Option<&mut Turn>, previous: &mut Option<String>) -> bool {
        let before = previous.take();
        if self.after.is_some() && self.after != before.as_deref().map(digest) {
            return false;
        }
        let Ok(body) = self.packed.unpack(&before.unwrap_or_default()) else {
            return false;
        };
        *previous = Some(body.clone());
        let Some(turn) = turn.filter(|turn| turn.interaction.interaction_id == self.id) else {
            return false;
        };
        turn.requests.push(body);
        true
    }
}

/// Tells one request from all others.
fn digest(body: &str) -> String {
    id_of(&[body])
}

/// Puts new text behind what is kept of the old.
fn add(text: &mut String, kept: usize, new: &str) {
    text.truncate(text.floor_char_boundary(kept));
    text.push_str(new);
}

/// Returns how many bytes two texts share at the front, on a border of characters.
fn shared(old: &str, new: &str) -> usize {
    let same = old.bytes().zip(new.bytes());
    new.floor_char_boundary(same.take_while(|(a, b)| a == b).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes requests as the lines of a journal: whose each is, and the request.
    fn lines(requests: &[(&str, &str)]) -> Vec<String> {
        let mut coming = Coming::default();
        let line = |(id, body): &(&str, &str)| {
            let line = serde_json::to_string(&coming.sends(id, body)).unwrap();
            coming.sent(id, (*body).to_owned());
            line
        };
        requests.iter().map(line).collect()
    }

    /// Reads what lines say that one turn has sent; `None` for a line that says nothing.
    fn read(lines: &[String]) -> Vec<Option<String>> {
        let mut turn = Turn::default();
        turn.interaction.interaction_id = "1".to_owned();
        let mut previous = None;
        let read = |line: &String| {
            let sent: Sent = serde_json::from_str(line).unwrap();
            let added = sent.add_to(Some(&mut turn), &mut previous);
            added.then(|| turn.requests.pop().unwrap())
        };
        lines.iter().map(read).collect()
    }

    #[test]
    fn requests_come_back_as_they_were_sent() {
        let sent = [("1", "[\"é\"]"), ("1", "[\"é\",\"è\"]"), ("1", "{}")];
        let expected: Vec<_> = sent
            .iter()
            .map(|(_, body)| Some((*body).to_owned()))
            .collect();
        assert_eq!(read(&lines(&sent)), expected);
        // What a turn of others has sent is not this one's, and the next request extends it all the same.
        let others = lines(&[("2", "[\"é\"]"), ("1", "[\"é\",\"è\"]")]);
        assert_eq!(read(&others), [None, Some("[\"é\",\"è\"]".to_owned())]);
    }

    #[test]
    fn a_request_without_the_one_it_extends_is_missed_and_not_made_up() {
        let mut lines = lines(&[("1", "[1]"), ("1", "[1,2]"), ("1", "[1,2,3]"), ("1", "x")]);
        lines.remove(1);
        let whole = |text: &str| Some(text.to_owned());
        assert_eq!(read(&lines), [whole("[1]"), None, whole("x")]);
    }

    #[test]
    fn what_lancedb_has_is_extended_no_more() {
        let mut coming = Coming::default();
        coming.sent("1", "a request".to_owned());
        assert!(coming.sends("2", "a request and more").after.is_some());
        coming.stored("1");
        assert_eq!(coming.sends("2", "a request and more").after, None);
    }

    #[test]
    fn many_turns_that_wait_take_no_more_than_what_was_said() {
        let message = "a message of some length that is said once ".repeat(10);
        let bodies: Vec<String> = (1..=100)
            .map(|turns| format!("[{}]", vec![message.as_str(); turns].join(",")))
            .collect();
        let sent: Vec<_> = bodies.iter().map(|body| ("1", body.as_str())).collect();
        let written: usize = lines(&sent).iter().map(String::len).sum();
        assert!(written < 100 * message.len() * 2, "{written} bytes");
    }
}
