//! What the generator can't use, found before it is called: each of these makes progenitor 0.15 panic, fail without a
//! place, or write code that doesn't compile, drops a request's meaning or prints a secret.

mod operation;
mod schema;
mod shape;
mod structure;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Error, Finding, invisible,
    openapi::{METHODS, NAMED, holds_values},
    pointer::escape,
};

/// Everything that the generator can't use in `document`, the contents of `file` as it gets them, as one error.
pub(crate) fn check(file: String, document: &Value) -> Result<(), Error> {
    let mut preflight = Preflight::new(document);
    preflight.run();
    if preflight.findings.is_empty()
        && let Err(finding) = structure::check(document)
    {
        preflight.find(finding.pointer, finding.reason);
    }
    let mut findings = preflight.findings;
    findings.sort();
    findings.dedup();
    if findings.is_empty() { Ok(()) } else { Err(Error::Preflight { file, findings }) }
}

/// Whether this is a document of the OpenAPI version that all else here speaks of.
fn version(document: &Value) -> Result<(), Finding> {
    let refused = |pointer: &str, reason: String| Err(Finding { pointer: pointer.to_owned(), operation: None, reason });
    match (document.get("openapi"), document.get("swagger")) {
        (Some(Value::String(version)), _) if version.trim().starts_with("3.0.") => Ok(()),
        (Some(version), _) if is_3_0(version) => refused(
            "/openapi",
            format!("the version must be text of three numbers, such as \"3.0.3\", and is {version}"),
        ),
        (Some(version), _) => {
            refused("/openapi", format!("version {version} isn't supported, only 3.0.x; convert the file to 3.0"))
        }
        (None, Some(version)) => refused(
            "/swagger",
            format!("Swagger {version} isn't supported, only OpenAPI 3.0.x; convert the file to 3.0"),
        ),
        (None, None) => refused("", "there is no `openapi` member; is it an OpenAPI file?".to_owned()),
    }
}

/// Whether it is meant for 3.0, which an overlay can put right.
fn is_3_0(version: &Value) -> bool {
    version.as_f64() == Some(3.0) || version.as_str().is_some_and(|version| version.trim() == "3.0")
}

#[cfg(feature = "regen")]
/// Whether it is a document of another kind, whatever an overlay corrects.
pub(crate) fn other_kind(document: &Value) -> Option<Finding> {
    version(document).err().filter(|_| !document.get("openapi").is_some_and(is_3_0))
}

struct Preflight<'a> {
    document: &'a Value,
    operation: Option<String>,
    /// The schemas that become types, by the type's name.
    types: BTreeMap<String, Node<'a>>,
    /// What was looked at for members that only one way has: `readOnly` or `writeOnly`, and the pointer.
    one_way: BTreeSet<(&'static str, String)>,
    /// Of two schemas, by their pointers, whether no value fits both.
    disjoint: BTreeMap<(String, String), bool>,
    /// The schemas that were compared for what one of them drops of the other.
    compared: BTreeSet<(String, String)>,
    findings: Vec<Finding>,
}

/// A node after its `$ref`s were followed, with the pointer of where it really stands.
#[derive(Clone)]
struct Node<'a> {
    pointer: String,
    value: &'a Value,
}

impl<'a> Preflight<'a> {
    fn new(document: &'a Value) -> Self {
        Self {
            document,
            operation: None,
            types: BTreeMap::new(),
            one_way: BTreeSet::new(),
            disjoint: BTreeMap::new(),
            compared: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    fn find(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        let pointer = pointer.into();
        let operation = self.operation.clone().or_else(|| self.operation_at(&pointer));
        self.findings.push(Finding { pointer, operation, reason: reason.into() });
    }

    /// The operation that a pointer leads into.
    fn operation_at(&self, pointer: &str) -> Option<String> {
        let mut segments = pointer.strip_prefix("/paths/")?.split('/');
        let (path, method) = (segments.next()?, segments.next().filter(|segment| METHODS.contains(segment))?);
        let operation = self.document.pointer(&format!("/paths/{path}/{method}"))?;
        Some(called(operation, method, &path.replace("~1", "/").replace("~0", "~")))
    }

    fn run(&mut self) {
        if let Err(finding) = version(self.document) {
            // Everything below is written for 3.0.
            self.findings.push(finding);
            return;
        }
        self.invisible(self.document, "");
        if !self.findings.is_empty() {
            // What is said of names below would hold them too.
            return;
        }
        match self.document.pointer("/info/version").and_then(Value::as_str) {
            Some(version) if version.bytes().all(|b| (0x20..0x7f).contains(&b)) => {}
            Some(_) => self.find("/info/version", "a version outside ASCII makes every call of the client panic"),
            None => self.find("/info", "`version` must be text"),
        }
        self.references(self.document, "", false);
        self.component_schemas();
        self.operations();
    }

    /// What wasn't stripped goes on the wire, or decides what does.
    fn invisible(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::String(text) => self.refuse_invisible(text, pointer, "value"),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.invisible(item, &format!("{pointer}/{index}"));
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let place = format!("{pointer}/{}", escape(name));
                    self.refuse_invisible(name, &place, "name");
                    self.invisible(member, &place);
                }
            }
            _ => {}
        }
    }

    fn refuse_invisible(&mut self, text: &str, pointer: &str, what: &str) {
        let characters = invisible::characters(text);
        if !characters.is_empty() {
            let codes = invisible::code_points(&characters);
            self.find(pointer, format!("the {what} holds {codes}, which nobody sees; write it anew in the overlay"));
        }
    }

    /// Every `$ref` leads to a component of this file. In a map of `named` things no key has a meaning.
    fn references(&mut self, value: &'a Value, pointer: &str, named: bool) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.references(item, &format!("{pointer}/{index}"), false);
                }
            }
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref").filter(|_| !named)
                    && self.component(reference).is_none()
                {
                    let reason = if reference.starts_with('#') {
                        "isn't a component of this file (#/components/<kind>/<name>); make it one in the overlay"
                    } else {
                        "leads out of this file; put what it leads to into the overlay, as a component"
                    };
                    self.find(format!("{pointer}/$ref"), format!("`{reference}` {reason}"));
                }
                for (key, value) in map.iter().filter(|(key, value)| named || !holds_values(key, value)) {
                    let names = !named && NAMED.contains(&key.as_str());
                    self.references(value, &format!("{pointer}/{}", escape(key)), names);
                }
            }
            _ => {}
        }
    }

    fn component(&self, reference: &str) -> Option<Node<'a>> {
        let pointer = reference.strip_prefix('#')?;
        let mut segments = pointer.split('/').skip(1);
        (segments.next()? == "components" && segments.count() == 2).then_some(())?;
        Some(Node { pointer: pointer.to_owned(), value: self.document.pointer(pointer)? })
    }

    /// Follows `$ref`s. `None` where one leads nowhere (reported by [`Self::references`]) or in a circle.
    fn resolve(&mut self, pointer: &str, mut value: &'a Value) -> Option<Node<'a>> {
        let mut place = pointer.to_owned();
        for _ in 0..32 {
            match value.get("$ref").and_then(Value::as_str) {
                None => return Some(Node { pointer: place, value }),
                Some(reference) => {
                    let node = self.component(reference)?;
                    (place, value) = (node.pointer, node.value);
                }
            }
        }
        self.find(pointer, "the reference leads in a circle");
        None
    }
}

/// An operation as people know it: its `operationId` or `METHOD /path`.
fn called(operation: &Value, method: &str, path: &str) -> String {
    let id = operation.get("operationId").and_then(Value::as_str);
    id.map_or_else(|| format!("{} {path}", method.to_uppercase()), ToOwned::to_owned)
}
