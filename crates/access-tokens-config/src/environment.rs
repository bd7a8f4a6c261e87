//! The environment: settings on top of a file, and what references to variables give.

use std::{collections::BTreeMap, env, ffi::OsString};

use zeroize::Zeroizing;

use crate::{
    error::{Origin, Problem},
    schema,
    tree::{Node, Value},
};

/// Settings are in variables that begin so; two underscores stand between levels.
pub(crate) const PREFIX: &str = "ACCESS_TOKENS__";

/// What begins so was meant to be a setting. `ACCESS_TOKENS_SOURCE` alone is none: it chooses a source elsewhere; and
/// `ACCESS_TOKENS_STORE_PASSWORD` is a good name for what a reference names.
const NEARLY: [&str; 2] = ["ACCESS_TOKENS_SOURCES", "ACCESS_TOKENS_STORE__"];

/// The process's variables, or others that were given in their place.
pub(crate) enum Environment {
    Process,
    Given(BTreeMap<String, Zeroizing<String>>),
}

impl Environment {
    /// What a variable holds; none where it isn't set.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<Zeroizing<String>>, &'static str> {
        match self {
            Self::Given(variables) => Ok(variables.get(name).cloned()),
            Self::Process => match env::var(name) {
                Ok(value) => Ok(Some(Zeroizing::new(value))),
                Err(env::VarError::NotPresent) => Ok(None),
                Err(env::VarError::NotUnicode(_)) => Err("isn't UTF-8"),
            },
        }
    }

    /// The settings in variables with two underscores between levels, as a tree. A source that the file has keeps the name it has
    /// there.
    pub(crate) fn settings(&self, file: Option<&Node>) -> Settings {
        let root = Node { origin: Origin::Environment, value: Value::Table(BTreeMap::new()) };
        let mut settings = Settings { root, problems: Vec::new(), empty: Vec::new() };
        let named = file.and_then(|file| file.get("sources")).and_then(Node::table);
        let named: BTreeMap<_, _> =
            named.into_iter().flatten().map(|(name, _)| (in_variables(name), &**name)).collect();
        for (name, value) in self.set() {
            let origin = Origin::Variable(name.clone());
            match key_of(&name, &named) {
                Ok(key) if value.is_empty() => settings.empty.push((key, origin)),
                Ok(key) => match value.into_string() {
                    Err(_) => settings.problems.push(Problem::new(origin, key, "isn't UTF-8")),
                    Ok(value) => {
                        // In order of name, the variable of a whole table comes before those of its parts.
                        let mut levels = key.match_indices('.').filter_map(|(at, _)| settings.root.get(key.get(..at)?));
                        match levels.find(|node| node.table().is_none()) {
                            None => settings.root.set(&key, Node { origin, value: Value::Variable(value) }),
                            Some(whole) => {
                                let message =
                                    format!("{} sets the same as a whole; unset one of the two", whole.origin);
                                settings.problems.push(Problem::new(origin, key, message));
                            }
                        }
                    }
                },
                Err(_) if value.is_empty() => {}
                Err((key, message)) => settings.problems.push(Problem::new(origin, key, message)),
            }
        }
        settings
    }

    /// Those that are settings, or nearly. In order of name, so that messages come in the same order each time.
    fn set(&self) -> BTreeMap<String, OsString> {
        let is_setting = |name: &str| name.starts_with(PREFIX) || NEARLY.iter().any(|begin| name.starts_with(begin));
        match self {
            Self::Given(variables) => {
                let set = variables.iter().filter(|(name, _)| is_setting(name));
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
                set.collect()
            }
        }
    }
}

/// What variables set.
pub(crate) struct Settings {
    pub(crate) root: Node,
    pub(crate) problems: Vec<Problem>,
    /// Keys whose variable is empty, with where.
    pub(crate) empty: Vec<(String, Origin)>,
}

/// The name of a source as variables have it: there `-` is `_`.
pub(crate) fn in_variables(name: &str) -> String {
    name.replace('-', "_")
}

/// The key that a variable sets. If it sets none: the key that it was meant for, and what is wrong.
fn key_of(name: &str, named: &BTreeMap<String, &str>) -> Result<String, (String, String)> {
    let refused = |message: String| Err((String::new(), message));
    if name.chars().any(|c| c.is_ascii_lowercase()) {
        return refused(format!("the names of settings are in upper case: {}", name.to_ascii_uppercase()));
    }
    let rest = name.strip_prefix(PREFIX);
    let mut levels: Vec<_> = rest.unwrap_or_default().split("__").map(str::to_ascii_lowercase).collect();
    let is_setting = match levels.as_slice() {
        [first, _, key @ ..] if first == "sources" && !key.is_empty() => {
            ["onence", "worldline"].iter().any(|kind| is_known(kind, &key.join(".")))
        }
        [first, key @ ..] if first == "store" => key.is_empty() || is_known("store", &key.join(".")),
        _ => false,
    };
    if !is_setting && let Some((key, meant)) = meant(name, named) {
        let message = format!("isn't a setting, since two underscores stand between levels; did you mean {meant}?");
        return Err((key, message));
    }
    if rest.is_none() {
        return refused(format!(
            "isn't a setting, since two underscores stand between levels, as in {PREFIX}SOURCES__NAME__PROVIDER"
        ));
    }
    if levels.iter().any(String::is_empty) {
        return refused("the name has an empty level; write one key between two double underscores".to_owned());
    }
    if let [first, source, ..] = &mut *levels
        && first == "sources"
        && let Some(known) = named.get(source)
    {
        *source = (*known).to_owned();
    }
    Ok(levels.join("."))
}

/// A setting, or a part of one.
fn is_known(kind: &str, key: &str) -> bool {
    let settings = schema::settings(kind);
    settings.contains_key(key) || settings.range(format!("{key}.")..).next().is_some_and(|(of, _)| of.starts_with(key))
}

/// The key and the variable that were meant, where single underscores stand between levels.
fn meant(name: &str, named: &BTreeMap<String, &str>) -> Option<(String, String)> {
    let single = |key: &str| key.replace('.', "_");
    let mut rest = name.strip_prefix("ACCESS_TOKENS")?.trim_start_matches('_').to_ascii_lowercase();
    while rest.contains("__") {
        rest = rest.replace("__", "_");
    }
    let variable = |levels: &str| format!("{PREFIX}{}", levels.replace('.', "__").to_ascii_uppercase());
    if let Some(rest) = rest.strip_prefix("store_") {
        let key = schema::settings("store").keys().find(|key| single(key) == rest)?;
        return Some((format!("store.{key}"), variable(&format!("store.{key}"))));
    }
    let rest = rest.strip_prefix("sources_").or_else(|| rest.strip_prefix("source_"))?;
    let keys = ["onence", "worldline"].iter().flat_map(|kind| schema::settings(kind).keys());
    let split = keys.filter_map(|key| Some((rest.strip_suffix(&single(key))?.strip_suffix('_')?, key)));
    // A source that is there, or else the longest key.
    let (source, key) = split
        .filter(|(source, _)| !source.is_empty())
        .max_by_key(|(source, key)| (named.contains_key(*source), key.len()))?;
    let table = named.get(source).map_or(source, |name| *name);
    Some((format!("sources.{table}.{key}"), variable(&format!("sources.{source}.{key}"))))
}
