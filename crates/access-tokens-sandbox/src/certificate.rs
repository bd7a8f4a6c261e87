//! Certificates: the sandbox's own, and what assertions are verified with out of the registered ones.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

/// An RSA key of 2048 bits and its self-signed certificate.
pub(crate) struct Identity {
    key_pem: String,
    cert_pem: String,
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

    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(crate) fn cert_pem(&self) -> &str {
        &self.cert_pem
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

/// The public half of a registered certificate.
#[derive(Debug)]
pub(crate) struct VerifyingKey {
    /// The SHA-1 fingerprint of the certificate, 40 upper-case hex digits: what the `kid` of an assertion must say.
    pub(crate) fingerprint: String,
    /// PKCS #1 `RSAPublicKey`, DER.
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

    /// Whether the certificate is valid at `now` (seconds since 1970).
    pub(crate) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether `signature` is this key's RS256 signature of `message` (RFC 7518, section 3.3).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key).verify(message, signature).is_ok()
    }

    fn from_der(der: &[u8]) -> Result<VerifyingKey, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| "not an X.509 certificate".to_owned())?;
        let key = certificate.public_key();
        if !matches!(key.parsed(), Ok(PublicKey::RSA(_))) {
            return Err("its key isn't RSA, and the sandbox verifies RS256".into());
        }
        let seconds = |time: ASN1Time| time.timestamp();
        Ok(VerifyingKey {
            fingerprint: fingerprint(der),
            public_key: key.subject_public_key.data.to_vec(),
            not_before: seconds(certificate.validity().not_before),
            not_after: seconds(certificate.validity().not_after),
        })
    }
}

fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}
