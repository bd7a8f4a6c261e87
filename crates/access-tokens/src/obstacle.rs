//! What can keep an answer from coming.

/// What can stand between this machine and an answer, in the order in which it is met; see
/// [`Error::obstacle`](crate::Error::obstacle).
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
