//! A new version of a specification, from a file or a URL, byte for byte.

use std::{fs, io::Read, path::Path, time::Duration};

use reqwest::{Client, Url, redirect};

use crate::Error;

/// More than a specification has; what a server sends beyond isn't read.
const LIMIT: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);

/// What `--from` names.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) bytes: Vec<u8>,
    /// Where it comes from, as `specs/README.md` has it; `None` for a file, whose path says nothing.
    pub(crate) origin: Option<String>,
}

/// Whether `from` is meant for a URL rather than a path.
fn is_url(from: &str) -> bool {
    from.contains("://") || ["http:", "https:"].iter().any(|scheme| from.starts_with(scheme))
}

/// A path as it is; a URL without what may be secret, since it is printed, and written into the table.
pub(crate) fn shown(from: &str) -> String {
    if !is_url(from) {
        return from.to_owned();
    }
    match Url::parse(from) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
        }
        // Nobody can tell which part of it is which.
        Err(_) => "the URL".to_owned(),
    }
}

/// Reads the file, or fetches the URL (`https`, and `http` from this machine).
pub(crate) fn read(from: &str) -> Result<Incoming, Error> {
    if is_url(from) {
        return fetch(from);
    }
    let path = Path::new(from);
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIMIT as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|e| Error::io(path, e))?;
    if bytes.len() > LIMIT { Err(too_long(from)) } else { Ok(Incoming { bytes, origin: None }) }
}

fn fetch(from: &str) -> Result<Incoming, Error> {
    let shown = shown(from);
    let url = Url::parse(from).map_err(|e| Error::document(&shown, format!("isn't a URL: {e}")))?;
    if !may_be_fetched(&url) {
        let hint = "only https is fetched, and http from this machine; fetch it yourself and give the file";
        return Err(Error::document(shown, hint));
    }
    let failed = |reason: &dyn std::fmt::Display| {
        Error::document(&shown, format!("{reason}; or fetch it yourself and give the file"))
    };
    let download = async {
        let redirects = redirect::Policy::custom(|attempt| {
            if attempt.previous().len() > 5 {
                attempt.error("too many redirects")
            } else if may_be_fetched(attempt.url()) {
                attempt.follow()
            } else {
                attempt.error("a redirect to what isn't https")
            }
        });
        let mut builder = Client::builder().timeout(TIMEOUT).redirect(redirects);
        if url.scheme() == "http" {
            // This machine is nobody's to reach for it.
            builder = builder.no_proxy();
        }
        let client = builder.build()?;
        let mut response = client.get(url).send().await?.error_for_status()?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LIMIT {
                break;
            }
        }
        Ok::<_, reqwest::Error>(bytes)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
    let bytes = runtime.block_on(download).map_err(|e| failed(&chain(e.without_url())))?;
    if bytes.len() > LIMIT {
        return Err(too_long(&shown));
    }
    Ok(Incoming { bytes, origin: Some(shown) })
}

fn too_long(from: &str) -> Error {
    Error::document(from, format!("is longer than {} MiB, and so no specification", LIMIT >> 20))
}

fn may_be_fetched(url: &Url) -> bool {
    let local = match url.host_str() {
        Some(host) => {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && local
}

/// The error with its causes, which the HTTP client keeps apart.
fn chain(error: reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
