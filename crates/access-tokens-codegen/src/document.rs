//! YAML or JSON text to a JSON document, strictly: a key that stands twice is an error, and so is what JSON doesn't have.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Error, invisible, pointer::escape};

/// Reads the contents of `file`. JSON is read as JSON, since YAML isn't quite a superset of it: it has no surrogate pairs.
pub(crate) fn parse(file: &str, text: &str) -> Result<Value, Error> {
    // A byte order mark says nothing in UTF-8, and the parser would take it for a document of its own.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.trim_start();
    if start.starts_with('<') {
        return Err(Error::document(file, "is an HTML or XML page, not YAML; is it an error page that was saved?"));
    }
    if depth(text) > DEEPEST {
        return Err(Error::document(
            file,
            format!("is nested in more than {DEEPEST} brackets; is it a specification?"),
        ));
    }
    let value = match start.strip_prefix('{') {
        Some(rest) => json(text).or_else(|error| match error {
            // A mapping in braces, in which YAML takes more than JSON does.
            Unread::Syntax(_) => yaml(text).map_err(|e| if rest.trim_start().starts_with('"') { error } else { e }),
            Unread::Found(_) => Err(error),
        }),
        None => yaml(text),
    };
    let value = value.map_err(|(Unread::Syntax(reason) | Unread::Found(reason))| Error::document(file, reason))?;
    match value {
        Value::Null => Err(Error::document(file, "is empty")),
        value @ Value::Object(_) => Ok(value),
        _ => Err(Error::document(file, "isn't a YAML mapping; is it the file that was meant?")),
    }
}

/// More than a specification has of each; beyond it reading takes minutes.
const DEEPEST: usize = 2_000;
const MOST_VALUES: usize = 2_000_000;

/// How many brackets are open at once, at most.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Why a text isn't a document.
enum Unread {
    /// The parser's words, with line and column.
    Syntax(String),
    /// Ours, with the pointer.
    Found(String),
}

fn json(text: &str) -> Result<Value, Unread> {
    let (found, values) = (RefCell::default(), Cell::new(0));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value =
        Node { pointer: String::new(), merges: false, found: &found, values: &values }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| unread(&error, found.take(), Some((error.line(), error.column()))))
}

fn yaml(text: &str) -> Result<Value, Unread> {
    let (found, values) = (RefCell::default(), Cell::new(0));
    let node = Node { pointer: String::new(), merges: true, found: &found, values: &values };
    let value = node.deserialize(serde_yaml::Deserializer::from_str(text));
    value.map_err(|error| unread(&error, found.take(), error.location().map(|at| (at.line(), at.column()))))
}

/// What was found says more than the parser that passes it on, but for the line and the column.
fn unread(error: &dyn fmt::Display, found: Option<String>, at: Option<(usize, usize)>) -> Unread {
    match (found, at) {
        (Some(found), Some((line, column))) => Unread::Found(format!("{found} (line {line}, column {column})")),
        (Some(found), None) => Unread::Found(found),
        (None, _) => Unread::Syntax(error.to_string()),
    }
}

/// What stands at a place.
struct Node<'f> {
    /// JSON pointer (RFC 6901).
    pointer: String,
    /// Whether `<<` takes in another mapping, as in YAML.
    merges: bool,
    /// Where it leaves what is wrong.
    found: &'f RefCell<Option<String>>,
    /// How many values there are so far, with those that aliases repeat.
    values: &'f Cell<usize>,
}

impl Node<'_> {
    fn child(&self, segment: &str) -> Self {
        Self { pointer: format!("{}/{}", self.pointer, escape(segment)), ..*self }
    }

    fn wrong<E: serde::de::Error>(&self, what: impl fmt::Display) -> E {
        let pointer = if self.pointer.is_empty() { "the top".to_owned() } else { invisible::one_line(&self.pointer) };
        let what = format!("at {pointer}: {what}");
        self.found.replace(Some(what.clone()));
        E::custom(what)
    }

    /// An integer of more than 64 bits is a number as JSON's readers take it.
    fn number<E: serde::de::Error>(&self, number: f64) -> Result<Value, E> {
        let number = Number::from_f64(number).ok_or_else(|| self.wrong(format_args!("{number} is no JSON number")))?;
        Ok(Value::Number(number))
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > MOST_VALUES {
            return Err(self.wrong(format_args!("there are more than {MOST_VALUES} values; is it a specification?")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON has")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.number(value as f64)
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.number(value as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.number(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.child(&list.len().to_string()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key(&self))? {
            let child = self.child(&key);
            if map.contains_key(&key) {
                return Err(child.wrong("the key stands twice"));
            }
            let value = entries.next_value_seed(child)?;
            map.insert(key, value);
        }
        let merged = if self.merges { map.shift_remove("<<") } else { None };
        let merged = match merged {
            None => Vec::new(),
            Some(Value::Array(maps)) => maps,
            Some(map) => vec![map],
        };
        for other in merged {
            let Value::Object(other) = other else {
                return Err(self.wrong("`<<` takes in mappings, and nothing else"));
            };
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, _) = data.variant::<String>()?;
        Err(self.wrong(format_args!("the tag !{tag} isn't JSON")))
    }
}

/// A key of the mapping, as JSON has it. Status codes come without quotes: `200:` is a number in YAML.
struct Key<'n, 'f>(&'n Node<'f>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let Node { ref pointer, found, values, .. } = *self.0;
        match deserializer.deserialize_any(Node { pointer: pointer.clone(), merges: false, found, values })? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err(self.0.wrong("a key must be text")),
        }
    }
}
