//! From a configuration to tokens of the sandbox, and what is said of secrets, keys and certificates that aren't right.
#![cfg(test)]

mod support;

use std::{fmt::Write, fs, process::Command, time::Duration};

use access_tokens::ErrorKind;
use access_tokens_config::Config;
use access_tokens_sandbox::{Endpoint, Sandbox};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::support::Folder;

const PASSPHRASE: &str = "open sesame";

fn onence(sandbox: &Sandbox) -> Value {
    json!({
        "provider": "onence", "base_url": sandbox.onence_base_url(), "username": "sandbox@1nce.example",
        "password": { "file": "password" },
    })
}

fn worldline(sandbox: &Sandbox, client_id: &str, how: &str, credentials: Value) -> Value {
    json!({
        "provider": "worldline", "base_url": sandbox.worldline_base_url(), "realm": "sandbox", "client_id": client_id,
        "scopes": ["VOP", "WERO"], how: credentials,
    })
}

fn read(folder: &Folder, sources: Value, variables: &[(&str, &str)]) -> Config {
    let path = folder.write("a.json", json!({ "sources": sources }).to_string());
    support::read_with(path, variables.iter().copied()).unwrap()
}

/// The files of all credentials that the sandbox knows.
fn credentials(folder: &Folder, sandbox: &Sandbox) {
    folder.write("password", "sandbox-password\r\n");
    folder.write("secret", "sandbox-secret\n");
    folder.write("key.pem", sandbox.signing_key_pem());
    folder.write("cert.pem", sandbox.signing_cert_pem());
    folder.write("bundle.p12", bundle(sandbox));
}

fn bundle(sandbox: &Sandbox) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(sandbox.signing_key_pem().as_bytes()).unwrap();
    let certificate = CertificateDer::from_pem_slice(sandbox.signing_cert_pem().as_bytes()).unwrap();
    let key = p12_keystore::PrivateKey::from_der(key.secret_der()).unwrap();
    let certificate = p12_keystore::Certificate::from_der(&certificate).unwrap();
    let chain = p12_keystore::PrivateKeyChain::new("key", key, [certificate]);
    let mut store = p12_keystore::KeyStore::new();
    store.add_entry("key", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
    store.writer(PASSPHRASE).write().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_authenticate_gets_a_token() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = Folder::new();
    credentials(&folder, &sandbox);
    let pair = json!({ "key": { "file": "key.pem" }, "certificate": { "env": "CERTIFICATE" } });
    let jwt = |assertion| worldline(&sandbox, "sandbox-jwt-client", "assertion", assertion);
    let mut warm = onence(&sandbox);
    warm["policy"] = json!({ "keep_warm": true });
    let sources = json!({
        "onence": onence(&sandbox),
        "warm": warm,
        "secret-file": worldline(&sandbox, "sandbox-client", "client_secret", json!({ "file": "secret" })),
        "secret-env": worldline(&sandbox, "sandbox-client", "client_secret", json!({ "env": "SECRET" })),
        "pair": jwt(pair),
        "bundle": jwt(json!({ "pkcs12": { "file": "bundle.p12" }, "passphrase": { "env": "PASSPHRASE" } })),
    });
    let variables =
        [("SECRET", "sandbox-secret"), ("PASSPHRASE", PASSPHRASE), ("CERTIFICATE", sandbox.signing_cert_pem())];
    let config = read(&folder, sources, &variables);
    for source in config.sources() {
        let cache = source.cache().unwrap();
        let token = cache.token().await.unwrap_or_else(|e| panic!("{}: {e}", source.name()));
        assert!(sandbox.accepts(token.secret()), "{}", source.name());
        if source.provider() == "worldline" {
            assert_eq!(token.scopes(), source.scopes());
        }
        let identity = source.identity().unwrap();
        assert_eq!(identity.is_some(), ["pair", "bundle"].contains(&source.name()));
        source.transport().unwrap();
    }
}

/// All of an assertion's settings, as the sandbox receives them: an audience and a `kid` that it doesn't know are refused.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_an_assertion_go_out() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = Folder::new();
    credentials(&folder, &sandbox);
    let audience = format!("{}/realms/sandbox", sandbox.worldline_base_url());
    // (setting, value, whether the sandbox takes it)
    let cases = [
        ("algorithm", json!("RS256"), true),
        ("key_id", json!("sha1"), true),
        ("key_id", json!({ "text": "another" }), false),
        ("audience", json!("issuer"), true),
        ("audience", json!({ "text": audience }), true),
        ("audience", json!({ "text": "https://another.example" }), false),
        ("lifetime", json!("10s"), true),
        ("x509", json!(["x5t", "x5t#S256", "x5c"]), true),
    ];
    for (setting, value, taken) in cases {
        let mut assertion = json!({ "key": { "file": "key.pem" }, "certificate": { "file": "cert.pem" } });
        assertion[setting] = value.clone();
        let source = worldline(&sandbox, "sandbox-jwt-client", "assertion", assertion);
        let config = read(&folder, json!({ "a": source }), &[]);
        let outcome = config.source("a").unwrap().cache().unwrap().token().await.map(|_| ());
        assert_eq!(outcome.is_ok(), taken, "{setting} = {value}: {outcome:?}");
    }
}

/// A file that changes is picked up within a second; one that is empty or gone for a while changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_picked_up() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = Folder::new();
    folder.write("password", "of last month");
    let config = read(&folder, json!({ "sims": onence(&sandbox) }), &[]);
    let source = config.source("sims").unwrap();
    assert_eq!(source.files(), [folder.path().join("password")]);
    let cache = source.cache().unwrap();
    assert_eq!(cache.token().await.unwrap_err().kind(), ErrorKind::Credentials);

    folder.write("password", "");
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(cache.token().await.unwrap_err().kind(), ErrorKind::Credentials);

    let new = folder.write("new", "sandbox-password");
    fs::rename(new, folder.path().join("password")).unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let requests = sandbox.requests(Endpoint::Onence);
    assert!(cache.token().await.is_ok());
    assert_eq!(sandbox.requests(Endpoint::Onence), requests + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_what_is_referred_to() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = Folder::new();
    credentials(&folder, &sandbox);
    folder.write("empty", "\n");
    folder.write("binary", b"hunter2\xff");
    folder.write("other", "hunter2\n");
    let password = |reference| {
        let mut source = onence(&sandbox);
        source["password"] = reference;
        source
    };
    let assertion = |assertion| worldline(&sandbox, "sandbox-jwt-client", "assertion", assertion);
    let transport = |transport| {
        let mut source = onence(&sandbox);
        source["transport"] = transport;
        source
    };
    folder.write("huge", vec![b'a'; 1024 * 1024 + 1]);
    folder.write("marked", "\u{feff}hunter2");
    let certificate = sandbox.signing_cert_pem();
    folder.write("broken", format!("{certificate}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"));
    folder
        .write("none", format!("{certificate}-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n"));
    folder.write("both", format!("{certificate}{}", sandbox.signing_key_pem()));
    let beside = |key: &str, variable: &str| json!({ "key": { "file": key }, "certificate": { "env": variable } });
    let pair = |key: &str, certificate: &str| json!({ "key": { "file": key }, "certificate": { "file": certificate } });
    let mut algorithm = pair("key.pem", "cert.pem");
    algorithm["algorithm"] = json!("ES256");
    let cases = [
        ("no such file", password(json!({ "file": "nowhere" }))),
        ("an absolute path", password(json!({ "file": "/nowhere/secret" }))),
        ("an empty file", password(json!({ "file": "empty" }))),
        ("not UTF-8", password(json!({ "file": "binary" }))),
        ("no such variable", password(json!({ "env": "NOWHERE" }))),
        ("an empty variable", password(json!({ "env": "EMPTY" }))),
        ("control characters", password(json!({ "env": "CONTROL" }))),
        ("no key file", assertion(pair("nowhere", "cert.pem"))),
        ("no certificate file", assertion(pair("key.pem", "nowhere"))),
        ("no key in it", assertion(pair("other", "cert.pem"))),
        ("no certificate in it", assertion(pair("key.pem", "other"))),
        ("swapped", assertion(pair("cert.pem", "key.pem"))),
        ("a key in a variable", assertion(json!({ "key": { "env": "OTHER" }, "certificate": { "file": "cert.pem" } }))),
        ("not for this key", assertion(algorithm)),
        ("a key in a file beside a variable", assertion(beside("other", "SANDBOX"))),
        (
            "a certificate in a file beside a variable",
            assertion(json!({
                "key": { "env": "KEY" }, "certificate": { "file": "other" },
            })),
        ),
        ("a folder", password(json!({ "file": "/" }))),
        ("a huge file", password(json!({ "file": "huge" }))),
        ("a key in a huge file", assertion(pair("huge", "cert.pem"))),
        ("a byte order mark", password(json!({ "file": "marked" }))),
        ("a broken root", transport(json!({ "roots": ["cert.pem", "broken"] }))),
        ("a root that is none", transport(json!({ "roots": ["cert.pem", "none"] }))),
        ("a key among roots", transport(json!({ "roots": ["both"] }))),
        ("no bundle", assertion(json!({ "pkcs12": { "file": "nowhere" } }))),
        ("not a bundle", assertion(json!({ "pkcs12": { "file": "other" } }))),
        (
            "a wrong passphrase",
            assertion(json!({ "pkcs12": { "file": "bundle.p12" }, "passphrase": { "env": "OTHER" } })),
        ),
        ("no passphrase", assertion(json!({ "pkcs12": { "file": "bundle.p12" }, "passphrase": { "file": "empty" } }))),
        ("no roots", transport(json!({ "roots": ["cert.pem", "nowhere"] }))),
        ("not roots", transport(json!({ "roots": ["cert.pem", "other"] }))),
        ("not a proxy", transport(json!({ "proxy": { "file": "other" } }))),
        ("no client certificate", transport(json!({ "identity": pair("key.pem", "other") }))),
    ];
    let variables = [
        ("EMPTY", ""),
        ("CONTROL", "hunter2\n"),
        ("OTHER", "hunter2"),
        ("SANDBOX", sandbox.signing_cert_pem()),
        ("KEY", sandbox.signing_key_pem()),
    ];
    let mut report = String::new();
    for (what, source) in cases {
        let text = serde_json::to_string_pretty(&json!({ "sources": { "a": source } })).unwrap();
        let config = support::read_with(folder.write("a.json", text), variables).unwrap();
        let error = config.source("a").unwrap().cache().unwrap_err();
        let error = folder.without(&error.to_string());
        assert!(!error.contains("hunter2"), "{error}");
        writeln!(report, "{what}:\n    {error}").unwrap();
    }
    insta::assert_snapshot!(report);
    assert_eq!(sandbox.requests(Endpoint::Onence) + sandbox.requests(Endpoint::Worldline), 0);
}

/// `keep_warm` needs a runtime; without it none is needed.
#[test]
fn outside_of_a_runtime() {
    let source = |warm: &str| {
        let variables = ["PROVIDER=onence", "USERNAME=me", "PASSWORD__ENV=P"].map(|text| text.split_once('=').unwrap());
        let variables = variables.into_iter().chain([("POLICY__KEEP_WARM", warm)]);
        let variables = variables.map(|(name, value)| (format!("ACCESS_TOKENS__SOURCES__A__{name}"), value));
        support::from_variables(variables.chain([("P".to_owned(), "secret")])).unwrap()
    };
    assert!(source("false").source("a").unwrap().cache().is_ok());
    let error = source("true").source("a").unwrap().cache().unwrap_err().to_string();
    let place = "ACCESS_TOKENS__SOURCES__A__POLICY__KEEP_WARM: ";
    assert!(error.starts_with(place), "{error}");
}

/// As from `<(pass show proxy)`: it is there once, and asked for several times.
#[test]
#[cfg(unix)]
fn a_pipe_is_read_once_for_all_who_ask() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn(move || std::fs::write(pipe, "http://me:hunter2@proxy.example:3128\n").unwrap());
    let source = json!({
        "provider": "onence", "username": "me", "password": { "env": "P" }, "transport": { "proxy": { "file": "pipe" } },
    });
    let config = read(&folder, json!({ "a": source }), &[("P", "secret")]);
    let source = config.source("a").unwrap();
    assert!(config.check("a").unwrap().problems.is_empty());
    assert!(source.transport().is_ok() && source.endpoint().is_ok() && source.cache().is_ok());
    writer.join().unwrap();
}
