//! `get --timeout`, `--output` and `--retry`.
#![cfg(test)]

mod support;

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use access_tokens_sandbox::{Endpoint, Sandbox};

use self::support::{
    Folder, Said,
    server::{Server, answer, token},
};

fn get(folder: &Folder, url: &str, more: &[&str]) -> Said {
    let environment = [("ONENCE_BASE_URL", url), ("ONENCE_USERNAME", "me"), ("ONENCE_PASSWORD", "planted-wrong")];
    folder.run(&[&["get", "onence"], more].concat(), &environment)
}

#[test]
fn a_timeout_ends_the_wait_for_a_silent_server() {
    let folder = Folder::new();
    for more in [&["--timeout", "400ms"][..], &["--timeout", "400ms", "--retry", "9"], &["--timeout", "1"]] {
        let server = Server::answering(|_| None);
        let begun = Instant::now();
        let said = get(&folder, &server.url(), more);
        let took = begun.elapsed();
        assert_eq!((said.code, said.stdout.as_str()), (4, ""), "{more:?}: {}", said.stderr);
        let limit = if more[1] == "1" { "1s" } else { "400ms" };
        assert!(said.stderr.contains(&format!("1NCE gave no token within {limit} (--timeout)")), "{}", said.stderr);
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(10), "{took:?}");
        assert_eq!(server.connections(), 1, "{more:?}: no time is left for another");
    }
}

#[test]
fn a_timeout_counts_for_all_retries_together() {
    let folder = Folder::new();
    let busy = || Some(answer("503 Service Unavailable", "retry-after: 60\r\n", ""));
    let server = Server::answering(move |_| busy());
    let begun = Instant::now();
    let said = get(&folder, &server.url(), &["--timeout", "5s", "--retry", "3"]);
    assert_eq!((said.code, server.connections()), (4, 1), "{}", said.stderr);
    assert!(said.stderr.contains("HTTP 503") && said.stderr.contains("try again in 1m"), "{}", said.stderr);
    assert!(begun.elapsed() < Duration::from_secs(4), "there is no use in waiting for less than the server asks for");
}

#[test]
fn a_timeout_must_be_a_time() {
    let (folder, server) = (Folder::new(), Server::counting());
    for wrong in ["0", "0s", "-1", "soon", "1 fortnight", ""] {
        let said = get(&folder, &server.url(), &[&format!("--timeout={wrong}")]);
        assert_eq!((said.code, server.connections()), (2, 0), "{wrong}: {}", said.stderr);
        assert!(said.stderr.contains("--timeout"), "{}", said.stderr);
    }
}

#[test]
fn retries_wait_as_long_as_the_server_asks_for() {
    let folder = Folder::new();
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let server = Server::answering(move |number| {
            Some(if number < 2 { answer(status, "retry-after: 1\r\n", "") } else { token("abc") })
        });
        let said = get(&folder, &server.url(), &["--retry", "5"]);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "abc\n", ""), "{status}");
        let times: Vec<_> = server.requests().into_iter().map(|(at, _)| at).collect();
        assert_eq!(times.len(), 3, "{status}");
        for pair in times.windows(2) {
            let pause = pair[1] - pair[0];
            assert!(pause >= Duration::from_secs(1) && pause < Duration::from_secs(4), "{status}: {pause:?}");
        }
    }
}

#[test]
fn retries_are_no_more_than_asked_for() {
    let folder = Folder::new();
    let busy = |header: &'static str| Server::answering(move |_| Some(answer("429 Too Many Requests", header, "")));
    for (header, retries, requests) in
        [("", &[][..], 1), ("retry-after: 1\r\n", &["--retry", "0"], 1), ("", &["--retry", "1"], 2)]
    {
        let server = busy(header);
        let said = get(&folder, &server.url(), retries);
        assert_eq!((said.code, said.stdout.as_str()), (4, ""), "{retries:?}: {}", said.stderr);
        assert_eq!(server.connections(), requests, "{retries:?}");
        // No progress where nobody looks.
        assert!(!said.stderr.contains("trying again"), "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_credential_isnt_tried_again() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let url = sandbox.onence_base_url();
    let said = get(&folder, &url, &["--retry", "9"]);
    assert_eq!((said.code, sandbox.requests(Endpoint::Onence)), (3, 1), "{}", said.stderr);
    let server = Server::answering(|_| Some(answer("200 OK", "", "garbage")));
    let said = get(&folder, &server.url(), &["--retry", "9"]);
    assert_eq!((said.code, server.connections()), (5, 1), "nor a broken contract: {}", said.stderr);
}

/// All names in the folder but those that it began with.
fn added(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let began_with = ["password", "secret", "name_key", "keys"];
    let mut names: Vec<_> = names.filter(|name| !began_with.contains(&name.as_str())).collect();
    names.sort_unstable();
    names
}

#[cfg(unix)]
fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn output_is_a_file_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let server = Server::answering(|number| Some(token(&format!("token-{number}"))));
    let path = folder.path().join("token");
    let said = get(&folder, &server.url(), &["--output", "token"]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("token-0\n", 0o600));
    // One that others could read is replaced by one that they can't.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let said = get(&folder, &server.url(), &["--format", "header", "--output", path.to_str().unwrap()]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
    assert_eq!(fs::read_to_string(&path).unwrap(), "Authorization: bearer token-1\n".replace("bearer", "Bearer"));
    assert_eq!((mode(&path), added(&folder)), (0o600, vec!["token".to_owned()]));
    let said = get(&folder, &server.url(), &["--format", "json", "--output", "token"]);
    assert_eq!(said.code, 0);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(json["access_token"], "token-2");
}

#[test]
fn output_stays_as_it_was_where_no_token_comes() {
    let folder = Folder::new();
    let failures = [
        (Some(answer("401 Unauthorized", "", "")), 3),
        (Some(answer("503 Service Unavailable", "", "")), 4),
        (Some(answer("200 OK", "", "garbage")), 5),
        (None, 4),
    ];
    for (failure, code) in failures {
        let server = Server::answering(move |_| failure.clone());
        for old in [None, Some("old\n")] {
            let _ = fs::remove_file(folder.path().join("token"));
            old.map(|old| folder.write("token", old));
            let said = get(&folder, &server.url(), &["--output", "token", "--timeout", "500ms"]);
            assert_eq!(said.code, code, "{}", said.stderr);
            let now = fs::read_to_string(folder.path().join("token")).ok();
            assert_eq!(now.as_deref(), old, "{code}");
            assert_eq!(added(&folder).len(), usize::from(old.is_some()), "{code}: {:?}", added(&folder));
        }
    }
}

#[cfg(unix)]
#[test]
fn output_that_cant_be_a_file_is_refused_before_anything_is_sent() {
    let (folder, server) = (Folder::new(), Server::counting());
    fs::create_dir(folder.path().join("folder")).unwrap();
    for target in ["link", "nobody"] {
        std::os::unix::fs::symlink(target, folder.path().join(if target == "link" { "link" } else { "dangling" }))
            .unwrap();
    }
    for (path, told) in [
        ("link", "it is a link that leads to no file"),
        ("dangling", "it is a link that leads to no file"),
        ("folder", "it is a folder; name a file in it"),
        (".", "it is a folder; name a file in it"),
        ("/dev/null", "it isn't a regular file; leave --output out for stdout"),
        ("nowhere/token", "its folder isn't there"),
        ("password/token", "not a directory"),
    ] {
        let said = get(&folder, &server.url(), &["--output", path]);
        assert_eq!((said.code, server.connections()), (2, 0), "{path}: {}", said.stderr);
        assert!(said.stderr.starts_with(&format!("error: --output {path}: ")), "{}", said.stderr);
        assert!(said.stderr.contains(told), "{told}: {}", said.stderr);
    }
    assert_eq!(added(&folder), ["dangling", "folder", "link"]);
    assert!(fs::metadata("/dev/null").is_ok_and(|null| !null.is_file()));
}

#[cfg(unix)]
#[test]
fn output_goes_through_a_symbolic_link() {
    let folder = Folder::new();
    let server = Server::answering(|_| Some(token("abc")));
    fs::create_dir(folder.path().join("mounted")).unwrap();
    let (target, link) = (folder.path().join("mounted/token"), folder.path().join("link"));
    fs::write(&target, "old\n").unwrap();
    std::os::unix::fs::symlink("mounted/token", &link).unwrap();
    let said = get(&folder, &server.url(), &["--output", "link"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "a link stays one");
    assert_eq!((fs::read_to_string(&target).unwrap().as_str(), mode(&target)), ("abc\n", 0o600));
    assert_eq!(fs::read_dir(folder.path().join("mounted")).unwrap().count(), 1);
}

/// A pipe that nobody writes to would be waited for, for half a minute.
#[test]
#[cfg(unix)]
fn a_timeout_holds_for_pipes_too() {
    let folder = Folder::new();
    let pipe = folder.write("pipe", "");
    std::fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let began = std::time::Instant::now();
    let arguments = ["get", "onence", "--username", "me", "--password-file", "pipe", "--timeout", "300ms"];
    let said = folder.run(&arguments, &[]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("weren't read within 300ms (--timeout)"), "{}", said.stderr);
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn a_timeout_beyond_all_clocks_is_none() {
    let folder = Folder::new();
    for limit in ["18446744073709551615", "500000000000years"] {
        let said = folder.run(&["get", "onence", "--timeout", limit], &[]);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    }
    let environment = [("ONENCE_BASE_URL", "http://127.0.0.1:1"), ("ONENCE_USERNAME", "me"), ("ONENCE_PASSWORD", "x")];
    let said = folder.run(&["get", "onence", "--timeout", "18446744073709551615"], &environment);
    assert_eq!(said.code, 4, "{}", said.stderr);
}

/// Whoever was to read the log has gone, doesn't read, or has no room for it.
#[test]
#[cfg(target_os = "linux")]
fn a_log_that_cant_be_written_changes_nothing() {
    let server = Server::answering(|_| Some(token("eyJ.a.b")));
    let failing = Server::answering(|_| Some(answer("503 Busy", "", "")));
    // A pipe that isn't read is filled up by another process, which can give up.
    let unread = "mkfifo pipe; sleep 20 < pipe & exec 9> pipe; timeout 1 head -c 70000 /dev/zero >&9; \
                  \"$0\" get onence 2>&9; code=$?; kill %1; exit $code";
    let scripts = [
        ("full", "\"$0\" get onence 2>/dev/full"),
        ("closed", "\"$0\" get onence 2>&-"),
        ("without a reader", "mkfifo pipe; true < pipe & exec 9> pipe; wait; \"$0\" get onence 2>&9"),
        ("unread", unread),
    ];
    for (stderr, script) in scripts {
        for (server, code, stdout) in [(&server, 0, "eyJ.a.b\n"), (&failing, 4, "")] {
            let folder = Folder::new();
            let mut command = Command::new("bash");
            command.args(["-c", script, env!("CARGO_BIN_EXE_access-tokens")]).current_dir(folder.path());
            command.env("ONENCE_BASE_URL", server.url()).env("RUST_LOG", "trace");
            command.env("ONENCE_USERNAME", "me").env("ONENCE_PASSWORD", "planted-wrong");
            let begun = Instant::now();
            let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
            assert_eq!(
                (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
                (Some(code), stdout),
                "{stderr}"
            );
            assert!(begun.elapsed() < Duration::from_secs(10), "{stderr}");
        }
    }
}

#[test]
fn a_debug_log_tells_each_request() {
    let folder = Folder::new();
    let server = Server::answering(|n| {
        Some(if n == 0 { answer("503 Busy", "retry-after: 1\r\n", "") } else { token("eyJ.a.b") })
    });
    let url = server.url() + "/management-api";
    let environment = [
        ("ONENCE_BASE_URL", url.as_str()),
        ("ONENCE_USERNAME", "me"),
        ("ONENCE_PASSWORD", "planted-wrong"),
        ("RUST_LOG", "access_tokens=debug"),
    ];
    let said = folder.run(&["get", "onence", "--retry", "1"], &environment);
    assert_eq!((said.code, said.stdout.as_str()), (0, "eyJ.a.b\n"), "{}", said.stderr);
    let lines: Vec<_> = said.stderr.lines().filter(|line| line.contains("access_tokens::requests")).collect();
    assert_eq!(lines.len(), 2, "{}", said.stderr);
    for (line, status) in lines.iter().zip(["503", "200"]) {
        for part in [
            "method=\"POST\"",
            &format!("url=\"{url}/oauth/token\""),
            &format!("status={status}"),
            "took=",
            "attempt=1",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(!said.stderr.contains("eyJ.a.b"), "{}", said.stderr);

    // One that can't be reached says where, and why.
    let said = folder.run(
        &["get", "onence"],
        &[("ONENCE_BASE_URL", "http://127.0.0.1:1"), environment[1], environment[2], environment[3]],
    );
    let line = said.stderr.lines().find(|line| line.contains("access_tokens::requests")).unwrap();
    for part in ["127.0.0.1:1 can't be reached", "cause=\"Connection refused"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// However few file descriptors a process may have, it says so and ends as documented.
#[test]
#[cfg(target_os = "linux")]
fn a_lack_of_file_descriptors_is_named() {
    let server = Server::answering(|_| Some(token("eyJ.a.b")));
    let mut named = 0;
    for limit in 3..16 {
        let mut command = Command::new("bash");
        command.args([
            "-c",
            &format!("ulimit -n {limit}; exec \"$0\" get onence"),
            env!("CARGO_BIN_EXE_access-tokens"),
        ]);
        command
            .env("ONENCE_BASE_URL", server.url())
            .env("ONENCE_USERNAME", "me")
            .env("ONENCE_PASSWORD", "planted-wrong");
        let output = command.output().unwrap();
        let (code, stderr) = (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr));
        // 127 is the shell's: there is no descriptor to load the program with.
        assert!([0, 1, 2, 4, 127].contains(&code), "{limit}: {code} {stderr}");
        if code == 4 {
            assert!(stderr.contains("EMFILE") && !stderr.contains("check ONENCE_BASE_URL"), "{limit}: {stderr}");
            named += 1;
        }
    }
    assert!(named > 0);
}
