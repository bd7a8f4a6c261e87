//! Where a server is.

use std::fmt;

/// Host and port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// An IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) host_of: HostOf,
}

/// Who says that a server has such a host: whose settings they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum HostOf {
    Url,
    Sentinel,
    Cluster,
}

impl Address {
    /// As the servers of a cluster write it: `host:port`, with an IPv6 address as it is, and without a host if it is the same
    /// as `asked`, the one of the server that was asked.
    pub(crate) fn parse(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        Some(match host {
            "" | "?" => Self { port, ..asked.clone() },
            host => Self { host: host.to_owned(), port, host_of: HostOf::Cluster },
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
