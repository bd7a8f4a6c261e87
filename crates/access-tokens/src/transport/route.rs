//! The way to a server, and in words what went wrong on it: the same for an exchange, its log line and a probe.

use std::{
    error::Error as StdError,
    fmt, io,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{AlertDescription, CertificateError};
use url::Url;

use super::{Transport, tls::CertificateRequested};
use crate::{
    Error, ErrorKind,
    cause::{Cause, any, find},
    text,
};

/// What can stand between this machine and an answer, in the order in which it is met; see [`Error::obstacle`].
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
    /// The server's certificate was revoked, or has to be issued again in another form.
    UnusableCertificate,
    /// The server refuses the client certificate, or there is none.
    ClientCertificate,
    /// TLS failed in another way.
    Tls,
    /// There is a connection, and no answer over it.
    Answer,
}

/// The way to one server.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The server, as `host:port`.
    pub(crate) host: String,
    /// The same without the port.
    server: String,
    tls: bool,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    timeout: Duration,
    has_identity: bool,
    requested: CertificateRequested,
}

#[derive(Debug, Clone)]
struct Proxy {
    host: String,
    tls: bool,
}

/// How far a request came before it failed, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connected: bool,
    /// The name that has no address yet.
    pub(super) looking_up: Option<String>,
}

impl Route {
    pub(super) fn new(url: &Url, proxy: Option<&Url>, transport: &Transport, requested: CertificateRequested) -> Self {
        Self {
            host: host_and_port(url),
            server: url.host_str().unwrap_or_default().to_owned(),
            tls: url.scheme() == "https",
            proxy: proxy.map(|proxy| Proxy { host: host_and_port(proxy), tls: proxy.scheme() == "https" }),
            connect_timeout: transport.connect_timeout,
            timeout: transport.timeout,
            has_identity: transport.identity.is_some(),
            requested,
        }
    }

    /// The proxy on the way, as `host:port`.
    #[cfg(feature = "probe")]
    pub(super) fn proxy(&self) -> Option<&str> {
        self.proxy.as_ref().map(|proxy| &*proxy.host)
    }

    /// Whether the server asked for a client certificate in a handshake, and for want of one, or of another, may refuse what
    /// is sent.
    pub(crate) fn certificate_requested(&self) -> Option<CertificateIs> {
        let is = if self.has_identity { CertificateIs::Set } else { CertificateIs::Missing };
        Some(is).filter(|_| self.requested.get())
    }

    /// Why no answer came.
    pub(crate) fn failure(&self, error: reqwest::Error) -> Error {
        let connected = !error.is_connect();
        self.failure_after(Seen { connected, looking_up: None }, error)
    }

    /// The same for who saw how far it came.
    pub(super) fn failure_after(&self, seen: Seen, error: reqwest::Error) -> Error {
        let Self { host, .. } = self;
        let limit = if error.is_connect() { self.connect_timeout } else { self.timeout };
        let limit = Some(limit).filter(|_| error.is_timeout());
        let told = |otherwise: String, in_time: &dyn Fn(Duration) -> String| limit.map_or(otherwise, in_time);
        let no_address = find::<NoAddress>(&error).map(|error| error.name.clone()).or(seen.looking_up);
        if any(&error, is_out_of_files) {
            // Nothing stands between the two, then.
            let what = "this process has no file descriptor left (EMFILE); raise its limit (ulimit -n)";
            let message = format!("{host} can't be reached: {what}");
            return Error::new(ErrorKind::Unavailable, message).with_source(Cause::of(&error));
        }
        let mut kind = ErrorKind::Unavailable;
        let (obstacle, message) = if let Some(name) = no_address {
            let late =
                |limit| format!("{host} can't be reached: no name server gave an address of {name} within {limit:?}");
            (Obstacle::Lookup, told(format!("{host} can't be reached: there is no address of {name}"), &late))
        } else if let Some(tls) = find::<rustls::Error>(&error) {
            let (obstacle, is_lasting, message) = self.tls_failure(tls);
            if is_lasting {
                kind = ErrorKind::Configuration;
            }
            match &self.proxy {
                // Whose handshake it was isn't told.
                Some(Proxy { host: proxy, tls: true }) => {
                    (Obstacle::Proxy, format!("TLS failed with the proxy {proxy}, or through it with {host}"))
                }
                _ => (obstacle, message),
            }
        } else if seen.connected {
            let late = |limit| format!("{host} didn't answer within {limit:?}");
            // With TLS 1.3 its refusal comes after the handshake, and may be lost with the connection.
            let certificate = match self.certificate_requested() {
                Some(CertificateIs::Missing) => "; it asked for a client certificate, and none is set",
                Some(CertificateIs::Set) => "; it asked for a client certificate, and may refuse the one that is set",
                None => "",
            };
            (Obstacle::Answer, told(format!("the connection to {host} broke before its answer{certificate}"), &late))
        } else if let Some(Proxy { host: proxy, .. }) = &self.proxy {
            let late =
                |limit| format!("{host} can't be reached: the proxy {proxy} opened no connection within {limit:?}");
            (Obstacle::Proxy, told(format!("{host} can't be reached: the proxy {proxy} opens no connection"), &late))
        } else if self.tls && any(&error, is_broken_off) {
            (Obstacle::Tls, format!("{host} accepted the connection, and broke off the TLS handshake"))
        } else {
            let what = if self.tls { "connection with TLS" } else { "connection" };
            let late = |limit| format!("{host} can't be reached: no {what} came about within {limit:?}");
            (Obstacle::Connection, told(format!("{host} can't be reached: it accepts no connection"), &late))
        };
        Error::new(kind, message).with_obstacle(obstacle).with_source(Cause::of(&error))
    }

    /// What stands in the way, whether that lasts until somebody acts, and who that is.
    fn tls_failure(&self, error: &rustls::Error) -> (Obstacle, bool, String) {
        use AlertDescription as Alert;
        let Self { host, .. } = self;
        match error {
            rustls::Error::InvalidCertificate(why) => {
                let (obstacle, message) = self.certificate_failure(why);
                (obstacle, true, format!("the certificate of {host} {message}"))
            }
            rustls::Error::AlertReceived(
                Alert::AccessDenied
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRequired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::NoCertificate
                | Alert::UnknownCA
                | Alert::UnsupportedCertificate,
            ) => (Obstacle::ClientCertificate, true, self.client_certificate_failure()),
            // What some servers say of a client certificate, too.
            rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::DecryptError) if self.requested.get() => {
                (Obstacle::ClientCertificate, true, self.client_certificate_failure())
            }
            rustls::Error::AlertReceived(Alert::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
                let message = format!("{host} offers no TLS that is secure; its operator has to allow TLS 1.2 or 1.3");
                (Obstacle::Tls, true, message)
            }
            rustls::Error::AlertReceived(Alert::HandshakeFailure) => {
                let message =
                    format!("{host} shares no cipher with this machine; its operator has to allow newer ones");
                (Obstacle::Tls, true, message)
            }
            rustls::Error::InvalidMessage(_) => {
                (Obstacle::Tls, true, format!("{host} doesn't speak TLS; check the host and port of the base URL"))
            }
            _ => (Obstacle::Tls, false, format!("TLS with {host} failed")),
        }
    }

    pub(crate) fn client_certificate_failure(&self) -> String {
        let Self { host, .. } = self;
        if self.has_identity {
            format!("{host} refuses the client certificate; have it registered there, or set the one that is")
        } else {
            format!("{host} asks for a client certificate, and none is set; set one that is registered there")
        }
    }

    /// What is wrong with the server's certificate, in words that follow its name.
    fn certificate_failure(&self, error: &CertificateError) -> (Obstacle, String) {
        use CertificateError as Refused;
        let Self { server, .. } = self;
        let renew = "its operator has to renew it, unless this machine's clock is ahead";
        let wait = "it can't be used before, unless this machine's clock is behind";
        let unusable = |what: &str| (Obstacle::UnusableCertificate, what.to_owned());
        match error {
            // The latter where another has the same name as one that is trusted.
            Refused::UnknownIssuer | Refused::BadSignature => {
                let message = "is issued by nobody whom this machine trusts; add the root certificate of its issuer, or have \
                               the server send the intermediate certificates";
                (Obstacle::UnknownIssuer, message.to_owned())
            }
            Refused::Expired => (Obstacle::CertificateEnded, format!("has ended; {renew}")),
            Refused::ExpiredContext { not_after, .. } => {
                (Obstacle::CertificateEnded, format!("ended on {}; {renew}", date(not_after.as_secs())))
            }
            Refused::NotValidYet => (Obstacle::CertificateNotYetValid, format!("isn't valid yet; {wait}")),
            Refused::NotValidYetContext { not_before, .. } => (
                Obstacle::CertificateNotYetValid,
                format!("isn't valid yet, but from {} on; {wait}", date(not_before.as_secs())),
            ),
            Refused::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                let kind = if server.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
                let message = format!(
                    "names no host; have it issued again with subjectAltName={kind}:{server}, since a common name doesn't count"
                );
                (Obstacle::WrongName, message)
            }
            Refused::NotValidForNameContext { presented, .. } => {
                // As in `DnsName("localhost")`.
                let name = |text: &String| text::shown(text.split('"').nth(1).unwrap_or(text), 100);
                let names: Vec<_> = presented.iter().take(5).map(name).collect();
                let names = names.join(", ");
                (Obstacle::WrongName, format!("is for {names} and not for {server}; check the host of the base URL"))
            }
            Refused::NotValidForName => {
                (Obstacle::WrongName, format!("isn't for {server}; check the host of the base URL"))
            }
            Refused::Revoked => unusable("was revoked; its operator has to replace it"),
            Refused::InvalidPurpose | Refused::InvalidPurposeContext { .. } => unusable(NOT_FOR_SERVERS),
            #[allow(deprecated, reason = "older verifiers still give it")]
            Refused::UnsupportedSignatureAlgorithm
            | Refused::UnsupportedSignatureAlgorithmContext { .. }
            | Refused::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                unusable("is signed in a way that isn't secure any more; have it issued again, signed with SHA-256")
            }
            Refused::Other(other) => match other.0.downcast_ref() {
                Some(webpki::Error::CaUsedAsEndEntity) => {
                    unusable("is one of an authority; have it issued again with basicConstraints=CA:FALSE")
                }
                Some(webpki::Error::UnsupportedCertVersion) => {
                    unusable("is of an old version; have it issued again as X.509 version 3")
                }
                Some(_) => unusable("can't be accepted; have it issued again"),
                // So the verifier of the system's roots puts it.
                None => unusable(NOT_FOR_SERVERS),
            },
            _ => unusable("can't be accepted; have it issued again"),
        }
    }
}

const NOT_FOR_SERVERS: &str =
    "has extensions that aren't a server's; have it issued again with extendedKeyUsage=serverAuth";

/// Which client certificate there is for a server that asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateIs {
    Missing,
    Set,
}

/// A name that no name server knows an address of.
#[derive(Debug)]
pub(super) struct NoAddress {
    pub(super) name: String,
    pub(super) source: io::Error,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no address of {}", self.name)
    }
}

impl StdError for NoAddress {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// Whether the other side ended a connection that was there.
fn is_broken_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

/// Of this process or of the whole machine, by the numbers that all Unix systems have for it.
fn is_out_of_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A time in seconds since 1970 as people read it.
fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
