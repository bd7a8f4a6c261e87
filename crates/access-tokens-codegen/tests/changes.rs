//! The list of what changed between two documents: nothing is left out of it, and nothing is in it that didn't change.
#![cfg(test)]

use std::{cmp::Reverse, fs};

use access_tokens_codegen::{SpecChange, spec_changes};
use proptest::{
    prelude::{Strategy, any},
    prop_oneof,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

/// One edit as a provider may make it, at places that chance chooses.
#[derive(Debug, Clone)]
enum Edit {
    Remove(Index),
    Replace(Index, Value),
    /// A member gets another name, and keeps its place.
    Rename(Index, String),
    Add(Index, String, Value),
    Copy(Index, Index),
    /// A list in another order.
    Turn(Index, usize),
    /// A name, or the text at a place, in upper case.
    Shout(Index),
}

#[test]
fn applied_to_the_old_document_the_list_gives_the_new_one() {
    let documents: Vec<Value> = [
        "../../specs/onence.openapi.yaml",
        "../../specs/worldline.openapi.yaml",
        "../../tests/fixtures/third/sims.openapi.yaml",
        "tests/harmless.yaml",
    ]
    .into_iter()
    .map(|file| serde_yaml::from_str(&fs::read_to_string(file).expect(file)).expect(file))
    .collect();
    let value = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        proptest::sample::select(vec!["", "a", "b/c~d", "header", "X-A"]).prop_map(Value::from),
        proptest::sample::select(vec![
            json!(null),
            json!([]),
            json!({}),
            json!(["a", "b", "a"]),
            json!({"$ref": "#/a"})
        ]),
        proptest::sample::select(vec![
            json!({"in": "header", "name": "X-A", "schema": {"enum": [1, 2]}}),
            json!([{"in": "header", "name": "X-A"}, {"in": "query", "name": "a", "required": true}]),
            json!({"oneOf": [{"type": "string"}, {"type": "object", "required": ["a", "b"]}]}),
        ]),
    ];
    let name = proptest::sample::select(vec![
        "a",
        "b/c~d",
        "enum",
        "required",
        "tags",
        "parameters",
        "headers",
        "x-a",
        "X-A",
        "properties",
        "oneOf",
        "in",
        "name",
        "example",
    ]);
    let (name, place) = (name.prop_map(ToOwned::to_owned), any::<Index>);
    let edit = prop_oneof![
        place().prop_map(Edit::Remove),
        (place(), value.clone()).prop_map(|(place, value)| Edit::Replace(place, value)),
        (place(), name.clone()).prop_map(|(place, name)| Edit::Rename(place, name)),
        (place(), name, value).prop_map(|(place, name, value)| Edit::Add(place, name, value)),
        (place(), place()).prop_map(|(from, to)| Edit::Copy(from, to)),
        (place(), 1_usize..4).prop_map(|(place, by)| Edit::Turn(place, by)),
        place().prop_map(Edit::Shout),
    ];
    let edits = (any::<Index>(), proptest::collection::vec(edit, 0..8));
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    runner
        .run(&edits, |(document, edits)| {
            let old = document.get(&documents).clone();
            let mut new = old.clone();
            for edit in &edits {
                make(&mut new, edit);
            }
            let changes = spec_changes(&old, &new);
            for change in &changes {
                assert_ne!(change.old, change.new, "{}", change.pointer);
                assert!(
                    change.old.is_none() || old.pointer(&change.pointer) == change.old.as_ref(),
                    "{}",
                    change.pointer
                );
            }
            let same = meaning("", &applied(old.clone(), &changes)) == meaning("", &new);
            assert!(same, "{edits:?} gives {changes:#?}");
            if old == new {
                assert_eq!(changes, []);
            }
            Ok(())
        })
        .unwrap();
}

fn make(document: &mut Value, edit: &Edit) {
    let place = |document: &Value, index: &Index| {
        let mut all = Vec::new();
        places(document, String::new(), &mut all);
        if let Edit::Turn(..) = edit {
            all.retain(|pointer| document.pointer(pointer).is_some_and(Value::is_array));
        }
        if all.is_empty() { String::new() } else { index.get(&all).clone() }
    };
    let (Edit::Remove(index)
    | Edit::Replace(index, _)
    | Edit::Rename(index, _)
    | Edit::Add(index, ..)
    | Edit::Copy(_, index)
    | Edit::Turn(index, _)
    | Edit::Shout(index)) = edit;
    let pointer = place(document, index);
    let (parent, last) = pointer.rsplit_once('/').map_or(("", ""), |(parent, last)| (parent, last));
    let last = last.replace("~1", "/").replace("~0", "~");
    let copied = if let Edit::Copy(from, _) = edit { document.pointer(&place(document, from)).cloned() } else { None };
    let rename = |document: &mut Value, name: &str| {
        if let Some(Value::Object(members)) = document.pointer_mut(parent) {
            let renamed = |(key, value)| (if key == last { name.to_owned() } else { key }, value);
            *members = std::mem::take(members).into_iter().map(renamed).collect();
        }
    };
    match edit {
        _ if pointer.is_empty() => {}
        Edit::Remove(_) => match document.pointer_mut(parent).unwrap() {
            Value::Array(items) => drop(items.remove(last.parse().unwrap())),
            Value::Object(members) => drop(members.shift_remove(&last)),
            _ => {}
        },
        Edit::Replace(_, value) => *document.pointer_mut(&pointer).unwrap() = value.clone(),
        Edit::Rename(_, name) => rename(document, name),
        Edit::Add(_, name, value) => match document.pointer_mut(&pointer).unwrap() {
            Value::Array(items) => items.insert(items.len() / 2, value.clone()),
            Value::Object(members) => drop(members.insert(name.clone(), value.clone())),
            _ => {}
        },
        Edit::Copy(..) => *document.pointer_mut(&pointer).unwrap() = copied.unwrap(),
        Edit::Turn(_, by) => match document.pointer_mut(&pointer).unwrap() {
            Value::Array(items) if !items.is_empty() => {
                let by = by % items.len();
                items.rotate_left(by);
            }
            _ => {}
        },
        Edit::Shout(_) => match document.pointer_mut(&pointer).unwrap() {
            Value::String(text) => *text = text.to_uppercase(),
            _ => rename(document, &last.to_uppercase()),
        },
    }
}

fn places(value: &Value, pointer: String, all: &mut Vec<String>) {
    for (name, member) in children(value) {
        places(member, format!("{pointer}/{name}"), all);
    }
    all.push(pointer);
}

fn children(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member)).collect()
        }
        _ => Vec::new(),
    }
}

/// As the docs of `SpecChange` say.
fn applied(mut document: Value, changes: &[SpecChange]) -> Value {
    let split = |pointer: &str| {
        let (parent, last) = pointer.rsplit_once('/').expect("a member");
        (parent.to_owned(), last.replace("~1", "/").replace("~0", "~"))
    };
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for SpecChange { pointer, old, new, .. } in changes {
        match (old, new) {
            (Some(_), Some(new)) => *document.pointer_mut(pointer).expect(pointer) = new.clone(),
            (Some(_), None) => removed.push(split(pointer)),
            (None, new) => added.push((split(pointer), new.clone().expect("a change"))),
        }
    }
    let mut parents: Vec<_> =
        removed.iter().chain(added.iter().map(|(place, _)| place)).map(|(parent, _)| parent.clone()).collect();
    parents.sort_by_key(|parent| Reverse(parent.matches('/').count()));
    parents.dedup();
    let mut done = std::collections::BTreeSet::new();
    for parent in parents {
        if !done.insert(parent.clone()) {
            continue;
        }
        let from = removed.iter().filter(|(other, _)| *other == parent).map(|(_, name)| name);
        let to =
            added.iter().filter(|((other, _), _)| *other == parent).map(|((_, name), value)| (name, value.clone()));
        match document.pointer_mut(&parent).expect(&parent) {
            Value::Array(items) => {
                let mut from: Vec<usize> = from.map(|index| index.parse().unwrap()).collect();
                from.sort_by_key(|index| Reverse(*index));
                from.into_iter().for_each(|index| drop(items.remove(index)));
                let mut to: Vec<(usize, Value)> = to.map(|(index, value)| (index.parse().unwrap(), value)).collect();
                to.sort_by_key(|(index, _)| *index);
                to.into_iter().for_each(|(index, value)| items.insert(index.min(items.len()), value));
            }
            Value::Object(members) => {
                from.for_each(|name| drop(members.shift_remove(name)));
                members.extend(to.map(|(name, value)| (name.clone(), value)));
            }
            other => panic!("{parent} is {other}"),
        }
    }
    document
}

/// The document without what has no meaning, written apart from what is tested: the order of members and of some lists, and the
/// case of header names.
fn meaning(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            // Components are referred to by their names as they are written.
            let called = |inner: &str| if name == "components" { String::new() } else { inner.to_owned() };
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| (name.clone(), meaning(&called(name), value))).collect();
            if members.iter().any(|member| *member == ("in".to_owned(), json!("header"))) {
                for (_, value) in members.iter_mut().filter(|(name, _)| name == "name") {
                    *value = value.as_str().map_or(value.clone(), |text| json!(text.to_ascii_lowercase()));
                }
            }
            if name == "headers" {
                members.iter_mut().for_each(|(name, _)| *name = name.to_ascii_lowercase());
            }
            members.sort_by_key(|(name, value)| (name.clone(), value.to_string()));
            // As a list, since two headers of one name may differ in its case.
            Value::Array(members.into_iter().map(|(name, value)| json!([name, value])).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(|item| meaning("", item)).collect();
            if ["required", "enum", "tags", "parameters"].contains(&name) {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        value => value.clone(),
    }
}

/// What a person reads: one thing is one change, with the place where it was.
#[test]
fn each_kind_of_edit_is_told_at_its_place() {
    let schema = |schema: Value| json!({"components": {"schemas": {"A": schema}}});
    let cases = [
        (schema(json!({"required": ["a", "b"]})), schema(json!({"required": ["b", "a"]})), vec![]),
        (schema(json!({"enum": [1, 2]})), schema(json!({"enum": [2, 3]})), vec!["-/enum/0", "+/enum/1"]),
        (schema(json!({"oneOf": [1, 2]})), schema(json!({"oneOf": [2, 1]})), vec!["+/oneOf/0", "-/oneOf/1"]),
        (
            schema(json!({"oneOf": [{"title": "A", "x": 1}, {"title": "B"}]})),
            schema(json!({"oneOf": [{"title": "Z"}, {"title": "A", "x": 2}, {"title": "B"}]})),
            vec!["+/oneOf/0", "~/oneOf/0/x"],
        ),
        (
            json!({"parameters": [{"in": "header", "name": "X-A"}, {"in": "query", "name": "q", "required": true}]}),
            json!({"parameters": [{"in": "query", "name": "q"}, {"in": "header", "name": "x-a"}]}),
            vec!["-/parameters/1/required"],
        ),
        (
            json!({"components": {"headers": {"Rate": 1}}}),
            json!({"components": {"headers": {"RATE": 1}}}),
            vec!["-/components/headers/Rate", "+/components/headers/RATE"],
        ),
        (json!({"headers": {"X-A": {"a": 1}}}), json!({"headers": {"x-a": {"a": 2}}}), vec!["~/headers/X-A/a"]),
        // A property may be called as a keyword.
        (
            schema(json!({"properties": {"enum": [1, 2]}})),
            schema(json!({"properties": {"enum": [2, 1]}})),
            vec!["+/properties/enum/0", "-/properties/enum/1"],
        ),
        (
            schema(json!({"example": {"tags": [1, 2]}})),
            schema(json!({"example": {"tags": [2, 1]}})),
            vec!["+/example/tags/0", "-/example/tags/1"],
        ),
        (json!({"a": {"$ref": "#/x"}}), json!({"a": {"$ref": "#/y"}}), vec!["~/a/$ref"]),
        (json!({"a": {"type": "object", "properties": {}}}), json!({"a": {"$ref": "#/y"}}), vec!["~/a"]),
        (json!({"a/b~": 1}), json!({"a/b~": 1.0}), vec!["~/a~1b~0"]),
    ];
    for (old, new, expected) in cases {
        let told: Vec<_> = spec_changes(&old, &new)
            .into_iter()
            .map(|SpecChange { pointer, old, new, .. }| {
                let sign = if old.is_none() {
                    '+'
                } else if new.is_none() {
                    '-'
                } else {
                    '~'
                };
                format!("{sign}{}", pointer.trim_start_matches("/components/schemas/A"))
            })
            .collect();
        assert_eq!(told, expected, "{old} -> {new}");
    }
}
