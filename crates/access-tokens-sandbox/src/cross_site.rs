//! Keeps web pages out of the control endpoint: a browser sends their requests to any server on this machine without asking.
//!
//! Three headers tell: `Host` (a name that an attacker owns may resolve to this machine: DNS rebinding), `Origin` and
//! `Sec-Fetch-Site` (the page), and `Content-Type` (without asking the server first, a page can't send JSON as such).

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::request;
use crate::server::LocalAddress;

/// The names and addresses that a request may be for.
pub(crate) struct AllowedHosts {
    /// The address that the server was told to listen on.
    pub(crate) listen: IpAddr,
    /// Further ones.
    pub(crate) hosts: Vec<Host>,
}

impl AllowedHosts {
    fn contains(&self, host: &Host, local_address: LocalAddress) -> bool {
        match host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost") || self.hosts.contains(host),
            Host::Address(address) => {
                address.is_loopback()
                    || [self.listen.to_canonical(), local_address.0].contains(address)
                    || self.hosts.contains(host)
            }
        }
    }
}

/// A host without its port.
#[derive(PartialEq)]
pub(crate) enum Host {
    /// In lower case, without a dot at its end.
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// None for what isn't a name or an address.
    pub(crate) fn parse(host: &str) -> Option<Host> {
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = address.parse::<IpAddr>() {
            return Some(Host::Address(address.to_canonical()));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        is_name.then(|| Host::Name(name.to_ascii_lowercase()))
    }
}

/// The middleware around the control endpoint.
pub(crate) async fn refuse(
    State(state): State<Arc<crate::State>>,
    Extension(local_address): Extension<LocalAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let authority = authority(&request)?;
    check_host(&authority, &state.allowed_hosts, local_address)?;
    check_site(request.headers(), &authority)?;
    // Read here, because only the end of a body tells whether there is one.
    let (parts, body) = request.into_parts();
    let body = request::body(Request::new(body)).await.map_err(Problem::Body)?;
    if !body.is_empty() && !request::is_content_type(&parts.headers, "application/json") {
        return Err(Problem::ContentType);
    }
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

/// What the request is for: `Host`, or in HTTP/2 `:authority`. If there are several, they must be the same.
fn authority(request: &Request) -> Result<Authority, Problem> {
    let mut given = Vec::from_iter(request.uri().authority().cloned());
    for host in request.headers().get_all(header::HOST) {
        given.push(Authority::try_from(host.as_bytes()).map_err(|_| Problem::NoHost)?);
    }
    given.dedup();
    match given.as_slice() {
        [authority] => Ok(authority.clone()),
        _ => Err(Problem::NoHost),
    }
}

fn check_host(authority: &Authority, allowed: &AllowedHosts, local_address: LocalAddress) -> Result<(), Problem> {
    let host = Host::parse(authority.host());
    if host.is_some_and(|host| allowed.contains(&host, local_address)) {
        Ok(())
    } else {
        Err(Problem::ForeignHost(authority.host().to_owned()))
    }
}

/// A program sends neither header, a browser at least one of them with all that could do harm.
fn check_site(headers: &HeaderMap, authority: &Authority) -> Result<(), Problem> {
    let foreign = |name: &'static str| Err(Problem::ForeignPage(name));
    for site in headers.get_all("sec-fetch-site") {
        if site != "same-origin" && site != "none" {
            return foreign("Sec-Fetch-Site");
        }
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin = Uri::try_from(origin.as_bytes()).unwrap_or_default();
        // HTTPS, where a proxy in front of the sandbox speaks it.
        let is_web = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&origin.scheme());
        if !is_web || origin.authority() != Some(authority) {
            return foreign("Origin");
        }
    }
    Ok(())
}

pub(crate) enum Problem {
    NoHost,
    /// With the host.
    ForeignHost(String),
    /// With the header that says so.
    ForeignPage(&'static str),
    ContentType,
    /// With the status of a body that can't be read.
    Body(StatusCode),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Problem::NoHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "the request doesn't say which host it is for; send one Host header, such as localhost".to_owned(),
            ),
            Problem::ForeignHost(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "this sandbox isn't known as {host}; send the request to localhost or 127.0.0.1, or start the \
                     sandbox with --allow-host {host} (in Rust: Builder::allow_host)"
                ),
            ),
            Problem::ForeignPage(header) => (
                StatusCode::FORBIDDEN,
                format!(
                    "{header} says that a web page of another origin sent the request; send it from a program, or from a \
                     page that the sandbox's own address serves"
                ),
            ),
            Problem::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON; send Content-Type: application/json".to_owned(),
            ),
            Problem::Body(status) => (status, "the body can't be read; send at most 64 KiB, and all of it".to_owned()),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}
