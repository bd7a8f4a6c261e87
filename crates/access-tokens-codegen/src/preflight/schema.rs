//! Schemas: what the generator makes of them, and under which name.

use std::collections::{BTreeMap, BTreeSet};

use heck::{ToPascalCase, ToSnakeCase};
use serde_json::{Map, Value};

use super::{Node, Preflight};
use crate::pointer::escape;

impl<'a> Preflight<'a> {
    pub(super) fn component_schemas(&mut self) {
        let Some(schemas) = self.document.pointer("/components/schemas").and_then(Value::as_object) else { return };
        self.one_rust_name("/components/schemas", schemas.keys(), "schemas", rust_type);
        for (name, schema) in schemas {
            let pointer = format!("/components/schemas/{}", escape(name));
            let hidden = match rust_type(name).as_str() {
                "Default" => Some("a type called `Default` hides the trait"),
                "Ok" | "Err" => Some("a type called `Ok` or `Err` hides the results"),
                _ => None,
            };
            if let Some(hidden) = hidden {
                self.find(&pointer, format!("{hidden} that generated code uses; rename it"));
            }
            let titled =
                schema.get("title").and_then(Value::as_str).is_some_and(|title| rust_type(title) == rust_type(name));
            let nullable = schema.get("nullable") == Some(&Value::Bool(true));
            if titled && nullable {
                let reason = "with `nullable`, it would become an option of itself; give it another title, or none";
                self.find(format!("{pointer}/title"), reason);
            }
            if nullable && (schema.get("oneOf").is_some() || schema.get("anyOf").is_some()) {
                let reason = "a choice that may be null would become two types of one name; remove `nullable`, and have it where \
                              the choice is used, beside an `allOf` of it";
                self.find(format!("{pointer}/nullable"), reason);
            }
            self.types.insert(rust_type(name), Node { pointer: pointer.clone(), value: schema });
            self.circle(name, &pointer, schema);
        }
        for (name, schema) in schemas {
            self.schema(&format!("/components/schemas/{}", escape(name)), schema, name);
        }
    }

    /// A schema and all that it holds; references are checked where they lead. Unless it has a `title`, its type would be
    /// called after `name`.
    pub(super) fn schema(&mut self, pointer: &str, schema: &'a Value, name: &str) {
        self.required(pointer, schema);
        self.schema_or_branch(pointer, schema, name);
    }

    /// The same for a branch, whose `required` may name what others declare.
    fn schema_or_branch(&mut self, pointer: &str, schema: &'a Value, name: &str) {
        let Some(map) = schema.as_object() else { return };
        if map.contains_key("$ref") {
            return;
        }
        let name = self.type_name(pointer, schema, name);
        const TYPES: [&str; 6] = ["boolean", "object", "array", "number", "string", "integer"];
        if let Some(kind) = map.get("type")
            && kind.as_str().is_none_or(|kind| !TYPES.contains(&kind))
        {
            self.find(format!("{pointer}/type"), format!("{kind} isn't a type of OpenAPI 3.0"));
        }
        for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
            if map.get(exclusive) == Some(&Value::Bool(true)) && !map.contains_key(bound) {
                self.find(pointer, format!("`{exclusive}` has no meaning without `{bound}`"));
            }
        }
        self.values(pointer, schema, map);
        if map.get("type").is_some_and(|kind| kind == "boolean") && map.contains_key("format") {
            self.find(format!("{pointer}/format"), "the generator knows no `format` of a boolean; remove it");
        }
        let structured = ["properties", "additionalProperties", "items"].iter().any(|key| map.contains_key(*key));
        let structured = structured || map.get("type").is_some_and(|kind| kind == "object" || kind == "array");
        if structured && map.get("format").is_some_and(Value::is_string) {
            self.find(format!("{pointer}/format"), "the generator knows no `format` of an object or array; remove it");
        }
        let choices = || ["oneOf", "anyOf"].into_iter().filter_map(|key| Some((key, map.get(key)?.as_array()?)));
        if choices().next().is_some() && map.contains_key("default") {
            let reason = "a default of a choice would become whichever branch takes it first; remove it";
            self.find(format!("{pointer}/default"), reason);
        }
        for (key, branches) in choices() {
            self.choice(pointer, key, branches);
        }
        // Serde knows arrays of up to 32 items.
        let length = map.get("minItems").filter(|least| map.get("maxItems") == Some(least)).and_then(Value::as_u64);
        if length.is_some_and(|length| length > 32) {
            self.find(pointer, "an array of a fixed length has 32 items at most; take `minItems` out");
        }
        if map.get("allOf").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            self.find(format!("{pointer}/allOf"), "there is nothing to merge; remove it");
        }
        if map.get("not").is_some_and(|not| not.get("enum").is_none()) && !map.contains_key("type") {
            self.find(format!("{pointer}/not"), "of `not` alone no type can be made; remove it");
        }
        if map.get("format").and_then(Value::as_str) == Some("password") {
            self.secret(pointer, map);
        }
        if let Some(properties) = map.get("properties").and_then(Value::as_object) {
            let place = format!("{pointer}/properties");
            self.one_rust_name(&place, properties.keys(), "properties", rust_name);
            let keeps_others = map.get("additionalProperties").is_some_and(Value::is_object);
            if let Some(name) = properties.keys().find(|name| keeps_others && rust_name(name) == "extra") {
                let reason = "becomes `extra` in Rust, which is the field for the members that aren't declared";
                self.find(format!("{place}/{}", escape(name)), reason);
            }
            for (property_name, property) in properties {
                self.schema(
                    &format!("{pointer}/properties/{}", escape(property_name)),
                    property,
                    &format!("{name}-{property_name}"),
                );
            }
        }
        if let Some(branches) = map.get("allOf").and_then(Value::as_array) {
            self.merged_secrets(pointer, map, branches);
        }
        self.variants(&format!("{pointer}/enum"), map);
        for key in ["items", "additionalProperties"] {
            if let Some(schema) = map.get(key) {
                self.schema(&format!("{pointer}/{key}"), schema, &format!("{name}-{key}"));
            }
        }
        if let Some(schema) = map.get("not") {
            self.schema_or_branch(&format!("{pointer}/not"), schema, &format!("{name}-not"));
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            for (index, schema) in map.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
                self.schema_or_branch(&format!("{pointer}/{key}/{index}"), schema, &format!("{name}-{key}-{index}"));
            }
        }
    }

    /// The branches of an `allOf` are merged before the generator looks for secrets, so one that gains a keyword there is
    /// one no more.
    fn merged_secrets(&mut self, pointer: &str, map: &'a Map<String, Value>, branches: &'a [Value]) {
        let resolved: Vec<_> = branches.iter().filter_map(|branch| self.resolve(pointer, branch)).collect();
        let mut secret = resolved.len() > 1 && resolved.iter().any(|branch| is_secret(branch.value));
        let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
        for object in resolved.iter().filter_map(|branch| branch.value.as_object()).chain([map]) {
            for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let is_secret = self.resolve(pointer, property).is_some_and(|node| is_secret(node.value));
                secret |= seen.insert(name, is_secret).is_some_and(|other| other || is_secret);
            }
        }
        if secret {
            self.find(
                format!("{pointer}/allOf"),
                "a `format: password` that is merged with something wouldn't be redacted",
            );
        }
    }

    /// A secret is redacted only if the generator sees exactly `format: password`, with `type: string` or no type.
    fn secret(&mut self, pointer: &str, map: &Map<String, Value>) {
        const ALLOWED: [&str; 11] = [
            "type",
            "format",
            "title",
            "description",
            "default",
            "example",
            "deprecated",
            "externalDocs",
            "nullable",
            "readOnly",
            "writeOnly",
        ];
        let extra: Vec<_> = map.keys().filter(|key| !ALLOWED.contains(&key.as_str())).map(String::as_str).collect();
        if !extra.is_empty() {
            let extra = extra.join(", ");
            self.find(
                pointer,
                format!("a `format: password` schema with {extra} wouldn't be redacted; remove {extra}"),
            );
        }
        if map.get("type").is_some_and(|kind| kind != "string") {
            self.find(
                pointer,
                "`format: password` is for `type: string`, or for no type where any JSON value may come",
            );
        }
    }

    /// A schema that is written out where it is used becomes a type called by its `title` or after its use; if there is one
    /// of that name, it is silently taken for it. Gives the name.
    fn type_name(&mut self, pointer: &str, schema: &'a Value, name: &str) -> String {
        let name = rust_type(schema.get("title").and_then(Value::as_str).unwrap_or(name));
        let becomes_type = ["properties", "enum", "oneOf", "anyOf", "allOf", "minLength", "maxLength"]
            .iter()
            .any(|key| schema.get(key).is_some());
        // A component is called by its key.
        let inline = pointer.matches('/').count() != 3 || !pointer.starts_with("/components/schemas/");
        if becomes_type && inline {
            match self.types.get(&name) {
                Some(other) if other.value != schema => {
                    let other = &other.pointer;
                    let reason = format!("becomes the type `{name}`, like the one at {other}; give it another `title`");
                    self.find(pointer, reason);
                }
                _ => _ = self.types.insert(name.clone(), Node { pointer: pointer.to_owned(), value: schema }),
            }
        }
        name
    }

    /// Where two values become one variant, the generator writes out what it would have dropped from them; where that
    /// doesn't help, it fails.
    fn variants(&mut self, pointer: &str, map: &Map<String, Value>) {
        let values = || map.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let distinct = |rust: fn(&str) -> String| values().map(rust).collect::<BTreeSet<_>>().len() == values().count();
        if distinct(rust_type) {
            return;
        }
        let written_out = |value: &str| value.replace(|c: char| !c.is_alphanumeric() && c != '_', "X");
        let values: Vec<_> = values().map(|value| (written_out(value), value)).collect();
        let mut seen = BTreeMap::new();
        for (written_out, value) in &values {
            if let Some(other) = seen.insert(rust_type(written_out), value) {
                self.find(pointer, format!("the values `{other}` and `{value}` become one variant in Rust; keep one"));
            }
        }
    }

    /// A schema that is itself, or a part of itself, has no end.
    fn circle(&mut self, name: &str, pointer: &str, schema: &'a Value) {
        let mut next = vec![schema];
        let mut seen = Vec::new();
        while let Some(schema) = next.pop() {
            for key in ["allOf", "oneOf", "anyOf"] {
                let branches = schema.get(key).and_then(Value::as_array).into_iter().flatten();
                // With several to choose from, one may be the schema itself.
                next.extend(branches.clone().filter(|_| key == "allOf" || branches.clone().count() == 1));
            }
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { continue };
            if reference == format!("#/components/schemas/{}", escape(name)) {
                self.find(pointer, "leads back to itself");
                return;
            }
            if !seen.contains(&reference) {
                seen.push(reference);
                next.extend(self.component(reference).map(|node| node.value));
            }
        }
    }

    /// Two names that differ in the spec and not in Rust would make one thing twice.
    pub(super) fn one_rust_name<'n>(
        &mut self,
        pointer: &str,
        names: impl Iterator<Item = &'n String>,
        what: &str,
        rust: fn(&str) -> String,
    ) {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for name in names {
            let rust = rust(name);
            if let Some(other) = seen.insert(rust.clone(), name) {
                self.find(pointer, format!("the {what} `{other}` and `{name}` both become `{rust}` in Rust; keep one"));
            }
        }
    }
}

fn is_secret(schema: &Value) -> bool {
    schema.get("format").is_some_and(|format| format == "password")
}

/// The Rust name of a field, argument or method, as the generator makes it.
pub(super) fn rust_name(name: &str) -> String {
    cased(name, str::to_snake_case)
}

/// The Rust name of a type, as the generator makes it.
fn rust_type(name: &str) -> String {
    cased(name, str::to_pascal_case)
}

fn cased(name: &str, case: fn(&str) -> String) -> String {
    let plain: String =
        name.replace('\'', "").chars().map(|c| if c == '_' || c.is_alphanumeric() { c } else { '-' }).collect();
    match (name, case(&plain)) {
        ("+1", _) => "plus1".to_owned(),
        ("-1", _) => "minus1".to_owned(),
        (_, empty) if empty.is_empty() => case("x"),
        (_, cased) => cased,
    }
}
