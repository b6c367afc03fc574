//! What a server attached to a message or a call: how it comes together from pieces, and how it goes back.

use serde_json::Value;

use crate::conversation::Attached;

/// Takes one field. What says nothing replaces nothing, and objects are joined.
pub fn merge(attached: &mut Attached, name: &str, value: Value) {
    match (attached.get_mut(name), value) {
        (_, Value::Null) => {}
        (Some(_), Value::String(text)) if text.is_empty() => {}
        (Some(Value::Object(known)), Value::Object(new)) => {
            for (name, value) in new {
                merge(known, &name, value);
            }
        }
        (_, value) => {
            attached.insert(name.to_owned(), value);
        }
    }
}

/// Writes what was attached back into a message or a call, beside what is there.
pub fn restore(value: &mut Value, attached: &Attached) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    for (name, value) in attached {
        match (fields.get_mut(name), value) {
            (None, value) => {
                fields.insert(name.clone(), value.clone());
            }
            (Some(inner), Value::Object(more)) => restore(inner, more),
            _ => {}
        }
    }
}
