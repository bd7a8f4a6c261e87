//! Characters that nobody sees. In Rust's source they are an error or a trap; in what people read they are stripped, and in what
//! goes on the wire they are refused.

use std::fmt;

use serde_json::Value;

use crate::{openapi::NAMED, pointer::escape};

/// Invisible characters that were taken out of a title, a summary, a description or an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stripped {
    /// JSON pointer (RFC 6901) into the overlaid document.
    pub pointer: String,
    /// The characters, each once, in the order of their code points.
    pub characters: Vec<char>,
}

impl fmt::Display for Stripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", code_points(&self.characters), self.pointer)
    }
}

/// "U+202A, U+FEFF".
pub(crate) fn code_points(characters: &[char]) -> String {
    let named: Vec<_> = characters.iter().map(|c| format!("U+{:04X}", u32::from(*c))).collect();
    named.join(", ")
}

/// Controls but tab and line breaks, bidirectional controls, characters of no width, and byte order marks.
fn is_invisible(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}' => true,
        '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// The invisible characters in `text`, each once.
pub(crate) fn characters(text: &str) -> Vec<char> {
    let mut found: Vec<_> = text.chars().filter(|c| is_invisible(*c)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The text without them.
pub(crate) fn without(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).collect()
}

/// The text with them written out, so that it can be printed.
pub(crate) fn written_out(text: &str) -> String {
    let shown = |c: char| if is_invisible(c) { format!("\\u{{{:x}}}", u32::from(c)) } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// The text in one line, with what could steer a terminal or begin a line written out.
pub(crate) fn one_line(text: &str) -> String {
    written_out(text).replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

/// Strips them from all that `document` says to people. What it says to machines is left for preflight to refuse.
pub(crate) fn strip(document: &mut Value) -> Vec<Stripped> {
    let mut stripped = Vec::new();
    walk(document, String::new(), Kind::Api, &mut stripped);
    stripped
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// An object whose members' names have a meaning.
    Api,
    /// One whose members have names that somebody chose.
    Named,
    /// For people, whatever it holds.
    Words,
}

fn walk(value: &mut Value, pointer: String, kind: Kind, stripped: &mut Vec<Stripped>) {
    match value {
        Value::String(text) if kind == Kind::Words => {
            let characters = characters(text);
            if !characters.is_empty() {
                *text = without(text);
                stripped.push(Stripped { pointer, characters });
            }
        }
        Value::Array(items) => {
            // A map of parameters has names, a list of them has none.
            let kind = if kind == Kind::Words { kind } else { Kind::Api };
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, format!("{pointer}/{index}"), kind, stripped);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let kind = match (kind, name.as_str()) {
                    (Kind::Api, "title" | "summary" | "description") if member.is_string() => Kind::Words,
                    (Kind::Api, "example" | "examples" | "externalDocs" | "contact" | "license" | "scopes") => {
                        Kind::Words
                    }
                    (Kind::Api, name) if name.starts_with("x-") => Kind::Words,
                    // Values, which go on the wire.
                    (Kind::Api, "default" | "enum") => continue,
                    (Kind::Api, name) if NAMED.contains(&name) => Kind::Named,
                    (Kind::Api | Kind::Named, _) => Kind::Api,
                    (Kind::Words, _) => Kind::Words,
                };
                walk(member, format!("{pointer}/{}", escape(name)), kind, stripped);
            }
        }
        _ => {}
    }
}
