//! How requests reach a token endpoint, and the rules that no setting lifts: no redirects, `https` but for loopback.

mod lookup;
mod proxy;
mod route;
pub(crate) mod tls;
mod watch;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use access_tokens_raw::Secret;
use tower::util::MapResponseLayer;
use url::Url;

use self::lookup::Names;
pub(crate) use self::{
    route::Route,
    watch::{Seen, watched},
};
#[cfg(feature = "reqwest")]
use crate::caught::caught_call;
use crate::{Error, Identity, Setting, base_url::BaseUrl, cause::Cause};

/// Proxy, extra roots, client certificate and time-outs of the connection to a token endpoint.
///
/// Whatever is set here: redirects aren't followed (a 307 would post the credentials again, to whatever host it names),
/// `http` is for loopback addresses and `localhost` alone, never through a proxy, and each exchange has a connection of its
/// own, which speaks HTTP/1.1 and is closed afterwards.
///
/// ```
/// use std::time::Duration;
/// use access_tokens::{Transport, onence};
///
/// let transport = Transport::new().proxy("http://proxy.example:3128").timeout(Duration::from_secs(10));
/// let client = onence::Client::builder(onence::Credentials::new("user", "password")).transport(transport);
/// ```
#[derive(Clone)]
pub struct Transport {
    /// Secret, since its URL can hold a password.
    proxy: Option<Secret>,
    roots: Vec<Vec<u8>>,
    identity: Option<Identity>,
    connect_timeout: Duration,
    timeout: Duration,
    #[cfg(feature = "reqwest")]
    pub(crate) configure: Option<Configure>,
}

#[cfg(feature = "reqwest")]
type Configure = std::sync::Arc<dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync>;

impl Default for Transport {
    fn default() -> Self {
        Self {
            proxy: None,
            roots: Vec::new(),
            identity: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            #[cfg(feature = "reqwest")]
            configure: None,
        }
    }
}

impl Transport {
    /// The defaults: the proxy of the environment, the system's roots, no client certificate, 5 s to connect and 15 s in all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends requests through this HTTP proxy, `http://` or `https://`; user name and password may be in the URL. If not set,
    /// the variables `HTTPS_PROXY` and `ALL_PROXY` decide, but for hosts and addresses that `NO_PROXY` lists.
    #[must_use]
    pub fn proxy(self, url: impl Into<String>) -> Self {
        Self { proxy: Some(Secret::from(url.into())), ..self }
    }

    /// Trusts these certificates too: PEM, one or many, or one in DER; see
    /// [`root_certificates`](crate::root_certificates).
    #[must_use]
    pub fn add_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Shows this certificate to the server (mTLS).
    #[must_use]
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// The client certificate, if one is set.
    pub fn client_certificate(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// How long a connection may take; 5 s if not set.
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How long an exchange may take, from connecting to the last byte of the answer; 15 s if not set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Checks the URL of the proxy, as building a client does.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): it isn't an `http://` or `https://` URL, or holds more than a user, host and port.
    pub fn check(&self) -> Result<(), Error> {
        self.proxy.as_ref().map_or(Ok(()), |proxy| proxy::checked(proxy.expose(), "").map(|_| ()))
    }

    /// The proxy on the way to `base_url`, as `host:port`: the one that is set, or else that of the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a base URL that isn't `https`, a proxy that can't be used.
    pub fn proxy_for(&self, base_url: &str) -> Result<Option<String>, Error> {
        let url = BaseUrl(base_url.to_owned()).checked()?;
        Ok(self.proxy_to(&url)?.as_ref().map(route::host_and_port))
    }

    fn proxy_to(&self, url: &Url) -> Result<Option<Url>, Error> {
        proxy::to(url, self.proxy.as_ref().map(Secret::expose))
    }

    /// See [`reqwest::get`](crate::reqwest::get).
    #[cfg(feature = "reqwest")]
    pub(crate) async fn get(&self, base_url: &str) -> Result<reqwest::Response, Error> {
        self.ready()?;
        let url = BaseUrl(base_url.to_owned()).checked()?;
        let (client, route) = self.client(&url)?;
        let (outcome, seen) = watched(client.get(url).send()).await;
        outcome.map_err(|error| route.failure(&seen, error))
    }

    /// What makes one way to a server another.
    pub(crate) fn route(&self) -> impl Iterator<Item = &[u8]> {
        let proxy = self.proxy.as_ref().map_or(&[][..], AsRef::as_ref);
        [proxy].into_iter().chain(self.roots.iter().map(Vec::as_slice))
    }

    /// The certificate that a token may be bound to (RFC 8705); empty if there is none.
    pub(crate) fn client_certificate_der(&self) -> &[u8] {
        self.identity.as_ref().map_or(&[][..], |identity| identity.certificates().leaf())
    }

    /// What is to be seen to before an exchange.
    pub(crate) fn ready(&self) -> Result<(), Error> {
        if let Some(identity) = &self.identity {
            identity.certificates().warn_of_end();
        }
        in_runtime()
    }

    /// The HTTP client for requests to `base_url`, which [`BaseUrl`] has checked, and the way that it takes. Settings of the
    /// caller's own are put on top.
    pub(crate) fn client(&self, base_url: &Url) -> Result<(reqwest::Client, Route), Error> {
        let connected = MapResponseLayer::new(|connection| {
            watch::note(|seen| seen.connected = true);
            connection
        });
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("access-tokens/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .dns_resolver(Names)
            .connector_layer(connected)
            // What servers send that is whole, if sloppy (RFC 9112 section 5): folded lines, blanks around names.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true);
        // None but this: what the HTTP client itself takes from the environment, it doesn't check.
        builder = builder.no_proxy();
        let proxy = self.proxy_to(base_url)?;
        if let Some(proxy) = &proxy {
            let proxy = reqwest::Proxy::all(proxy.clone());
            builder = builder.proxy(proxy.map_err(|_| Setting::Proxy.error("can't be used"))?);
        }
        if base_url.scheme() == "https" {
            // The HTTP client's own way to set up TLS can't tell that a server asked for a certificate.
            let mut tls = tls::config(&self.roots, self.identity.as_ref())?;
            // HTTP/2 gains nothing for a request that comes alone.
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            builder = builder.tls_backend_preconfigured(tls);
        } else {
            // A machine without root certificates will do for `http`; what is set is to be right all the same.
            tls::extra_roots(&self.roots)?;
            self.identity.as_ref().map_or(Ok(()), Identity::check_for_tls)?;
        }
        #[cfg(feature = "reqwest")]
        if let Some(configure) = &self.configure {
            let panicked = || Error::configuration("the closure that configures the HTTP client panicked");
            builder = caught_call(|| configure(builder)).ok_or_else(panicked)?;
        }
        builder = builder
            // Quirk redirects-followed.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // For one request every few minutes a kept connection gains nothing, and it may be dead, lead to an old address or
            // belong to a runtime that has ended. Quirk kept-connections.
            .pool_max_idle_per_host(0)
            // Whatever features other crates switch on. Quirk compressed-answers.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            // It would log what is sent.
            .connection_verbose(false);
        if base_url.scheme() == "http" {
            // In clear only on this machine, whatever a name server says.
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            let loopback = loopback.map(|address| SocketAddr::new(address, 0));
            builder = builder.no_proxy().tls_certs_only([]).resolve_to_addrs("localhost", &loopback);
        }
        let client = builder.build();
        let client =
            client.map_err(|e| Error::configuration("the HTTP client can't be set up").with_source(Cause::of(&e)))?;
        let has_identity = self.identity.is_some();
        let route = Route::new(base_url, proxy.as_ref(), self.connect_timeout, self.timeout, has_identity);
        Ok((client, route))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("proxy", &self.proxy)
            .field("roots", &self.roots.len())
            .field("identity", &self.identity)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The HTTP client is driven by tokio, and panics outside of it.
fn in_runtime() -> Result<(), Error> {
    let outside = "an exchange must run in a tokio runtime";
    tokio::runtime::Handle::try_current().map(|_| ()).map_err(|_| Error::configuration(outside))
}
