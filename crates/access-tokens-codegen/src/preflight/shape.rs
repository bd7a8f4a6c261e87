//! Objects as the generated types see them: what of a document they need, read and keep.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Node, Preflight};
use crate::pointer::escape;

/// Deeper than this nobody nests what is to be told apart.
const DEPTH: usize = 8;
/// More combinations than this nobody writes by hand; the rest isn't looked at.
const SHAPES: usize = 64;

/// One of the objects that a schema allows, its `allOf` merged.
#[derive(Clone, Default)]
pub(super) struct Shape<'a> {
    pub(super) properties: BTreeMap<&'a str, Node<'a>>,
    pub(super) required: BTreeSet<&'a str>,
    /// Refuses members that aren't declared.
    closed: bool,
    /// Has a field for members that aren't declared.
    extra: bool,
}

impl<'a> Shape<'a> {
    fn with(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        merged.properties.extend(other.properties.iter().map(|(name, node)| (*name, node.clone())));
        merged.required.extend(&other.required);
        merged.closed |= other.closed;
        merged.extra |= other.extra;
        merged
    }

    /// An object of which nothing is declared is kept whole.
    fn keeps_others(&self) -> bool {
        self.extra || self.properties.is_empty()
    }
}

impl<'a> Preflight<'a> {
    /// What `schema` allows, if that is objects.
    pub(super) fn shapes(&mut self, pointer: &str, schema: &'a Value, depth: usize) -> Option<Vec<Shape<'a>>> {
        let Node { pointer, value } = self.resolve(pointer, schema)?;
        let map = value.as_object()?;
        if map.get("type").is_some_and(|kind| kind != "object") || map.contains_key("enum") || depth > DEPTH {
            return None;
        }
        let mut own = Shape {
            closed: map.get("additionalProperties") == Some(&Value::Bool(false)),
            // As empty, it is as good as not there.
            extra: map.get("additionalProperties").and_then(Value::as_object).is_some_and(|map| !map.is_empty()),
            ..Shape::default()
        };
        for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let pointer = format!("{pointer}/properties/{}", escape(name));
            own.properties.insert(name, Node { pointer, value: property });
        }
        own.required.extend(list(map, "required").filter_map(Value::as_str));
        let mut shapes = vec![own];
        for (index, branch) in list(map, "allOf").enumerate() {
            let branch = self.shapes(&format!("{pointer}/allOf/{index}"), branch, depth + 1)?;
            shapes = combined(&shapes, &branch);
        }
        for key in ["oneOf", "anyOf"] {
            let mut any = Vec::new();
            for (index, branch) in list(map, key).enumerate() {
                any.extend(self.shapes(&format!("{pointer}/{key}/{index}"), branch, depth + 1)?);
            }
            if !any.is_empty() {
                shapes = combined(&shapes, &any);
            }
        }
        Some(shapes)
    }

    /// Of objects to choose from the generated types take the first that reads a document, whatever it drops. Of an `anyOf` of
    /// objects alone they take all, and write what several declare more than once, or they take one and no more.
    pub(super) fn choice(&mut self, pointer: &str, key: &str, branches: &'a [Value]) {
        let merges = key == "anyOf" && branches.iter().all(|branch| self.shapes(pointer, branch, 0).is_some());
        for (later, schema) in branches.iter().enumerate() {
            let place = format!("{pointer}/{key}/{later}");
            for (earlier, other) in branches.iter().enumerate().take(later) {
                if let Some(member) = self.lost(&format!("{pointer}/{key}/{earlier}"), other, &place, schema, 0) {
                    let reason = format!(
                        "the branch {earlier} before it reads this one's objects too, and drops `{member}`; put this one first \
                         if it then reads only its own, or have what tells them apart required, as an enum of one value"
                    );
                    self.find(&place, reason);
                    // What was on the way to it loses something, too.
                    self.compared.clear();
                    break;
                }
                if merges && self.together(&format!("{pointer}/{key}/{earlier}"), other, &place, schema) {
                    let reason = format!(
                        "an object that fits the branch {earlier}, too, is refused, or written with members twice; make one object of \
                         both, or a `oneOf` if only one may fit"
                    );
                    self.find(&place, reason);
                    break;
                }
            }
        }
    }

    /// A member that the type of `reader` drops from objects that `schema` allows.
    fn lost(&mut self, at: &str, reader: &'a Value, place: &str, schema: &'a Value, depth: usize) -> Option<String> {
        if depth > DEPTH {
            return None;
        }
        let (reader, schema) = (self.resolve(at, reader)?, self.resolve(place, schema)?);
        // The same loses nothing, and what was looked at once needn't be again.
        let pair = (reader.pointer.clone(), schema.pointer.clone());
        if reader.pointer == schema.pointer || !self.compared.insert(pair) {
            return None;
        }
        if let (Some(one), Some(other)) = (reader.value.get("items"), schema.value.get("items")) {
            let (at, place) = (format!("{}/items", reader.pointer), format!("{}/items", schema.pointer));
            return self.lost(&at, one, &place, other, depth + 1);
        }
        let readers = self.shapes(&reader.pointer, reader.value, depth)?;
        let objects = self.shapes(&schema.pointer, schema.value, depth)?;
        for reader in &readers {
            for object in &objects {
                if !self.reads(reader, object, depth) {
                    continue;
                }
                let undeclared = object.properties.keys().find(|name| !reader.properties.contains_key(*name));
                if let Some(name) = undeclared.filter(|_| !reader.keeps_others() && !reader.closed) {
                    return Some((*name).to_owned());
                }
                for (name, one) in &reader.properties {
                    let Some(other) = object.properties.get(name) else { continue };
                    if let Some(member) = self.lost(&one.pointer, one.value, &other.pointer, other.value, depth + 1) {
                        return Some(format!("{name}.{member}"));
                    }
                }
            }
        }
        None
    }

    /// Whether there are objects that fit both.
    fn together(&mut self, at: &str, one: &'a Value, place: &str, other: &'a Value) -> bool {
        let ones = self.shapes(at, one, 0).unwrap_or_default();
        let others = self.shapes(place, other, 0).unwrap_or_default();
        let fits = |closed: &Shape<'a>, other: &Shape<'a>| {
            !closed.closed || other.required.iter().all(|name| closed.properties.contains_key(name))
        };
        ones.iter().any(|one| {
            others.iter().any(|other| {
                let clash = one.properties.iter().any(|(name, mine)| {
                    let is_there = one.required.contains(name) || other.required.contains(name);
                    other.properties.get(name).filter(|_| is_there).is_some_and(|its| self.disjoint(mine, its, 0))
                });
                !clash && fits(one, other) && fits(other, one)
            })
        })
    }

    /// Whether the type of `reader` takes some of the objects that `object` describes.
    fn reads(&mut self, reader: &Shape<'a>, object: &Shape<'a>, depth: usize) -> bool {
        if reader.required.iter().any(|name| !object.properties.contains_key(name) && !object.extra) {
            return false;
        }
        if reader.closed && object.required.iter().any(|name| !reader.properties.contains_key(name)) {
            return false;
        }
        !reader.properties.iter().any(|(name, one)| {
            let is_there = object.required.contains(name) || reader.required.contains(name);
            object.properties.get(name).filter(|_| is_there).is_some_and(|other| self.disjoint(one, other, depth))
        })
    }

    /// Whether no value fits both.
    fn disjoint(&mut self, one: &Node<'a>, other: &Node<'a>, depth: usize) -> bool {
        let (Some(one), Some(other)) = (self.unwrapped(one), self.unwrapped(other)) else { return false };
        let pair = (one.pointer.clone(), other.pointer.clone());
        if one.pointer == other.pointer {
            return false;
        }
        if let Some(known) = self.disjoint.get(&pair) {
            return *known;
        }
        // Until it is known, as for what leads back here.
        self.disjoint.insert(pair.clone(), false);
        let disjoint = self.have_nothing_in_common(&one, &other, depth);
        self.disjoint.insert(pair, disjoint);
        disjoint
    }

    fn have_nothing_in_common(&mut self, one: &Node<'a>, other: &Node<'a>, depth: usize) -> bool {
        let nullable = |node: &Node<'a>| node.value.get("nullable") == Some(&Value::Bool(true));
        if nullable(one) && nullable(other) {
            return false;
        }
        let values = |node: &Node<'a>| node.value.get("enum").and_then(Value::as_array);
        if let (Some(ones), Some(others)) = (values(one), values(other)) {
            return !ones.iter().any(|value| others.contains(value));
        }
        let kind = |node: &Node<'a>| match node.value.get("type").and_then(Value::as_str) {
            Some("integer") => Some("number"),
            kind => kind,
        };
        match (kind(one), kind(other)) {
            (Some("object"), Some("object")) if depth < DEPTH => {
                let ones = self.shapes(&one.pointer, one.value, depth + 1).unwrap_or_default();
                let others = self.shapes(&other.pointer, other.value, depth + 1).unwrap_or_default();
                !ones.iter().any(|one| others.iter().any(|other| self.reads(one, other, depth + 1)))
            }
            (Some(one), Some(other)) => one != other,
            _ => false,
        }
    }

    /// Without references, and without an `allOf` of one that is there to give a reference a description.
    fn unwrapped(&mut self, node: &Node<'a>) -> Option<Node<'a>> {
        let node = self.resolve(&node.pointer, node.value)?;
        match node.value.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) if node.value.get("type").is_none() => {
                self.resolve(&format!("{}/allOf/0", node.pointer), only)
            }
            _ => Some(node),
        }
    }

    /// Members that only one way has, and the schema demands both ways: the type of the other can't be read, or be made without
    /// them. `way` is `readOnly` in a request, `writeOnly` in an answer.
    pub(super) fn one_way(&mut self, pointer: &str, schema: &'a Value, way: &'static str) {
        let Some(node) = self.resolve(pointer, schema) else { return };
        if !self.one_way.insert((way, node.pointer.clone())) {
            return;
        }
        for shape in self.shapes(&node.pointer, node.value, 0).unwrap_or_default() {
            for (name, property) in &shape.properties {
                let said = |node: &Node<'a>| node.value.get(way) == Some(&Value::Bool(true));
                let is_one_way = said(property) || self.unwrapped(property).is_some_and(|node| said(&node));
                if is_one_way && shape.required.contains(name) {
                    let what = if way == "writeOnly" { "no answer has it" } else { "no request may have it" };
                    self.find(
                        &property.pointer,
                        format!("is `{way}` and required, and {what}; take it out of `required`"),
                    );
                }
                self.one_way(&property.pointer, property.value, way);
            }
        }
        for key in ["items", "additionalProperties"] {
            if let Some(schema) = node.value.get(key) {
                self.one_way(&format!("{}/{key}", node.pointer), schema, way);
            }
        }
    }

    /// Each name in `required`, of the schema and of the branches that are written out in it, is one that it declares.
    pub(super) fn required(&mut self, pointer: &str, schema: &'a Value) {
        let mut declared = BTreeSet::new();
        self.declared(pointer, schema, &mut declared, 0);
        let mut places = vec![(pointer.to_owned(), schema)];
        while let Some((pointer, schema)) = places.pop() {
            let Some(map) = schema.as_object().filter(|map| !map.contains_key("$ref")) else { continue };
            for (index, name) in list(map, "required").enumerate() {
                if name.as_str().is_some_and(|name| !declared.contains(name)) {
                    self.find(
                        format!("{pointer}/required/{index}"),
                        format!("there is no property {name}, so it would be dropped; declare it, or take it out here"),
                    );
                }
            }
            for key in ["allOf", "oneOf", "anyOf"] {
                let branches = list(map, key).enumerate();
                places.extend(branches.map(|(index, branch)| (format!("{pointer}/{key}/{index}"), branch)));
            }
        }
    }

    fn declared(&mut self, pointer: &str, schema: &'a Value, names: &mut BTreeSet<&'a str>, depth: usize) {
        let Some(Node { pointer, value }) = self.resolve(pointer, schema) else { return };
        let Some(map) = value.as_object().filter(|_| depth <= DEPTH) else { return };
        names.extend(
            map.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str()),
        );
        for key in ["allOf", "oneOf", "anyOf"] {
            for branch in list(map, key) {
                self.declared(&pointer, branch, names, depth + 1);
            }
        }
    }
}

fn combined<'a>(ones: &[Shape<'a>], others: &[Shape<'a>]) -> Vec<Shape<'a>> {
    ones.iter().flat_map(|one| others.iter().map(|other| one.with(other))).take(SHAPES).collect()
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    map.get(key).and_then(Value::as_array).into_iter().flatten()
}
