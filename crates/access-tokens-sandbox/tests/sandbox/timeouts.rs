//! What the sandbox does about clients that stop half-way.

use std::time::{Duration, Instant};

use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use axum::body::Bytes;
use axum::http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::clients::{ask_onence, http, raw, raw_worldline_request, read_to_end, soon, token, visit};

const TIMEOUT: Duration = Duration::from_millis(300);

async fn impatient() -> Sandbox {
    Sandbox::builder().client_timeout(TIMEOUT).start().await.unwrap()
}

#[tokio::test]
async fn a_connection_without_a_whole_request_is_closed() {
    let sandbox = impatient().await;
    for sent in ["", "GE", "GET /resource HTTP/1.1\r\nHost: sandbox\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let begun = Instant::now();
        let mut stream = raw(&sandbox, sent).await;
        let _ = read_to_end(&mut stream).await;
        assert!(begun.elapsed() >= TIMEOUT, "{sent:?}");
    }
    soon("the end of all connections", async || sandbox.connections() == 0).await;
}

/// One byte at a time doesn't help.
#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let sandbox = impatient().await;
    let mut stream = raw(&sandbox, "GET /resource HTTP/1.1\r\n").await;
    let begun = Instant::now();
    while stream.write_all(b"a: b\r\n").await.is_ok() {
        tokio::time::sleep(TIMEOUT / 10).await;
        assert!(begun.elapsed() < 10 * TIMEOUT, "{} connections", sandbox.connections());
    }
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_answered_with_408() {
    let sandbox = impatient().await;
    let whole = raw_worldline_request();
    let visit = "POST /resource HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 10\r\n\r\nhalf".to_owned();
    let control = "POST /_sandbox/faults HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                   Content-Length: 10\r\n\r\n{";
    for half in
        [whole.strip_suffix("secret").unwrap(), &visit, &visit.replace("/resource", "/resource/always-401"), control]
    {
        let mut stream = raw(&sandbox, half).await;
        let (answer, _) = read_to_end(&mut stream).await;
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{half}: {}", String::from_utf8_lossy(&answer));
    }
    // A fault that doesn't look at the body doesn't wait for ever for it either.
    sandbox.fault(Endpoint::Resource, Fault::status(503)).unwrap();
    let (answer, _) = read_to_end(&mut raw(&sandbox, &visit).await).await;
    assert!(answer.starts_with(b"HTTP/1.1 503 "));
    soon("the end of all connections", async || sandbox.connections() == 0).await;
}

#[tokio::test]
async fn a_body_may_take_longer_if_more_of_it_keeps_coming() {
    let sandbox = impatient().await;
    let mut stream =
        raw(&sandbox, "POST /resource HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: 16\r\n\r\n")
            .await;
    for _ in 0..16 {
        tokio::time::sleep(TIMEOUT / 8).await;
        stream.write_all(b"x").await.unwrap();
    }
    let (answer, _) = read_to_end(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let sandbox = impatient().await;
    let client = http();
    for _ in 0..12 {
        let answer = client.get(sandbox.resource_url()).send().await.unwrap();
        answer.bytes().await.unwrap();
        assert_eq!(sandbox.connections(), 1);
        tokio::time::sleep(TIMEOUT / 6).await;
    }
    soon("the end of the connection", async || sandbox.connections() == 0).await;
    assert_eq!(client.get(sandbox.resource_url()).send().await.unwrap().status(), 401, "on a new connection");
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_closed_in_order() {
    let sandbox = impatient().await;
    let stream = TcpStream::connect(sandbox.local_addr()).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(sandbox.resource_url()).body(Full::<Bytes>::default()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), connection).await.expect("it is closed").unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_may_take_as_long_as_its_fault_says() {
    let sandbox = impatient().await;
    let token = token(ask_onence(&sandbox)).await;
    sandbox.fault(Endpoint::Resource, Fault::latency(4 * TIMEOUT)).unwrap();
    let begun = Instant::now();
    assert_eq!(visit(&sandbox, &token).await, 200);
    assert!(begun.elapsed() >= 4 * TIMEOUT);

    sandbox.fault(Endpoint::Resource, Fault::endless()).unwrap();
    let mut answer = http().get(sandbox.resource_url()).bearer_auth(&token).send().await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 3 * TIMEOUT {
        assert!(answer.chunk().await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
