//! What each part of a document is for: requests, responses, both or nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use super::resolve;
use crate::{
    preflight::{METHODS, holds_values},
    source::escape,
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Usage {
    pub(super) request: bool,
    pub(super) response: bool,
}

impl Usage {
    pub(super) fn or(self, other: Self) -> Self {
        Self { request: self.request || other.request, response: self.response || other.response }
    }
}

/// The places that operations lead to, by themselves or through references, and in which direction.
pub(super) struct Uses(BTreeSet<(String, Usage)>);

impl Uses {
    pub(super) fn of(document: &Value) -> Self {
        let request = Usage { request: true, response: false };
        let response = Usage { request: false, response: true };
        let mut open = Vec::new();
        for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let Some(item) = resolve(document, &format!("/paths/{}", escape(path)), item) else { continue };
            open.push((format!("{}/parameters", item.pointer), request));
            for method in METHODS {
                for (part, usage) in [("parameters", request), ("requestBody", request), ("responses", response)] {
                    open.push((format!("{}/{method}/{part}", item.pointer), usage));
                }
            }
        }
        let mut uses = BTreeSet::new();
        while let Some((pointer, usage)) = open.pop() {
            if uses.insert((pointer.clone(), usage))
                && let Some(value) = document.pointer(&pointer)
            {
                // A list of parameters, and a map of responses, whose names have no meaning.
                references(value, pointer.ends_with("/responses"), &mut |reference| {
                    open.extend(reference.strip_prefix('#').map(|target| (target.to_owned(), usage)));
                });
            }
        }
        Self(uses)
    }

    pub(super) fn at(&self, pointer: &str) -> Usage {
        let above =
            |place: &str| pointer.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.iter().filter(|(place, _)| above(place)).fold(Usage::default(), |usage, (_, other)| usage.or(*other))
    }
}

/// The security schemes that a document asks for somewhere.
pub(super) fn security_names(document: &Value) -> BTreeSet<String> {
    let operations = operations(document).filter_map(|operation| operation.get("security"));
    document
        .get("security")
        .into_iter()
        .chain(operations)
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|alternative| alternative.keys().cloned())
        .collect()
}

pub(super) fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let items = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    items.flat_map(|(_, item)| METHODS.into_iter().filter_map(|method| item.get(method)))
}

/// Every `$ref` in `value`. In a map of `named` things no key has a meaning.
fn references(value: &Value, named: bool, found: &mut dyn FnMut(&str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, false, found)),
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").filter(|_| !named).and_then(Value::as_str) {
                found(reference);
            }
            for (key, value) in map.iter().filter(|(key, value)| named || !holds_values(key, value)) {
                references(value, !named && matches!(key.as_str(), "properties" | "headers"), found);
            }
        }
        _ => {}
    }
}
