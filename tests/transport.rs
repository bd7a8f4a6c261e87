//! TLS, client certificates, proxies and time-outs, against a TLS server with a certificate authority of its own.
#![cfg(test)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use access_tokens::{
    Error, ErrorKind, Identity, Obstacle, RotatingEndpoint, TokenCache, TokenEndpoint, Transport, onence,
    reqwest::{Configure, get},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

#[tokio::test]
async fn a_root_of_its_own_is_trusted_only_where_it_was_given() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let trusting = direct().add_roots_pem(authority.pem());
    assert_eq!(secret(&url, trusting).await.unwrap(), "abc");
    let root = reqwest::Certificate::from_der(authority.der()).unwrap();
    let by_hand =
        direct().configure(move |builder| builder.no_proxy().tls_backend_rustls().tls_certs_only([root.clone()]));
    assert_eq!(secret(&url, by_hand).await.unwrap(), "abc");
    let other = direct().add_roots_pem(self::authority().pem());
    let error = secret(&url, other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_was_given() {
    let authority = authority();
    let url = tls_server(&authority, true).await;
    let trusting = || direct().add_roots_pem(authority.pem());

    let showing = trusting().identity(client_identity(&authority));
    assert_eq!(secret(&url, showing).await.unwrap(), "abc");
    assert_eq!(secret(&url, trusting()).await.unwrap_err().kind(), ErrorKind::Configuration);
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
        (Transport::new().configure(|_| panic!("on purpose")), "the closure that configures the HTTP client panicked"),
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
    assert!(error.to_string().contains("didn't answer within 200ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Where TLS is awaited there is no connection yet, and an answer that has begun is one.
    let error =
        secret(&url.replace("http:", "https:"), direct().timeout(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!(error.obstacle(), Some(Obstacle::Connection), "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        let _ = connection.write_all(b"HTTP/1.1 400 Bad\r\ncontent-length: 9\r\n\r\n{").await;
        let _ = connection.read(&mut [0; 4096]).await;
    });
    let error = secret(&url, Transport::new().timeout(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(400)), "{error}");
    assert!(error.to_string().contains("didn't end its answer in time"), "{error}");
}

#[tokio::test]
async fn a_request_of_a_users_goes_the_way_of_an_exchange_and_fails_in_its_words() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let trusting = || direct().add_roots_pem(authority.pem());
    assert_eq!(get(&trusting(), &url).await.unwrap().status(), 200);

    let mutual = tls_server(&authority, true).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().map(|address| (address, silent)).unwrap();
    let short = |transport: Transport| transport.timeout(Duration::from_millis(300));
    let by_address = url.replace("localhost", "127.0.0.1");
    let behind = Transport::new().proxy(format!("http://planted:planted@{nobody}"));
    assert_eq!(behind.proxy_for(&url).unwrap(), Some(nobody.to_string()));
    assert_eq!(behind.proxy_for("http://localhost:1").unwrap(), None);
    let cases = [
        (direct(), url.clone(), Obstacle::UnknownIssuer, ErrorKind::Configuration),
        (trusting(), by_address, Obstacle::WrongName, ErrorKind::Configuration),
        (trusting(), mutual, Obstacle::ClientCertificate, ErrorKind::Configuration),
        (direct(), format!("https://{nobody}"), Obstacle::Connection, ErrorKind::Unavailable),
        (behind, url.clone(), Obstacle::Proxy, ErrorKind::Unavailable),
        (short(direct()), format!("https://{}", silent.0), Obstacle::Connection, ErrorKind::Unavailable),
        (short(direct()), format!("http://{}", silent.0), Obstacle::Answer, ErrorKind::Unavailable),
    ];
    for (transport, url, obstacle, kind) in cases {
        let failure = get(&transport, &url).await.unwrap_err();
        assert_eq!((failure.obstacle(), failure.kind()), (Some(obstacle), kind), "{failure:?}");
        assert!(!format!("{failure:?}").contains("planted"), "{failure:?}");
    }
    let refused = get(&Transport::new(), "http://api.example").await.unwrap_err();
    assert_eq!((refused.kind(), refused.obstacle()), (ErrorKind::Configuration, None));
}

/// It carries nothing that an exchange would prove itself with.
#[tokio::test]
async fn a_request_of_a_users_goes_through_the_proxy_and_sends_no_credentials() {
    let authority = authority();
    let url = tls_server(&authority, false).await;
    let (proxy, asked) = proxy().await;
    let transport = Transport::new().add_roots_pem(authority.pem()).proxy(&proxy);
    assert_eq!(get(&transport, &url).await.unwrap().status(), 200);
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
    assert_eq!(get(&Transport::new(), &url).await.unwrap().status(), 307, "which isn't followed");
    let request = server.await.unwrap();
    assert!(request.starts_with("get /auth http/1.1\r\n") && !request.contains("authorization"), "{request}");
}

/// No retry mends these: each says what is wrong with what, and who has to do what.
#[tokio::test]
async fn a_tls_failure_that_lasts_is_a_matter_of_configuration() {
    let root = authority();
    let between = CertifiedIssuer::signed_by(ca("between"), KeyPair::generate().unwrap(), &root).unwrap();
    let leaf = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        params
    };
    let is = |params: CertificateParams| Served::by(&root, params);
    let cases = [
        (Served::by(&authority(), leaf(&|_| {})), Obstacle::UnknownIssuer, "add the root certificate of its issuer"),
        (Served::by(&between, leaf(&|_| {})), Obstacle::UnknownIssuer, "send the intermediate certificates"),
        (
            is(CertificateParams::new(["api.example".to_owned()]).unwrap()),
            Obstacle::WrongName,
            "is for api.example and not for localhost; check the host",
        ),
        (
            is(CertificateParams::default()),
            Obstacle::WrongName,
            "names no host; have it issued again with subjectAltName=DNS:localhost",
        ),
        (
            is(leaf(&|leaf| leaf.not_after = date_time_ymd(2020, 1, 31))),
            Obstacle::CertificateEnded,
            "ended on Fri, 31 Jan 2020 00:00:00 GMT; its operator has to renew it",
        ),
        (
            is(leaf(&|leaf| leaf.not_before = date_time_ymd(2099, 1, 1))),
            Obstacle::CertificateNotYetValid,
            "from Thu, 01 Jan 2099 00:00:00 GMT on",
        ),
        (
            is(leaf(&|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
            Obstacle::UnusableCertificate,
            "have it issued again with basicConstraints=CA:FALSE",
        ),
        (
            is(leaf(&|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])),
            Obstacle::UnusableCertificate,
            "have it issued again with extendedKeyUsage=serverAuth",
        ),
    ];
    for (served, obstacle, message) in cases {
        let url = served.start(b"").await;
        let host = url.trim_start_matches("https://");
        let transport = || direct().add_roots_pem(root.pem());
        let error = secret(&url, transport()).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(
            (error.kind(), error.obstacle(), error.status()),
            (ErrorKind::Configuration, Some(obstacle), None),
            "{text}"
        );
        assert!(text.starts_with(&format!("the certificate of {host} ")) && text.contains(message), "{text}");
        // A request of a user's says it in the same words.
        assert_eq!(get(&transport(), &url).await.unwrap_err().to_string(), text);
    }

    // As servers answer that know nothing newer than TLS 1.1, or no TLS at all.
    for (bytes, message) in [
        (&[21, 3, 1, 0, 2, 2, 70][..], "offers no TLS that is secure; its operator has to allow TLS 1.2 or 1.3"),
        (&[21, 3, 3, 0, 2, 2, 40], "shares no cipher with this machine"),
        (&[21, 3, 3, 0, 2, 2, 71], "shares no cipher with this machine"),
        (&[21, 3, 3, 0, 2, 2, 112], "knows no host of that name; check the host of the base URL"),
        (&[21, 3, 3, 0, 2, 2, 120], "doesn't speak HTTP/1.1; check the host and port of the base URL"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "doesn't speak TLS; check the host and port of the base URL"),
    ] {
        let url = answering_tls_with(bytes.to_vec()).await;
        let error = secret(&url, direct()).await.unwrap_err();
        assert_eq!((error.kind(), error.obstacle()), (ErrorKind::Configuration, Some(Obstacle::Tls)), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    // By its address, whose name in the certificate would be another's.
    let url = tls(&root).start(b"").await.replace("localhost", "127.0.0.1");
    let error = secret(&url, direct().add_roots_pem(root.pem())).await.unwrap_err();
    assert!(error.to_string().contains("is for localhost and not for 127.0.0.1;"), "{error}");
}

/// What the alert says of a certificate, it says of one that nobody asked for.
#[tokio::test]
async fn an_alert_about_certificates_is_about_a_client_certificate_only_where_one_was_asked_for() {
    for alert in [42, 46, 48, 49] {
        let url = answering_tls_with(vec![21, 3, 3, 0, 2, 2, alert]).await;
        let error = secret(&url, direct()).await.unwrap_err();
        assert_eq!(error.obstacle(), Some(Obstacle::Tls), "{alert}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_other_credentials_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        let _ = connection.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    });
    let error = secret("https://api.example", Transport::new().proxy(proxy)).await.unwrap_err();
    assert_eq!((error.kind(), error.obstacle()), (ErrorKind::Configuration, Some(Obstacle::Proxy)), "{error}");
    assert!(error.to_string().contains("wants a user name and password"), "{error}");
}

/// It is a matter of configuration, and yet the server's operator may put it right.
#[tokio::test]
async fn a_certificate_that_is_renewed_is_found_at_the_pace_of_an_outage() {
    let authority = authority();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2020, 1, 31);
    let ended = Served::by(&authority, params).start(TOKEN).await;
    let renewed = tls_server(&authority, false).await;
    // One address, whose server changes.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let target = Arc::new(Mutex::new(ended));
    let behind = Arc::clone(&target);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let address = behind.lock().unwrap().trim_start_matches("https://").to_owned();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let cache = TokenCache::new(client(&url, direct().add_roots_pem(authority.pem())).unwrap());
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.obstacle(), Some(Obstacle::CertificateEnded), "{error}");
    *target.lock().unwrap() = renewed;
    let begun = Instant::now();
    while let Err(error) = cache.token().await {
        assert!(begun.elapsed() < Duration::from_secs(5), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_client_certificate_that_a_server_wants_is_named() {
    let authority = authority();
    let trusting = || direct().add_roots_pem(authority.pem());
    let mutual = tls_server(&authority, true).await;
    let missing = secret(&mutual, trusting()).await.unwrap_err();
    assert!(missing.to_string().contains("asks for a client certificate, and none is set"), "{missing}");
    let refused = secret(&mutual, trusting().identity(client_identity(&self::authority()))).await.unwrap_err();
    assert!(refused.to_string().contains("refuses the client certificate"), "{refused}");

    // nginx goes on with the handshake, and says so in HTML.
    let html = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    let optional = Served { mutual: Some(false), ..tls(&authority) }.start(html).await;
    let told = secret(&optional, trusting()).await.unwrap_err();
    assert!(told.to_string().contains("asked for a client certificate, and none is set"), "{told}");
    let shown = secret(&optional, trusting().identity(client_identity(&authority))).await.unwrap_err();
    assert!(shown.to_string().contains("may refuse the one that is set"), "{shown}");
    assert_eq!((told.status(), shown.status()), (Some(400), Some(400)));
    for error in [missing, refused, told, shown] {
        assert_eq!((error.kind(), error.obstacle()), (ErrorKind::Configuration, Some(Obstacle::ClientCertificate)));
    }
    // Whoever says more, or refuses all access, may mean something else.
    for answer in [
        &b"HTTP/1.1 400 Bad\r\ncontent-length: 26\r\n\r\n{\"error\":\"invalid_target\"}"[..],
        b"HTTP/1.1 403 No\r\ncontent-length: 6\r\n\r\n<html>",
    ] {
        let optional = Served { mutual: Some(false), ..tls(&authority) }.start(answer).await;
        let error = secret(&optional, trusting()).await.unwrap_err();
        assert_eq!((error.kind(), error.obstacle()), (ErrorKind::Request, None), "{error}");
        assert!(error.to_string().contains("it asked for a client certificate, and none is set"), "{error}");
    }

    // Where nobody asked, or the server says what it is about, that is the point.
    let plain = tls(&authority).start(html).await;
    let error = secret(&plain, trusting()).await.unwrap_err();
    assert_eq!((error.kind(), error.obstacle()), (ErrorKind::Request, None), "{error}");
    let words = br#"HTTP/1.1 400 Bad Request
content-length: 30

{"errorCode":"BadCredentials"}"#;
    let coded = Served { mutual: Some(false), ..tls(&authority) }.start(words).await;
    assert_eq!(secret(&coded, trusting()).await.unwrap_err().kind(), ErrorKind::Credentials);
}

/// A client certificate that is refused is a credential that is rejected.
#[tokio::test]
async fn a_client_certificate_that_is_refused_doesnt_replace_one_that_works() {
    let authority = authority();
    let identity = Arc::new(Mutex::new(client_identity(&authority)));
    let (newest, url, root) = (identity.clone(), tls_server(&authority, true).await, authority.pem());
    let endpoint = RotatingEndpoint::new(move || {
        client(&url, direct().add_roots_pem(root.as_str()).identity(newest.lock().unwrap().clone()))
    })
    .unwrap();
    endpoint.exchange().await.unwrap();
    *identity.lock().unwrap() = client_identity(&self::authority());
    endpoint.reload().unwrap();
    assert_eq!(endpoint.exchange().await.unwrap().secret(), "abc");
}

/// Servers close TLS without `close_notify`, and a body without a length ends so.
#[tokio::test]
async fn a_document_that_is_whole_when_tls_breaks_is_whole() {
    let authority = authority();
    let trusting = || direct().add_roots_pem(authority.pem());
    let served = || Served { breaks_off: true, ..tls(&authority) };
    let url = served().start(b"HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"abc\",\"token_type\":\"bearer\"}").await;
    assert_eq!(secret(&url, trusting()).await.unwrap(), "abc");
    let url = served().start(b"HTTP/1.1 400 Bad\r\n\r\n{\"errorCode\":\"BadCredentials\"}").await;
    let error = secret(&url, trusting()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Credentials, Some("BadCredentials")));
    // One that is cut off isn't.
    let url = served().start(b"HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"abc\",\"token_type\":").await;
    assert_eq!(secret(&url, trusting()).await.unwrap_err().kind(), ErrorKind::Unavailable);
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
    CertifiedIssuer::self_signed(ca("authority"), KeyPair::generate().unwrap()).unwrap()
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A client certificate of that authority.
fn client_identity(authority: &CertifiedIssuer<'static, KeyPair>) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["client".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    Identity::new(key.serialize_pem(), Some(certificate.pem().as_ref()), None).unwrap()
}

/// Sends these bytes to the first who begins to speak TLS.
async fn answering_tls_with(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        let _ = connection.write_all(&bytes).await;
        let _ = connection.read(&mut [0; 4096]).await;
    });
    url
}

/// A server of TLS on `localhost`, which gives one literal answer to every request.
struct Served {
    key: KeyPair,
    certificate: Certificate,
    /// Whose client certificates it asks for, and whether it goes on without.
    authority: CertificateDer<'static>,
    mutual: Option<bool>,
    /// Without `close_notify`.
    breaks_off: bool,
}

impl Served {
    fn by(authority: &CertifiedIssuer<'static, KeyPair>, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Self { key, certificate, authority: authority.der().clone(), mutual: None, breaks_off: false }
    }

    async fn start(self, answer: &'static [u8]) -> String {
        let config = match self.mutual {
            Some(required) => {
                let mut roots = RootCertStore::empty();
                roots.add(self.authority).unwrap();
                let verifier = WebPkiClientVerifier::builder(roots.into());
                let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
                ServerConfig::builder().with_client_cert_verifier(verifier.build().unwrap())
            }
            None => ServerConfig::builder().with_no_client_auth(),
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.key.serialize_pem().as_bytes()).unwrap();
        let config = config.with_single_cert(vec![self.certificate.der().clone()], key.into()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // A client that trusts somebody else hangs up.
                let Ok(mut connection) = acceptor.accept(connection).await else { continue };
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(answer).await;
                let _ = connection.flush().await;
                if self.breaks_off {
                    let _ = connection.get_mut().0.shutdown().await;
                } else {
                    let _ = connection.shutdown().await;
                }
            }
        });
        url
    }
}

fn tls(authority: &CertifiedIssuer<'static, KeyPair>) -> Served {
    Served::by(authority, CertificateParams::new(["localhost".to_owned()]).unwrap())
}

/// Answers every request over TLS with a token; with `mutual`, to clients with a certificate of the authority alone.
async fn tls_server(authority: &CertifiedIssuer<'static, KeyPair>, mutual: bool) -> String {
    let served = Served { mutual: mutual.then_some(true), ..tls(authority) };
    served.start(TOKEN).await
}

const TOKEN: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n{\"access_token\":\"abc\",\"token_type\":\"bearer\"}";

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
