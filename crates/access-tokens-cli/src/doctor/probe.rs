//! How far a request without credentials gets on the way that an exchange takes: name lookup, connection, TLS, answer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use access_tokens::{
    Error, ErrorKind, Transport,
    reqwest::{self as http, Configure, Response},
};
use reqwest::{
    Url,
    header::{AGE, DATE},
    tls::TlsInfo,
};
use tokio::{net::lookup_host, time::timeout};
use tower::util::MapResponseLayer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What one request found.
pub(super) struct Probe {
    /// The server, as `host:port`.
    pub(super) host: String,
    /// The proxy on the way, as `host:port`.
    pub(super) proxy: Option<String>,
    /// None where an address stands in place of a name, and for `http`, which goes to this machine.
    pub(super) lookup: Option<Lookup>,
    /// From the lookup until there was a connection, TLS included, or none.
    pub(super) connecting: Duration,
    /// From there until an answer came, or none. None without a connection.
    pub(super) answering: Option<Duration>,
    /// Why no answer came, as an exchange would report it.
    pub(super) answer: Result<Answer, Error>,
}

/// A name that was looked up: the proxy's or, without one, the server's.
pub(super) struct Lookup {
    pub(super) host: String,
    /// How long it took, also if nothing was found.
    pub(super) took: Duration,
    pub(super) addresses: Vec<IpAddr>,
}

pub(super) struct Answer {
    /// The server's, which was verified. None for `http`.
    pub(super) certificate: Option<Certificate>,
    /// By how many seconds the server's clock is ahead of this machine's, at the least; negative where it is behind. None where
    /// the answer has no `Date`, or comes from a store (`Age`).
    pub(super) skew: Option<i64>,
}

pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_after: SystemTime,
}

/// The HTTP client doesn't tell of its lookup, so the same name is looked up beside it; by how much that may end later.
const LATER: Duration = Duration::from_secs(1);

impl Probe {
    /// Asks for `base_url` once.
    ///
    /// # Errors
    /// What keeps the request from being made.
    pub(super) async fn of(transport: &Transport, base_url: &str) -> Result<Self, Error> {
        let proxy = transport.proxy_for(base_url)?;
        let unusable = |_| Error::new(ErrorKind::Configuration, "the base URL isn't a URL");
        let url = Url::parse(base_url).map_err(unusable)?;
        let connected = Arc::new(OnceLock::new());
        let note = connected.clone();
        let observed = transport.clone().configure(move |builder| {
            let note = note.clone();
            builder.tls_info(true).connector_layer(MapResponseLayer::new(move |connection| {
                note.get_or_init(Instant::now);
                connection
            }))
        });
        let (begun, sent) = (Instant::now(), SystemTime::now());
        let looking_up = name_to_look_up(&url, proxy.as_deref()).map(|name| {
            let task = tokio::spawn(addresses(name.clone()));
            (name, task)
        });
        let outcome = http::get(&observed, base_url).await;
        let (ended, came) = (Instant::now(), SystemTime::now());
        let answer = match outcome {
            Err(error) if error.kind() == ErrorKind::Configuration && error.obstacle().is_none() => return Err(error),
            outcome => outcome.map(|response| Answer::of(&response, sent, came)),
        };
        let lookup = match looking_up {
            Some((host, task)) => {
                let found = timeout(LATER, task).await.ok().and_then(Result::ok);
                let (took, addresses) = found.unwrap_or_else(|| (ended - begun, Vec::new()));
                Some(Lookup { host, took, addresses })
            }
            None => None,
        };
        let looking_up = lookup.as_ref().map_or(Duration::ZERO, |lookup| lookup.took);
        let connected = connected.get().copied();
        Ok(Self {
            host: format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default()),
            proxy,
            lookup,
            connecting: connected.unwrap_or(ended).duration_since(begun).saturating_sub(looking_up),
            answering: connected.map(|connected| ended.duration_since(connected)),
            answer,
        })
    }
}

/// That of the proxy, or else of the server.
fn name_to_look_up(url: &Url, proxy: Option<&str>) -> Option<String> {
    match proxy {
        Some(proxy) => Url::parse(&format!("http://{proxy}")).ok()?.domain().map(str::to_owned),
        None => url.domain().filter(|_| url.scheme() == "https").map(str::to_owned),
    }
}

/// How long a lookup took, and what it found.
async fn addresses(name: String) -> (Duration, Vec<IpAddr>) {
    let begun = Instant::now();
    let found = lookup_host((name, 0)).await.map(|found| found.map(|address: SocketAddr| address.ip()).collect());
    (begun.elapsed(), found.unwrap_or_default())
}

impl Answer {
    fn of(response: &Response, sent: SystemTime, came: SystemTime) -> Self {
        let tls = response.extensions().get::<TlsInfo>();
        let headers = response.headers();
        let date = headers.get(DATE).filter(|_| !headers.contains_key(AGE));
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?.trim()).ok());
        Self {
            certificate: tls.and_then(|tls| Certificate::parse(tls.peer_certificate()?)),
            skew: date.and_then(|date| skew(date, sent, came)),
        }
    }
}

/// `Date` is in whole seconds and the way takes its time, so a span of skews would explain it: the least of them counts, rounded
/// away from zero. None if this machine's clock was set meanwhile.
fn skew(date: SystemTime, sent: SystemTime, came: SystemTime) -> Option<i64> {
    let whole = |span: Duration| i64::try_from(span.as_secs_f64().ceil() as u64).ok();
    if came < sent {
        return None;
    }
    match (date.duration_since(came), sent.duration_since(date + Duration::from_secs(1))) {
        (Ok(ahead), _) => whole(ahead),
        (_, Ok(behind)) => whole(behind).map(|seconds| -seconds),
        _ => Some(0),
    }
}

impl Certificate {
    fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        // It is verified, but by whoever is trusted; and it is to be shown on a terminal.
        let shown = |name: String| name.chars().filter(is_visible).take(200).collect();
        let expires = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires))?;
        Some(Self {
            subject: shown(certificate.subject().to_string()),
            issuer: shown(certificate.issuer().to_string()),
            not_after: expires,
        })
    }
}

/// Whether it neither steers a terminal nor hides: what Rust's own escapes leave as it is.
fn is_visible(c: &char) -> bool {
    c.escape_debug().len() == 1 || "'\"\\".contains(*c)
}
