//! What references lead to: secrets, keys, certificates, roots. Read anew each time.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use access_tokens::Identity;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

use super::Section;
use crate::{
    error::{Origin, Problem, text},
    settings::{Each, KeyPair, Place},
    tree::Node,
};

/// Far more than any secret, key or list of roots takes.
const LARGEST: u64 = 1024 * 1024;

/// A setting that says where something stands.
pub(super) struct Referred {
    /// The setting, such as `password` or `transport.roots[1]`.
    key: String,
    /// The key of the path or name itself, such as `password.file`.
    at: String,
    place: Stands,
}

enum Stands {
    Variable(String),
    File(PathBuf),
}

impl Referred {
    /// All that `walk` finds in the settings of a table. Relative paths are made absolute in the settings too: they begin at the folder of the file
    /// that they are written in, or those of variables at the working directory.
    pub(super) fn all(
        walk: impl FnOnce(&mut Each<'_>),
        node: &Node,
        folder: Option<&Path>,
        problem: impl Fn(&str, String) -> Problem,
    ) -> Result<Vec<Self>, Problem> {
        let mut all = Vec::new();
        let mut outcome = Ok(());
        walk(&mut |key, at, place| {
            let place = match place {
                Place::Variable(name) => Stands::Variable(name.as_str().to_owned()),
                Place::File(path) => {
                    let folder = folder.filter(|_| matches!(node.origin_of(&at), Origin::File { .. }));
                    if let Err(error) = path.make_absolute(folder) {
                        outcome = Err(problem(&at, format!("the working directory can't be told: {error}")));
                    }
                    Stands::File(path.as_path().to_owned())
                }
            };
            all.push(Self { key, at, place });
        });
        outcome.map(|()| all)
    }

    pub(super) fn is_of(&self, keys: &[&str]) -> bool {
        keys.iter().any(|under| self.key.starts_with(under))
    }

    pub(super) fn file(&self) -> Option<&Path> {
        match &self.place {
            Stands::File(path) => Some(path),
            Stands::Variable(_) => None,
        }
    }
}

/// What was read, by the setting that refers to it. What isn't in there can't be used, so nothing is read that
/// [`Referred::all`] doesn't know, and watch.
pub(crate) struct Material<'a> {
    section: &'a Section,
    read: BTreeMap<&'a str, (&'a Referred, Zeroizing<Vec<u8>>)>,
}

impl Section {
    /// Reads what the settings refer to whose keys begin so.
    pub(crate) fn material(&self, under: &[&str]) -> Result<Material<'_>, Problem> {
        let referred = self.references.iter().filter(|referred| referred.is_of(under));
        let read = referred.map(|referred| Ok((&*referred.key, (referred, self.read(referred)?))));
        Ok(Material { section: self, read: read.collect::<Result<_, Problem>>()? })
    }

    fn read(&self, referred: &Referred) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let bytes = match &referred.place {
            Stands::Variable(name) => match self.environment.get(name) {
                Ok(Some(value)) => Ok(Zeroizing::new(value.as_bytes().to_vec())),
                Ok(None) => Err(format!("the variable {name} isn't set, or is empty")),
                Err(what) => Err(format!("the variable {name} {what}")),
            },
            Stands::File(path) => read_file(path).map_err(|what| format!("{} {what}", path.display())),
        };
        bytes.map_err(|message| self.problem(&referred.at, message))
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let io = |error| format!("can't be read: {error}");
    // Before it is opened, since a pipe without a writer would never be.
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err("isn't a regular file".to_owned());
    }
    let too_large = || "is larger than 1 MiB".to_owned();
    let length = usize::try_from(metadata.len().min(LARGEST)).map_err(|_| too_large())?;
    // As much as it takes at the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > LARGEST { Err(too_large()) } else { Ok(bytes) }
}

impl Material<'_> {
    /// Root certificates, as PEM.
    pub(crate) fn roots(&self, key: &str) -> Result<&[u8], Problem> {
        let pem = self.bytes(key)?;
        match check_roots(pem) {
            Ok(()) => Ok(pem),
            Err(what) => Err(self.section.problem(key, self.with_path(key, " ", &what))),
        }
    }

    /// The private key and certificate of the table at `under`.
    pub(crate) fn identity(&self, under: &str, pair: KeyPair) -> Result<Identity, Problem> {
        let at = |name: &str| format!("{under}.{name}");
        let passphrase = pair.passphrase.then(|| self.secret(&at("passphrase"))).transpose()?;
        let passphrase = passphrase.as_ref().map(|passphrase| passphrase.as_str());
        if pair.pkcs12 {
            let key = at("pkcs12");
            let identity = Identity::from_pkcs12(self.bytes(&key)?, passphrase.unwrap_or_default());
            return identity.map_err(|error| self.problem(&key, &key, &text(&error)));
        }
        let (key, certificate) = (at("key"), at("certificate"));
        let identity = match passphrase {
            Some(passphrase) => Identity::new_encrypted(self.bytes(&key)?, self.bytes(&certificate)?, passphrase),
            None => Identity::new(self.bytes(&key)?, self.bytes(&certificate)?),
        };
        identity.map_err(|error| {
            let of_certificate = error.to_string().starts_with("the certificate");
            let key = if of_certificate { &certificate } else { &key };
            self.problem(key, key, &text(&error))
        })
    }

    /// A secret, without the line break at the end of its file.
    pub(crate) fn secret(&self, key: &str) -> Result<Zeroizing<String>, Problem> {
        let (referred, bytes) = self.get(key)?;
        let refused = |what: &str| self.section.problem(&referred.at, self.with_path(key, " ", what));
        let text = std::str::from_utf8(bytes).map_err(|_| refused("isn't UTF-8"))?;
        if referred.file().is_none() {
            return Ok(Zeroizing::new(text.to_owned()));
        }
        if text.starts_with('\u{feff}') {
            return Err(refused("begins with a byte order mark; save it as UTF-8 without one"));
        }
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(refused("is empty; put the secret into it"));
        }
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Something wrong with `key`, with the path in front if what `of` refers to is a file.
    pub(crate) fn problem(&self, key: &str, of: &str, what: &str) -> Problem {
        self.section.problem(key, self.with_path(of, ": ", what))
    }

    fn with_path(&self, key: &str, between: &str, what: &str) -> String {
        match self.read.get(key).and_then(|(referred, _)| referred.file()) {
            Some(path) => format!("{}{between}{what}", path.display()),
            None => what.to_owned(),
        }
    }

    fn bytes(&self, key: &str) -> Result<&[u8], Problem> {
        self.get(key).map(|(_, bytes)| bytes)
    }

    fn get(&self, key: &str) -> Result<(&Referred, &[u8]), Problem> {
        let read = self.read.get(key).map(|(referred, bytes)| (*referred, bytes.as_slice()));
        read.ok_or_else(|| self.section.problem(key, "wasn't read"))
    }
}

/// The HTTP client would say so as well, but neither in which file nor which certificate.
fn check_roots(pem: &[u8]) -> Result<(), String> {
    let sections = pem.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"-----BEGIN ")).count();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| "holds a PEM section that is broken".to_owned())?;
    if certificates.is_empty() {
        return Err("holds no PEM certificate".to_owned());
    }
    if certificates.len() != sections {
        return Err("holds more than certificates (BEGIN CERTIFICATE); remove the rest".to_owned());
    }
    match certificates.iter().position(|der| webpki::anchor_from_trusted_cert(der).is_err()) {
        Some(index) => Err(format!("holds a certificate (number {}) that isn't an X.509 one", index + 1)),
        None => Ok(()),
    }
}
