//! The schema: as it was, valid, strict, and the same that the loader takes.
#![cfg(test)]

mod support;

use std::{env, fs, path::Path};

use access_tokens_config::{Config, schema};
use serde_json::{Value, json};

use crate::support::{Folder, validator};

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access-tokens.schema.json");

#[test]
fn is_pinned() {
    insta::assert_snapshot!(schema());
}

#[test]
fn the_file_for_editors_is_up_to_date() {
    let path = Path::new(CHECKED_IN);
    if env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        fs::write(path, schema()).unwrap();
    }
    let checked_in = fs::read_to_string(path).unwrap_or_default();
    let how = "INSTA_UPDATE=always cargo test -p access-tokens-config writes it";
    assert!(checked_in == schema(), "docs/access-tokens.schema.json isn't what schema() gives; {how}");
}

#[test]
fn is_a_valid_schema() {
    let schema = serde_json::from_str(&schema()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::options().build(&schema).unwrap();
}

/// Values at the edges of what is taken: both take them, or neither does.
#[test]
fn takes_what_the_loader_takes() {
    let worldline = json!({
        "provider": "worldline", "base_url": "https://auth.example/auth", "realm": "clients", "client_id": "me", "scopes": "VOP",
        "client_secret": { "env": "SECRET" },
    });
    let onence = json!({ "provider": "onence", "username": "me", "password": { "env": "PASSWORD" } });
    // (setting, values that are taken, values that are not)
    let cases = [
        (
            "base_url",
            json!([
                "https://x",
                "https://x/",
                "https://X.example:8443/a/b",
                "https://[2001:db8::1]/",
                "http://localhost",
                "http://localhost:80/a",
                "http://127.0.0.1",
                "http://127.1.2.3:1/",
                "http://[::1]:1/a",
            ]),
            json!([
                "HTTPS://x",
                "http://LOCALHOST:80",
                "https://x/a@b",
                "https://me@x",
                "http://[2001:db8::1]/",
                "http://x",
                "https://",
                "https:///x",
                "https:x",
                " https://x",
                "https://x/a b",
                "https://x\\a",
                "http://127.1",
                "http://localhost.example",
                "http://127.0.0.1.example",
                "http://localhost:",
                "https://x?a",
                "https://x#a",
                "ftp://x",
                "http://[::ffff:127.0.0.1]",
                "https://x\ta",
                "",
            ]),
        ),
        (
            "transport.proxy",
            json!(["http://x", "https://x:3128", "http://x/"]),
            json!([
                "HTTP://x",
                "http://x/a@b",
                "http://me:hunter2@x",
                "ftp://x",
                "http:///x",
                "http://",
                " http://x",
                "x:3128"
            ]),
        ),
        (
            "policy.assumed_lifetime",
            json!(["5s", "5 s", "1s 500ms", "1s500ms", "1.5s", "05s", "1s  5ms"]),
            json!([" 5s", "5s ", ".5s", "5.s", "5 5s", "5", "", "5S", "1.5.5s", "s", "5s5", "-5s", "5s,", "5\ts"]),
        ),
        (
            "scopes",
            json!(["VOP", "VOP WERO", " VOP  WERO ", ["VOP"], ["VOP", "WERO"], ["VOP WERO"]]),
            json!([
                "",
                " ",
                [],
                [""],
                ["VOP", ""],
                ["VOP", " "],
                "VOP\tWERO",
                ["VOP\tWERO"],
                "VOP\u{a0}WERO",
                "VÖP",
                "a\"b"
            ]),
        ),
        (
            "username",
            json!(["me", "me@example.com", "mé", "m e", "robot$me", "a\u{a0}b", "\u{1f469}"]),
            json!([
                "",
                " ",
                " me",
                "me ",
                "\"me\"",
                "'me",
                "a:b",
                "a\nb",
                "a\u{7f}b",
                "a\u{85}b",
                "a\u{0}",
                "a\u{200b}b",
                "\u{feff}a"
            ]),
        ),
        (
            "password.env",
            json!(["A", "_A1", "PASSWORD"]),
            json!(["hunter2", "Password", "1A", "", "A-B", "A B", "A\n"]),
        ),
    ];
    let validator = validator(&schema());
    for (setting, taken, refused) in cases {
        for (values, expected) in [(taken, true), (refused, false)] {
            for value in values.as_array().unwrap() {
                let of_onence = ["username", "password.env"].contains(&setting);
                let mut source = if of_onence { onence.clone() } else { worldline.clone() };
                *setting.split('.').fold(&mut source, |node, level| &mut node[level]) = value.clone();
                let (schema, loader) = taken_by(&validator, &json!({ "a": source }));
                assert_eq!((schema, loader.is_ok()), (expected, expected), "{setting} = {value}: {loader:?}");
            }
        }
    }
    // What a schema can't tell without saying everything twice.
    let second = onence.clone();
    let with = |key: &str, value: &str| {
        let mut source = worldline.clone();
        *key.split('.').fold(&mut source, |node, level| &mut node[level]) = json!(value);
        json!({ "a": source })
    };
    for sources in [
        json!({ "a-b": onence, "a_b": second }),
        with("base_url", "https://x:99999"),
        with("base_url", "http://127.0.0.999"),
        with("base_url", "https://x/oauth/token"),
        with("transport.timeout", "5parsecs"),
        with("transport.timeout", "2h"),
        with("realm", "a/b"),
    ] {
        let (schema, loader) = taken_by(&validator, &sources);
        assert_eq!((schema, loader.is_ok()), (true, false), "{sources}: {loader:?}");
    }
}

/// The same for URLs of the store and what its entries begin with.
#[test]
fn takes_the_stores_that_the_loader_takes() {
    let cases = [
        (
            "urls",
            json!([
                "redis://x",
                "rediss://x",
                "valkey://x",
                "redis://x/",
                "redis://x:1/0",
                "redis://[2001:db8::1]:1/15",
                "rediss://X.example",
                ["redis://x"],
                { "env": "URL" },
                [{ "file": "url" }],
            ]),
            json!([
                "",
                "REDIS://x",
                "redis:x",
                "redis://",
                "redis:///0",
                " redis://x",
                "redis://me@x",
                "redis://x/a",
                "redis://x/0/1",
                "redis://x?a",
                "redis://x#a",
                "redis://x\\a",
                "redis://x y",
                "http://x",
                [],
                [""],
            ]),
        ),
        (
            "prefix",
            json!(["a", "a:b", "~!", "x".repeat(100)]),
            json!(["", "a b", "{a}", "a}", "\u{e9}", "a\n", "x".repeat(101)]),
        ),
    ];
    let validator = validator(&schema());
    let none: [(&str, &str); 0] = [];
    for (setting, taken, refused) in cases {
        for (values, expected) in [(taken, true), (refused, false)] {
            for value in values.as_array().unwrap() {
                let mut store = json!({ "urls": "redis://x", "name_key": { "env": "N" }, "keys": { "env": "K" } });
                store[setting] = value.clone();
                let sims = json!({ "provider": "onence", "username": "me", "password": { "env": "PASSWORD" } });
                let config = json!({ "sources": { "sims": sims }, "store": store });
                let folder = Folder::new();
                let loader = support::read_with(folder.write("a.json", config.to_string()), none);
                let taken = (validator.is_valid(&config), loader.is_ok());
                assert_eq!(taken, (expected, expected), "{setting} = {value}: {loader:?}");
            }
        }
    }
}

fn taken_by(validator: &jsonschema::Validator, sources: &Value) -> (bool, Result<Config, access_tokens_config::Error>) {
    let config = json!({ "sources": sources });
    let folder = Folder::new();
    let none: [(&str, &str); 0] = [];
    (validator.is_valid(&config), support::read_with(folder.write("a.json", config.to_string()), none))
}
