//! TLS, client certificates, proxies and time-outs, against a TLS server with a certificate authority of its own.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use access_tokens::{
    Error, ErrorKind, Identity, TokenEndpoint, Transport, onence, probe::Obstacle, reqwest::Configure,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{PrivatePkcs8KeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

#[tokio::test]
async fn a_root_of_its_own_is_trusted_only_where_it_was_given() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let trusting = direct().add_roots_pem(authority.pem());
    assert_eq!(secret(&url, trusting).await.unwrap(), "abc");
    let other = direct().add_roots_pem(self::authority().pem());
    let error = secret(&url, other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_was_given() {
    let authority = authority();
    let url = tls_server(&authority, true).await;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["client".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let trusting = || direct().add_roots_pem(authority.pem());

    let showing = trusting().identity(Identity::new(key.serialize_pem(), certificate.pem()).unwrap());
    assert_eq!(secret(&url, showing).await.unwrap(), "abc");
    assert_eq!(secret(&url, trusting()).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn https_goes_through_a_proxy_as_a_tunnel() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let (proxy, asked) = proxy().await;
    let transport = Transport::new().add_roots_pem(authority.pem()).proxy(proxy);
    assert_eq!(secret(&url, transport).await.unwrap(), "abc");
    let asked = asked.lock().unwrap().join("");
    assert!(asked.starts_with(&format!("CONNECT {} ", url.trim_start_matches("https://"))), "{asked}");
    assert!(!asked.contains("authorization"), "what the proxy sees holds no credentials: {asked}");
}

#[test]
fn settings_that_wont_do_are_refused_before_anything_is_sent() {
    let cases = [
        (Transport::new().proxy("ftp://127.0.0.1:1"), "proxy must be"),
        (Transport::new().proxy("socks5://127.0.0.1:1"), "proxy must be"),
        (Transport::new().proxy("htpp://127.0.0.1:1"), "proxy must be"),
        (Transport::new().proxy("127.0.0.1:1"), "proxy isn't a URL; write it in full, as in http://host:port"),
        (Transport::new().proxy("http://"), "proxy isn't a URL"),
        (Transport::new().add_roots_pem(""), "the root certificates: it is empty"),
        (Transport::new().add_roots_pem("nonsense"), "the root certificates: it isn't an X.509 certificate"),
    ];
    for (transport, message) in cases {
        let error = client("https://localhost:1", transport).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{message}");
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_a_name_server_says() {
    let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = here.local_addr().unwrap().port();
    // Only Linux has all of 127.0.0.0/8 without being asked.
    let Ok(elsewhere) = TcpListener::bind(("127.0.0.2", port)).await else {
        println!("skipped: this machine has no 127.0.0.2, which a name server could lie with");
        return;
    };
    let lied_to = Transport::new()
        .timeout(Duration::from_millis(500))
        .configure(move |builder| builder.resolve("localhost", ([127, 0, 0, 2], port).into()));
    let asked = tokio::spawn(async move { elsewhere.accept().await.unwrap() });
    let _ = secret(&format!("http://localhost:{port}"), lied_to).await;
    assert!(!asked.is_finished());
    assert!(tokio::time::timeout(Duration::from_secs(5), here.accept()).await.is_ok());
}

#[tokio::test]
async fn a_server_that_takes_its_time_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let error = secret(&url, Transport::new().timeout(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("didn't answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_probe_goes_the_way_of_an_exchange_and_says_what_stands_in_it() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let trusting = || direct().add_roots_pem(authority.pem());
    let probe = trusting().probe(&url).await.unwrap();
    assert_eq!((probe.status(), probe.host()), (Some(200), url.trim_start_matches("https://")));
    let certificate = probe.certificate().unwrap();
    assert!(certificate.not_after() > SystemTime::now());
    assert_eq!([certificate.subject(), certificate.issuer()], ["CN=rcgen self signed cert"; 2]);
    let lookup = probe.lookup().unwrap();
    assert!(lookup.host() == "localhost" && !lookup.addresses().is_empty());

    let mutual = tls_server(&authority, true).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().map(|address| (address, silent)).unwrap();
    let short = |transport: Transport| transport.timeout(Duration::from_millis(300));
    let by_address = url.replace("localhost", "127.0.0.1");
    let behind = Transport::new().proxy(format!("http://planted:planted@{nobody}"));
    let cases = [
        (direct(), url.clone(), Obstacle::UnknownIssuer),
        (trusting(), by_address, Obstacle::WrongName),
        (trusting(), mutual, Obstacle::ClientCertificate),
        (direct(), format!("https://{nobody}"), Obstacle::Connection),
        (behind, url.clone(), Obstacle::Proxy),
        (short(direct()), format!("https://{}", silent.0), Obstacle::Connection),
        (short(direct()), format!("http://{}", silent.0), Obstacle::Answer),
    ];
    for (transport, url, obstacle) in cases {
        let probe = transport.probe(&url).await.unwrap();
        let failure = probe.failure().unwrap();
        assert_eq!((failure.obstacle(), failure.error().kind()), (obstacle, ErrorKind::Unavailable), "{probe:?}");
        assert!(probe.status().is_none() && !format!("{probe:?}").contains("planted"), "{probe:?}");
    }
    let refused = Transport::new().probe("http://api.example").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
}

/// Its request carries nothing that an exchange would prove itself with.
#[tokio::test]
async fn a_probe_goes_through_the_proxy_and_sends_no_credentials() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let (proxy, asked) = proxy().await;
    let transport = Transport::new().add_roots_pem(authority.pem()).proxy(&proxy);
    let probe = transport.probe(&url).await.unwrap();
    assert_eq!((probe.status(), probe.proxy()), (Some(200), Some(proxy.trim_start_matches("http://"))));
    assert!(asked.lock().unwrap().join("").starts_with("CONNECT "));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/auth", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = connection.read(&mut request).await.unwrap();
        let redirect = b"HTTP/1.1 307 Elsewhere\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(redirect).await.unwrap();
        String::from_utf8_lossy(&request[..read]).to_lowercase()
    });
    assert_eq!(Transport::new().probe(&url).await.unwrap().status(), Some(307), "which isn't followed");
    let request = server.await.unwrap();
    assert!(request.starts_with("get /auth http/1.1\r\n") && !request.contains("authorization"), "{request}");
}

/// Past whatever proxy the environment names.
fn direct() -> Transport {
    Transport::new().configure(|builder| builder.no_proxy())
}

fn client(url: &str, transport: Transport) -> Result<onence::Client, Error> {
    let credentials = onence::Credentials::new("user", "password");
    onence::Client::builder(credentials).base_url(url).transport(transport).build()
}

async fn secret(url: &str, transport: Transport) -> Result<String, Error> {
    Ok(client(url, transport)?.exchange().await?.secret().to_owned())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Answers every request over TLS with a token; with `mutual`, to clients with a certificate of the authority alone.
async fn tls_server(authority: &CertifiedIssuer<'static, KeyPair>, mutual: bool) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let config = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        ServerConfig::builder().with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
    } else {
        ServerConfig::builder().with_no_client_auth()
    };
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A client that trusts somebody else hangs up.
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let body = r#"{"access_token":"abc","token_type":"bearer"}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = connection.write_all(answer.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
    });
    url
}

/// A proxy that opens tunnels, and what it was asked for.
async fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = client.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let target = request.split(' ').nth(1).unwrap().to_owned();
        kept.lock().unwrap().push(request);
        let mut server = TcpStream::connect(target).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    (url, asked)
}
