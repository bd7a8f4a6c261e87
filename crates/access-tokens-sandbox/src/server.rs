//! The accept loop: one task for each connection, all of them owned by the loop, so that ending it ends them.
//!
//! Our own rather than axum's, because a real TCP reset needs the socket back from the HTTP layer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How long an orderly stop waits for answers under way.
const GRACE: Duration = Duration::from_secs(1);

/// A running accept loop. Dropping it ends the loop and every connection.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        router: Router,
        connections: Connections,
    ) -> Server {
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, router, connections, stopped));
        Server { address, stop, accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        // An error would mean that the loop is gone already, which is what is wanted.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Counts the connections that are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<AtomicUsize>);

impl Connections {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn open(&self) -> OpenConnection {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }
}

#[derive(Debug)]
struct OpenConnection(Connections);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// In each request's extensions: the way to reset the connection that it came on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reset(Arc<Notify>);

impl Reset {
    /// Resets the connection. Never returns: the task that waits here goes with its connection.
    pub(crate) async fn now(self) -> Infallible {
        self.0.notify_one();
        std::future::pending().await
    }
}

async fn accept(listener: TcpListener, router: Router, connections: Connections, mut stopped: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let open = connections.open();
                    let serving = serve(stream, router.clone(), stopped.clone());
                    tasks.spawn(async move {
                        serving.await;
                        drop(open);
                    });
                }
                // Out of file descriptors, most likely: a pause lets others close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            () = stop_asked(&mut stopped) => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
}

async fn serve(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    // Without it a small answer may wait for the client's delayed acknowledgement. The answer is right either way.
    let _ = stream.set_nodelay(true);
    let reset = Reset::default();
    let asked = reset.0.clone();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(reset.clone());
        router.call(request)
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            // An error is the client's leaving, or a body of ours that was meant to break off.
            _ = &mut connection => return,
            () = asked.notified() => {
                let stream = connection.into_parts().io.into_inner();
                // Closing with nothing to linger for sends RST instead of FIN.
                let _ = stream.set_zero_linger();
                return;
            }
            () = stop_asked(&mut stopped), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
}

async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    // An error means that the `Server` is gone, which asks for the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}
