//! What is in effect, with where it comes from.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{error::within, section::Section, tree::Node};

/// What becomes a table of its own, and not a value in braces.
const TABLES: [&str; 4] = ["assertion", "identity", "policy", "transport"];

/// References and defaults: the settings hold no secret. In order of name, whichever order a service's build has serde_json keep.
pub(crate) fn json(settings: &impl Serialize) -> Value {
    let mut settings = serde_json::to_value(settings).unwrap_or_default();
    settings.sort_all_objects();
    remove_unset(&mut settings);
    settings
}

fn remove_unset(settings: &mut Value) {
    if let Value::Object(settings) = settings {
        settings.retain(|_, value| !value.is_null());
        settings.values_mut().for_each(remove_unset);
    }
}

pub(crate) fn toml(section: &Section, settings: &impl Serialize) -> String {
    let mut text = String::new();
    if let Value::Object(settings) = json(settings) {
        table(&mut text, section.key(), "", &settings, section.node());
    }
    text
}

fn table(text: &mut String, header: &str, under: &str, settings: &Map<String, Value>, node: &Node) {
    _ = writeln!(text, "[{header}]");
    let is_table = |name: &str| TABLES.contains(&name);
    for (name, value) in settings.iter().filter(|(name, _)| !is_table(name)) {
        let origin = node.get(&within(under, name)).map_or("default".to_owned(), |node| node.origin.to_string());
        let value = toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default();
        _ = writeln!(text, "{name} = {value}  # {origin}");
    }
    for (name, value) in settings.iter().filter(|(name, _)| is_table(name)) {
        if let Value::Object(settings) = value {
            text.push('\n');
            table(text, &format!("{header}.{name}"), &within(under, name), settings, node);
        }
    }
}
