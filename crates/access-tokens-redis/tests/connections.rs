//! Connections that break, hang, or belong to a runtime that is gone.
#![cfg(test)]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use access_tokens::{
    ErrorKind,
    store::{Swap, TokenStore},
};
use access_tokens_redis::RedisStore;
use support::{RedisServer, Reply, free_port, redis_or_skip, until};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

const MINUTE: Duration = Duration::from_secs(60);
/// As long as a command may take by default.
const COMMAND: Duration = Duration::from_millis(250);
/// Before connecting is given up.
const IN_TIME: Duration = Duration::from_secs(1);

fn store(server: &RedisServer) -> RedisStore {
    RedisStore::builder([server.url()]).build().unwrap()
}

async fn set(store: &RedisStore, expected: Option<&[u8]>, value: &[u8]) -> bool {
    matches!(store.compare_and_set("a", expected, value, MINUTE).await.unwrap(), Swap::Done)
}

/// Connections to the server, but for the one that asks.
fn clients(server: &RedisServer) -> usize {
    server.command(&["CLIENT", "LIST"]).text().lines().count() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_without_a_server_and_shares_one_connection() {
    if !redis_or_skip("that connecting is left to the first command") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    until("no connection", || clients(&server) == 0);
    for _ in 0..3 {
        store.clone().get("a").await.unwrap();
    }
    until("one connection", || clients(&server) == 1);
    drop(store);
    until("the end of the connection", || clients(&server) == 0);
}

#[tokio::test]
async fn gives_a_script_again_that_redis_has_forgotten() {
    if !redis_or_skip("that forgotten scripts are given again") {
        return;
    }
    let mut server = RedisServer::start();
    let store = store(&server);
    assert!(set(&store, None, b"one").await);
    server.command(&["SCRIPT", "FLUSH"]);
    assert!(set(&store, Some(b"one"), b"two").await);
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(store.get("a").await.unwrap().value.as_deref(), Some(&b"two"[..]));
    // In full only where they are unknown.
    let evals = |server: &RedisServer| server.command(&["INFO", "commandstats"]).text().contains("cmdstat_eval:calls=");
    assert!(evals(&server));
    server.command(&["CONFIG", "RESETSTAT"]);
    store.get("a").await.unwrap();
    assert!(!evals(&server));

    // Restarted, it is empty and has no scripts; the connection is gone. No command fails.
    server.restart();
    assert_eq!(store.get("a").await.unwrap().value, None);
    server.restart();
    assert!(set(&store, None, b"three").await);
}

#[tokio::test]
async fn survives_connections_closed_while_idle() {
    if !redis_or_skip("that idle connections may be closed") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    for round in 0..5_u8 {
        let expected = (round > 0).then(|| vec![round - 1]);
        assert!(set(&store, expected.as_deref(), &[round]).await);
        assert!(matches!(server.command(&["CLIENT", "KILL", "TYPE", "normal"]), Reply::Integer(1..)));
        if round % 2 == 0 {
            // Known to be closed, or found out only by sending.
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(store.get("a").await.unwrap().value, Some(vec![round]));
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
}

#[tokio::test]
async fn is_not_held_up_by_a_server_that_stood_still() {
    if !redis_or_skip("that a server may stand still") {
        return;
    }
    for password in [&[][..], &["--requirepass", "secret"]] {
        let server = RedisServer::start_with(password);
        let store = RedisStore::builder([server.url()]);
        let store = if password.is_empty() { store } else { store.password("secret") }.build().unwrap();
        assert!(set(&store, None, b"one").await);
        server.stop();
        for _ in 0..3 {
            assert!(timeout(COMMAND, store.get("a")).await.is_err());
        }
        server.cont();
        let stored = timeout(IN_TIME, store.get("a")).await.expect("in time").unwrap();
        assert_eq!(stored.value.as_deref(), Some(&b"one"[..]));
    }
}

/// A way to a server that can be cut without a word, as a firewall or a pulled plug does it.
struct Way {
    port: u16,
    cut: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    /// Whether an answer is swallowed: the connection is closed in its place.
    swallow: Arc<AtomicBool>,
}

impl Way {
    fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, taken, swallow) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let way = Self { port, cut: Arc::clone(&cut), taken: Arc::clone(&taken), swallow: Arc::clone(&swallow) };
        let target = server.port();
        thread::spawn(move || {
            for client in listener.incoming() {
                taken.fetch_add(1, Ordering::SeqCst);
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                // Of a connection that lives through a cut, nothing arrives ever again.
                let lost = Arc::new(AtomicBool::new(false));
                for answers in [false, true] {
                    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    if answers {
                        std::mem::swap(&mut from, &mut to);
                    }
                    let (cut, lost, swallow) = (Arc::clone(&cut), Arc::clone(&lost), Arc::clone(&swallow));
                    thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(1..) = from.read(&mut buffer).map(|n| {
                            if cut.load(Ordering::SeqCst) {
                                lost.store(true, Ordering::SeqCst);
                            }
                            if answers && swallow.swap(false, Ordering::SeqCst) {
                                let _ = to.shutdown(Shutdown::Both);
                                return 0;
                            }
                            if !lost.load(Ordering::SeqCst) {
                                let _ = to.write_all(&buffer[..n]);
                            }
                            n
                        }) {}
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        way
    }

    fn store(&self) -> RedisStore {
        RedisStore::builder([format!("redis://127.0.0.1:{}", self.port)]).build().unwrap()
    }
}

#[tokio::test]
async fn leaves_a_connection_that_swallows_commands() {
    if !redis_or_skip("that a dead connection is left") {
        return;
    }
    let server = RedisServer::start();
    let way = Way::to(&server);
    let store = way.store();
    assert!(set(&store, None, b"one").await);
    way.cut.store(true, Ordering::SeqCst);
    assert!(timeout(COMMAND, store.get("a")).await.is_err());
    way.cut.store(false, Ordering::SeqCst);
    // The old connection is dead for ever; without a new one this one would wait on it as well.
    assert!(timeout(IN_TIME, store.get("a")).await.expect("on a new connection").is_ok());
    assert_eq!(way.taken.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_command_given_up_harms_no_other() {
    if !redis_or_skip("that commands don't harm each other") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    store.get("a").await.unwrap();
    server.stop();
    let other = tokio::spawn({
        let store = store.clone();
        async move { store.get("a").await }
    });
    sleep(Duration::from_millis(20)).await;
    assert!(timeout(Duration::from_millis(50), store.get("a")).await.is_err());
    server.cont();
    other.await.unwrap().unwrap();
}

#[tokio::test]
async fn takes_what_it_has_done_itself_for_done() {
    if !redis_or_skip("that a lost answer is made good") {
        return;
    }
    let server = RedisServer::start();
    let way = Way::to(&server);
    let store = way.store();
    assert!(set(&store, None, b"one").await);
    way.swallow.store(true, Ordering::SeqCst);
    // Redis does it, the answer is lost, and the second time it finds its own value.
    assert!(set(&store, Some(b"one"), b"two").await);
    assert_eq!(way.taken.load(Ordering::SeqCst), 2);
    assert!(!set(&store, Some(b"one"), b"two").await);
    // One that was lost with nothing done.
    way.swallow.store(true, Ordering::SeqCst);
    assert!(!set(&store, Some(b"one"), b"three").await);
}

#[tokio::test]
async fn a_fresh_connection_that_breaks_is_not_tried_again() {
    if !redis_or_skip("that nothing is repeated without end") {
        return;
    }
    // Takes connections, answers the first message, and closes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    thread::spawn(move || {
        for client in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut client = client.unwrap();
            let _ = client.read(&mut [0; 100]);
            let _ = client.write_all(b"+PONG\r\n");
            let _ = client.read(&mut [0; 1000]);
        }
    });
    let store = RedisStore::builder([format!("redis://127.0.0.1:{port}")]).build().unwrap();
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.to_string(), format!("the connection to Redis at 127.0.0.1:{port} is lost"));
    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn goes_on_connecting_for_the_next_command() {
    if !redis_or_skip("that connecting goes on") {
        return;
    }
    let server = RedisServer::start();
    let way = Way::to(&server);
    let store = way.store();
    server.stop();
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(50), store.get("a")).await.is_err());
    }
    server.cont();
    timeout(IN_TIME, store.get("a")).await.expect("in time").unwrap();
    // A server at which connecting takes longer than any of them waits is reached all the same.
    assert_eq!(way.taken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connecting_ends() {
    // Takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let store = RedisStore::builder([format!("redis://127.0.0.1:{port}")]).build().unwrap();
    let began = Instant::now();
    let error = timeout(Duration::from_secs(5), store.get("a")).await.expect("it ends by itself").unwrap_err();
    assert!((1000..2500).contains(&began.elapsed().as_millis()));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let expected = "doesn't answer within 1.5 s; is it there, and can it be reached?";
    assert_eq!(error.to_string(), format!("Redis at 127.0.0.1:{port} {expected}"));
}

#[tokio::test]
async fn connects_when_the_server_comes() {
    if !redis_or_skip("that a server may come later") {
        return;
    }
    let mut server = RedisServer::start();
    server.kill();
    let store = store(&server);
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let port = server.port();
    assert_eq!(error.to_string(), format!("nothing listens at 127.0.0.1:{port}; is Redis running there?"));
    server.restart();
    store.get("a").await.unwrap();
}

#[test]
fn goes_from_one_runtime_to_the_next() {
    if !redis_or_skip("that runtimes may come and go") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    for round in 0..3_u8 {
        let runtime = Runtime::new().unwrap();
        let expected = (round > 0).then(|| vec![round - 1]);
        assert!(runtime.block_on(set(&store, expected.as_deref(), &[round])));
    }
    // At once too, and with one that ends while it connects.
    let (one, two) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    for runtime in [&one, &two, &one] {
        runtime.block_on(store.get("a")).unwrap();
    }
    drop(one);
    two.block_on(store.get("a")).unwrap();
    drop(two);
    server.stop();
    for ends in [true, false] {
        // Connecting, and then never driven again.
        let first = Builder::new_current_thread().enable_all().build().unwrap();
        assert!(first.block_on(async { timeout(Duration::from_millis(20), store.get("a")).await }).is_err());
        let kept = if ends { None } else { Some(first) };
        server.cont();
        Runtime::new().unwrap().block_on(async { timeout(IN_TIME, store.get("a")).await.expect("in time").unwrap() });
        drop(kept);
        server.stop();
    }
}

#[test]
fn asks_for_a_runtime() {
    let store = RedisStore::builder([format!("redis://127.0.0.1:{}", free_port())]).build().unwrap();
    let mut command = store.get("a");
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = command.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "a command to Redis must run in a tokio runtime");
}
