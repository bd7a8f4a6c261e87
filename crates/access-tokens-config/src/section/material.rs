//! What references lead to: secrets, keys, certificates, roots. Read when it is asked for, and anew for each client.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    error::Error as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use access_tokens::{Identity, SecretFile, Setting, assertion::SigningKey, root_certificates};
use zeroize::Zeroizing;

use super::Section;
use crate::error::{Problem, text, within};

/// A setting that says where something is.
pub(super) struct Reference {
    /// The setting, such as `password` or `transport.roots[1]`.
    key: String,
    /// The key of the path or name itself, such as `password.file`.
    at: String,
    place: Place,
}

enum Place {
    Variable(String),
    File {
        path: PathBuf,
        /// Whether a message may show it.
        shown: bool,
        /// What came out of a pipe, which comes only once.
        pipe: OnceLock<Arc<SecretFile>>,
    },
}

impl Reference {
    pub(super) fn to_variable(key: &str, at: &str, name: &str) -> Self {
        Self { key: key.to_owned(), at: at.to_owned(), place: Place::Variable(name.to_owned()) }
    }

    pub(super) fn to_file(key: &str, at: &str, path: PathBuf, shown: bool) -> Self {
        let place = Place::File { path, shown, pipe: OnceLock::new() };
        Self { key: key.to_owned(), at: at.to_owned(), place }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            Place::Variable(_) => None,
        }
    }
}

#[derive(Clone)]
enum Content {
    Variable(Arc<Zeroizing<String>>),
    File(Arc<SecretFile>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Variable(text) => text.as_bytes(),
            Self::File(file) => file.bytes(),
        }
    }
}

/// What was read so far, and what is odd about it. What no reference leads to can't be used, so nothing is read that isn't
/// watched.
pub(crate) struct Material<'a> {
    section: &'a Section,
    read: RefCell<BTreeMap<String, Result<Content, Problem>>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Section {
    pub(crate) fn material(&self) -> Material<'_> {
        Material { section: self, read: RefCell::default(), warnings: RefCell::default() }
    }
}

impl Material<'_> {
    /// Root certificates, each in DER.
    pub(crate) fn roots(&self, key: &str) -> Result<Vec<u8>, Problem> {
        let content = self.content(key)?;
        match root_certificates(content.bytes()) {
            Ok(_) => Ok(content.bytes().to_vec()),
            Err(error) => Err(self.section.problem(key, self.with_path(key, &error))),
        }
    }

    /// The private key and certificate of the table at `under`.
    pub(crate) fn identity(&self, under: &str) -> Result<Identity, Problem> {
        let passphrase = self.passphrase(under)?;
        let passphrase = passphrase.as_ref().map(|passphrase| passphrase.as_str());
        let [key, certificate, pkcs12] = ["key", "certificate", "pkcs12"].map(|name| within(under, name));
        let is_bundle = self.section.is_set(&pkcs12);
        let identity = if is_bundle || !self.section.is_set(&certificate) {
            let bundle = self.content(if is_bundle { &pkcs12 } else { &key })?;
            Identity::from_pkcs12(bundle.bytes(), passphrase.unwrap_or_default())
        } else {
            let (key, certificate) = (self.content(&key)?, self.content(&certificate)?);
            match passphrase {
                Some(passphrase) => Identity::new_encrypted(key.bytes(), certificate.bytes(), passphrase),
                None => Identity::new(key.bytes(), certificate.bytes()),
            }
        };
        let identity = identity.map_err(|error| self.refused(under, &error))?;
        for warning in identity.warnings() {
            self.warn(if is_bundle { &pkcs12 } else { &certificate }, warning);
        }
        Ok(identity)
    }

    /// The private key of the table at `under`, where nothing needs its certificate.
    pub(crate) fn signing_key(&self, under: &str) -> Result<SigningKey, Problem> {
        let passphrase = self.passphrase(under)?;
        let key = self.content(&within(under, "key"))?;
        let key = SigningKey::new(key.bytes(), passphrase.as_ref().map(|passphrase| passphrase.as_str()));
        key.map_err(|error| self.refused(under, &error))
    }

    /// Whether a key without a certificate is a bundle, which has one. PEM isn't.
    pub(crate) fn is_bundle(&self, key: &str) -> Result<bool, Problem> {
        Ok(!self.content(key)?.bytes().windows(10).any(|part| part == b"-----BEGIN"))
    }

    /// A secret, without the line break at the end of its file.
    pub(crate) fn secret(&self, key: &str, setting: Setting) -> Result<Zeroizing<String>, Problem> {
        let content = self.content(key)?;
        let secret = match &content {
            Content::Variable(text) => setting.check(text).map(|()| text.as_str()),
            Content::File(file) => file.secret(setting),
        };
        let secret = secret.map_err(|error| self.section.problem(&self.at(key), error.to_string()))?;
        if let Some(warning) = setting.warning(secret) {
            self.warn(&self.at(key), &warning);
        }
        Ok(Zeroizing::new(secret.to_owned()))
    }

    /// What isn't one secret but several, with white space between.
    pub(crate) fn lines(&self, key: &str) -> Result<Zeroizing<String>, Problem> {
        let content = self.content(key)?;
        let text = std::str::from_utf8(content.bytes());
        let text = text.map_err(|_| self.section.problem(&self.at(key), self.with_path(key, "isn't UTF-8")))?;
        Ok(Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()))
    }

    /// What an error of the facade says of the table at `under`, with the path of the file that it is about.
    pub(crate) fn refused(&self, under: &str, error: &access_tokens::Error) -> Problem {
        let Some(setting) = error.setting() else { return self.section.refused(under, error) };
        let key = within(under, setting.key());
        let is_set = |name: &str| self.section.is_set(&within(under, name));
        let key = match setting {
            // A bundle is in the flat variable of a key too, and a passphrase that isn't there belongs to either.
            Setting::Pkcs12 | Setting::Passphrase if !self.section.is_set(&key) => {
                within(under, if is_set("pkcs12") { "pkcs12" } else { "key" })
            }
            _ => key,
        };
        self.section.problem(&key, self.with_path(&key, text(error)))
    }

    /// What was odd so far.
    pub(crate) fn into_warnings(self) -> Vec<Problem> {
        self.warnings.into_inner()
    }

    /// A message with the path in front if what `of` refers to is a file.
    pub(crate) fn with_path(&self, of: &str, what: impl std::fmt::Display) -> String {
        match self.reference(of).map(|reference| &reference.place) {
            Some(Place::File { path, shown: true, .. }) => format!("{}: {what}", path.display()),
            _ => what.to_string(),
        }
    }

    fn passphrase(&self, under: &str) -> Result<Option<Zeroizing<String>>, Problem> {
        let key = within(under, "passphrase");
        self.section.is_set(&key).then(|| self.secret(&key, Setting::Passphrase)).transpose()
    }

    fn warn(&self, key: &str, warning: &str) {
        let warning = self.section.problem(key, warning);
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    fn reference(&self, key: &str) -> Option<&Reference> {
        self.section.references.iter().find(|reference| reference.key == key)
    }

    /// The key of the path or name that leads to a setting.
    pub(crate) fn at(&self, key: &str) -> String {
        self.reference(key).map_or(key, |reference| &reference.at).to_owned()
    }

    fn content(&self, key: &str) -> Result<Content, Problem> {
        if let Some(read) = self.read.borrow().get(key) {
            return read.clone();
        }
        let content = match self.reference(key) {
            Some(reference) => self.read(reference),
            None => Err(self.section.problem(key, "is missing")),
        };
        self.read.borrow_mut().insert(key.to_owned(), content.clone());
        content
    }

    fn read(&self, reference: &Reference) -> Result<Content, Problem> {
        let refused = |message: String| Err(self.section.problem(&reference.at, message));
        let (path, shown, pipe) = match &reference.place {
            Place::Variable(name) => {
                return match self.section.environment.variable(name) {
                    Ok(Some(value)) if !value.is_empty() => Ok(Content::Variable(Arc::new(value))),
                    Ok(_) => refused(format!("the variable {name} isn't set, or is empty")),
                    Err(what) => refused(format!("the variable {name} {what}")),
                };
            }
            Place::File { path, shown, pipe } => (path, *shown, pipe),
        };
        if let Some(file) = pipe.get() {
            return Ok(Content::File(file.clone()));
        }
        match SecretFile::read(path) {
            Ok(file) => {
                let file = Arc::new(file);
                if file.is_pipe() {
                    let _ = pipe.set(file.clone());
                }
                if let Some(warning) = file.warning() {
                    self.warn(&reference.at, warning);
                }
                Ok(Content::File(file))
            }
            Err(error) => {
                let what = if shown { error.to_string() } else { "the file that it names can't be read".to_owned() };
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                let hint = if shown { "" } else { " (its name isn't shown, since it may be the secret itself)" };
                refused(format!("{what}{cause}{hint}"))
            }
        }
    }
}
