//! The environment: settings on top of a file, and what references to variables give.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
};

use zeroize::Zeroizing;

use crate::{
    error::{Origin, Problem, is_within},
    schema,
    tree::{Node, Value},
    variable::{self, PREFIX, in_variables},
};

/// What begins so was meant to be a setting. `ACCESS_TOKENS_SOURCE` alone is none: it chooses a source elsewhere; and
/// `ACCESS_TOKENS_STORE_PASSWORD` is a good name for what a reference names.
const NEARLY: [&str; 2] = ["ACCESS_TOKENS_SOURCES", "ACCESS_TOKENS_STORE__"];

/// The process's variables, or others that were given in their place.
#[derive(Default)]
pub(crate) enum Environment {
    #[default]
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

    /// The settings in variables as a tree. A source that is in the file keeps the name that it has there.
    pub(crate) fn settings(&self, file: Option<&Node>) -> Settings {
        let mut settings = Settings::new();
        let named = file.and_then(|file| file.get("sources")).and_then(Node::table);
        let named: BTreeMap<_, _> =
            named.into_iter().flatten().map(|(name, _)| (in_variables(name), &**name)).collect();
        for name in self.names_of_settings() {
            let origin = Origin::Variable(name.clone());
            match (key_of(&name, &named), self.variable(&name)) {
                (Err(_), Ok(value)) if value.as_ref().is_none_or(|value| value.is_empty()) => {}
                (Err((key, message)), _) => settings.problems.push(Problem::new(origin, key, message)),
                (Ok(key), Err(what)) => settings.problems.push(Problem::new(origin, key, what)),
                (Ok(_), Ok(None)) => {}
                (Ok(key), Ok(Some(value))) if value.is_empty() => settings.empty.push((key, origin)),
                (Ok(key), Ok(Some(value))) => {
                    // In order of name, the variable of a whole table comes before those of its parts.
                    let mut levels = key.match_indices('.').filter_map(|(at, _)| settings.root.get(key.get(..at)?));
                    if let Some(whole) = levels.find(|node| node.table().is_none()) {
                        let message = format!("{} sets the same as a whole; unset one of the two", whole.origin);
                        settings.problems.push(Problem::new(origin, key, message));
                    } else {
                        settings.root.set(&key, Node::new(&origin, Value::Variable(value.to_string())));
                    }
                }
            }
        }
        settings
    }

    /// The variables that are settings, or nearly. In order, so that messages come in the same order each time.
    fn names_of_settings(&self) -> BTreeSet<String> {
        let is_setting = |name: &String| [PREFIX].iter().chain(&NEARLY).any(|begin| name.starts_with(begin));
        match self {
            Self::Given(variables) => variables.keys().filter(|name| is_setting(name)).cloned().collect(),
            Self::Process => {
                let name = |(name, value): (OsString, OsString)| {
                    // The value is a copy, and can be a secret.
                    drop(Zeroizing::new(value.into_encoded_bytes()));
                    name.into_string().ok()
                };
                env::vars_os().filter_map(name).filter(is_setting).collect()
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

impl Settings {
    pub(crate) fn new() -> Self {
        Self { root: Node::empty_table(&Origin::Environment), problems: Vec::new(), empty: Vec::new() }
    }
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
            is_known("onence", &key.join(".")) || is_known("worldline", &key.join("."))
        }
        [first, key @ ..] if first == "store" => key.is_empty() || is_known("store", &key.join(".")),
        _ => false,
    };
    if !is_setting && let Some(key) = meant(name, named) {
        let meant = variable::of(&key);
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

/// Whether the key is that of a setting, or of a table.
fn is_known(kind: &str, key: &str) -> bool {
    schema::settings(kind).keys().any(|known| is_within(known, key))
}

/// The key that was meant, where single underscores stand between levels.
fn meant(name: &str, named: &BTreeMap<String, &str>) -> Option<String> {
    let single = |key: &str| key.replace('.', "_");
    let rest = name.strip_prefix("ACCESS_TOKENS")?.to_ascii_lowercase();
    let rest = rest.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    if let Some(rest) = rest.strip_prefix("store_") {
        let key = schema::settings("store").keys().find(|key| single(key) == rest)?;
        return Some(format!("store.{key}"));
    }
    let rest = rest.strip_prefix("sources_").or_else(|| rest.strip_prefix("source_"))?;
    let keys = ["onence", "worldline"].iter().flat_map(|kind| schema::settings(kind).keys());
    let split = keys.filter_map(|key| Some((rest.strip_suffix(&single(key))?.strip_suffix('_')?, key)));
    // A source that is there, or else the longest key.
    let (source, key) = split
        .filter(|(source, _)| !source.is_empty())
        .max_by_key(|(source, key)| (named.contains_key(*source), key.len()))?;
    Some(format!("sources.{}.{key}", named.get(source).unwrap_or(&source)))
}
