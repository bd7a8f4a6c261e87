//! Which requests the control endpoint refuses: those that a web page of another origin can make a browser send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use access_tokens_sandbox::{Sandbox, StartError};
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::clients::{ask_onence, http, read_to_end, token, visit};

const FAULT: &str = r#"{"endpoint":"onence","status":503}"#;
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Sends a request with these headers and no others but its length; gives the status and what `error` says.
async fn send(address: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{line} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n{body}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(read_to_end(&mut stream).await.0).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(line);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let error = serde_json::from_str(body).map(|body: Value| body["error"].as_str().unwrap_or_default().to_owned());
    (status, error.unwrap_or_default())
}

#[tokio::test]
async fn only_the_hosts_of_this_sandbox_are_served() {
    let sandbox = Sandbox::builder()
        .allow_host("Sandbox.internal")
        .allow_host("192.0.2.7")
        .allow_host("2001:db8::1")
        .start()
        .await
        .unwrap();
    let cases = [
        (&["localhost"][..], 200),
        (&["LOCALHOST:9000"], 200),
        (&["localhost."], 200),
        (&["app.localhost:80"], 200),
        (&["127.0.0.1"], 200),
        (&["127.1.2.3:1"], 200),
        (&["[::1]:1"], 200),
        (&["[::ffff:127.0.0.1]"], 200),
        (&["sandbox.internal"], 200),
        (&["sandbox.INTERNAL.:8080"], 200),
        (&["192.0.2.7"], 200),
        (&["[2001:db8::1]:80"], 200),
        (&[], 421),
        (&[""], 421),
        (&["localhost", "localhost.attacker.example"], 421),
        (&["attacker.example"], 421),
        (&["localhost.attacker.example"], 421),
        (&["localhost@attacker.example"], 421),
        (&["attackerlocalhost"], 421),
        (&["127.0.0.1.attacker.example"], 421),
        (&["other.sandbox.internal"], 421),
        (&["0.0.0.0"], 421),
        (&["192.0.2.8"], 421),
        (&["a b"], 421),
    ];
    for (hosts, expected) in cases {
        let headers: Vec<_> = hosts.iter().map(|host| ("Host", *host)).collect();
        let (status, error) = send(sandbox.local_addr(), "GET /_sandbox", &headers, "").await;
        assert_eq!(status, expected, "{hosts:?}: {error}");
        assert!(status == 200 || error.contains("send"), "what to do: {error}");
    }
    // A request line that names another host counts more than the header does.
    let line = "GET http://attacker.example/_sandbox";
    assert_eq!(send(sandbox.local_addr(), line, &[("Host", "localhost")], "").await.0, 421);
    let (_, error) = send(sandbox.local_addr(), "GET /_sandbox", &[("Host", "attacker.example:80")], "").await;
    assert!(error.contains("--allow-host attacker.example "), "{error}");
}

#[tokio::test]
async fn whoever_listens_on_every_address_is_served_on_each() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let sandbox = Sandbox::builder().listen(everywhere).allow_remote(true).start().await.unwrap();
    let address = SocketAddr::new(outward_address(), sandbox.local_addr().port());
    let own = address.ip().to_string();
    for (host, expected) in [("0.0.0.0", 200), (own.as_str(), 200), ("192.0.2.7", 421), ("attacker.example", 421)] {
        assert_eq!(send(address, "GET /_sandbox", &[("Host", host)], "").await.0, expected, "{host}");
    }
}

/// The address that other machines know this one by, or without a network the loopback one.
fn outward_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent.
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    address.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

#[tokio::test]
async fn a_host_that_cannot_be_one_stops_the_start() {
    for host in ["", "http://sandbox", "sandbox:8080", "sandbox/", "*", "a b", "[::1]:80", "bücher.example"] {
        let refused = Sandbox::builder().allow_host(host).start().await.unwrap_err();
        assert!(matches!(&refused, StartError::Host(given) if given == host), "{host}: {refused}");
    }
}

#[tokio::test]
async fn requests_of_pages_of_other_origins_are_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    let own = format!("http://127.0.0.1:{}", sandbox.local_addr().port());
    let host = own.strip_prefix("http://").unwrap().to_owned();
    let (behind_tls, other_port) = (own.replace("http://", "https://"), "http://127.0.0.1:1".to_owned());
    let other_scheme = own.replace("http://", "file://");
    let cases = [
        (&[("Origin", own.as_str())][..], 200),
        (&[("Origin", &behind_tls)], 200),
        (&[("Origin", &own), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")], 200),
        (&[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")], 200),
        (&[("Sec-Fetch-Mode", "no-cors")], 200),
        (&[("Origin", "http://attacker.example")], 403),
        (&[("Origin", "null")], 403),
        (&[("Origin", "")], 403),
        (&[("Origin", "http://localhost")], 403),
        (&[("Origin", &other_port)], 403),
        (&[("Origin", &other_scheme)], 403),
        (&[("Origin", &host)], 403),
        (&[("Origin", &own), ("Origin", "http://attacker.example")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "same-site")], 403),
        (&[("Sec-Fetch-Site", "")], 403),
        (&[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Origin", &own), ("Sec-Fetch-Site", "cross-site")], 403),
    ];
    for (headers, expected) in cases {
        for (line, body) in [("GET /_sandbox", ""), ("POST /_sandbox/faults", FAULT), ("DELETE /_sandbox/faults", "")] {
            sandbox.clear_faults();
            let headers = [&[("Host", host.as_str()), JSON], headers].concat();
            let (status, error) = send(sandbox.local_addr(), line, &headers, body).await;
            assert_eq!(status, expected, "{line} {headers:?}: {error}");
            assert!(status == 200 || error.contains("another origin"), "{error}");
            assert_eq!(sandbox.faults().len(), usize::from(status == 200 && !body.is_empty()), "{line} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_body_must_be_sent_as_json() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_onence(&sandbox)).await;
    let cases = [
        (&["application/json"][..], 200),
        (&["Application/JSON; charset=utf-8"], 200),
        (&[], 415),
        (&[""], 415),
        (&["text/plain"], 415),
        (&["text/plain; application/json"], 415),
        (&["application/x-www-form-urlencoded"], 415),
        (&["multipart/form-data; boundary=x"], 415),
        (&["application/json-patch+json"], 415),
        (&["application/json", "text/plain"], 415),
    ];
    for (types, expected) in cases {
        let types = types.iter().map(|content_type| ("Content-Type", *content_type));
        let headers: Vec<_> = [("Host", "localhost")].into_iter().chain(types).collect();
        let (status, error) = send(sandbox.local_addr(), "POST /_sandbox/faults", &headers, FAULT).await;
        assert_eq!(status, expected, "{headers:?}: {error}");
        assert!(status == 200 || error.contains("Content-Type: application/json"), "{error}");
        assert_eq!(sandbox.clear_faults(), usize::from(status == 200), "{headers:?}");
    }
    let headers = [("Host", "localhost"), ("Content-Type", "text/plain")];
    assert_eq!(send(sandbox.local_addr(), "POST /_sandbox/revoke", &headers, r#"{"all":true}"#).await.0, 415);
    assert_eq!(send(sandbox.local_addr(), "DELETE /_sandbox/faults", &headers, "x").await.0, 415);
    assert_eq!(send(sandbox.local_addr(), "DELETE /_sandbox/faults", &headers, "").await.0, 200, "without a body");
    assert_eq!(visit(&sandbox, &token).await, 200);
}

#[tokio::test]
async fn the_authority_of_http2_is_its_host() {
    let sandbox = Sandbox::start().await.unwrap();
    for (host, expected) in [("localhost", 200), ("127.0.0.1:1", 200), ("attacker.example", 421)] {
        let stream = TcpStream::connect(sandbox.local_addr()).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = axum::http::Request::post(format!("http://{host}/_sandbox/faults"));
        let request = request.header("content-type", "application/json").body(Full::<Bytes>::from(FAULT));
        let answer = client.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), expected, "{host}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["queued"], if expected == 200 { json!(1) } else { Value::Null }, "{body}");
    }
    assert_eq!(sandbox.faults().len(), 2);
}

/// They play servers that have other names.
#[tokio::test]
async fn what_plays_the_real_servers_takes_any_host_and_origin() {
    let sandbox = Sandbox::start().await.unwrap();
    let request = ask_onence(&sandbox).header("host", "api.1nce.example").header("origin", "http://attacker.example");
    let token = token(request.header("sec-fetch-site", "cross-site")).await;
    let visit = http().get(sandbox.resource_url()).header("host", "sandbox").bearer_auth(token);
    assert_eq!(visit.send().await.unwrap().status(), 200);
}
