//! One tree of settings whichever way they were written, each with the place that it comes from.

use std::collections::BTreeMap;

use crate::error::{Origin, within};

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
