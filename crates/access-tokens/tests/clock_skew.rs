//! A machine whose clock is off still gets its assertions accepted.

#![cfg(test)]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use access_tokens::{ErrorKind, Identity, TokenEndpoint, assertion::ClientAssertion, worldline};
use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn client(sandbox: &Sandbox) -> worldline::Client {
    client_of(&sandbox.worldline_base_url(), sandbox)
}

fn client_of(base_url: &str, keys: &Sandbox) -> worldline::Client {
    let (key, certificate) = (keys.signing_key_pem(), keys.signing_cert_pem());
    let credentials =
        ClientAssertion::new("sandbox-jwt-client", Identity::new(key, Some(certificate.as_ref()), None).unwrap())
            .unwrap();
    let realm = worldline::Realm::new("sandbox").unwrap();
    worldline::Client::builder(base_url, realm, "VOP".parse().unwrap(), credentials).build().unwrap()
}

#[tokio::test]
async fn an_assertion_that_was_refused_for_its_times_is_followed_by_a_right_one() {
    for skew in [-7200, -90, 90, 7200] {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.fault(Endpoint::Worldline, Fault::clock_skew(skew).until_cleared()).unwrap();
        let client = client(&sandbox);
        let token = client.exchange().await.unwrap();
        assert_eq!(sandbox.requests(Endpoint::Worldline), 2, "{skew} s");
        // What was learnt stays, and a lifetime is no time of day.
        client.exchange().await.unwrap();
        assert_eq!(sandbox.requests(Endpoint::Worldline), 3, "{skew} s");
        assert!(token.remaining().unwrap().abs_diff(token.expires_in().unwrap()) < Duration::from_secs(3));

        // The clock is put right again.
        sandbox.clear_faults();
        client.exchange().await.unwrap();
        assert_eq!(sandbox.requests(Endpoint::Worldline), 5, "{skew} s");
    }
}

#[tokio::test]
async fn a_clock_that_is_right_costs_no_second_request() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = client(&sandbox);
    sandbox.fault(Endpoint::Worldline, Fault::status(400).error("invalid_client").times(2)).unwrap();
    assert_eq!(client.exchange().await.unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(sandbox.requests(Endpoint::Worldline), 1);
    // Nor does a date that is no clock's.
    sandbox.clear_faults();
    sandbox.fault(Endpoint::Worldline, Fault::clock_skew(90 * 86400).until_cleared()).unwrap();
    assert_eq!(client.exchange().await.unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(sandbox.requests(Endpoint::Worldline), 2);
}

/// A server whose clock is so many seconds ahead, behind a gateway that says another time, or none.
#[derive(Debug, Default, Clone, Copy)]
struct Clocks {
    server: i64,
    header: Option<i64>,
    /// The answer is one that a store has kept.
    stored: bool,
    /// Refuses whatever comes.
    refuses: bool,
}

struct Server {
    url: String,
    clocks: Arc<Mutex<Clocks>>,
    requests: Arc<Mutex<usize>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/auth", listener.local_addr().unwrap());
        let (clocks, requests) = (Arc::new(Mutex::new(Clocks::default())), Arc::default());
        let server = Self { url, clocks: Arc::clone(&clocks), requests: Arc::clone(&requests) };
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = String::new();
                while !request.contains("client_assertion=") || !request.contains("grant_type=") {
                    let mut part = [0; 8192];
                    let length = connection.read(&mut part).await.unwrap();
                    request.push_str(std::str::from_utf8(&part[..length]).unwrap());
                }
                *requests.lock().unwrap() += 1;
                let clocks = *clocks.lock().unwrap();
                let _ = connection.write_all(answer(&request, clocks).as_bytes()).await;
            }
        });
        server
    }

    /// Whether an exchange brings a token, and how many requests it makes.
    async fn exchange(&self, client: &worldline::Client, clocks: Clocks) -> (bool, usize) {
        *self.clocks.lock().unwrap() = clocks;
        *self.requests.lock().unwrap() = 0;
        let outcome = client.exchange().await;
        assert!(outcome.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Credentials), "{outcome:?}");
        (outcome.is_ok(), *self.requests.lock().unwrap())
    }
}

fn answer(request: &str, Clocks { server, header, stored, refuses }: Clocks) -> String {
    let assertion = request.split("client_assertion=").nth(1).unwrap().split('&').next().unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let ahead_by = |seconds: i64| {
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    };
    let now = ahead_by(server).duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (issued, expires) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    let is_valid = issued <= now + 15 && expires > now && !refuses;
    let (status, body) = match is_valid {
        true => ("200 OK", r#"{"access_token":"a","token_type":"Bearer","expires_in":300,"scope":"VOP"}"#),
        false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#),
    };
    let date = header.map(|seconds| format!("date: {}\r\n", httpdate::fmt_http_date(ahead_by(seconds))));
    let age = if stored { "age: 700\r\n" } else { "" };
    let head = format!("{}{age}content-length: {}", date.unwrap_or_default(), body.len());
    format!("HTTP/1.1 {status}\r\n{head}\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn a_time_that_was_accepted_goes_before_a_header() {
    let keys = Sandbox::start().await.unwrap();
    let server = Server::start().await;
    let right = Clocks { header: Some(0), ..Clocks::default() };
    let gateway_ahead = Clocks { header: Some(600), ..right };
    let client = client_of(&server.url, &keys);
    // A gateway's clock is off, and nobody asks for it while all is well.
    for _ in 0..3 {
        assert_eq!(server.exchange(&client, gateway_ahead).await, (true, 1));
    }
    // A refusal for another reason has it tried, and forgotten.
    assert_eq!(server.exchange(&client, Clocks { refuses: true, ..gateway_ahead }).await, (false, 2));
    assert_eq!(server.exchange(&client, gateway_ahead).await, (true, 1));

    // The server's clock really is ahead: what it accepted stays, whatever headers say afterwards, or don't.
    let ahead = Clocks { server: 600, header: Some(600), ..right };
    assert_eq!(server.exchange(&client, ahead).await, (true, 2));
    for header in [Some(600), Some(-3600), None] {
        assert_eq!(server.exchange(&client, Clocks { header, ..ahead }).await, (true, 1), "{header:?}");
    }
    // Until it is refused: then this machine's own is tried, which needs no header.
    assert_eq!(server.exchange(&client, Clocks { header: None, ..right }).await, (true, 2));
    assert_eq!(server.exchange(&client, Clocks { header: None, ..right }).await, (true, 1));
    // Where neither is right, what a header says is tried at the next exchange: two requests each, and no more.
    assert_eq!(server.exchange(&client, ahead).await, (true, 2));
    let behind = Clocks { server: -3600, header: Some(-3600), ..right };
    assert_eq!(server.exchange(&client, behind).await, (false, 2));
    assert_eq!(server.exchange(&client, behind).await, (true, 2));
    assert_eq!(server.exchange(&client, behind).await, (true, 1));
    // One that is refused for another reason is no reason to believe it again.
    assert_eq!(server.exchange(&client, Clocks { refuses: true, ..behind }).await, (false, 2));
    assert_eq!(server.exchange(&client, Clocks { refuses: true, ..right }).await, (false, 1));
}

#[tokio::test]
async fn the_date_of_a_stored_answer_is_no_clock() {
    let keys = Sandbox::start().await.unwrap();
    let server = Server::start().await;
    let stored = Clocks { header: Some(-700), stored: true, server: -700, refuses: false };
    assert_eq!(server.exchange(&client_of(&server.url, &keys), stored).await, (false, 1));
}
