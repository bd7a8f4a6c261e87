//! A configuration: files and environment to sources.

use std::{
    collections::BTreeMap,
    fmt,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    environment::{Environment, PREFIX, in_variables},
    error::{Error, Origin, Problem},
    read::{nearest, read, read_table},
    section::Section,
    settings::{Each, Provider, SourceSettings},
    source::Source,
    store::Store,
    tree::{self, Node},
};

/// Named token sources, and the store that they share their tokens through, checked.
///
/// Nothing of what it refers to was read: secrets, keys and certificates are read when a [`Source`] is asked for an endpoint.
#[derive(Clone)]
pub struct Config {
    /// Where it was read from.
    origin: Origin,
    store: Option<Store>,
    sources: BTreeMap<String, Source>,
}

/// The first level. Sources are read one by one, so that each can tell of its problem.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read only to see that it can be")]
struct Root {
    #[serde(rename = "$schema")]
    schema: Option<String>,
    store: Option<IgnoredAny>,
    sources: BTreeMap<String, IgnoredAny>,
}

impl Config {
    /// Reads a file, TOML or JSON by the end of its name, and puts the process's environment on top: the variable
    /// `ACCESS_TOKENS__SOURCES__SIMS__USERNAME` sets `sources.sims.username`.
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
    /// A file that can't be read, isn't TOML or JSON, or holds no source; of the store and of each source what is wrong with it
    /// first.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load(Some(path.as_ref()), Environment::Process)
    }

    /// Takes everything from the process's environment.
    ///
    /// ```
    /// use access_tokens_config::Config;
    ///
    /// let error = Config::from_env().unwrap_err(); // none of the variables is set
    /// assert!(error.to_string().starts_with("the environment: sources: there is no source"));
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_env() -> Result<Self, Error> {
        Self::load(None, Environment::Process)
    }

    /// [`read`](Self::read) with other variables than the process's, both for settings and for what references name.
    ///
    /// ```
    /// use access_tokens_config::Config;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("access-tokens.json");
    /// std::fs::write(&path, r#"{ "sources": { "sims": { "provider": "onence", "username": "me" } } }"#)?;
    /// let config = Config::read_with(&path, [("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD")])?;
    /// assert_eq!(config.source("sims")?.provider(), "onence");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(
        path: impl AsRef<Path>,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<Self, Error> {
        Self::load(Some(path.as_ref()), given(variables))
    }

    /// [`from_env`](Self::from_env) with other variables than the process's.
    ///
    /// ```
    /// use access_tokens_config::Config;
    ///
    /// let config = Config::from_variables([
    ///     ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
    ///     ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me@example.com"),
    ///     ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD"),
    ///     ("ONENCE_PASSWORD", "correct horse"),
    /// ])?;
    /// assert!(config.source("sims")?.endpoint().is_ok());
    /// # Ok::<(), access_tokens_config::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_variables(
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<Self, Error> {
        Self::load(None, given(variables))
    }

    fn load(file: Option<&Path>, environment: Environment) -> Result<Self, Error> {
        let folder = file.map(folder_of).transpose()?;
        let file = file.map(Node::read).transpose()?;
        let variables = environment.settings(file.as_ref()).map_err(Error::new)?;
        let tree = match file {
            Some(mut file) => {
                file.merge(variables);
                file
            }
            None => variables,
        };
        let origin = match &tree.origin {
            Origin::File { path, .. } => Origin::File { path: path.clone(), line: None },
            other => other.clone(),
        };
        let none = |origin: Origin| {
            let first = match origin {
                Origin::File { .. } => "add a table [sources.NAME]",
                _ => "give a configuration file (access-tokens: --config or ACCESS_TOKENS_CONFIG)",
            };
            let message =
                format!("there is no source; {first}, or set {PREFIX}SOURCES__NAME__PROVIDER and its other settings");
            Problem::new(origin, "sources", message)
        };
        if tree.table().is_some_and(BTreeMap::is_empty) {
            return Err(none(origin).into());
        }
        read::<Root>(&tree, "")?;
        let Some(nodes) = tree.get("sources").and_then(Node::table).filter(|sources| !sources.is_empty()) else {
            return Err(none(tree.origin_of("sources").clone()).into());
        };
        let environment = Arc::new(environment);
        let mut sources = BTreeMap::new();
        let mut problems = Vec::new();
        let store = tree.get("store").map(|node| Store::read(node, environment.clone(), folder.as_deref()));
        let store = store.and_then(|store| store.map_err(|problem| problems.push(problem)).ok());
        let mut alike: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for name in nodes.keys() {
            alike.entry(in_variables(name)).or_default().push(name);
        }
        for (name, node) in nodes {
            let twin = alike.get(&in_variables(name)).and_then(|names| names.iter().find(|other| **other != name));
            let source = source(name, node, twin.copied(), nodes).and_then(|mut settings| {
                let key = format!("sources.{name}");
                let walk = |each: &mut Each<'_>| settings.references(each);
                let section = Section::new(key, node.clone(), environment.clone(), folder.as_deref(), walk)?;
                Source::new(name.clone(), section, settings, store.as_ref())
            });
            match source {
                Ok(source) => _ = sources.insert(name.clone(), source),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { origin, store, sources }) } else { Err(Error::new(problems)) }
    }

    /// The store that sources share their tokens through, if there is one.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// All sources, in order of name.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values()
    }

    /// The source of this name.
    ///
    /// # Errors
    /// There is none; the message has the name that is the most like it, and the others.
    pub fn source(&self, name: &str) -> Result<&Source, Error> {
        self.sources.get(name).ok_or_else(|| {
            let names: Vec<_> = self.sources.keys().map(String::as_str).collect();
            let near = nearest(name, names.iter().copied()).unwrap_or_default();
            let message = format!("there is no source {name:?}; did you mean {near}? Known here: {}", names.join(", "));
            Problem::new(self.origin.clone(), "sources", message).into()
        })
    }

    /// What is in effect, as TOML that can be read again, from any folder: the settings that were made and the defaults of the
    /// others, each with where it comes from in a comment. Of secrets, where they stand; paths are absolute.
    ///
    /// ```
    /// # use access_tokens_config::Config;
    /// # let config = Config::from_variables([
    /// #     ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
    /// #     ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me@example.com"),
    /// #     ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD"),
    /// # ])?;
    /// let toml = config.to_toml();
    /// assert!(toml.contains("username = \"me@example.com\"  # ACCESS_TOKENS__SOURCES__SIMS__USERNAME\n"));
    /// assert!(toml.contains("timeout = \"15s\"  # default\n"));
    /// # Ok::<(), access_tokens_config::Error>(())
    /// ```
    pub fn to_toml(&self) -> String {
        let tables: Vec<_> = self.store.iter().map(Store::to_toml).chain(self.sources().map(Source::to_toml)).collect();
        tables.join("\n")
    }

    /// The same as JSON, without comments.
    ///
    /// ```
    /// # use access_tokens_config::Config;
    /// # let config = Config::from_variables([
    /// #     ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
    /// #     ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me@example.com"),
    /// #     ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD"),
    /// # ])?;
    /// let json = config.to_json();
    /// assert_eq!(json.pointer("/sources/sims/password/env").and_then(|name| name.as_str()), Some("ONENCE_PASSWORD"));
    /// # Ok::<(), access_tokens_config::Error>(())
    /// ```
    pub fn to_json(&self) -> Value {
        let sources: Map<_, _> = self.sources().map(|source| (source.name().to_owned(), source.to_json())).collect();
        let store = self.store.iter().map(|store| ("store".to_owned(), store.to_json()));
        Value::Object([("sources".to_owned(), Value::Object(sources))].into_iter().chain(store).collect())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("origin", &self.origin)
            .field("store", &self.store)
            .field("sources", &self.sources.keys())
            .finish()
    }
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

fn given(variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Environment {
    Environment::Given(variables.into_iter().map(|(name, value)| (name.into(), Zeroizing::new(value.into()))).collect())
}

/// The settings of one source. `provider` comes first, since the others depend on it.
fn source(
    name: &str,
    node: &Node,
    twin: Option<&str>,
    all: &BTreeMap<String, Node>,
) -> Result<SourceSettings, Problem> {
    let key = if is_name(name) { format!("sources.{name}") } else { format!("sources.{name:?}") };
    let refused = |message: String| Err(Problem::new(node.origin.clone(), &*key, message));
    if !is_name(name) {
        return refused("the name of a source is lower-case letters and digits, with single - or _ between".to_owned());
    }
    // A variable would mean both.
    if let Some(twin) = twin {
        return refused(format!(
            "{twin} is the same name, since - and _ are equal in variables; rename one of the two"
        ));
    }
    let tree::Value::Table(table) = &node.value else { return refused("must be a table".to_owned()) };
    let Some(provider) = table.get("provider") else {
        let near = || {
            let others = all.iter().filter(|(_, node)| node.get("provider").is_some());
            nearest(name, others.map(|(name, _)| name.as_str()))
        };
        let near = matches!(node.origin, Origin::Variable(_)).then(near).flatten();
        let hint = near.map(|near| format!("; or did you mean the source {near}?")).unwrap_or_default();
        let message = format!("is missing; set it to onence or worldline{hint}");
        return Err(Problem::new(node.origin.clone(), format!("{key}.provider"), message));
    };
    Ok(match read(provider, &format!("{key}.provider"))? {
        Provider::Onence => SourceSettings::Onence(read_table(node, &key)?),
        Provider::Worldline => SourceSettings::Worldline(read_table(node, &key)?),
    })
}

fn is_name(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.split(['-', '_']).all(word)
}
