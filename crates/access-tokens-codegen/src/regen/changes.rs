//! What changed between two versions of a document: every place, and nothing but places.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use crate::{openapi::NAMED, pointer::escape};

/// One place at which two versions of a document differ.
///
/// A list of these makes the new document of the old one: change and add members; then, the innermost lists first, take out of
/// each list what was removed, from its end on, and put in what was added, from its beginning on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpecChange {
    /// JSON pointer (RFC 6901) into the old document; of what was added the last segment is the new document's.
    pub pointer: String,
    /// The old value; `None` if it was added.
    pub old: Option<Value>,
    /// The new value; `None` if it was removed.
    pub new: Option<Value>,
    /// Whether it is an element of a list.
    pub(super) in_list: bool,
}

/// Everything that differs between two versions of an OpenAPI document, in the order of the old one, but for what has no meaning:
/// the order of members and of `required`, `enum`, `tags` and `parameters`, and the case of header names. References are compared
/// as they are written.
///
/// ```
/// use serde_json::json;
/// let changes = access_tokens_codegen::spec_changes(&json!({"openapi": "3.0.0"}), &json!({"openapi": "3.0.1"}));
/// assert_eq!((changes.len(), &*changes[0].pointer, &changes[0].new), (1, "/openapi", &Some(json!("3.0.1"))));
/// ```
pub fn spec_changes(before: &Value, now: &Value) -> Vec<SpecChange> {
    let mut changes = Vec::new();
    compare(String::new(), Kind::Api, before, now, &mut changes);
    changes
}

impl SpecChange {
    fn one(pointer: String, old: Option<&Value>, new: Option<&Value>) -> Self {
        Self { pointer, old: old.cloned(), new: new.cloned(), in_list: false }
    }

    /// Whether only people read what changed.
    pub(crate) fn is_words(&self) -> bool {
        let mut kind = Kind::Api;
        for segment in self.pointer.split('/').skip(1) {
            if kind == Kind::Api && matches!(segment, "title" | "summary" | "description") {
                return true;
            }
            kind = kind.of(segment, false);
        }
        false
    }
}

/// What stands at a place in an OpenAPI document.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// An object whose members' names have a meaning, or a list of such objects.
    Api,
    /// The maps of what can be referred to, by names that keep their case.
    Components,
    /// A map from names that somebody chose; as headers, in any case.
    Named { headers: bool },
    /// A list whose order has no meaning: of values, or of objects.
    Set { values: bool },
    /// A value, of which nothing but its members' order has no meaning.
    Value,
}

impl Kind {
    /// What the member `name` is.
    pub(super) fn of(self, name: &str, is_list: bool) -> Self {
        match (self, name) {
            (Self::Value | Self::Set { values: true }, _) => Self::Value,
            (Self::Named { .. }, _) => Self::Api,
            (Self::Components, _) => Self::Named { headers: false },
            (_, "components") => Self::Components,
            (_, "enum") => Self::Set { values: true },
            (_, "example" | "examples" | "default") => Self::Value,
            (_, name) if name.starts_with("x-") => Self::Value,
            (_, "required" | "tags" | "parameters") if is_list => Self::Set { values: false },
            (_, "headers") => Self::Named { headers: true },
            (_, name) if NAMED.contains(&name) => Self::Named { headers: false },
            _ => Self::Api,
        }
    }

    /// What each element of a list of this kind is.
    fn of_element(self) -> Self {
        if matches!(self, Self::Value | Self::Set { values: true }) { Self::Value } else { Self::Api }
    }
}

fn compare(pointer: String, kind: Kind, before: &Value, now: &Value, changes: &mut Vec<SpecChange>) {
    // A reference in place of something else, or the other way round, has no members in common with it.
    let is_reference = |object: &Map<String, Value>| kind == Kind::Api && object.contains_key("$ref");
    match (before, now) {
        (Value::Object(before), Value::Object(now)) if is_reference(before) == is_reference(now) => {
            members(&pointer, kind, before, now, changes)
        }
        (Value::Array(before), Value::Array(now)) => elements(&pointer, kind, before, now, changes),
        (before, now) if before == now => {}
        (before, now) => changes.push(SpecChange::one(pointer, Some(before), Some(now))),
    }
}

fn members(
    pointer: &str,
    kind: Kind,
    before: &Map<String, Value>,
    now: &Map<String, Value>,
    changes: &mut Vec<SpecChange>,
) {
    let place = |name: &str| format!("{pointer}/{}", escape(name));
    // The name of a header has no case, whether it is a member's name or a parameter's `name`.
    let same_header = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    let is_header = |object: &Map<String, Value>| object.get("in").is_some_and(|place| place == "header");
    let named_header = kind == Kind::Api && is_header(before) && is_header(now);
    let headers = kind == (Kind::Named { headers: true });
    let mut added: Vec<_> = now.iter().filter(|(name, _)| !before.contains_key(*name)).collect();
    for (name, old) in before {
        let other = now.get(name).or_else(|| {
            let other = added.iter().position(|(other, _)| headers && same_header(name, other))?;
            Some(added.remove(other).1)
        });
        match (old, other) {
            (Value::String(old), Some(Value::String(new)))
                if named_header && name == "name" && same_header(old, new) => {}
            (old, Some(new)) => compare(place(name), kind.of(name, old.is_array()), old, new, changes),
            (old, None) => changes.push(SpecChange::one(place(name), Some(old), None)),
        }
    }
    let added = added.into_iter();
    changes.extend(added.map(|(name, new)| SpecChange::one(place(name), None, Some(new))));
}

/// Elements that are the same in both lists stay; of the others those are compared that stand for the same thing.
fn elements(pointer: &str, kind: Kind, before: &[Value], now: &[Value], changes: &mut Vec<SpecChange>) {
    let element = kind.of_element();
    let written = |values: &[Value]| values.iter().map(|value| canonical(element, value)).collect::<Vec<_>>();
    let (before_written, now_written) = (written(before), written(now));
    // Places in both lists between two elements that are the same.
    let mut gaps: Vec<(VecDeque<usize>, VecDeque<usize>)> = Vec::new();
    let order_counts = !matches!(kind, Kind::Set { .. });
    if !order_counts {
        let mut rest: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
        for (index, value) in now_written.iter().enumerate() {
            rest.entry(value).or_default().push_back(index);
        }
        let mut take = |value: &str| rest.get_mut(value).and_then(VecDeque::pop_front);
        let gone = before_written.iter().enumerate().filter(|(_, value)| take(value).is_none());
        let gone = gone.map(|(index, _)| index).collect();
        let mut come: Vec<_> = rest.into_values().flatten().collect();
        come.sort_unstable();
        gaps.push((gone, come.into()));
    } else {
        // Two long lists that have nothing in common would take minutes; then more of them counts as come and gone.
        let deadline = Some(Instant::now() + Duration::from_secs(5));
        for op in capture_diff_slices_deadline(Algorithm::Myers, &before_written, &now_written, deadline) {
            if !matches!(op, DiffOp::Equal { .. }) {
                gaps.push((op.old_range().collect(), op.new_range().collect()));
            }
        }
    }
    let element_change = |index: usize, old: Option<&Value>, new: Option<&Value>| SpecChange {
        in_list: true,
        ..SpecChange::one(format!("{pointer}/{index}"), old, new)
    };
    let added = |new: usize| element_change(new, None, now.get(new));
    let names: Vec<_> = now.iter().map(name_of).collect();
    for (gone, mut come) in gaps {
        let in_order = order_counts && gone.len() == come.len();
        for index in gone {
            let Some(old) = before.get(index) else { continue };
            let other = if in_order {
                Some(0)
            } else {
                let name = name_of(old);
                come.iter().position(|new| name.is_some() && names.get(*new) == Some(&name))
            };
            let new = match other {
                Some(passed) if order_counts => {
                    changes.extend(come.drain(..passed).map(added));
                    come.pop_front()
                }
                other => other.and_then(|other| come.remove(other)),
            };
            match new.and_then(|new| now.get(new)) {
                Some(new) => compare(format!("{pointer}/{index}"), element, old, new, changes),
                None => changes.push(element_change(index, Some(old), None)),
            }
        }
        changes.extend(come.into_iter().map(added));
    }
}

/// What an element of a list is called, by which it is the same thing though it differs.
fn name_of(value: &Value) -> Option<(Option<String>, String)> {
    let text = |key| Some(value.get(key)?.as_str()?.to_owned());
    let parameter = || {
        let (place, name) = (text("in"), text("name")?);
        Some(if place.as_deref() == Some("header") { (place, name.to_ascii_lowercase()) } else { (place, name) })
    };
    parameter()
        .or_else(|| ["$ref", "title", "url"].into_iter().find_map(|key| Some((Some(key.to_owned()), text(key)?))))
}

/// The value as text that is the same for all that has the same meaning.
pub(super) fn canonical(kind: Kind, value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let header = kind == Kind::Api && members.get("in").is_some_and(|place| place == "header");
            let member = |(name, value): (&String, &Value)| match value {
                Value::String(text) if header && name == "name" => {
                    (name.clone(), json_text(&text.to_ascii_lowercase()))
                }
                value => {
                    let written = canonical(kind.of(name, value.is_array()), value);
                    (
                        if kind == (Kind::Named { headers: true }) { name.to_ascii_lowercase() } else { name.clone() },
                        written,
                    )
                }
            };
            let mut members: Vec<_> = members.iter().map(member).collect();
            members.sort();
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", json_text(name))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let mut elements: Vec<_> = elements.iter().map(|value| canonical(kind.of_element(), value)).collect();
            if matches!(kind, Kind::Set { .. }) {
                elements.sort();
            }
            format!("[{}]", elements.join(","))
        }
        value => value.to_string(),
    }
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}
