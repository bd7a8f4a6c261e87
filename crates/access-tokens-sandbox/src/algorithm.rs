//! The algorithms that assertions may be signed in.

use std::ops::RangeInclusive;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, VerificationAlgorithm,
};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// What RFC 7518, section 3.3 asks for at least, and what the verifying library takes at most.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// What a key is, as far as it decides on the algorithms that it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeyType {
    /// None for a key that does none of the algorithms here.
    pub(crate) fn of(key: &SubjectPublicKeyInfo<'_>) -> Option<KeyType> {
        if let Ok(PublicKey::RSA(key)) = key.parsed() {
            return RSA_BITS.contains(&key.key_size()).then_some(KeyType::Rsa);
        }
        let algorithm = &key.algorithm;
        if algorithm.algorithm == OID_SIG_ED25519 {
            return Some(KeyType::Ed25519);
        }
        if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return None;
        }
        let curve = algorithm.parameters.as_ref()?.as_oid().ok()?;
        [(OID_EC_P256, KeyType::P256), (OID_NIST_EC_P384, KeyType::P384)]
            .into_iter()
            .find_map(|(oid, key_type)| (oid == curve).then_some(key_type))
    }
}

/// A signature algorithm of JWS (RFC 7518, section 3.1; EdDSA: RFC 8037, section 3.1).
pub(crate) struct Algorithm {
    alg: &'static str,
    pub(crate) key_type: KeyType,
    pub(crate) verification: &'static dyn VerificationAlgorithm,
}

impl Algorithm {
    /// The one that a header calls `alg`.
    pub(crate) fn named(alg: &str) -> Option<&'static Algorithm> {
        ALGORITHMS.iter().find(|algorithm| algorithm.alg == alg)
    }
}

static ALGORITHMS: [Algorithm; 7] = [
    Algorithm { alg: "RS256", key_type: KeyType::Rsa, verification: &RSA_PKCS1_2048_8192_SHA256 },
    Algorithm { alg: "RS384", key_type: KeyType::Rsa, verification: &RSA_PKCS1_2048_8192_SHA384 },
    Algorithm { alg: "RS512", key_type: KeyType::Rsa, verification: &RSA_PKCS1_2048_8192_SHA512 },
    Algorithm { alg: "PS256", key_type: KeyType::Rsa, verification: &RSA_PSS_2048_8192_SHA256 },
    // R and S side by side, as RFC 7518, section 3.4 has them, and not the ASN.1 that other protocols send.
    Algorithm { alg: "ES256", key_type: KeyType::P256, verification: &ECDSA_P256_SHA256_FIXED },
    Algorithm { alg: "ES384", key_type: KeyType::P384, verification: &ECDSA_P384_SHA384_FIXED },
    Algorithm { alg: "EdDSA", key_type: KeyType::Ed25519, verification: &ED25519 },
];
