//! `access-tokens doctor` against the sandbox, each step made to fail in turn.
#![cfg(test)]

#[path = "../../access-tokens-redis/tests/support/mod.rs"]
mod redis;
mod support;

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Fault, Sandbox, Worldline};
use rcgen::{BasicConstraints, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{PrivatePkcs8KeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use self::{
    redis::{RedisServer, Reply, redis_or_skip},
    support::{Folder, Said, certificate, named, payments, same, signing, sims, store},
};

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let config = format!("{}\n{}", sims(&sandbox.onence_base_url()), payments(&sandbox));
    told("all_is_well", &folder, &config, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_over_tls_with_both_certificates() {
    let (key, certificate) = certificate(365);
    let (sandbox, folder) = signed(&key, &certificate).await;
    let authority = authority();
    let front = Front { client_certificates: true, ..Front::new(&sandbox) }.start(&authority).await;
    folder.write("roots.pem", authority.pem());
    let client_key = KeyPair::generate().unwrap();
    let client_certificate = named("client", 365).signed_by(&client_key, &authority).unwrap();
    folder.write("client.pem", client_key.serialize_pem() + &client_certificate.pem());
    let audience = audience(&front);
    let config = format!(
        "{}{audience}[sources.payments.transport]\nroots = [\"roots.pem\"]\n\
         identity = {{ key = {{ file = \"client.pem\" }}, certificate = {{ file = \"client.pem\" }} }}\n",
        signing(&sandbox).replace(sandbox.url(), &front)
    );
    told("all_is_well_over_tls", &folder, &config, 0);

    let without = config.split("identity = ").next().unwrap();
    told("tls_without_client_certificate", &folder, without, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let unknown = sims("http://127.0.0.1:1").replace("username", "usrname");
    told("settings_unknown_key", &folder, &format!("{unknown}[sources.other]\nprovider = \"neither\"\n"), 2);
    let missing = sims(&sandbox.onence_base_url()).replace("\"password\" }", "\"nowhere\" }");
    told("settings_missing_secret", &folder, &missing, 2);

    let Said { code, stdout, .. } = folder.run(&["doctor"], &[]);
    assert_eq!(code, 2);
    assert!(stdout.starts_with("configuration\n  FAIL  settings"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_and_certificate() {
    let (key, other) = (certificate(365).0, certificate(365).1);
    let (sandbox, folder) = signed(&key, &other).await;
    told("key_of_another_certificate", &folder, &signing(&sandbox), 2);
    let (key, ended) = certificate(-10);
    let (sandbox, folder) = signed(&key, &ended).await;
    told("key_with_a_certificate_that_has_ended", &folder, &signing(&sandbox), 2);
    let (key, soon) = certificate(10);
    let (sandbox, folder) = signed(&key, &soon).await;
    told("key_with_a_certificate_that_ends_in_10_days", &folder, &signing(&sandbox), 0);
    for (days, mark) in [(29, "warn  key"), (31, "ok    key")] {
        let (key, certificate) = certificate(days);
        let (sandbox, folder) = signed(&key, &certificate).await;
        folder.write("config.toml", signing(&sandbox));
        let said = folder.run(&["doctor", "--config", "config.toml"], &[]);
        assert!(said.stdout.contains(mark), "{days}: {}", said.stdout);
    }
}

#[test]
fn name_lookup() {
    // Nobody may have a name that ends so (RFC 6761). Without a network the resolver may take its time, but not more than this.
    let config = sims("https://auth.invalid/management-api") + "[sources.sims.transport]\nconnect_timeout = \"1s\"\n";
    told("name_lookup", &Folder::new(), &config, 4);
}

#[test]
fn connection() {
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = sims(&format!("http://127.0.0.1:{port}/management-api"));
    told("connection_refused", &Folder::new(), &config, 4);
    let proxy = format!("[sources.sims.transport]\nproxy = \"http://127.0.0.1:{port}\"\n");
    told("connection_proxy", &Folder::new(), &(sims("https://api.example/management-api") + &proxy), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls() {
    let (sandbox, folder, authority) = (Sandbox::start().await.unwrap(), Folder::new(), authority());
    folder.write("roots.pem", authority.pem());
    let config = |front: &str| sims(&sandbox.onence_base_url().replace(sandbox.url(), front));
    let trusting = |front: &str| config(front) + "[sources.sims.transport]\nroots = [\"roots.pem\"]\n";

    let front = Front::new(&sandbox).start(&authority).await;
    told("tls_unknown_issuer", &folder, &config(&front), 2);
    let front = Front { days: -10, ..Front::new(&sandbox) }.start(&authority).await;
    told("tls_certificate_ended", &folder, &trusting(&front), 2);
    let front = Front { name: "elsewhere.example", ..Front::new(&sandbox) }.start(&authority).await;
    told("tls_wrong_name", &folder, &trusting(&front), 2);
    let front = Front { days: 1, ..Front::new(&sandbox) }.start(&authority).await;
    told("tls_certificate_ends_tomorrow", &folder, &trusting(&front), 0);
    let tls_proxy = format!("proxy = \"{front}\"\n");
    let elsewhere = sims("https://api.example/management-api") + "[sources.sims.transport]\n" + &tls_proxy;
    told("tls_of_a_proxy", &folder, &elsewhere, 2);
    // It hangs up on whoever begins to speak TLS, as a filter on the way does.
    let filter = TcpListener::bind("127.0.0.1:0").unwrap();
    let filtered = format!("https://{}", filter.local_addr().unwrap());
    std::thread::spawn(move || filter.incoming().for_each(drop));
    told("tls_broken_off", &folder, &config(&filtered), 4);
    // Not TLS at all.
    told("tls_spoken_to_plain_http", &folder, &trusting(&sandbox.url().replace("http:", "https:")), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew() {
    let (key, certificate) = certificate(365);
    let (sandbox, folder) = signed(&key, &certificate).await;
    for (name, seconds) in [("clock_skew_behind", 120), ("clock_skew_ahead", -120)] {
        sandbox.clear_faults();
        sandbox.fault(Endpoint::Worldline, Fault::clock_skew(seconds).until_cleared()).unwrap();
        told(name, &folder, &signing(&sandbox), 0);
    }
    for (seconds, mark, code) in [(3, "ok    clock", 0), (10, "warn  clock", 0), (172_800, "FAIL  clock", 1)] {
        sandbox.clear_faults();
        sandbox.fault(Endpoint::Worldline, Fault::clock_skew(seconds).until_cleared()).unwrap();
        folder.write("config.toml", signing(&sandbox));
        let said = folder.run(&["doctor", "--config", "config.toml"], &[]);
        assert!(said.code == code && said.stdout.contains(mark), "{seconds}: {}", said.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let config = sims(&sandbox.onence_base_url());
    folder.write("wrong", "planted-wrong");
    told("exchange_wrong_password", &folder, &config.replace("\"password\" }", "\"wrong\" }"), 3);
    told("exchange_wrong_secret", &folder, &payments(&sandbox).replace("\"secret\" }", "\"wrong\" }"), 3);
    told("exchange_unknown_scope", &folder, &payments(&sandbox).replace("WERO", "IDEAL"), 3);
    for (name, fault, code) in [
        ("exchange_503_with_retry_after", Fault::status(503).retry_after(90).into(), 4),
        ("exchange_garbage", Fault::garbage(), 5),
    ] {
        sandbox.clear_faults();
        sandbox.fault(Endpoint::Onence, fault.until_cleared()).unwrap();
        told(name, &folder, &config, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_scopes_than_asked_for() {
    let settings = Worldline { granted_scopes: Some(vec!["VOP".to_owned()]), ..Worldline::default() };
    let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
    told("scopes_missing", &Folder::new(), &payments(&sandbox), 0);
}

/// The store is of no concern to the other steps: away it is a warning, and wrongly set a failure of its own.
#[tokio::test(flavor = "multi_thread")]
async fn store_that_cant_be_used() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let sims = sims(&sandbox.onence_base_url());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = store(&format!("redis://127.0.0.1:{port}"));
    let without = sims.replace("sims]", "alone]") + "store = false\n";
    told("store_connection_refused", &folder, &format!("{away}{sims}{without}"), 0);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    told("store_is_slow", &folder, &format!("{}timeout = \"100ms\"\n{sims}", store(&url)), 0);
    // What isn't Redis.
    let url = sandbox.url().replace("http:", "redis:");
    told("store_is_something_else", &folder, &format!("{}{sims}", store(&url)), 2);

    folder.write("short", "aHVudGVyMg==");
    told("store_key_is_wrong", &folder, &format!("{}{sims}", away.replace("\"keys\"", "\"short\"")), 2);
    let unknown = away.replace("urls", "url");
    told("store_unknown_key", &folder, &format!("{unknown}{sims}"), 2);

    // The provider's failure stays one beside it, and decides.
    folder.write("wrong", "planted-wrong");
    let rejected = sims.replace("\"password\" }", "\"wrong\" }");
    told("store_beside_a_failed_exchange", &folder, &format!("{away}{rejected}"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store() {
    if !redis_or_skip("what doctor says of a store") {
        return;
    }
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let sims = sims(&sandbox.onence_base_url());
    let with = |server: &RedisServer, more: &str| format!("{}{more}{sims}", store(&server.url()));
    let server = RedisServer::start_with(&["--requirepass", "planted-passphrase"]);
    folder.write("store-password", "planted-passphrase\n");
    folder.write("wrong", "planted-wrong\n");
    let password = "password = { file = \"store-password\" }\n";
    told("store_is_well", &folder, &with(&server, password), 0);
    told("store_wants_a_password", &folder, &with(&server, ""), 2);
    told("store_wrong_password", &folder, &with(&server, "password = { file = \"wrong\" }\n"), 2);

    let words = ["ACL", "SETUSER", "reader", "on", ">planted-passphrase", "~*", "+get"];
    assert!(!matches!(server.command(&words), Reply::Error(_)));
    told("store_no_permission", &folder, &with(&server, &format!("username = \"reader\"\n{password}")), 2);
    let sentinel =
        format!("mode = \"sentinel\"\nmaster = \"m\"\n{}", password.replace("password =", "sentinel_password ="));
    told("store_is_no_sentinel", &folder, &with(&server, &sentinel), 2);

    assert!(!matches!(server.command(&["CONFIG", "SET", "maxmemory", "1"]), Reply::Error(_)));
    told("store_out_of_memory", &folder, &with(&server, password), 0);
    server.stop();
    told("store_stands_still", &folder, &with(&server, password), 0);
    server.cont();
}

/// Its clock matters to nobody but who looks for one that is off.
#[tokio::test(flavor = "multi_thread")]
async fn store_with_another_clock() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let sims = sims(&sandbox.onence_base_url());
    for (name, seconds) in [("store_clock_ahead", 120), ("store_clock_behind", -120)] {
        told(name, &folder, &format!("{}{sims}", store(&clockwork(seconds).await)), 0);
    }
    for (seconds, mark) in [(3, "ok    store"), (10, "warn  store")] {
        folder.write("config.toml", format!("{}{sims}", store(&clockwork(seconds).await)));
        let said = folder.run(&["doctor", "--config", "config.toml"], &[]);
        assert!(said.code == 0 && said.stdout.contains(mark), "{seconds}: {}", said.stdout);
    }
}

/// Each of its two requests may take as long as the transport lets it, and no longer.
#[test]
fn a_server_that_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = sims(&format!("http://{}/management-api", silent.local_addr().unwrap()));
    let begun = Instant::now();
    told("hangs", &Folder::new(), &(config.clone() + "[sources.sims.transport]\ntimeout = \"300ms\"\n"), 4);
    let limits = "[sources.sims.transport]\nconnect_timeout = \"300ms\"\nproxy = \"http://PROXY\"\n";
    let limits = limits.replace("PROXY", &silent.local_addr().unwrap().to_string());
    told("hangs_as_proxy", &Folder::new(), &(sims("https://api.example/management-api") + &limits), 4);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_for_machines() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("wrong", "planted-wrong");
    let bad = sims(&sandbox.onence_base_url()).replace("\"password\" }", "\"wrong\" }");
    folder.write("config.toml", format!("{bad}\n{}", payments(&sandbox)));
    for (name, chosen, code) in
        [("json_good", &["--source", "payments"][..], 0), ("json_bad", &["--source", "sims"], 3), ("json_both", &[], 3)]
    {
        let Said { code: found, stdout, stderr } =
            folder.run(&[&["doctor", "--json", "--config", "config.toml"], chosen].concat(), &[]);
        assert_eq!((found, stderr.as_str()), (code, ""), "{name}: {stdout}");
        let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let sources = document["sources"].as_array().unwrap();
        assert_eq!(sources.len(), if chosen.is_empty() { 2 } else { 1 });
        for source in sources {
            assert_eq!(source["steps"].as_array().unwrap().len(), 9);
            assert_eq!(source["ok"], source["name"] == "payments");
        }
        if name != "json_both" {
            insta::assert_snapshot!(name, same(&stdout));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_decides_the_exit_code() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("wrong", "planted-wrong");
    let rejected = sims(&sandbox.onence_base_url()).replace("\"password\" }", "\"wrong\" }");
    let unreachable = sims("http://127.0.0.1:1").replace("sims", "zone");
    folder.write("config.toml", format!("{rejected}\n{unreachable}\n{}", payments(&sandbox)));
    let doctor = ["doctor", "--config", "config.toml", "--source"];
    for (sources, code) in [
        (&["payments"][..], 0),
        (&["payments", "--source", "sims", "--source", "zone"], 3),
        (&["zone", "--source", "sims"], 4),
    ] {
        assert_eq!(folder.run(&[&doctor[..], sources].concat(), &[]).code, code, "{sources:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_isnt_there() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("config.toml", format!("{}\n{}", sims(&sandbox.onence_base_url()), payments(&sandbox)));
    let said = folder.run(&["doctor", "--config", "config.toml", "--source", "sim"], &[]);
    assert_eq!((said.code, said.stderr.as_str()), (2, ""));
    assert!(said.stdout.contains("did you mean sims?") && said.stdout.contains("payments, sims"), "{}", said.stdout);
    let said = folder.run(&["doctor", "--json", "--config", "config.toml", "--source", "sim"], &[]);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(document["sources"][0]["name"].is_null(), "{document}");
}

/// Neither in the report nor in the log: the secrets, the key, its passphrase, the assertion, the token.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_even_in_the_log() {
    let (key, certificate) = certificate(365);
    let (sandbox, folder) = signed(&key, &certificate).await;
    let authority = authority();
    let front = Front::new(&sandbox).start(&authority).await;
    folder.write("roots.pem", authority.pem());
    let audience = audience(&front);
    let config = format!(
        "{}{audience}passphrase = {{ env = \"PASSPHRASE\" }}\n[sources.payments.transport]\nroots = [\"roots.pem\"]\n\n{}\n\
         [sources.proxied]\nprovider = \"onence\"\nusername = \"u\"\npassword = {{ file = \"password\" }}\n\
         transport = {{ proxy = {{ env = \"PROXY\" }}, timeout = \"1s\" }}\n",
        signing(&sandbox).replace(sandbox.url(), &front),
        sims(&sandbox.onence_base_url()),
    );
    folder.write("config.toml", config);
    let environment = [
        ("PASSPHRASE", "planted-passphrase"),
        ("PROXY", "http://user:planted-passphrase@127.0.0.1:1"),
        ("RUST_LOG", "trace"),
    ];
    let Said { stdout, stderr, code } = folder.run(&["doctor", "--config", "config.toml"], &environment);
    assert_eq!(code, 4, "the proxy: {stdout}");
    assert_eq!(stdout.matches("a token, valid").count(), 2, "{stdout}");
    assert!(stderr.contains("TRACE"), "{stderr}");
    let keys_lines = key.lines().filter(|line| !line.starts_with("-----"));
    for text in [&stdout, &stderr] {
        assert!(keys_lines.clone().all(|line| !text.contains(line)), "a key: {text}");
        assert!(!text.contains("eyJ"), "an assertion: {text}");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-._~+/=".contains(c));
        assert!(words.filter(|word| word.len() > 100).all(|word| !sandbox.accepts(word)), "a token: {text}");
    }
}

/// A server that does what the store asks of Redis, with a clock that is off by so many seconds; its URL. Redis itself has the
/// machine's clock.
async fn clockwork(seconds: i64) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let (mut reader, mut value) = (BufReader::new(reader), Vec::new());
        while let Some(words) = command(&mut reader).await {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs()
                .saturating_add_signed(seconds)
                .to_string();
            let bulk = |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
            let answer = match &*words {
                // A script, its number of keys, the key and the longest value; then, to change it, what is expected and the new.
                [eval, _, _, _, _] if eval.starts_with(b"EVAL") => {
                    [b"*3\r\n", &*bulk(&value), &bulk(now.as_bytes()), &bulk(b"0")].concat()
                }
                [eval, .., new, _] if eval.starts_with(b"EVAL") => {
                    value = new.clone();
                    b"*1\r\n:1\r\n".to_vec()
                }
                _ => b"+OK\r\n".to_vec(),
            };
            writer.write_all(&answer).await.unwrap();
        }
    });
    url
}

/// The words of one; none at the end.
async fn command(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Vec<Vec<u8>>> {
    async fn number(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<usize> {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        line.trim_end().get(1..)?.parse().ok()
    }
    let mut words = Vec::new();
    for _ in 0..number(reader).await? {
        let mut word = vec![0; number(reader).await? + 2];
        reader.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Some(words)
}

/// Takes the report for a snapshot.
fn told(name: &str, folder: &Folder, config: &str, code: i32) {
    folder.write("config.toml", config);
    let said = folder.run(&["doctor", "--config", "config.toml"], &[]);
    assert_eq!((said.code, said.stderr.as_str()), (code, ""), "{name}: {}", said.stdout);
    assert!(said.stdout.is_ascii(), "in a pipe, words for marks: {}", said.stdout);
    insta::assert_snapshot!(name, format!("{}exit code {code}\n", same(&said.stdout)));
}

/// A sandbox that knows the certificate as that of the client `signing`, and a folder with it and its key.
async fn signed(key: &str, certificate: &str) -> (Sandbox, Folder) {
    let auth = ClientAuth::Certificate(certificate.as_bytes().to_vec());
    let client = Client { client_id: "signing".to_owned(), auth };
    let settings = Worldline { clients: vec![client], ..Worldline::default() };
    let folder = Folder::new();
    folder.write("key.pem", key);
    folder.write("certificate.pem", certificate);
    (Sandbox::builder().worldline(settings).start().await.unwrap(), folder)
}

/// The sandbox doesn't know of the TLS before it.
fn audience(front: &str) -> String {
    let url = front.replace("https:", "http:");
    format!("audience = {{ text = \"{url}/auth/realms/sandbox\" }}\n")
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named("authority", 365);
    params.subject_alt_names.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// TLS in front of a sandbox.
struct Front<'a> {
    sandbox: &'a Sandbox,
    name: &'static str,
    days: i64,
    client_certificates: bool,
}

impl<'a> Front<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, name: "localhost", days: 365, client_certificates: false }
    }

    /// Gives its URL.
    async fn start(self, authority: &CertifiedIssuer<'static, KeyPair>) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = named(self.name, self.days).signed_by(&key, authority).unwrap();
        let config = if self.client_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(roots.into()).build().unwrap();
            ServerConfig::builder().with_client_cert_verifier(verifier)
        } else {
            ServerConfig::builder().with_no_client_auth()
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        let (acceptor, behind) = (TlsAcceptor::from(Arc::new(config)), self.sandbox.local_addr());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor.accept(client).into_fallible().await {
                        Ok(mut client) => {
                            let mut sandbox = TcpStream::connect(behind).await.unwrap();
                            let _ = copy_bidirectional(&mut client, &mut sandbox).await;
                        }
                        // Read to its end, so that the alert isn't lost with what the client had sent by then.
                        Err((_, mut client)) => _ = client.read_to_end(&mut Vec::new()).await,
                    }
                });
            }
        });
        url
    }
}
