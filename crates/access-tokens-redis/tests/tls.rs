//! TLS, with an authority of our own, with client certificates, and without trust.
#![cfg(test)]

mod support;

use std::{fs, sync::Arc};

use access_tokens::{Error, ErrorKind, Identity, store::TokenStore};
use access_tokens_redis::{RedisStore, RedisStoreBuilder};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use support::{RedisServer, free_port, redis_or_skip, until};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, as PEM.
fn issued(authority: &Issuer, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    // Of the same name as its issuer, OpenSSL would take it for self-signed.
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// One with TLS on a port of its own, beside the plain one that the test steers it by.
struct TlsServer {
    server: RedisServer,
    port: u16,
    _folder: tempfile::TempDir,
}

fn start(authority: &Issuer, name: &str, clients: &str) -> TlsServer {
    start_with(authority, name, clients, &[])
}

/// With further arguments; the first may be a text of settings.
fn start_with(authority: &Issuer, name: &str, clients: &str, arguments: &[&str]) -> TlsServer {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = issued(authority, name);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (root, certificate, key) =
        (file("root.pem", &authority.pem()), file("certificate.pem", &certificate), file("key.pem", &key));
    let port = free_port();
    let files = ["--tls-ca-cert-file", &root, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", clients];
    let (settings, arguments) = match arguments {
        [settings, arguments @ ..] if !settings.starts_with("--") => (Some(file("settings", settings)), arguments),
        arguments => (None, arguments),
    };
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let server = RedisServer::start_with(&[&settings[..], arguments, &tls[..], &files[..]].concat());
    TlsServer { server, port, _folder: folder }
}

impl TlsServer {
    fn store(&self, host: &str) -> RedisStoreBuilder {
        RedisStore::builder([format!("rediss://{host}:{}", self.port)])
    }

    fn at(&self, host: &str) -> String {
        format!("Redis at {host}:{}", self.port)
    }
}

async fn get(builder: RedisStoreBuilder) -> Result<(), Error> {
    builder.build().unwrap().get("a").await.map(|_| ())
}

async fn refused(builder: RedisStoreBuilder) -> String {
    let error = get(builder).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    error.to_string()
}

#[tokio::test]
async fn trusts_the_roots_it_is_given_and_no_others() {
    if !redis_or_skip("whom TLS trusts") {
        return;
    }
    let authority = authority();
    let other = self::authority();
    let server = start(&authority, "localhost", "no");
    get(server.store("localhost").add_roots_pem(authority.pem())).await.unwrap();
    get(server.store("localhost").add_roots_pem(other.pem() + &authority.pem())).await.unwrap();
    get(server.store("localhost").add_roots_pem(other.pem()).add_roots_pem(authority.pem())).await.unwrap();

    let untrusted = "isn't trusted; add its root with add_roots_pem";
    let message = format!("the certificate of {} {untrusted}", server.at("localhost"));
    assert_eq!(refused(server.store("localhost").add_roots_pem(other.pem())).await, message);
    let message =
        format!("the certificate of {} is for another name; use that name in the URL", server.at("127.0.0.1"));
    assert_eq!(refused(server.store("127.0.0.1").add_roots_pem(authority.pem())).await, message);

    // TLS to a plain port, to what isn't Redis at all, and the other way round.
    let plain = server.server.port();
    let store = RedisStore::builder([format!("rediss://localhost:{plain}")]).add_roots_pem(authority.pem());
    let message = format!("Redis at localhost:{plain} doesn't answer within 1.5 s; is that its TLS port?");
    assert_eq!(refused(store).await, message);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        std::io::Write::write_all(&mut listener.accept().unwrap().0, b"SSH-2.0-OpenSSH_9.2\r\n")
    });
    let store = RedisStore::builder([format!("rediss://localhost:{other}")]).add_roots_pem(authority.pem());
    let message = format!("what listens at localhost:{other} doesn't speak TLS; use its TLS port, or redis://");
    assert_eq!(refused(store).await, message);
    let question = "does it want TLS (rediss://), or is its maxclients reached?";
    let message = format!("{} closes the connection at once; {question}", server.at("localhost"));
    assert_eq!(refused(RedisStore::builder([format!("redis://localhost:{}", server.port)])).await, message);
}

#[tokio::test]
async fn trusts_the_system() {
    if !redis_or_skip("that the system's roots are trusted") {
        return;
    }
    // There may be no roots on this machine: then it's the settings that are wrong.
    let authority = authority();
    let server = start(&authority, "localhost", "no");
    match server.store("localhost").build() {
        Ok(store) => {
            let message =
                format!("the certificate of {} isn't trusted; add its root with add_roots_pem", server.at("localhost"));
            assert_eq!(store.get("a").await.unwrap_err().to_string(), message);
        }
        Err(e) => assert_eq!(
            e.to_string(),
            "TLS has no roots to trust; install root certificates on this machine, or add one with add_roots_pem"
        ),
    }
}

#[tokio::test]
async fn takes_an_address_that_the_certificate_has() {
    if !redis_or_skip("that TLS takes addresses") {
        return;
    }
    let authority = authority();
    let server = start(&authority, "127.0.0.1", "no");
    get(server.store("127.0.0.1").add_roots_pem(authority.pem())).await.unwrap();
}

#[tokio::test]
async fn shows_its_own_certificate() {
    if !redis_or_skip("that TLS shows a client certificate") {
        return;
    }
    let authority = authority();
    let server = start(&authority, "localhost", "yes");
    let store = || server.store("localhost").add_roots_pem(authority.pem());
    let (certificate, key) = issued(&authority, "client");
    get(store().identity(Identity::new(key, Some(certificate.as_ref()), None).unwrap())).await.unwrap();

    let message =
        format!("{} refuses the TLS connection; if it wants a client certificate, set one", server.at("localhost"));
    assert_eq!(refused(store()).await, message);
    let (certificate, key) = issued(&self::authority(), "stranger");
    assert_eq!(refused(store().identity(Identity::new(key, Some(certificate.as_ref()), None).unwrap())).await, message);
}

/// As a server that refuses the certificate looks when its alert comes too late to be read.
#[tokio::test]
async fn is_closed_after_the_handshake() {
    let authority = authority();
    let (certificate, key) = issued(&authority, "localhost");
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        drop(TlsAcceptor::from(Arc::new(config)).accept(client).await.unwrap());
    });
    let store = RedisStore::builder([format!("rediss://localhost:{port}")]).add_roots_pem(authority.pem());
    let message =
        format!("Redis at localhost:{port} refuses the TLS connection; if it wants a client certificate, set one");
    assert_eq!(refused(store).await, message);
}

/// An authority's certificates that have a name and no address, as public ones do, and servers that are announced by address.
#[tokio::test]
async fn says_how_servers_are_announced_by_the_name_that_their_certificate_has() {
    if !redis_or_skip("what is said of servers that are announced by address") {
        return;
    }
    let authority = authority();
    let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-replication", "yes"];
    let servers = [(); 2].map(|()| start_with(&authority, "localhost", "no", &cluster));
    let [first, second] = &servers;
    let id = second.server.command(&["CLUSTER", "MYID"]).text();
    first.server.command(&["CLUSTER", "MEET", "127.0.0.1", &second.port.to_string()]);
    second.server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("that the first knows whose the slots are", || {
        let nodes = first.server.command(&["CLUSTER", "NODES"]).text();
        let info = first.server.command(&["CLUSTER", "INFO"]).text();
        nodes.contains(&id) && nodes.contains(" 0-16383") && info.contains("cluster_state:ok")
    });
    let store = || first.store("localhost").cluster().add_roots_pem(authority.pem());
    let message = format!(
        "the certificate of {}, as the cluster announces it, is for another name; set cluster-announce-hostname and \
         cluster-preferred-endpoint-type hostname on its servers; or give them certificates that have their addresses",
        second.at("127.0.0.1")
    );
    assert_eq!(refused(store()).await, message);
    for server in &servers {
        server.server.command(&["CONFIG", "SET", "cluster-announce-hostname", "localhost"]);
        server.server.command(&["CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname"]);
    }
    until("that the first knows the name of the second", || {
        let nodes = first.server.command(&["CLUSTER", "NODES"]).text();
        nodes.lines().any(|line| line.starts_with(&id) && line.contains(",localhost"))
    });
    get(store()).await.unwrap();

    let master = start(&authority, "localhost", "no");
    let sentinel = |host: &str, names: &str| {
        let names = format!("sentinel resolve-hostnames {names}\nsentinel announce-hostnames {names}\n");
        let settings = format!("{names}sentinel monitor main {host} {} 1\n", master.port);
        start_with(&authority, "localhost", "no", &[&settings, "--sentinel"])
    };
    let by_address = sentinel("127.0.0.1", "no");
    let store = |sentinel: &TlsServer| sentinel.store("localhost").sentinel("main").add_roots_pem(authority.pem());
    let message = format!(
        "the certificate of {}, as a sentinel announces it, is for another name; set sentinel resolve-hostnames yes and \
         sentinel announce-hostnames yes, and monitor the master by its name; or give the servers certificates that have \
         their addresses",
        master.at("127.0.0.1")
    );
    assert_eq!(refused(store(&by_address)).await, message);
    get(store(&sentinel("localhost", "yes"))).await.unwrap();
}
