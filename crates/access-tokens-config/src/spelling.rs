//! How settings are written: as keys in a file, as variables with two underscores between levels, or as flat variables such as
//! `ONENCE_USERNAME`. Messages use the spelling of the place that they are about.

use crate::{
    error::{Origin, Problem, parent, within},
    flat::Flat,
    schema,
    tree::Node,
    variable,
};

/// The spelling of one table: a source, the store, or the document as a whole.
#[derive(Clone)]
pub(crate) struct Spelling {
    /// Its key, such as `sources.sims`; empty for the document.
    table: String,
    flat: Option<&'static Flat>,
}

impl Spelling {
    pub(crate) fn new(table: impl Into<String>, flat: Option<&'static Flat>) -> Self {
        Self { table: table.into(), flat }
    }

    /// The key of the table.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// What people call the setting at `key` within the table: the variable or flag, or the key from the root on.
    pub(crate) fn name(&self, node: &Node, key: &str) -> String {
        match self.origin(node, key) {
            Origin::File { .. } | Origin::Environment => self.full(key),
            place => place.to_string(),
        }
    }

    /// Something wrong with the setting at `key` within the table; with the table where that is empty.
    pub(crate) fn problem(&self, node: &Node, key: &str, message: impl Into<String>) -> Problem {
        let (origin, mut message) = (self.origin(node, key), message.into());
        if let Origin::Variable(_) | Origin::Flag(_) = origin {
            message = self.in_variables(key, message);
        }
        Problem::new(origin, self.full(key), message)
    }

    /// Where the setting stands, or would. In a file that is the line of the innermost table that holds it.
    pub(crate) fn origin(&self, node: &Node, key: &str) -> Origin {
        // A variable holds a whole list.
        let list = key.split('[').next().unwrap_or_default();
        let key = if node.get(key).is_none() { list } else { key };
        let (origin, found) = (node.origin_of(key), node.get(key));
        if matches!(origin, Origin::Variable(_) | Origin::Flag(_)) {
            // A reference is one variable, whose name has more than the key.
            if let Some(only) = found.and_then(Node::reference) {
                return only.origin.clone();
            }
            // A table is of several variables, and what isn't set is of none.
            if found.is_none_or(|node| node.table().is_some())
                && let Some(variable) = self.variable(key)
            {
                return Origin::Variable(variable);
            }
        }
        origin.clone()
    }

    pub(crate) fn full(&self, key: &str) -> String {
        let parts = [&self.table, key].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(".")
    }

    /// The variable that sets `key`; none where no variable of a flat source does.
    pub(crate) fn variable(&self, key: &str) -> Option<String> {
        let key = key.split('[').next().unwrap_or_default();
        match self.flat {
            Some(flat) => flat.variable(key).map(str::to_owned),
            None => Some(variable::of(&self.full(key))),
        }
    }

    /// A message in which references are written as in a file, for who sets variables.
    fn in_variables(&self, key: &str, message: String) -> String {
        let message = match message.strip_prefix("is missing") {
            Some(rest) => format!("isn't set{}{rest}", self.ways_to_set(key)),
            None => message,
        };
        let variable = self.variable(key).unwrap_or_default();
        let beside = |name: &str| self.variable(&within(parent(key), name)).unwrap_or_default();
        let way = |of: &str, value: &str| match self.flat {
            Some(_) => format!("{variable}_{of}"),
            None => format!("{variable}__{of}={value}"),
        };
        let (key, certificate, pkcs12) = (beside("key"), beside("certificate"), beside("pkcs12"));
        let [named, bundle, pair, key_id] = match self.flat {
            // The variable of a key takes a bundle, too; and none sets the key id.
            Some(_) => {
                let bundle = format!("set {key} to it, and unset {certificate}");
                [String::new(), bundle, format!("set its certificate as {certificate}"), String::new()]
            }
            None => [
                "the PKCS#12 bundle: ".to_owned(),
                format!("set {pkcs12}__FILE to it"),
                format!("set {key}__FILE to it, and {certificate}__FILE to its certificate"),
                format!(", or {}__TEXT", beside("key_id")),
            ],
        };
        message
            .replace("the PKCS#12 bundle: ", &named)
            .replace("set it as pkcs12", &bundle)
            .replace("set it as key, with its certificate as certificate", &pair)
            .replace("as pkcs12", &format!("as {pkcs12}"))
            .replace(", or key_id to a text", &key_id)
            .replace("{ env = \"NAME\" }", &way("ENV", "NAME"))
            .replace("{ file = \"path\" }", &way("FILE", "path"))
            .replace("{ text = \"...\" }", &way("TEXT", "..."))
    }

    /// Of a secret that isn't set: how it can be.
    fn ways_to_set(&self, key: &str) -> &'static str {
        match self.flat {
            None if schema::is_secret(key) => " (as { env = \"NAME\" } or { file = \"path\" })",
            Some(flat) if flat.has_file(key) => ", nor is { file = \"path\" }",
            _ => "",
        }
    }
}
