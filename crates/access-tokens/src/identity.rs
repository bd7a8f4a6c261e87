//! Private keys with their certificates, in the forms in which banks hand them out.

mod certificate;
mod key;

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use access_tokens_raw::Secret;
use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

#[cfg(feature = "probe")]
pub(crate) use self::certificate::system_time;
pub(crate) use self::{certificate::Certificates, key::PrivateKey};
use crate::{Error, ErrorKind, SecretFile};

/// A private key and the chain of certificates that belongs to it.
///
/// It signs [client assertions](crate::assertion::ClientAssertion) and is shown to servers that ask for a client certificate
/// ([`Transport::identity`](crate::Transport::identity)).
///
/// - **Key:** RSA of 2048 to 8192 bits, EC P-256 or P-384, or Ed25519, as PKCS#8, PKCS#1 or SEC1, in PEM or DER.
/// - **Certificates:** one or several in PEM, or one in DER, in any order. One of them must be the key's (of several, one that
///   is valid, and of those the one that ends last), and its issuers follow it; what isn't of that chain is left out.
/// - With the feature `encrypted-keys`: encrypted PKCS#8 and PKCS#12 bundles.
///
/// Every mistake is an [`ErrorKind::Configuration`] that says which of the two it is about, and in which file: no key, no
/// certificate, a key that is encrypted or a wrong passphrase, a key of another kind, two that don't belong together, a
/// certificate that has ended or isn't valid yet. One that ends within 30 days is warned of in the log, once a day while it
/// is in use.
///
/// ```
/// # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
/// # let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
/// use access_tokens::Identity;
///
/// let identity = Identity::new(key, certificate)?;
/// assert_eq!(identity.key_type(), "RSA");
///
/// let error = Identity::new(certificate, certificate).unwrap_err();
/// assert_eq!(error.to_string(), "the private key: it is a certificate; are key and certificate swapped?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    key: PrivateKey,
    certificates: Certificates,
}

impl Identity {
    /// Takes the key and the certificates, each in PEM or DER.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as the type says.
    pub fn new(key: impl AsRef<[u8]>, certificates: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::of(Named::key(key.as_ref()), Named::certificates(certificates.as_ref()), None)
    }

    /// Reads both from files; they may be one and the same.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as the type says, and for a file that can't be read.
    pub fn read(key: impl AsRef<Path>, certificates: impl AsRef<Path>) -> Result<Self, Error> {
        let (key, certificates) = (Read::key(key.as_ref())?, Read::certificates(certificates.as_ref())?);
        Self::of(key.named(), certificates.named(), None)
    }

    /// [`new`](Self::new) with a key in encrypted PKCS#8. The passphrase of a key that isn't encrypted does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as the type says.
    #[cfg(feature = "encrypted-keys")]
    pub fn new_encrypted(
        key: impl AsRef<[u8]>,
        certificates: impl AsRef<[u8]>,
        passphrase: &str,
    ) -> Result<Self, Error> {
        Self::of(Named::key(key.as_ref()), Named::certificates(certificates.as_ref()), Some(passphrase))
    }

    /// [`read`](Self::read) with a key in encrypted PKCS#8. The passphrase of a key that isn't encrypted does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as the type says, and for a file that can't be read.
    #[cfg(feature = "encrypted-keys")]
    pub fn read_encrypted(
        key: impl AsRef<Path>,
        certificates: impl AsRef<Path>,
        passphrase: &str,
    ) -> Result<Self, Error> {
        let (key, certificates) = (Read::key(key.as_ref())?, Read::certificates(certificates.as_ref())?);
        Self::of(key.named(), certificates.named(), Some(passphrase))
    }

    /// Takes a PKCS#12 bundle (`.p12`, `.pfx`), which holds the key and the certificates. Of several keys the one counts whose
    /// certificate is there too.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as the type says.
    #[cfg(feature = "encrypted-keys")]
    pub fn from_pkcs12(bundle: impl AsRef<[u8]>, passphrase: &str) -> Result<Self, Error> {
        Self::of_pkcs12(&Named { bytes: bundle.as_ref(), name: "the PKCS#12 bundle".to_owned() }, passphrase)
    }

    /// [`from_pkcs12`](Self::from_pkcs12) with a file.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as the type says, and for a file that can't be read.
    #[cfg(feature = "encrypted-keys")]
    pub fn read_pkcs12(bundle: impl AsRef<Path>, passphrase: &str) -> Result<Self, Error> {
        Self::of_pkcs12(&Read::new(bundle.as_ref(), "the PKCS#12 bundle")?.named(), passphrase)
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

    fn of(key: Named<'_>, certificates: Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let key_name = key.name.clone();
        let key = PrivateKey::parse(&key, passphrase)?;
        let certificates = Certificates::of_key(&certificates, &key, &key_name)?;
        Self::valid(key, certificates)
    }

    #[cfg(feature = "encrypted-keys")]
    fn of_pkcs12(bundle: &Named<'_>, passphrase: &str) -> Result<Self, Error> {
        let archive = p12_keystore::Pkcs12Archive::from_pkcs12(bundle.bytes, passphrase).map_err(|e| match e {
            p12_keystore::error::Error::MacError(_) => bundle.error("the passphrase doesn't open it; check it"),
            // The parameters are those that say how much work it is to open.
            p12_keystore::error::Error::InvalidParameters
            | p12_keystore::error::Error::UnsupportedEncryptionScheme
            | p12_keystore::error::Error::UnsupportedMacAlgorithm => bundle
                .error("it is encrypted in a way that isn't supported; export it anew, as with openssl pkcs12 -export"),
            _ => {
                bundle.error("it isn't a PKCS#12 bundle, or is cut off, or the passphrase doesn't open it; check both")
            }
        })?;
        if archive.keys.is_empty() {
            return Err(bundle.error("it holds no private key; export it together with its key"));
        }
        let certificates: Vec<_> = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
        let mut outcome = Err(bundle.error("it holds no certificate; export it together with the key's"));
        for bag in &archive.keys {
            let key = PrivateKey::parse(&Named { bytes: bag.key.as_der(), name: bundle.name.clone() }, None);
            let found = key.and_then(|key| {
                let certificates = Certificates::chain_of(certificates.clone(), bundle, &key, &bundle.name)?;
                Self::valid(key, certificates)
            });
            match found {
                Ok(identity) => return Ok(identity),
                Err(error) if !certificates.is_empty() => outcome = Err(error),
                Err(_) => {}
            }
        }
        outcome
    }

    fn valid(key: PrivateKey, certificates: Certificates) -> Result<Self, Error> {
        certificates.check_validity()?;
        certificates.warn_of_end();
        Ok(Self(Arc::new(Inner { key, certificates })))
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

/// Bytes, and what messages call them.
pub(crate) struct Named<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) name: String,
}

impl<'a> Named<'a> {
    fn key(bytes: &'a [u8]) -> Self {
        Self { bytes, name: KEY.to_owned() }
    }

    pub(crate) fn certificates(bytes: &'a [u8]) -> Self {
        Self { bytes, name: CERTIFICATES.to_owned() }
    }

    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        configuration(format!("{}: {what}", self.name))
    }
}

const KEY: &str = "the private key";
const CERTIFICATES: &str = "the certificate";

struct Read {
    file: SecretFile,
    name: String,
}

impl Read {
    fn key(path: &Path) -> Result<Self, Error> {
        Self::new(path, KEY)
    }

    fn certificates(path: &Path) -> Result<Self, Error> {
        Self::new(path, CERTIFICATES)
    }

    fn new(path: &Path, what: &str) -> Result<Self, Error> {
        let name = format!("{what} in {}", path.display());
        let file = SecretFile::read(path).map_err(|e| {
            let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            configuration(format!("{name}: it can't be read: {cause}"))
        })?;
        Ok(Self { file, name })
    }

    fn named(&self) -> Named<'_> {
        Named { bytes: self.file.bytes(), name: self.name.clone() }
    }
}

fn configuration(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
