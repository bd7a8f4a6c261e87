//! Settings that can't be right never reach a server, whichever way they come in: as a variable, a flag, or in a configuration.
#![cfg(test)]

mod support;

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Sandbox};

use self::support::{
    Folder, Said, bundle, certificate,
    server::{self, Server},
    ways::{Given, PLAIN_WAYS, WAYS, Way, is_secret},
};

type Variables = Vec<(String, String)>;

/// Right settings, which lead to this URL.
fn settings(provider: &str, url: &str) -> Vec<(&'static str, String)> {
    let settings = match provider {
        "onence" => vec![("base_url", url), ("username", "me@example.com"), ("password", "planted-wrong")],
        _ => vec![
            ("base_url", url),
            ("realm", "clients"),
            ("client_id", "Worldline-000021"),
            ("scopes", "VOP"),
            ("client_secret", "planted-wrong"),
        ],
    };
    settings.into_iter().map(|(key, value)| (key, value.to_owned())).collect()
}

/// The source with `value` in place of one setting.
fn given(folder: &Folder, way: Way, provider: &'static str, url: &str, key: &str, value: &str) -> Given {
    let mut settings = settings(provider, url);
    let setting = settings.iter_mut().find(|(known, _)| *known == key);
    if let Some((_, old)) = setting {
        *old = value.to_owned();
    }
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Given::new(folder, way, provider, &settings)
}

const ONENCE: [&str; 3] = ["base_url", "username", "password"];
const WORLDLINE: [&str; 5] = ["base_url", "realm", "client_id", "scopes", "client_secret"];

/// Each provider and setting, in each way that differs for it.
fn each() -> impl Iterator<Item = (&'static str, &'static str, Way)> {
    let keys = ONENCE.iter().map(|key| ("onence", *key)).chain(WORLDLINE.iter().map(|key| ("worldline", *key)));
    keys.flat_map(|(provider, key)| {
        let ways: &[Way] = if is_secret(key) { &WAYS } else { &PLAIN_WAYS };
        ways.iter().map(move |way| (provider, key, *way))
    })
}

/// That `get` refuses the setting, in the spelling of the way that it came in, and sends nothing. `config check` says the same.
#[track_caller]
fn assert_refused(folder: &Folder, given: &Given, way: Way, key: &str, told: &[&str], server: &Server) {
    let name = given.name(key);
    let get = given.get(folder);
    assert_eq!((get.code, get.stdout.as_str()), (2, ""), "{way:?} {key} {told:?}: {}", get.stderr);
    let line = get.stderr.lines().find(|line| line.starts_with(&format!("error: {name}")));
    let line = line.unwrap_or_else(|| panic!("{name}: {}", get.stderr));
    assert!(told.iter().all(|part| line.contains(part)), "{way:?} {told:?}: {line}");
    assert_eq!(get.stderr.lines().count(), 1, "{way:?} {key}: no other problem follows from it\n{}", get.stderr);
    if !way.is_of_get() {
        let check = given.run(folder, &["config", "check"]);
        assert_eq!((check.code, check.stderr.as_str()), (2, get.stderr.as_str()), "{way:?} {key}");
    }
    assert_eq!(server.connections(), 0, "{way:?} {key} {told:?}: something was sent");
}

/// What the tests below rely on: with right settings, each way leads to the server.
#[test]
fn right_settings_reach_the_server_in_every_way_in() {
    for (provider, way) in ["onence", "worldline"].into_iter().flat_map(|of| WAYS.map(|way| (of, way))) {
        let (folder, server) = (Folder::new(), Server::counting());
        let said = given(&folder, way, provider, &server.url(), "", "").get(&folder);
        assert_eq!((said.code, server.connections()), (4, 1), "{provider} {way:?}: {}", said.stderr);
    }
}

#[test]
fn characters_that_nobody_sees_are_refused_in_every_way_in() {
    let characters = [
        ('\n', "a line feed (U+000A)"),
        ('\r', "a carriage return (U+000D)"),
        ('\t', "a tab (U+0009)"),
        ('\0', "a null character (U+0000)"),
        ('\u{1b}', "a control character (U+001B)"),
        ('\u{7f}', "a control character (U+007F)"),
        ('\u{85}', "a control character (U+0085)"),
        ('\u{feff}', "a byte order mark (U+FEFF)"),
        ('\u{200b}', "an invisible character (U+200B)"),
        ('\u{202e}', "an invisible character (U+202E)"),
    ];
    let server = Server::counting();
    let folder = Folder::new();
    for (index, (provider, key, way)) in each().enumerate() {
        let right = settings(provider, &server.url());
        let right = &right.iter().find(|(known, _)| *known == key).unwrap().1;
        // Some of them for each setting, and all of them for each way in.
        for (number, (character, told)) in characters.into_iter().cycle().skip(index * 3).take(4).enumerate() {
            // At the end, at the start, or within. A file's last line break doesn't count.
            let value = match (index + number) % 3 {
                0 if !(way.is_by_file() && character == '\n') => format!("{right}{character}"),
                1 => {
                    let (start, end) = right.split_at(2);
                    format!("{start}{character}{end}")
                }
                _ => format!("{character}{right}"),
            };
            if !way.takes(key, &value) {
                continue;
            }
            let given = given(&folder, way, provider, &server.url(), key, &value);
            // Of scopes another rule refuses it, which RFC 6749 has.
            let told = if key == "scopes" { &["scope"] } else { &[told, "remove it"][..] };
            assert_refused(&folder, &given, way, key, told, &server);
        }
    }
}

#[test]
fn spaces_around_ids_and_urls_are_refused() {
    let (server, folder) = (Server::counting(), Folder::new());
    for (provider, key, way) in each().filter(|(_, key, _)| !is_secret(key) && *key != "scopes") {
        let right = settings(provider, &server.url());
        let right = &right.iter().find(|(known, _)| *known == key).unwrap().1;
        for value in [format!("{right} "), format!(" {right}"), format!("{right}\u{a0}")] {
            let given = given(&folder, way, provider, &server.url(), key, &value);
            assert_refused(&folder, &given, way, key, &["begins or ends with a space; remove it"], &server);
        }
    }
}

#[test]
fn what_a_shell_would_have_replaced_is_refused_outside_of_secrets() {
    let (server, folder) = (Server::counting(), Folder::new());
    let url = server.url();
    for (provider, key, way) in each().filter(|(_, key, _)| !is_secret(key) && *key != "scopes") {
        let right = settings(provider, &url);
        let right = &right.iter().find(|(known, _)| *known == key).unwrap().1;
        for (value, told) in [
            (format!("\"{right}\""), ["in quotes", "write it without them"]),
            (format!("'{right}'"), ["in quotes", "write it without them"]),
            (format!("\u{201c}{right}\u{201d}"), ["in quotes", "write it without them"]),
            ("$SETTING".to_owned(), ["a $VARIABLE", "write what it stands for"]),
            (format!("{right}${{SETTING}}"), ["a $VARIABLE", "write what it stands for"]),
            ("~/setting".to_owned(), ["~ for a home folder", "write what it stands for"]),
        ] {
            let given = given(&folder, way, provider, &url, key, &value);
            assert_refused(&folder, &given, way, key, &told, &server);
        }
    }
}

#[test]
fn what_a_shell_would_have_replaced_is_refused_in_paths() {
    let (server, folder) = (Server::counting(), Folder::new());
    let url = server.url();
    let paths = [
        ("~/secret", "~ for a home folder"),
        ("$HOME/secret", "a $VARIABLE"),
        ("${HOME}/secret", "a $VARIABLE"),
        ("\"/run/secret\"", "in quotes"),
        ("/run/secret ", "begins or ends with a space"),
    ];
    for (path, told) in paths {
        let flat = [("ONENCE_BASE_URL", url.as_str()), ("ONENCE_USERNAME", "me"), ("ONENCE_PASSWORD_FILE", path)];
        let flag = format!("--password-file={path}");
        folder.write(
            "paths.toml",
            format!(
                "[sources.sims]\nprovider = \"onence\"\nbase_url = \"{url}\"\nusername = \"me\"\npassword = {{ file = '{path}' }}\n"
            ),
        );
        let nested = ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE", path);
        let of_file = ["get", "sims", "--config", "paths.toml"];
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 4] = [
            (&["get", "onence"], &flat, "ONENCE_PASSWORD_FILE: "),
            (&["get", "onence", &flag], &flat[..2], "--password-file: "),
            (&of_file, &[], "paths.toml:5: sources.sims.password.file: "),
            (&of_file, &[nested], "ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE: "),
        ];
        for (arguments, environment, name) in cases {
            let Said { code, stderr, .. } = folder.run(arguments, environment);
            assert_eq!((code, server.connections()), (2, 0), "{arguments:?}: {stderr}");
            assert!(stderr.starts_with(&format!("error: {name}the path of the file ")), "{name}: {stderr}");
            assert!(stderr.contains(told) && stderr.lines().count() == 1, "{told}: {stderr}");
        }
    }
    for variable in ["WORLDLINE_SIGNING_KEY", "WORLDLINE_SIGNING_CERT", "WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE"] {
        let Said { code, stderr, .. } = folder.run(&["get", "worldline"], &[(variable, "~/key.pem")]);
        assert_eq!(code, 2);
        assert!(
            stderr.contains(&format!("error: {variable}: the path of the file holds ~ for a home folder")),
            "{stderr}"
        );
    }
}

/// Whatever is in a secret that people can see is the provider's choice, and goes out as it is.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_ids_go_out_as_they_are() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let (onence, worldline) = (sandbox.onence_base_url(), sandbox.worldline_base_url());
    let clients = |id: &str, secret: &str| {
        let auth = ClientAuth::Secret(secret.to_owned());
        sandbox.set_worldline_clients(vec![Client { client_id: id.to_owned(), auth }]).unwrap();
    };
    let secrets =
        ["\"quoted\"", "'quoted'", "$HOME", "${HOME}", "~/x", "gr\u{f6}\u{df}er \u{20ac} \u{1f511}", " both ends "];
    for secret in secrets {
        // In NFC, as it is typed; the same user name in another form would be another.
        let id = if secret.is_ascii() { "robot$reader" } else { "J\u{fc}rgen" };
        sandbox.set_onence_credentials(id, secret);
        clients(id, secret);
        for way in WAYS {
            let of_onence = [("base_url", onence.as_str()), ("username", id), ("password", secret)];
            let of_worldline = [
                ("base_url", worldline.as_str()),
                ("realm", "sandbox"),
                ("client_id", id),
                ("scopes", "VOP"),
                ("client_secret", secret),
            ];
            for (provider, settings) in [("onence", &of_onence[..]), ("worldline", &of_worldline)] {
                let said = Given::new(&folder, way, provider, settings).get(&folder);
                assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{provider} {way:?} {secret}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_at_the_end_of_a_secret_is_warned_of() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let secret = "planted-wrong ";
    sandbox.set_onence_credentials("me@example.com", secret);
    let url = sandbox.onence_base_url();
    for way in WAYS.into_iter().filter(|way| !way.is_of_get()) {
        let given = given(&folder, way, "onence", &url, "password", secret);
        let name = given.name("password");
        let warning = format!("{name}the password begins or ends with a space, which counts; is it part of it?");
        let check = given.run(&folder, &["config", "check"]);
        assert_eq!((check.code, check.stderr), (0, format!("warning: {warning}\n")), "{way:?}");
        let doctor = given.run(&folder, &["doctor"]);
        assert_eq!(doctor.code, 0, "{way:?}: {}", doctor.stdout);
        assert!(doctor.stdout.contains("warn  settings"), "{way:?}: {}", doctor.stdout);
        assert!(doctor.stdout.contains(&warning), "{way:?}: {}", doctor.stdout);
        assert_eq!(given.get(&folder).code, 0, "{way:?}");
    }
}

#[test]
fn a_secret_may_end_in_one_line_break_in_a_file_alone() {
    let folder = Folder::new();
    for way in WAYS {
        let server = Server::counting();
        for (secret, code) in [("planted-wrong\n", 4), ("planted-wrong\r\n", 4), ("planted-wrong\n\n", 2), ("\n", 2)] {
            let code = if way.is_by_file() { code } else { 2 };
            let said = given(&folder, way, "onence", &server.url(), "password", secret).get(&folder);
            assert_eq!(said.code, code, "{way:?} {secret:?}: {}", said.stderr);
        }
        assert_eq!(server.connections(), if way.is_by_file() { 2 } else { 0 }, "{way:?}");
    }
}

/// The ways to name the file of a password, with what a message calls it.
fn password_files(folder: &Folder, url: &str, path: &str) -> Vec<(Vec<String>, Variables, &'static str)> {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    folder.write(
        "file.toml",
        format!(
            "[sources.sims]\nprovider = \"onence\"\nbase_url = \"{url}\"\nusername = \"me\"\npassword = {{ file = \"{path}\" }}\n"
        ),
    );
    let flat = [("ONENCE_BASE_URL", url), ("ONENCE_USERNAME", "me")];
    let nested = [
        ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
        ("ACCESS_TOKENS__SOURCES__SIMS__BASE_URL", url),
        ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me"),
        ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE", path),
    ];
    vec![
        (
            strings(&["onence"]),
            pairs(&[&flat[..], &[("ONENCE_PASSWORD_FILE", path)]].concat()),
            "ONENCE_PASSWORD_FILE: ",
        ),
        (strings(&["onence", "--password-file", path]), pairs(&flat), "--password-file: "),
        (strings(&["sims"]), pairs(&nested), "ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE: "),
        (
            strings(&["sims"]),
            pairs(&[("ACCESS_TOKENS_CONFIG", "file.toml")]),
            "file.toml:5: sources.sims.password.file: ",
        ),
    ]
}

fn run(folder: &Folder, arguments: &[&str], more: &[String], environment: &[(String, String)]) -> Said {
    let arguments: Vec<_> = arguments.iter().copied().chain(more.iter().map(String::as_str)).collect();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    folder.run(&arguments, &environment)
}

/// A path that leads nowhere, whoever asks: permissions don't stop a superuser.
#[cfg(unix)]
fn unreadable(folder: &Folder) -> String {
    let path = folder.path().join("loop");
    let _ = std::os::unix::fs::symlink(&path, &path);
    path.display().to_string()
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_isnt_a_regular_file_is_refused() {
    let (server, folder) = (Server::counting(), Folder::new());
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    folder.write("large", vec![b'a'; 1024 * 1024 + 1]);
    folder.write("binary", b"planted-wrong\xff");
    folder.write("empty", "");
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let absolute = |name: &str| folder.path().join(name).display().to_string();
    let cases = [
        ("/dev/zero".to_owned(), "it is a device or a socket; name a regular file or a pipe"),
        (absolute("socket"), "it is a device or a socket; name a regular file or a pipe"),
        (absolute("folder"), "it is a folder; name the file in it"),
        (absolute("large"), "it is larger than 1 MiB"),
        (absolute("nowhere"), "No such file"),
        (unreadable(&folder), "symbolic link"),
        (absolute("binary"), "isn't UTF-8; save it as UTF-8"),
        (absolute("empty"), "is empty"),
    ];
    for (path, told) in cases {
        for (arguments, environment, name) in password_files(&folder, &server.url(), &path) {
            let said = run(&folder, &["get"], &arguments, &environment);
            assert_eq!((said.code, server.connections()), (2, 0), "{name}{path}: {}", said.stderr);
            assert!(said.stderr.starts_with(&format!("error: {name}")), "{name}: {}", said.stderr);
            assert!(said.stderr.contains(&path) && said.stderr.contains(told), "{told}: {}", said.stderr);
            if !name.starts_with("--") {
                let check = run(&folder, &["config", "check"], &[], &environment);
                assert_eq!((check.code, check.stderr), (2, said.stderr), "{name}{path}");
            }
        }
    }
}

/// As `<(pass show 1nce)` of a shell: whoever writes it opens it when he is ready.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_read_once_and_whole() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    sandbox.set_onence_credentials("me", "sandbox-password");
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for (arguments, environment, name) in
        password_files(&folder, &sandbox.onence_base_url(), &path.display().to_string())
    {
        let mut commands = vec![(vec!["get"], arguments)];
        if !name.starts_with("--") {
            commands.extend([(vec!["config", "check"], vec![]), (vec!["doctor"], vec![])]);
        }
        for (command, more) in commands {
            let pipe = path.clone();
            let writer = std::thread::spawn(move || std::fs::write(pipe, "sandbox-password\n").unwrap());
            let said = run(&folder, &command, &more, &environment);
            assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{command:?} {name}: {}", said.stdout);
            writer.join().unwrap();
        }
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_may_write_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    sandbox.set_onence_credentials("me", "sandbox-password");
    let path = folder.write("open", "sandbox-password\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).unwrap();
    let path = path.display().to_string();
    for (arguments, environment, name) in password_files(&folder, &sandbox.onence_base_url(), &path) {
        if name.starts_with("--") {
            continue;
        }
        let warning = format!("{name}{path} can be written by every user of this machine; run chmod o-w {path}");
        let check = run(&folder, &["config", "check"], &[], &environment);
        assert_eq!((check.code, check.stderr), (0, format!("warning: {warning}\n")));
        let doctor = run(&folder, &["doctor"], &[], &environment);
        assert_eq!(doctor.code, 0);
        assert!(doctor.stdout.contains(&warning), "{name}: {}", doctor.stdout);
        assert_eq!(run(&folder, &["get"], &arguments, &environment).code, 0);
    }
}

#[test]
fn a_base_url_that_is_a_token_endpoint_is_answered_with_the_one_to_write() {
    let folder = Folder::new();
    let cases = [
        ("onence", "/management-api", "/oauth/token"),
        ("onence", "/management-api", "/oauth/token/"),
        ("onence", "", "/oauth/token"),
        ("worldline", "/auth", "/realms"),
        ("worldline", "/auth", "/realms/"),
        ("worldline", "/auth", "/realms/r1"),
        ("worldline", "/auth", "/realms/r1/"),
        ("worldline", "/auth", "/realms/r1/protocol/openid-connect"),
        ("worldline", "/auth", "/realms/r1/protocol/openid-connect/token"),
        ("worldline", "", "/realms/r1"),
    ];
    for (provider, base, rest) in cases {
        for way in PLAIN_WAYS {
            let server = Server::counting();
            let right = format!("{}{base}", server.url());
            let url = format!("{right}{rest}");
            let wrong = given(&folder, way, provider, &server.url(), "base_url", &url);
            let told = [rest.trim_end_matches('/'), "which is added to it; write "];
            assert_refused(&folder, &wrong, way, "base_url", &told, &server);
            let message = wrong.get(&folder).stderr;
            let hint = message.trim_end().rsplit_once("write ").unwrap().1;
            assert_eq!(hint, right, "{way:?} {url}");
            let said = given(&folder, way, provider, &server.url(), "base_url", hint).get(&folder);
            assert_eq!((said.code, server.connections()), (4, 1), "{way:?}: the hint leads to the server");
        }
    }
}

#[test]
fn a_base_url_that_is_none_is_refused() {
    let (server, folder) = (Server::counting(), Folder::new());
    let host = &server.address;
    let cases = [
        (host.clone(), "isn't a URL"),
        ("api.1nce.com/management-api".to_owned(), "isn't a URL; write it in full, as in https://host/path"),
        (format!("http://me:planted-wrong@{host}"), "must not hold a user name or password"),
        (format!("http://{host}?a=planted-wrong"), "must not hold a query or fragment"),
        (format!("http://{host}#planted-wrong"), "must not hold a query or fragment"),
        ("http://api.example".to_owned(), "must be https"),
        (format!("ftp://{host}"), "must be https"),
        (format!("http://{host}/a b"), "holds ' '; remove it"),
    ];
    for (url, told) in cases {
        for (provider, way) in ["onence", "worldline"].into_iter().flat_map(|of| PLAIN_WAYS.map(|way| (of, way))) {
            let given = given(&folder, way, provider, &server.url(), "base_url", &url);
            // Where there is no scheme, the port can make the host look like one.
            let told = if url == *host { "URL" } else { told };
            assert_refused(&folder, &given, way, "base_url", &[told], &server);
        }
    }
}

/// As the server receives them, whatever is between: spaces, a comma, both, or items of a list.
#[test]
fn a_comma_separates_scopes_in_every_way_in() {
    let folder = Folder::new();
    let url = |server: &Server| server.url();
    for scopes in ["VOP,WERO", "VOP WERO", "VOP, WERO", " WERO ,VOP,"] {
        for way in WAYS {
            let server = Server::answering(|_| Some(server::token("abc")));
            let said = given(&folder, way, "worldline", &url(&server), "scopes", scopes).get(&folder);
            assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{way:?} {scopes}");
            let (_, request) = &server.requests()[0];
            assert!(request.contains("scope=VOP+WERO&") || request.ends_with("scope=VOP+WERO"), "{way:?}: {request}");
        }
    }
    for list in ["[\"VOP\", \"WERO\"]", "[\"VOP,WERO\"]", "[\"WERO VOP\"]"] {
        let server = Server::answering(|_| Some(server::token("abc")));
        folder.write(
            "list.toml",
            format!(
                "[sources.payments]\nprovider = \"worldline\"\nbase_url = \"{}\"\nrealm = \"r\"\nclient_id = \"c\"\n\
                 client_secret = {{ file = \"secret\" }}\nscopes = {list}\n",
                server.url()
            ),
        );
        let said = folder.run(&["get", "--config", "list.toml"], &[]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{list}");
        let (_, request) = &server.requests()[0];
        assert!(request.contains("scope=VOP+WERO"), "{list}: {request}");
    }
    // No scope at all is a mistake.
    for way in PLAIN_WAYS {
        let server = Server::counting();
        for scopes in [",", " , ", "VOP\u{e9}", "\"VOP\""] {
            let given = given(&folder, way, "worldline", &server.url(), "scopes", scopes);
            assert_refused(&folder, &given, way, "scopes", &["scope"], &server);
        }
    }
}

/// The proxy of the environment is refused like that of the setting, and none of its password is shown.
#[test]
fn a_proxy_that_cant_be_used_is_refused() {
    let (server, folder) = (Server::counting(), Folder::new());
    let host = &server.address;
    let cases = [
        ("ftp://planted-wrong".to_owned(), "http:// or https:// URL"),
        (format!("socks5://{host}"), "http:// or https:// URL"),
        ("planted-wrong".to_owned(), "isn't a URL; write it in full, as in http://host:port"),
        ("http://".to_owned(), "isn't a URL"),
        ("$PROXY".to_owned(), "a $VARIABLE"),
        (format!("\"http://{host}\""), "in quotes"),
        (format!("http://{host}\n"), "a line feed (U+000A)"),
        (format!("http://me:planted-wrong@{host}/path"), "@ as %40, / as %2F"),
        (format!("http://me:planted-wrong@{host}?query"), "@ as %40, / as %2F"),
        (format!("http://me:planted-wrong@{host}#fragment"), "@ as %40, / as %2F"),
        // Here the host is `me`, and the rest a path with the password.
        ("http://me/planted-wrong@proxy.example:3128".to_owned(), "@ as %40, / as %2F"),
        ("http://me?planted-wrong@proxy.example:3128".to_owned(), "@ as %40, / as %2F"),
        ("http://me#planted-wrong@proxy.example:3128".to_owned(), "@ as %40, / as %2F"),
        ("http://me:1/planted-wrong@proxy.example:3128".to_owned(), "@ as %40, / as %2F"),
        ("http://me:planted/wrong@proxy.example:3128".to_owned(), "@ as %40, / as %2F"),
    ];
    let toml = format!(
        "[sources.given]\nprovider = \"onence\"\nbase_url = \"https://{host}\"\nusername = \"me\"\npassword = {{ file = \"password\" }}\n"
    );
    folder.write("given.toml", &toml);
    folder.write("env.toml", format!("{toml}transport = {{ proxy = {{ env = \"GIVEN_PROXY\" }} }}\n"));
    folder.write("file.toml", format!("{toml}transport = {{ proxy = {{ file = \"proxy\" }} }}\n"));
    let flat_url = format!("https://{host}");
    let flat =
        [("ONENCE_BASE_URL", flat_url.as_str()), ("ONENCE_USERNAME", "me"), ("ONENCE_PASSWORD", "sandbox-password")];
    for (proxy, told) in &cases {
        folder.write("proxy", proxy);
        let with = |file: &'static str, more: &[(&'static str, &str)]| {
            let mut environment = vec![("ACCESS_TOKENS_CONFIG".to_owned(), file.to_owned())];
            environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            environment
        };
        let of_flat = |name: &str| {
            let mut environment: Vec<_> =
                flat.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            environment.push((name.to_owned(), proxy.clone()));
            environment
        };
        let mut ways = vec![
            (with("given.toml", &[("HTTPS_PROXY", proxy)]), "HTTPS_PROXY"),
            (with("given.toml", &[("all_proxy", proxy)]), "all_proxy"),
            (of_flat("https_proxy"), "https_proxy"),
            (of_flat("ALL_PROXY"), "ALL_PROXY"),
            (with("env.toml", &[("GIVEN_PROXY", proxy)]), "env.toml:6: sources.given.transport.proxy.env"),
            (
                with(
                    "given.toml",
                    &[("ACCESS_TOKENS__SOURCES__GIVEN__TRANSPORT__PROXY__ENV", "GIVEN_PROXY"), ("GIVEN_PROXY", proxy)],
                ),
                "ACCESS_TOKENS__SOURCES__GIVEN__TRANSPORT__PROXY__ENV",
            ),
        ];
        // One line break at the end of a file is dropped.
        if !proxy.ends_with('\n') {
            ways.push((with("file.toml", &[]), "file.toml:6: sources.given.transport.proxy.file"));
        }
        for (environment, name) in ways {
            for command in [&["get"][..], &["doctor"], &["config", "check"]] {
                let said = run(&folder, command, &[], &environment);
                let shown = format!("{}{}", said.stdout, said.stderr);
                assert_eq!((said.code, server.connections()), (2, 0), "{name} {proxy:?} {command:?}: {shown}");
                assert!(shown.contains(name) && shown.contains(told), "{name} {proxy:?} {told}: {shown}");
                assert!(!shown.contains("planted") && !shown.contains("wrong"), "{name} {command:?}: {shown}");
                assert!(!shown.contains("proxy.example") && !shown.contains("fragment"), "{name}: {shown}");
            }
            let show = run(&folder, &["config", "show"], &[], &environment);
            let shown = format!("{}{}", show.stdout, show.stderr);
            assert!(!shown.contains("planted") && !shown.contains("wrong"), "{name}: {shown}");
        }
    }
}

/// One that stands in the configuration itself can't hold a password, and is checked before anything else is read.
#[test]
fn a_written_proxy_is_refused_too() {
    let (server, folder) = (Server::counting(), Folder::new());
    for proxy in [
        "ftp://proxy.example",
        "proxy.example:3128",
        "http://proxy.example/planted-wrong",
        "http://proxy.example?planted-wrong",
        "http://proxy.example#planted-wrong",
        "http://me:planted-wrong@proxy.example",
        "http://me/planted-wrong@proxy.example",
        "\"http://proxy.example\"",
        "http://$PROXY",
    ] {
        let toml = format!(
            "[sources.given]\nprovider = \"onence\"\nbase_url = \"https://{}\"\nusername = \"me\"\npassword = {{ file = \"password\" }}\n",
            server.address
        );
        folder.write("plain.toml", &toml);
        folder.write("given.toml", format!("{toml}transport = {{ proxy = '{proxy}' }}\n"));
        let nested = ("ACCESS_TOKENS__SOURCES__GIVEN__TRANSPORT__PROXY", proxy);
        for (file, environment, name) in [
            ("given.toml", &[][..], "given.toml:6: sources.given.transport.proxy: "),
            ("plain.toml", &[nested], "ACCESS_TOKENS__SOURCES__GIVEN__TRANSPORT__PROXY: "),
        ] {
            for command in [&["get"][..], &["config", "check"], &["doctor"], &["config", "show"]] {
                let said = folder.run(&[command, &["--config", file]].concat(), environment);
                let shown = format!("{}{}", said.stdout, said.stderr);
                assert_eq!((said.code, server.connections()), (2, 0), "{proxy}: {shown}");
                assert!(shown.contains(name) && !shown.contains("planted"), "{proxy}: {shown}");
            }
        }
    }
}

/// Whether a request to this URL takes the proxy of the environment.
fn takes_proxy(folder: &Folder, server: &Server, no_proxy: &str) -> bool {
    let proxy = Server::counting();
    let before = server.connections();
    let url = format!("https://{}", server.address);
    let environment = [
        ("ACCESS_TOKENS_CONFIG", "no_proxy.toml"),
        ("ACCESS_TOKENS__SOURCES__SIMS__BASE_URL", url.as_str()),
        ("HTTPS_PROXY", &proxy.url()),
        ("NO_PROXY", no_proxy),
    ];
    let said = folder.run(&["get"], &environment);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert_ne!(proxy.connections() > 0, server.connections() > before, "{no_proxy}: one of the two: {}", said.stderr);
    proxy.connections() > 0
}

#[test]
fn no_proxy_holds_for_names_addresses_and_networks() {
    let folder = Folder::new();
    // A root of its own, for machines that have none.
    folder.write("root.pem", certificate(365).1);
    folder.write(
        "no_proxy.toml",
        "[sources.sims]\nprovider = \"onence\"\nusername = \"me\"\npassword = { file = \"password\" }\n\
         transport = { roots = [\"root.pem\"] }\n",
    );
    let server = Server::counting();
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    for (list, taken) in [
        ("", true),
        ("other.example", true),
        ("127.0.0.2", true),
        ("10.0.0.0/8,192.168.0.0/16", true),
        ("127.0.0.1:1", true),
        ("127.0.0.1", false),
        ("127.0.0.0/8", false),
        ("other.example, 127.0.0.1", false),
        ("other.example 127.0.0.1", false),
        ("*", false),
        (&format!("127.0.0.1:{port}"), false),
        (&format!("other.example:{port},127.0.0.1:{port}"), false),
    ] {
        assert_eq!(takes_proxy(&folder, &server, list), taken, "NO_PROXY={list}");
    }
    let Some(server) = Server::listening("[::1]:0", |_| Some(String::new())) else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    for (list, taken) in
        [("127.0.0.1", true), ("[::1]:1", true), ("[::1]", false), ("::1", false), (&format!("[::1]:{port}"), false)]
    {
        assert_eq!(takes_proxy(&folder, &server, list), taken, "NO_PROXY={list}");
    }
}

/// `http` is for this machine, and no proxy is on the way to it; so none that is wrong matters.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_isnt_for_this_machine() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("sims.toml", support::sims(&sandbox.onence_base_url()));
    let said = folder.run(&["get", "--config", "sims.toml"], &[("HTTPS_PROXY", "garbage")]);
    assert_eq!((said.code, sandbox.requests(Endpoint::Onence)), (0, 1), "{}", said.stderr);
}

/// Nothing that could be bound: a superuser may listen on any port, and the command would run on.
#[test]
fn the_sandbox_says_why_it_cant_listen() {
    let folder = Folder::new();
    for (arguments, told) in [
        (&["--listen", "0.0.0.0:0"][..], &["--listen 0.0.0.0:0: ", "other machines", "--allow-remote"][..]),
        (&["--listen", "192.0.2.1:0"], &["--listen 192.0.2.1:0: ", "--allow-remote"]),
        (
            &["--listen", "192.0.2.1:0", "--allow-remote"],
            &["--listen 192.0.2.1:0: can't listen on 192.0.2.1:0: ", "requested address"],
        ),
    ] {
        let said = folder.run(&[&["sandbox"], arguments].concat(), &[]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(told.iter().all(|part| said.stderr.contains(part)), "{arguments:?}: {}", said.stderr);
    }
}

/// A source that signs, with its settings by key, and the ways to give them; each with what a message calls one of them.
struct Signing<'a> {
    folder: &'a Folder,
    url: String,
    client: &'a str,
}

impl Signing<'_> {
    /// The ways: flat variables, flags, nested variables, and a configuration.
    fn ways(&self, assertion: &[(&str, &str)]) -> Vec<(Way, Vec<String>, Variables)> {
        let flat_names = |key: &str| match key {
            "key" => ("WORLDLINE_SIGNING_KEY", "--signing-key"),
            "certificate" => ("WORLDLINE_SIGNING_CERT", "--signing-cert"),
            _ => ("WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE", "--signing-key-passphrase-file"),
        };
        let base = [("BASE_URL", &*self.url), ("REALM", "sandbox"), ("CLIENT_ID", self.client)];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let flat: Vec<_> = base.iter().map(|(name, value)| pair(&format!("WORLDLINE_{name}"), value)).collect();
        let flat = [flat, vec![pair("WORLDLINE_SCOPE", "VOP")]].concat();
        let by_variable = assertion.iter().map(|(key, value)| pair(flat_names(key).0, value)).collect();
        let by_flag = assertion.iter().map(|(key, value)| format!("{}={value}", flat_names(key).1)).collect();
        let nested = |key: &str, value: &str| pair(&format!("ACCESS_TOKENS__SOURCES__GIVEN__{key}"), value);
        let mut by_nested: Vec<_> = base.iter().map(|(name, value)| nested(name, value)).collect();
        by_nested.extend([nested("PROVIDER", "worldline"), nested("SCOPES", "VOP")]);
        by_nested.extend(
            assertion.iter().map(|(key, value)| nested(&format!("ASSERTION__{}__FILE", key.to_uppercase()), value)),
        );
        let mut toml = format!(
            "[sources.given]\nprovider = \"worldline\"\nbase_url = \"{}\"\nrealm = \"sandbox\"\nclient_id = \"{}\"\n\
             scopes = \"VOP\"\n[sources.given.assertion]\n",
            self.url, self.client
        );
        for (key, value) in assertion {
            toml += &format!("{key} = {{ file = \"{value}\" }}\n");
        }
        self.folder.write("signing.toml", toml);
        vec![
            (Way::Variable, vec!["worldline".to_owned()], [flat.clone(), by_variable].concat()),
            (Way::Flag, [vec!["worldline".to_owned()], by_flag].concat(), flat),
            (Way::Nested, vec![], by_nested),
            (Way::Toml, vec![], vec![pair("ACCESS_TOKENS_CONFIG", "signing.toml")]),
        ]
    }

    /// What a message calls the key at `index` of those that were given.
    fn name(way: Way, key: &str, index: usize) -> String {
        match way {
            Way::Variable if key == "key" => "WORLDLINE_SIGNING_KEY: ".to_owned(),
            Way::Variable if key == "certificate" => "WORLDLINE_SIGNING_CERT: ".to_owned(),
            Way::Variable => "WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE: ".to_owned(),
            Way::Flag if key == "key" => "--signing-key: ".to_owned(),
            Way::Flag if key == "certificate" => "--signing-cert: ".to_owned(),
            Way::Flag => "--signing-key-passphrase-file: ".to_owned(),
            Way::Nested => format!("ACCESS_TOKENS__SOURCES__GIVEN__ASSERTION__{}__FILE: ", key.to_uppercase()),
            _ => format!("signing.toml:{}: sources.given.assertion.{key}", index + 8),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_in_pem_is_skipped_in_every_way_in() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("key.pem", format!("\u{feff}{}", sandbox.signing_key_pem()));
    folder.write("cert.pem", format!("\u{feff}{}", sandbox.signing_cert_pem()));
    folder.write("root.pem", format!("\u{feff}{}", certificate(365).1));
    let signing = Signing { folder: &folder, url: sandbox.worldline_base_url(), client: "sandbox-jwt-client" };
    for (way, arguments, environment) in signing.ways(&[("key", "key.pem"), ("certificate", "cert.pem")]) {
        let said = run(&folder, &["get"], &arguments, &environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{way:?}");
    }
    // In a variable itself, and among roots.
    folder.write(
        "env.toml",
        format!(
            "[sources.given]\nprovider = \"worldline\"\nbase_url = \"{}\"\nrealm = \"sandbox\"\nscopes = \"VOP\"\n\
             client_id = \"sandbox-jwt-client\"\nassertion = {{ key = {{ env = \"KEY\" }}, certificate = {{ env = \"CERT\" }} }}\n\
             transport = {{ roots = [\"root.pem\"] }}\n",
            sandbox.worldline_base_url()
        ),
    );
    let marked = |pem: &str| format!("\u{feff}{pem}");
    let environment = [("KEY", marked(sandbox.signing_key_pem())), ("CERT", marked(sandbox.signing_cert_pem()))];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    for command in ["get", "doctor"] {
        let said = run(&folder, &[command, "--config", "env.toml"], &[], &environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{command}: {}", said.stdout);
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_setting_that_leads_to_no_key_names_path_and_reason() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("key.pem", sandbox.signing_key_pem());
    folder.write("cert.pem", sandbox.signing_cert_pem());
    folder.write("passphrase", "planted-passphrase\n");
    folder.write("empty", "");
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    unreadable(&folder);
    let server = Server::counting();
    let signing = Signing { folder: &folder, url: server.url(), client: "c" };
    for (index, wrong) in ["key", "certificate", "passphrase"].into_iter().enumerate() {
        for (path, told) in [
            ("folder", "can't be read: it is a folder; name the file in it"),
            ("nowhere", "can't be read: No such file"),
            ("loop", "can't be read: "),
            ("/dev/zero", "can't be read: it is a device or a socket"),
            ("empty", "empty"),
        ] {
            // A relative one might be the passphrase itself, and isn't shown.
            let path = folder.path().join(path).display().to_string();
            let mut assertion = [("key", "key.pem"), ("certificate", "cert.pem"), ("passphrase", "passphrase")];
            assertion[index].1 = &path;
            for (way, arguments, environment) in signing.ways(&assertion) {
                let said = run(&folder, &["get"], &arguments, &environment);
                assert_eq!((said.code, server.connections()), (2, 0), "{way:?} {wrong} {path}: {}", said.stderr);
                let name = Signing::name(way, wrong, index);
                assert!(said.stderr.starts_with(&format!("error: {name}")), "{name}: {}", said.stderr);
                assert!(said.stderr.contains(told) && said.stderr.contains(&path), "{told}: {}", said.stderr);
                assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
            }
        }
    }
}

/// Its name doesn't count, and in the wrong place the message says which setting is the right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_told_by_what_is_in_it() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("key.pem", sandbox.signing_key_pem());
    folder.write("cert.pem", sandbox.signing_cert_pem());
    folder.write("bundle.key", bundle(&sandbox));
    folder.write("passphrase", "planted-passphrase\n");
    let passphrase = ("passphrase", "passphrase");
    let signing = Signing { folder: &folder, url: sandbox.worldline_base_url(), client: "sandbox-jwt-client" };
    let alone = signing.ways(&[("key", "bundle.key"), passphrase]);
    for (way, arguments, environment) in &alone[..2] {
        let said = run(&folder, &["get"], arguments, environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{way:?}");
    }
    folder.write(
        "pkcs12.toml",
        std::fs::read_to_string(folder.path().join("signing.toml")).unwrap().replace("\nkey =", "\npkcs12 ="),
    );
    assert_eq!(folder.run(&["get", "--config", "pkcs12.toml"], &[]).code, 0);

    let sent = sandbox.requests(Endpoint::Worldline);
    for (index, assertion) in [
        [("key", "bundle.key"), ("certificate", "cert.pem"), passphrase],
        [("key", "bundle.key"), ("certificate", "bundle.key"), passphrase],
        [("certificate", "bundle.key"), ("key", "key.pem"), passphrase],
    ]
    .into_iter()
    .enumerate()
    {
        // Without a passphrase where the key has none.
        let assertion = if index == 2 { &assertion[..2] } else { &assertion };
        for (way, arguments, environment) in signing.ways(assertion) {
            let said = run(&folder, &["get"], &arguments, &environment);
            let name = Signing::name(way, assertion[0].0, 0);
            assert_eq!(said.code, 2, "{way:?}: {}", said.stderr);
            assert!(said.stderr.starts_with(&format!("error: {name}")), "{name}: {}", said.stderr);
            let hint = match way {
                Way::Variable | Way::Flag => "set WORLDLINE_SIGNING_KEY to it, and unset WORLDLINE_SIGNING_CERT",
                Way::Nested => "set ACCESS_TOKENS__SOURCES__GIVEN__ASSERTION__PKCS12__FILE to it",
                _ => "set it as pkcs12",
            };
            assert!(said.stderr.contains("it is a PKCS#12 bundle") && said.stderr.contains(hint), "{}", said.stderr);
            assert!(said.stderr.contains("bundle.key") && said.stderr.lines().count() == 1, "{}", said.stderr);
        }
    }
    assert_eq!(sandbox.requests(Endpoint::Worldline), sent);
}

/// The header of the assertion in a request, in JSON.
fn header(request: &str) -> serde_json::Value {
    let (_, assertion) = request.split_once("client_assertion=").unwrap();
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in assertion.split('.').next().unwrap().bytes() {
        let value =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".iter().position(|known| *known == c);
        (bits, count) = ((bits << 6) | value.unwrap() as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_needs_no_certificate_where_the_key_id_is_a_text() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("key.pem", sandbox.signing_key_pem());
    let server = Server::answering(|_| Some(server::token("abc")));
    let signing = Signing { folder: &folder, url: server.url(), client: "c" };
    let key_id = ("ACCESS_TOKENS__SOURCES__GIVEN__ASSERTION__KEY_ID__TEXT".to_owned(), "payee-2025".to_owned());
    for (way, arguments, environment) in signing.ways(&[("key", "key.pem")]) {
        let said = run(&folder, &["get"], &arguments, &environment);
        assert_eq!(said.code, 2, "{way:?}");
        let told = match way {
            Way::Variable | Way::Flag => "it is a private key; set its certificate as WORLDLINE_SIGNING_CERT\n",
            Way::Nested => "ASSERTION__CERTIFICATE: isn't set",
            _ => "signing.toml:7: sources.given.assertion.certificate: is missing; the key id is the certificate's",
        };
        assert!(said.stderr.contains(told), "{way:?} {told}: {}", said.stderr);
        if way == Way::Nested {
            assert!(said.stderr.contains(&format!("set it, or {}", key_id.0)), "{}", said.stderr);
        }
        if matches!(way, Way::Nested | Way::Toml) {
            let before = server.requests().len();
            let environment = [environment, vec![key_id.clone()]].concat();
            let said = run(&folder, &["get"], &arguments, &environment);
            assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "abc\n", ""), "{way:?}");
            let (_, request) = &server.requests()[before];
            assert_eq!(header(request)["kid"], "payee-2025", "{way:?}");
            let doctor = run(&folder, &["config", "check"], &[], &environment);
            assert_eq!(doctor.code, 0, "{way:?}: {}", doctor.stderr);
            // What is of the certificate needs it all the same.
            let x509 = ("ACCESS_TOKENS__SOURCES__GIVEN__ASSERTION__X509".to_owned(), "x5c".to_owned());
            let said = run(&folder, &["get"], &arguments, &[environment, vec![x509]].concat());
            assert_eq!(said.code, 2);
            assert!(said.stderr.contains("x509 is of the certificate"), "{}", said.stderr);
        }
    }
}
