//! Private keys: the forms in which they come, and what they sign with.

use aws_lc_rs::{
    error::KeyRejected,
    rand,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use rustls_pki_types::PrivateKeyDer;
use x509_parser::{
    asn1_rs::{Any, Sequence, Tag},
    pem::Pem,
    prelude::{FromDer, X509Certificate},
};
use zeroize::Zeroizing;

use super::Named;
use crate::{Error, assertion::Algorithm};

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

#[derive(Clone, Copy)]
enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

impl PrivateKey {
    pub(super) fn parse(named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let der = Der::of(named, passphrase)?;
        let signs = der.signs().map_err(|_| {
            named.error(
                "it can't sign; a key must be RSA of 2048 to 8192 bits, EC P-256 or P-384, or Ed25519, and whole",
            )
        })?;
        Ok(Self { signs, der, name: named.name.clone() })
    }

    pub(super) fn kind(&self) -> &'static str {
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
    fn of(named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let mut other = None;
        if is_pem(named.bytes) {
            for pem in Pem::iter_from_buffer(named.bytes) {
                let Ok(Pem { label, contents }) = pem else {
                    return Err(named.error(damaged(named.bytes)));
                };
                let bytes = Zeroizing::new(contents);
                match label.as_str() {
                    "PRIVATE KEY" => return Ok(Self { bytes, form: Form::Pkcs8 }),
                    "RSA PRIVATE KEY" => return Ok(Self { bytes, form: Form::Pkcs1 }),
                    "EC PRIVATE KEY" => return Ok(Self { bytes, form: Form::Sec1 }),
                    "ENCRYPTED PRIVATE KEY" => return Self::decrypted(&bytes, named, passphrase),
                    _ => other = Some(label),
                }
            }
        } else if is_pkcs12(named.bytes) {
            return Err(named.error(PKCS12));
        } else if let Ok(der) = PrivateKeyDer::try_from(named.bytes) {
            let form = match der {
                PrivateKeyDer::Pkcs1(_) => Form::Pkcs1,
                PrivateKeyDer::Sec1(_) => Form::Sec1,
                _ => Form::Pkcs8,
            };
            return Ok(Self { bytes: Zeroizing::new(named.bytes.to_vec()), form });
        } else if is_encrypted(named.bytes) {
            return Self::decrypted(named.bytes, named, passphrase);
        } else if X509Certificate::from_der(named.bytes).is_ok() {
            other = Some("CERTIFICATE".to_owned());
        }
        Err(named.error(match other.as_deref() {
            Some("CERTIFICATE") => "it is a certificate; are key and certificate swapped?",
            Some(_) => "it holds no private key (in PEM: BEGIN PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY or ENCRYPTED PRIVATE KEY)",
            None => {
                "it isn't a private key in PEM or DER (PKCS#8, PKCS#1 or SEC1), or is cut off; give the whole of one"
            }
        }))
    }

    #[cfg(feature = "encrypted-keys")]
    fn decrypted(der: &[u8], named: &Named<'_>, passphrase: Option<&str>) -> Result<Self, Error> {
        let Some(passphrase) = passphrase else {
            return Err(named.error("it is encrypted; give its passphrase too"));
        };
        let unsupported =
            "it is encrypted in a way that isn't supported; convert it with openssl pkcs8 -topk8 -v2 aes256";
        let info = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| {
            let damaged = "it isn't encrypted PKCS#8; its content is damaged, so copy it again";
            named.error(if is_encrypted(der) { unsupported } else { damaged })
        })?;
        if !is_bearable(&info.encryption_algorithm) {
            return Err(named.error(
                "opening it would take more work than is usual; if it isn't damaged, convert it with openssl pkcs8 -topk8 -v2 aes256",
            ));
        }
        let document = info.decrypt(passphrase).map_err(|e| match e {
            pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. })
            | pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::NoPbes1CryptSupport) => named.error(unsupported),
            _ => named.error("the passphrase doesn't open it; check it"),
        })?;
        Ok(Self { bytes: document.to_bytes(), form: Form::Pkcs8 })
    }

    #[cfg(not(feature = "encrypted-keys"))]
    fn decrypted(_: &[u8], named: &Named<'_>, _: Option<&str>) -> Result<Self, Error> {
        Err(named
            .error("it is encrypted; Identity::read_encrypted reads it with its passphrase (feature encrypted-keys)"))
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

/// PEM is text, and may have other text before it; DER begins with bytes that aren't.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(PEM.len()).any(|window| window == PEM)
}

const PEM: &[u8] = b"-----BEGIN ";

pub(super) const DAMAGED_PEM: &str = "its PEM is damaged or cut off; copy it again";

/// What to say of a bundle where a key or a certificate belongs.
pub(super) const PKCS12: &str = "it is a PKCS#12 bundle; Identity::read_pkcs12 reads it (feature encrypted-keys)";

/// Whether DER is a `PFX` (RFC 7292 section 4): a sequence that begins with the number three, which no key does.
pub(super) fn is_pkcs12(der: &[u8]) -> bool {
    let content = Sequence::from_der(der).map(|(_, sequence)| sequence.content);
    content.is_ok_and(|content| content.starts_with(&[0x02, 0x01, 0x03]))
}

/// Why PEM that is there can't be read.
fn damaged(bytes: &[u8]) -> &'static str {
    let openssl = b"Proc-Type:";
    if bytes.windows(openssl.len()).any(|window| window == openssl) {
        "it is encrypted in OpenSSL's old way; convert it with openssl pkcs8 -topk8 -v2 aes256"
    } else {
        DAMAGED_PEM
    }
}

/// Whether DER is an `EncryptedPrivateKeyInfo` (RFC 5208 section 6): a sequence that begins with one.
fn is_encrypted(der: &[u8]) -> bool {
    let Ok((_, sequence)) = Sequence::from_der(der) else { return false };
    let mut rest: &[u8] = &sequence.content;
    [Tag::Sequence, Tag::OctetString].into_iter().all(|tag| match Any::from_der(rest) {
        Ok((left, any)) if any.tag() == tag => {
            rest = left;
            true
        }
        _ => false,
    }) && rest.is_empty()
}
