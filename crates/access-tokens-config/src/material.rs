//! What references lead to: secrets, keys, certificates, roots. Read when it is asked for, and anew for each client.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use access_tokens::{Identity, SecretFile, Setting, assertion::SigningKey, root_certificates};
use zeroize::Zeroizing;

use crate::{
    checked::Checked,
    error::{Problem, add, within},
    reference::{Place, Reference},
    section::Section,
};

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

/// What was read so far, and what is wrong or odd about it. Only references are read, so all that is read is watched.
pub(crate) struct Material<'a> {
    section: &'a Section,
    read: RefCell<BTreeMap<String, Result<Content, Problem>>>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Section {
    pub(crate) fn material(&self) -> Material<'_> {
        Material { section: self, read: RefCell::default(), problems: RefCell::default(), warnings: RefCell::default() }
    }
}

impl Material<'_> {
    /// The root certificates of a list of files. All files are read, even if one of them can't be used.
    pub(crate) fn roots(&self, list: &str) -> Result<Vec<Vec<u8>>, Problem> {
        let keys = (0..).map(|index| format!("{list}[{index}]")).take_while(|key| self.section.is_set(key));
        let all: Vec<_> = keys.map(|key| self.root(&key)).collect();
        all.into_iter().collect()
    }

    fn root(&self, key: &str) -> Result<Vec<u8>, Problem> {
        let content = self.content(key)?;
        match root_certificates(content.bytes()) {
            Ok(_) => Ok(content.bytes().to_vec()),
            Err(error) => Err(self.problem(key, self.section.with_path(key, &error))),
        }
    }

    /// The client certificate of the table at `under`, if there is one.
    pub(crate) fn client_certificate(&self, under: &str) -> Result<Option<Identity>, Problem> {
        self.section.is_set(under).then(|| self.identity(under)).transpose()
    }

    /// The private key and certificate of the table at `under`.
    pub(crate) fn identity(&self, under: &str) -> Result<Identity, Problem> {
        // All are read before any is used, so that a check finds the mistakes in each.
        let passphrase = self.secret_if_set(&within(under, "passphrase"), Setting::Passphrase);
        let [key, certificate, pkcs12] = ["key", "certificate", "pkcs12"].map(|name| within(under, name));
        let is_bundle = self.section.is_set(&pkcs12);
        let identity = if is_bundle {
            let bundle = self.content(&pkcs12);
            let passphrase = passphrase?;
            Identity::new(bundle?.bytes(), None, passphrase.as_ref().map(|passphrase| passphrase.as_str()))
        } else {
            let (key, certificate, passphrase) = (self.content(&key), self.content(&certificate), passphrase?);
            let passphrase = passphrase.as_ref().map(|passphrase| passphrase.as_str());
            Identity::new(key?.bytes(), Some(certificate?.bytes()), passphrase)
        };
        let identity = identity.map_err(|error| self.refused(under, &error))?;
        for warning in identity.warnings() {
            self.warn(if is_bundle { &pkcs12 } else { &certificate }, warning);
        }
        Ok(identity)
    }

    /// The private key of the table at `under`, where nothing needs its certificate.
    pub(crate) fn signing_key(&self, under: &str) -> Result<SigningKey, Problem> {
        let passphrase = self.secret_if_set(&within(under, "passphrase"), Setting::Passphrase)?;
        let key = self.content(&within(under, "key"))?;
        let key = SigningKey::new(key.bytes(), passphrase.as_ref().map(|passphrase| passphrase.as_str()));
        key.map_err(|error| self.refused(under, &error))
    }

    /// A secret, without the line break at the end of its file.
    pub(crate) fn secret(&self, key: &str, setting: Setting) -> Result<Zeroizing<String>, Problem> {
        let content = self.content(key)?;
        let secret = match &content {
            Content::Variable(text) => setting.check(text).map(|()| text.as_str()),
            Content::File(file) => file.secret(setting),
        };
        let at = self.section.at(key);
        let secret = secret.map_err(|error| self.problem(at, error.to_string()))?;
        if let Some(warning) = setting.warning(secret) {
            self.warn(at, &warning);
        }
        Ok(Zeroizing::new(secret.to_owned()))
    }

    /// A secret, if it is set.
    pub(crate) fn secret_if_set(&self, key: &str, setting: Setting) -> Result<Option<Zeroizing<String>>, Problem> {
        self.section.is_set(key).then(|| self.secret(key, setting)).transpose()
    }

    /// What isn't one secret but several, with white space between.
    pub(crate) fn lines(&self, key: &str) -> Result<Zeroizing<String>, Problem> {
        let content = self.content(key)?;
        let text = std::str::from_utf8(content.bytes());
        let not_utf8 = |_| self.problem(self.section.at(key), self.section.with_path(key, "isn't UTF-8"));
        let text = text.map_err(not_utf8)?;
        Ok(Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()))
    }

    /// An error of the facade that is about what was read; see [`Section::refused`].
    pub(crate) fn refused(&self, under: &str, error: &access_tokens::Error) -> Problem {
        self.noted(self.section.refused(under, error))
    }

    /// Something wrong with what was read.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        self.noted(self.section.problem(key, message))
    }

    /// Notes a problem, so that a check reports it even if `built` fails for another reason.
    fn noted(&self, problem: Problem) -> Problem {
        add(&mut self.problems.borrow_mut(), [Err(problem.clone())]);
        problem
    }

    /// All that is wrong with what was read and with what was built of it, and all that is odd.
    pub(crate) fn checked<T>(self, built: impl IntoIterator<Item = Result<T, Problem>>) -> Checked {
        let mut problems = self.problems.into_inner();
        add(&mut problems, built.into_iter().map(|built| built.map(|_| ())));
        Checked { problems, warnings: self.warnings.into_inner() }
    }

    fn warn(&self, key: &str, warning: &str) {
        let warning = self.section.problem(key, warning);
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    fn content(&self, key: &str) -> Result<Content, Problem> {
        if let Some(read) = self.read.borrow().get(key) {
            return read.clone();
        }
        let content = match self.section.reference(key) {
            Some(reference) => self.read(reference),
            None => Err(self.problem(key, "is missing")),
        };
        self.read.borrow_mut().insert(key.to_owned(), content.clone());
        content
    }

    fn read(&self, reference: &Reference) -> Result<Content, Problem> {
        let refused = |message: String| Err(self.problem(&reference.at, message));
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
                let cause = error.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
                let hint = if shown { "" } else { " (its name isn't shown, since it may be the secret itself)" };
                refused(format!("{what}{cause}{hint}"))
            }
        }
    }
}
