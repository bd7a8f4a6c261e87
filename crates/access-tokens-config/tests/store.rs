//! Every setting of the store, with another value than its default, at what it is for; and its keys, when they change.
#![cfg(test)]

#[path = "../../access-tokens-redis/tests/support/mod.rs"]
mod redis;
mod support;

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::TcpListener,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use access_tokens::{
    ErrorKind, TokenCache, onence,
    store::{KeyRing, SharedStore},
};
use access_tokens_config::Config;
use access_tokens_redis::RedisStore;
use access_tokens_sandbox::{Endpoint, Sandbox};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::{
    redis::{RedisServer, Reply, free_port, redis_or_skip},
    support::{Folder, settings},
};

/// 32 bytes in base64.
const NAME_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const NEXT_KEY: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
const PASSWORD: &str = "planted hunter2";

/// Stores; each setting has another value than its default in one of them.
fn stores(at: &str) -> Vec<(&'static str, Value)> {
    let keys = json!([{ "file": "key" }, { "env": "KEY" }]);
    vec![
        (
            "files",
            json!({
                "urls": format!("redis://{at}/3"), "username": "me", "password": { "file": "password" },
                "name_key": { "file": "name_key" }, "keys": keys, "prefix": "ours", "timeout": "100ms",
            }),
        ),
        (
            "variables",
            json!({
                "urls": { "env": "URL" }, "password": { "env": "PASSWORD" },
                "name_key": { "env": "NAME_KEY" }, "keys": { "env": "KEY" },
            }),
        ),
        (
            "url in a file",
            json!({ "urls": { "file": "url" }, "name_key": { "file": "name_key" }, "keys": { "file": "both" } }),
        ),
        (
            "cluster",
            json!({
                "mode": "cluster", "urls": [format!("redis://{at}"), { "env": "URL" }],
                "name_key": { "file": "name_key" }, "keys": { "file": "key" },
            }),
        ),
        (
            "sentinels",
            json!({
                "mode": "sentinel", "master": "tokens", "urls": [format!("redis://{at}")],
                "sentinel_username": "us", "sentinel_password": { "file": "password" },
                "name_key": { "file": "name_key" }, "keys": [{ "file": "key" }],
            }),
        ),
        (
            "sentinels by variables",
            json!({
                "mode": "sentinel", "master": "tokens", "urls": [format!("redis://{at}")],
                "sentinel_password": { "env": "PASSWORD" },
                "name_key": { "file": "name_key" }, "keys": [{ "file": "key" }],
            }),
        ),
        (
            "TLS",
            json!({
                "urls": format!("rediss://{at}"), "roots": ["root.pem"],
                "identity": { "key": { "file": "client.key" }, "certificate": { "file": "client.pem" } },
                "name_key": { "file": "name_key" }, "keys": { "file": "key" },
            }),
        ),
        (
            "TLS by variables",
            json!({
                "urls": format!("rediss://{at}"), "roots": ["root.pem"],
                "identity": { "key": { "env": "CLIENT_KEY" }, "certificate": { "env": "CLIENT_CERTIFICATE" } },
                "name_key": { "file": "name_key" }, "keys": { "file": "key" },
            }),
        ),
    ]
}

fn store(name: &str, at: &str) -> Value {
    stores(at).into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// With the certificates of a private authority, for the server and for a client.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("sims", "sandbox-password\n");
    folder.write("password", format!("{PASSWORD}\n"));
    folder.write("name_key", format!("{NAME_KEY}\n"));
    folder.write("key", NEXT_KEY);
    folder.write("both", format!("\n{NEXT_KEY}\r\n {KEY}\n"));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    folder.write("root.pem", authority.pem());
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        folder.write(&format!("{name}.pem"), params.signed_by(&key, &authority).unwrap().pem());
        folder.write(&format!("{name}.key"), key.serialize_pem());
        folder.write(&format!("{name}.der"), key.serialize_der());
    }
    folder
}

/// Reads a configuration with this store and this source.
fn read(folder: &Folder, store: &Value, source: &Value, at: &str) -> Config {
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let path = folder.write("a.json", json!({ "store": store, "sources": { "sims": source } }).to_string());
    let variables = [
        ("URL", format!("redis://{at}")),
        ("PASSWORD", PASSWORD.to_owned()),
        ("NAME_KEY", NAME_KEY.to_owned()),
        ("KEY", KEY.to_owned()),
        ("KEYS", format!("{NEXT_KEY} {KEY}")),
        ("CLIENT_KEY", text("client.key")),
        ("CLIENT_CERTIFICATE", text("client.pem")),
    ];
    support::read_with(path, variables).unwrap()
}

fn sims(sandbox: Option<&Sandbox>) -> Value {
    let base_url = sandbox.map_or("http://localhost:1".to_owned(), Sandbox::onence_base_url);
    json!({
        "provider": "onence", "base_url": base_url, "username": "sandbox@1nce.example", "password": { "file": "sims" },
    })
}

fn shared(folder: &Folder, store: &Value, at: &str) -> SharedStore {
    read(folder, store, &sims(None), at).store().unwrap().shared().unwrap()
}

#[test]
fn no_setting_is_missing_here() {
    let (stores, folder) = (stores("redis.example"), folder());
    let least = json!({ "urls": "redis://x", "name_key": { "env": "N" }, "keys": { "env": "K" } });
    let defaults = read(&folder, &least, &sims(None), "x").to_json(&[]).unwrap()["store"].clone();
    for key in settings("store") {
        let place = format!("/{}", key.replace('.', "/"));
        let told: Vec<_> = stores.iter().filter_map(|(_, store)| store.pointer(&place)).collect();
        let default = defaults.pointer(&place).filter(|default| !default.is_object());
        assert!(told.iter().any(|value| Some(*value) != default), "{key} isn't set to another value");
    }
}

#[test]
fn in_the_store() {
    let (folder, at) = (folder(), "redis.example:7000");
    let made = |name: &str| format!("{:?}", shared(&folder, &store(name, at), at));
    let redis = |urls: &[&str]| RedisStore::builder(urls.iter().copied());
    let pem = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let secured = || {
        redis(&["rediss://redis.example:7000"])
            .add_roots_pem(pem("root.pem"))
            .identity(access_tokens::Identity::new(pem("client.key"), Some(pem("client.pem").as_ref()), None).unwrap())
    };
    let (url, database) = ("redis://redis.example:7000", "redis://redis.example:7000/3");
    folder.write("url", format!("redis://:{}@redis.example:7000/3\n", "hunter2"));
    let cases = [
        ("files", redis(&[database]).username("me").password(PASSWORD).prefix("ours"), 2),
        ("variables", redis(&[url]).password(PASSWORD), 1),
        ("url in a file", redis(&[database]), 2),
        ("cluster", redis(&[url, url]).cluster(), 1),
        ("sentinels", redis(&[url]).sentinel("tokens"), 1),
        ("TLS", secured(), 1),
        ("TLS by variables", secured(), 1),
    ];
    for (name, redis, keys) in cases {
        let made = made(name);
        let expected = format!("store: {:?}, keys: KeyRing {{ keys: {keys}, .. }}", redis.build().unwrap());
        assert!(made.contains(&expected), "{name}:\n{made}\n{expected}");
        assert!(!made.contains("hunter2"), "{made}");
    }
    let mut several = store("variables", at);
    several["keys"] = json!({ "env": "KEYS" });
    assert!(format!("{:?}", shared(&folder, &several, at)).contains("keys: 2"));
}

/// The default is written down a second time in the configuration, for the schema and for what is shown.
#[test]
fn in_how_long_it_is_waited_for_by_default() {
    let (folder, at) = (folder(), "redis.example");
    let config = read(&folder, &store("sentinels", at), &sims(None), at);
    assert_eq!(config.to_json(&[]).unwrap()["store"]["timeout"], "250ms");
    let redis = || RedisStore::builder([format!("redis://{at}")]).build().unwrap();
    let shared = || SharedStore::builder(redis(), KeyRing::from_base64(NAME_KEY, [KEY]).unwrap());
    assert_eq!(format!("{:?}", shared().timeout(Duration::from_millis(250))), format!("{:?}", shared()));
}

/// What is read and what is told of it; of the keys alone that they are watched shows in `keys_follow_their_files`.
#[test]
fn in_its_files() {
    let folder = folder();
    let files = |name: &str| {
        let mut files = read(&folder, &store(name, "x"), &sims(None), "x").store().unwrap().files();
        files.sort();
        files
    };
    let paths = |names: &[&str]| names.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>();
    assert_eq!(files("files"), paths(&["key", "name_key", "password"]));
    assert_eq!(files("variables"), paths(&[]));
    assert_eq!(files("url in a file"), paths(&["both", "name_key", "url"]));
    assert_eq!(files("sentinels"), paths(&["key", "name_key", "password"]));
    assert_eq!(files("TLS"), paths(&["client.key", "client.pem", "key", "name_key", "root.pem"]));
}

/// The login, which neither `Debug` shows.
#[tokio::test(flavor = "multi_thread")]
async fn in_what_is_sent() {
    for (name, expected) in [
        ("files", &["AUTH", "me", PASSWORD, "SELECT", "3"][..]),
        ("variables", &["AUTH", PASSWORD]),
        ("url in a file", &["AUTH", PASSWORD, "SELECT", "3"]),
        ("sentinels", &["AUTH", "us", PASSWORD, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "tokens"]),
        ("sentinels by variables", &["AUTH", PASSWORD]),
    ] {
        let (at, sent) = listen();
        let folder = folder();
        folder.write("url", format!("redis://:{}@{at}/3\n", PASSWORD.replace(' ', "%20")));
        let error = shared(&folder, &store(name, &at), &at).check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let sent = sent.join().unwrap();
        let words: Vec<_> = sent.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
        assert!(words.starts_with(expected), "{name}: {words:?}");
    }
}

/// A server that takes the login, and answers nothing after that; its address, and what was said to it.
fn listen() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut heard = Vec::new();
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut part) {
            if heard.is_empty() {
                stream.write_all(b"+OK\r\n").unwrap();
            }
            heard.extend_from_slice(&part[..length]);
        }
        String::from_utf8_lossy(&heard).into_owned()
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_how_long_it_is_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let folder = folder();
    for (timeout, least, most) in [("30ms", 30, 200), ("700ms", 700, 1300)] {
        let mut store = store("variables", &at);
        store["timeout"] = json!(timeout);
        let begun = Instant::now();
        let error = shared(&folder, &store, &at).check().await.unwrap_err();
        assert!(error.to_string().contains(timeout), "{error}");
        let took = begun.elapsed().as_millis();
        assert!((least..most).contains(&took), "{timeout}: {took} ms");
    }
}

/// Keys, names and prefix are those that are set: who has the same shares, who has others doesn't.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_fleet() {
    if !redis_or_skip("that a fleet shares by the settings of its configuration") {
        return;
    }
    let (server, sandbox, folder) = (RedisServer::start(), Sandbox::start().await.unwrap(), folder());
    let at = format!("127.0.0.1:{}", server.port());
    let mut store = store("variables", &at);
    (store["prefix"], store["keys"]) = (json!("ours"), json!({ "file": "both" }));
    store.as_object_mut().unwrap().remove("password");
    let requests = || sandbox.requests(Endpoint::Onence);
    let token = async |config: &Config| {
        let cache = config.source("sims").unwrap().cache().unwrap();
        let token = cache.token().await.unwrap().secret().to_owned();
        cache.shutdown().await;
        token
    };
    let config = read(&folder, &store, &sims(Some(&sandbox)), &at);
    let first = token(&config).await;
    assert_eq!((token(&config).await == first, requests()), (true, 1));
    // The first key seals.
    for (keys, prefix, same) in
        [([NEXT_KEY], "ours", true), ([KEY], "theirs", false), ([KEY], "ours", false), ([NEXT_KEY], "ours", false)]
    {
        let redis = RedisStore::builder([server.url()]).prefix(prefix).build().unwrap();
        let shared = SharedStore::new(redis, KeyRing::from_base64(NAME_KEY, keys).unwrap());
        let credentials = onence::Credentials::new("sandbox@1nce.example", "sandbox-password");
        let client = onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap();
        let cache = TokenCache::builder(client).store(shared).build().unwrap();
        let token = cache.token().await.unwrap().secret().to_owned();
        cache.shutdown().await;
        assert_eq!(token == first, same, "{keys:?} {prefix}");
    }
    // Another key of the names: another entry.
    let entries = || match server.command(&["DBSIZE"]) {
        Reply::Integer(entries) => entries,
        other => panic!("{other:?}"),
    };
    let before = entries();
    folder.write("name_key", KEY);
    store["name_key"] = json!({ "file": "name_key" });
    store["keys"] = json!({ "file": "key" });
    token(&read(&folder, &store, &sims(Some(&sandbox)), &at)).await;
    assert_eq!(entries(), before + 1);
}

/// A source that takes no part makes its own exchanges, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn not_in_a_source_that_takes_no_part() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), folder());
    // Nobody may connect to it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    let mut source = sims(Some(&sandbox));
    source["store"] = json!(false);
    let config = read(&folder, &store("variables", &at), &source, &at);
    let source = config.source("sims").unwrap();
    assert!(source.store().is_none() && config.store().is_some());
    for _ in 0..2 {
        source.cache().unwrap().token().await.unwrap();
    }
    assert_eq!(sandbox.requests(Endpoint::Onence), 2);
    assert!(listener.accept().is_err());
}

/// One handle for all caches: one that has seen that the store is away tells the others.
#[tokio::test(flavor = "multi_thread")]
async fn one_handle_for_all() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), folder());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = format!("127.0.0.1:{port}");
    let config = read(&folder, &store("variables", &at), &sims(Some(&sandbox)), &at);
    let handle = config.clone().store().unwrap().shared().unwrap();
    assert!(handle.is_available());
    config.source("sims").unwrap().cache().unwrap().token().await.unwrap();
    assert!(!handle.is_available());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_tls() {
    if !redis_or_skip("TLS with roots and a client certificate") {
        return;
    }
    let folder = folder();
    let port = free_port();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", path("server.pem")),
        ("--tls-key-file", path("server.key")),
        ("--tls-ca-cert-file", path("root.pem")),
        ("--tls-auth-clients", "yes".to_owned()),
    ];
    let arguments: Vec<_> = arguments.iter().flat_map(|(name, value)| [*name, value]).collect();
    let _server = RedisServer::start_with(&arguments);
    let at = format!("localhost:{port}");
    for name in ["TLS", "TLS by variables"] {
        let mut store = store(name, &at);
        store["timeout"] = json!("2s");
        shared(&folder, &store, &at).check().await.unwrap();
        store["roots"] = json!([]);
        let error = shared(&folder, &store, &at).check().await.unwrap_err().to_string();
        assert!(error.contains("isn't trusted"), "{error}");
    }
    let mut without = store("TLS", &at);
    without.as_object_mut().unwrap().remove("identity");
    without["timeout"] = json!("2s");
    assert!(shared(&folder, &without, &at).check().await.is_err());
}

/// By its `Debug`, which has how many keys there are. With a handle alone: the configuration is gone.
#[test]
fn keys_follow_their_files() {
    let folder = folder();
    let shared = shared(&folder, &store("files", "x"), "x");
    let keys = || {
        let text = format!("{shared:?}");
        let (_, keys) = text.split_once("KeyRing { keys: ").unwrap();
        keys.split(',').next().unwrap().to_owned()
    };
    let until = |expected: &str| redis::until(&format!("a ring of {expected}"), || keys() == expected);
    until("2");
    let third = "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=";
    folder.write("key", format!("{NEXT_KEY}\n{third}\n"));
    until("3");
    // Cut off, twice the same, empty, none: nothing changes.
    for wrong in [third.trim_end_matches("BAQ="), &format!("{third}\n{third}"), "", "hunter2"] {
        folder.write("key", wrong);
        thread::sleep(Duration::from_millis(700));
        assert_eq!(keys(), "3", "{wrong}");
    }
    folder.write("key", NEXT_KEY);
    until("2");
}

#[test]
fn mistakes_in_what_it_refers_to() {
    let folder = folder();
    folder.write("short", "aHVudGVyMg==");
    folder.write("other", "hunter2!");
    let many: Vec<_> = (2..19).map(|n| BASE64_STANDARD.encode([n; 32])).collect();
    folder.write("many", many.join("\n"));
    folder.write("twice", format!("{KEY}\n{KEY}\n"));
    folder.write("empty", "\n\n");
    folder.write("url", "https://me:hunter2@redis.example\n");
    folder.write("urls", "redis://:hunter2@redis.example/first\n");
    let with = |key: &str, value: Value| {
        let mut store = store("files", "redis.example");
        store[key] = value;
        store
    };
    let tls = |key: &str, value: Value| {
        let mut store = store("TLS", "redis.example");
        store[key] = value;
        store
    };
    let file = |name: &str| json!({ "file": name });
    let without_user = |mut store: Value| {
        store.as_object_mut().unwrap().retain(|key, _| key != "username" && key != "password");
        store
    };
    let mut own_and_in_url = with("urls", json!({ "env": "LOGIN_URL" }));
    own_and_in_url["keys"] = file("key");
    let cases = [
        ("no key of the names", with("name_key", file("nowhere"))),
        ("not base64 for the names", with("name_key", file("other"))),
        ("a short key of the names", with("name_key", file("short"))),
        ("no such variable", with("name_key", json!({ "env": "NOWHERE" }))),
        ("no key", with("keys", json!([{ "file": "key" }, { "file": "nowhere" }]))),
        ("not base64", with("keys", json!([{ "file": "key" }, { "file": "other" }]))),
        ("a short key", with("keys", json!([{ "file": "key" }, { "file": "short" }]))),
        ("a short key in a variable", with("keys", json!({ "env": "SHORT" }))),
        ("an empty file", with("keys", file("empty"))),
        ("the key of the names", with("keys", json!([{ "file": "key" }, { "file": "name_key" }]))),
        ("the same in two files", with("keys", json!([{ "file": "key" }, { "file": "both" }]))),
        ("the same twice in one", with("keys", file("twice"))),
        ("too many", with("keys", file("many"))),
        ("no password", with("password", file("nowhere"))),
        ("another scheme in a file", without_user(with("urls", file("url")))),
        ("no database in a file", without_user(with("urls", file("urls")))),
        ("a password in the URL and beside it", own_and_in_url),
        ("no roots", tls("roots", json!(["other"]))),
        (
            "a key of another certificate",
            tls("identity", json!({ "key": file("server.key"), "certificate": file("client.pem") })),
        ),
        ("roots without TLS in a variable", tls("urls", json!({ "env": "PLAIN_URL" }))),
    ];
    let variables = [
        ("KEY", KEY),
        ("SHORT", "aHVudGVyMg=="),
        ("LOGIN_URL", "redis://:hunter2@redis.example"),
        ("PLAIN_URL", "redis://redis.example"),
    ];
    let mut report = String::new();
    for (what, store) in cases {
        let text = serde_json::to_string_pretty(&json!({ "store": store, "sources": { "sims": sims(None) } })).unwrap();
        let config = support::read_with(folder.write("a.json", text), variables).unwrap();
        let store = config.store().unwrap();
        let error = folder.without(&store.shared().unwrap_err().to_string());
        assert!(!error.contains("hunter2") && !error.contains(KEY), "{error}");
        let of_cache = folder.without(&config.source("sims").unwrap().cache().unwrap_err().to_string());
        assert_eq!(of_cache, error);
        // Without the store it works.
        assert!(config.source("sims").unwrap().endpoint().is_ok());
        writeln!(report, "{what}:\n    {error}").unwrap();
    }
    insta::assert_snapshot!(report);
}
