//! Client assertions: RFC 7523 section 2.2, in the form that the specification describes and Keycloak accepts.

use std::{fmt, sync::Arc, time::Duration};

use access_tokens_raw::Secret;
use aws_lc_rs::{
    digest, rand,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Serialize;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroize;

use crate::{Error, ErrorKind};

pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What Keycloak allows from `iat` to `exp`.
const LIFETIME: Duration = Duration::from_secs(60);

/// A client id and the RSA key that signs its assertions.
///
/// Each attempt sends a new assertion: RS256 (RFC 7518 section 3.3), `kid` the SHA-1 fingerprint of the certificate (40
/// upper-case hex digits), claims `iss`, `sub`, `aud` (the realm's URL), `jti`, `iat` and `exp`.
#[derive(Clone)]
pub struct ClientAssertion {
    pub(super) client_id: String,
    key: Arc<RsaKeyPair>,
    kid: String,
    lifetime: Duration,
}

impl ClientAssertion {
    /// Takes the private key (PKCS#8 or PKCS#1) and the certificate registered for it, both PEM. Of a chain, the first
    /// certificate counts.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: an empty client id; PEM without a key or certificate; a key that is encrypted, isn't
    /// RSA of 2048 to 8192 bits, or isn't the certificate's.
    pub fn from_pem(client_id: impl Into<String>, key: &str, certificate: &str) -> Result<Self, Error> {
        let client_id = client_id.into();
        if client_id.is_empty() {
            return Err(configuration("the client id is empty"));
        }
        let key = private_key(key)?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| configuration("the signing certificate isn't PEM (BEGIN CERTIFICATE)"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|_| configuration("the signing certificate isn't an X.509 certificate"))?;
        if *parsed.public_key().subject_public_key.data != *key.public_key().as_ref() {
            return Err(configuration("the signing key and the signing certificate don't belong together"));
        }
        let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        let kid = fingerprint.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self { client_id, key: Arc::new(key), kid, lifetime: LIFETIME })
    }

    /// How long an assertion is valid, from a second to an hour; 60 s if not set, and Keycloak by default allows no more.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.clamp(Duration::from_secs(1), Duration::from_secs(60 * 60)), ..self }
    }

    /// Tells one from another: the public key, with which nobody can be who doesn't hold the private one, and the certificate.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [b"client assertion", self.key.public_key().as_ref(), self.kid.as_bytes()]
    }

    /// An assertion for `audience` that is made at `iat` by the server's clock, since 1970; never the same twice.
    pub(super) fn sign(&self, audience: &str, iat: Duration) -> Result<Secret, Error> {
        let failed = |_| configuration("the signing key can't sign");
        let random = rand::SystemRandom::new();
        let mut jti = [0; 16];
        rand::SecureRandom::fill(&random, &mut jti).map_err(failed)?;

        let header = Header { alg: "RS256", kid: &self.kid, typ: "JWT" };
        let claims = Claims {
            iss: &self.client_id,
            sub: &self.client_id,
            aud: audience,
            jti: &BASE64_URL_SAFE_NO_PAD.encode(jti),
            iat: iat.as_secs(),
            exp: (iat + self.lifetime).as_secs(),
        };
        // JWS compact serialization, RFC 7515 section 7.1.
        let mut jwt = format!("{}.{}", part(&header)?, part(&claims)?);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &random, jwt.as_bytes(), &mut signature).map_err(failed)?;
        jwt.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(jwt.into())
    }
}

impl fmt::Debug for ClientAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAssertion")
            .field("client_id", &self.client_id)
            .field("kid", &self.kid)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
}

fn part(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(value).map_err(|_| configuration("the assertion can't be written"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}

fn private_key(pem: &str) -> Result<RsaKeyPair, Error> {
    if pem.contains("ENCRYPTED") {
        return Err(configuration("the signing key is encrypted; give it without a passphrase"));
    }
    let mut der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| configuration("the signing key isn't PEM (BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY)"))?;
    let key = match &der {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(configuration("the signing key isn't an RSA key, which RS256 needs")),
    };
    der.zeroize();
    key.map_err(|_| configuration("the signing key isn't an RSA key of 2048 to 8192 bits, which RS256 needs"))
}

fn configuration(message: &str) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
