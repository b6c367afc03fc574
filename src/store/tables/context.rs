//! Packs the request bodies of a turn: what a request shares with the one before it is stored once.
//!
//! Each request repeats the conversation so far, so a session of n turns would take n² of space. A packed request keeps the
//! number of bytes it shares with the front and with the back of the request before it, and the text between.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::interaction::Interaction;
use crate::store::words::id_of;

/// Names the last request of a turn, which the next turn's request extends.
#[derive(Debug, Clone)]
pub struct Base {
    pub interaction_id: String,
    pub body: String,
    /// How often something had been erased when it was recorded; what is stored may be another text since.
    pub erasures: u64,
}

/// Is one request as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Packed {
    /// The interaction whose last request this one extends; absent in the first request of a session, and where the request
    /// before is of the same interaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Tells the body of that request from all others: what is stored of it may be another text by now. Rows of before have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    digest: Option<String>,
    #[serde(skip_serializing_if = "is_zero", default)]
    head: usize,
    #[serde(skip_serializing_if = "is_zero", default)]
    tail: usize,
    text: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Packed {
    /// Packs one request; it extends `previous`, where there is one.
    pub fn new(previous: Option<&str>, body: &str) -> Packed {
        let (head, tail) = previous.map_or((0, 0), |previous| shared(previous, body));
        Packed {
            base: None,
            digest: None,
            head,
            tail,
            text: body[head..body.len() - tail].to_owned(),
        }
    }

    /// Returns whether it needs the request before it.
    pub fn extends(&self) -> bool {
        self.head + self.tail > 0
    }

    /// Puts the request together again.
    pub fn unpack(&self, previous: &str) -> Result<String> {
        let tail = previous
            .len()
            .checked_sub(self.tail)
            .and_then(|start| previous.get(start..));
        let (head, tail) = previous
            .get(..self.head)
            .zip(tail)
            .context("the request before does not fit this one")?;
        Ok(format!("{head}{}{tail}", self.text))
    }
}

/// Packs the bodies of one turn, in the order they were sent, as JSON text.
pub fn pack(bodies: &[String], base: Option<&Base>) -> String {
    let mut previous = base.map(|base| base.body.as_str());
    let mut packed = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let mut request = Packed::new(previous, body);
        if let (0, Some(base)) = (index, base)
            && request.extends()
        {
            request.base = Some(base.interaction_id.clone());
            request.digest = Some(id_of(&[&base.body]));
        }
        packed.push(request);
        previous = Some(body);
    }
    serde_json::to_string(&packed).expect("strings and numbers are always JSON")
}

/// Returns how many bytes two texts share at the front and, after that, at the back, on borders of characters.
fn shared(old: &str, new: &str) -> (usize, usize) {
    let mut head = old
        .bytes()
        .zip(new.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    while !new.is_char_boundary(head) || !old.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = old[head..]
        .bytes()
        .rev()
        .zip(new[head..].bytes().rev())
        .take_while(|(a, b)| a == b)
        .count();
    while !new.is_char_boundary(new.len() - tail) || !old.is_char_boundary(old.len() - tail) {
        tail -= 1;
    }
    (head, tail)
}

/// Puts the requests of one turn together; `base` is the last request of the turn before.
pub fn unpack(packed: &[Packed], base: Option<&str>) -> Result<Vec<String>> {
    let changed = "the request before, which it extends, is another text by now";
    let expected = packed.first().and_then(|first| first.digest.as_ref());
    if let (Some(expected), Some(base)) = (expected, base) {
        ensure!(*expected == id_of(&[base]), changed);
    }
    let mut bodies: Vec<String> = Vec::new();
    for request in packed {
        let previous = bodies
            .last()
            .map(String::as_str)
            .or(base)
            .unwrap_or_default();
        bodies.push(request.unpack(previous).context(changed)?);
    }
    Ok(bodies)
}

/// Holds the packed requests of turns, by id.
#[derive(Debug, Default)]
pub struct Sent {
    packed: HashMap<String, String>,
    /// The last request that was put together, and whose it is.
    last: Option<(String, String)>,
}

impl FromIterator<(String, String)> for Sent {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(packed: T) -> Sent {
        Sent {
            packed: packed.into_iter().collect(),
            last: None,
        }
    }
}

impl Sent {
    /// Returns the exact bodies of the requests of a turn, in the order they were sent.
    pub fn bodies(&self, id: &str) -> Result<Vec<String>> {
        // Follow the references back to a request that stands by itself, then build up from there.
        let mut chain: Vec<Vec<Packed>> = Vec::new();
        let mut bodies: Vec<String> = Vec::new();
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            if let Some((_, body)) = self.last.as_ref().filter(|(last, _)| *last == id)
                && !chain.is_empty()
            {
                bodies.push(body.clone());
                break;
            }
            let text = self.packed.get(&id).with_context(|| {
                format!("the request of interaction `{id}`, which this one extends, is gone")
            })?;
            let requests: Vec<Packed> = serde_json::from_str(text)
                .with_context(|| format!("cannot read the requests of `{id}`"))?;
            next = requests.first().and_then(|request| request.base.clone());
            chain.push(requests);
            ensure!(
                chain.len() <= self.packed.len(),
                "the requests of `{id}` and others extend each other in a circle"
            );
        }
        for requests in chain.iter().rev() {
            bodies = unpack(requests, bodies.last().map(String::as_str))?;
        }
        Ok(bodies)
    }

    /// Returns the requests of a turn that follows the one that was asked for before; none where they cannot be put together.
    pub fn next(&mut self, id: &str) -> Vec<String> {
        let bodies = self.bodies(id).unwrap_or_default();
        let last = bodies.last().cloned();
        self.last = last.map(|body| (id.to_owned(), body));
        bodies
    }

    /// Lets the requests of a turn stand by themselves. Those that cannot be put together are left as they are.
    pub fn set_apart(&self, turn: &mut Interaction) {
        if let Ok(bodies) = self.bodies(&turn.interaction_id) {
            turn.context_verbatim = pack(&bodies, None);
        }
    }
}

/// Returns the turn whose request the first of these extends.
pub fn base(packed: &str) -> Option<String> {
    let packed: Vec<Packed> = serde_json::from_str(packed).ok()?;
    packed.into_iter().next()?.base
}

/// Changes the requests of the turns of one session, oldest first, and lets none refer to those that are `gone`. Returns which of the
/// others were changed. A request that cannot be read is left as it is.
pub fn rebase(
    turns: &mut [Interaction],
    gone: &HashSet<String>,
    mut change: impl FnMut(&mut String) -> bool,
) -> Vec<usize> {
    let mut bodies: HashMap<String, Vec<String>> = HashMap::new();
    let mut changed = Vec::new();
    let mut previous: Option<Base> = None;
    for (at, turn) in turns.iter_mut().enumerate() {
        let Ok(packed) = serde_json::from_str::<Vec<Packed>>(&turn.context_verbatim) else {
            continue;
        };
        let base = packed.first().and_then(|request| request.base.as_ref());
        let base_body = base
            .and_then(|id| bodies.get(id))
            .and_then(|all| all.last());
        let Ok(mut sent) = unpack(&packed, base_body.map(String::as_str)) else {
            continue;
        };
        let had_base = base.is_some();
        bodies.insert(turn.interaction_id.clone(), sent.clone());
        if gone.contains(&turn.interaction_id) {
            continue;
        }
        for body in &mut sent {
            change(body);
        }
        let text = pack(&sent, previous.as_ref().filter(|_| had_base));
        previous = sent.last().map(|body| Base {
            interaction_id: turn.interaction_id.clone(),
            body: body.clone(),
            erasures: 0,
        });
        if text != turn.context_verbatim {
            turn.context_verbatim = text;
            changed.push(at);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_requests_are_unpacked_byte_for_byte() {
        let turns = [
            vec![r#"{"model":"m","messages":["é"]}"#.to_owned()],
            vec![
                r#"{"model":"m","messages":["é","è"]}"#.to_owned(),
                r#"{"model":"m","messages":["é","è","è"]}"#.to_owned(),
            ],
            vec![r#"{"model":"other","messages":["é","è","è","🦀"]}"#.to_owned()],
            vec![String::new(), "same".to_owned(), "same".to_owned()],
        ];
        let mut base: Option<Base> = None;
        for bodies in turns {
            let text = pack(&bodies, base.as_ref());
            let packed: Vec<Packed> = serde_json::from_str(&text).unwrap();
            assert_eq!(
                unpack(&packed, base.as_ref().map(|base| base.body.as_str())).unwrap(),
                bodies,
                "{text}"
            );
            base = bodies.last().map(|body| Base {
                interaction_id: "1".into(),
                body: body.clone(),
                erasures: 0,
            });
        }
    }

    // Finding M7.
    #[test]
    fn a_request_is_never_put_together_from_another_text() {
        let (old, changed) = ("one two three four", "one TWO three four");
        let base = Base {
            interaction_id: "1".into(),
            body: old.into(),
            erasures: 0,
        };
        let text = pack(&["one two three five".to_owned()], Some(&base));
        let packed: Vec<Packed> = serde_json::from_str(&text).unwrap();
        assert_eq!(unpack(&packed, Some(old)).unwrap(), ["one two three five"]);
        let error = unpack(&packed, Some(changed)).unwrap_err();
        assert!(error.to_string().contains("another text"), "{error}");
        // What was stored before has no digest.
        let before = r#"[{"base":"1","head":14,"text":"five"}]"#;
        let packed: Vec<Packed> = serde_json::from_str(before).unwrap();
        assert_eq!(unpack(&packed, Some(old)).unwrap(), ["one two three five"]);
        assert_eq!(super::base(before).as_deref(), Some("1"));
    }

    #[test]
    fn a_growing_conversation_is_stored_once() {
        let message = "a message of some length that is said once ".repeat(10);
        let mut base: Option<Base> = None;
        let mut stored = 0;
        for turns in 1..=100 {
            let body = format!(
                "{{\"messages\":[{}],\"stream\":true}}",
                vec![format!("\"{message}\""); turns].join(",")
            );
            stored += pack(std::slice::from_ref(&body), base.as_ref()).len();
            base = Some(Base {
                interaction_id: "0123456789abcdef".into(),
                body,
                erasures: 0,
            });
        }
        assert!(
            stored < 100 * message.len() * 2,
            "{stored} bytes for {} of text",
            100 * message.len()
        );
    }
}
