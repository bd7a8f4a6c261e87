//! Private keys with their certificates, in the forms in which banks hand them out.

mod certificate;
mod content;
mod key;
mod name;
mod named;
mod pem;
#[cfg(feature = "encrypted-keys")]
mod pkcs12;
mod roots;

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use access_tokens_raw::Secret;
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

pub use self::roots::root_certificates;
pub(crate) use self::{certificate::Certificates, key::PrivateKey};
use self::{
    content::unused,
    named::{Named, Source},
};
use crate::{Error, SecretFile, Setting};

/// A private key and the chain of certificates that belongs to it.
///
/// It signs [client assertions](crate::assertion::ClientAssertion) and is shown to servers that ask for a client certificate
/// ([`Transport::identity`](crate::Transport::identity)).
///
/// - **Key:** RSA of 2048 to 8192 bits, EC P-256 or P-384, or Ed25519, as PKCS#8, PKCS#1 or SEC1, in PEM or DER.
/// - **Certificates:** one or several in PEM, or one in DER, in any order. One of them must be the key's (of several, one that
///   is valid, and of those the one that ends last), and its issuers follow it. [`warnings`](Self::warnings) tells what isn't
///   used.
/// - With the feature `encrypted-keys`: encrypted PKCS#8 and PKCS#12 bundles.
///
/// PEM may be as environment variables hold it: in one line, with `\n` in place of line breaks. A byte order mark before it is
/// skipped.
///
/// Every mistake is an [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) that says which of the two it is about, and in which file: no key, no
/// certificate, a key that is encrypted or a wrong passphrase, a key of another kind, two that don't belong together, a
/// certificate that has ended or isn't valid yet. One that ends within 30 days is warned of in the log, once a day while it
/// is in use.
///
/// ```
/// # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
/// # let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
/// use access_tokens::Identity;
///
/// let identity = Identity::new(key, Some(certificate.as_ref()), None)?;
/// assert_eq!(identity.key_type(), "RSA");
///
/// let error = Identity::new(certificate, Some(certificate.as_ref()), None).unwrap_err();
/// assert_eq!(error.to_string(), "the private key: it is a certificate; are key and certificate swapped?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    key: PrivateKey,
    certificates: Certificates,
    warnings: Vec<String>,
}

impl Identity {
    /// Takes the key and the certificates, each in PEM or DER; or, without certificates, a PKCS#12 bundle (`.p12`, `.pfx`), which
    /// holds both. The passphrase is that of the key or of the bundle; where nothing is encrypted it does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), as the type says.
    pub fn new(key: impl AsRef<[u8]>, certificates: Option<&[u8]>, passphrase: Option<&str>) -> Result<Self, Error> {
        match certificates {
            Some(certificates) => {
                Self::of_pair(&Source::KEY.of(key.as_ref()), &Source::CERTIFICATES.of(certificates), passphrase)
            }
            None => Self::of_bundle(&Source::BUNDLE.of(key.as_ref()), passphrase),
        }
    }

    /// [`new`](Self::new) with files. Key and certificates may be in one and the same.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), as the type says, and for a file that can't be read.
    pub fn read(key: impl AsRef<Path>, certificates: Option<&Path>, passphrase: Option<&str>) -> Result<Self, Error> {
        let Some(certificates) = certificates else {
            let source = Source::BUNDLE.at(key.as_ref());
            let file = source.read(key.as_ref())?;
            return Ok(Self::of_bundle(&source.of(file.bytes()), passphrase)?.with_warnings_of(&[&file]));
        };
        let (of_key, of_certificates) = (Source::KEY.at(key.as_ref()), Source::CERTIFICATES.at(certificates));
        let (key_file, file) = (of_key.read(key.as_ref())?, of_certificates.read(certificates)?);
        let identity = Self::of_pair(&of_key.of(key_file.bytes()), &of_certificates.of(file.bytes()), passphrase)?;
        Ok(identity.with_warnings_of(&[&key_file, &file]))
    }

    /// Of which kind the key is: `RSA`, `EC P-256`, `EC P-384` or `Ed25519`.
    pub fn key_type(&self) -> &'static str {
        self.0.key.kind()
    }

    /// Whom the certificate names, as in `CN=payments, O=Example`.
    pub fn subject(&self) -> &str {
        &self.0.certificates.subject
    }

    /// From when on the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.0.certificates.not_before()
    }

    /// Until when the certificate is valid.
    pub fn not_after(&self) -> SystemTime {
        self.0.certificates.not_after()
    }

    /// What may be a mistake, and doesn't keep the key and the certificate from being used: certificates and other things that
    /// were given and aren't used, or a file that every user of this machine may write to. Each was logged once.
    ///
    /// ```
    /// # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
    /// # let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
    /// use access_tokens::Identity;
    ///
    /// assert!(Identity::new(key, Some(certificate.as_ref()), None)?.warnings().is_empty());
    ///
    /// let request = "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";
    /// let identity = Identity::new(key, Some(format!("{certificate}{request}").as_ref()), None)?;
    /// assert_eq!(identity.warnings(), ["section 2 of the certificate (a certificate request) isn't used"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Passes the key and its chain of certificates to `f` as PEM, for a TLS library. The text is wiped from memory afterwards.
    ///
    /// ```
    /// # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
    /// # let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
    /// let identity = access_tokens::Identity::new(key, Some(certificate.as_ref()), None)?;
    /// assert_eq!(identity.with_pem(|pem| pem.matches("-----BEGIN ").count()), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_pem<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        f(self.pem().expose())
    }

    /// Whether TLS can show the certificate, which it can't if that is of version 1.
    pub(crate) fn check_for_tls(&self) -> Result<(), Error> {
        let leaf = CertificateDer::from(self.0.certificates.leaf());
        let usable = webpki::EndEntityCert::try_from(&leaf);
        usable.map(|_| ()).map_err(|e| self.0.certificates.unusable_for_tls(&e))
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.0.key
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.0.certificates
    }

    /// Both in PEM, for a TLS library.
    pub(crate) fn pem(&self) -> Secret {
        // As much as it takes at the start: growing would leave copies of the key behind.
        let length = self.0.key.der().len() + self.0.certificates.chain.iter().map(Vec::len).sum::<usize>();
        let mut pem = String::with_capacity(2 * length + 100 * (1 + self.0.certificates.chain.len()));
        let mut section = |label: &str, der: &[u8]| {
            let text = Zeroizing::new(BASE64_STANDARD.encode(der));
            pem.push_str(&format!("-----BEGIN {label}-----\n"));
            for (position, character) in text.char_indices() {
                if position > 0 && position % 64 == 0 {
                    pem.push('\n');
                }
                pem.push(character);
            }
            pem.push_str(&format!("\n-----END {label}-----\n"));
        };
        section(self.0.key.label(), self.0.key.der());
        self.0.certificates.chain.iter().for_each(|der| section("CERTIFICATE", der));
        Secret::from(pem)
    }

    fn of_pair(key_named: &Named<'_>, named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let key_items = content::items(key_named)?;
        let (key, position) = PrivateKey::find(&key_items, key_named, passphrase)?;
        let items = content::items(named)?;
        let certificates = Certificates::of_key(&items, named, &key, &key_named.name())?;
        let mut used: Vec<_> = certificates.chain.iter().map(Vec::as_slice).collect();
        used.extend(key_items.get(position).map(|item| item.der.as_slice()));
        let mut warnings = Vec::new();
        // One file that is given as both is looked through once.
        if key_named.bytes != named.bytes {
            warnings.extend(unused(&key_items, &used, Setting::Key));
        }
        warnings.extend(unused(&items, &used, Setting::Certificate));
        certificates.check_validity()?;
        Ok(Self::with_warnings(key, certificates, warnings))
    }

    #[cfg(feature = "encrypted-keys")]
    fn of_bundle(named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let (key, certificates, warnings) = pkcs12::read(named, passphrase.unwrap_or_default())?;
        Ok(Self::with_warnings(key, certificates, warnings))
    }

    #[cfg(not(feature = "encrypted-keys"))]
    fn of_bundle(named: &Named<'_>, _: Option<&str>) -> Result<Self, Error> {
        Err(named.error("this program can't read one; build it with the feature encrypted-keys"))
    }

    fn with_warnings(key: PrivateKey, certificates: Certificates, warnings: Vec<String>) -> Self {
        certificates.warn_of_end();
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Self(Arc::new(Inner { key, certificates, warnings }))
    }

    /// The files' own, which are logged already.
    fn with_warnings_of(mut self, files: &[&SecretFile]) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            let warnings = files.iter().filter_map(|file| file.warning());
            inner.warnings.extend(warnings.map(str::to_owned));
            inner.warnings.dedup();
        }
        self
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("key_type", &self.key_type())
            .field("certificates", &self.0.certificates)
            .finish_non_exhaustive()
    }
}

/// The certificates of a key that is elsewhere, its own first.
pub(crate) fn certificates(bytes: &[u8]) -> Result<Certificates, Error> {
    let named = Source::CERTIFICATES.of(bytes);
    let items = content::items(&named)?;
    let certificates = Certificates::first(&items, &named)?;
    let used: Vec<_> = certificates.chain.iter().map(Vec::as_slice).collect();
    unused(&items, &used, Setting::Certificate).iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(certificates)
}

/// A key without a certificate.
pub(crate) fn key(bytes: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, Error> {
    key_alone(&Source::KEY.of(bytes), passphrase)
}

/// [`key`] from a file.
pub(crate) fn read_key(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, Error> {
    let source = Source::KEY.at(path);
    let file = source.read(path)?;
    key_alone(&source.of(file.bytes()), passphrase)
}

fn key_alone(named: &Named<'_>, passphrase: Option<&str>) -> Result<PrivateKey, Error> {
    let items = content::items(named)?;
    let (key, position) = PrivateKey::find(&items, named, passphrase)?;
    let used: Vec<_> = items.get(position).map(|item| item.der.as_slice()).into_iter().collect();
    unused(&items, &used, Setting::Key).iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(key)
}
