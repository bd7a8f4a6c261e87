//! The way to a server, and in words what went wrong on it: the same for an exchange, its log line and any other request.

use std::{
    io,
    net::IpAddr,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::ServerName;
use url::Url;

use super::{
    lookup::{ENFILE, NoAddress, is_out_of_files},
    watch::Seen,
};
use crate::{
    Error, ErrorKind, Obstacle,
    cause::{Cause, any, find},
    text,
};

/// The way to one server.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The server, as `host:port`.
    pub(crate) host: String,
    tls: bool,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    timeout: Duration,
    has_identity: bool,
}

#[derive(Debug, Clone)]
struct Proxy {
    host: String,
    tls: bool,
}

impl Route {
    pub(super) fn new(
        url: &Url,
        proxy: Option<&Url>,
        connect_timeout: Duration,
        timeout: Duration,
        has_identity: bool,
    ) -> Self {
        let proxy = proxy.map(|proxy| Proxy { host: host_and_port(proxy), tls: proxy.scheme() == "https" });
        Self { host: host_and_port(url), tls: url.scheme() == "https", proxy, connect_timeout, timeout, has_identity }
    }

    /// Where the server asked for a client certificate, what it may make of the answer.
    pub(crate) fn about_client_certificate(&self, seen: &Seen) -> Option<&'static str> {
        // A proxy that speaks TLS may have asked instead.
        let by_server = seen.certificate_requested && self.proxy.as_ref().is_none_or(|proxy| !proxy.tls);
        by_server.then_some(if self.has_identity {
            "it asked for a client certificate, and may refuse the one that is set"
        } else {
            "it asked for a client certificate, and none is set"
        })
    }

    /// Why no answer came.
    pub(crate) fn failure(&self, seen: &Seen, error: reqwest::Error) -> Error {
        let Self { host, .. } = self;
        let unreached = |what: String| format!("{host} can't be reached: {what}");
        let failed = |kind, message| Error::new(kind, message).with_source(Cause::of(&error));
        if any(&error, is_out_of_files) {
            // Nothing stands between the two, then.
            let files = if any(&error, |e: &io::Error| e.raw_os_error() == Some(ENFILE)) {
                "this machine has no file descriptor left (ENFILE); close what holds them"
            } else {
                "this process has no file descriptor left (EMFILE); raise its limit (ulimit -n)"
            };
            return failed(ErrorKind::Unavailable, unreached(files.to_owned()));
        }
        // What is wrong with it, hyper says in words of its own.
        if let Some(hyper) = find::<hyper::Error>(&error).filter(|error| error.is_parse()) {
            let message = format!("what {host} answers isn't HTTP/1.1 that can be read: {hyper}");
            return failed(ErrorKind::Contract, message).with_obstacle(Obstacle::Answer);
        }
        let limit = if error.is_connect() { self.connect_timeout } else { self.timeout };
        let limit = Some(limit).filter(|_| error.is_timeout());
        let told = |otherwise: String, in_time: &dyn Fn(Duration) -> String| limit.map_or(otherwise, in_time);
        let no_address = find::<NoAddress>(&error).map(|error| &error.name).or(seen.without_address.as_ref());
        let connected = seen.connected || !(error.is_connect() || error.is_timeout());
        let mut kind = ErrorKind::Unavailable;
        let (obstacle, message) = if let Some(name) = no_address {
            let late = |limit| unreached(format!("no name server gave an address of {name} within {limit:?}"));
            (Obstacle::Lookup, told(unreached(format!("there is no address of {name}")), &late))
        } else if let Some(tls) = find::<rustls::Error>(&error) {
            let (obstacle, is_lasting, message) = self.tls_failure(seen, tls);
            if is_lasting {
                kind = ErrorKind::Configuration;
            }
            match &self.proxy {
                // Whose handshake it was isn't told.
                Some(Proxy { host: proxy, tls: true }) => {
                    let message = format!("TLS failed with the proxy {proxy}, or through it with {host}: {message}");
                    (Obstacle::Proxy, message)
                }
                _ => (obstacle, message),
            }
        } else if connected {
            let late = |limit| format!("{host} didn't answer within {limit:?}");
            // With TLS 1.3 its refusal comes after the handshake, and may be lost with the connection.
            let certificate = self.about_client_certificate(seen).map(|what| format!("; {what}")).unwrap_or_default();
            (Obstacle::Answer, told(format!("the connection to {host} broke before its answer{certificate}"), &late))
        } else if let Some(Proxy { host: proxy, .. }) = &self.proxy {
            let late =
                |limit| unreached(format!("no connection through the proxy {proxy} came about within {limit:?}"));
            let refused = if Cause::of(&error).to_string().contains(PROXY_REFUSES) {
                kind = ErrorKind::Configuration;
                format!("the proxy {proxy} wants a user name and password, or others than it was given")
            } else {
                format!("the proxy {proxy} opens no connection")
            };
            (Obstacle::Proxy, told(unreached(refused), &late))
        } else if self.tls && any(&error, is_broken_off) {
            (Obstacle::Tls, format!("{host} accepted the connection, and broke off the TLS handshake"))
        } else {
            let what = if self.tls { "connection with TLS" } else { "connection" };
            let late = |limit| unreached(format!("no {what} came about within {limit:?}"));
            (Obstacle::Connection, told(unreached("it accepts no connection".to_owned()), &late))
        };
        failed(kind, message).with_obstacle(obstacle)
    }

    /// What stands in the way, whether that lasts until somebody acts, and who that is.
    fn tls_failure(&self, seen: &Seen, error: &rustls::Error) -> (Obstacle, bool, String) {
        use AlertDescription as Alert;
        let Self { host, .. } = self;
        let tls = |what: &str| (Obstacle::Tls, true, format!("{host} {what}"));
        match error {
            rustls::Error::InvalidCertificate(why) => {
                let (obstacle, message) = certificate_failure(why);
                // Through a proxy it may be that one's.
                let whose = match &self.proxy {
                    Some(Proxy { tls: true, .. }) => "the certificate".to_owned(),
                    _ => format!("the certificate of {host}"),
                };
                (obstacle, true, format!("{whose} {message}"))
            }
            rustls::Error::NoCertificatesPresented => (
                Obstacle::UnusableCertificate,
                true,
                format!("{host} shows no certificate; its operator has to set one"),
            ),
            // Whoever wasn't asked for a certificate isn't refused for it.
            rustls::Error::AlertReceived(
                Alert::AccessDenied
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRequired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::DecryptError
                | Alert::HandshakeFailure
                | Alert::NoCertificate
                | Alert::UnknownCA
                | Alert::UnsupportedCertificate,
            ) if seen.certificate_requested => (Obstacle::ClientCertificate, true, self.client_certificate_failure()),
            rustls::Error::AlertReceived(Alert::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
                tls("offers no TLS that is secure; its operator has to allow TLS 1.2 or 1.3")
            }
            rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
                tls("shares no cipher with this machine; its operator has to allow others")
            }
            rustls::Error::AlertReceived(Alert::UnrecognisedName) => {
                tls("knows no host of that name; check the host of the base URL")
            }
            rustls::Error::AlertReceived(Alert::NoApplicationProtocol) => {
                tls("doesn't speak HTTP/1.1; check the host and port of the base URL")
            }
            rustls::Error::InvalidMessage(_) => tls("doesn't speak TLS; check the host and port of the base URL"),
            _ => (Obstacle::Tls, false, format!("TLS with {host} failed")),
        }
    }

    fn client_certificate_failure(&self) -> String {
        let Self { host, .. } = self;
        if self.has_identity {
            format!("{host} refuses the client certificate; have it registered there, or set the one that is")
        } else {
            format!("{host} asks for a client certificate, and none is set; set one that is registered there")
        }
    }
}

/// So the HTTP client puts a 407 of a proxy, of which it gives nothing but the words.
const PROXY_REFUSES: &str = "proxy authorization required";

/// What is wrong with a server's certificate, in words that follow its name.
fn certificate_failure(error: &CertificateError) -> (Obstacle, String) {
    use CertificateError as Refused;
    let renew = "its operator has to renew it, unless this machine's clock is ahead";
    let wait = "it can't be used before, unless this machine's clock is behind";
    let unusable = |what: &str| (Obstacle::UnusableCertificate, what.to_owned());
    match error {
        // The latter where another has the same name as one that is trusted.
        Refused::UnknownIssuer | Refused::BadSignature => {
            let message = "is issued by nobody whom this machine trusts; add the root certificate of its issuer, or have the \
                           server send the intermediate certificates";
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
        Refused::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().filter_map(|name| name_of(name)).take(5).collect();
            let (form, server) = match expected {
                ServerName::IpAddress(address) => ("IP", IpAddr::from(*address).to_string()),
                name => ("DNS", name.to_str().into_owned()),
            };
            let message = if names.is_empty() {
                format!(
                    "names no host; have it issued again with subjectAltName={form}:{server}, since a common name doesn't count"
                )
            } else {
                format!("is for {} and not for {server}; check the host of the base URL", names.join(", "))
            };
            (Obstacle::WrongName, message)
        }
        Refused::NotValidForName => {
            (Obstacle::WrongName, "isn't for this host; check the host of the base URL".to_owned())
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

/// A name in a certificate, which is told as in `DnsName("localhost")`, or `IpAddress(127.0.0.1)`.
fn name_of(told: &str) -> Option<String> {
    let name = told.split('"').nth(1).or_else(|| told.strip_prefix("IpAddress(")?.strip_suffix(')'))?;
    Some(text::shown(name, 100))
}

const NOT_FOR_SERVERS: &str =
    "has extensions that aren't a server's; have it issued again with extendedKeyUsage=serverAuth";

/// Whether the other side ended a connection that was there.
fn is_broken_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A time in seconds since 1970 as people read it.
fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
