//! The tree to settings, through serde, with a place and a key for everything that is wrong.

use std::{
    borrow::Borrow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map},
    fmt, slice,
};

use serde::{
    Deserialize,
    de::{
        self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::SeqDeserializer,
    },
    forward_to_deserialize_any,
};

use crate::{
    error::{Origin, Problem, add, parent, within},
    schema,
    spelling::Spelling,
    tree::{Node, Value},
};

/// Reads a table or a value of it, at `key` within the table that `spelling` is of.
pub(crate) fn read<'de, T: Deserialize<'de>>(node: &'de Node, spelling: &Spelling, key: &str) -> Result<T, Problem> {
    let place = node.get(key).unwrap_or(node);
    T::deserialize(Place { node: place, key: key.to_owned() }).map_err(|fault| fault.problem(node, spelling, None))
}

/// Returns all that is wrong with the table of a source or of the store: each mistake is removed from `node`, or replaced, until
/// the rest can be read. `kind` says which settings there are. Returns also the keys of consequences, which aren't reported
/// again: those that were replaced, and those that a misspelled key was meant to be.
pub(crate) fn read_all<T: DeserializeOwned>(
    node: &mut Node,
    spelling: &Spelling,
    kind: &str,
) -> (Vec<Problem>, BTreeSet<String>) {
    let mut problems: Vec<Problem> = Vec::new();
    let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
    let mut consequences = BTreeSet::new();
    loop {
        let fault = match T::deserialize(Place { node, key: String::new() }) {
            Ok(_) => return (problems, consequences),
            Err(fault) => fault,
        };
        let key = fault.key();
        let attempt = attempts.entry(key.clone()).or_default();
        let is_consequence = fault.missing.is_some() && *attempt == 0 && consequences.contains(&spelling.full(&key));
        let is_unknown = fault.unknown.is_some();
        if let Some((unknown, known)) = &fault.unknown {
            let near = nearest(unknown, known.iter().copied()).unwrap_or_default();
            consequences.insert(spelling.full(&within(parent(&key), near)));
        }
        if *attempt == 0 && !is_consequence {
            let problem = fault.problem(node, spelling, Some(kind));
            // Taking out a part can bring a problem of the whole, and the other way round.
            add(&mut problems, [Err(problem)]);
        }
        let origin = node.origin_of(&key).clone();
        match *attempt {
            // A table in which nothing is set; what it was to be is set all the same.
            0 if !is_unknown => node.set(&key, Node::empty_table(&origin)),
            // An item of a list has others behind it, whose place would change.
            0 | 1 if !key.ends_with(']') => node.remove(&key),
            0..=2 => node.set(&key, Node::text(&origin, "-")),
            3 => {
                node.set(&key, Node::empty_table(&origin));
                node.set(&within(&key, "env"), Node::text(&origin, "_"));
            }
            _ => return (problems, consequences),
        }
        consequences.insert(spelling.full(&key));
        *attempt += 1;
    }
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
pub(crate) fn alternatives<T: AsRef<str> + Borrow<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => format!("{} or {}", most.join(", "), last.as_ref()),
    }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// A node, and the key that leads to it.
struct Place<'de> {
    node: &'de Node,
    key: String,
}

impl<'de> Place<'de> {
    /// The text of a variable, which stands for whatever its setting takes.
    fn variable(&self) -> Option<&'de str> {
        if let Value::Variable(text) = &self.node.value { Some(text) } else { None }
    }
}

/// What serde has against it. Of values it is never told more than their type.
#[derive(Debug)]
struct Fault {
    message: String,
    /// The key that is missing, until it is known where.
    missing: Option<&'static str>,
    /// The key that is unknown where it stands, and those that are known there.
    unknown: Option<(String, &'static [&'static str])>,
    place: Option<String>,
}

impl Fault {
    fn new(message: String) -> Self {
        Self { message, missing: None, unknown: None, place: None }
    }

    /// Where it is, within the table that was read.
    fn key(&self) -> String {
        self.place.clone().unwrap_or_default()
    }

    /// In words for people. `kind` is that of the table, if a key can be right and yet stand in the wrong part of it.
    fn problem(self, node: &Node, spelling: &Spelling, kind: Option<&str>) -> Problem {
        let key = self.key();
        let mut message = self.message;
        if let Some((unknown, known)) = self.unknown {
            let belongs = kind.into_iter().flat_map(schema::settings);
            let belongs =
                belongs.filter(|(key, known)| !known.is_choice && last(key) == unknown).map(|(key, _)| key.clone());
            let mut belongs: Vec<_> = belongs.collect();
            let near = nearest(&unknown, known.iter().copied()).unwrap_or_default();
            let is_near = known.len() == 1 || strsim::damerau_levenshtein(near, &unknown) * 2 <= near.len();
            let near = within(parent(&key), near);
            let place = node.origin_of(&key).clone();
            if let Origin::Variable(variable) = &place {
                // Such as `__FILE` behind a name that is wrong.
                let rest = spelling.variable(&key).and_then(|own| variable.strip_prefix(&own)).unwrap_or_default();
                if belongs.is_empty() && !is_near {
                    let message = format!("isn't a setting here; known are {}", known.join(", ").to_ascii_uppercase());
                    return Problem::new(place, spelling.full(&key), message);
                }
                if belongs.is_empty() {
                    belongs.push(near);
                }
                let names: Vec<_> = belongs.iter().filter_map(|key| Some(spelling.variable(key)? + rest)).collect();
                let message = format!("isn't a setting; did you mean {}?", alternatives(&names));
                return Problem::new(place, spelling.full(&key), message);
            }
            message = if belongs.is_empty() {
                format!("unknown key; did you mean {}? Known here: {}", last(&near), known.join(", "))
            } else {
                let tables: Vec<_> = belongs.iter().map(|key| spelling.full(parent(key))).collect();
                format!("unknown key; {unknown} belongs into {}", alternatives(&tables))
            };
        }
        spelling.problem(node, &key, message)
    }

    /// Adds where it is, unless that is told more closely already.
    fn at(mut self, key: &str) -> Self {
        if self.place.is_none() {
            self.place = Some(self.missing.map_or_else(|| key.to_owned(), |missing| within(key, missing)));
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
        Self { unknown: Some((field.to_owned(), expected)), ..Self::new("unknown key".to_owned()) }
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
        result.map_err(|fault| fault.at(&self.key))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.variable().and_then(|text| text.parse().ok()) {
            Some(value) => visitor.visit_bool(value),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.variable().and_then(|text| text.parse().ok()) {
            Some(value) => visitor.visit_f64(value),
            None => self.deserialize_any(visitor),
        }
    }

    /// A variable holds a list with commas between its items.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.variable() else { return self.deserialize_any(visitor) };
        // Spaces alone: a line break or an invisible character is for the setting to refuse.
        let items = text.split(',').map(|item| item.trim_matches(' ')).filter(|item| !item.is_empty());
        visitor.visit_seq(SeqDeserializer::new(items)).map_err(|fault: Fault| fault.at(&self.key))
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
                Err(fault.at(&self.key))
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
        result.map_err(|fault| fault.at(&self.key))
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
        key.map(Some).map_err(|fault: Fault| fault.at(&within(self.key, name)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, node) = self.value.take().ok_or_else(|| Fault::new("has no value".to_owned()))?;
        let key = within(self.key, name);
        // What a type has against a value that it could read has no place yet.
        seed.deserialize(Place { node, key: key.clone() }).map_err(|fault| fault.at(&key))
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
        seed.deserialize(Place { node, key: key.clone() }).map(Some).map_err(|fault| fault.at(&key))
    }
}
