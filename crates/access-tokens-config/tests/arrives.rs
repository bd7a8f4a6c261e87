//! Every setting, with another value than its default, at what it is for: the transport, the client, its requests, the cache.
#![cfg(test)]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    thread::{self, JoinHandle},
    time::Duration,
};

use access_tokens::{
    Identity, Policy, Scopes, Transport,
    assertion::{self, Algorithm, ClientAssertion},
    onence, worldline,
};
use access_tokens_config::{Config, Source};
use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Folder, settings};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/keys/");
const PASSPHRASE: &str = "test key: öffne dich";

fn bytes(name: &str) -> Vec<u8> {
    fs::read(format!("{KEYS}{name}")).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

/// The sources; each setting has another value than its default in one of them.
fn sources(base_url: &str) -> Value {
    let worldline = |transport: Value| {
        json!({
            "provider": "worldline", "base_url": base_url, "realm": "clients", "client_id": "us", "scopes": ["VOP", "WERO"],
            "transport": transport,
        })
    };
    let mut files = worldline(json!({
        "proxy": { "file": "proxy" }, "roots": ["root.pem", "issuing.pem"], "connect_timeout": "1s", "timeout": "2s",
        "identity": {
            "key": { "file": "p256.pkcs8-aes.pem" }, "certificate": { "file": "p256.certificate.pem" },
            "passphrase": { "file": "passphrase" },
        },
    }));
    files["assertion"] = json!({
        "key": { "file": "rsa.pkcs8-aes.pem" }, "certificate": { "file": "rsa.certificate.pem" },
        "passphrase": { "file": "passphrase" }, "algorithm": "PS256", "key_id": "sha256", "audience": "token-endpoint",
        "lifetime": "30s", "x509": ["x5t#S256"],
    });
    let mut variables = worldline(json!({
        "proxy": { "env": "PROXY" },
        "identity": {
            "key": { "env": "KEY" }, "certificate": { "env": "CERTIFICATE" }, "passphrase": { "env": "PASSPHRASE" },
        },
    }));
    variables["assertion"] = variables["transport"]["identity"].clone();
    let mut bundles = worldline(json!({
        "proxy": "http://proxy.example:3128",
        "identity": { "pkcs12": { "file": "p256.modern.p12" }, "passphrase": { "file": "passphrase" } },
    }));
    bundles["assertion"] = json!({
        "pkcs12": { "file": "rsa.modern.p12" }, "passphrase": { "env": "PASSPHRASE" }, "key_id": { "text": "our key" },
        "audience": { "text": "them" },
    });
    let mut secret_file = worldline(json!({}));
    secret_file["client_secret"] = json!({ "file": "passphrase" });
    let mut secret_env = worldline(json!({}));
    secret_env["store"] = json!(false);
    secret_env["client_secret"] = json!({ "env": "PASSPHRASE" });
    let policy = json!({
        "refresh_at": 0.7, "jitter": 0.1, "keep_warm": true, "assumed_lifetime": "2m", "first_pause": "1s",
        "longest_pause": "8s", "longest_rejected_pause": "5m", "longest_retry_after": "10m", "invalidation_pause": "1m",
        "exchange_timeout": "20s",
    });
    let identity = bundles["transport"]["identity"].clone();
    let onence = |password: Value| {
        json!({
            "provider": "onence", "base_url": "https://api.example/v1", "username": "me", "password": password,
            "store": false, "policy": policy, "transport": { "connect_timeout": "1s", "timeout": "2s", "identity": identity },
        })
    };
    secret_file["policy"] = policy.clone();
    json!({
        "files": files, "variables": variables, "bundles": bundles, "secret-file": secret_file, "secret-env": secret_env,
        "onence-file": onence(json!({ "file": "passphrase" })), "onence-env": onence(json!({ "env": "PASSPHRASE" })),
    })
}

fn read(sources: &Value) -> (Folder, Config) {
    let folder = Folder::new();
    for name in fs::read_dir(KEYS).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        folder.write(&name, bytes(&name));
    }
    folder.write("passphrase", format!("{PASSPHRASE}\n"));
    folder.write("proxy", "http://me:secret@proxy.example:3128\n");
    let path = folder.write("a.json", json!({ "sources": sources }).to_string());
    let variables = [
        ("PASSPHRASE", PASSPHRASE.to_owned()),
        ("PROXY", "http://me:secret@proxy.example:3128".to_owned()),
        ("KEY", text("rsa.pkcs8-aes.pem")),
        ("CERTIFICATE", text("rsa.certificate.pem")),
    ];
    let config = support::read_with(path, variables).unwrap();
    (folder, config)
}

/// TLS can't use the client certificates among the keys, which are of X.509's first version.
fn without_identities(base_url: &str) -> Value {
    let mut sources = sources(base_url);
    for source in sources.as_object_mut().unwrap().values_mut() {
        source["transport"].as_object_mut().unwrap().remove("identity");
    }
    sources
}

/// Holds the others together: a new setting is missing until it is added above.
#[test]
fn no_setting_is_missing_here() {
    let sources = sources("https://auth.example/auth");
    let (_folder, config) = read(&sources);
    let defaults = support::from_variables(
        ["PROVIDER=onence", "USERNAME=-", "PASSWORD__ENV=P"]
            .map(|text| text.split_once('=').unwrap())
            .map(|(name, value)| (format!("ACCESS_TOKENS__SOURCES__A__{name}"), value)),
    );
    let defaults = defaults.unwrap().to_json(&[]).unwrap()["sources"]["a"].clone();
    for provider in ["onence", "worldline"] {
        for key in settings(provider) {
            let place = format!("/{}", key.replace('.', "/"));
            let shared = key.starts_with("transport") || key.starts_with("policy");
            let of_provider = config.sources().filter(|source| shared || source.provider() == provider);
            let told = |source: &Source| sources[source.name()].pointer(&place).cloned();
            let told: Vec<_> = of_provider.filter_map(told).collect();
            let default = defaults.pointer(&place).filter(|default| !default.is_object() && key != "provider");
            assert!(told.iter().any(|value| Some(value) != default), "{provider}: {key} isn't set to another value");
        }
    }
}

#[test]
fn in_the_transport() {
    let (_folder, config) = read(&sources("https://auth.example/auth"));
    let transport = |name: &str| format!("{:?}", config.source(name).unwrap().transport().unwrap());
    let proxy = || Transport::new().proxy("http://proxy.example:3128");
    let p256 = Identity::new(bytes("p256.pkcs8.pem"), Some(bytes("p256.certificate.pem").as_ref()), None).unwrap();
    let rsa = Identity::new(bytes("rsa.pkcs8.pem"), Some(bytes("rsa.certificate.pem").as_ref()), None).unwrap();
    let p256_bundle = || Identity::new(bytes("p256.modern.p12"), None, Some(PASSPHRASE)).unwrap();
    let short =
        |transport: Transport| transport.connect_timeout(Duration::from_secs(1)).timeout(Duration::from_secs(2));
    let files = short(proxy().add_roots_pem(bytes("root.pem")).add_roots_pem(bytes("issuing.pem")).identity(p256));
    assert_eq!(transport("files"), format!("{files:?}"));
    assert_eq!(transport("variables"), format!("{:?}", proxy().identity(rsa)));
    assert_eq!(transport("bundles"), format!("{:?}", proxy().identity(p256_bundle())));
    assert_eq!(transport("secret-env"), format!("{:?}", Transport::new()));
    assert_eq!(transport("onence-file"), format!("{:?}", short(Transport::new().identity(p256_bundle()))));
}

#[test]
fn in_the_client() {
    let base_url = "https://auth.example/auth";
    let (_folder, config) = read(&without_identities(base_url));
    let rsa = || Identity::new(bytes("rsa.pkcs8.pem"), Some(bytes("rsa.certificate.pem").as_ref()), None).unwrap();
    let bundle = || Identity::new(bytes("rsa.modern.p12"), None, Some(PASSPHRASE)).unwrap();
    let assertion = |identity| ClientAssertion::new("us", identity).unwrap();
    let files = assertion(rsa())
        .algorithm(Algorithm::Ps256)
        .unwrap()
        .key_id(assertion::KeyId::Sha256Fingerprint)
        .audience(assertion::Audience::TokenEndpoint)
        .lifetime(Duration::from_secs(30));
    let bundles = assertion(bundle())
        .key_id(assertion::KeyId::Text("our key".to_owned()))
        .audience(assertion::Audience::Text("them".to_owned()));
    let secret = || worldline::Credentials::from(worldline::ClientSecret::new("us", PASSPHRASE));
    let cases: [(&str, worldline::Credentials); 5] = [
        ("files", files.into()),
        ("variables", assertion(rsa()).into()),
        ("bundles", bundles.into()),
        ("secret-file", secret()),
        ("secret-env", secret()),
    ];
    for (name, credentials) in cases {
        let scopes: Scopes = "VOP WERO".parse().unwrap();
        let realm = worldline::Realm::new("clients").unwrap();
        let client = worldline::Client::builder(base_url, realm, scopes, credentials).build().unwrap();
        let endpoint = config.source(name).unwrap().endpoint().unwrap();
        let (endpoint, client) = (format!("{endpoint:?}"), format!("{client:?}"));
        assert!(endpoint.contains(&client), "{name}:\n{endpoint}\n{client}");
    }
    let onence = onence::Client::builder(onence::Credentials::new("me", PASSPHRASE)).base_url("https://api.example/v1");
    let onence = format!("{:?}", onence.build().unwrap());
    for name in ["onence-file", "onence-env"] {
        let endpoint = format!("{:?}", config.source(name).unwrap().endpoint().unwrap());
        assert!(endpoint.contains(&onence), "{name}:\n{endpoint}\n{onence}");
    }
    let kind = |name: &str| config.source(name).unwrap().identity().unwrap().map(|identity| identity.key_type());
    let kinds = ["files", "variables", "bundles", "secret-env"].map(kind);
    assert_eq!(kinds, [Some("RSA"), Some("RSA"), Some("RSA"), None]);

    // That it has the transport too shows where TLS can't use what is in that.
    let (_folder, config) = read(&sources(base_url));
    for name in ["files", "onence-file"] {
        let error = config.source(name).unwrap().endpoint().unwrap_err().to_string();
        assert!(error.contains(": TLS can't use it"), "{error}");
    }
}

/// Every reference to a file, however deep, is watched; and nothing else is.
#[test]
fn in_what_is_watched() {
    let sources = sources("https://auth.example/auth");
    let (folder, config) = read(&sources);
    for source in config.sources() {
        let mut expected = BTreeSet::new();
        referred(&sources[source.name()], &mut expected);
        let files: BTreeSet<_> = source.files().into_iter().collect();
        assert_eq!(files, expected.iter().map(|name| folder.path().join(name)).collect::<BTreeSet<PathBuf>>());
    }
}

fn referred(node: &Value, files: &mut BTreeSet<String>) {
    for (key, value) in node.as_object().into_iter().flatten() {
        let roots = value.as_array().filter(|_| key == "roots").into_iter().flatten();
        let names = roots.chain((key == "file").then_some(value));
        files.extend(names.map(|name| name.as_str().unwrap().to_owned()));
        referred(value, files);
    }
}

/// The client's `Debug` doesn't have all of it; what is sent does.
#[test]
fn in_the_header_of_an_assertion() {
    for (name, expected) in [("files", &["alg", "kid", "typ", "x5t#S256"][..]), ("bundles", &["alg", "kid", "typ"])] {
        let (address, request) = listen();
        let (_folder, config) = read(&without_identities(&format!("http://{address}/auth")));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let cache = config.source(name).unwrap().cache().unwrap();
        runtime.block_on(cache.token()).unwrap_err();
        let request = request.join().unwrap();
        let (_, assertion) = request.split_once("client_assertion=").unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header.as_object().unwrap().keys().collect::<Vec<_>>(), expected, "{name}");
    }
}

/// A server that takes one request and refuses it: its address, and what was sent.
fn listen() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let request = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        loop {
            let mut part = [0; 4096];
            let length = stream.read(&mut part).unwrap();
            request.extend_from_slice(&part[..length]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let head = head.to_ascii_lowercase();
                let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
                body.len() >= length.parse().unwrap()
            });
            if whole {
                stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
                return text;
            }
        }
    });
    (address, request)
}

/// The defaults are written down a second time in the configuration, for the schema and for what is shown.
#[test]
fn nothing_by_default() {
    let source = json!({ "provider": "onence", "username": "me", "password": { "env": "P" } });
    let (_folder, config) = read(&json!({ "sims": source }));
    let source = config.source("sims").unwrap();
    assert_eq!(source.policy(), &Policy::new());
    assert_eq!(format!("{:?}", source.transport().unwrap()), format!("{:?}", Transport::new()));
}

#[test]
fn in_the_policy() {
    let (_folder, config) = read(&sources("https://auth.example/auth"));
    let seconds = Duration::from_secs;
    let policy = Policy::new()
        .refresh_at(0.7)
        .jitter(0.1)
        .assumed_lifetime(seconds(120))
        .first_pause(seconds(1))
        .longest_pause(seconds(8))
        .longest_rejected_pause(seconds(300))
        .longest_retry_after(seconds(600))
        .invalidation_pause(seconds(60))
        .exchange_timeout(seconds(20));
    assert_eq!(config.source("onence-env").unwrap().policy(), &policy);
    assert!(config.source("onence-env").unwrap().keep_warm());
}

/// That the cache has the policy: a server that asks for a pause of an hour is asked again after the longest.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_cache() {
    let sandbox = Sandbox::start().await.unwrap();
    let source = json!({
        "provider": "onence", "base_url": sandbox.onence_base_url(), "username": "sandbox@1nce.example",
        "password": { "env": "P" }, "policy": { "longest_retry_after": "1s" },
    });
    let folder = Folder::new();
    let path = folder.write("a.json", json!({ "sources": { "a": source } }).to_string());
    let config = support::read_with(path, [("P", "sandbox-password")]).unwrap();
    let cache = config.source("a").unwrap().cache().unwrap();
    sandbox.fault(Endpoint::Onence, Fault::status(429).retry_after(3600).times(1)).unwrap();
    cache.token().await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    cache.token().await.unwrap();
    assert_eq!(sandbox.requests(Endpoint::Onence), 2);
}
