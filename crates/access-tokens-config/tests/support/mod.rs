//! What several tests need.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use access_tokens_config::{Config, Error, Reader};
use serde_json::Value;

/// A file with these variables on top, and nothing wrong with any of it.
pub(crate) fn read_with(
    path: impl AsRef<Path>,
    variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> Result<Config, Error> {
    Reader::new().file(path.as_ref()).variables(variables).read()?.complete()
}

/// The same without a file.
pub(crate) fn from_variables(
    variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> Result<Config, Error> {
    Reader::new().variables(variables).read()?.complete()
}

/// A folder for configurations, and messages without its name.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn without(&self, message: &str) -> String {
        message.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// A JSON Schema validator that isn't ours.
pub(crate) fn validator(schema: &str) -> jsonschema::Validator {
    jsonschema::options().build(&serde_json::from_str(schema).unwrap()).unwrap()
}

/// The definition that the settings of a provider, or of the store, have in the schema.
pub(crate) fn definition(provider: &str) -> &'static str {
    match provider {
        "store" => "StoreSettings",
        "onence" => "OnenceSettings",
        _ => "WorldlineSettings",
    }
}

/// All settings that the schema has for a provider, or for the store, such as `policy.refresh_at` or `password.env`.
pub(crate) fn settings(provider: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(&access_tokens_config::schema()).unwrap();
    let mut keys = Vec::new();
    collect("", &schema["definitions"][definition(provider)], &schema, &mut keys);
    keys.dedup();
    keys
}

fn collect(under: &str, node: &Value, schema: &Value, keys: &mut Vec<String>) {
    if let Some(reference) = node["$ref"].as_str() {
        collect(under, schema.pointer(reference.trim_start_matches('#')).unwrap(), schema, keys);
    }
    for branches in ["allOf", "anyOf", "oneOf"].iter().filter_map(|name| node[name].as_array()) {
        branches.iter().for_each(|branch| collect(under, branch, schema, keys));
    }
    for (name, node) in node["properties"].as_object().into_iter().flatten() {
        let key = if under.is_empty() { name.clone() } else { format!("{under}.{name}") };
        keys.push(key.clone());
        collect(&key, node, schema, keys);
    }
}

/// A JSON value as TOML has it.
pub(crate) fn toml(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries: Vec<_> = table.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}
