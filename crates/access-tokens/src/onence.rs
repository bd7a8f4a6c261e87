//! 1NCE, the IoT SIM provider (spoken "once"; a Rust name can't begin with a digit).
//!
//! `POST /oauth/token` with HTTP Basic and a JSON body (`specs/onence.openapi.yaml`). Tokens are about 3,000 characters long
//! and live an hour. The server may answer with the same token and what is left of its life.

pub(crate) mod error_code;

use std::fmt;

use access_tokens_raw::{Secret, SecretValue, hooks::Authentication, onence as raw, progenitor_client::ClientInfo};
use url::Url;

pub use self::error_code::ErrorCode;
use self::error_code::PROVIDER;
use crate::{
    Error, Exchange, Scopes, Setting, TokenEndpoint, TokenId, Transport,
    answer::{Asked, Granted},
    base_url::{self, BaseUrl},
    clock::Moment,
    transport::Route,
};

/// The base URL that the specification names.
pub const BASE_URL: &str = "https://api.1nce.com/management-api";

/// The user name and password of a 1NCE account that may use the API.
#[derive(Clone)]
pub struct Credentials {
    username: String,
    password: Secret,
}

impl Credentials {
    /// They go out as they are (RFC 7617); nothing is encoded.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: password.into().into() }
    }

    /// Checks both, as building a client does.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): [`Setting::check`] refuses one of them, or the user name holds a colon.
    pub fn check(&self) -> Result<(), Error> {
        self.basic().map(|_| ())
    }

    fn basic(&self) -> Result<Authentication, Error> {
        let (username, password) = (&self.username, self.password.expose());
        Setting::Username.check(username)?;
        Setting::Password.check(password)?;
        Authentication::basic(username, password)
            .ok_or_else(|| Setting::Username.error("holds a colon, which Basic authentication can't carry (RFC 7617)"))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).field("password", &self.password).finish()
    }
}

/// The token endpoint of 1NCE.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use access_tokens::{ErrorKind, TokenEndpoint, onence};
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let base_url = sandbox.onence_base_url();
///
/// let credentials = onence::Credentials::new("sandbox@1nce.example", "a wrong password");
/// let client = onence::Client::builder(credentials).base_url(&base_url).build()?;
/// let error = client.exchange().await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Credentials);
/// assert_eq!(onence::ErrorCode::of(&error), Some(onence::ErrorCode::BadCredentials));
/// # Ok(()) }
/// ```
pub struct Client {
    raw: raw::Client,
    base_url: Url,
    token_url: String,
    token_id: TokenId,
    credentials: Credentials,
    transport: Transport,
    route: Route,
}

impl Client {
    /// A client of the server that the specification names, with the default [`Transport`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), as for [`ClientBuilder::build`].
    pub fn new(credentials: Credentials) -> Result<Self, Error> {
        Self::builder(credentials).build()
    }

    /// A client with settings.
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        ClientBuilder { credentials, base_url: BaseUrl(BASE_URL.to_owned()), transport: Transport::new() }
    }
}

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    credentials: Credentials,
    base_url: BaseUrl,
    transport: Transport,
}

impl ClientBuilder {
    /// The URL before `/oauth/token`; [`BASE_URL`] if not set.
    #[must_use]
    pub fn base_url(self, base_url: impl Into<String>) -> Self {
        Self { base_url: BaseUrl(base_url.into()), ..self }
    }

    /// Proxy, roots, client certificate, time-outs.
    #[must_use]
    pub fn transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// What its tokens depend on, for [`TokenCaches`](crate::TokenCaches).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a base URL that isn't `https`.
    pub fn token_id(&self) -> Result<TokenId, Error> {
        let Self { credentials: Credentials { username, password }, base_url, transport } = self;
        let secrets = [password.expose().as_bytes(), transport.client_certificate_der()];
        let id = TokenId::of_secrets(PROVIDER, base_url.checked()?.as_str(), username, secrets);
        Ok(id.with_route(transport.route()))
    }

    /// Checks the settings; sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a base URL that isn't `https`, or credentials, that [`Setting::check`] refuses, a user name with
    /// a colon, a transport that can't be set up.
    pub fn build(self) -> Result<Client, Error> {
        let token_id = self.token_id()?;
        let Self { credentials, base_url, transport } = self;
        let base_url = base_url.checked()?;
        let basic = credentials.basic()?;
        let (client, route) = transport.client(&base_url)?;
        let prefix = base_url::without_slash(&base_url);
        let raw = raw::Client::new_with_client(prefix, client, basic);
        let token_url = format!("{prefix}/oauth/token");
        Ok(Client { raw, base_url, token_url, token_id, credentials, transport, route })
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
            let asked = Asked {
                provider: PROVIDER,
                name: "1NCE",
                url: &self.token_url,
                route: &self.route,
                scopes: &Scopes::none(),
                secrets: [Some(self.credentials.password.expose()), self.raw.inner().expose()]
                    .into_iter()
                    .flatten()
                    .collect(),
                since: Moment::now(),
                attempt: 1,
            };
            let body = raw::types::PostAccessTokenPostBody { grant_type: "client_credentials".to_owned() };
            asked.conclude(self.raw.post_access_token_post(&body), granted).await
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url.as_str())
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// The schema says `userId` and `scope`, its example `user_id` and `score`; the servers were seen with either.
// Quirks onence-user-id-spelling, onence-scope-spelling.
fn granted(answer: raw::types::BearerToken200) -> Granted {
    let member = |names: [&str; 2]| {
        names.iter().filter_map(|name| answer.extra.get(*name)).map(SecretValue::expose).find(|value| !value.is_null())
    };
    Granted {
        user_id: member(["userId", "user_id"]).cloned(),
        scope: member(["scope", "score"]).cloned(),
        access_token: answer.access_token,
        token_type: answer.token_type,
        expires_in: answer.expires_in,
    }
}
