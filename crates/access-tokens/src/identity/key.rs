//! Private keys: the forms in which they come, and what they sign with.

use aws_lc_rs::{
    digest,
    encoding::{AsDer, PublicKeyX509Der},
    error::{KeyRejected, Unspecified},
    rand,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use super::{
    content::{self, Form, Item, Kind},
    named::Named,
};
#[cfg(feature = "encrypted-keys")]
use crate::Setting;
use crate::{Error, jws::Algorithm};

/// A key that can sign.
pub(crate) struct PrivateKey {
    signs: Signs,
    der: Der,
    /// What messages call it.
    pub(crate) name: String,
}

enum Signs {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The key in the form in which it came, decrypted.
struct Der {
    bytes: Zeroizing<Vec<u8>>,
    form: Form,
}

impl PrivateKey {
    /// The key among `items`, and its position. There must be exactly one.
    pub(super) fn find(items: &[Item], named: &Named<'_>, passphrase: Option<&str>) -> Result<(Self, usize), Error> {
        let mut keys = items.iter().enumerate().filter(|(_, item)| item.kind.is_key());
        match (keys.next(), keys.next()) {
            (Some((position, item)), None) => Ok((Self::new(Der::of(item, named, passphrase)?, named)?, position)),
            (Some(_), Some((second, _))) => Err(named.error(format!(
                "it holds more than one private key (a further one is section {}); leave only the one to use",
                second + 1
            ))),
            (None, _) => {
                // A certificate tells most about what went wrong.
                let item = items.iter().find(|item| item.kind == Kind::Certificate).or(items.first());
                Err(item.map_or_else(|| named.error("it holds no private key"), |item| item.refused(named, true)))
            }
        }
    }

    /// A key in DER that isn't encrypted.
    #[cfg(feature = "encrypted-keys")]
    pub(super) fn plain(bytes: &[u8], named: &Named<'_>) -> Result<Self, Error> {
        Self::new(Der { bytes: Zeroizing::new(bytes.to_vec()), form: Form::Pkcs8 }, named)
    }

    fn new(der: Der, named: &Named<'_>) -> Result<Self, Error> {
        let algorithm = match der.form {
            Form::Pkcs8 => content::pkcs8(&der.bytes),
            Form::Pkcs1 | Form::Sec1 => None,
        };
        if algorithm.is_some_and(|(algorithm, _)| algorithm == RSASSA_PSS) {
            return Err(named.error(
                "it is an RSASSA-PSS key, which isn't supported; convert it to a plain RSA key with \
                 openssl rsa -traditional -outform der -in a.pem | openssl rsa -inform der -out b.pem",
            ));
        }
        let signs = der.signs();
        // Some programs leave out parameters that libraries insist on (RFC 3279 section 2.3.1). The key within has none.
        let inner = algorithm.filter(|(algorithm, _)| signs.is_err() && *algorithm == RSA_ENCRYPTION);
        let (der, signs) = match inner {
            Some((_, key)) => {
                let der = Der { bytes: Zeroizing::new(key.to_vec()), form: Form::Pkcs1 };
                let signs = der.signs();
                (der, signs)
            }
            None => (der, signs),
        };
        let signs = signs.map_err(|_| {
            named.error(
                "it can't sign; a key must be RSA of 2048 to 8192 bits, EC P-256 or P-384, or Ed25519, and whole",
            )
        })?;
        Ok(Self { signs, der, name: named.name() })
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.signs {
            Signs::Rsa(_) => "RSA",
            Signs::P256(_) => "EC P-256",
            Signs::P384(_) => "EC P-384",
            Signs::Ed25519(_) => "Ed25519",
        }
    }

    /// As the `subjectPublicKey` of a certificate has it.
    pub(crate) fn public_key(&self) -> &[u8] {
        match &self.signs {
            Signs::Rsa(key) => key.public_key().as_ref(),
            Signs::P256(key) | Signs::P384(key) => key.public_key().as_ref(),
            Signs::Ed25519(key) => key.public_key().as_ref(),
        }
    }

    /// The SHA-256 fingerprint of the public key (`SubjectPublicKeyInfo` in DER), as 64 upper-case hex digits.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let der = |key: Result<PublicKeyX509Der<'static>, Unspecified>| {
            let digest = digest::digest(&digest::SHA256, key.ok()?.as_ref());
            Some(digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect())
        };
        match &self.signs {
            Signs::Rsa(key) => der(key.public_key().as_der()),
            Signs::P256(key) | Signs::P384(key) => der(key.public_key().as_der()),
            Signs::Ed25519(key) => der(key.public_key().as_der()),
        }
    }

    /// What it can sign with, the usual first.
    pub(crate) fn algorithms(&self) -> &'static [Algorithm] {
        use Algorithm::*;
        match self.signs {
            Signs::Rsa(_) => &[Rs256, Rs384, Rs512, Ps256],
            Signs::P256(_) => &[Es256],
            Signs::P384(_) => &[Es384],
            Signs::Ed25519(_) => &[EdDsa],
        }
    }

    /// The signature as a JWS has it (RFC 7518 section 3); none where the key can't do that.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = rand::SystemRandom::new();
        let rsa = match algorithm {
            Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
            Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
            Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
            Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
        };
        match (&self.signs, rsa, algorithm) {
            (Signs::Rsa(key), Some(encoding), _) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            (Signs::P256(key), _, Algorithm::Es256) | (Signs::P384(key), _, Algorithm::Es384) => {
                Some(key.sign(&random, message).ok()?.as_ref().to_vec())
            }
            (Signs::Ed25519(key), _, Algorithm::EdDsa) => Some(key.sign(message).as_ref().to_vec()),
            _ => None,
        }
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der.bytes
    }

    /// What PEM calls it.
    pub(super) fn label(&self) -> &'static str {
        match self.der.form {
            Form::Pkcs8 => "PRIVATE KEY",
            Form::Pkcs1 => "RSA PRIVATE KEY",
            Form::Sec1 => "EC PRIVATE KEY",
        }
    }
}

impl Der {
    fn of(item: &Item, named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        match item.kind {
            Kind::Key(form) => Ok(Self { bytes: item.der.clone(), form }),
            Kind::EncryptedKey => Self::decrypted(&item.der, named, passphrase),
            _ => Err(item.refused(named, true)),
        }
    }

    #[cfg(feature = "encrypted-keys")]
    fn decrypted(der: &[u8], named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let Some(passphrase) = passphrase else {
            let what = "it is encrypted, and no passphrase is set; set its passphrase";
            return Err(named.error(what).with_setting(Setting::Passphrase));
        };
        Setting::Passphrase.check_in(passphrase, &format!(" of {}", named.name()))?;
        let unsupported = "it is encrypted in a way that isn't supported; convert it with \
                           openssl pkcs8 -topk8 -v2 aes256 -in a.pem -out b.pem";
        let info = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| {
            let damaged = "it isn't encrypted PKCS#8; its content is damaged, so copy it again";
            named.error(if content::is_encrypted(der) { unsupported } else { damaged })
        })?;
        if !is_bearable(&info.encryption_algorithm) {
            return Err(named.error(
                "opening it would take more work than is usual; if it isn't damaged, convert it with \
                 openssl pkcs8 -topk8 -v2 aes256 -in a.pem -out b.pem",
            ));
        }
        let document = info.decrypt(passphrase).map_err(|e| match e {
            pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. })
            | pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::NoPbes1CryptSupport) => named.error(unsupported),
            _ => named.error("the passphrase doesn't open it; check it").with_setting(Setting::Passphrase),
        })?;
        Ok(Self { bytes: document.to_bytes(), form: Form::Pkcs8 })
    }

    #[cfg(not(feature = "encrypted-keys"))]
    fn decrypted(_: &[u8], named: &Named<'_>, _: Option<&str>) -> Result<Self, Error> {
        Err(named.error("it is encrypted, which this program can't read; build it with the feature encrypted-keys"))
    }

    fn signs(&self) -> Result<Signs, KeyRejected> {
        let bytes = &self.bytes;
        let ec = || {
            let p256 = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).map(Signs::P256);
            p256.or_else(|_| {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, bytes).map(Signs::P384)
            })
        };
        match self.form {
            Form::Pkcs1 => RsaKeyPair::from_der(bytes).map(Signs::Rsa),
            Form::Sec1 => ec(),
            Form::Pkcs8 => RsaKeyPair::from_pkcs8(bytes)
                .map(Signs::Rsa)
                .or_else(|_| ec())
                .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(Signs::Ed25519)),
        }
    }
}

/// The file says how much work it is to open. A damaged one may ask for hours, or for more memory than there is, which would
/// end the process.
#[cfg(feature = "encrypted-keys")]
fn is_bearable(scheme: &pkcs8::pkcs5::EncryptionScheme) -> bool {
    use pkcs8::pkcs5::{EncryptionScheme, pbes2::Kdf};
    let EncryptionScheme::Pbes2(parameters) = scheme else { return true };
    match &parameters.kdf {
        // The usual is 2048 to a million.
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= 10_000_000,
        // RFC 7914 section 2: 128 * N * r bytes, p times. The usual is 16 MiB, once.
        Kdf::Scrypt(scrypt) => {
            let memory = scrypt.cost_parameter.checked_mul(128 * u64::from(scrypt.block_size));
            let work = memory.and_then(|memory| memory.checked_mul(scrypt.parallelization.into()));
            work.is_some_and(|work| work <= 1 << 30)
        }
        _ => true,
    }
}

/// The object identifier 1.2.840.113549.1.1.1, as DER has it.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The object identifier 1.2.840.113549.1.1.10.
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
