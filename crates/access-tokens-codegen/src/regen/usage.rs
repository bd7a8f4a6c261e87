//! Which operations use a component, by themselves or through other components.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::openapi::METHODS;

/// The operations that lead to each component, as `POST /token` by `/components/schemas/Token`.
#[derive(Debug, Default)]
pub(super) struct Usage(BTreeMap<String, BTreeSet<String>>);

impl Usage {
    /// Of several versions of a document, together.
    pub(super) fn of(documents: &[&Value]) -> Self {
        let mut usage = Self::default();
        for document in documents {
            for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
                for method in METHODS {
                    let Some(operation) = item.get(method) else { continue };
                    let mut open = Vec::new();
                    references(operation, &mut open);
                    if let Some(shared) = item.get("parameters") {
                        references(shared, &mut open);
                    }
                    open.extend(schemes(operation.get("security").or(document.get("security"))));
                    usage.follow(document, &format!("{} {path}", method.to_uppercase()), open);
                }
            }
        }
        usage
    }

    fn follow(&mut self, document: &Value, operation: &str, mut open: Vec<String>) {
        while let Some(component) = open.pop() {
            if self.0.entry(component.clone()).or_default().insert(operation.to_owned())
                && let Some(value) = document.pointer(&component)
            {
                references(value, &mut open);
            }
        }
    }

    /// The operations that use the component that `pointer` is in; `None` if it is in none.
    pub(super) fn at(&self, pointer: &str) -> Option<Vec<&str>> {
        let operations = self.0.get(&component(pointer)?);
        Some(operations.into_iter().flatten().map(String::as_str).collect())
    }
}

/// `/components/<kind>/<name>`, which `pointer` begins with.
fn component(pointer: &str) -> Option<String> {
    let segments: Vec<_> = pointer.split('/').take(4).collect();
    (segments.len() == 4 && segments.get(1) == Some(&"components")).then(|| segments.join("/"))
}

/// The components that `value` refers to, also as a discriminator does.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix('#').and_then(component)),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => members.values().for_each(|member| references(member, found)),
        _ => {}
    }
}

/// Security schemes are referred to by their names.
fn schemes(security: Option<&Value>) -> Vec<String> {
    let alternatives = security.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    alternatives.flat_map(|schemes| schemes.keys()).map(|name| format!("/components/securitySchemes/{name}")).collect()
}
