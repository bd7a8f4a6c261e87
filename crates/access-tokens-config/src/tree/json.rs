//! JSON to the tree. serde_json tells no place of a value, but lends its text, and where that begins is the place.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Number, value::RawValue};

use super::{Lines, Node, Value};
use crate::error::{Origin, Problem, within};

/// Far more levels than there are settings, and far less than the stack holds.
const DEEPEST: usize = 32;

pub(super) fn parse(text: &str, file: &Arc<Path>) -> Result<Node, Problem> {
    let document: &RawValue = serde_json::from_str(text).map_err(|error| {
        let origin = Origin::File { path: file.clone(), line: Some(error.line()) };
        Problem::new(origin, "", format!("isn't JSON: {}", what(&error)))
    })?;
    node(document, &Text { text, lines: Lines::new(text.as_bytes(), file) }, "", 0)
}

struct Text<'a> {
    text: &'a str,
    lines: Lines<'a>,
}

/// Without the place, which is told already.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn node(raw: &RawValue, whole: &Text<'_>, key: &str, depth: usize) -> Result<Node, Problem> {
    let text = raw.get();
    // Both are addresses in the same text.
    let origin = whole.lines.origin((text.as_ptr() as usize).saturating_sub(whole.text.as_ptr() as usize));
    let refused = |message: String| Problem::new(origin.clone(), key, message);
    if depth > DEEPEST {
        return Err(refused(format!("there are more than {DEEPEST} levels of braces and brackets")));
    }
    let invalid = |error: serde_json::Error| refused(format!("isn't JSON: {}", what(&error)));
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(text).map_err(invalid)?;
            let mut table = BTreeMap::new();
            for (name, raw) in members.0 {
                let key = within(key, &name);
                let node = node(raw, whole, &key, depth + 1)?;
                if table.contains_key(&name) {
                    return Err(Problem::new(node.origin, key, "stands twice in the same braces; keep one"));
                }
                table.insert(name, node);
            }
            Value::Table(table)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
            Value::List(items.into_iter().map(|raw| node(raw, whole, key, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(text).map_err(invalid)?),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => {
            let number: Number = serde_json::from_str(text).map_err(invalid)?;
            number.as_i64().map_or(Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Integer)
        }
    };
    Ok(Node { origin, value })
}

/// Of an object all members, where a map would keep the last of two equal keys.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}
