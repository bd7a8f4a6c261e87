//! What isn't as OpenAPI 3.0 has it. The reader of the generator says so without the place where it reads one of several things,
//! so each part is read by itself, from the outside in.

use openapiv3 as v3;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Finding, openapi::METHODS, pointer::escape};

/// The first place that the generator's reader can't take, if there is one.
pub(super) fn check(document: &Value) -> Result<(), Finding> {
    let mut part = Part { pointer: String::new(), value: document, read: read::<v3::OpenAPI> };
    let Err(mut fault) = part.read() else { return Ok(()) };
    while let Some(inner) = part.parts().into_iter().find_map(|part| part.read().err().map(|fault| (part, fault))) {
        (part, fault) = inner;
    }
    // Where the reader tried several things, the member without which one of them fits.
    if fault.pointer.is_empty()
        && let Value::Object(members) = part.value
        && let Some((name, _)) = members.iter().find(|(name, _)| {
            let mut without = members.clone();
            without.remove(*name);
            (part.read)(&Value::Object(without)).is_ok()
        })
    {
        fault =
            Fault { pointer: format!("/{}", escape(name)), reason: format!("`{name}` can't be this, or not be here") };
    }
    let pointer = part.pointer + &fault.pointer;
    Err(Finding {
        pointer,
        operation: None,
        reason: format!("isn't as OpenAPI 3.0 has it: {}; correct it in the overlay", fault.reason),
    })
}

struct Fault {
    /// Within what was read.
    pointer: String,
    reason: String,
}

type Read = fn(&Value) -> Result<(), Fault>;

/// A part of a document that is of one kind.
struct Part<'a> {
    pointer: String,
    value: &'a Value,
    read: Read,
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<(), Fault> {
    let read: Result<T, _> = serde_path_to_error::deserialize(value);
    read.map(drop).map_err(|error| {
        let segments = error.path().iter().map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
            serde_path_to_error::Segment::Map { key } => format!("/{}", escape(key)),
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => String::new(),
        });
        Fault { pointer: segments.collect(), reason: error.inner().to_string() }
    })
}

impl<'a> Part<'a> {
    fn read(&self) -> Result<(), Fault> {
        (self.read)(self.value)
    }

    /// The parts of this one, in their order.
    fn parts(&self) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        for (name, value) in self.value.as_object().into_iter().flatten() {
            let pointer = format!("{}/{}", self.pointer, escape(name));
            let mut add = |pointer: String, value: &'a Value, read| {
                // One that leads elsewhere is read there.
                if value.get("$ref").is_none() {
                    parts.push(Part { pointer, value, read });
                }
            };
            let (each, read): (bool, Read) = match name.as_str() {
                "info" => (false, read::<v3::Info>),
                "components" => (false, read::<v3::Components>),
                "requestBody" => (false, read::<v3::RequestBody>),
                "schema" | "items" | "not" => (false, read::<v3::Schema>),
                "additionalProperties" if value.is_object() => (false, read::<v3::Schema>),
                method if METHODS.contains(&method) => (false, read::<v3::Operation>),
                "paths" => (true, read::<v3::PathItem>),
                "parameters" => (true, read::<v3::Parameter>),
                "responses" => (true, read::<v3::Response>),
                "requestBodies" => (true, read::<v3::RequestBody>),
                "headers" => (true, read::<v3::Header>),
                "content" => (true, read::<v3::MediaType>),
                "securitySchemes" => (true, read::<v3::SecurityScheme>),
                "schemas" | "properties" | "allOf" | "oneOf" | "anyOf" => (true, read::<v3::Schema>),
                _ => continue,
            };
            match value {
                Value::Object(members) if each => {
                    for (name, value) in
                        members.iter().filter(|(name, _)| !name.starts_with("x-") || name_is_free(&pointer))
                    {
                        add(format!("{pointer}/{}", escape(name)), value, read);
                    }
                }
                Value::Array(items) if each => {
                    for (index, value) in items.iter().enumerate() {
                        add(format!("{pointer}/{index}"), value, read);
                    }
                }
                _ if each => {}
                value => add(pointer, value, read),
            }
        }
        parts
    }
}

/// Whether a member of this may be called anything, and is no extension.
fn name_is_free(pointer: &str) -> bool {
    !["/paths", "/responses"].iter().any(|ending| pointer.ends_with(ending))
}
