//! The JSON Schema of a configuration file.

use std::{collections::BTreeMap, sync::OnceLock};

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value;

use crate::{error::within, settings::Document};

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

/// What the schema says of one setting.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// Whether its absence means a default that the schema names.
    pub(crate) has_default: bool,
    /// Whether it is one of the ways to give a value, such as `env` in a reference.
    pub(crate) is_choice: bool,
    /// Whether it is a secret, which is only referred to.
    pub(crate) is_secret: bool,
}

/// The settings of a kind of table, by keys such as `policy.jitter` or `password.env`. The kind is a provider's name or `store`.
pub(crate) fn settings(kind: &str) -> &'static BTreeMap<String, Known> {
    static ALL: OnceLock<[BTreeMap<String, Known>; 3]> = OnceLock::new();
    let [onence, worldline, store] = ALL.get_or_init(|| {
        let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Document>();
        ["OnenceSettings", "WorldlineSettings", "StoreSettings"].map(|name| {
            let mut known = BTreeMap::new();
            let root = schema.as_value();
            if let Some(table) = root.pointer(&format!("/definitions/{name}")) {
                collect("", table, root, false, &mut known);
            }
            known
        })
    });
    match kind {
        "onence" => onence,
        "worldline" => worldline,
        _ => store,
    }
}

/// Whether the setting is a secret in any kind of table.
pub(crate) fn is_secret(key: &str) -> bool {
    ["onence", "worldline", "store"].iter().filter_map(|kind| settings(kind).get(key)).any(|known| known.is_secret)
}

fn collect(under: &str, node: &Value, root: &Value, is_choice: bool, known: &mut BTreeMap<String, Known>) {
    let referred = node.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.trim_start_matches('#')));
    let branches = |key: &str| node.get(key).and_then(Value::as_array).into_iter().flatten();
    for node in referred.into_iter().chain(branches("allOf")).chain(branches("anyOf")) {
        collect(under, node, root, is_choice, known);
    }
    for node in branches("oneOf") {
        collect(under, node, root, true, known);
    }
    for (name, node) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let key = within(under, name);
        let has_default = node.get("default").is_some();
        let is_secret = node.to_string().contains("#/definitions/Reference");
        collect(&key, node, root, false, known);
        known.insert(key, Known { has_default, is_choice, is_secret });
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
