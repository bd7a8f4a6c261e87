//! JSON to the tree. serde_json says what is wrong with it and keeps no places, the other parser has the places.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged, parse_to_ast};

use super::lines::Lines;
use crate::{
    error::{Origin, Problem, within},
    tree::{Node, Value},
};

pub(super) fn parse(text: &str, file: &Arc<Path>) -> Result<Node, Problem> {
    let lines = Lines::new(text.as_bytes(), file);
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| {
        let origin = Origin::File { path: file.clone(), line: Some(error.line()) };
        // Without the place, which is there already.
        let what = error.to_string();
        Problem::new(origin, "", format!("isn't JSON: {}", what.split(" at line ").next().unwrap_or_default()))
    })?;
    let refused = |what: String| Problem::new(lines.origin(0), "", format!("isn't JSON: {what}"));
    let parsed = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
    let parsed = parsed.map_err(|error| refused(error.kind().to_string()))?;
    node(&parsed.value.ok_or_else(|| refused("nothing is there".to_owned()))?, &lines, "")
}

fn node(json: &ast::Value<'_>, lines: &Lines<'_>, key: &str) -> Result<Node, Problem> {
    let value = match json {
        ast::Value::StringLit(text) => Value::Text(text.value.to_string()),
        ast::Value::BooleanLit(boolean) => Value::Bool(boolean.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::NumberLit(number) => {
            let float = || Value::Float(number.value.parse().unwrap_or(f64::NAN));
            number.value.parse().map_or_else(|_| float(), Value::Integer)
        }
        ast::Value::Array(list) => {
            Value::List(list.elements.iter().map(|item| node(item, lines, key)).collect::<Result<_, _>>()?)
        }
        ast::Value::Object(object) => {
            let mut table = BTreeMap::new();
            for property in &object.properties {
                let name = property.name.as_str();
                let key = within(key, name);
                let node = node(&property.value, lines, &key)?;
                if table.contains_key(name) {
                    return Err(Problem::new(node.origin, key, "stands twice in the same braces; keep one"));
                }
                table.insert(name.to_owned(), node);
            }
            Value::Table(table)
        }
    };
    Ok(Node { origin: lines.origin(json.start()), value })
}
