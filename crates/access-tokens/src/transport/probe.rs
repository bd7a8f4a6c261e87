//! How far a request gets on its way to a server: name, connection, TLS, answer, each with what it took and found. See
//! [`Transport::probe`](crate::Transport::probe).

use std::{
    error::Error as StdError,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{AlertDescription, CertificateError};
use tower::util::MapResponseLayer;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{BaseUrl, Transport, in_runtime};
use crate::{
    Error, ErrorKind, answer,
    clock::{Moment, Skew},
    identity::system_time,
};

impl Transport {
    /// Asks for `base_url` once (`GET`), over exactly the connection that an exchange would use, and tells how far that came.
    /// No credentials are sent, but for those of the proxy and a client certificate that the server asks for. Any status
    /// counts as an answer.
    ///
    /// ```
    /// use access_tokens::{Transport, probe::Obstacle};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
    /// # let base_url = sandbox.onence_base_url();
    /// let probe = Transport::new().probe(&base_url).await?;
    /// assert_eq!(probe.status(), Some(404));
    /// assert_eq!(probe.skew(), Some(0));
    ///
    /// let probe = Transport::new().probe("http://127.0.0.1:1").await?; // where nobody listens
    /// let failure = probe.failure().ok_or("that it can't be reached")?;
    /// assert_eq!(failure.obstacle(), Obstacle::Connection);
    /// assert!(failure.error().is_retryable());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], before anything is sent: a base URL that isn't `https`, a transport that can't be set up.
    /// What goes wrong from then on is [`Probe::failure`].
    pub async fn probe(&self, base_url: &str) -> Result<Probe, Error> {
        in_runtime()?;
        let url = BaseUrl(base_url.to_owned()).checked()?;
        let proxy = self.proxy_to(&url)?;
        let tls_to_proxy = proxy.as_ref().is_some_and(|proxy| proxy.scheme() == "https");
        let watch = Watch::default();
        let connected = watch.connected.clone();
        let client = self.client_with(&url, |builder| {
            builder.tls_info(true).dns_resolver(watch.clone()).connector_layer(MapResponseLayer::new(
                move |connection| {
                    _ = connected.set(Instant::now());
                    connection
                },
            ))
        })?;
        let (begun, sent) = (Instant::now(), Moment::now());
        let outcome = client.get(url.clone()).send().await;
        let ended = Instant::now();

        let lookup = watch.lookup(ended);
        let connected = watch.connected.get().copied();
        let looking_up = lookup.as_ref().map_or(Duration::ZERO, |lookup| lookup.took);
        let mut probe = Probe {
            host: host_and_port(&url),
            proxy: proxy.as_ref().map(host_and_port),
            connecting: connected.unwrap_or(ended).duration_since(begun).saturating_sub(looking_up),
            answering: connected.map(|connected| ended.duration_since(connected)),
            lookup,
            certificate: None,
            status: None,
            skew: None,
            failure: None,
        };
        match outcome {
            Ok(answer) => {
                let tls = answer.extensions().get::<reqwest::tls::TlsInfo>();
                probe.certificate = tls.and_then(|tls| ServerCertificate::parse(tls.peer_certificate()?));
                probe.status = Some(answer.status().as_u16());
                let ahead = answer::date(answer.headers()).and_then(|date| Skew::between(date, sent));
                // Away from zero: what it is at least was told in whole seconds.
                let seconds = |nanos: i64| nanos.signum() * (nanos.unsigned_abs().div_ceil(1_000_000_000) as i64);
                probe.skew = ahead.map(seconds);
            }
            Err(error) => probe.failure = Some(self.failure(&probe, connected.is_some(), tls_to_proxy, &url, error)),
        }
        Ok(probe)
    }

    fn failure(&self, probe: &Probe, connected: bool, tls_to_proxy: bool, url: &Url, error: reqwest::Error) -> Failure {
        let server = url.host_str().unwrap_or_default();
        let limit = if error.is_connect() { self.connect_timeout } else { self.timeout };
        let limit = Some(limit).filter(|_| error.is_timeout());
        let told = |otherwise: String, in_time: &dyn Fn(Duration) -> String| limit.map_or(otherwise, in_time);
        let nowhere = probe.lookup.as_ref().filter(|lookup| lookup.addresses.is_empty());
        let (obstacle, message) = if let (Some(proxy), Some(_)) =
            (&probe.proxy, tls_error(&error).filter(|_| tls_to_proxy))
        {
            // Whose handshake it was isn't told.
            (Obstacle::Proxy, format!("TLS failed with the proxy {proxy}, or through it with {server}"))
        } else if let Some(tls) = tls_error(&error) {
            self.tls_failure(tls, server)
        } else if let Some(Lookup { host, .. }) = nowhere {
            let late = |limit| format!("no name server gave an address of {host} within {limit:?}");
            (Obstacle::Lookup, told(format!("there is no address of {host}"), &late))
        } else if connected {
            let late = |limit| format!("{server} accepted the connection, but didn't answer within {limit:?}");
            // With TLS 1.3 its refusal comes after the handshake, and may be lost with the connection.
            let certificate = match url.scheme() {
                "https" => "; a server that wants another client certificate does that, too",
                _ => "",
            };
            (Obstacle::Answer, told(format!("the connection to {server} broke before its answer{certificate}"), &late))
        } else if let Some(proxy) = &probe.proxy {
            let late = |limit| format!("the proxy {proxy} gave no connection to {server} within {limit:?}");
            (Obstacle::Proxy, told(format!("the proxy {proxy} gives no connection to {server}"), &late))
        } else if url.scheme() == "https" && is_broken_off(&error) {
            (Obstacle::Tls, format!("{} accepted the connection, and broke off the TLS handshake", probe.host))
        } else {
            let what = if url.scheme() == "https" { "connection with TLS" } else { "connection" };
            let late = |limit| format!("no {what} to {} came about within {limit:?}", probe.host);
            (Obstacle::Connection, told(format!("{} accepts no connection", probe.host), &late))
        };
        let error = Error::new(ErrorKind::Unavailable, message).with_source(error.without_url());
        Failure { obstacle, error }
    }

    fn tls_failure(&self, error: &rustls::Error, server: &str) -> (Obstacle, String) {
        use CertificateError as Refused;
        let ended = "the certificate of the server ended";
        let early = "the certificate of the server isn't valid yet";
        match error {
            rustls::Error::InvalidCertificate(why) => match why {
                Refused::UnknownIssuer => (
                    Obstacle::UnknownIssuer,
                    format!("the certificate of {server} is issued by nobody whom this machine trusts"),
                ),
                Refused::Expired => (Obstacle::CertificateEnded, ended.to_owned()),
                Refused::ExpiredContext { not_after, .. } => {
                    (Obstacle::CertificateEnded, format!("{ended} on {}", date(not_after.as_secs())))
                }
                Refused::NotValidYet => (Obstacle::CertificateNotYetValid, early.to_owned()),
                Refused::NotValidYetContext { not_before, .. } => {
                    (Obstacle::CertificateNotYetValid, format!("{early}, but from {} on", date(not_before.as_secs())))
                }
                Refused::NotValidForName => {
                    (Obstacle::WrongName, format!("the certificate of the server isn't for {server}"))
                }
                Refused::NotValidForNameContext { presented, .. } => {
                    // As in `DnsName("localhost")`.
                    let name = |text: &String| text.split('"').nth(1).unwrap_or(text).to_owned();
                    let names: Vec<_> = presented.iter().take(5).map(name).collect();
                    let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
                    (Obstacle::WrongName, format!("the certificate of the server is for {names} and not for {server}"))
                }
                _ => (Obstacle::Tls, format!("the certificate of {server} can't be accepted")),
            },
            rustls::Error::AlertReceived(
                AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::NoCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate,
            ) => {
                let message = if self.identity.is_some() {
                    format!("{server} refuses the client certificate")
                } else {
                    format!("{server} asks for a client certificate, and none is set")
                };
                (Obstacle::ClientCertificate, message)
            }
            _ => (Obstacle::Tls, format!("TLS with {server} failed")),
        }
    }
}

/// How far a request came; from [`Transport::probe`].
#[derive(Debug, Clone)]
pub struct Probe {
    host: String,
    proxy: Option<String>,
    lookup: Option<Lookup>,
    connecting: Duration,
    answering: Option<Duration>,
    certificate: Option<ServerCertificate>,
    status: Option<u16>,
    skew: Option<i64>,
    failure: Option<Failure>,
}

impl Probe {
    /// The server, as `host:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy on the way, as `host:port`: that of the transport or of the environment.
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// What the name servers said of the proxy or, without one, of the server. None where an address stands in place of the
    /// name, for `http://localhost`, and where the feature `reqwest` set a resolver of yours.
    pub fn lookup(&self) -> Option<&Lookup> {
        self.lookup.as_ref()
    }

    /// How long it took from the name lookup until there was a connection, TLS included, or none.
    pub fn connecting(&self) -> Duration {
        self.connecting
    }

    /// How long it took from there until an answer came, or none. None without a connection.
    pub fn answering(&self) -> Option<Duration> {
        self.answering
    }

    /// The server's certificate, which was verified. None for `http`, and where a proxy is on the way.
    pub fn certificate(&self) -> Option<&ServerCertificate> {
        self.certificate.as_ref()
    }

    /// The HTTP status of the answer, whatever it is.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// By how many seconds the server's clock is ahead of this machine's; negative where it is behind. None where the answer
    /// has no `Date`.
    pub fn skew(&self) -> Option<i64> {
        self.skew
    }

    /// Why no answer came.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

/// A name that was looked up.
#[derive(Debug, Clone)]
pub struct Lookup {
    host: String,
    took: Duration,
    addresses: Vec<IpAddr>,
}

impl Lookup {
    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How long it took, also if nothing was found.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// What was found.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}

/// What a server's certificate says.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    subject: String,
    issuer: String,
    not_after: SystemTime,
}

impl ServerCertificate {
    fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        // It is verified, but by whoever is trusted; and it is to be shown on a terminal.
        let shown = |name: String| name.chars().filter(|c| !c.is_control()).take(200).collect();
        Some(Self {
            subject: shown(certificate.subject().to_string()),
            issuer: shown(certificate.issuer().to_string()),
            not_after: system_time(certificate.validity().not_after),
        })
    }

    /// Whom it names, as in `CN=auth.example`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who issued it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// Why a [`Probe`] got no answer.
#[derive(Debug, Clone)]
pub struct Failure {
    obstacle: Obstacle,
    error: Error,
}

impl Failure {
    /// What stood in the way.
    pub fn obstacle(&self) -> Obstacle {
        self.obstacle
    }

    /// The same in words, of the kind that an exchange would give: [`ErrorKind::Unavailable`].
    pub fn error(&self) -> &Error {
        &self.error
    }
}

/// What can stand between this machine and an answer, in the order in which it is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// The name of the server, or of the proxy, has no address.
    Lookup,
    /// Nobody accepts a connection.
    Connection,
    /// The proxy isn't there, or opens no tunnel.
    Proxy,
    /// The server's certificate leads to no root that is trusted.
    UnknownIssuer,
    /// The server's certificate has ended, or this machine's clock is ahead.
    CertificateEnded,
    /// The server's certificate isn't valid yet, or this machine's clock is behind.
    CertificateNotYetValid,
    /// The server's certificate is for another name.
    WrongName,
    /// The server refuses the client certificate, or there is none.
    ClientCertificate,
    /// TLS failed in another way.
    Tls,
    /// There is a connection, and no answer over it.
    Answer,
}

/// Sees what a request does on its way.
#[derive(Clone, Default)]
struct Watch {
    looking_up: Arc<Mutex<Option<LookingUp>>>,
    connected: Arc<OnceLock<Instant>>,
}

struct LookingUp {
    host: String,
    begun: Instant,
    ended: Option<Instant>,
    addresses: Vec<IpAddr>,
}

impl Watch {
    /// The lookup, if there was one; one that is still under way has taken until `now`.
    fn lookup(&self, now: Instant) -> Option<Lookup> {
        self.looking_up.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|lookup| Lookup {
            host: lookup.host.clone(),
            took: lookup.ended.unwrap_or(now).duration_since(lookup.begun),
            addresses: lookup.addresses.clone(),
        })
    }

    fn set(&self, lookup: LookingUp) {
        *self.looking_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(lookup);
    }
}

impl Resolve for Watch {
    /// By the system, as the HTTP client does it without us.
    fn resolve(&self, name: Name) -> Resolving {
        let (watch, host, begun) = (self.clone(), name.as_str().to_owned(), Instant::now());
        Box::pin(async move {
            watch.set(LookingUp { host: host.clone(), begun, ended: None, addresses: Vec::new() });
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            let addresses = found.iter().flatten().map(|address| address.ip()).collect();
            watch.set(LookingUp { host, begun, ended: Some(Instant::now()), addresses });
            Ok(Box::new(found?.into_iter()) as Addrs)
        })
    }
}

/// Whether the other side ended a connection that was there.
fn is_broken_off(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let broken_off = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
    error.downcast_ref::<io::Error>().is_some_and(|error| broken_off.contains(&error.kind()))
        || cause(error).is_some_and(is_broken_off)
}

fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref().or_else(|| tls_error(cause(error)?))
}

/// What lies within an error. Errors of TLS lie within those of input and output, one in another, whose `source` leaves them out.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A time in seconds since 1970 as people read it.
fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
