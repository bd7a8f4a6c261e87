//! The algorithms of JSON Web Signatures.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::asn1_rs::{FromDer, Integer, Sequence};

use crate::{Error, Setting};

/// A signature algorithm of JWS (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// ```
/// use access_tokens::assertion::Algorithm;
///
/// assert_eq!("PS256".parse::<Algorithm>()?, Algorithm::Ps256);
/// assert_eq!(Algorithm::EdDsa.to_string(), "EdDSA");
/// assert!("HS256".parse::<Algorithm>().is_err());
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: what the specification's example has.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// EdDSA on Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// As a JWS header has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// That it is one of those that `key` can do.
    pub(crate) fn check(self, key: &str, known: &[Self]) -> Result<Self, Error> {
        if known.contains(&self) {
            return Ok(self);
        }
        let known = known.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", ");
        let message = format!("{key} can't sign with {self}; choose {known}, or give another key");
        Err(Error::configuration(message).with_setting(Setting::Algorithm))
    }

    /// Whether `signature` is that of `message` by the key of a certificate's `subjectPublicKey`.
    pub(crate) fn verifies(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &ECDSA_P384_SHA384_FIXED,
            Self::EdDsa => &ED25519,
        };
        UnparsedPublicKey::new(algorithm, public_key).verify(message, signature).is_ok()
    }

    /// ECDSA signatures come as DER from most services and devices; a JWS has the two numbers one after the other (RFC 7518
    /// section 3.4).
    pub(crate) fn fixed_length(self, signature: Vec<u8>) -> Vec<u8> {
        let length = match self {
            Self::Es256 => 32,
            Self::Es384 => 48,
            _ => return signature,
        };
        if signature.len() == 2 * length {
            return signature;
        }
        let numbers = || {
            let (_, sequence) = Sequence::from_der(&signature).ok()?;
            let (rest, r) = Integer::from_der(&sequence.content).ok()?;
            let (_, s) = Integer::from_der(rest).ok()?;
            let fixed = |number: &Integer<'_>| {
                // DER puts a zero in front of a first bit that is set, and leaves out all others.
                let magnitude: Vec<_> = number.as_ref().iter().copied().skip_while(|byte| *byte == 0).collect();
                let padding = length.checked_sub(magnitude.len())?;
                Some([vec![0; padding], magnitude].concat())
            };
            Some([fixed(&r)?, fixed(&s)?].concat())
        };
        numbers().unwrap_or(signature)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::configuration(format!("no such algorithm; known are {known}")).with_setting(Setting::Algorithm)
        })
    }
}
