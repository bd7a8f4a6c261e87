//! A private key without a certificate.

use std::{fmt, path::Path};

use super::signer::{Signer, Signing};
use crate::{
    Error, Setting,
    identity::{self, PrivateKey},
    jws::Algorithm,
};

/// A private key without a certificate, for a provider that knows the key by a name of its own.
///
/// It takes what an [`Identity`](crate::Identity) takes for a key. The assertion's `kid` must be a
/// [`KeyId::Text`](super::KeyId::Text).
///
/// ```
/// # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
/// # let pem = sandbox.signing_key_pem();
/// use access_tokens::assertion::{Algorithm, ClientAssertion, KeyId, SigningKey};
///
/// let key = SigningKey::new(pem, None)?.algorithm(Algorithm::Ps256)?; // or SigningKey::read, from a file
/// let credentials = ClientAssertion::with_signer("merchant", key)?.key_id(KeyId::Text("k1".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SigningKey {
    key: PrivateKey,
    algorithm: Algorithm,
    fingerprint: String,
}

impl SigningKey {
    /// Takes a private key in PEM or DER, and the passphrase if the key is encrypted. It signs with the algorithm that is usual for
    /// the key: RS256, ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): no key, a key that can't sign, a passphrase that is missing or
    /// wrong. An encrypted key needs the feature `encrypted-keys`.
    pub fn new(key: impl AsRef<[u8]>, passphrase: Option<&str>) -> Result<Self, Error> {
        Self::of(identity::key(key.as_ref(), passphrase)?)
    }

    /// [`new`](Self::new) with a file.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for a file that can't be read.
    pub fn read(path: impl AsRef<Path>, passphrase: Option<&str>) -> Result<Self, Error> {
        Self::of(identity::read_key(path.as_ref(), passphrase)?)
    }

    fn of(key: PrivateKey) -> Result<Self, Error> {
        let unusable = || Setting::Key.error("can't sign");
        let algorithm = *key.algorithms().first().ok_or_else(unusable)?;
        let fingerprint = key.fingerprint().ok_or_else(unusable)?;
        Ok(Self { key, algorithm, fingerprint })
    }

    /// Signs with another algorithm of those that the key can do.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): the key can't do it; the message lists what it can.
    pub fn algorithm(self, algorithm: Algorithm) -> Result<Self, Error> {
        let key = format!("{}, which is {},", self.key.name, self.key.kind());
        Ok(Self { algorithm: algorithm.check(&key, self.key.algorithms())?, ..self })
    }
}

impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SHA-256 fingerprint of the public key.
    fn key_name(&self) -> &str {
        &self.fingerprint
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        let signature = self.key.sign(self.algorithm, message);
        Box::pin(async { signature.ok_or_else(|| Setting::Key.error("can't sign")) })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("key_type", &self.key.kind())
            .field("algorithm", &self.algorithm)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
