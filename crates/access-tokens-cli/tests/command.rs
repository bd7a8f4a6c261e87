//! The command as people run it: a process, its environment, stdout, stderr and exit code.
#![cfg(test)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Fault, Sandbox};

use self::support::bundle;

#[tokio::test(flavor = "multi_thread")]
async fn demo_prints_a_row_for_each_way_to_authenticate() {
    let (code, stdout, stderr) = run(&["demo"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let rows: Vec<_> = stdout.lines().collect();
    assert_eq!(rows.len(), 4, "{stdout}");
    let expected = [
        ["1NCE", "Basic", "all", "59m", "3000 characters", "accepted"],
        ["Worldline", "client secret", "VOP WERO", "4m", "1200 characters", "accepted"],
        ["Worldline", "client assertion", "VOP WERO", "4m", "1200 characters", "accepted"],
    ];
    for (row, cells) in rows[1..].iter().zip(expected) {
        assert!(cells.iter().all(|cell| row.contains(cell)), "{row}");
        assert!(row.split_whitespace().all(|word| word.len() < 20), "the token isn't shown: {row}");
    }
}

/// As in a bare container behind a proxy: neither reaches the sandbox.
#[test]
fn demo_needs_neither_a_proxy_nor_root_certificates() {
    let proxy = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1"));
    let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| (name, "/nowhere"));
    assert_eq!(run(&["demo"], &[&proxy[..], &certificates].concat()).0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_a_token_in_four_formats() {
    let sandbox = Sandbox::start().await.unwrap();
    for (provider, environment) in [("onence", onence(&sandbox)), ("worldline", worldline(&sandbox))] {
        let get = |format: &[&str]| {
            let (code, stdout, stderr) = run(&[&["get", provider], format].concat(), &pairs(&environment));
            assert_eq!((code, stderr.as_str()), (0, ""), "{provider} {format:?}");
            stdout
        };
        let token = get(&["--format", "token"]);
        assert!(
            token.trim_end().len() > 1000 && token.ends_with('\n') && !token.trim_end().contains(char::is_whitespace)
        );
        assert_eq!(get(&[]).len(), token.len(), "the bare token in a pipe");
        assert!(get(&["--format", "header"]).starts_with("Authorization: Bearer "));

        let json: serde_json::Value = serde_json::from_str(&get(&["--format", "json"])).unwrap();
        let members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["provider", "access_token", "token_type", "expires_in", "expires_at", "scopes", "user_id"];
        assert_eq!(sorted(members), sorted(expected.to_vec()));
        assert_eq!((json["provider"].as_str(), json["token_type"].as_str()), (Some(provider), Some("Bearer")));
        assert_eq!(json["expires_in"], if provider == "onence" { 3600 } else { 300 });
        assert!(json["expires_at"].as_str().unwrap().ends_with('Z'));
        let scopes = if provider == "onence" { serde_json::json!(["all"]) } else { serde_json::json!(["VOP", "WERO"]) };
        assert_eq!(json["scopes"], scopes);
        assert_eq!(json["user_id"].as_str(), (provider == "onence").then_some("user"));

        let table = get(&["--format", "table"]);
        assert!(table.contains(if provider == "onence" { "1NCE" } else { "Worldline" }), "{table}");
        assert!(table.contains("characters)") && table.lines().all(|line| line.len() < 60), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_worldline_with_a_client_assertion() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    fs::write(&key, sandbox.signing_key_pem()).unwrap();
    fs::write(&certificate, sandbox.signing_cert_pem()).unwrap();
    let mut environment = worldline(&sandbox);
    environment.retain(|(name, _)| !name.contains("SECRET"));
    environment.extend([("WORLDLINE_CLIENT_ID".to_owned(), "sandbox-jwt-client".to_owned())]);
    let [key, certificate] = [key, certificate].map(|path| path.to_str().unwrap().to_owned());

    let flags = ["get", "worldline", "--signing-key", &key, "--signing-cert", &certificate];
    assert_eq!(run(&flags, &pairs(&environment)).0, 0);
    environment.extend([("WORLDLINE_SIGNING_KEY".to_owned(), key), ("WORLDLINE_SIGNING_CERT".to_owned(), certificate)]);
    assert_eq!(run(&["get", "worldline"], &pairs(&environment)).0, 0);
}

/// As `openssl pkcs8 -topk8` writes it, and a certificate for it to the year 2125; the passphrase is `planted-passphrase`.
const ENCRYPTED_KEY: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj5rZj7C5PZ0AICCAAw\n\
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMobM6Uicf3a2K8vzbttz40EgZAf\n\
vAQGbXMXbIwN2eGVDLBJwQnjohC1PoYduoc6Hin6eu5KFyzh5BPusIZQOJQ5VOW0\n\
kHc23OxIrVNJnmkc7Ljmvkcp1/rBY3Ne1cgzc7FhxuLkpvdZA7FT27PSPpBWGEso\n\
aNYUp+dKSlV6g76QgAslNjbEjPsppQhhzTch78lxSEAZgpgcwaNzuOYFRmtesTs=\n\
-----END ENCRYPTED PRIVATE KEY-----\n";
const ITS_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBEDCBuAIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAllbmNyeXB0ZWQwIBcN\n\
MjUwMTAxMDAwMDAwWhgPMjEyNTAxMDEwMDAwMDBaMBQxEjAQBgNVBAMMCWVuY3J5\n\
cHRlZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEJMxZgA7P1fOVAALUpoJ4aW\n\
HoTFdmc4t4ZNzazQ+7P698WlpYVtkTvt22QaZkrTqmuoCx6x2g5JLQwtN4bV+tUw\n\
CgYIKoZIzj0EAwIDRwAwRAIgA78dJZwC9o2TyN3emPiYsyEKf5rmuazkS9TKros6\n\
YMECIHfmxV2X2p+pBPvPltjaGDv+OVf9LMAWgy+ceAck3tfA\n\
-----END CERTIFICATE-----\n";

#[tokio::test(flavor = "multi_thread")]
async fn get_worldline_with_a_key_that_has_a_passphrase() {
    let auth = ClientAuth::Certificate(ITS_CERTIFICATE.as_bytes().to_vec());
    let clients = vec![
        Client { client_id: "encrypted".to_owned(), auth },
        Client { client_id: "sandbox-jwt-client".to_owned(), auth: ClientAuth::SandboxCertificate },
    ];
    let settings = access_tokens_sandbox::Worldline { clients, ..Default::default() };
    let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (key, certificate) =
        (write("key.pem", ENCRYPTED_KEY.as_bytes()), write("cert.pem", ITS_CERTIFICATE.as_bytes()));
    let passphrase = write("passphrase", b"planted-passphrase\n");
    let (bundle, unnamed) = (write("bundle.p12", &bundle(&sandbox)), write("bundle", &bundle(&sandbox)));
    let mut base = worldline(&sandbox);
    base.retain(|(name, _)| !name.contains("SECRET") && !name.contains("CLIENT_ID"));

    let by_variable = ("WORLDLINE_SIGNING_KEY_PASSPHRASE", "planted-passphrase");
    let by_file = ("WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE", passphrase.as_str());
    let pair = ["--client-id", "encrypted", "--signing-key", &key, "--signing-cert", &certificate];
    let [named, unnamed] =
        [&bundle, &unnamed].map(|bundle| ["--client-id", "sandbox-jwt-client", "--signing-key", bundle]);
    // (flags, passphrase, exit code, this on stderr)
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);
    let cases: [Case; 9] = [
        (&pair, &[by_variable], 0, ""),
        (&pair, &[by_file], 0, ""),
        (&pair, &[], 2, "no passphrase is set"),
        (&pair, &[("WORLDLINE_SIGNING_KEY_PASSPHRASE", "planted-wrong")], 2, "the passphrase doesn't open it"),
        (&pair, &[by_variable, by_file], 2, "can't be set beside WORLDLINE_SIGNING_KEY_PASSPHRASE;"),
        (&named, &[by_variable], 0, ""),
        (&unnamed, &[by_file], 0, ""),
        (&named, &[], 2, "passphrase"),
        (&pair[..4], &[by_variable], 2, "it is a private key; set its certificate as WORLDLINE_SIGNING_CERT"),
    ];
    for (flags, passphrase, code, told) in cases {
        let environment = [&pairs(&base), passphrase].concat();
        let (found, stdout, stderr) = run(&[&["get", "worldline"], flags].concat(), &environment);
        assert_eq!(found, code, "{flags:?} {passphrase:?}: {stderr}");
        assert_eq!(stdout.is_empty(), code != 0);
        assert!(stderr.contains(told), "{told}: {stderr}");
        assert!(!stderr.contains("planted-"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_whose_move_it_is() {
    let sandbox = Sandbox::start().await.unwrap();
    let with = |base: &[(String, String)], name: &str, value: &str| {
        let mut environment: Vec<_> = base.iter().filter(|(other, _)| other != name).cloned().collect();
        environment.push((name.to_owned(), value.to_owned()));
        environment
    };
    let (onence, worldline) = (onence(&sandbox), worldline(&sandbox));
    // (arguments, environment, faults, exit code, all of this on stderr)
    type Case<'a> = (&'a str, Vec<(String, String)>, Option<Fault>, i32, &'a [&'a str]);
    let cases: Vec<Case> = vec![
        (
            "onence",
            with(&onence, "ONENCE_PASSWORD", "wrong"),
            None,
            3,
            &["BadCredentials", "User does not exist.", "ONENCE_PASSWORD"],
        ),
        (
            "worldline",
            with(&worldline, "WORLDLINE_CLIENT_SECRET", "wrong"),
            None,
            3,
            &["unauthorized_client", "HTTP 401"],
        ),
        (
            "worldline",
            with(&worldline, "WORLDLINE_SCOPE", "IDEAL"),
            None,
            3,
            &["invalid_scope", "Invalid scopes: IDEAL", "WORLDLINE_SCOPE"],
        ),
        ("worldline", with(&worldline, "WORLDLINE_REALM", "elsewhere"), None, 3, &["HTTP 404", "WORLDLINE_REALM"]),
        ("onence", vec![], None, 2, &["ONENCE_USERNAME", "ONENCE_PASSWORD"]),
        ("onence", with(&onence, "ONENCE_PASSWORD", ""), None, 2, &["ONENCE_PASSWORD: isn't set"]),
        (
            "worldline",
            vec![],
            None,
            2,
            &[
                "WORLDLINE_BASE_URL",
                "WORLDLINE_REALM",
                "WORLDLINE_CLIENT_ID",
                "WORLDLINE_SCOPE",
                "WORLDLINE_CLIENT_SECRET",
            ],
        ),
        (
            "worldline",
            with(&worldline, "WORLDLINE_SIGNING_KEY", "key.pem"),
            None,
            2,
            &["WORLDLINE_CLIENT_SECRET: can't be set beside WORLDLINE_SIGNING_KEY"],
        ),
        ("worldline", with(&worldline, "WORLDLINE_REALM", ".."), None, 2, &["WORLDLINE_REALM: "]),
        ("worldline", with(&worldline, "WORLDLINE_SCOPE", "é"), None, 2, &["WORLDLINE_SCOPE: "]),
        (
            "worldline",
            with(&worldline, "WORLDLINE_CLIENT_SECRET_FILE", "/nowhere"),
            None,
            2,
            &["WORLDLINE_CLIENT_SECRET_FILE: can't be set beside WORLDLINE_CLIENT_SECRET;"],
        ),
        (
            "onence",
            with(&with(&onence, "ONENCE_PASSWORD", ""), "ONENCE_PASSWORD_FILE", "/nowhere"),
            None,
            2,
            &["ONENCE_PASSWORD_FILE: /nowhere can't be read: "],
        ),
        (
            "onence",
            with(&onence, "ONENCE_BASE_URL", "http://api.example"),
            None,
            2,
            &["must be https", "ONENCE_BASE_URL"],
        ),
        ("onence", with(&onence, "ONENCE_BASE_URL", "http://127.0.0.1:1"), None, 4, &["can't be reached", "try again"]),
        ("onence", onence.clone(), Some(Fault::status(503).into()), 4, &["HTTP 503"]),
        (
            "onence",
            onence.clone(),
            Some(Fault::status(429).retry_after(90).into()),
            4,
            &["HTTP 429", "try again in 1m 30s"],
        ),
        ("onence", onence.clone(), Some(Fault::reset()), 4, &["try again"]),
        ("onence", onence.clone(), Some(Fault::without_token()), 5, &["no access_token", "tell the provider"]),
        ("onence", onence.clone(), Some(Fault::garbage()), 5, &["isn't a token response"]),
    ];
    for (provider, environment, fault, code, told) in cases {
        if let Some(fault) = fault {
            sandbox.fault(Endpoint::Onence, fault).unwrap();
        }
        let (found, stdout, stderr) = run(&["get", provider], &pairs(&environment));
        assert_eq!((found, stdout.as_str()), (code, ""), "{provider} {told:?}: {stderr}");
        for part in told {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        assert!(!stderr.contains('\u{1b}'), "no colour in a pipe: {stderr}");
        assert!(!stderr.contains("sandbox-password") && !stderr.contains("sandbox-secret"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_file_loses_one_line_break() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let mut environment = onence(&sandbox);
    environment.retain(|(name, _)| name != "ONENCE_PASSWORD");
    environment.push(("ONENCE_PASSWORD_FILE".to_owned(), path.to_str().unwrap().to_owned()));
    for (text, code) in [
        ("sandbox-password", 0),
        ("sandbox-password\n", 0),
        ("sandbox-password\r\n", 0),
        ("sandbox-password \n", 3),
        // A password can't hold what is left of two line breaks, so nothing is sent.
        ("sandbox-password\n\n", 2),
        ("\n", 2),
        ("", 2),
    ] {
        fs::write(&path, text).unwrap();
        let (found, _, stderr) = run(&["get", "onence"], &pairs(&environment));
        assert_eq!(found, code, "{text:?}: {stderr}");
    }
}

#[test]
fn no_secret_is_accepted_as_an_argument() {
    for (provider, flag) in [
        ("onence", "--password"),
        ("onence", "--onence-password"),
        ("worldline", "--client-secret"),
        ("worldline", "--worldline-client-secret"),
        ("worldline", "--signing-key-passphrase"),
    ] {
        for arguments in [vec!["get", provider, flag, "hunter2"], vec!["get", provider, &format!("{flag}=hunter2")]] {
            let (code, _, stderr) = run(&arguments, &[]);
            assert_eq!(code, 2, "{arguments:?}");
            assert!(stderr.contains("unexpected argument") && !stderr.contains("hunter2"), "{stderr}");
        }
        let (_, help, _) = run(
            &["get", provider, "--help"],
            &[("ONENCE_PASSWORD", "hunter2"), ("WORLDLINE_CLIENT_SECRET", "hunter2")],
        );
        assert!(!help.contains(&format!("{flag} ")) && !help.contains("hunter2"), "{help}");
    }
}

/// The easy mistake: what is in a file, in place of the file's path.
#[test]
fn a_key_in_place_of_its_path_isnt_repeated() {
    let key = "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n";
    let environment = [
        ("WORLDLINE_BASE_URL", "https://user:planted@auth.example/auth"),
        ("WORLDLINE_REALM", "r"),
        ("WORLDLINE_CLIENT_ID", "c"),
        ("WORLDLINE_SCOPE", "VOP"),
        ("WORLDLINE_SIGNING_KEY", key),
        ("WORLDLINE_SIGNING_CERT", key),
    ];
    let (code, _, stderr) = run(&["get", "worldline"], &environment);
    assert_eq!(code, 2);
    assert!(stderr.contains("WORLDLINE_SIGNING_KEY: must be the path") && !stderr.contains("planted"), "{stderr}");
    let mistaken = [("ONENCE_USERNAME", "u"), ("ONENCE_PASSWORD_FILE", "planted")];
    let (code, _, stderr) = run(&["get", "onence"], &mistaken);
    assert_eq!(code, 2);
    assert!(stderr.contains("ONENCE_PASSWORD_FILE") && !stderr.contains("planted"), "{stderr}");
    let (_, help, _) = run(&["get", "worldline", "--help"], &environment);
    assert!(!help.contains("planted"), "{help}");
}

#[test]
fn a_wrong_log_filter_is_told() {
    let (code, _, stderr) = run(&["demo"], &[("RUST_LOG", "access_tokens=bogus")]);
    assert_eq!(code, 0);
    assert!(stderr.contains("warning: RUST_LOG is ignored"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_to_stderr_and_holds_no_secret() {
    let sandbox = Sandbox::start().await.unwrap();
    for (provider, mut environment) in [("onence", onence(&sandbox)), ("worldline", worldline(&sandbox))] {
        environment.push(("RUST_LOG".to_owned(), "access_tokens=debug".to_owned()));
        let (_, _, stderr) = run(&["get", provider], &pairs(&environment));
        assert!(stderr.contains("token granted"), "{stderr}");
        environment.push(("RUST_LOG".to_owned(), "trace".to_owned()));
        let (code, token, stderr) = run(&["get", provider], &pairs(&environment));
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("TRACE") || stderr.contains("DEBUG"), "{stderr}");
        for secret in [
            token.trim_end(),
            "sandbox-password",
            "sandbox-secret",
            "c2FuZGJveEAxbmNlLmV4YW1wbGU6c2FuZGJveC1wYXNzd29yZA==",
        ] {
            assert!(!stderr.contains(secret), "{secret} in {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_werent_granted_are_warned_of() {
    let settings = access_tokens_sandbox::Worldline { granted_scopes: Some(vec!["VOP".into()]), ..Default::default() };
    let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
    let (code, _, stderr) = run(&["get", "worldline"], &pairs(&worldline(&sandbox)));
    assert_eq!(code, 0);
    assert!(stderr.contains("warning: Worldline didn't grant WERO"), "{stderr}");
}

#[test]
fn help_has_examples() {
    let pages = [
        vec!["--help"],
        vec!["get", "--help"],
        vec!["get", "onence", "--help"],
        vec!["get", "worldline", "--help"],
        vec!["doctor", "--help"],
        vec!["config", "check", "--help"],
        vec!["config", "schema", "--help"],
        vec!["config", "show", "--help"],
        vec!["sandbox", "--help"],
    ];
    let text: String = pages
        .iter()
        .map(|arguments| {
            let (code, stdout, _) = run(arguments, &[]);
            assert_eq!(code, 0);
            assert!(stdout.contains("Example"), "{stdout}");
            format!("$ access-tokens {}\n{stdout}\n", arguments.join(" "))
        })
        .collect();
    insta::assert_snapshot!("help", text);
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, script, stderr) = run(&["completions", shell], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        assert!(script.contains("access-tokens") && script.contains("signing-key"), "{shell}");
        assert!(script.contains("doctor") && script.contains("schema") && script.contains("source"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    let mut child =
        command(&["completions", "bash"], &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
}

/// A process that doesn't outlive a failed test.
#[cfg(unix)]
struct Killed(std::process::Child);

#[cfg(unix)]
impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As a user would: start it, paste what it prints, get tokens, stop it.
#[cfg(unix)]
#[test]
fn the_sandbox_command_prints_the_settings_that_get_needs() {
    let fault = r#"{"endpoint":"worldline","status":503,"times":1}"#;
    let mut command = command(&["sandbox", "--spelling", "example", "--fault", fault], &[]);
    let mut sandbox = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(sandbox.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut settings = Vec::new();
    let mut signing = Vec::new();
    for line in lines.by_ref() {
        let Some(setting) = line.trim_start_matches("# ").strip_prefix("export ") else { continue };
        let (name, value) = setting.split_once('=').unwrap();
        let pair = (name.to_owned(), value.trim_matches('\'').to_owned());
        if line.starts_with('#') {
            signing.push(pair)
        } else {
            settings.push(pair)
        }
        if name == "WORLDLINE_SIGNING_CERT" {
            break;
        }
    }
    assert_eq!(run(&["get", "onence"], &pairs(&settings)).0, 0);
    assert_eq!(run(&["get", "worldline"], &pairs(&settings)).0, 4, "the fault");
    assert_eq!(run(&["get", "worldline"], &pairs(&settings)).0, 0);
    settings.retain(|(name, _)| name != "WORLDLINE_CLIENT_SECRET" && name != "WORLDLINE_CLIENT_ID");
    settings.extend(signing.clone());
    assert_eq!(run(&["get", "worldline"], &pairs(&settings)).0, 0);

    let key = &signing.iter().find(|(name, _)| name == "WORLDLINE_SIGNING_KEY").unwrap().1;
    assert!(Path::new(key).exists());
    let kill = format!("kill {}", sandbox.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert!(sandbox.0.wait().unwrap().success());
    assert!(!Path::new(key).exists(), "the key goes with the sandbox");
}

#[test]
fn the_sandbox_command_says_what_is_wrong_with_its_arguments() {
    for (arguments, told) in [
        (vec!["--fault", "{"], "--fault"),
        (vec!["--fault", r#"{"endpoint":"onence","latency":500}"#], "latency"),
        (
            vec!["--fault", r#"{"endpoint":"onence","status":1}"#],
            r#"--fault {"endpoint":"onence","status":1}: `status` must"#,
        ),
        (vec!["--fault", r#"{"endpoint":"elsewhere","status":500}"#], "elsewhere"),
        (vec!["--listen", "0.0.0.0:0"], "--listen"),
        (vec!["--listen", "here"], "--listen"),
    ] {
        let (code, _, stderr) = run(&[vec!["sandbox"], arguments.clone()].concat(), &[]);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
}

/// Not the sandbox: any server that speaks the specification.
#[test]
fn get_works_against_a_server_of_another_make() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let length = connection.read(&mut request).unwrap();
        let body = r#"{"access_token":"abc","token_type":"bearer","expires_in":"60","user_id":7,"score":"all"}"#;
        write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let environment = [("ONENCE_BASE_URL", url.as_str()), ("ONENCE_USERNAME", "a@b.example"), ("ONENCE_PASSWORD", "c")];
    let (code, stdout, _) = run(&["get", "onence", "--format", "header"], &environment);
    assert_eq!((code, stdout.as_str()), (0, "Authorization: Bearer abc\n"));
    assert!(server.join().unwrap().contains("authorization: Basic YUBiLmV4YW1wbGU6Yw=="));
}

fn onence(sandbox: &Sandbox) -> Vec<(String, String)> {
    [
        ("ONENCE_BASE_URL", sandbox.onence_base_url().as_str()),
        ("ONENCE_USERNAME", "sandbox@1nce.example"),
        ("ONENCE_PASSWORD", "sandbox-password"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn worldline(sandbox: &Sandbox) -> Vec<(String, String)> {
    [
        ("WORLDLINE_BASE_URL", sandbox.worldline_base_url().as_str()),
        ("WORLDLINE_REALM", "sandbox"),
        ("WORLDLINE_CLIENT_ID", "sandbox-client"),
        ("WORLDLINE_SCOPE", "VOP WERO"),
        ("WORLDLINE_CLIENT_SECRET", "sandbox-secret"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn pairs(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

/// With no other environment than this.
fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_access-tokens"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(arguments, environment).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
