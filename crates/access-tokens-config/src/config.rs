//! A configuration: named token sources, and the store that they share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    checked::Checked,
    error::{Error, Origin, Problem, add, is_within},
    read::nearest,
    source::Source,
    store::Store,
};

/// Named token sources and the store that they share. What they refer to, such as secrets, is read by [`Source::endpoint`].
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) origin: Origin,
    pub(crate) store: Option<Read<Store>>,
    pub(crate) sources: BTreeMap<String, Read<Source>>,
    /// What is wrong and of no table that is there.
    pub(crate) others: Vec<Problem>,
}

/// A table, as far as it can be read, and what is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Read<T> {
    pub(crate) value: Option<T>,
    pub(crate) problems: Vec<Problem>,
    /// Keys of which nothing more is worth saying.
    pub(crate) consequences: BTreeSet<String>,
}

impl Config {
    /// This configuration, if nothing is wrong with any of its settings.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn complete(self) -> Result<Self, Error> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(Error::new(problems)) }
    }

    /// All that is wrong with the settings, and not with what they refer to. Empty unless a [`Reader`](crate::Reader) read the configuration.
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
        self.store.as_ref()?.usable().ok()
    }

    /// Whether there is a store, whatever is wrong with it.
    pub fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// All sources with nothing wrong in their settings, in order of name.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().filter_map(|source| source.usable().ok())
    }

    /// The names of all sources, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// The source of this name.
    ///
    /// # Errors
    /// There is no such source, or its settings or those of its store are wrong.
    pub fn source(&self, name: &str) -> Result<&Source, Error> {
        let source = self.sources.get(name).ok_or_else(|| self.unknown(name))?.usable()?;
        if let Some(store) = self.store.as_ref().filter(|_| source.is_shared()) {
            store.usable()?;
        }
        Ok(source)
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

    /// What is in effect for these sources, or for all if none is named, and for the store: as TOML that can be read from any
    /// folder. A comment says where each setting comes from. Secrets stay references.
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

impl<T> Read<T> {
    /// The table, if nothing is wrong with its settings.
    pub(crate) fn usable(&self) -> Result<&T, Error> {
        let value = self.value.as_ref().filter(|_| self.problems.is_empty());
        value.ok_or_else(|| Error::new(self.problems.clone()))
    }

    /// What is wrong with the settings, and with what they refer to.
    fn checked(&self, check: impl FnOnce(&T) -> Checked) -> Checked {
        let of_material = self.value.as_ref().map(check).unwrap_or_default();
        let mut problems = self.problems.clone();
        let is_news = |problem: &Problem| !self.consequences.iter().any(|key| is_within(problem.key(), key));
        add(&mut problems, of_material.problems.into_iter().filter(is_news).map(Err));
        Checked { problems, ..of_material }
    }
}
