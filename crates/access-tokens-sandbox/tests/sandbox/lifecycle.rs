//! Starting, stopping, and what is shown of it.

use std::time::{Duration, Instant};

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Fault, Onence, Sandbox, StartError, User, Worldline};
use tokio::net::TcpStream;

use crate::clients::{ask_onence, ask_worldline, http, raw, raw_worldline_request, read_to_end, soon};

#[tokio::test]
async fn two_sandboxes_know_nothing_of_each_other() {
    let (one, other) = (Sandbox::start().await.unwrap(), Sandbox::start().await.unwrap());
    assert_ne!(one.url(), other.url());
    let token = crate::clients::token(ask_onence(&one)).await;
    assert_eq!(crate::clients::visit(&one, &token).await, 200);
    assert_eq!(crate::clients::visit(&other, &token).await, 401);
}

#[tokio::test]
async fn the_urls_are_those_of_a_server_on_loopback() {
    let sandbox = Sandbox::start().await.unwrap();
    let url = format!("http://127.0.0.1:{}", sandbox.local_addr().port());
    assert_eq!(sandbox.url(), url);
    assert_eq!(sandbox.onence_base_url(), format!("{url}/management-api"));
    assert_eq!(sandbox.worldline_base_url(), format!("{url}/auth"));
    assert_eq!(sandbox.resource_url(), format!("{url}/resource"));
}

#[tokio::test]
async fn an_address_that_others_reach_needs_permission() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::builder().listen(everywhere).start().await.unwrap_err();
    assert!(matches!(refused, StartError::Remote(address) if address == everywhere), "{refused}");

    let sandbox = Sandbox::builder().listen(everywhere).allow_remote(true).start().await.unwrap();
    assert!(sandbox.local_addr().ip().is_unspecified());
    assert!(sandbox.url().starts_with("http://127.0.0.1:"), "{}", sandbox.url());
    assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn settings_that_cannot_be_served_stop_the_start() {
    let sandbox = Sandbox::start().await.unwrap();
    let taken = Sandbox::builder().listen(sandbox.local_addr()).start().await.unwrap_err();
    assert!(matches!(taken, StartError::Listen { .. }), "{taken}");

    let for_ever = Onence { lifetime: Duration::MAX, ..Onence::default() };
    let refused = Sandbox::builder().onence(for_ever).start().await.unwrap_err();
    assert!(matches!(refused, StartError::Lifetime(_)), "{refused}");

    let client = || Client { client_id: "c".into(), auth: ClientAuth::Secret("s".into()) };
    let twice = Worldline { clients: vec![client(), client()], ..Worldline::default() };
    let refused = Sandbox::builder().worldline(twice).start().await.unwrap_err();
    assert!(matches!(&refused, StartError::DuplicateClient(id) if id == "c"), "{refused}");
}

#[tokio::test]
async fn stopping_frees_the_port_and_lets_an_answer_finish() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Onence, Fault::latency(Duration::from_millis(300))).unwrap();
    let under_way = tokio::spawn(ask_onence(&sandbox).send());
    let address = sandbox.local_addr();
    soon("the request", async || sandbox.requests(Endpoint::Onence) == 1).await;
    sandbox.stop().await;
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    assert!(TcpStream::connect(address).await.is_err());
    Sandbox::builder().listen(address).start().await.unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Worldline, Fault::latency(Duration::from_secs(60))).unwrap();
    let _hanging = raw(&sandbox, &raw_worldline_request()).await;
    let _idle = raw(&sandbox, "").await;
    soon("the request", async || sandbox.requests(Endpoint::Worldline) == 1).await;
    let start = Instant::now();
    sandbox.stop().await;
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_a_stop_up() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = http();
    let response = client.get(sandbox.resource_url()).send().await.unwrap();
    response.bytes().await.unwrap();
    assert_eq!(sandbox.connections(), 1);
    let start = Instant::now();
    sandbox.stop().await;
    assert!(start.elapsed() < Duration::from_millis(900));
}

#[tokio::test]
async fn dropping_it_ends_the_server_and_its_connections() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Worldline, Fault::latency(Duration::from_secs(60))).unwrap();
    let mut stream = raw(&sandbox, &raw_worldline_request()).await;
    soon("the request", async || sandbox.requests(Endpoint::Worldline) == 1).await;
    let address = sandbox.local_addr();
    drop(sandbox);
    let start = Instant::now();
    let (read, _) = read_to_end(&mut stream).await;
    assert!(read.is_empty());
    assert!(start.elapsed() < Duration::from_millis(900), "cut at once, not after the grace of a stop");
    soon("the end of the server", async || TcpStream::connect(address).await.is_err()).await;
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = http();
    for _ in 0..5 {
        let response = client.get(sandbox.resource_url()).send().await.unwrap();
        response.bytes().await.unwrap();
    }
    assert_eq!(sandbox.connections(), 1);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let certificate = Sandbox::start().await.unwrap().signing_cert_pem().to_owned();
    let worldline = Worldline {
        clients: vec![
            Client { client_id: "a".into(), auth: ClientAuth::Secret("planted-secret".into()) },
            Client { client_id: "b".into(), auth: ClientAuth::Certificate(certificate.into()) },
        ],
        extra: serde_json::Map::from_iter([("id_token".to_owned(), "planted-token".into())]),
        ..Worldline::default()
    };
    let more_users = vec![User { username: "b".into(), password: "planted-password-of-b".into() }];
    let onence = Onence { password: "planted-password".into(), more_users, ..Onence::default() };
    let builder = Sandbox::builder().onence(onence).worldline(worldline);
    let mut printed = format!("{builder:?}");
    let sandbox = builder.start().await.unwrap();
    sandbox.fault(Endpoint::Onence, Fault::latency(Duration::ZERO)).unwrap();
    ask_worldline(&sandbox).send().await.unwrap();
    sandbox.set_onence_credentials("a", "planted-new-password");
    let later = Client { client_id: "c".into(), auth: ClientAuth::Secret("planted-new-secret".into()) };
    sandbox.set_worldline_clients(vec![later]).unwrap();
    printed += &format!("{sandbox:?} {:?} {:?}", sandbox.onence(), sandbox.worldline());
    for secret in ["planted-secret", "planted-password", "planted-token", "planted-new", "PRIVATE KEY"] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
    // They can be had all the same: who runs a sandbox must know them.
    assert_eq!(sandbox.onence().password, "planted-password");
    assert!(sandbox.signing_key_pem().contains("PRIVATE KEY"));
}
