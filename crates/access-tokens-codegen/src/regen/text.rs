//! Values of specifications as a person reads them.

use serde_json::Value;
use similar::{Change, TextDiff};

/// A value whole, as a specification has it.
pub(super) fn written(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// The lines of both texts: those that went, those that came, and those that stay between them.
pub(super) fn difference(old: &str, new: &str) -> Vec<String> {
    TextDiff::from_lines(old, new).iter_all_changes().map(line).collect()
}

/// The lines that went and those that came, each with its neighbors.
pub(super) fn around(old: &str, new: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let groups = diff.grouped_ops(1).into_iter().flatten();
    groups.flat_map(|op| diff.iter_changes(&op).map(line).collect::<Vec<_>>()).collect()
}

fn line(change: Change<&str>) -> String {
    format!("{} {}", change.tag(), change.value().trim_end())
}
