//! What is seen of a request on its way to a server.
//!
//! The HTTP client makes its connection in the task of the request, so that what the resolver, TLS and the connector find out can
//! be noted there, whoever else uses the same client.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::LocalKey;

/// How far a request came.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// A name of which there is no address, or none yet.
    pub(super) without_address: Option<String>,
    /// Whether there was a connection, TLS and all.
    pub(super) connected: bool,
    /// Whether the server, or a proxy before it that speaks TLS, asked for a client certificate.
    pub(super) certificate_requested: bool,
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
