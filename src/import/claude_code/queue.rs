//! Follows what a person typed while a turn ran. It waits in a queue, and is told of once or several times: as it is put there, as
//! it is taken out, as an attachment of the running turn, as a message of its own.

use std::collections::{HashMap, HashSet};

/// Holds what waits, and which forms of what has been heard.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Vec<String>,
    /// How many other things were put there.
    others: usize,
    /// How many were taken out to be sent of which no message has been seen.
    sent: usize,
    forms: HashMap<String, Forms>,
    /// The ids of messages, and those that forms name as theirs.
    said: HashSet<String>,
    named: HashSet<String>,
}

/// Counts in which forms a text was seen.
#[derive(Debug, Default)]
struct Forms {
    attached: usize,
    removed: usize,
    /// How often it became a part of a running turn, in how many of these cases the turn is still running, and how often it was
    /// repeated as a message.
    absorbed: usize,
    fresh: usize,
    repeated: usize,
    /// How often it was queued and became a message of its own.
    own: usize,
}

/// Is how it is told that a text became a part of the running turn.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    Attached,
    Removed,
}

impl Queue {
    /// Takes what was put into the queue.
    pub fn put(&mut self, words: &str) {
        if !words.trim().is_empty() {
            self.waiting.push(key(words));
        }
    }

    /// Takes that something was put into the queue that nobody typed, or a command.
    pub fn put_other(&mut self) {
        self.others += 1;
    }

    /// Takes that the next was taken out, to be sent as a message.
    pub fn send(&mut self) {
        self.sent += 1;
    }

    /// Returns the next that waits, for lines that do not say which they are about.
    pub fn next(&self) -> String {
        self.waiting.first().cloned().unwrap_or_default()
    }

    /// Takes that a text was taken out to go nowhere, and returns whether it was there.
    pub fn take_out(&mut self, words: &str) -> bool {
        let words = key(words);
        let waited = self.waiting.iter().position(|waiting| *waiting == words);
        waited.map(|at| self.waiting.remove(at)).is_some()
    }

    /// Takes that a text became a part of the running turn, and returns whether that is news; `id` is its message's, if known.
    pub fn absorb(&mut self, id: &str, words: &str, form: Form) -> bool {
        let words = key(words);
        let forms = self.forms.entry(words.clone()).or_default();
        let seen = match form {
            Form::Attached => &mut forms.attached,
            Form::Removed => &mut forms.removed,
        };
        *seen += 1;
        let is_known = !id.is_empty() && !self.named.insert(id.to_owned());
        // Both forms may tell of it.
        if is_known || *seen <= forms.absorbed {
            return false;
        }
        forms.absorbed += 1;
        let waited = self.waiting.iter().position(|waiting| *waiting == words);
        if let Some(at) = waited {
            self.waiting.remove(at);
        } else if forms.own > 0 {
            forms.own -= 1;
            return false;
        }
        let is_news = !self.said.contains(id);
        forms.fresh += usize::from(is_news);
        is_news
    }

    /// Takes a message of the user, and returns whether it is news; `source` is where the program had it from.
    pub fn say(&mut self, id: &str, words: &str, source: &str) -> bool {
        if !id.is_empty() {
            self.said.insert(id.to_owned());
            if self.named.contains(id) {
                return false;
            }
        }
        let words = key(words);
        if let Some(at) = self.waiting.iter().position(|waiting| *waiting == words) {
            self.waiting.remove(at);
            self.sent = self.sent.saturating_sub(1);
            self.forms.entry(words).or_default().own += 1;
            return true;
        }
        if let Some(forms) = self.forms.get_mut(&words) {
            let again = match source {
                "queued" => forms.absorbed > forms.repeated,
                "" => forms.fresh > 0,
                _ => false,
            };
            if again {
                forms.repeated += 1;
                forms.fresh = forms.fresh.saturating_sub(1);
                return false;
            }
        }
        // What waits may be sent as one message.
        let before = self.waiting.len();
        self.waiting.retain(|waiting| !words.contains(waiting));
        self.sent = self.sent.saturating_sub(before - self.waiting.len());
        true
    }

    /// Takes that the running turn has got its answer.
    pub fn answered(&mut self) {
        for forms in self.forms.values_mut() {
            forms.fresh = 0;
        }
    }

    /// Returns how many messages still wait. One that was sent in other words than it was typed in does not.
    pub fn left(&self) -> usize {
        let sent = self.sent.saturating_sub(self.others);
        self.waiting.len().saturating_sub(sent)
    }
}

/// Returns a text with one blank between its words: forms differ in blanks.
fn key(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
