//! Values of specifications as a person reads them. What could steer a terminal is written out.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::invisible;

/// A value for a line of text.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 100;
    let text = invisible::written_out(&value.to_string());
    let cut: String = text.chars().take(LONGEST).collect();
    if cut == text { text } else { format!("{cut}…") }
}

/// The text in one line, without what could steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    invisible::written_out(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A value whole, as a specification has it.
pub(super) fn written(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// The lines of both texts: those that went, those that came, and those that stay between them.
pub(super) fn difference(old: &str, new: &str) -> Vec<String> {
    let line = |tag, text: &str| match tag {
        ChangeTag::Equal => format!("  {}", text.trim_end()),
        tag => format!("{tag} {}", text.trim_end()),
    };
    let diff = TextDiff::from_lines(old, new);
    diff.iter_all_changes().map(|change| line(change.tag(), change.value())).collect()
}
