//! The JSON Schema of a configuration file.

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value;

use crate::settings::Document;

/// The JSON Schema (draft 7, which editors know best) of a configuration file, in TOML as in JSON. It ends in a line break.
///
/// ```
/// let schema: serde_json::Value = serde_json::from_str(&access_tokens_config::schema())?;
/// assert_eq!(schema.get("type").and_then(|value| value.as_str()), Some("object"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn schema() -> String {
    let settings = SchemaSettings::draft07().with_transform(RecursiveTransform(plain));
    let mut schema = settings.into_generator().into_root_schema_for::<Document>().to_value();
    // In order of name, whichever order a service's build has serde_json keep.
    schema.sort_all_objects();
    format!("{schema:#}\n")
}

/// The tables of a type that have a setting of this name: empty for the type itself, `policy`, `transport.identity`.
pub(crate) fn tables_with<T: JsonSchema>(name: &str) -> Vec<String> {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    let mut tables = Vec::new();
    collect(name, "", schema.as_value(), schema.as_value(), &mut tables);
    tables
}

fn collect(name: &str, under: &str, node: &Value, root: &Value, tables: &mut Vec<String>) {
    let referred = node.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.trim_start_matches('#')));
    let branches = ["allOf", "anyOf"].iter().filter_map(|key| node.get(key)?.as_array()).flatten();
    for node in referred.into_iter().chain(branches) {
        collect(name, under, node, root, tables);
    }
    let Some(Value::Object(properties)) = node.get("properties") else { return };
    // Not in what is a choice, such as a reference: its keys say nothing beside others.
    if properties.contains_key(name) {
        tables.push(under.to_owned());
    }
    for (key, node) in properties {
        let key = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
        collect(name, &key, node, root, tables);
    }
}

/// A setting that may be left out isn't one that may be null; TOML doesn't even have that. And what is for people comes in
/// whole paragraphs, what is for Rust not at all.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = &**types {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    let null = serde_json::json!({ "type": "null" });
    let Some(Value::Array(any)) = schema.get_mut("anyOf") else { return };
    any.retain(|schema| *schema != null);
    if any.len() == 1 {
        // Under the name that lets a description stand beside it in draft 7.
        if let Some(any) = schema.remove("anyOf") {
            schema.insert("allOf".to_owned(), any);
        }
    }
}
