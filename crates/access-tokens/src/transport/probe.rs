//! How far a request gets on its way to a server: name, connection, TLS, answer, each with what it took and found. See
//! [`Transport::probe`](crate::Transport::probe).

use std::{
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Transport, in_runtime, watched};
use crate::{
    Error,
    base_url::BaseUrl,
    clock::{Moment, Skew},
    http_date,
    identity::system_time,
    text,
};

impl Transport {
    /// Asks for `base_url` once (`GET`), over exactly the connection that an exchange would use, and tells how far that came.
    /// No credentials are sent, but for those of the proxy and a client certificate that the server asks for. Any status
    /// counts as an answer.
    ///
    /// ```
    /// use access_tokens::{Obstacle, Transport};
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
    /// assert_eq!(failure.obstacle(), Some(Obstacle::Connection));
    /// assert!(failure.is_retryable());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), before anything is sent: a base URL that isn't `https`, a transport that can't be set up.
    /// What goes wrong from then on is [`Probe::failure`].
    pub async fn probe(&self, base_url: &str) -> Result<Probe, Error> {
        in_runtime()?;
        let url = BaseUrl(base_url.to_owned()).checked()?;
        let (client, route) = self.client(&url)?;
        let (begun, sent) = (Instant::now(), Moment::now());
        let (outcome, seen) = watched(client.get(url).send()).await;
        let ended = Instant::now();

        // One that is still under way has taken until now.
        let lookup = seen.lookup.as_ref().map(|lookup| Lookup {
            host: lookup.host.clone(),
            took: lookup.ended.unwrap_or(ended).duration_since(lookup.begun),
            addresses: lookup.addresses.clone(),
        });
        let looking_up = lookup.as_ref().map_or(Duration::ZERO, |lookup| lookup.took);
        let mut probe = Probe {
            host: route.host.clone(),
            proxy: route.proxy().map(str::to_owned),
            connecting: seen.connected.unwrap_or(ended).duration_since(begun).saturating_sub(looking_up),
            answering: seen.connected.map(|connected| ended.duration_since(connected)),
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
                let ahead = http_date::clock(answer.headers()).and_then(|date| Skew::between(date, sent));
                // Away from zero: what it is at least was told in whole seconds.
                let seconds = |nanos: i64| nanos.signum() * (nanos.unsigned_abs().div_ceil(1_000_000_000) as i64);
                probe.skew = ahead.map(seconds);
            }
            Err(error) => probe.failure = Some(route.failure(&seen, error)),
        }
        Ok(probe)
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
    failure: Option<Error>,
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
    /// has no `Date`, or comes from a store (`Age`).
    pub fn skew(&self) -> Option<i64> {
        self.skew
    }

    /// Why no answer came, as an exchange would report it; [`Error::obstacle`] says what stood in the way.
    pub fn failure(&self) -> Option<&Error> {
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
        let shown = |name: String| text::shown(&name, 200);
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
