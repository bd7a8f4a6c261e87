//! What bytes are meant to be and where they are from, for messages.

use std::{fmt, path::Path};

use crate::{Error, SecretFile, Setting};

/// Bytes, and where they are from.
pub(super) struct Named<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) source: Source,
}

/// What bytes are meant to be, and which file they are from.
#[derive(Clone)]
pub(super) struct Source {
    what: &'static str,
    path: Option<String>,
    pub(super) setting: Setting,
}

impl Named<'_> {
    pub(super) fn name(&self) -> String {
        self.source.name()
    }

    pub(super) fn place(&self, noun: &str, index: usize) -> String {
        self.source.place(noun, index)
    }

    pub(super) fn error(&self, what: impl fmt::Display) -> Error {
        self.source.error(what)
    }
}

impl Source {
    pub(super) const KEY: Self = Self { what: "the private key", path: None, setting: Setting::Key };
    pub(super) const CERTIFICATES: Self = Self { what: "the certificate", path: None, setting: Setting::Certificate };
    pub(super) const BUNDLE: Self = Self { what: "the PKCS#12 bundle", path: None, setting: Setting::Pkcs12 };
    pub(super) const ROOTS: Self = Self { what: "the root certificates", path: None, setting: Setting::Roots };

    pub(super) fn of(self, bytes: &[u8]) -> Named<'_> {
        Named { bytes, source: self }
    }

    pub(super) fn at(self, path: &Path) -> Self {
        Self { path: Some(path.display().to_string()), ..self }
    }

    /// As messages call it: `the private key in key.pem`.
    pub(super) fn name(&self) -> String {
        match &self.path {
            Some(path) => format!("{} in {path}", self.what),
            None => self.what.to_owned(),
        }
    }

    /// One of several things in it, counted from 0: `section 1 of key.pem`.
    pub(super) fn place(&self, noun: &str, index: usize) -> String {
        format!("{noun} {} of {}", index + 1, self.path.as_deref().unwrap_or(self.what))
    }

    pub(super) fn error(&self, what: impl fmt::Display) -> Error {
        let message = format!("{}: {what}", self.name());
        Error::configuration(message).with_setting(self.setting)
    }

    pub(super) fn read(&self, path: &Path) -> Result<SecretFile, Error> {
        SecretFile::read(path)
            .map_err(|e| self.error(format_args!("it can't be read: {}", e.cause().unwrap_or_default())))
    }
}
