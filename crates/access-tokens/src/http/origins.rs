//! The only places that a token may go to.

use std::{fmt, sync::Arc};

use url::Url;

use crate::{Error, base_url};

/// The origins (RFC 6454: scheme, host and port) that a token may be sent to. A token that goes elsewhere is in the hands of
/// whoever is there, so at least one must be named, and none is by default.
///
/// ```
/// use access_tokens::http::Origins;
///
/// let origins = Origins::new(["https://api.1nce.com", "https://api.example:8443"])?;
/// let error = Origins::new(["https://api.1nce.com/management-api"]).unwrap_err();
/// assert_eq!(error.to_string(), "origin 1 must not have a path, query or fragment: a token is for all of an origin");
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct Origins(Arc<[Origin]>);

#[derive(PartialEq, Eq)]
pub(super) struct Origin {
    scheme: Box<str>,
    host: Box<str>,
    port: u16,
}

impl Origins {
    /// Each as `https://host` or `https://host:port`. `http` is for loopback addresses and `localhost` alone; that it goes past
    /// every proxy is for the client to see to.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), which says what is wrong with which, counted from 1.
    pub fn new(origins: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, Error> {
        let parse = |(index, text): (usize, _)| {
            Origin::parse(AsRef::<str>::as_ref(&text))
                .map_err(|what| Error::configuration(format!("origin {} {what}", index + 1)))
        };
        let origins: Arc<[_]> = origins.into_iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        if origins.is_empty() {
            return Err(Error::configuration("a token needs at least one origin that it may be sent to"));
        }
        Ok(Self(origins))
    }

    /// The one of `target`, if a token may go there.
    pub(super) fn find(&self, target: Target<'_>) -> Option<&Origin> {
        self.0.iter().find(|origin| origin.is_of(target))
    }
}

/// What a request's URL says about where it goes. As text, in whatever case, so that nothing is allocated for a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
}

impl<'a> Target<'a> {
    pub(super) fn of(url: &'a Url) -> Option<Self> {
        Some(Self { scheme: url.scheme(), host: url.host_str()?, port: url.port() })
    }
}

impl Origin {
    /// The error tells nothing of the text, which may hold a password.
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|e| format!("isn't one, as https://api.example is: {e}"))?;
        let Some(Target { scheme, host, port }) = Target::of(&url).filter(|_| base_url::is_confidential(&url)) else {
            let why = "http is for loopback addresses and localhost alone, since it would send the token in clear";
            return Err(format!("must be https; {why}"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user name or password".to_owned());
        }
        // To a URL no path and a slash are the same.
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("must not have a path, query or fragment: a token is for all of an origin".to_owned());
        }
        if host.contains('*') {
            return Err("must name its host: a wildcard would match none".to_owned());
        }
        Ok(Self { scheme: scheme.into(), host: host.into(), port: port.unwrap_or(default_port(scheme)) })
    }

    fn is_of(&self, target: Target<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(target.scheme)
            && self.host.eq_ignore_ascii_case(target.host)
            && self.port == target.port.unwrap_or(default_port(&self.scheme))
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "http" { 80 } else { 443 }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter()).finish()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}
