//! What is seen of a request on its way to a server.
//!
//! The HTTP client makes its connection in the task of the request, so that what the resolver, TLS and the connector find out can
//! be noted there, whoever else uses the same client.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use reqwest::dns::{Name, Resolve, Resolving};
use tokio::task::LocalKey;

use super::route::{NoAddress, is_out_of_files};

/// How far a request came.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(super) lookup: Option<Lookup>,
    /// When there was a connection, TLS and all.
    pub(super) connected: Option<Instant>,
    /// Whether the server, or a proxy before it that speaks TLS, asked for a client certificate.
    pub(super) certificate_requested: bool,
}

#[derive(Debug)]
#[cfg_attr(not(feature = "probe"), expect(dead_code, reason = "a probe alone tells how long it took"))]
pub(super) struct Lookup {
    pub(super) host: String,
    pub(super) begun: Instant,
    pub(super) ended: Option<Instant>,
    pub(super) addresses: Vec<IpAddr>,
}

/// Makes a request, and tells how far it came.
pub(crate) async fn watched<T>(request: impl Future<Output = T>) -> (T, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let outcome = of_this_task().scope(Arc::clone(&seen), request).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    (outcome, seen)
}

/// Notes something of the request that is made in this task.
pub(super) fn note(what: impl FnOnce(&mut Seen)) {
    // Settings of a caller's own can have a connection made elsewhere.
    let _ = of_this_task().try_with(|seen| what(&mut seen.lock().unwrap_or_else(PoisonError::into_inner)));
}

fn of_this_task() -> &'static LocalKey<Arc<Mutex<Seen>>> {
    tokio::task_local! {
        static SEEN: Arc<Mutex<Seen>>;
    }
    &SEEN
}

/// Looks names up as the system does, and as the HTTP client does without us.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let begun = Instant::now();
            let set = |ended, addresses| {
                let lookup = Lookup { host: host.clone(), begun, ended, addresses };
                note(|seen| seen.lookup = Some(lookup));
            };
            set(None, Vec::new());
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(Vec::from_iter);
            set(Some(Instant::now()), found.iter().flatten().map(SocketAddr::ip).collect());
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as _),
                Err(source) => Err(NoAddress { source: lack_of_files().unwrap_or(source), name: host }.into()),
            }
        })
    }
}

/// A lookup needs files, and doesn't say so where it can open none.
fn lack_of_files() -> Option<io::Error> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err().filter(is_out_of_files)
}
