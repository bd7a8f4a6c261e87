//! The environment on top of a file, and what is shown of both.
#![cfg(test)]

mod support;

use std::{env, process::Command, time::Duration};

use access_tokens::Policy;
use access_tokens_config::schema;
use serde_json::{Value, json};

use crate::support::{Folder, settings, validator};

const NONE: [(&str, &str); 0] = [];

const FILE: &str = r#"
[sources.my-sims]
provider = "onence"
username = "me"
password = { file = "password" }
policy.refresh_at = 0.7

[sources.payee]
provider = "worldline"
base_url = "https://auth.example/auth"
realm = "clients"
client_id = "me"
scopes = "VOP"

[sources.payee.assertion]
key = { file = "key.pem" }
certificate = { file = "cert.pem" }
key_id = "sha256"
"#;

fn merged(variables: &[(&str, &str)]) -> Value {
    let folder = Folder::new();
    let variables = variables.iter().map(|(name, value)| (format!("ACCESS_TOKENS__SOURCES__{name}"), *value));
    support::read_with(folder.write("a.toml", FILE), variables).unwrap().to_json(&[]).unwrap()
}

/// Paths in variables begin there.
fn without_working_directory(text: &str) -> String {
    text.replace(&format!("{}/", env::current_dir().unwrap().display()), "")
}

/// Each variable wins where it speaks, and leaves the rest as it is.
#[test]
fn variables_win_over_the_file() {
    // (variable, value, where, what is there then)
    let cases = [
        ("MY_SIMS__USERNAME", "you", "/my-sims/username", json!("you")),
        ("MY_SIMS__PASSWORD__ENV", "PASSWORD", "/my-sims/password", json!({ "env": "PASSWORD" })),
        ("MY_SIMS__PASSWORD__FILE", "other", "/my-sims/password", json!({ "file": "other" })),
        ("MY_SIMS__POLICY__JITTER", "0.2", "/my-sims/policy/jitter", json!(0.2)),
        ("MY_SIMS__POLICY__JITTER", "0.2", "/my-sims/policy/refresh_at", json!(0.7)),
        ("MY_SIMS__POLICY__KEEP_WARM", "true", "/my-sims/policy/keep_warm", json!(true)),
        ("MY_SIMS__POLICY__LONGEST_PAUSE", "8s", "/my-sims/policy/longest_pause", json!("8s")),
        ("MY_SIMS__TRANSPORT__ROOTS", "a.pem, b.pem,", "/my-sims/transport/roots", json!(["a.pem", "b.pem"])),
        ("MY_SIMS__TRANSPORT__PROXY", "http://proxy:3128", "/my-sims/transport/proxy", json!("http://proxy:3128")),
        ("MY_SIMS__TRANSPORT__PROXY__FILE", "proxy", "/my-sims/transport/proxy", json!({ "file": "proxy" })),
        ("PAYEE__SCOPES", "VOP WERO", "/payee/scopes", json!(["VOP WERO"])),
        ("PAYEE__SCOPES", "VOP,WERO", "/payee/scopes", json!(["VOP", "WERO"])),
        ("PAYEE__ASSERTION__X509", "x5t, x5c", "/payee/assertion/x509", json!(["x5t", "x5c"])),
        ("PAYEE__ASSERTION__KEY_ID", "sha1", "/payee/assertion/key_id", json!("sha1")),
        ("PAYEE__ASSERTION__KEY_ID__TEXT", "k1", "/payee/assertion/key_id", json!({ "text": "k1" })),
        ("PAYEE__ASSERTION__AUDIENCE", "token-endpoint", "/payee/assertion/audience", json!("token-endpoint")),
        ("PAYEE__ASSERTION__LIFETIME", "30s", "/payee/assertion/lifetime", json!("30s")),
        ("MY_SIMS__STORE", "false", "/my-sims/store", json!(false)),
        // Empty is unset.
        ("MY_SIMS__USERNAME", "", "/my-sims/username", json!("me")),
        ("MY_SIMS__UNKNOWN", "", "/my-sims/username", json!("me")),
    ];
    for (variable, value, place, expected) in cases {
        let merged = merged(&[(variable, value)]);
        let shown = merged["sources"].pointer(place).map(|shown| without_working_directory(&shown.to_string()));
        assert_eq!(shown, Some(expected.to_string()), "{variable}={value}");
    }
}

/// The same of the store; a single value takes the place of a list.
#[test]
fn variables_win_over_the_store_of_the_file() {
    const STORE: &str = "[store]\nurls = [\"redis://a\", \"redis://b\"]\nmode = \"cluster\"\nname_key = { file = \"n\" }\n\
                         keys = [{ file = \"k1\" }, { file = \"k2\" }]\n";
    let cases = [
        ("URLS", "redis://c", "/urls", json!(["redis://c"])),
        ("URLS", "redis://c, redis://d", "/urls", json!(["redis://c", "redis://d"])),
        ("URLS__ENV", "REDIS_URL", "/urls", json!({ "env": "REDIS_URL" })),
        ("MODE", "single", "/mode", json!("single")),
        ("NAME_KEY__ENV", "N", "/name_key", json!({ "env": "N" })),
        ("KEYS__FILE", "k3", "/keys", json!({ "file": "k3" })),
        ("PREFIX", "ours", "/prefix", json!("ours")),
        ("TIMEOUT", "1s", "/timeout", json!("1s")),
    ];
    for (variable, value, place, expected) in cases {
        let folder = Folder::new();
        let urls = (variable == "MODE").then_some(("ACCESS_TOKENS__STORE__URLS".to_owned(), "redis://c"));
        let variables = urls.into_iter().chain([(format!("ACCESS_TOKENS__STORE__{variable}"), value)]);
        let merged = support::read_with(folder.write("a.toml", format!("{STORE}{FILE}")), variables)
            .unwrap()
            .to_json(&[])
            .unwrap();
        let shown = merged["store"].pointer(place).map(|shown| without_working_directory(&shown.to_string()));
        assert_eq!(shown, Some(expected.to_string()), "{variable}={value}");
    }
}

#[test]
fn a_source_can_be_of_variables_alone_beside_others() {
    let merged = merged(&[
        ("MORE_SIMS__PROVIDER", "onence"),
        ("MORE_SIMS__USERNAME", "me"),
        ("MORE_SIMS__PASSWORD__ENV", "PASSWORD"),
    ]);
    let names: Vec<_> = merged["sources"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["more_sims", "my-sims", "payee"]);
}

/// Every way that TOML has to write a number or a text.
#[test]
fn toml_as_it_can_be_written() {
    let folder = Folder::new();
    let sims =
        "\u{feff}sources.'sims' = { provider = 'onence', username = \"\\u006de\", password.env = \"\"\"P\"\"\" }\r\n";
    for (written, refresh_at) in [("1", 1.0), ("0x1", 1.0), ("+1", 1.0), ("0.7_5", 0.75), ("75e-2", 0.75)] {
        let text = sims.replace(" }", &format!(", policy.refresh_at = {written} }}"));
        let config = support::read_with(folder.write("a.toml", text), NONE).unwrap();
        let json = config.to_json(&[]).unwrap();
        assert_eq!(json["sources"]["sims"]["policy"]["refresh_at"], json!(refresh_at), "{written}");
        assert_eq!(json["sources"]["sims"]["username"], "me");
    }
}

/// Names of sources that look like the keys of a reference aren't taken for them.
#[test]
fn a_source_may_be_called_env() {
    let folder = Folder::new();
    let path = folder.write("a.toml", FILE.replace("my-sims", "file"));
    let variables = ["PROVIDER=onence", "USERNAME=me", "PASSWORD__ENV=P"].map(|text| text.split_once('=').unwrap());
    let variables = variables.map(|(name, value)| (format!("ACCESS_TOKENS__SOURCES__ENV__{name}"), value));
    let config = support::read_with(path, variables).unwrap();
    assert_eq!(config.sources().map(|source| source.name()).collect::<Vec<_>>(), ["env", "file", "payee"]);
}

#[test]
fn other_variables_are_left_alone() {
    let folder = Folder::new();
    let path = folder.write("a.toml", FILE);
    let others =
        ["ACCESS_TOKENS_CONFIG", "ACCESS_TOKENS_SOURCE", "ACCESS_TOKENSX", "PATH"].map(|name| (name, "hunter2"));
    assert_eq!(
        support::read_with(&path, others).unwrap().to_json(&[]).unwrap(),
        support::read_with(&path, NONE).unwrap().to_json(&[]).unwrap()
    );
}

#[test]
fn settings_arrive() {
    let folder = Folder::new();
    let path = folder.write(
        "a.json",
        json!({
            "$schema": "access-tokens.schema.json",
            "sources": { "sims": {
                "provider": "onence", "base_url": "https://api.example/v1", "username": "me", "password": { "env": "P" },
                "policy": {
                    "refresh_at": 1, "jitter": 0, "assumed_lifetime": "2m", "first_pause": "1s", "longest_pause": "1m 30s",
                    "longest_retry_after": "10m", "invalidation_pause": "1m", "exchange_timeout": "20s", "keep_warm": true,
                },
                "transport": { "connect_timeout": "1s", "timeout": "1.5s", "roots": ["ca.pem"] },
            } },
        })
        .to_string(),
    );
    let config = support::read_with(path, [("P", "hunter2")]).unwrap();
    let source = config.source("sims").unwrap();
    let seconds = Duration::from_secs;
    let policy = Policy::new()
        .refresh_at(1.0)
        .jitter(0.0)
        .assumed_lifetime(seconds(120))
        .first_pause(seconds(1))
        .longest_pause(seconds(90))
        .longest_retry_after(seconds(600))
        .invalidation_pause(seconds(60))
        .exchange_timeout(seconds(20));
    assert_eq!(source.policy(), &policy);
    assert!(source.keep_warm());
    assert_eq!((source.base_url(), source.scopes().len()), ("https://api.example/v1", 0));
    assert_eq!(source.files(), [folder.path().join("ca.pem")]);
    let shown = format!("{config:?} {source:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// What is shown has every setting of the schema but those that exclude others and aren't in use, can be read again, and holds
/// no secret though all of them are at hand.
#[test]
fn what_is_shown() {
    let folder = Folder::new();
    folder.write("password", "hunter2");
    let path = folder.write(
        "a.toml",
        format!("{FILE}\n[sources.payee.transport]\nroots = [\n  \"a.pem\",\n]\nproxy = \"http://proxy:3128\"\n"),
    );
    let variables = [
        ("ACCESS_TOKENS__SOURCES__MY_SIMS__PASSWORD__ENV", "PASSWORD"),
        ("ACCESS_TOKENS__SOURCES__PAYEE__SCOPES", "VOP,WERO"),
        ("ACCESS_TOKENS__SOURCES__PAYEE__ASSERTION__PASSPHRASE__FILE", "password"),
        ("ACCESS_TOKENS__SOURCES__PAYEE__TRANSPORT__PROXY__ENV", "PROXY"),
        ("ACCESS_TOKENS__SOURCES__PAYEE__TRANSPORT__IDENTITY__PKCS12__FILE", "bundle.p12"),
        ("ACCESS_TOKENS__STORE__MODE", "sentinel"),
        ("ACCESS_TOKENS__STORE__MASTER", "tokens"),
        ("ACCESS_TOKENS__STORE__URLS__ENV", "REDIS_URL"),
        ("ACCESS_TOKENS__STORE__USERNAME", "me"),
        ("ACCESS_TOKENS__STORE__PASSWORD__ENV", "PASSWORD"),
        ("ACCESS_TOKENS__STORE__SENTINEL_USERNAME", "us"),
        ("ACCESS_TOKENS__STORE__SENTINEL_PASSWORD__FILE", "password"),
        ("ACCESS_TOKENS__STORE__NAME_KEY__FILE", "name_key"),
        ("ACCESS_TOKENS__STORE__KEYS__FILE", "keys"),
        ("ACCESS_TOKENS__STORE__ROOTS", "ca.pem"),
        ("ACCESS_TOKENS__STORE__IDENTITY__KEY__FILE", "client.key"),
        ("ACCESS_TOKENS__STORE__IDENTITY__CERTIFICATE__FILE", "client.pem"),
        ("REDIS_URL", "rediss://:hunter2@redis.example"),
        ("PASSWORD", "hunter2"),
        ("PROXY", "http://me:hunter2@proxy:3128"),
    ];
    let config = support::read_with(path, variables).unwrap();
    let toml = config.to_toml(&[]).unwrap();
    assert!(!toml.contains("hunter2") && !config.to_json(&[]).unwrap().to_string().contains("hunter2"));
    insta::assert_snapshot!(without_working_directory(&folder.without(&toml)));

    // From another folder.
    let elsewhere = Folder::new();
    let again = support::read_with(elsewhere.write("again.toml", &toml), NONE).unwrap();
    assert_eq!(again.to_json(&[]).unwrap(), config.to_json(&[]).unwrap());
    for source in config.sources() {
        assert!(source.files().iter().all(|file| file.is_absolute()));
        assert_eq!(again.source(source.name()).unwrap().files(), source.files());
    }
    assert!(validator(&schema()).is_valid(&config.to_json(&[]).unwrap()));

    let unused = [
        "client_secret",
        "assertion.algorithm",
        "assertion.pkcs12",
        "transport.identity.key",
        "transport.identity.certificate",
        "transport.identity.passphrase",
    ];
    let json = config.to_json(&[]).unwrap();
    let choice = |key: &str| [".env", ".file", ".text"].iter().any(|end| key.ends_with(end));
    for key in settings("worldline").iter().filter(|key| !unused.contains(&key.as_str()) && !choice(key)) {
        let pointer = format!("/sources/payee/{}", key.replace('.', "/"));
        assert!(json.pointer(&pointer).is_some(), "{key} isn't shown");
    }
    for key in settings("store").iter().filter(|key| !choice(key)) {
        assert!(json.pointer(&format!("/store/{}", key.replace('.', "/"))).is_some(), "store.{key} isn't shown");
    }
    let store = config.store().unwrap();
    assert_eq!(again.store().unwrap().files(), store.files());
    assert_eq!(store.servers().unwrap(), "tokens by the sentinels at rediss://redis.example");
    let shown = format!("{config:?} {store:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// A stray variable takes nothing away but a value or another reference.
#[test]
fn a_variable_beside_a_table_replaces_none_of_it() {
    let folder = Folder::new();
    let path = folder.write("a.toml", FILE);
    for name in ["MY_SIMS__ENV", "MY_SIMS__POLICY__FILE"] {
        let variable = format!("ACCESS_TOKENS__SOURCES__{name}");
        let error = support::read_with(&path, [(&*variable, "prod")]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{variable}: isn't a setting")), "{error}");
    }
}

/// Where the process goes after the configuration was read changes no path of it.
#[test]
fn relative_paths_begin_where_they_were_read() {
    if env::var_os("TEST_RELATIVE").is_some() {
        let variables = [("ACCESS_TOKENS__SOURCES__PAYEE__ASSERTION__KEY__FILE", "other.pem")];
        let config = support::read_with("a.toml", variables).unwrap();
        let before = (config.to_json(&[]).unwrap(), config.source("payee").unwrap().files());
        env::set_current_dir("/").unwrap();
        assert_eq!((config.to_json(&[]).unwrap(), config.source("payee").unwrap().files()), before);
        let error = config.source("payee").unwrap().endpoint().unwrap_err();
        println!("{} | {error}", before.1.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" "));
        return;
    }
    let folder = Folder::new();
    folder.write("a.toml", FILE);
    let mut test = Command::new(env::current_exe().unwrap());
    test.args(["--exact", "relative_paths_begin_where_they_were_read", "--nocapture"]);
    let output = test.env("TEST_RELATIVE", "").current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    assert!(text.contains(&format!("{} {} | ", at("cert.pem"), at("other.pem"))), "{text}");
    assert!(text.contains(&format!("PAYEE__ASSERTION__KEY__FILE: {} can't be read", at("other.pem"))), "{text}");
}
