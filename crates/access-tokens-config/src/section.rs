//! One table of the configuration with all that it refers to: a source, or the store.

mod material;

use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub(crate) use self::material::Material;
use self::material::Referred;
use crate::{
    environment::Environment,
    error::{Problem, text},
    settings::{Each, KeyPair, Span},
    tree::Node,
};

pub(crate) struct Section {
    /// Its key, such as `sources.sims`.
    key: String,
    /// The settings as they were written, for where each comes from.
    node: Node,
    /// All that they refer to; the walk over it serves both what is read and what is watched.
    references: Vec<Referred>,
    environment: Arc<Environment>,
}

impl Section {
    /// Paths in a file begin at `folder`. `walk` goes over the references in the settings.
    pub(crate) fn new(
        key: String,
        node: Node,
        environment: Arc<Environment>,
        folder: Option<&Path>,
        walk: impl FnOnce(&mut Each<'_>),
    ) -> Result<Self, Problem> {
        let mut section = Self { key, node, references: Vec::new(), environment };
        section.references = Referred::all(walk, &section.node, folder, |key, message| section.problem(key, message))?;
        Ok(section)
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Whether somebody set it.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// The files that settings refer to whose keys begin so, by absolute paths.
    pub(crate) fn files(&self, under: &[&str]) -> Vec<PathBuf> {
        let referred = self.references.iter().filter(|referred| referred.is_of(under));
        referred.filter_map(Referred::file).map(Path::to_owned).collect()
    }

    /// Something wrong with a setting; `key` is empty for the table as a whole.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let full = if key.is_empty() { self.key.clone() } else { format!("{}.{key}", self.key) };
        Problem::new(self.node.origin_of(key).clone(), full, message)
    }

    /// What the facade has against it.
    pub(crate) fn refused(&self, key: &str, error: &access_tokens::Error) -> Problem {
        self.problem(key, text(error))
    }

    /// Of two settings that exclude each other.
    pub(crate) fn both(&self, key: &str, other: &str) -> Problem {
        let short = other.rsplit('.').next().unwrap_or(other);
        let origin = self.node.origin_of(other);
        self.problem(key, format!("can't stand beside {short} ({origin}); remove one of the two"))
    }

    pub(crate) fn check_span(
        &self,
        key: &str,
        span: Span,
        range: RangeInclusive<Duration>,
        words: impl Display,
    ) -> Result<(), Problem> {
        if range.contains(&span.0) { Ok(()) } else { Err(self.problem(key, format!("must be {words}"))) }
    }

    pub(crate) fn check_key_pair(&self, under: &str, pair: KeyPair) -> Result<(), Problem> {
        let KeyPair { key, certificate, pkcs12, .. } = pair;
        let key_of = |name: &str| format!("{under}.{name}");
        match (key, certificate, pkcs12) {
            (true, true, false) | (false, false, true) => Ok(()),
            (true, _, true) => Err(self.both(&key_of("key"), &key_of("pkcs12"))),
            (false, true, true) => Err(self.both(&key_of("certificate"), &key_of("pkcs12"))),
            (true, false, false) => Err(self.problem(&key_of("certificate"), "is missing; key needs its certificate")),
            (false, true, false) => Err(self.problem(&key_of("key"), "is missing; certificate needs its key")),
            (false, false, false) => Err(self.problem(under, "needs key and certificate, or pkcs12")),
        }
    }
}
