//! Client assertions: JWTs that a client authenticates with instead of a secret (`private_key_jwt`; RFC 7523 section 2.2).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
//! # let base_url = sandbox.worldline_base_url();
//! # let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
//! use access_tokens::{Identity, TokenEndpoint, assertion::{Algorithm, Audience, ClientAssertion}, worldline};
//!
//! let identity = Identity::new(key, Some(certificate.as_ref()), None)?; // or Identity::read, from files
//! let credentials = ClientAssertion::new("sandbox-jwt-client", identity)?
//!     .algorithm(Algorithm::Rs256)?
//!     .audience(Audience::Issuer);
//! let realm = worldline::Realm::new("sandbox")?;
//! let client = worldline::Client::builder(&base_url, realm, "VOP".parse()?, credentials).build()?;
//! assert_eq!(client.exchange().await?.scopes().to_string(), "VOP");
//! # Ok(()) }
//! ```

mod signer;
mod signing_key;

use std::{fmt, sync::Arc, time::Duration};

use access_tokens_raw::Secret;
use aws_lc_rs::{digest, rand};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::Serialize;

pub use self::{
    signer::{Signer, Signing},
    signing_key::SigningKey,
};
pub use crate::jws::Algorithm;
use crate::{
    Error, Identity, Setting,
    caught::{caught, caught_call},
    identity::{self, Certificates},
};

/// What `client_assertion_type` says of such an assertion.
pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What Keycloak allows from `iat` to `exp`.
const LIFETIME: Duration = Duration::from_secs(60);

/// A client id, and the key that signs its assertions.
///
/// Each attempt sends a new assertion with the claims `iss` and `sub` (the client id), `aud`, `jti` (never the same twice),
/// `iat` and `exp`. Its header names the key by `kid`, and by what [`x509`](Self::x509) adds.
#[derive(Clone)]
pub struct ClientAssertion {
    client_id: String,
    key: Key,
    algorithm: Algorithm,
    key_id: KeyId,
    /// What the header's `kid` says.
    kid: Option<String>,
    audience: Audience,
    lifetime: Duration,
    x509: Vec<X509Header>,
}

#[derive(Clone)]
enum Key {
    Held(Identity),
    Elsewhere { signer: Arc<dyn Signer>, name: Arc<str>, certificates: Option<Arc<Certificates>> },
}

/// What the header's `kid` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyId {
    /// The SHA-1 fingerprint of the certificate, 40 upper-case hex digits, as the specification says.
    #[default]
    Sha1Fingerprint,
    /// Its SHA-256 fingerprint, 64 upper-case hex digits.
    Sha256Fingerprint,
    /// What the provider calls the key.
    Text(String),
}

/// What the claim `aud` says: for whom the assertion is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// The authorization server's issuer identifier, which for Worldline is the realm's URL.
    #[default]
    Issuer,
    /// The URL that the assertion is sent to.
    TokenEndpoint,
    /// What the provider asks for instead.
    Text(String),
}

/// A header parameter that names or carries the certificate (RFC 7515 sections 4.1.6 to 4.1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum X509Header {
    /// `x5t`: its SHA-1 thumbprint.
    X5t,
    /// `x5t#S256`: its SHA-256 thumbprint.
    X5tS256,
    /// `x5c`: it and its issuers, as far as the [`Identity`] has them.
    X5c,
}

impl ClientAssertion {
    /// Assertions signed with that key in the algorithm that is usual for it: RS256, ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a client id that [`Setting::check`] refuses.
    pub fn new(client_id: impl Into<String>, identity: Identity) -> Result<Self, Error> {
        let algorithm =
            *identity.key().algorithms().first().ok_or_else(|| Error::configuration("the key can't sign"))?;
        Self::with(client_id.into(), Key::Held(identity), algorithm)
    }

    /// Assertions signed elsewhere, in a service or device that keeps its key to itself, or by a [`SigningKey`]. Give the key's
    /// [certificate](Self::certificates) too, or a [`KeyId::Text`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a client id that [`Setting::check`] refuses, a signer that panics.
    pub fn with_signer(client_id: impl Into<String>, signer: impl Signer + 'static) -> Result<Self, Error> {
        let asked = caught_call(|| (signer.algorithm(), Arc::from(signer.key_name())));
        let (algorithm, name) =
            asked.ok_or_else(|| Error::configuration("the signer panicked when asked for its key"))?;
        Self::with(client_id.into(), Key::Elsewhere { signer: Arc::new(signer), name, certificates: None }, algorithm)
    }

    fn with(client_id: String, key: Key, algorithm: Algorithm) -> Result<Self, Error> {
        Setting::ClientId.check(&client_id)?;
        let (key_id, audience) = (KeyId::default(), Audience::default());
        let new = Self { client_id, key, algorithm, key_id, kid: None, audience, lifetime: LIFETIME, x509: Vec::new() };
        Ok(new.named())
    }

    /// The certificate of a [`Signer`]'s key, with its issuers: PEM or DER, the key's first. Each signature is checked with
    /// it before it is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): no certificate, one that isn't valid now, or a key that has its certificate already.
    pub fn certificates(self, certificates: impl AsRef<[u8]>) -> Result<Self, Error> {
        let Key::Elsewhere { signer, name, .. } = self.key else {
            let error = Error::configuration("the key has its certificate already; set the certificate only once");
            return Err(error.with_setting(Setting::Certificate));
        };
        let certificates = Some(Arc::new(identity::certificates(certificates.as_ref())?));
        Ok(Self { key: Key::Elsewhere { signer, name, certificates }, ..self }.named())
    }

    /// Signs with another algorithm of those that the key can do.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): the key can't do it; the message says what it can.
    pub fn algorithm(self, algorithm: Algorithm) -> Result<Self, Error> {
        let (key, known) = match &self.key {
            Key::Held(identity) => {
                (format!("{}, which is {},", identity.key().name, identity.key_type()), identity.key().algorithms())
            }
            Key::Elsewhere { name, .. } => (format!("the signer {name:?}"), std::slice::from_ref(&self.algorithm)),
        };
        Ok(Self { algorithm: algorithm.check(&key, known)?, ..self })
    }

    /// What the header's `kid` says; the certificate's SHA-1 fingerprint if not set.
    #[must_use]
    pub fn key_id(self, key_id: KeyId) -> Self {
        Self { key_id, ..self }.named()
    }

    /// For whom the assertion is; for the issuer, the realm's URL, if not set.
    #[must_use]
    pub fn audience(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// What of the certificate is put into the header beside `kid`; nothing if not set.
    #[must_use]
    pub fn x509(self, headers: impl IntoIterator<Item = X509Header>) -> Self {
        Self { x509: headers.into_iter().collect(), ..self }
    }

    /// How long an assertion is valid, from a second to an hour; 60 s if not set, and Keycloak by default allows no more.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.clamp(Duration::from_secs(1), Duration::from_secs(60 * 60)), ..self }
    }

    fn named(mut self) -> Self {
        let fingerprint = |algorithm: &'static digest::Algorithm| {
            let leaf = self.chain()?.leaf();
            Some(digest::digest(algorithm, leaf).as_ref().iter().map(|byte| format!("{byte:02X}")).collect())
        };
        self.kid = match &self.key_id {
            KeyId::Sha1Fingerprint => fingerprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            KeyId::Sha256Fingerprint => fingerprint(&digest::SHA256),
            KeyId::Text(text) => Some(text.clone()),
        };
        self
    }

    fn chain(&self) -> Option<&Certificates> {
        match &self.key {
            Key::Held(identity) => Some(identity.certificates()),
            Key::Elsewhere { certificates, .. } => certificates.as_deref(),
        }
    }

    /// Whether it has what its header is to say.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Audience::Text(text) = &self.audience {
            Setting::Audience.check(text)?;
        }
        if let KeyId::Text(text) = &self.key_id {
            Setting::KeyId.check(text)?;
        }
        match (&self.kid, self.chain()) {
            (None, _) => Err(Setting::KeyId
                .error("is a fingerprint of the certificate, and no certificate is set; set one of the two")),
            (_, None) if !self.x509.is_empty() => {
                Err(Setting::X509.error("are of the certificate, and no certificate is set; set it, or leave them out"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Tells one from another: the public key, with which nobody can be who doesn't hold the private one, or what a signer
    /// calls its key; and the key id.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let key = match &self.key {
            Key::Held(identity) => identity.key().public_key(),
            Key::Elsewhere { name, .. } => name.as_bytes(),
        };
        [b"client assertion", key, self.kid.as_deref().unwrap_or_default().as_bytes()]
    }

    /// An assertion that is made at `iat` by the server's clock, since 1970; never the same twice.
    pub(crate) async fn sign(&self, issuer: &str, token_endpoint: &str, iat: Duration) -> Result<Secret, Error> {
        let mut jti = [0; 16];
        rand::SecureRandom::fill(&rand::SystemRandom::new(), &mut jti)
            .map_err(|_| Error::configuration("this machine gives no random numbers"))?;
        // Quirk worldline-assertion-claims.
        let claims = Claims {
            iss: &self.client_id,
            sub: &self.client_id,
            aud: match &self.audience {
                Audience::Issuer => issuer,
                Audience::TokenEndpoint => token_endpoint,
                Audience::Text(text) => text,
            },
            jti: &BASE64_URL_SAFE_NO_PAD.encode(jti),
            iat: iat.as_secs(),
            exp: (iat + self.lifetime).as_secs(),
        };
        // JWS compact serialization, RFC 7515 section 7.1.
        let mut jwt = format!("{}.{}", part(&self.header())?, part(&claims)?);
        let signature = self.signature(jwt.as_bytes()).await?;
        jwt.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(jwt.into())
    }

    fn header(&self) -> Header<'_> {
        let chain = |wanted| self.chain().filter(|_| self.x509.contains(&wanted));
        let thumbprint =
            |chain: &Certificates, algorithm| BASE64_URL_SAFE_NO_PAD.encode(digest::digest(algorithm, chain.leaf()));
        Header {
            alg: self.algorithm.name(),
            kid: self.kid.as_deref(),
            typ: "JWT",
            x5t: chain(X509Header::X5t).map(|chain| thumbprint(chain, &digest::SHA1_FOR_LEGACY_USE_ONLY)),
            x5t_s256: chain(X509Header::X5tS256).map(|chain| thumbprint(chain, &digest::SHA256)),
            x5c: chain(X509Header::X5c)
                .map(|chain| chain.chain.iter().map(|der| BASE64_STANDARD.encode(der)).collect()),
        }
    }

    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        if let Some(certificates) = self.chain() {
            certificates.warn_of_end();
        }
        match &self.key {
            Key::Held(identity) => {
                let signature = identity.key().sign(self.algorithm, message);
                signature.ok_or_else(|| Error::configuration("the signing key can't sign"))
            }
            Key::Elsewhere { signer, name, certificates } => {
                let signed = caught(async { signer.sign(message).await }).await;
                let signed = signed.ok_or_else(|| Error::configuration(format!("the signer {name:?} panicked")))?;
                let signature = self.algorithm.fixed_length(signed?);
                // Else the server would refuse it, without saying why.
                if let Some(certificates) = certificates
                    && !self.algorithm.verifies(&certificates.public_key, message, &signature)
                {
                    return Err(Error::configuration(format!(
                        "what the signer {name:?} signs doesn't verify with the certificate as {}; give the certificate that \
                         was issued for that key, and the algorithm that it signs with",
                        self.algorithm
                    ))
                    .with_setting(Setting::Certificate));
                }
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for ClientAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ClientAssertion");
        debug.field("client_id", &self.client_id).field("algorithm", &self.algorithm).field("kid", &self.kid);
        match &self.key {
            Key::Held(identity) => debug.field("key", identity),
            Key::Elsewhere { name, .. } => debug.field("key", name),
        };
        debug.field("audience", &self.audience).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    /// There, once it is checked.
    kid: Option<&'a str>,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<Vec<String>>,
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
    let json = serde_json::to_vec(value).map_err(|_| Error::configuration("the assertion can't be written"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}
