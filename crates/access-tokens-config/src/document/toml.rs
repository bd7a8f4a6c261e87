//! TOML to the tree.

use std::{path::Path, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::lines::Lines;
use crate::{
    error::Problem,
    tree::{Node, Value},
};

pub(super) fn parse(text: &str, file: &Arc<Path>) -> Result<Node, Problem> {
    let lines = Lines::new(text.as_bytes(), file);
    let document = DeTable::parse(text).map_err(|error| {
        let origin = lines.origin(error.span().map_or(0, |span| span.start));
        // Its `Display` would quote the line, and a secret can stand in that.
        Problem::new(origin, "", format!("isn't TOML: {}", error.message()))
    })?;
    Ok(Node { origin: lines.origin(0), value: table(document.get_ref(), &lines) })
}

fn table(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let table = table.iter();
    Value::Table(table.map(|(key, value)| (key.get_ref().to_string(), node(key.span().start, value, lines))).collect())
}

fn node(start: usize, value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    Node { origin: lines.origin(start), value: self::value(value.get_ref(), lines) }
}

fn value(value: &DeValue<'_>, lines: &Lines<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        // Beyond 64 bits it is a number all the same, and no setting takes one as large.
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Float(f64::INFINITY), Value::Integer)
        }
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(list) => Value::List(list.iter().map(|item| node(item.span().start, item, lines)).collect()),
        DeValue::Table(table) => self::table(table, lines),
    }
}
