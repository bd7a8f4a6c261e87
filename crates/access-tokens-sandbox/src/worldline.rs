//! Worldline: `POST /auth/realms/{realm}/protocol/openid-connect/token`, as Keycloak answers it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::SHA256;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde_json::{Map, Value, json};

use crate::StartError;
use crate::assertion::{self, Assertion, Refused, UsedIds};
use crate::certificate::{Identity, VerifyingKey};
use crate::credential::fingerprint;
use crate::fault::Endpoint;
use crate::front::Clock;
use crate::request;

/// How the Worldline side behaves.
///
/// It answers as Keycloak does. Errors are `{error, error_description}`:
///
/// | what was sent | answer |
/// | --- | --- |
/// | another method; another content type | 405; 415 |
/// | a realm that isn't there | 404 `{"error": "Realm does not exist"}` |
/// | no `grant_type`; one that isn't `client_credentials` | 400 `invalid_request`; `unsupported_grant_type` |
/// | no `client_id` (and no assertion) | 400 `invalid_client` |
/// | a client that isn't known, or not with a secret | 401 `invalid_client` |
/// | no secret, or a wrong one | 401 `unauthorized_client` |
/// | an assertion that doesn't hold | 400 `invalid_client` and what is wrong with it |
/// | a parameter twice | 400 `invalid_request` |
/// | a scope that isn't allowed | 400 `invalid_scope`, "Invalid scopes: " and what was asked |
///
/// **An assertion** (RFC 7523, section 3) must have, checked in this order: `client_assertion_type`
/// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`; a `sub` that is the `client_id` parameter, if that is sent,
/// and equals `iss`; a client that authenticates so (a client with a secret is asked for it instead); an `alg` of the first
/// table below; a `kid` that finds one of that client's certificates; that certificate in `x5t`, `x5t#S256` and `x5c`, as far
/// as they're sent; an `alg` that its key can do; that key's signature; a certificate that is valid now; one `aud`, the realm's
/// URL or the token endpoint's, as seen from the request's `Host`; an `exp` that hasn't passed; an `nbf`, if any, not more than
/// 15 s off; an `iat` at most 15 s in the future and 60 s in the past or, without `iat`, an `exp` at most 60 s off; a `jti` that
/// hasn't been used.
///
/// | the certificate's key | `alg` |
/// | --- | --- |
/// | RSA, of 2048 to 8192 bits | `RS256`, `RS384`, `RS512`, `PS256` |
/// | EC P-256; EC P-384 | `ES256`; `ES384` |
/// | Ed25519 | `EdDSA` |
///
/// | header member | what it says of the certificate |
/// | --- | --- |
/// | `kid` | its SHA-1 fingerprint (40 upper-case hex digits), its SHA-256 fingerprint (64 of them), or the text that it's registered with in [`ClientAuth::CertificatesByKeyId`] |
/// | `x5t`, `x5t#S256` | its SHA-1 and its SHA-256 digest, base64url without padding |
/// | `x5c` | itself in DER, base64 with padding; then, if more is sent, who issued it and so on, each by name and by signature |
///
/// Keycloak goes by `kid` and uses none of the three others; the sandbox checks them, so that a client that sends a wrong one
/// finds out. The issuers in `x5c` needn't be trusted, nor valid now.
///
/// A body above 64 KiB is 413. `client_secret` is read from the form alone, as Worldline documents it.
#[derive(Clone, PartialEq)]
pub struct Worldline {
    /// The one realm. Default `sandbox`.
    pub realm: String,
    /// Who may ask for tokens. Default `sandbox-client` with the secret `sandbox-secret`, and `sandbox-jwt-client` with
    /// the sandbox's own certificate.
    pub clients: Vec<Client>,
    /// The scopes that may be asked for, and what a request without `scope` gets. Default `VOP` and `WERO`.
    pub allowed_scopes: Vec<String>,
    /// If set, scopes that were asked for but aren't in here are left out of the 200 in silence, as a server may do (RFC
    /// 6749, section 3.3). Default none.
    pub granted_scopes: Option<Vec<String>>,
    /// How long a token lives. Default 300 s.
    pub lifetime: Duration,
    /// Members put into the 200 (`id_token`, `session_state`), over those of the same name. Default none.
    pub extra: Map<String, Value>,
}

impl Default for Worldline {
    fn default() -> Self {
        Worldline {
            realm: "sandbox".into(),
            clients: vec![
                Client { client_id: "sandbox-client".into(), auth: ClientAuth::Secret("sandbox-secret".into()) },
                Client { client_id: "sandbox-jwt-client".into(), auth: ClientAuth::SandboxCertificate },
            ],
            allowed_scopes: vec!["VOP".into(), "WERO".into()],
            granted_scopes: None,
            lifetime: Duration::from_secs(300),
            extra: Map::new(),
        }
    }
}

impl fmt::Debug for Worldline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of `extra` the names alone: an `id_token` is as good as a secret.
        f.debug_struct("Worldline")
            .field("realm", &self.realm)
            .field("clients", &self.clients)
            .field("allowed_scopes", &self.allowed_scopes)
            .field("granted_scopes", &self.granted_scopes)
            .field("lifetime", &self.lifetime)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A client of the realm.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its `client_id`.
    pub client_id: String,
    /// How it proves that it's that client.
    pub auth: ClientAuth,
}

/// How a client proves who it is.
#[derive(Clone, PartialEq)]
pub enum ClientAuth {
    /// By a `client_secret` in the form.
    Secret(String),
    /// By assertions, with a registered certificate: one in DER, or in PEM one or several (an old and a new one).
    Certificate(Vec<u8>),
    /// By assertions, with certificates that are registered under a text, which a `kid` may say instead of a fingerprint: one in
    /// DER or PEM for each text.
    CertificatesByKeyId(BTreeMap<String, Vec<u8>>),
    /// By assertions, with the sandbox's own certificate: [`Sandbox::signing_cert_pem`](crate::Sandbox::signing_cert_pem).
    SandboxCertificate,
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientAuth::Secret(_) => "Secret([redacted])",
            ClientAuth::Certificate(_) => "Certificate(..)",
            ClientAuth::CertificatesByKeyId(_) => "CertificatesByKeyId(..)",
            ClientAuth::SandboxCertificate => "SandboxCertificate",
        })
    }
}

/// Keycloak's tokens are JWTs of about this length.
const TOKEN_LENGTH: usize = 1200;

/// The settings that it started with, and what is needed to hold clients to them.
pub(crate) struct Realm {
    pub(crate) settings: Worldline,
    /// Those in force.
    clients: RwLock<HashMap<String, Proof>>,
    used_ids: UsedIds,
}

enum Proof {
    Secret(String),
    Keys(Vec<VerifyingKey>),
}

impl Realm {
    pub(crate) fn open(settings: Worldline, identity: &Identity) -> Result<Realm, StartError> {
        let clients = RwLock::new(proofs(&settings.clients, identity)?);
        Ok(Realm { settings, clients, used_ids: UsedIds::default() })
    }

    pub(crate) fn set_clients(&self, clients: &[Client], identity: &Identity) -> Result<(), StartError> {
        let proofs = proofs(clients, identity)?;
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = proofs;
        Ok(())
    }
}

/// What each client must prove, by its id.
fn proofs(clients: &[Client], identity: &Identity) -> Result<HashMap<String, Proof>, StartError> {
    let mut proofs = HashMap::new();
    for Client { client_id, auth } in clients {
        let proof = match auth {
            ClientAuth::Secret(secret) => Ok(Proof::Secret(secret.clone())),
            ClientAuth::Certificate(certificates) => VerifyingKey::read(certificates).map(Proof::Keys),
            ClientAuth::CertificatesByKeyId(certificates) => certificates
                .iter()
                .map(|(key_id, certificate)| VerifyingKey::read_with_key_id(certificate, key_id))
                .collect::<Result<_, _>>()
                .map(Proof::Keys),
            ClientAuth::SandboxCertificate => VerifyingKey::read(identity.cert_pem.as_bytes()).map(Proof::Keys),
        };
        let proof = proof.map_err(|reason| StartError::Certificate { client_id: client_id.clone(), reason })?;
        if proofs.insert(client_id.clone(), proof).is_some() {
            return Err(StartError::DuplicateClient(client_id.clone()));
        }
    }
    Ok(proofs)
}

pub(crate) fn routes() -> Router<Arc<crate::State>> {
    Router::new().route("/auth/realms/{realm}/protocol/openid-connect/token", post(token).fallback(wrong_method))
}

async fn wrong_method() -> Response {
    let body = json!({ "error": "HTTP 405 Method Not Allowed" });
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], Json(body)).into_response()
}

async fn token(
    State(state): State<Arc<crate::State>>,
    Path(realm): Path<String>,
    Extension(clock): Extension<Clock>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = request::body(request).await.map_err(Problem::Other)?;
    Ok(uncached(StatusCode::OK, answer(&state, &realm, clock, &headers, &body)?))
}

/// The 200, or what is wrong, in the order in which Keycloak looks.
fn answer(state: &crate::State, realm: &str, clock: Clock, headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    let settings = &state.worldline.settings;
    if realm != settings.realm {
        return Err(Problem::NoSuchRealm);
    }
    if !request::is_content_type(headers, "application/x-www-form-urlencoded") {
        return Err(Problem::ContentType);
    }
    let form = Form::read(body);
    match form.first("grant_type") {
        None => return Err(Problem::InvalidRequest("Missing form parameter: grant_type")),
        Some("client_credentials") => {}
        Some(_) => return Err(Problem::UnsupportedGrantType),
    }
    let credential = authenticate(state, clock, headers, &form)?;
    if form.has_duplicate() {
        return Err(Problem::InvalidRequest("duplicated parameter"));
    }
    let scopes = grant(settings, form.first("scope"))?;

    let scope = scopes.join(" ");
    let (token, _) = state
        .tokens
        .issue(Endpoint::Worldline, scopes, settings.lifetime, TOKEN_LENGTH)
        .map_err(|_| Problem::Other(StatusCode::INTERNAL_SERVER_ERROR))?;
    state.last_credentials.set(Endpoint::Worldline, credential);
    let usual = json!({
        "access_token": token,
        "expires_in": settings.lifetime.as_secs(),
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "scope": scope,
    });
    let mut members = usual.as_object().cloned().unwrap_or_default();
    members.extend(settings.extra.clone());
    Ok(Value::Object(members))
}

/// The fingerprint of the credential by which the client is who it says.
fn authenticate(state: &crate::State, clock: Clock, headers: &HeaderMap, form: &Form) -> Result<String, Problem> {
    let Realm { settings, clients, used_ids } = &state.worldline;
    let clients = clients.read().unwrap_or_else(PoisonError::into_inner);
    let client_id = form.first("client_id");

    if form.first("client_assertion_type").is_some() || form.first("client_assertion").is_some() {
        let host =
            request::only(headers, header::HOST).map_or_else(|| state.url.clone(), |host| format!("http://{host}"));
        let issuer = format!("{host}/auth/realms/{}", settings.realm);
        let verified = assertion::verify(
            Assertion { kind: form.first("client_assertion_type"), jwt: form.first("client_assertion"), client_id },
            |client_id| match clients.get(client_id) {
                Some(Proof::Keys(keys)) => Ok(keys),
                Some(Proof::Secret(_)) => Err(Refused::NotForThisClient),
                None => Err(Refused::UnknownClient),
            },
            &[format!("{issuer}/protocol/openid-connect/token"), issuer],
            clock.now_s(),
            used_ids,
        );
        match verified {
            Ok(key) => return Ok(key.fingerprint.clone()),
            Err(Refused::Because(description)) => return Err(Problem::Assertion(description)),
            Err(Refused::UnknownClient) => return Err(Problem::UnknownClient),
            // Keycloak looks for the client's secret then.
            Err(Refused::NotForThisClient) => {}
        }
    }

    let client_id = client_id.ok_or(Problem::NoClientId)?;
    match (clients.get(client_id), form.first("client_secret")) {
        (Some(Proof::Secret(secret)), Some(given)) if secret == given => Ok(fingerprint(&SHA256, secret.as_bytes())),
        (Some(Proof::Secret(_)), _) => Err(Problem::WrongSecret),
        (Some(Proof::Keys(_)) | None, _) => Err(Problem::UnknownClient),
    }
}

fn grant(settings: &Worldline, asked: Option<&str>) -> Result<Vec<String>, Problem> {
    let mut scopes = match asked {
        None => settings.allowed_scopes.clone(),
        Some(asked) => {
            let scopes: Vec<String> = asked.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
            if scopes.iter().any(|scope| !settings.allowed_scopes.contains(scope)) {
                return Err(Problem::InvalidScope(asked.to_owned()));
            }
            scopes
        }
    };
    if let Some(granted) = &settings.granted_scopes {
        scopes.retain(|scope| granted.contains(scope));
    }
    Ok(scopes)
}

/// The decoded pairs, as they came.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Form {
        Form(form_urlencoded::parse(body).into_owned().collect())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn has_duplicate(&self) -> bool {
        let mut seen = HashSet::new();
        !self.0.iter().all(|(name, _)| seen.insert(name))
    }
}

enum Problem {
    NoSuchRealm,
    ContentType,
    InvalidRequest(&'static str),
    UnsupportedGrantType,
    NoClientId,
    UnknownClient,
    WrongSecret,
    Assertion(String),
    InvalidScope(String),
    Other(StatusCode),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        const CREDENTIALS: &str = "Invalid client or Invalid client credentials";
        let bad = StatusCode::BAD_REQUEST;
        let unauthorized = StatusCode::UNAUTHORIZED;
        let (status, error, description) = match self {
            Problem::NoSuchRealm => {
                return uncached(StatusCode::NOT_FOUND, json!({ "error": "Realm does not exist" }));
            }
            Problem::ContentType => {
                let body = json!({ "error": "HTTP 415 Unsupported Media Type" });
                return uncached(StatusCode::UNSUPPORTED_MEDIA_TYPE, body);
            }
            Problem::Other(status) => return status.into_response(),
            Problem::InvalidRequest(what) => (bad, "invalid_request", what.to_owned()),
            Problem::UnsupportedGrantType => (bad, "unsupported_grant_type", "Unsupported grant_type".to_owned()),
            Problem::NoClientId => (bad, "invalid_client", "Missing client_id parameter".to_owned()),
            Problem::UnknownClient => (unauthorized, "invalid_client", CREDENTIALS.to_owned()),
            Problem::WrongSecret => (unauthorized, "unauthorized_client", CREDENTIALS.to_owned()),
            Problem::Assertion(what) => (bad, "invalid_client", what),
            Problem::InvalidScope(asked) => (bad, "invalid_scope", format!("Invalid scopes: {asked}")),
        };
        uncached(status, json!({ "error": error, "error_description": description }))
    }
}

/// JSON with the two headers of RFC 6749, section 5.1.
fn uncached(status: StatusCode, body: Value) -> Response {
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    (status, headers, Json(body)).into_response()
}
