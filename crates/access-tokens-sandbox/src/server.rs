//! The accept loop: one task for each connection, all of them owned by the loop, so that ending it ends them.
//!
//! Our own rather than axum's, because a real TCP reset needs a say in how the socket is closed.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower_http::timeout::TimeoutBody;

/// How many clients may wait to be accepted, unless the system allows fewer. Beyond it, connecting takes a second or more.
const BACKLOG: u32 = 4096;

/// How long an orderly stop waits for answers under way, and a connection that times out for its end.
const GRACE: Duration = Duration::from_secs(1);

/// Binds as [`TcpListener::bind`] does, which lets no more than 128 clients wait.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Windows would let two processes share the port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A running accept loop. Dropping it ends the loop and every connection.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        router: Router,
        connections: Connections,
        client_timeout: Duration,
    ) -> Server {
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, router, connections, client_timeout, stopped));
        Server { address, stop, accepting }
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
#[derive(Clone, Default)]
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

struct OpenConnection(Connections);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// In each request's extensions: the address of this machine that the client connected to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub(crate) IpAddr);

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

async fn accept(
    listener: TcpListener,
    router: Router,
    connections: Connections,
    client_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let open = connections.open();
                    let serving = serve(stream, router.clone(), client_timeout, stopped.clone());
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

/// HTTP/1 or HTTP/2, whichever the client begins with (RFC 9113, section 3.3). The tasks of HTTP/2's requests end with the
/// connection.
///
/// The connection is closed when no request is being answered for `client_timeout`: because the client sent nothing, part of a
/// request's head, or no further request.
async fn serve(stream: TcpStream, router: Router, client_timeout: Duration, mut stopped: watch::Receiver<bool>) {
    // The client has gone again.
    let Ok(local_address) = stream.local_addr() else { return };
    // Without it a small answer may wait for the client's delayed acknowledgement. The answer is right either way.
    let _ = stream.set_nodelay(true);
    let reset = Reset::default();
    let asked = reset.0.clone();
    let router = TowerToHyperService::new(router);
    let (requests, mut under_way) = watch::channel(0_usize);
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Answering::new(requests.clone());
        let mut request = request.map(|body| Body::new(TimeoutBody::new(client_timeout, body)));
        request.extensions_mut().insert(LocalAddress(local_address.ip().to_canonical()));
        request.extensions_mut().insert(reset.clone());
        let answer = router.call(request);
        async move { Ok::<_, Infallible>(answering.until_sent(answer.await?)) }
    });
    let rudely = Arc::new(AtomicBool::new(false));
    let socket = Socket { stream, rudely: rudely.clone() };
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let mut closing = false;
    loop {
        let idle = *under_way.borrow_and_update() == 0;
        tokio::select! {
            // An error is the client's leaving, or a body of ours that was meant to break off.
            _ = &mut connection => return,
            () = asked.notified() => return rudely.store(true, Ordering::Relaxed),
            Ok(()) = under_way.changed() => continue,
            () = stop_asked(&mut stopped), if !closing => {}
            () = tokio::time::sleep(if closing { GRACE } else { client_timeout }), if idle => {}
        }
        if closing {
            return;
        }
        closing = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// Counts a request as under way until its answer has been handed over whole, or can't be any more.
struct Answering(watch::Sender<usize>);

impl Answering {
    fn new(requests: watch::Sender<usize>) -> Answering {
        requests.send_modify(|requests| *requests += 1);
        Answering(requests)
    }

    fn until_sent(self, answer: Response) -> Response {
        // The HTTP layer drops a body when it has all of it.
        answer.map(|body| {
            Body::new(body.map_err(move |error| {
                let _answering = &self;
                error
            }))
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// A socket that is closed with a reset when that was asked for. The HTTP layer keeps it to itself until it's closed.
struct Socket {
    stream: TcpStream,
    rudely: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.rudely.load(Ordering::Relaxed) {
            // Closing with nothing to linger for sends RST instead of FIN.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    // An error means that the `Server` is gone, which asks for the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}
