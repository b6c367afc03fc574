//! Reads conversations out of JSON one at a time, however they are wrapped: in lists, in objects, or one after the other.

use std::fmt;
use std::io::BufRead;

use anyhow::Result;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep in what it is wrapped in a conversation is looked for.
const DEEPEST: usize = 4;

/// Says what was found.
pub enum Found {
    /// A value with the member that makes it a conversation.
    Conversation(Value),
    /// One that has none, nor anything in it.
    Other(Value),
}

/// Takes what is found. An error ends the reading.
pub type TakeFound<'t> = dyn FnMut(Found) -> Result<()> + 't;

/// Hands over the conversations that a JSON text holds: the objects that have a member of that name. Lists are read piece by piece.
pub fn each_conversation(
    reader: impl BufRead,
    member: &str,
    take: &mut TakeFound<'_>,
) -> Result<()> {
    let mut refused = None;
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    loop {
        let wrapped = Wrapped {
            member,
            depth: 0,
            take: &mut *take,
            refused: &mut refused,
        };
        let read = wrapped.deserialize(&mut deserializer);
        if let Some(error) = refused {
            return Err(error);
        }
        read?;
        // One may follow the other.
        if deserializer.end().is_ok() {
            return Ok(());
        }
    }
}

struct Wrapped<'w, 't> {
    member: &'w str,
    depth: usize,
    take: &'w mut TakeFound<'t>,
    refused: &'w mut Option<anyhow::Error>,
}

impl<'t> Wrapped<'_, 't> {
    fn take<E: Error>(self, found: Found) -> Result<(), E> {
        (self.take)(found).map_err(|error| {
            *self.refused = Some(error);
            E::custom("it was not taken")
        })
    }

    fn within(&mut self) -> Wrapped<'_, 't> {
        Wrapped {
            member: self.member,
            depth: self.depth + 1,
            take: &mut *self.take,
            refused: &mut *self.refused,
        }
    }

    /// Takes a value that is there as a whole.
    fn whole<E: Error>(mut self, value: Value) -> Result<(), E> {
        if value.get(self.member).is_some() {
            return self.take(Found::Conversation(value));
        }
        if !holds(&value, self.member, DEEPEST) {
            return self.take(Found::Other(value));
        }
        let inside: Vec<Value> = match value {
            Value::Array(all) => all,
            Value::Object(all) => all.into_iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        };
        let mut inside = inside.into_iter();
        inside.try_for_each(|value| match holds(&value, self.member, DEEPEST) {
            true => self.within().whole(value),
            false => Ok(()),
        })
    }
}

/// Returns whether a value is a conversation, or has one in it.
fn holds(value: &Value, member: &str, depth: usize) -> bool {
    let inside = |value: &Value| depth > 0 && holds(value, member, depth - 1);
    match value {
        Value::Object(all) => all.contains_key(member) || all.values().any(inside),
        Value::Array(all) => all.iter().any(inside),
        _ => false,
    }
}

impl<'de> DeserializeSeed<'de> for Wrapped<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Wrapped<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("conversations")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        // A list of lists is read as one.
        while elements.next_element_seed(self.within())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut whole = Map::new();
        let mut is_wrapped = false;
        while let Some(name) = members.next_key::<String>()? {
            // Outside of a conversation this is a list of them, which may be long.
            if name == "conversations" && self.depth < DEEPEST && whole.get(self.member).is_none() {
                members.next_value_seed(self.within())?;
                is_wrapped = true;
            } else {
                whole.insert(name, members.next_value()?);
            }
        }
        let whole = Value::Object(whole);
        match is_wrapped && !holds(&whole, self.member, DEEPEST) {
            true => Ok(()),
            false => self.whole(whole),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.take(Found::Other(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.take(Found::Other(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.take(Found::Other(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.take(Found::Other(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.take(Found::Other(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.take(Found::Other(Value::Null))
    }
}
