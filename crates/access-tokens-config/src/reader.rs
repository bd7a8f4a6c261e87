//! Files, variables and flags to a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::identity,
    fmt,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use zeroize::Zeroizing;

use crate::{
    config::{Config, Read},
    document,
    environment::{Environment, Settings},
    error::{Error, Origin, Problem, add, is_within},
    flat::{FLAT, Flags, Flat},
    read::{nearest, read, read_all},
    schema,
    section::Section,
    settings::{Provider, SourceSettings},
    source::Source,
    spelling::Spelling,
    store::Store,
    tree::{Node, Value},
    variable::{PREFIX, in_variables},
};

/// Where a [`Config`] is read from. A mistake in one source doesn't affect the others; [`Config::source`] reports it.
///
/// ```
/// use access_tokens_config::Reader;
///
/// let variables = [("ONENCE_USERNAME", "me@example.com"), ("ONENCE_PASSWORD", "correct horse"), ("WORLDLINE_REALM", "r")];
/// let config = Reader::new().variables(variables).read()?;
/// assert_eq!(config.source("onence")?.setting_name("username"), "ONENCE_USERNAME");
///
/// let error = config.source("worldline").unwrap_err();
/// assert!(error.to_string().contains("WORLDLINE_CLIENT_ID: isn't set"), "{error}");
/// # Ok::<(), access_tokens_config::Error>(())
/// ```
#[derive(Default)]
pub struct Reader {
    file: Option<PathBuf>,
    environment: Environment,
    flags: Flags,
    /// Sources that were named.
    named: BTreeSet<String>,
}

/// The first level. What is in it is read one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read only to see that it can be")]
struct Root {
    #[serde(rename = "$schema")]
    schema: Option<String>,
    store: Option<IgnoredAny>,
    #[serde(default)]
    sources: BTreeMap<String, IgnoredAny>,
}

impl Reader {
    /// Reads the process's environment alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this file too, TOML or JSON by the end of its name, with the environment on top.
    #[must_use]
    pub fn file(self, path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), ..self }
    }

    /// Reads these variables instead of the process's, both for settings and for what references name.
    #[must_use]
    pub fn variables(self, variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), Zeroizing::new(value.into())));
        Self { environment: Environment::Given(variables.collect()), ..self }
    }

    /// Reads the value of a command-line flag in place of a variable such as `ONENCE_BASE_URL`. Messages call it `flag`.
    #[must_use]
    pub fn flag(mut self, variable: &str, flag: &str, value: impl Into<String>) -> Self {
        self.flags.insert(variable.to_owned(), (flag.to_owned(), value.into()));
        self
    }

    /// Reads `onence` or `worldline` as a source even if none of its variables is set, to report which it needs.
    #[must_use]
    pub fn source(mut self, name: &str) -> Self {
        self.named.insert(name.to_owned());
        self
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// A file that can't be read, isn't TOML or JSON, or has something on its first level that it can't have; no source at all.
    pub fn read(self) -> Result<Config, Error> {
        let Self { file, environment, flags, named } = self;
        let folder = file.as_deref().map(folder_of).transpose()?;
        let file = file.as_deref().map(document::read).transpose()?;
        let of_document = Spelling::new("", None);
        if let Some(file) = &file {
            read::<Root>(file, &of_document, "")?;
        }
        let Settings { root, mut problems, mut empty } = environment.settings(file.as_ref());
        let mut tree = file.unwrap_or_else(|| Node::empty_table(&Origin::Environment));
        tree.merge(root);
        let origin = match &tree.origin {
            Origin::File { path, .. } => Origin::File { path: path.clone(), line: None },
            other => other.clone(),
        };
        // Of the file it is right already, so that this is about variables.
        problems.extend(read::<Root>(&tree, &of_document, "").err());

        let referred = referred(&mut tree);
        let (mut flats, mut twice) = (Vec::new(), BTreeMap::new());
        for flat in &FLAT {
            let key = format!("sources.{}", flat.source);
            let other = tree.get(&key).map(|node| node.origin.clone());
            let is_named = named.contains(flat.source) && other.is_none();
            let Some(source) = flat.read(&environment, &flags, &referred, is_named) else { continue };
            match other {
                None => {
                    problems.extend(source.problems);
                    empty.extend(source.empty);
                    tree.set(&key, source.root);
                    flats.push(flat);
                }
                Some(place) => {
                    let name = flat.source.to_ascii_uppercase();
                    let by = format!("by the variables {name}_* ({})", source.root.origin);
                    let message = format!("is set here, and {by} too; remove one of the two: this, or all of those");
                    twice.insert(flat.source, Problem::new(place, key, message));
                }
            }
        }

        let mut reading = Reading { environment: Arc::new(environment), folder, problems, empty };
        let store = tree.get("store").cloned();
        let of_store = Spelling::new("store", None);
        let check = Store::check_settings;
        let store = store.map(|node| reading.table(node, &of_store, "store", identity, Store::new, check));
        let usable = store.as_ref().and_then(|store| store.usable().ok());
        let mut sources = BTreeMap::new();
        let none = BTreeMap::new();
        let nodes = tree.get("sources").and_then(Node::table).unwrap_or(&none);
        let mut alike: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for name in nodes.keys() {
            alike.entry(in_variables(name)).or_default().push(name);
        }
        for (name, node) in nodes {
            let key = if is_name(name) { format!("sources.{name}") } else { format!("sources.{name:?}") };
            let spelling = Spelling::new(key, flats.iter().copied().find(|flat: &&Flat| flat.source == *name));
            let twin = alike.get(&in_variables(name)).and_then(|names| names.iter().find(|other| **other != name));
            let provider = match twice.remove(name.as_str()) {
                Some(problem) => Err(problem),
                None => provider(name, twin.copied(), node, &spelling, nodes),
            };
            sources.insert(name.clone(), reading.source(name, node.clone(), &spelling, provider, usable));
        }
        if sources.is_empty() && reading.problems.is_empty() {
            return Err(no_source(&tree, origin).into());
        }
        Ok(Config { origin, store, sources, others: reading.problems })
    }
}

impl Config {
    /// Reads a file, TOML or JSON by the end of its name, and puts the process's environment on top: the variable
    /// `ACCESS_TOKENS__SOURCES__SIMS__USERNAME` sets `sources.sims.username`. The variables `ONENCE_*` and `WORLDLINE_*` set the sources
    /// `onence` and `worldline`.
    ///
    /// ```
    /// use access_tokens_config::Config;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("access-tokens.toml");
    /// std::fs::write(&path, "[sources.sims]\nprovider = \"onence\"\nusername = \"me\"\npasword = { env = \"X\" }\n")?;
    ///
    /// let error = Config::read(&path).unwrap_err().to_string();
    /// assert!(error.contains("access-tokens.toml:4: sources.sims.pasword: unknown key; did you mean password?"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// A file that can't be read, isn't TOML or JSON, or holds no source; all that is wrong with the settings of the store and of
    /// the sources. A [`Reader`] reads each source for itself.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        Reader::new().file(path.as_ref()).read()?.complete()
    }

    /// Reads the process's environment alone, as [`read`](Self::read) does.
    ///
    /// # Errors
    /// No source, and all that is wrong with the settings.
    pub fn from_env() -> Result<Self, Error> {
        Reader::new().read()?.complete()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("file", &self.file).field("flags", &self.flags.keys()).finish_non_exhaustive()
    }
}

/// What the tables of one configuration have in common.
struct Reading {
    environment: Arc<Environment>,
    folder: Option<PathBuf>,
    /// Those that are of no table yet.
    problems: Vec<Problem>,
    /// Keys whose variable is empty.
    empty: Vec<(String, Origin)>,
}

impl Reading {
    /// A source whose provider is known, or why it isn't.
    fn source(
        &mut self,
        name: &str,
        node: Node,
        spelling: &Spelling,
        provider: Result<Provider, Problem>,
        store: Option<&Store>,
    ) -> Read<Source> {
        let make = |section, settings| Source::new(name.to_owned(), section, settings, store);
        let (onence, worldline, check) = (SourceSettings::Onence, SourceSettings::Worldline, Source::check_settings);
        match provider {
            Ok(Provider::Onence) => self.table(node, spelling, "onence", onence, make, check),
            Ok(Provider::Worldline) => self.table(node, spelling, "worldline", worldline, make, check),
            Err(problem) => Read { value: None, problems: vec![problem], consequences: BTreeSet::new() },
        }
    }

    /// What a table of this kind makes, with all that is wrong with its settings. `T` is what is read, `S` the kind of it.
    fn table<T: DeserializeOwned, S, V>(
        &mut self,
        mut node: Node,
        spelling: &Spelling,
        kind: &str,
        settings_of: impl FnOnce(T) -> S,
        make: impl FnOnce(Section, S) -> V,
        check: impl FnOnce(&V) -> Vec<Result<(), Problem>>,
    ) -> Read<V> {
        let mut problems = self.problems_of_variables(&node, spelling, kind);
        let (found, consequences) = read_all::<T>(&mut node, spelling, kind);
        problems.extend(found);
        let section = Section::new(spelling.clone(), &mut node, self.environment.clone(), self.folder.as_deref());
        let settings = read(&node, spelling, "").map_err(|problem| add(&mut problems, [Err(problem)])).ok();
        let value = settings.map(|settings| make(section, settings_of(settings)));
        let found = value.as_ref().map(check).into_iter().flatten().filter_map(Result::err);
        add(&mut problems, found.filter(|problem| !consequences.contains(problem.key())).map(Err));
        Read { value, problems, consequences }
    }

    /// What is wrong with the variables that are of this table, and which of them are empty and mustn't be.
    fn problems_of_variables(&mut self, node: &Node, spelling: &Spelling, kind: &str) -> Vec<Problem> {
        let is_of = |problem: &Problem| is_within(problem.key(), spelling.table());
        let (mut problems, others): (Vec<_>, _) = std::mem::take(&mut self.problems).into_iter().partition(is_of);
        self.problems = others;
        for (key, place) in &self.empty {
            let rest = key.strip_prefix(spelling.table());
            let Some(setting) = rest.and_then(|rest| rest.strip_prefix('.')) else { continue };
            // Where another way sets it, or its absence means nothing, an empty variable counts as unset.
            let has_default = schema::settings(kind).get(setting).is_some_and(|known| known.has_default);
            if has_default && node.get(setting).is_none() {
                let message = "is empty, and would mean its default; unset it, or give it a value";
                problems.push(Problem::new(place.clone(), key.clone(), message));
            }
        }
        problems
    }
}

/// The provider of a source, on which its settings depend; or why the source can't have this name.
fn provider(
    name: &str,
    twin: Option<&str>,
    node: &Node,
    spelling: &Spelling,
    all: &BTreeMap<String, Node>,
) -> Result<Provider, Problem> {
    let refused = |message: &str| Err(spelling.problem(node, "", message));
    if !is_name(name) {
        return refused("the name of a source is lower-case letters and digits, with single - or _ between");
    }
    // A variable would mean both.
    if let Some(twin) = twin {
        return refused(&format!(
            "{twin} is the same name, since - and _ are equal in variables; rename one of the two"
        ));
    }
    let Node { value: Value::Table(table), .. } = node else { return refused("must be a table") };
    if table.contains_key("provider") {
        return read(node, spelling, "provider");
    }
    let near = || {
        let others = all.iter().filter(|(_, node)| node.get("provider").is_some());
        nearest(name, others.map(|(name, _)| name.as_str()))
    };
    let near = matches!(node.origin, Origin::Variable(_)).then(near).flatten();
    let hint = near.map(|near| format!("; or did you mean the source {near}?")).unwrap_or_default();
    Err(spelling.problem(node, "provider", format!("is missing; set it to onence or worldline{hint}")))
}

fn is_name(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.split(['-', '_']).all(word)
}

/// The variables that references name.
fn referred(tree: &mut Node) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    tree.leaves("", &mut |key, leaf| {
        if let (true, Value::Text(name) | Value::Variable(name)) = (key.ends_with(".env"), &leaf.value) {
            names.insert(name.clone());
        }
    });
    names
}

fn no_source(tree: &Node, origin: Origin) -> Problem {
    let place = tree.get("sources").map_or(origin, |sources| sources.origin.clone());
    let first = match place {
        Origin::File { .. } => "add a table [sources.NAME]",
        _ => "give a configuration file (access-tokens: --config or ACCESS_TOKENS_CONFIG)",
    };
    let message = format!(
        "there is no source; {first}, set the variables ONENCE_* or WORLDLINE_* (see access-tokens get onence --help), or set \
         {PREFIX}SOURCES__NAME__PROVIDER and its other settings"
    );
    Problem::new(place, "sources", message)
}

/// As it is when the file is read: the working directory may change before what it refers to is.
fn folder_of(file: &Path) -> Result<PathBuf, Problem> {
    let mut folder = path::absolute(file).map_err(|error| {
        let message = format!("its folder can't be told: {error}");
        Problem::new(Origin::File { path: file.into(), line: None }, "", message)
    })?;
    folder.pop();
    Ok(folder)
}
