//! Client assertions (`private_key_jwt`, RFC 7523), checked as Keycloak checks them, in its order and with its words.
//!
//! The claims are checked here rather than by a JWT library, because the point is Keycloak's rules, not the usual ones.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::algorithm::Algorithm;
use crate::certificate::VerifyingKey;
use crate::credential::sha256;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far the client's clock may be ahead, in seconds.
const ALLOWED_SKEW_S: i64 = 15;

/// How long an assertion is good for at most, in seconds.
const LONGEST_LIFE_S: i64 = 60;

/// What of the form concerns an assertion.
pub(crate) struct Assertion<'a> {
    /// `client_assertion_type`
    pub(crate) kind: Option<&'a str>,
    /// `client_assertion`
    pub(crate) jwt: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
}

pub(crate) enum Refused {
    /// With the `error_description`.
    Because(String),
    UnknownClient,
    /// The client is known, but proves itself in another way.
    NotForThisClient,
}

/// The key that signed the assertion, if that holds at `now` (seconds since 1970); its `jti` is used up then.
///
/// `keys_of` gives the keys of a client, or why there are none.
pub(crate) fn verify<'k>(
    assertion: Assertion<'_>,
    keys_of: impl FnOnce(&str) -> Result<&'k Vec<VerifyingKey>, Refused>,
    audiences: &[String],
    now: i64,
    used_ids: &UsedIds,
) -> Result<&'k VerifyingKey, Refused> {
    let kind = assertion.kind.ok_or_else(|| because("Parameter client_assertion_type is missing"))?;
    let other_kind = format!("Parameter client_assertion_type has value '{kind}' but expected is '{JWT_BEARER}'");
    ensure(kind == JWT_BEARER, other_kind)?;
    let jwt = assertion.jwt.ok_or_else(|| because("client_assertion parameter missing"))?;
    let jws = Jws::parse(jwt).ok_or_else(|| because(failed("Failed to parse JWT")))?;
    let claims = &jws.claims;

    let subject = claims.sub.as_ref().ok_or_else(|| because("Token sub claim is required"))?;
    let is_subject = assertion.client_id.is_none_or(|client_id| client_id == subject);
    ensure(is_subject, "client_id parameter does not match sub claim")?;
    ensure(claims.iss.as_ref() == Some(subject), failed("Issuer mismatch. The issuer should match the subject"))?;
    let keys = keys_of(subject)?;

    let algorithm = jws.header.alg.as_deref().and_then(Algorithm::named);
    let algorithm = algorithm.ok_or_else(|| because("Invalid signature algorithm"))?;
    let kid = jws.header.kid.as_deref();
    let key = keys.iter().find(|key| kid.is_some_and(|kid| key.has_key_id(kid)));
    let key = key.filter(|key| jws.header.describes(key)).ok_or_else(|| because("Unable to load public key"))?;
    ensure(key.can_do(algorithm), "Invalid signature algorithm")?;
    let is_signed = key.verifies(algorithm, jws.signed.as_bytes(), &jws.signature);
    ensure(is_signed, failed("Signature on JWT token failed validation"))?;
    ensure(key.is_valid_at(now), failed("Certificate is expired or not yet valid"))?;

    let audience = claims.aud.as_ref().map_or(&[][..], OneOrMany::as_slice);
    ensure(audience.iter().any(|audience| audiences.contains(audience)), "Invalid token audience")?;
    ensure(audience.len() == 1, "Multiple audiences not allowed")?;

    let life = remaining_life(claims, now)?;
    let jti = claims.jti.as_ref().ok_or_else(|| because("Token jti claim is required"))?;
    ensure(used_ids.first_use(jti, life), "Token reuse detected")?;
    Ok(key)
}

/// How long the assertion is good for from `now` on.
fn remaining_life(claims: &Claims, now: i64) -> Result<Duration, Refused> {
    let Seconds(exp) = claims.exp.ok_or_else(|| because("Token exp claim is required"))?;
    let not_yet = claims.nbf.is_some_and(|Seconds(nbf)| nbf.saturating_sub(ALLOWED_SKEW_S) > now);
    ensure(now < exp && !not_yet, "Token is not active")?;
    let mut life = exp.saturating_sub(now);
    if let Some(Seconds(iat)) = claims.iat {
        ensure(iat.saturating_sub(ALLOWED_SKEW_S) <= now, "Token was issued in the future")?;
        let is_recent = now <= iat.saturating_add(LONGEST_LIFE_S);
        ensure(is_recent, "Token was issued too far in the past to be used now")?;
        // Beyond that its `iat` refuses it, except for the skew.
        life = life.min(LONGEST_LIFE_S + ALLOWED_SKEW_S);
    } else {
        let too_far = "Token expiration is too far in the future and iat claim not present in token";
        ensure(life <= LONGEST_LIFE_S, too_far)?;
    }
    Ok(Duration::from_secs(life.unsigned_abs()))
}

fn ensure(holds: bool, otherwise: impl Into<String>) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(because(otherwise)) }
}

fn because(description: impl Into<String>) -> Refused {
    Refused::Because(description.into())
}

/// Keycloak's words around what it throws as an exception.
fn failed(what: &str) -> String {
    format!("Client authentication with signed JWT failed: {what}")
}

/// The `jti`s that were used, each until its assertion has ended anyway: a minute or so of traffic.
#[derive(Default)]
pub(crate) struct UsedIds(Mutex<Used>);

#[derive(Default)]
struct Used {
    /// By digest, so that a long `jti` takes no more room than a short one.
    until: HashMap<[u8; 32], Instant>,
    /// The size at which ended ones are next looked for.
    sweep_at: usize,
}

impl UsedIds {
    /// Remembers `jti` for `life`; false when it's remembered already.
    fn first_use(&self, jti: &str, life: Duration) -> bool {
        let id = sha256(jti);
        let now = Instant::now();
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.until.len() >= used.sweep_at {
            used.until.retain(|_, until| now < *until);
            used.sweep_at = (used.until.len() * 2).max(1024);
        }
        if used.until.get(&id).is_some_and(|until| now < *until) {
            return false;
        }
        // One second more than the whole seconds that the claims are compared in.
        used.until.insert(id, now + life + Duration::from_secs(1));
        true
    }
}

/// A JWS in its compact form (RFC 7515, section 3.1), taken apart and not verified.
struct Jws<'a> {
    header: Header,
    claims: Claims,
    /// Header and payload as they were sent: what the signature is of.
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    fn parse(jwt: &'a str) -> Option<Jws<'a>> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        Some(Jws {
            header: json(header)?,
            claims: json(payload)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
    x5c: Option<Vec<String>>,
}

impl Header {
    /// Whether those of its members that say more of the certificate than `kid`, if there are any, say it of this one.
    fn describes(&self, key: &VerifyingKey) -> bool {
        self.x5t.as_ref().is_none_or(|x5t| *x5t == key.thumbprint(&SHA1_FOR_LEGACY_USE_ONLY))
            && self.x5t_s256.as_ref().is_none_or(|x5t| *x5t == key.thumbprint(&SHA256))
            && self.x5c.as_ref().is_none_or(|x5c| key.heads(x5c))
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    jti: Option<String>,
    exp: Option<Seconds>,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, of which a fraction is dropped.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "f64")]
struct Seconds(i64);

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        // `as` stays within the range for any number, which is what is wanted of an absurd one.
        Seconds(seconds as i64)
    }
}
