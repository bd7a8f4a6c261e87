//! Worldline Open Banking (VOP, Wero): Keycloak behind `/auth`.
//!
//! `POST /realms/{realm}/protocol/openid-connect/token` with a form body (`specs/worldline.openapi.yaml`). A client
//! authenticates with a secret, or with a signed assertion (RFC 7523).

pub(crate) mod error_code;
mod realm;

use std::fmt;

use access_tokens_raw::{Secret, hooks::Authentication, worldline as raw};
use url::Url;

use self::error_code::PROVIDER;
pub use self::{error_code::ErrorCode, realm::Realm};
use crate::{
    AccessToken, Error, ErrorKind, Exchange, Scopes, Setting, TokenEndpoint, TokenId, Transport,
    answer::{Asked, Granted},
    assertion::{self, ClientAssertion},
    base_url::{self, BaseUrl},
    clock::{Moment, Skew},
    transport::Route,
};

/// How a client authenticates: the two branches of the specification's `oneOf`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// Client id and secret in the form (`#/components/schemas/ClientCredentialsRequest`).
    ClientSecret(ClientSecret),
    /// A signed assertion in the form (`#/components/schemas/ClientJwtRequest`).
    ClientAssertion(ClientAssertion),
}

impl Credentials {
    /// Who asks, and what tells one credential of his from another.
    fn parts(&self) -> (&str, [&[u8]; 3]) {
        match self {
            Self::ClientSecret(ClientSecret { client_id, client_secret }) => {
                (client_id, [b"client secret", client_secret.expose().as_bytes(), b""])
            }
            Self::ClientAssertion(assertion) => (assertion.client_id(), assertion.parts()),
        }
    }
}

impl From<ClientSecret> for Credentials {
    fn from(credentials: ClientSecret) -> Self {
        Self::ClientSecret(credentials)
    }
}

impl From<ClientAssertion> for Credentials {
    fn from(credentials: ClientAssertion) -> Self {
        Self::ClientAssertion(credentials)
    }
}

/// A client id and its secret, as given at onboarding.
#[derive(Clone)]
pub struct ClientSecret {
    client_id: String,
    client_secret: Secret,
}

impl ClientSecret {
    /// They are form-encoded when they are sent; any character may be in them.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into().into() }
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .finish()
    }
}

/// The token endpoint of one realm.
///
/// Where an assertion is refused and the `Date` of the refusal says that this machine's clock is off, another follows at once
/// with the server's time. A time that was accepted stays in use until it is refused; then this machine's own is tried.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use access_tokens::{Identity, TokenEndpoint, assertion::ClientAssertion, worldline};
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let base_url = sandbox.worldline_base_url();
/// # let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
///
/// let credentials = ClientAssertion::new("sandbox-jwt-client", Identity::new(key, Some(certificate.as_ref()), None)?)?;
/// let realm = worldline::Realm::new("sandbox")?;
/// let client = worldline::Client::builder(&base_url, realm, "VOP".parse()?, credentials).build()?;
/// let token = client.exchange().await?;
/// assert_eq!(token.scopes().to_string(), "VOP");
/// # Ok(()) }
/// ```
pub struct Client {
    raw: raw::Client,
    token_id: TokenId,
    base_url: Url,
    realm: Realm,
    scopes: Scopes,
    credentials: Credentials,
    transport: Transport,
    route: Route,
    skew: Skew,
}

impl Client {
    /// A client of the server at `base_url`, which ends in `/auth`. The specification names no host; Worldline does, at
    /// onboarding, as it does the realm.
    // Quirk worldline-relative-server.
    pub fn builder(
        base_url: impl Into<String>,
        realm: Realm,
        scopes: Scopes,
        credentials: impl Into<Credentials>,
    ) -> ClientBuilder {
        ClientBuilder {
            base_url: BaseUrl(base_url.into()),
            realm,
            scopes,
            credentials: credentials.into(),
            transport: Transport::new(),
        }
    }

    // Quirks worldline-form-one-of, worldline-constants-as-strings.
    async fn body(&self, skew: i64) -> Result<raw::types::PosttokenBody, Error> {
        let grant_type = "client_credentials".to_owned();
        let scope = self.scopes.to_string();
        Ok(match &self.credentials {
            Credentials::ClientSecret(ClientSecret { client_id, client_secret }) => {
                raw::types::ClientCredentialsRequest {
                    grant_type,
                    scope,
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                }
                .into()
            }
            Credentials::ClientAssertion(assertion) => {
                let (issuer, token_endpoint) = (self.issuer(), self.token_url());
                raw::types::ClientJwtRequest {
                    grant_type,
                    scope,
                    client_assertion_type: assertion::TYPE.to_owned(),
                    client_assertion: assertion.sign(&issuer, &token_endpoint, Skew::server_time(skew)).await?,
                }
                .into()
            }
        })
    }

    /// Asks once, with times in an assertion that are so many nanoseconds ahead of this machine's.
    async fn ask(&self, skew: i64, attempt: u32) -> Result<AccessToken, Error> {
        // Signed anew for every attempt: the server takes each `jti` once.
        let body = self.body(skew).await?;
        let secret = match &body {
            raw::types::PosttokenBody::CredentialsRequest(request) => request.client_secret.expose(),
            raw::types::PosttokenBody::JwtRequest(request) => request.client_assertion.expose(),
        };
        let asked = Asked {
            provider: PROVIDER,
            name: "Worldline",
            url: &self.token_url(),
            route: &self.route,
            scopes: &self.scopes,
            secrets: vec![secret],
            since: Moment::now(),
            attempt,
        };
        asked.conclude(self.raw.posttoken(self.realm.as_str(), &body), granted).await
    }

    /// Asks with an assertion, whose times are refused where this machine's clock is off; then once more with others. The clock
    /// that a refusal tells may be another's, such as a gateway's. So a time that was accepted stays in use, and when that is
    /// refused, this machine's own comes next.
    async fn ask_with_assertion(&self) -> Result<AccessToken, Error> {
        let accepted = self.skew.accepted();
        let refusal = match self.ask(accepted, 1).await {
            Err(error) if error.kind() == ErrorKind::Credentials => error,
            outcome => return outcome,
        };
        let other = if accepted == 0 { refusal.server_clock() } else { Some(0) };
        let Some(other) = other.filter(|other| other.abs_diff(accepted) > CLOCK_IS_OFF) else { return Err(refusal) };
        tracing::warn!(provider = PROVIDER, error = %refusal, "asking again with other times in the assertion");
        let outcome = self.ask(other, 2).await;
        // Of one that was accepted once and isn't now, nothing is known any more.
        self.skew.accept(if outcome.is_ok() { other } else { 0 });
        outcome
    }

    fn token_url(&self) -> String {
        format!("{}/protocol/openid-connect/token", self.issuer())
    }

    /// The realm's URL, which is what Keycloak takes for the issuer.
    fn issuer(&self) -> String {
        format!("{}/realms/{}", base_url::without_slash(&self.base_url), self.realm.encoded())
    }
}

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    base_url: BaseUrl,
    realm: Realm,
    scopes: Scopes,
    credentials: Credentials,
    transport: Transport,
}

impl ClientBuilder {
    /// Proxy, roots, client certificate, time-outs.
    #[must_use]
    pub fn transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// What its tokens depend on, for [`TokenCaches`](crate::TokenCaches).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: a base URL that isn't `https`.
    pub fn token_id(&self) -> Result<TokenId, Error> {
        let (identity, secrets) = self.credentials.parts();
        let secrets = secrets.into_iter().chain([self.transport.client_certificate_der()]);
        let id = TokenId::of_secrets(PROVIDER, self.base_url.checked()?.as_str(), identity, secrets);
        let id = id.with_realm(self.realm.as_str()).with_scopes(self.scopes.clone());
        Ok(id.with_route(self.transport.route()))
    }

    /// Checks the settings; sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: a base URL that isn't `https`, or credentials, that [`Setting::check`] refuses, no scope, an
    /// assertion whose header needs a certificate that isn't there, a transport that can't be set up.
    pub fn build(self) -> Result<Client, Error> {
        let token_id = self.token_id()?;
        let Self { base_url, realm, scopes, credentials, transport } = self;
        let base_url = base_url.checked()?;
        if scopes.is_empty() {
            return Err(Setting::Scopes.error("are missing; Worldline needs at least one, such as VOP"));
        }
        if let Credentials::ClientSecret(ClientSecret { client_id, client_secret }) = &credentials {
            Setting::ClientId.check(client_id)?;
            Setting::ClientSecret.check(client_secret.expose())?;
        }
        if let Credentials::ClientAssertion(assertion) = &credentials {
            assertion.check()?;
        }
        let (client, route) = transport.client(&base_url)?;
        let raw = raw::Client::new_with_client(base_url::without_slash(&base_url), client, Authentication::none());
        Ok(Client { raw, token_id, base_url, realm, scopes, credentials, transport, route, skew: Skew::default() })
    }
}

impl TokenEndpoint for Client {
    fn provider(&self) -> &str {
        PROVIDER
    }

    fn token_id(&self) -> Option<TokenId> {
        Some(self.token_id.clone())
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            self.transport.ready()?;
            match &self.credentials {
                Credentials::ClientSecret(_) => self.ask(0, 1).await,
                Credentials::ClientAssertion(_) => self.ask_with_assertion().await,
            }
        })
    }
}

/// By how many nanoseconds a clock must be off for that to be worth another request.
const CLOCK_IS_OFF: u64 = 1_000_000_000;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url.as_str())
            .field("realm", &self.realm)
            .field("scopes", &self.scopes)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

fn granted(answer: raw::types::TokenResponse) -> Granted {
    Granted {
        access_token: answer.access_token,
        token_type: answer.token_type,
        expires_in: answer.expires_in,
        scope: answer.scope,
        user_id: None,
    }
}
