//! The user's page: its examples are configurations, and its table has every setting.
#![cfg(test)]

mod support;

use std::{env, fmt::Write, fs};

use access_tokens_config::schema;
use serde_json::Value;

use crate::support::{Folder, definition, validator};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
const NONE: [(&str, &str); 0] = [];

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

/// The fenced blocks, each with its language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => {
                blocks.push((language.to_owned(), String::new()));
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => blocks.last_mut().unwrap().1 += &format!("{line}\n"),
            (None, false) => {}
        }
    }
    blocks
}

#[test]
fn examples_are_configurations() {
    let validator = validator(&schema());
    let folder = Folder::new();
    let (mut tomls, mut jsons, mut others) = (0, 0, 0);
    for (language, text) in blocks(&page()) {
        let (name, value): (_, Value) = match &*language {
            "toml" => ("a.toml", toml::from_str(&text).unwrap()),
            "json" => ("a.json", serde_json::from_str(&text).unwrap()),
            "yaml" => {
                let (_, indented) = text.split_once("access-tokens.toml: |\n").unwrap();
                let lines = indented.lines().map_while(|line| line.strip_prefix("    "));
                let toml: Vec<_> = lines.collect();
                support::read_with(folder.write("a.toml", toml.join("\n")), NONE).unwrap();
                others += 1;
                continue;
            }
            "sh" => {
                let variable = |line: &str| {
                    let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
                    (name.to_owned(), value.to_owned())
                };
                support::from_variables(text.lines().map(variable)).unwrap();
                others += 1;
                continue;
            }
            _ => continue,
        };
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "the schema refuses\n{text}\n{errors:?}");
        let config = support::read_with(folder.write(name, &text), NONE);
        config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        if language == "toml" { tomls += 1 } else { jsons += 1 }
    }
    assert_eq!((tomls, jsons, others), (9, 1, 2), "examples that weren't found");
}

#[test]
fn the_table_has_every_setting() {
    const START: &str =
        "<!-- settings: made from the schema by INSTA_UPDATE=always cargo test -p access-tokens-config -->\n";
    const END: &str = "<!-- /settings -->\n";
    let page = page();
    let (before, rest) = page.split_once(START).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let made = tables();
    if env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        fs::write(PAGE, [before, START, &made, END, after].concat()).unwrap();
    } else {
        let how = "INSTA_UPDATE=always cargo test -p access-tokens-config writes it";
        assert!(table == made, "the table of docs/configuration.md isn't what the schema has; {how}");
    }
}

fn tables() -> String {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let mut text = String::new();
    let headings = [
        ("`store`", "StoreSettings"),
        ("`store.identity`", "StoreIdentity"),
        ("1NCE: `sources.NAME`", definition("onence")),
        ("Worldline: `sources.NAME`", definition("worldline")),
        ("`sources.NAME.assertion`", "AssertionSettings"),
        ("`sources.NAME.policy`", "PolicySettings"),
        ("`sources.NAME.transport`", "TransportSettings"),
        ("`sources.NAME.transport.identity`", "IdentitySettings"),
    ];
    let mut tables: Vec<_> = schema["definitions"].as_object().unwrap().iter().collect();
    tables.retain(|(_, definition)| definition["properties"].is_object());
    assert_eq!(tables.len(), headings.len(), "a table of settings has no heading here");
    for (heading, name) in headings {
        let table = &schema["definitions"][name];
        let description = table["description"].as_str().unwrap();
        write!(
            text,
            "\n### {heading}\n\n{description}\n\n| setting | takes | if not set | |\n| --- | --- | --- | --- |\n"
        )
        .unwrap();
        for (key, node) in table["properties"].as_object().unwrap() {
            let required = table["required"].as_array().is_some_and(|keys| keys.contains(&Value::from(key.as_str())));
            let default = match &node["default"] {
                _ if required => "**required**".to_owned(),
                Value::Null | Value::Object(_) => String::new(),
                Value::Array(list) if list.is_empty() => "none".to_owned(),
                value => format!("`{}`", support::toml(value)),
            };
            let description = node["description"].as_str().unwrap_or_else(|| panic!("{key} has no description"));
            writeln!(text, "| `{key}` | {} | {default} | {description} |", takes(node, &schema)).unwrap();
        }
    }
    text + "\n"
}

/// What a setting takes, in a few words.
fn takes(node: &Value, schema: &Value) -> String {
    if let Some(reference) = node["$ref"].as_str().or_else(|| node["allOf"][0]["$ref"].as_str()) {
        let name = reference.rsplit('/').next().unwrap();
        return match name {
            "Reference" => "reference".to_owned(),
            "Bundle" => "reference to a file".to_owned(),
            "Proxy" | "StoreUrl" => "URL or reference".to_owned(),
            "ScopeList" => "list or text".to_owned(),
            _ => takes(schema.pointer(reference.trim_start_matches('#')).unwrap(), schema),
        };
    }
    if let Some(list) = node["anyOf"].as_array().and_then(|branches| branches.iter().find(|one| one["type"] == "array"))
    {
        return format!("{}, or list of them", takes(&list["items"], schema));
    }
    let words = |values: &[Value]| values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    if let Some(branches) = node["oneOf"].as_array().filter(|_| node["properties"].is_null()) {
        let branch = |branch: &Value| match &branch["const"] {
            Value::Null => "`{ text = \"...\" }`".to_owned(),
            word => format!("`{word}`"),
        };
        return branches.iter().map(branch).collect::<Vec<_>>().join(", ");
    }
    if let Some(values) = node["enum"].as_array() {
        return words(values);
    }
    match node["type"].as_str().unwrap() {
        "string" if node["examples"][0] == "500ms" => "duration".to_owned(),
        "string" => "text".to_owned(),
        "number" => format!("{} to {}", node["minimum"], node["maximum"]),
        "boolean" => "`true`, `false`".to_owned(),
        "object" => "table, see below".to_owned(),
        "array" if node["items"]["$ref"].is_string() => format!("list of {}", takes(&node["items"], schema)),
        "array" => "list of paths".to_owned(),
        other => panic!("{other} has no word here"),
    }
}
