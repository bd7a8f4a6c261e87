//! One tree of settings whichever way they were written, each with the place that it comes from.

mod json;
mod toml;

use std::{collections::BTreeMap, error::Error as StdError, path::Path, sync::Arc};

use access_tokens::{SecretFile, Setting};

use crate::error::{Origin, Problem, within};

/// A setting and where it stands: the line of its key, or where that can't be told, of its value.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// What a variable holds: text, or whatever else its setting takes.
    Variable(String),
    /// TOML has them; no setting takes one.
    Date,
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

/// The keys that exclude each other where one of them stands for a value.
const CHOICE: [&str; 3] = ["env", "file", "text"];

impl Node {
    pub(crate) fn new(origin: &Origin, value: Value) -> Self {
        Self { origin: origin.clone(), value }
    }

    pub(crate) fn text(origin: &Origin, text: &str) -> Self {
        Self::new(origin, Value::Text(text.to_owned()))
    }

    pub(crate) fn empty_table(origin: &Origin) -> Self {
        Self::new(origin, Value::Table(BTreeMap::new()))
    }

    /// Reads a configuration file: TOML or JSON, by the end of its name.
    pub(crate) fn read(path: &Path) -> Result<Node, Problem> {
        let file: Arc<Path> = path.into();
        let whole = |message: String| Problem::new(Origin::File { path: file.clone(), line: None }, "", message);
        Setting::File.check(&path.to_string_lossy()).map_err(|error| whole(error.to_string()))?;
        let parse = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => toml::parse,
            Some("json") => json::parse,
            _ => return Err(whole("the name of a configuration file must end in .toml or .json".to_owned())),
        };
        let content = SecretFile::read(path).map_err(|error| {
            let cause = StdError::source(&error).map(ToString::to_string).unwrap_or_default();
            whole(format!("can't be read: {cause}"))
        })?;
        let bytes = content.bytes();
        let lines = Lines::new(bytes, &file);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Problem::new(lines.origin(error.valid_up_to()), "", "isn't UTF-8"))?;
        let node = parse(text.strip_prefix('\u{feff}').unwrap_or(text), &file)?;
        if node.table().is_none() {
            return Err(Problem::new(node.origin, "", "must be a table: { \"sources\": { ... } }"));
        }
        Ok(node)
    }

    pub(crate) fn table(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Puts `over` on top: its values win, each for itself.
    pub(crate) fn merge(&mut self, over: Node) {
        match (&mut self.value, over.value) {
            // A reference is one value: one to a file replaces one to a variable. It replaces no other table.
            (Value::Table(mine), Value::Table(theirs)) if !(is_choice(mine) && is_choice(&theirs)) => {
                for (key, node) in theirs {
                    match mine.get_mut(&key) {
                        Some(under) => under.merge(node),
                        None => _ = mine.insert(key, node),
                    }
                }
            }
            (_, value) => *self = Node { origin: over.origin, value },
        }
    }

    /// The one value of a reference, which says what the value is.
    pub(crate) fn reference(&self) -> Option<&Node> {
        let table = self.table().filter(|table| table.len() == 1 && is_choice(table))?;
        table.values().next()
    }

    /// What stands at this key, such as `policy.refresh_at` or `transport.roots[1]`; the node itself at the empty key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        segments(key).try_fold(self, Self::child)
    }

    /// Where this key stands, or else the innermost that holds it.
    pub(crate) fn origin_of(&self, key: &str) -> &Origin {
        let mut node = self;
        let mut path = segments(key);
        while let Some(child) = path.next().and_then(|segment| node.child(segment)) {
            node = child;
        }
        &node.origin
    }

    /// Puts `node` at this key, with the tables that lead to it. Nothing happens where a value stands in place of one of them.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        let origin = node.origin.clone();
        let mut at = self;
        for segment in segments(key) {
            at = match &mut at.value {
                Value::Table(table) => table.entry(segment.to_owned()).or_insert_with(|| Node::empty_table(&origin)),
                Value::List(list) => {
                    let item = segment.parse::<usize>().ok().and_then(|index| list.get_mut(index));
                    let Some(item) = item else { return };
                    item
                }
                _ => return,
            };
        }
        *at = node;
    }

    /// Takes the entry of a table away.
    pub(crate) fn remove(&mut self, key: &str) {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        let node = segments(table).try_fold(self, |node, segment| match &mut node.value {
            Value::Table(table) => table.get_mut(segment),
            Value::List(list) => list.get_mut(segment.parse::<usize>().ok()?),
            _ => None,
        });
        if let Some(Node { value: Value::Table(table), .. }) = node {
            table.remove(name);
        }
    }

    /// Calls `visit` with each value that isn't a table, and its key.
    pub(crate) fn leaves(&mut self, key: &str, visit: &mut dyn FnMut(&str, &mut Node)) {
        match &mut self.value {
            Value::Table(table) => table.iter_mut().for_each(|(name, node)| node.leaves(&within(key, name), visit)),
            Value::List(list) => {
                let items = list.iter_mut().enumerate();
                items.for_each(|(index, node)| node.leaves(&format!("{key}[{index}]"), visit));
            }
            _ => visit(key, self),
        }
    }

    fn child(&self, segment: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(table) => table.get(segment),
            Value::List(list) => list.get(segment.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

fn segments(key: &str) -> impl Iterator<Item = &str> {
    key.split(['.', '[']).map(|segment| segment.trim_end_matches(']')).filter(|segment| !segment.is_empty())
}

fn is_choice(table: &BTreeMap<String, Node>) -> bool {
    !table.is_empty() && table.iter().all(|(key, node)| CHOICE.contains(&key.as_str()) && node.table().is_none())
}

/// The lines of a text, to find that of an offset.
struct Lines<'a> {
    /// Where each line but the first begins.
    starts: Vec<usize>,
    file: &'a Arc<Path>,
}

impl<'a> Lines<'a> {
    fn new(text: &[u8], file: &'a Arc<Path>) -> Self {
        let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self { starts: breaks.map(|(offset, _)| offset + 1).collect(), file }
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = self.starts.partition_point(|start| *start <= offset);
        Origin::File { path: self.file.clone(), line: Some(before + 1) }
    }
}
