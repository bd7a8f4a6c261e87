//! Certificates: the sandbox's own, and what assertions are verified with out of the registered ones.

use std::sync::OnceLock;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::algorithm::{Algorithm, KeyType};
use crate::credential::fingerprint;

/// An RSA key of 2048 bits and its self-signed certificate.
pub(crate) struct Identity {
    pub(crate) key_pem: String,
    pub(crate) cert_pem: String,
}

impl Identity {
    /// The one of this process: making a key takes a good part of a second, and tests start many sandboxes.
    pub(crate) async fn of_process() -> Result<&'static Identity, String> {
        static MADE: OnceLock<Identity> = OnceLock::new();
        if let Some(identity) = MADE.get() {
            return Ok(identity);
        }
        let made = tokio::task::spawn_blocking(Identity::make).await;
        let made = made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok(MADE.get_or_init(|| made))
    }

    fn make() -> Result<Identity, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "access-tokens sandbox");
        let cert_pem = params.self_signed(&key)?.pem();
        Ok(Identity { key_pem: key.serialize_pem(), cert_pem })
    }
}

/// A registered certificate, and its key.
pub(crate) struct VerifyingKey {
    /// The SHA-1 fingerprint of the certificate, 40 upper-case hex digits.
    pub(crate) fingerprint: String,
    /// What the `kid` of an assertion may say.
    key_ids: Vec<String>,
    der: Vec<u8>,
    key_type: KeyType,
    /// The content of `subjectPublicKey` (RFC 5280, section 4.1).
    public_key: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl VerifyingKey {
    /// Reads one certificate in DER, or one and more in PEM. The error says what is wrong, without the content.
    pub(crate) fn read(certificates: &[u8]) -> Result<Vec<VerifyingKey>, String> {
        // PEM is text, and may have other text before it. DER begins with bytes that aren't UTF-8.
        if !str::from_utf8(certificates).is_ok_and(|text| text.contains("-----BEGIN ")) {
            return Ok(vec![VerifyingKey::from_der(certificates)?]);
        }
        let mut keys = Vec::new();
        for pem in Pem::iter_from_buffer(certificates) {
            let pem = pem.map_err(|error| format!("not PEM: {error}"))?;
            if pem.label != "CERTIFICATE" {
                return Err(format!("a {} where a CERTIFICATE belongs", pem.label));
            }
            keys.push(VerifyingKey::from_der(&pem.contents)?);
        }
        if keys.is_empty() { Err("holds no certificate".into()) } else { Ok(keys) }
    }

    /// Reads a certificate whose `kid` may also be `key_id`.
    pub(crate) fn read_with_key_id(certificate: &[u8], key_id: &str) -> Result<VerifyingKey, String> {
        match <[VerifyingKey; 1]>::try_from(VerifyingKey::read(certificate)?) {
            Ok([mut key]) => {
                key.key_ids.push(key_id.to_owned());
                Ok(key)
            }
            Err(several) => Err(format!("{} certificates where one belongs, for a key id means one", several.len())),
        }
    }

    /// Whether an assertion with this `kid` means this certificate.
    pub(crate) fn has_key_id(&self, kid: &str) -> bool {
        self.key_ids.iter().any(|key_id| key_id == kid)
    }

    /// What `x5t` says of this certificate with SHA-1, and `x5t#S256` with SHA-256 (RFC 7515, sections 4.1.7 and 4.1.8).
    pub(crate) fn thumbprint(&self, algorithm: &'static digest::Algorithm) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &self.der))
    }

    /// Whether `x5c` (RFC 7515, section 4.1.6) begins with this certificate and goes on with issuers, each of the one before.
    pub(crate) fn heads(&self, x5c: &[String]) -> bool {
        let Ok(chain) = x5c.iter().map(|one| STANDARD.decode(one)).collect::<Result<Vec<_>, _>>() else {
            return false;
        };
        let Ok(certificates) = chain.iter().map(|der| X509Certificate::from_der(der)).collect::<Result<Vec<_>, _>>()
        else {
            return false;
        };
        chain.first() == Some(&self.der)
            && certificates.iter().zip(certificates.iter().skip(1)).all(|((_, one), (rest, issuer))| {
                rest.is_empty()
                    && one.issuer().as_raw() == issuer.subject().as_raw()
                    && one.verify_signature(Some(issuer.public_key())).is_ok()
            })
    }

    /// Whether the certificate is valid at `now` (seconds since 1970).
    pub(crate) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether this key can sign in `algorithm`.
    pub(crate) fn can_do(&self, algorithm: &Algorithm) -> bool {
        self.key_type == algorithm.key_type
    }

    /// Whether `signature` is this key's signature of `message` in `algorithm`.
    pub(crate) fn verifies(&self, algorithm: &Algorithm, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(algorithm.verification, &self.public_key).verify(message, signature).is_ok()
    }

    fn from_der(der: &[u8]) -> Result<VerifyingKey, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| "not an X.509 certificate".to_owned())?;
        let key = certificate.public_key();
        let Some(key_type) = KeyType::of(key) else {
            return Err("its key is none of RSA of 2048 to 8192 bits, EC P-256, EC P-384 and Ed25519".into());
        };
        let seconds = |time: ASN1Time| time.timestamp();
        let sha1 = fingerprint(&SHA1_FOR_LEGACY_USE_ONLY, der);
        Ok(VerifyingKey {
            key_ids: vec![sha1.clone(), fingerprint(&SHA256, der)],
            fingerprint: sha1,
            der: der.to_vec(),
            key_type,
            public_key: key.subject_public_key.data.to_vec(),
            not_before: seconds(certificate.validity().not_before),
            not_after: seconds(certificate.validity().not_after),
        })
    }
}
