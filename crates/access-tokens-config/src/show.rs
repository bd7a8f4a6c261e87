//! What is in effect, with where it comes from.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{section::Section, tree::Node};

/// What becomes a table of its own, and not a value in braces.
const TABLES: [&str; 4] = ["assertion", "identity", "policy", "transport"];

/// References and defaults: the settings hold no secret. In order of name, whichever order a service's build has serde_json keep.
pub(crate) fn json(settings: &impl Serialize) -> Value {
    let mut settings = serde_json::to_value(settings).unwrap_or_default();
    settings.sort_all_objects();
    settings
}

pub(crate) fn toml(section: &Section, settings: &impl Serialize) -> String {
    let mut text = String::new();
    if let Value::Object(settings) = json(settings) {
        table(&mut text, section.key(), "", &settings, section.node());
    }
    text
}

fn table(text: &mut String, header: &str, under: &str, settings: &Map<String, Value>, node: &Node) {
    let key_of = |name: &str| if under.is_empty() { name.to_owned() } else { format!("{under}.{name}") };
    _ = writeln!(text, "[{header}]");
    let is_table = |name: &str| TABLES.contains(&name);
    for (name, value) in settings.iter().filter(|(name, _)| !is_table(name)) {
        let origin = node.get(&key_of(name)).map_or("default".to_owned(), |node| node.origin.to_string());
        _ = writeln!(text, "{name} = {}  # {origin}", written(value));
    }
    for (name, value) in settings.iter().filter(|(name, _)| is_table(name)) {
        if let Value::Object(settings) = value {
            text.push('\n');
            table(text, &format!("{header}.{name}"), &key_of(name), settings, node);
        }
    }
}

/// A value as TOML has it.
fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => toml::Value::String(value.clone()).to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries: Vec<_> = table.iter().map(|(name, value)| format!("{name} = {}", written(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}
