//! The base URL: checked before credentials are sent there.

use std::{fmt, net::Ipv4Addr};

use url::{Host, Url};

use crate::{Error, Setting};

/// A base URL as it was given. Until it is checked it may hold a password, so it isn't shown.
#[derive(Clone)]
pub(crate) struct BaseUrl(pub(crate) String);

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.checked() {
            Ok(url) => write!(f, "{:?}", url.as_str()),
            Err(_) => f.write_str("[refused]"),
        }
    }
}

impl BaseUrl {
    /// Checks it; returns it without a slash at its end.
    pub(crate) fn checked(&self) -> Result<Url, Error> {
        let refused = |what: &str| Err(Setting::BaseUrl.error(what));
        Setting::BaseUrl.check(&self.0)?;
        let Ok(mut url) = Url::parse(&self.0) else { return refused("isn't a URL") };
        if self.0.contains('@') {
            return refused("must not hold a user name or password (@); give them as credentials");
        }
        if !["https://", "http://"].iter().any(|scheme| self.0.starts_with(scheme)) {
            return refused("must be https, written as https://host/path in lower case");
        }
        if !is_confidential(&url) || !is_plain(&self.0) {
            return refused(
                "must be https; http is for localhost, 127.0.0.1 and [::1] alone, since it would send the credentials in clear",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refused("must not hold a query or fragment");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if let Some((base, end)) = before_token_endpoint(&path) {
            let (base, end) = (base.to_owned(), end.to_owned());
            url.set_path(&base);
            return refused(&format!("must not hold {end}, which is added to it; write {}", without_slash(&url)));
        }
        url.set_path(&path);
        Ok(url)
    }
}

/// What people copy from a provider's documentation: the URL of the token endpoint, or a part of it. Split where a base URL
/// ends.
fn before_token_endpoint(path: &str) -> Option<(&str, &str)> {
    let starts = path.match_indices('/').map(|(at, _)| path.split_at(at));
    let mut starts = starts.map(|(base, end)| (base.trim_end_matches('/'), end));
    starts.find(|(_, end)| {
        let end = end.to_ascii_lowercase().replace("%2f", "/");
        let segments: Vec<_> = end.split('/').filter(|segment| !segment.is_empty()).collect();
        matches!(
            *segments.as_slice(),
            ["oauth"]
                | ["oauth", "token"]
                | ["protocol", "openid-connect", "token"]
                | ["realms"]
                | ["realms", _]
                | ["realms", _, "protocol" | ".well-known", ..]
        )
    })
}

/// Whether nobody on the way can read what is sent there: `https`, or `http` within this machine.
pub(crate) fn is_confidential(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    };
    url.scheme() == "https" && url.has_host() || url.scheme() == "http" && local
}

/// Whether it is written as it is used: the parser repairs a scheme in capitals, missing slashes and addresses in odd forms,
/// and whoever reads the setting would see something else.
fn is_plain(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("https://") {
        return !rest.starts_with('/');
    }
    let Some(rest) = text.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => host,
    };
    ["localhost", "[::1]"].contains(&host) || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// The URL as the generated clients want it: they put a path behind it that begins with a slash.
pub(crate) fn without_slash(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
