//! Every setting of the schema, with wrong values of it: in TOML, in JSON, in the environment, and to the schema itself.
#![cfg(test)]

mod support;

use access_tokens_config::{Origin, schema};
use serde_json::{Value, json};

use crate::support::{Folder, settings, toml, validator};

/// Stands where a secret could have been put by mistake; no message may have it.
const PLANTED: &str = "hunter2";

#[test]
fn are_refused_with_file_line_and_key() {
    let validator = validator(&schema());
    let onence = settings("onence");
    for provider in ["onence", "worldline", "store"] {
        let mut report = String::new();
        let shared = |key: &String| provider == "worldline" && key.contains('.') && onence.contains(key);
        for key in settings(provider).into_iter().filter(|key| !shared(key)) {
            for wrong in wrong_values(provider, &key) {
                let config = with(&base(provider, &key), &key, &wrong);
                report += &format!("{key} = {}", toml(&wrong).replace(PLANTED, "<planted>"));
                let valid = validator.is_valid(&document(provider, &config));
                report += if valid { "  # the schema can't tell\n" } else { "\n" };
                let refused = |case: Result<_, _>| case.unwrap_or_else(|why: String| panic!("{key} = {wrong}: {why}"));
                let (toml, json) =
                    (refused(in_toml(provider, &config, &key)), refused(in_json(provider, &config, &key)));
                for (message, places) in grouped([Some(toml), Some(json), in_environment(provider, &key, &wrong)]) {
                    report += &format!("    {}: {message}\n", places.join(", "));
                }
            }
        }
        assert!(!report.contains(PLANTED));
        insta::assert_snapshot!(format!("wrong_values_of_{provider}"), report);
    }
}

/// What is told in several places, once.
fn grouped(problems: [Option<(String, String)>; 3]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (place, message) in problems.into_iter().flatten() {
        match groups.iter_mut().find(|(other, _)| *other == message) {
            Some((_, places)) => places.push(place),
            None => groups.push((message, vec![place])),
        }
    }
    groups
}

/// A new setting gets wrong values here.
fn wrong_values(provider: &str, key: &str) -> Vec<Value> {
    let last = key.rsplit('.').next().unwrap();
    match (key, last) {
        ("store", _) => vec![json!("no"), json!(1)],
        ("urls", _) => vec![
            json!("redis://me:hunter2@redis.example"),
            json!("http://redis.example"),
            json!(["redis://redis.example", "redis://redis.example:hunter2"]),
            json!("redis://redis.example/first"),
            json!([]),
            json!([5]),
            json!(5),
        ],
        ("mode", _) => vec![json!("clustered"), json!(5)],
        ("master", _) => vec![json!("of sentinels, and there are none"), json!(""), json!(5)],
        ("sentinel_username", _) => vec![json!(""), json!(5)],
        ("keys", _) => vec![json!(PLANTED), json!([]), json!([PLANTED]), json!({ "fiel": "b" }), json!(5)],
        ("prefix", _) => vec![json!("{fleet}"), json!("a b"), json!(""), json!(5)],
        ("provider", _) => vec![json!("onse"), json!(5)],
        ("base_url", _) => {
            vec![json!("http://api.example"), json!("https://me:hunter2@api.example"), json!(""), json!(5)]
        }
        ("username", _) if provider == "onence" => vec![json!("me:hunter2"), json!(""), json!(5)],
        ("username", _) => vec![json!(""), json!(5)],
        ("realm", _) => vec![json!("a/b"), json!(""), json!(5)],
        ("client_id", _) => vec![json!(""), json!(5)],
        ("scopes", _) => vec![json!("VOP \"hunter2\""), json!([]), json!(["VOP", 5]), json!(5)],
        ("assertion" | "policy" | "transport" | "transport.identity" | "identity", _) => {
            vec![json!(5), json!([PLANTED])]
        }
        ("assertion.algorithm", _) => vec![json!("PS255"), json!(5)],
        ("assertion.key_id", _) => vec![json!("sha3"), json!({}), json!(5)],
        ("assertion.audience", _) => vec![json!("isuer"), json!(5)],
        ("assertion.lifetime", _) => vec![json!("2h"), json!("60"), json!(60)],
        ("assertion.x509", _) => vec![json!(["x5t", "x5d"]), json!("x5t#S255"), json!(5)],
        ("policy.refresh_at", _) => vec![json!(1.2), json!("late")],
        ("policy.jitter", _) => vec![json!(0.45), json!(-1), json!("none")],
        ("policy.keep_warm", _) => vec![json!("yes"), json!(1)],
        ("policy.assumed_lifetime", _) => vec![json!("31d"), json!("soon"), json!(5)],
        ("policy.first_pause", _) => vec![json!("6s"), json!("1"), json!(5)],
        ("transport.proxy", _) => {
            vec![json!("http://me:hunter2@proxy.example:3128"), json!("ftp://proxy.example"), json!(5)]
        }
        ("transport.roots" | "roots", _) => vec![json!([""]), json!(["ca.pem", 5]), json!(5)],
        (
            _,
            "longest_pause"
            | "longest_rejected_pause"
            | "longest_retry_after"
            | "invalidation_pause"
            | "exchange_timeout"
            | "connect_timeout"
            | "timeout",
        ) => {
            vec![json!("2h"), json!("0s"), json!("hunter2"), json!(5)]
        }
        (_, "pkcs12") => vec![json!("bundle.p12"), json!({ "env": "BUNDLE" })],
        (_, "password" | "client_secret" | "key" | "certificate" | "passphrase" | "sentinel_password" | "name_key") => {
            vec![json!(PLANTED), json!({ "env": "A", "file": "b" }), json!({ "fiel": "b" }), json!({}), json!(5)]
        }
        (_, "env") => vec![json!("hunter2!"), json!(""), json!(5)],
        (_, "file") => vec![json!("-----BEGIN PRIVATE KEY-----\nhunter2"), json!(""), json!(5)],
        (_, "text") => vec![json!(""), json!(5)],
        _ => panic!("the setting {key} has no wrong value here; add some"),
    }
}

/// The configuration with these settings of a source of this provider, or of the store.
fn document(provider: &str, config: &Value) -> Value {
    match provider {
        "store" => json!({ "sources": { "sims": base("onence", "") }, "store": config }),
        _ => json!({ "sources": { "a": config } }),
    }
}

/// The key of the table that they are in.
fn table(provider: &str) -> &'static str {
    if provider == "store" { "store" } else { "sources.a" }
}

/// Settings that are right, to put the wrong one among.
fn base(provider: &str, key: &str) -> Value {
    let pair = if key.contains(".pkcs12") {
        json!({ "pkcs12": { "file": "bundle.p12" } })
    } else {
        json!({ "key": { "file": "key.pem" }, "certificate": { "file": "cert.pem" } })
    };
    let mut base = match provider {
        "onence" => json!({ "provider": "onence", "username": "me", "password": { "env": "PASSWORD" } }),
        "store" => json!({
            "urls": "rediss://redis.example", "name_key": { "env": "NAME_KEY" }, "keys": [{ "env": "KEY" }],
        }),
        _ => json!({
            "provider": "worldline", "base_url": "https://auth.example/auth", "realm": "clients", "client_id": "me",
            "scopes": "VOP",
        }),
    };
    if key.starts_with("assertion.") {
        base["assertion"] = pair.clone();
    } else if provider == "worldline" && key != "assertion" {
        base["client_secret"] = json!({ "env": "SECRET" });
    }
    if key.starts_with("sentinel_") {
        (base["mode"], base["master"]) = (json!("sentinel"), json!("tokens"));
    }
    if provider == "store" && key.ends_with("username") {
        base[key.replace("username", "password")] = json!({ "env": "PASSWORD" });
    }
    if key.starts_with("identity.") {
        base["identity"] = pair.clone();
    }
    if key.starts_with("transport.identity.") {
        base["transport"] = json!({ "identity": pair });
    }
    base
}

/// The settings with the wrong one; one that excludes others takes the place of them.
fn with(base: &Value, key: &str, wrong: &Value) -> Value {
    let mut config = base.clone();
    let mut node = &mut config;
    let mut levels = key.split('.').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        if last && ["env", "file", "text"].contains(&level) || !node.is_object() {
            *node = json!({});
        }
        node = &mut node[level];
    }
    *node = wrong.clone();
    config
}

fn in_toml(provider: &str, config: &Value, key: &str) -> Result<(String, String), String> {
    // One setting a line, the wrong one last but one.
    let mut lines = vec![format!("[{}]", table(provider))];
    flatten("", config, &mut lines);
    let at = |line: &String| {
        line.split(" = ").next().is_some_and(|name| key == name || key.starts_with(&format!("{name}.")))
    };
    let line = lines.iter().position(at).unwrap() + 1;
    let mut text = lines.join("\n") + "\n";
    if provider == "store" {
        text += "[sources.sims]\nprovider = \"onence\"\nusername = \"me\"\npassword = { env = \"PASSWORD\" }\n";
    }
    refused("a.toml", &text, line, &format!("{}.{key}", table(provider)))
}

fn flatten(under: &str, value: &Value, lines: &mut Vec<String>) {
    for (name, value) in value.as_object().unwrap() {
        let key = if under.is_empty() { name.clone() } else { format!("{under}.{name}") };
        if ["policy", "transport", "assertion", "identity"].contains(&name.as_str()) && value.is_object() {
            flatten(&key, value, lines);
        } else {
            lines.push(format!("{key} = {}", toml(value)));
        }
    }
}

fn in_json(provider: &str, config: &Value, key: &str) -> Result<(String, String), String> {
    let text = serde_json::to_string_pretty(&document(provider, config)).unwrap();
    let name = if provider == "store" { "\"store\": {" } else { "\"a\": {" };
    let mut line = text.lines().position(|line| line.contains(name)).unwrap();
    for level in key.split('.') {
        line += text.lines().skip(line).position(|text| text.contains(&format!("\"{level}\":"))).unwrap();
    }
    refused("a.json", &text, line + 1, &format!("{}.{key}", table(provider)))
}

fn refused(name: &str, text: &str, line: usize, key: &str) -> Result<(String, String), String> {
    let folder = Folder::new();
    let path = folder.write(name, text);
    let none: [(&str, &str); 0] = [];
    let error = support::read_with(&path, none).err().ok_or("is taken")?;
    let [problem] = error.problems() else { return Err(format!("isn't one problem: {error}")) };
    let Origin::File { line: Some(told), .. } = problem.origin() else { return Err(format!("has no line: {error}")) };
    // Within a list on several lines, that of the item.
    if !problem.key().starts_with(key) || *told < line || *told > line + 2 {
        return Err(format!("isn't in line {line}: {error}"));
    }
    Ok((folder.without(&problem.origin().to_string()), format!("{}: {}", problem.key(), problem.message())))
}

/// None where a variable can't be as wrong: empty it counts as unset, and what it holds is a text.
fn in_environment(provider: &str, key: &str, wrong: &Value) -> Option<(String, String)> {
    let folder = Folder::new();
    let path = folder.write("a.json", document(provider, &base(provider, key)).to_string());
    let key = format!("{}.{key}", table(provider));
    let mut name = format!("ACCESS_TOKENS__{}", key.replace('.', "__").to_uppercase());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = match wrong {
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(table) => {
            let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
            name += &format!("__{}", key.to_uppercase());
            text(value)
        }
        value => text(value),
    };
    let error = support::read_with(&path, [(name, value)]).err()?;
    let [problem] = error.problems() else { panic!("isn't one problem: {error}") };
    assert!(matches!(problem.origin(), Origin::Variable(_)), "{error}");
    assert!(problem.key().starts_with(&key), "{error}");
    Some((problem.origin().to_string(), format!("{}: {}", problem.key(), problem.message())))
}
