//! The environment: settings on top of a file, and what references to variables give.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    env,
    ffi::OsString,
};

use zeroize::Zeroizing;

use crate::{
    error::{Origin, Problem},
    tree::{Node, Value},
};

/// Settings are in variables that begin so; two underscores stand between levels.
pub(crate) const PREFIX: &str = "ACCESS_TOKENS__";

/// What begins so was meant to be a setting. `ACCESS_TOKENS_SOURCE` alone is none: it chooses a source elsewhere; and
/// `ACCESS_TOKENS_STORE_PASSWORD` is a good name for what a reference names.
const NEARLY: [(&str, &str); 2] = [("ACCESS_TOKENS_SOURCES", "SOURCES"), ("ACCESS_TOKENS_STORE__", "STORE")];

/// The process's variables, or others that were given in their place.
pub(crate) enum Environment {
    Process,
    Given(BTreeMap<String, Zeroizing<String>>),
}

impl Environment {
    /// What a variable holds: none where it isn't set or is empty, which is how many systems unset one.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, &'static str> {
        let value = match self {
            Self::Given(variables) => variables.get(name).cloned(),
            Self::Process => match env::var(name) {
                Ok(value) => Some(Zeroizing::new(value)),
                Err(env::VarError::NotPresent) => None,
                Err(env::VarError::NotUnicode(_)) => return Err("isn't UTF-8"),
            },
        };
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// The settings in it as a tree. A source that the file has keeps the name it has there.
    pub(crate) fn settings(&self, file: Option<&Node>) -> Result<Node, Vec<Problem>> {
        let mut root = Node { origin: Origin::Environment, value: Value::Table(BTreeMap::new()) };
        let mut problems = Vec::new();
        let named = file.and_then(|file| file.get("sources")).and_then(Node::table);
        let named: BTreeMap<_, _> =
            named.into_iter().flatten().map(|(name, _)| (in_variables(name), &**name)).collect();
        for (name, value) in self.set() {
            let placed = match name.strip_prefix(PREFIX) {
                Some(rest) => place(rest, &name, value, &named, &mut root),
                None => {
                    let near = NEARLY.iter().find_map(|(begin, table)| Some((*table, name.strip_prefix(begin)?)));
                    let (table, rest) = near.unwrap_or_default();
                    let rest = rest.trim_start_matches('_');
                    Err(format!(
                        "isn't a setting, since two underscores stand between levels; did you mean {PREFIX}{table}__{rest}?"
                    ))
                }
            };
            if let Err(message) = placed {
                problems.push(Problem::new(Origin::Variable(name), "", message));
            }
        }
        if problems.is_empty() { Ok(root) } else { Err(problems) }
    }

    /// Those that are settings, or nearly, and aren't empty. In order of name, so that messages come in the same order each time.
    fn set(&self) -> BTreeMap<String, OsString> {
        let is_setting =
            |name: &str| name.starts_with(PREFIX) || NEARLY.iter().any(|(begin, _)| name.starts_with(begin));
        match self {
            Self::Given(variables) => {
                let set = variables.iter().filter(|(name, value)| is_setting(name) && !value.is_empty());
                set.map(|(name, value)| (name.clone(), value.as_str().into())).collect()
            }
            Self::Process => {
                let set = env::vars_os().filter_map(|(name, value)| match name.into_string() {
                    Ok(name) if is_setting(&name) => Some((name, value)),
                    _ => {
                        // These are copies, and any of the others can be a secret.
                        drop(Zeroizing::new(value.into_encoded_bytes()));
                        None
                    }
                });
                set.filter(|(_, value)| !value.is_empty()).collect()
            }
        }
    }
}

/// The name of a source as variables have it: there `-` is `_`.
pub(crate) fn in_variables(name: &str) -> String {
    name.replace('-', "_")
}

/// Puts the value of one variable where its name says.
fn place(
    rest: &str,
    name: &str,
    value: OsString,
    named: &BTreeMap<String, &str>,
    root: &mut Node,
) -> Result<(), String> {
    let value = value.into_string().map_err(|_| "isn't UTF-8".to_owned())?;
    if rest.chars().any(|c| c.is_ascii_lowercase()) {
        return Err(format!("the names of settings are in upper case: {}", name.to_ascii_uppercase()));
    }
    let mut levels: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
    if levels.iter().any(String::is_empty) {
        return Err("the name has an empty level; write one key between two double underscores".to_owned());
    }
    if let [first, source, ..] = &mut *levels
        && first == "sources"
        && let Some(known) = named.get(source)
    {
        *source = (*known).to_owned();
    }
    let Some(last) = levels.pop() else { return Ok(()) };
    let mut node = root;
    let origin = || Origin::Variable(name.to_owned());
    let whole = |other: &Origin| format!("{other} sets the same as a whole; unset one of the two");
    for level in levels {
        let other = node.origin.clone();
        let Value::Table(table) = &mut node.value else { return Err(whole(&other)) };
        let empty = || Node { origin: origin(), value: Value::Table(BTreeMap::new()) };
        node = table.entry(level).or_insert_with(empty);
    }
    let other = node.origin.clone();
    let Value::Table(table) = &mut node.value else { return Err(whole(&other)) };
    match table.entry(last) {
        Entry::Vacant(entry) => _ = entry.insert(Node { origin: origin(), value: Value::Variable(value) }),
        Entry::Occupied(entry) => return Err(whole(&entry.get().origin)),
    }
    Ok(())
}
