//! Both token endpoints on loopback, as the real servers behave, and a resource that their tokens open.
//!
//! The sandbox plays 1NCE's `POST /management-api/oauth/token` and the Keycloak that stands behind Worldline's
//! `POST /auth/realms/{realm}/protocol/openid-connect/token`: their statuses, their error bodies, their checks. It shares
//! no type with the clients of this workspace, so that the two can't agree on a mistake. [`Fault`]s make it late, unable,
//! wrong or rude on demand.
//!
//! ```
//! use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start().await?;
//! let token_url = format!("{}/oauth/token", sandbox.onence_base_url());
//! let ask = || {
//!     reqwest::Client::new()
//!         .post(&token_url)
//!         .basic_auth("sandbox@1nce.example", Some("sandbox-password"))
//!         .json(&serde_json::json!({ "grant_type": "client_credentials" }))
//!         .send()
//! };
//!
//! // The next request is answered 503, the one after it as usual.
//! sandbox.fault(Endpoint::Onence, Fault::status(503).retry_after(5))?;
//! let refused = ask().await?;
//! assert_eq!(refused.status(), 503);
//! assert_eq!(refused.headers()["retry-after"], "5");
//! let answer: serde_json::Value = ask().await?.json().await?;
//! assert_eq!(answer["expires_in"], 3600);
//!
//! // The token opens the resource until it's revoked.
//! let token = answer["access_token"].as_str().unwrap_or_default();
//! let visit = || reqwest::Client::new().get(sandbox.resource_url()).bearer_auth(token).send();
//! assert_eq!(visit().await?.status(), 200);
//! sandbox.revoke(token);
//! assert_eq!(visit().await?.status(), 401);
//! assert_eq!(sandbox.requests(Endpoint::Onence), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it serves
//!
//! Over HTTP/1 and, to clients that begin with it (prior knowledge), HTTP/2:
//!
//! | path | what |
//! | --- | --- |
//! | `POST /management-api/oauth/token` | 1NCE, see [`Onence`] |
//! | `POST /auth/realms/{realm}/protocol/openid-connect/token` | Worldline, see [`Worldline`] |
//! | `/resource`, any method | 200 `{provider, scopes, expires_in, body_bytes}` to a live token of either provider, else 401 with a `WWW-Authenticate` as in RFC 6750, section 3 |
//! | `/resource/always-401`, any method | 401 whatever the token |
//! | `GET /_sandbox` | counters and queued faults |
//! | `POST /_sandbox/faults` | queues one fault of the table below, or a list of them (all or none) |
//! | `DELETE /_sandbox/faults` | drops every queued fault |
//! | `POST /_sandbox/revoke` | revokes `{"token": "…"}` or `{"all": true}` |
//!
//! The control paths answer errors as `{"error": "what is wrong"}`; faults don't touch them and they aren't counted. A body
//! must be sent as JSON, and web pages of other origins are refused, because a browser sends their requests without asking:
//!
//! | what was sent to a control path | answer |
//! | --- | --- |
//! | a `Host` (in HTTP/2: `:authority`) other than a loopback name or address, the address that the sandbox listens on, or a [`Builder::allow_host`]; the port may be any | 421 |
//! | an `Origin` other than `http://` or `https://` with that host and port; a `Sec-Fetch-Site` other than `same-origin` and `none` | 403 |
//! | a body with another `Content-Type` than `application/json`, whatever its parameters | 415 |
//!
//! The other paths take any `Host` and `Origin`, as the real servers do: clients may reach the sandbox under any name.
//!
//! # How long it waits
//!
//! A connection is closed if no request has been under way on it for 30 s ([`Builder::client_timeout`]). This holds for one on
//! which nothing or only part of a request's head was sent, and for an idle one. A body of which no more comes for that long
//! is answered with 408. The answers' own time isn't limited: a `latency_ms` may be longer, and an `endless` body takes as
//! long as the client reads it.
//!
//! # What it remembers
//!
//! Every token until it expires, and at least the 1,000 tokens that expired last. To the resource an older one is unknown
//! instead of expired; the answer is 401 either way.
//!
//! # Default credentials
//!
//! | for | setting | value |
//! | --- | --- | --- |
//! | 1NCE | username, password | `sandbox@1nce.example`, `sandbox-password`; [`Onence::more_users`] adds users |
//! | Worldline | realm, scopes | `sandbox`, `VOP WERO` |
//! | Worldline, client secret | `client_id`, `client_secret` | `sandbox-client`, `sandbox-secret` |
//! | Worldline, client assertion | `client_id` | `sandbox-jwt-client`, with the sandbox's own key: [`Sandbox::signing_key_pem`], [`Sandbox::signing_cert_pem`] |
//!
//! # Faults as JSON
//!
//! The command line and the control endpoint use one flat object, an [`EndpointFault`]: `endpoint` (`onence`, `worldline`
//! or `resource`), **exactly one** of the effects, the details that go with `status`, and how long it lasts. A key that
//! isn't here is refused by name.
//!
//! | key | value | what it does |
//! | --- | --- | --- |
//! | `status` | 200 to 599 | effect: answers that, whatever was asked; without a body unless a detail gives one |
//! | `retry_after` | seconds, or text sent as it is | detail of `status`: the `Retry-After` header |
//! | `location` | text | detail of `status`: the `Location` header, for a redirect |
//! | `error` | code | detail of `status`: a JSON body in the endpoint's own error shape |
//! | `error_description` | text | detail of `error`: its description or message |
//! | `body` | text | detail of `status`: that literal body |
//! | `content_type` | text | detail of `body`; else `application/json` |
//! | `latency_ms` | milliseconds | effect: waits before anything else happens |
//! | `reset` | true | effect: resets the TCP connection instead of answering, with whatever else HTTP/2 has on it |
//! | `garbage` | true | effect: 200 with an HTML page |
//! | `truncated` | true | effect: the usual answer, cut off half-way below its `Content-Length` |
//! | `oversized_bytes` | bytes | effect: the usual answer, behind white space up to that length |
//! | `endless` | true | effect: the usual status, then white space until the client hangs up |
//! | `without_token` | true | effect: the usual answer less its `access_token` |
//! | `token_type` | text | effect: the usual answer with that `token_type` |
//! | `clock_skew_s` | seconds, either sign | effect: the server's clock is off: its `Date`, and its view of assertions |
//! | `times` | 1 or more | lasts for that many requests (1 when nothing is said) |
//! | `lasting_ms` | milliseconds | lasts for that time, counted from when it's queued |
//! | `until_cleared` | true | lasts until faults are cleared |
//!
//! ```
//! use access_tokens_sandbox::{Endpoint, EndpointFault, Fault};
//!
//! let order: EndpointFault = serde_json::from_str(r#"{"endpoint":"onence","status":503,"retry_after":5,"times":3}"#)?;
//! assert_eq!(order.endpoint, Endpoint::Onence);
//! assert_eq!(order.fault, Fault::status(503).retry_after(5).times(3));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! A request meets at most one latency, one clock skew, and one of the other effects: of each, the first in the queue that
//! still lasts. The usual answer is what the request would have got, an error too; a fault that finds nothing to change in
//! it (no `access_token` to take out of a 401) is used up all the same.

mod algorithm;
mod assertion;
mod certificate;
mod control;
mod count;
mod credential;
mod cross_site;
mod fault;
mod front;
mod onence;
mod queue;
mod request;
mod resource;
mod server;
mod token;
mod worldline;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

pub use crate::fault::{Answer, Endpoint, EndpointFault, Fault, FaultError};
pub use crate::onence::{Onence, Rounding, Spelling, Tokens, User};
pub use crate::token::Refusal;
pub use crate::worldline::{Client, ClientAuth, Worldline};

use crate::certificate::Identity;
use crate::count::Counts;
use crate::credential::LastCredentials;
use crate::cross_site::{AllowedHosts, Host};
use crate::queue::{Faults, Queued};
use crate::server::Server;
use crate::token::Ledger;

/// A running sandbox. Dropping it stops the server and cuts every connection; [`Sandbox::stop`] lets answers finish.
///
/// It serves from the tokio runtime that started it, so a test that blocks a single-threaded runtime gets no answer.
pub struct Sandbox {
    state: Arc<State>,
    server: Server,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("url", &self.state.url).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox with the default settings on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start() -> Result<Sandbox, StartError> {
        Sandbox::builder().start().await
    }

    /// Settings first, then [`Builder::start`].
    pub fn builder() -> Builder {
        Builder {
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            allow_remote: false,
            allow_hosts: Vec::new(),
            client_timeout: Duration::from_secs(30),
            onence: Onence::default(),
            worldline: Worldline::default(),
        }
    }

    /// Where it listens: `http://127.0.0.1:<port>`, without a slash at the end. An unspecified address (`0.0.0.0`) is
    /// shown as the loopback one.
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// The address that it's bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.address
    }

    /// What a 1NCE client takes as its base URL: `{url}/management-api`.
    pub fn onence_base_url(&self) -> String {
        format!("{}/management-api", self.state.url)
    }

    /// What a Worldline client takes as its base URL: `{url}/auth`.
    pub fn worldline_base_url(&self) -> String {
        format!("{}/auth", self.state.url)
    }

    /// The protected resource: `{url}/resource`. `{url}/resource/always-401` refuses every token.
    pub fn resource_url(&self) -> String {
        format!("{}/resource", self.state.url)
    }

    /// The 1NCE settings that it started with. [`Sandbox::set_onence_credentials`] doesn't change what is said here.
    pub fn onence(&self) -> &Onence {
        &self.state.onence.settings
    }

    /// The Worldline settings that it started with. [`Sandbox::set_worldline_clients`] doesn't change what is said here.
    pub fn worldline(&self) -> &Worldline {
        &self.state.worldline.settings
    }

    /// Replaces the first 1NCE user, as after a change of the password: from the next request on the old one is refused. Tokens
    /// issued stay valid, and with [`Tokens::ServerCached`] the new user gets the old one's token as long as it lives. Of
    /// [`Onence::more_users`], one of the same name is dropped; the others stay.
    ///
    /// ```
    /// use access_tokens_sandbox::{Endpoint, Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::start().await?;
    /// sandbox.set_onence_credentials("sandbox@1nce.example", "new-password");
    /// let ask = |password: &'static str| {
    ///     reqwest::Client::new()
    ///         .post(format!("{}/oauth/token", sandbox.onence_base_url()))
    ///         .basic_auth("sandbox@1nce.example", Some(password))
    ///         .json(&serde_json::json!({ "grant_type": "client_credentials" }))
    ///         .send()
    /// };
    /// assert_eq!(ask("sandbox-password").await?.status(), 400);
    /// assert_eq!(sandbox.last_credential(Endpoint::Onence), None);
    /// assert_eq!(ask("new-password").await?.status(), 200);
    /// assert!(sandbox.last_credential(Endpoint::Onence).is_some_and(|sha256| sha256.starts_with("B8B9F8F2")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_onence_credentials(&self, username: impl Into<String>, password: impl Into<String>) {
        self.state.onence.set_credentials(username.into(), password.into());
    }

    /// Replaces every Worldline client, as after a change of a secret or of a certificate: from the next request on, what isn't
    /// among `clients` is refused. Tokens issued stay valid, and a `jti` that was used stays used.
    ///
    /// # Errors
    /// [`StartError::Certificate`] and [`StartError::DuplicateClient`], as when it starts; the clients stay what they were then.
    ///
    /// ```
    /// use access_tokens_sandbox::{Client, ClientAuth, Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::start().await?;
    /// // From now on this client's `kid` may be "signing-2025" too.
    /// let certificate = sandbox.signing_cert_pem().as_bytes().to_vec();
    /// let auth = ClientAuth::CertificatesByKeyId([("signing-2025".to_owned(), certificate)].into());
    /// sandbox.set_worldline_clients(vec![Client { client_id: "sandbox-jwt-client".into(), auth }])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_worldline_clients(&self, clients: Vec<Client>) -> Result<(), StartError> {
        self.state.worldline.set_clients(&clients, self.state.identity)
    }

    /// The credential of the last request that `endpoint` gave a token for, so that a test can tell which of two is in use. It's
    /// shown by its fingerprint in upper-case hex digits: SHA-1 of the certificate for an assertion, SHA-256 of the client secret,
    /// SHA-256 of the password for 1NCE.
    ///
    /// None before the first such request, and always for [`Endpoint::Resource`].
    pub fn last_credential(&self, endpoint: Endpoint) -> Option<String> {
        self.state.last_credentials.get(endpoint)
    }

    /// The sandbox's private key, RSA of 2048 bits, PKCS #8 in PEM: it signs for [`ClientAuth::SandboxCertificate`]. It's made
    /// anew in each process, when the first sandbox starts.
    pub fn signing_key_pem(&self) -> &str {
        &self.state.identity.key_pem
    }

    /// The self-signed certificate of [`Sandbox::signing_key_pem`], in PEM.
    pub fn signing_cert_pem(&self) -> &str {
        &self.state.identity.cert_pem
    }

    /// Queues a fault behind those that `endpoint` has already.
    ///
    /// # Errors
    /// [`FaultError`] when the fault can't be served; nothing is queued then.
    pub fn fault(&self, endpoint: Endpoint, fault: impl Into<Fault>) -> Result<(), FaultError> {
        let fault = Queued::new(EndpointFault { endpoint, fault: fault.into() })?;
        self.state.faults.queue([fault]);
        Ok(())
    }

    /// Drops every queued fault, of all endpoints. Returns how many there were.
    pub fn clear_faults(&self) -> usize {
        self.state.faults.clear()
    }

    /// What is queued now, each with what is left of its times or its time.
    pub fn faults(&self) -> Vec<EndpointFault> {
        self.state.faults.queued()
    }

    /// Whether the resource would accept `token` now, for a protected server of your own. Nothing is counted.
    pub fn accepts(&self, token: &str) -> bool {
        self.state.tokens.find(token).is_ok()
    }

    /// From now on the resource refuses `token`. False when the sandbox issued no such token that is still alive.
    ///
    /// With [`Tokens::ServerCached`] the endpoint goes on handing a revoked token out until it ends, as a server-side
    /// cache does that nobody told.
    pub fn revoke(&self, token: &str) -> bool {
        self.state.tokens.revoke(token)
    }

    /// From now on the resource refuses every token issued so far. Returns how many were still alive.
    pub fn revoke_all(&self) -> usize {
        self.state.tokens.revoke_all()
    }

    /// Requests that reached the endpoint, whatever became of them; a request counts when its head has arrived.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.state.requests.get(endpoint)
    }

    /// Tokens made so far by both endpoints. The same server-cached token again isn't a new one.
    pub fn tokens_issued(&self) -> u64 {
        self.state.tokens.issued()
    }

    /// How often `/resource` turned a request away for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.state.tokens.refused(why)
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.state.connections.count()
    }

    /// Stops accepting, lets the answers under way finish for at most a second, and returns when the port is free.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Settings of a sandbox that isn't running yet; from [`Sandbox::builder`].
///
/// ```
/// use access_tokens_sandbox::{Onence, Sandbox, Spelling};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let onence = Onence { lifetime: Duration::from_secs(40), spelling: Spelling::Example, ..Onence::default() };
/// let sandbox = Sandbox::builder().onence(onence).start().await?;
/// assert_eq!(sandbox.onence().lifetime, Duration::from_secs(40));
/// sandbox.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before start()"]
pub struct Builder {
    listen: SocketAddr,
    allow_remote: bool,
    allow_hosts: Vec<String>,
    client_timeout: Duration,
    onence: Onence,
    worldline: Worldline,
}

impl Builder {
    /// The address to listen on; port 0 means any free one. The default is `127.0.0.1:0`.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Whether an address that other machines can reach is allowed. It isn't by default: the credentials are published,
    /// the control endpoint asks for none, and everything goes over plain HTTP.
    pub fn allow_remote(mut self, allow: bool) -> Self {
        self.allow_remote = allow;
        self
    }

    /// A further name or address, without a port, that requests to the control endpoint may have as their `Host`, such as the
    /// name of a container. May be called many times.
    ///
    /// ```
    /// use access_tokens_sandbox::Sandbox;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::builder().allow_host("sandbox.internal").start().await?;
    /// let show = |host| reqwest::Client::new().get(format!("{}/_sandbox", sandbox.url())).header("host", host).send();
    /// assert_eq!(show("sandbox.internal:8080").await?.status(), 200);
    /// assert_eq!(show("attacker.example").await?.status(), 421);
    /// # Ok(())
    /// # }
    /// ```
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.allow_hosts.push(host.into());
        self
    }

    /// How long the sandbox waits for a client: for the whole head of its next request, and for more of a body. Default 30 s.
    pub fn client_timeout(mut self, timeout: Duration) -> Self {
        self.client_timeout = timeout;
        self
    }

    /// Replaces the 1NCE settings.
    pub fn onence(mut self, settings: Onence) -> Self {
        self.onence = settings;
        self
    }

    /// Replaces the Worldline settings.
    pub fn worldline(mut self, settings: Worldline) -> Self {
        self.worldline = settings;
        self
    }

    /// Binds and serves. Must be called inside a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// [`StartError`]: an address that isn't loopback, one that can't be bound, or settings that can't be served.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        if !self.allow_remote && !self.listen.ip().is_loopback() {
            return Err(StartError::Remote(self.listen));
        }
        for lifetime in [self.onence.lifetime, self.worldline.lifetime] {
            if lifetime > LONGEST_LIFETIME {
                return Err(StartError::Lifetime(lifetime));
            }
        }
        let hosts = self.allow_hosts.into_iter().map(|host| Host::parse(&host).ok_or(StartError::Host(host)));
        let allowed_hosts = AllowedHosts { listen: self.listen.ip(), hosts: hosts.collect::<Result<_, _>>()? };
        let onence = onence::Accounts::open(self.onence)?;
        let identity = Identity::of_process().await.map_err(StartError::Key)?;
        let worldline = worldline::Realm::open(self.worldline, identity)?;
        let failed = |source| StartError::Listen { address: self.listen, source };
        let listener = server::listen(self.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let state = Arc::new(State {
            url: format!("http://{}", reachable(address)),
            allowed_hosts,
            identity,
            onence,
            worldline,
            last_credentials: LastCredentials::default(),
            tokens: Ledger::default(),
            faults: Faults::default(),
            requests: Counts::default(),
            connections: server::Connections::default(),
        });
        let server = Server::start(listener, address, router(&state), state.connections.clone(), self.client_timeout);
        Ok(Sandbox { state, server })
    }
}

/// Why a sandbox didn't start, or didn't take other clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address isn't a loopback one, and [`Builder::allow_remote`] wasn't given.
    #[error("{0} can be reached from other machines; the sandbox listens on loopback unless remote access is allowed")]
    Remote(SocketAddr),
    /// The address can't be bound.
    #[error("can't listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A [`Builder::allow_host`] that is neither a name nor an address.
    #[error("`{0}` can't be a host; give the name or the address alone, without scheme, port and path")]
    Host(String),
    /// A token lifetime of more than ten years.
    #[error("a token lifetime of {0:?} is more than ten years")]
    Lifetime(Duration),
    /// The signing key or its certificate couldn't be made.
    #[error("can't make a signing key: {0}")]
    Key(String),
    /// A client's certificate can't be used to verify assertions.
    #[error("the certificate of client `{client_id}` can't be used: {reason}")]
    Certificate {
        /// The client that it's registered for.
        client_id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two 1NCE users of one name.
    #[error("user `{0}` is registered twice")]
    DuplicateUser(String),
    /// Two clients with one id.
    #[error("client `{0}` is registered twice")]
    DuplicateClient(String),
}

/// Far beyond any token, and small enough to be added to any clock.
const LONGEST_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What all requests share.
struct State {
    url: String,
    allowed_hosts: AllowedHosts,
    identity: &'static Identity,
    onence: onence::Accounts,
    worldline: worldline::Realm,
    last_credentials: LastCredentials,
    tokens: Ledger,
    faults: Faults,
    requests: Counts<Endpoint>,
    connections: server::Connections,
}

fn router(state: &Arc<State>) -> Router {
    Router::new()
        .merge(onence::routes())
        .merge(worldline::routes())
        .merge(resource::routes())
        .merge(control::routes(state))
        .layer(axum::middleware::from_fn_with_state(state.clone(), front::meet))
        .with_state(state.clone())
}

/// The address under which a client on this machine finds `bound`.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
