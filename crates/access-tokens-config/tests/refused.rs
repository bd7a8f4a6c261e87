//! What is wrong with more than one value: keys nobody knows, settings that exclude or need each other, files that aren't what
//! they are to be.
#![cfg(test)]

mod support;

use std::{
    env,
    ffi::OsString,
    fmt::Write,
    process::Command,
    time::{Duration, Instant},
};

use access_tokens_config::{Config, Reader, schema};
use serde_json::json;

use crate::support::{Folder, settings, validator};

const NONE: [(&str, &str); 0] = [];

const SIMS: &str = "[sources.sims]\nprovider = \"onence\"\nusername = \"me\"\npassword = { env = \"PASSWORD\" }\n";
const PAYEE: &str = "[sources.payee]\nprovider = \"worldline\"\nbase_url = \"https://auth.example/auth\"\nrealm = \"clients\"\n\
                     client_id = \"me\"\nscopes = [\"VOP\"]\n";
const SECRET: &str = "client_secret = { file = \"secret\" }\n";

fn refusal(name: &str, text: impl AsRef<[u8]>, variables: &[(&str, &str)]) -> String {
    let folder = Folder::new();
    let path = folder.write(name, text);
    let error = support::read_with(path, variables.iter().copied()).expect_err("it is taken");
    let error = folder.without(&error.to_string());
    assert!(!error.contains("hunter2"), "{error}");
    error
}

/// Each table of the schema, with one of its keys misspelled: the nearest is that key.
#[test]
fn unknown_keys_are_told_with_the_nearest() {
    let validator = validator(&schema());
    for provider in ["onence", "worldline", "store"] {
        for key in settings(provider) {
            let mut levels: Vec<_> = key.split('.').collect();
            let last = levels.pop().unwrap();
            let wrong = format!("{last}e");
            if last == "provider" || ["env", "file", "text"].contains(&last) {
                continue; // the first decides which keys there are; the others are beside no other key
            }
            let of_store = provider == "store";
            let mut table = if of_store { json!({}) } else { json!({ "provider": provider }) };
            let mut node = &mut table;
            for level in &levels {
                node = &mut node[*level];
            }
            node[&*wrong] = json!("x");
            let sims = json!({ "provider": "onence", "username": "me", "password": { "env": "P" } });
            let config = match of_store {
                true => json!({ "sources": { "sims": sims }, "store": table }),
                false => json!({ "sources": { "a": table } }),
            };
            assert!(!validator.is_valid(&config), "{config}");
            let error = refusal("a.json", config.to_string(), &[]);
            let path = [&[if of_store { "store" } else { "sources.a" }], &*levels, &[&wrong]].concat().join(".");
            let expected = format!("{path}: unknown key; did you mean {last}?");
            assert!(error.contains(&expected), "{error}\n{expected}");
        }
    }
}

#[test]
fn other_mistakes() {
    let sims = |more: &str| format!("{SIMS}{more}");
    let payee = |more: &str| format!("{PAYEE}{more}");
    let store = |urls: &str, more: &str| {
        format!("[store]\nurls = {urls}\nname_key = {{ env = \"N\" }}\nkeys = {{ env = \"K\" }}\n{more}{SIMS}")
    };
    let pair = "key = { file = \"key.pem\" }\ncertificate = { file = \"cert.pem\" }\n";
    let deep = format!("{{\"sources\":{}", "[".repeat(100) + &"]".repeat(100) + "}");
    // (what, file, text)
    let cases: Vec<(&str, &str, String)> = vec![
        ("no ending", "config", sims("")),
        ("another ending", "a.yaml", sims("")),
        ("nothing", "a.toml", String::new()),
        ("nothing", "a.json", "{}".to_owned()),
        ("empty", "a.json", String::new()),
        ("no source", "a.toml", "[sources]\n".to_owned()),
        ("not a table", "a.json", "{ \"sources\": [] }".to_owned()),
        ("not an object", "a.json", "[]".to_owned()),
        ("unknown at the root", "a.toml", "[source.sims]\n".to_owned()),
        ("unknown at the root", "a.json", "{\n  \"$shema\": \"x\"\n}".to_owned()),
        ("not a text", "a.json", "{\n  \"$schema\": 5 }".to_owned()),
        ("null", "a.json", "{ \"sources\": { \"a\": {\n \"provider\": null } } }".to_owned()),
        ("null", "a.json", "{ \"sources\": { \"a\": { \"provider\": \"onence\",\n \"policy\": null } } }".to_owned()),
        ("a date", "a.toml", sims("base_url = 1979-05-27\n")),
        ("a name", "a.toml", SIMS.replace("sims", "Sims")),
        ("a name", "a.toml", SIMS.replace("sims", "\"a b\"")),
        ("two names", "a.toml", SIMS.replace("sims", "a-b") + &SIMS.replace("sims", "a_b")),
        ("a source that is none", "a.toml", "sources.sims = 5\n".to_owned()),
        ("no provider", "a.toml", "[sources.sims]\nusername = \"me\"\n".to_owned()),
        ("no user name", "a.toml", "[sources.sims]\nprovider = \"onence\"\n".to_owned()),
        ("of the other provider", "a.toml", sims("realm = \"a\"\n")),
        ("two sources", "a.toml", format!("{}\n{}", sims("polcy = 5\n"), payee("realms = 5\n"))),
        ("neither secret nor assertion", "a.toml", payee("")),
        ("secret and assertion", "a.toml", payee(&format!("{SECRET}[sources.payee.assertion]\n{pair}"))),
        ("key alone", "a.toml", payee("[sources.payee.assertion]\nkey = { file = \"key.pem\" }\n")),
        ("certificate alone", "a.toml", payee("[sources.payee.assertion]\ncertificate = { file = \"cert.pem\" }\n")),
        ("nothing to sign with", "a.toml", payee("[sources.payee.assertion]\nalgorithm = \"RS256\"\n")),
        (
            "key and bundle",
            "a.toml",
            payee(&format!("[sources.payee.assertion]\n{pair}pkcs12 = {{ file = \"a.p12\" }}\n")),
        ),
        (
            "no key for mTLS",
            "a.toml",
            payee(&format!("{SECRET}[sources.payee.transport.identity]\ncertificate = {{ file = \"c\" }}\n")),
        ),
        ("the first pause by the longest", "a.toml", sims("[sources.sims.policy]\nlongest_pause = \"200ms\"\n")),
        ("the jitter by refresh_at", "a.toml", sims("policy.refresh_at = 0.2\n")),
        ("the jitter beside refresh_at", "a.toml", sims("policy.refresh_at = 0.2\npolicy.jitter = 0.2\n")),
        ("a time-out beyond the default of another", "a.toml", sims("transport.timeout = \"31s\"\n")),
        (
            "a time-out beyond another",
            "a.toml",
            sims("transport.timeout = \"31s\"\npolicy.exchange_timeout = \"20s\"\n"),
        ),
        ("connecting beyond a request", "a.toml", sims("transport.connect_timeout = \"16s\"\n")),
        (
            "connecting beyond a shorter request",
            "a.toml",
            sims("transport.timeout = \"2s\"\ntransport.connect_timeout = \"3s\"\n"),
        ),
        ("a level too high", "a.toml", sims("keep_warm = true\n")),
        ("a level too low", "a.toml", sims("policy.username = \"hunter2\"\n")),
        ("another table", "a.toml", sims("policy.proxy = \"hunter2\"\n")),
        ("two tables", "a.toml", payee("key = { file = \"key.pem\" }\n")),
        ("beside a file", "a.toml", SIMS.replace("{ env = \"PASSWORD\" }", "{ file = \"a\", username = \"hunter2\" }")),
        ("a secret for a name", "a.toml", SIMS.replace("PASSWORD", "hunter2")),
        ("a token endpoint", "a.toml", sims("base_url = \"https://api.example/oauth/token/\"\n")),
        (
            "a token endpoint",
            "a.toml",
            PAYEE.replace("/auth\"", "/auth/realms/a/protocol/openid-connect/token\"") + SECRET,
        ),
        ("an empty table of sources", "a.toml", "\"$schema\" = \"a\"\n\n[sources]\n".to_owned()),
        ("a number beyond 64 bits", "a.toml", sims("policy.refresh_at = 99999999999999999999\n")),
        ("not a number", "a.toml", sims("policy.refresh_at = nan\n")),
        ("a store that is none", "a.toml", format!("store = 5\n{}", sims(""))),
        ("no keys", "a.toml", format!("[store]\nurls = \"redis://a\"\nname_key = {{ env = \"N\" }}\n{}", sims(""))),
        ("store and source", "a.toml", format!("[store]\nurl = 5\n{}", sims("polcy = 5\n"))),
        ("another scheme", "a.toml", store("\"https://a\"", "")),
        ("no host", "a.toml", store("\"redis:///0\"", "")),
        ("a port that is none", "a.toml", store("\"redis://a:99999\"", "")),
        ("a query", "a.toml", store("\"redis://a?password=hunter2\"", "")),
        (
            "an item with a password",
            "a.toml",
            store("[\n  \"redis://a\",\n  \"redis://:hunter2@b\",\n]", "mode = \"cluster\"\n"),
        ),
        ("several of one", "a.toml", store("[\"redis://a\", \"redis://b\"]", "")),
        ("with TLS and without", "a.toml", store("[\"redis://a\", \"rediss://b\"]", "mode = \"cluster\"\n")),
        ("a database of a cluster", "a.toml", store("\"redis://a/1\"", "mode = \"cluster\"\n")),
        ("no master", "a.toml", store("\"redis://a\"", "mode = \"sentinel\"\n")),
        ("a master of a cluster", "a.toml", store("\"redis://a\"", "mode = \"cluster\"\nmaster = \"a\"\n")),
        ("sentinels of none", "a.toml", store("\"redis://a\"", "sentinel_password = { env = \"P\" }\n")),
        ("a user without a password", "a.toml", store("\"redis://a\"", "username = \"me\"\n")),
        (
            "a user of sentinels without a password",
            "a.toml",
            store("\"redis://a\"", "mode = \"sentinel\"\nmaster = \"a\"\nsentinel_username = \"me\"\n"),
        ),
        ("roots without TLS", "a.toml", store("\"redis://a\"", "roots = [\"ca.pem\"]\n")),
        (
            "a client certificate without TLS",
            "a.toml",
            store("\"redis://a\"", "[store.identity]\nkey = { file = \"k\" }\ncertificate = { file = \"c\" }\n"),
        ),
        (
            "a certificate without its key",
            "a.toml",
            store("\"rediss://a\"", "identity = { certificate = { file = \"c\" } }\n"),
        ),
        ("a setting of the store in a source", "a.toml", sims("store = { prefix = \"a\" }\n")),
        ("a setting of a source in the store", "a.toml", store("\"redis://a\"", "policy.jitter = 0.1\n")),
        ("TOML: no quotes", "a.toml", sims("base_url = hunter2\n")),
        ("TOML: twice", "a.toml", sims("username = \"hunter2\"\n")),
        ("TOML: open", "a.toml", sims("base_url = \"hunter2\n")),
        ("TOML: no value", "a.toml", sims("hunter2\n")),
        ("JSON: no comma", "a.json", "{ \"sources\": {\n \"a\": \"hunter2\" \"b\" } }".to_owned()),
        ("JSON: no quotes", "a.json", "{ \"sources\": {\n \"a\": hunter2 } }".to_owned()),
        ("JSON: open", "a.json", "{ \"sources\": {\n \"a\": \"hunter2".to_owned()),
        ("JSON: half a pair", "a.json", "{ \"sources\": {\n \"a\": \"hunter2 \\ud800\" } }".to_owned()),
        ("JSON: more behind", "a.json", "{ \"sources\": {} }\nhunter2".to_owned()),
        (
            "JSON: twice",
            "a.json",
            "{ \"sources\": { \"a\": {\n \"username\": 1,\n \"username\": \"hunter2\" } } }".to_owned(),
        ),
        ("JSON: deep", "a.json", deep),
    ];
    let mut report = String::new();
    for (what, name, text) in cases {
        let error = refusal(name, text, &[]);
        writeln!(report, "{what}:\n    {}", error.replace('\n', "\n    ")).unwrap();
    }
    let error = refusal("a.toml", b"\n\n[sources.\xff]\n\n", &[]);
    writeln!(report, "not UTF-8:\n    {error}").unwrap();
    insta::assert_snapshot!(report);

    let error = support::read_with("/nowhere/a.toml", NONE).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/a.toml: can't be read: "), "{error}");
}

#[test]
fn mistakes_in_variables() {
    const A: &str = "ACCESS_TOKENS__SOURCES__SIMS__";
    let variable = |rest: &str, value: &'static str| (format!("{A}{rest}"), value);
    let cases: Vec<Vec<(String, &str)>> = vec![
        vec![variable("PASWORD__FILE", "x")],
        vec![variable("PASSWORD", "hunter2")],
        vec![variable("PASSWORD__ENV", "A"), variable("PASSWORD__FILE", "b")],
        vec![variable("PASSWORD", "hunter2"), variable("PASSWORD__FILE", "b")],
        vec![variable("POLICY__REFRESH", "0.7")],
        vec![variable("policy__refresh_at", "0.7")],
        vec![variable("POLICY____REFRESH_AT", "0.7")],
        vec![variable("", "x")],
        vec![("ACCESS_TOKENS__".to_owned(), "x")],
        vec![("ACCESS_TOKENS__SOURCE__SIMS__USERNAME".to_owned(), "me")],
        vec![("ACCESS_TOKENS__SOURCES".to_owned(), "hunter2")],
        vec![("ACCESS_TOKENS__SOURCES__SIM__USERNAME".to_owned(), "me")],
        vec![("ACCESS_TOKENS__SOURCES__PAYEE__PROVIDER".to_owned(), "worldline")],
        vec![("ACCESS_TOKENS_SOURCES__SIMS__USERNAME".to_owned(), "me")],
        vec![("ACCESS_TOKENS_SOURCES_SIMS_USERNAME".to_owned(), "hunter2")],
        vec![("ACCESS_TOKENS_SOURCES".to_owned(), "hunter2")],
        vec![variable("PASSWORD__ENV", "hunter2")],
        vec![variable("KEEP_WARM", "true")],
        vec![variable("ENV", "prod")],
        vec![variable("STORE", "no")],
        vec![("ACCESS_TOKENS__STORE".to_owned(), "hunter2")],
        vec![("ACCESS_TOKENS__STORE__URLS".to_owned(), "redis://a,redis://b:hunter2")],
        vec![("ACCESS_TOKENS__STORE__KEYS".to_owned(), "hunter2,hunter2")],
        vec![("ACCESS_TOKENS__STORE__NAMEKEY__FILE".to_owned(), "x")],
        vec![("ACCESS_TOKENS__STORES__URLS".to_owned(), "x")],
        vec![("ACCESS_TOKENS_STORE__URLS".to_owned(), "hunter2")],
    ];
    let mut report = String::new();
    for variables in cases {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
        let error = refusal("a.toml", SIMS, &variables);
        writeln!(report, "{}\n    {}", names.join(" "), error.replace('\n', "\n    ")).unwrap();
    }
    writeln!(report, "nothing at all\n    {}", support::from_variables(NONE).unwrap_err()).unwrap();
    insta::assert_snapshot!(report);
}

/// As the tests above but with the process's own variables: this test starts itself as a process with them.
#[test]
fn variables_of_the_process() {
    if let Ok(path) = env::var("TEST_CONFIG") {
        let config = Config::read(path);
        let endpoint = config.and_then(|config| config.source("sims")?.endpoint());
        println!("{}", endpoint.unwrap_err());
        println!("{}", Reader::new().read().unwrap().complete().unwrap_err());
        return;
    }
    let folder = Folder::new();
    let run = |name: &str, value: OsString| {
        let mut test = Command::new(env::current_exe().unwrap());
        test.args(["--exact", "variables_of_the_process", "--nocapture"]);
        test.env("TEST_CONFIG", folder.write("a.toml", SIMS)).env_remove("PASSWORD").env(name, value);
        let output = test.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let output = run("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "you".into());
    assert!(output.contains("a.toml:4: sources.sims.password.env: the variable PASSWORD isn't set"), "{output}");
    let alone = "ACCESS_TOKENS__SOURCES__SIMS__PROVIDER: isn't set";
    assert!(output.contains(alone), "{output}");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;

        let latin = || OsString::from_vec(b"hunter\xff".to_vec());
        let output = run("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", latin());
        assert!(output.contains("ACCESS_TOKENS__SOURCES__SIMS__USERNAME: isn't UTF-8"), "{output}");
        let output = run("PASSWORD", latin());
        assert!(output.contains("sources.sims.password.env: the variable PASSWORD isn't UTF-8"), "{output}");
    }
}

#[test]
fn no_source_of_that_name() {
    let folder = Folder::new();
    let path = folder.write("a.toml", format!("{SIMS}{PAYEE}{SECRET}"));
    let config = support::read_with(path, NONE).unwrap();
    let error = folder.without(&config.source("sim").unwrap_err().to_string());
    assert_eq!(error, "a.toml: sources: there is no source \"sim\"; did you mean sims? Known here: payee, sims");
}

/// A configuration is read as secrets are: a device would be read until memory ends.
#[test]
#[cfg(target_os = "linux")]
fn a_configuration_that_isnt_a_regular_file() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("device.toml")).unwrap();
    folder.write("large.toml", vec![b'#'; 1024 * 1024 + 1]);
    for (name, why) in [("folder", "a folder"), ("device", "a device"), ("large", "larger than 1 MiB")] {
        let error = support::read_with(at(&format!("{name}.toml")), NONE).unwrap_err().to_string();
        assert!(error.contains("can't be read: it is") && error.contains(why), "{error}");
    }
}

/// Neither ends the process.
#[test]
fn files_that_are_deep() {
    for (name, text) in [
        ("a.toml", format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("a.toml", format!("{}a = 1", "a.".repeat(100_000))),
        ("a.toml", format!("[{}a]", "a.".repeat(100_000))),
        ("a.json", "[".repeat(100_000) + &"]".repeat(100_000)),
        ("a.json", "{\"a\":".repeat(100_000)),
        ("a.json", format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
    ] {
        refusal(name, text, &[]);
    }
}

/// What it takes to read a configuration grows with its length, and not with the square of that.
#[test]
fn thousands_of_sources() {
    let (mut toml, mut json) = (String::new(), serde_json::Map::new());
    let mut variables = Vec::new();
    for index in 0..2_000 {
        toml += &SIMS.replace("sims", &format!("sims-{index}"));
        json.insert(
            format!("sims-{index}"),
            json!({ "provider": "onence", "username": "me", "password": { "env": "P" } }),
        );
        variables.push((format!("ACCESS_TOKENS__SOURCES__SIMS_{index}__USERNAME"), "you"));
    }
    let folder = Folder::new();
    let json = serde_json::to_string_pretty(&json!({ "sources": json })).unwrap();
    let start = Instant::now();
    for path in [folder.write("a.toml", toml), folder.write("a.json", json)] {
        let config = support::read_with(path, variables.iter().map(|(name, value)| (&**name, *value))).unwrap();
        assert_eq!(config.sources().count(), 2_000);
        assert_eq!(config.to_json(&[]).unwrap()["sources"]["sims-7"]["username"], "you");
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn all_files_of_a_key_that_cant_be_read_are_reported_at_once() {
    let config = Reader::new().variables([
        ("WORLDLINE_BASE_URL", "https://auth.example/auth"),
        ("WORLDLINE_REALM", "r"),
        ("WORLDLINE_CLIENT_ID", "c"),
        ("WORLDLINE_SCOPE", "VOP"),
        ("WORLDLINE_SIGNING_KEY", "/nowhere/key"),
        ("WORLDLINE_SIGNING_CERT", "/nowhere/certificate"),
        ("WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE", "/nowhere/passphrase"),
    ]);
    let problems = config.read().unwrap().check("worldline").unwrap().problems;
    let mut places: Vec<_> = problems.iter().map(|problem| problem.origin().to_string()).collect();
    places.sort();
    assert_eq!(places, ["WORLDLINE_SIGNING_CERT", "WORLDLINE_SIGNING_KEY", "WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE"]);
}
