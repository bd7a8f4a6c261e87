//! Which proxy a request takes: that of the setting, or else that of the environment.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::{Error, Setting, setting::CUT_OFF};

/// The proxy on the way to `url`, that of the setting or else of the environment. One that can't be used is an error: going past
/// it would be a surprise.
pub(super) fn to(url: &Url, setting: Option<&str>) -> Result<Option<Url>, Error> {
    if url.scheme() == "http" {
        // Only this machine is reached so.
        return Ok(None);
    }
    if let Some(proxy) = setting {
        return checked(proxy, "").map(Some);
    }
    let variable = |names: &[&'static str]| {
        // What isn't UTF-8 must not count as unset: it is refused like any other that is no URL.
        let value = |name| Some(env::var_os(name)?.to_string_lossy().into_owned());
        names.iter().find_map(|name| Some((*name, value(name).filter(|value| !value.is_empty())?)))
    };
    let Some((name, proxy)) = variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) else {
        return Ok(None);
    };
    if variable(&["NO_PROXY", "no_proxy"]).is_some_and(|(_, list)| is_excluded(url, &list)) {
        return Ok(None);
    }
    // As other programs take it, without a scheme.
    let is_address =
        !proxy.contains("//") && proxy.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let proxy = if is_address { format!("http://{proxy}") } else { proxy };
    checked(&proxy, &format!(" in {name}")).map(Some)
}

/// The URL of a proxy, which comes from `place`. Nothing of one that is refused is shown: what looks like its host may be a part of its password.
pub(super) fn checked(text: &str, place: &str) -> Result<Url, Error> {
    let refused = |what| Err(Setting::Proxy.error_in(place, what));
    Setting::Proxy.check_in(text, place)?;
    match Url::parse(text) {
        Ok(url) if !["http", "https"].contains(&url.scheme()) || !url.has_host() => {
            refused("must be an http:// or https:// URL")
        }
        Ok(url) if ["", "/"].contains(&url.path()) && url.query().is_none() && url.fragment().is_none() => Ok(url),
        _ => refused(CUT_OFF),
    }
}

/// Whether `NO_PROXY` has the host: by its name or a domain that it is in, by its address or network, with or without a port,
/// or by `*`.
fn is_excluded(url: &Url, list: &str) -> bool {
    let port = url.port_or_known_default();
    let entries = list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    let mut hosts = Vec::new();
    for entry in entries {
        if entry == "*" {
            return true;
        }
        // A colon is in an IPv6 address too, which has its port behind brackets.
        let (host, of_port) = match entry.rsplit_once(':') {
            Some((host, digits)) if !host.contains(':') || host.ends_with(']') => (host, digits.parse::<u16>().ok()),
            _ => (entry, port),
        };
        if of_port == port {
            hosts.push(host.trim_start_matches('[').trim_end_matches(']'));
        }
    }
    let matcher = Matcher::builder().all("http://proxy").no(hosts.join(",")).build();
    url.as_str().parse().is_ok_and(|uri| matcher.intercept(&uri).is_none())
}
