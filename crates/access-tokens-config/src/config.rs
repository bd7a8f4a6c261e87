//! A configuration: named token sources, and the store that they share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use serde_json::Value;

use crate::{
    error::{Error, Origin, Problem, add},
    read::nearest,
    reader::Reader,
    source::Source,
    store::Store,
};

/// Named token sources, and the store that they share their tokens through, checked.
///
/// Nothing of what it refers to was read: secrets, keys and certificates are read when a [`Source`] is asked for an endpoint.
#[derive(Clone)]
pub struct Config {
    /// Where it was read from.
    pub(crate) origin: Origin,
    pub(crate) store: Option<Read<Store>>,
    pub(crate) sources: BTreeMap<String, Read<Source>>,
    /// What is wrong and of no table that is there.
    pub(crate) others: Vec<Problem>,
}

/// A table, as far as it can be read, and what is wrong with it.
#[derive(Clone)]
pub(crate) struct Read<T> {
    pub(crate) value: Option<T>,
    pub(crate) problems: Vec<Problem>,
    /// Keys of which nothing more is worth saying.
    pub(crate) consequences: BTreeSet<String>,
}

/// All that [`Config::check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What is wrong, of each setting the first.
    pub problems: Vec<Problem>,
    /// What is odd and may be right, such as a space at the end of a secret.
    pub warnings: Vec<Problem>,
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

    /// This configuration, if nothing is wrong with any of its settings.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn complete(self) -> Result<Self, Error> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(Error::new(problems)) }
    }

    /// All that is wrong with the settings, and not with what they refer to. There is nothing, unless a [`Reader`] read it.
    pub fn problems(&self) -> Vec<Problem> {
        let store = self.store.iter().flat_map(|store| &store.problems);
        let sources = self.sources.values().flat_map(|source| &source.problems);
        self.others.iter().chain(store).chain(sources).cloned().collect()
    }

    /// What is wrong and of no source and not of the store, such as a variable that nothing comes of.
    pub fn other_problems(&self) -> &[Problem] {
        &self.others
    }

    /// The store that sources share their tokens through, if there is one that can be used.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref().filter(|store| store.problems.is_empty())?.value.as_ref()
    }

    /// Whether there is a store, whatever is wrong with it.
    pub fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// All sources with nothing wrong in their settings, in order of name.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().filter(|source| source.problems.is_empty()).filter_map(|source| source.value.as_ref())
    }

    /// The names of all sources, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// The source of this name.
    ///
    /// # Errors
    /// There is none, and the message has the name that is the most like it, and the others; or what is wrong with its settings,
    /// and with those of the store that it shares its tokens through.
    pub fn source(&self, name: &str) -> Result<&Source, Error> {
        let Some(Read { value, problems, .. }) = self.sources.get(name) else { return Err(self.unknown(name)) };
        match value {
            Some(source) if problems.is_empty() => match &self.store {
                Some(store) if source.is_shared() && !store.problems.is_empty() => {
                    Err(Error::new(store.problems.clone()))
                }
                _ => Ok(source),
            },
            _ => Err(Error::new(problems.clone())),
        }
    }

    /// Reads all that a source refers to, secrets, keys and certificates, without the network.
    ///
    /// # Errors
    /// There is no such source.
    pub fn check(&self, name: &str) -> Result<Checked, Error> {
        let source = self.sources.get(name).ok_or_else(|| self.unknown(name))?;
        Ok(source.checked(Source::check))
    }

    /// The same for what the store refers to.
    pub fn check_store(&self) -> Checked {
        self.store.as_ref().map_or_else(Checked::default, |store| store.checked(Store::check))
    }

    fn unknown(&self, name: &str) -> Error {
        let message = match nearest(name, self.names()) {
            Some(near) => {
                let names: Vec<_> = self.names().collect();
                format!("there is no source {name:?}; did you mean {near}? Known here: {}", names.join(", "))
            }
            None => format!("there is no source {name:?}"),
        };
        Problem::new(self.origin.clone(), "sources", message).into()
    }

    /// What is in effect for these sources and the store, or for all sources if none is named, as TOML that can be read again from
    /// any folder: each setting with where it comes from in a comment. Of secrets, where they are; paths are absolute.
    ///
    /// ```
    /// # use access_tokens_config::Reader;
    /// let config = Reader::new().variables([("ONENCE_USERNAME", "me@example.com"), ("ONENCE_PASSWORD", "secret")]).read()?;
    /// let toml = config.to_toml(&[])?;
    /// assert!(toml.contains("username = \"me@example.com\"  # ONENCE_USERNAME\n"));
    /// assert!(toml.contains("timeout = \"15s\"  # default\n"));
    /// assert_eq!(config.to_json(&[])?["sources"]["onence"]["password"]["env"], "ONENCE_PASSWORD");
    /// # Ok::<(), access_tokens_config::Error>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with one of the sources, or that there is none of that name.
    pub fn to_toml(&self, names: &[&str]) -> Result<String, Error> {
        let sources = self.named(names)?.into_iter().map(Source::to_toml);
        Ok(self.store().into_iter().map(Store::to_toml).chain(sources).collect::<Vec<_>>().join("\n"))
    }

    /// The same as JSON, without comments.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub fn to_json(&self, names: &[&str]) -> Result<Value, Error> {
        let sources = self.named(names)?.into_iter().map(|source| (source.name().to_owned(), source.to_json()));
        let sources = ("sources".to_owned(), Value::Object(sources.collect()));
        let store = self.store().map(|store| ("store".to_owned(), store.to_json()));
        Ok(Value::Object([sources].into_iter().chain(store).collect()))
    }

    fn named(&self, names: &[&str]) -> Result<Vec<&Source>, Error> {
        let all = names.is_empty().then(|| self.names());
        names.iter().copied().chain(all.into_iter().flatten()).map(|name| self.source(name)).collect()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("origin", &self.origin)
            .field("store", &self.store())
            .field("sources", &self.sources.keys())
            .finish()
    }
}

impl<T> Read<T> {
    /// What is wrong with the settings, and with what they refer to.
    fn checked(&self, check: impl FnOnce(&T) -> (Vec<Problem>, Vec<Problem>)) -> Checked {
        let (material, warnings) = self.value.as_ref().map(check).unwrap_or_default();
        let mut problems = self.problems.clone();
        let is_consequence = |problem: &Problem| {
            let rest = |key: &String| problem.key().strip_prefix(key).map(str::to_owned);
            let mut rests = self.consequences.iter().filter_map(rest);
            rests.any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let of_material = material.into_iter().filter(|problem| !is_consequence(problem));
        add(&mut problems, of_material.map(Err));
        Checked { problems, warnings }
    }
}
