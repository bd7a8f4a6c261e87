//! The tree to settings, through serde, with a place and a key for everything that is wrong.

use std::{cmp::Reverse, collections::btree_map, fmt, slice, str::Split};

use schemars::JsonSchema;
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use crate::{
    error::{Origin, Problem, within},
    schema::tables_with,
    tree::{Node, Value},
};

/// Reads what stands at `key`.
pub(crate) fn read<'de, T: Deserialize<'de>>(node: &'de Node, key: &str) -> Result<T, Problem> {
    T::deserialize(Place { node, key: key.to_owned() }).map_err(|fault| fault.problem(node, key))
}

/// The same for a table with tables in it, where a key can be right and yet stand in the wrong one.
pub(crate) fn read_table<'de, T: Deserialize<'de> + JsonSchema>(node: &'de Node, key: &str) -> Result<T, Problem> {
    T::deserialize(Place { node, key: key.to_owned() }).map_err(|mut fault| {
        if let Some(unknown) = &fault.unknown {
            let mut tables: Vec<_> = tables_with::<T>(unknown).iter().map(|table| within_path(key, table)).collect();
            tables.dedup();
            if !tables.is_empty() {
                let tables: Vec<_> = tables.iter().map(String::as_str).collect();
                fault.message = format!("unknown key; {unknown} belongs into {}", alternatives(&tables));
            }
        }
        fault.problem(node, key)
    })
}

fn within_path(key: &str, path: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{key}.{path}") }
}

/// The name among `known` that is the most like `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of two that are as near the one with more of the name; `min_by_key` keeps the first of equals.
    known.into_iter().min_by_key(|known| {
        let shared = known.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
        (strsim::damerau_levenshtein(name, known), Reverse(shared))
    })
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// A node, and the key that leads to it.
struct Place<'de> {
    node: &'de Node,
    key: String,
}

/// What serde has against it. Of values it is never told more than their type.
#[derive(Debug)]
struct Fault {
    message: String,
    /// The key that is missing, until it is known where.
    missing: Option<&'static str>,
    /// The key that nobody knows where it stands.
    unknown: Option<String>,
    place: Option<(Origin, String)>,
}

impl Fault {
    fn new(message: String) -> Self {
        Self { message, missing: None, unknown: None, place: None }
    }

    /// As told to people; at `key` unless it is known more closely.
    fn problem(self, node: &Node, key: &str) -> Problem {
        let (origin, key) = self.place.unwrap_or_else(|| (node.origin.clone(), key.to_owned()));
        Problem::new(origin, key, self.message)
    }

    /// Adds where it is, unless that is told more closely already.
    fn at(mut self, origin: &Origin, key: &str) -> Self {
        if self.place.is_none() {
            let key = self.missing.map_or_else(|| key.to_owned(), |missing| within(key, missing));
            self.place = Some((origin.clone(), key));
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let actual = match unexpected {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Char(_) | Unexpected::Str(_) => "a text",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a table",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Other(other) => other,
            _ => "that",
        };
        Self::new(format!("must be {}, not {actual}", words(expected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", words(expected)))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", words(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        // They are all listed, so a far-fetched one helps nobody.
        let near = nearest(variant, expected.iter().copied());
        let near = near.filter(|near| strsim::damerau_levenshtein(variant, near) * 2 <= near.len());
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Self::new(format!("must be {}{hint}", alternatives(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let near = nearest(field, expected.iter().copied()).unwrap_or_default();
        let message = format!("unknown key; did you mean {near}? Known here: {}", expected.join(", "));
        Self { unknown: Some(field.to_owned()), ..Self::new(message) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new("is missing".to_owned()) }
    }
}

/// What serde's own visitors call by the names of Rust.
fn words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "a string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "f64" => "a number".to_owned(),
        "a map" => "a table".to_owned(),
        structure if structure.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

impl<'de> de::Deserializer<'de> for Place<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) | Value::Variable(text) => visitor.visit_borrowed_str(text),
            Value::Date => Err(de::Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            Value::List(list) => visitor.visit_seq(Items { list: list.iter(), key: &self.key, index: 0 }),
            Value::Table(table) => visitor.visit_map(Entries { table: table.iter(), key: &self.key, value: None }),
        };
        result.map_err(|fault| fault.at(&self.node.origin, &self.key))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Variable(text) if text == "true" => visitor.visit_bool(true),
            Value::Variable(text) if text == "false" => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Variable(text) => match text.parse() {
                Ok(value) => visitor.visit_f64(value),
                Err(_) => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Variable(text) => {
                visitor.visit_seq(Parts(text.split(','))).map_err(|fault| fault.at(&self.node.origin, &self.key))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            // serde would take its items for the fields, in their order.
            Value::List(_) => {
                let fault: Fault = de::Error::invalid_type(Unexpected::Seq, &visitor);
                Err(fault.at(&self.node.origin, &self.key))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match &self.node.value {
            Value::Text(text) | Value::Variable(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(Fault::new(format!("must be {}", alternatives(variants)))),
        };
        result.map_err(|fault| fault.at(&self.node.origin, &self.key))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        map identifier
    }
}

struct Entries<'de, 'k> {
    table: btree_map::Iter<'de, String, Node>,
    key: &'k str,
    value: Option<(&'de str, &'de Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((name, node)) = self.table.next() else { return Ok(None) };
        self.value = Some((name, node));
        let key = seed.deserialize(name.as_str().into_deserializer());
        key.map(Some).map_err(|fault: Fault| fault.at(&node.origin, &within(self.key, name)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, node) = self.value.take().ok_or_else(|| Fault::new("has no value".to_owned()))?;
        let key = within(self.key, name);
        // What a type has against a value that it could read has no place yet.
        seed.deserialize(Place { node, key: key.clone() }).map_err(|fault| fault.at(&node.origin, &key))
    }
}

struct Items<'de, 'k> {
    list: slice::Iter<'de, Node>,
    key: &'k str,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.list.next() else { return Ok(None) };
        let key = format!("{}[{}]", self.key, self.index);
        self.index += 1;
        seed.deserialize(Place { node, key: key.clone() }).map(Some).map_err(|fault| fault.at(&node.origin, &key))
    }
}

/// The list that a variable holds, with commas between.
struct Parts<'de>(Split<'de, char>);

impl<'de> SeqAccess<'de> for Parts<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(part) = self.0.by_ref().map(str::trim).find(|part| !part.is_empty()) else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(part)).map(Some)
    }
}
