//! `access-tokens sandbox` as people run it: what it prints, what it leaves behind, and many clients at once.
#![cfg(unix)]
#![cfg(test)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The command in a folder of its own, which is its folder for temporary files too. It doesn't outlive a failed test.
struct Running {
    process: Child,
    folder: TempDir,
    /// All that it printed.
    printed: String,
    /// The exported variables, those that are commented out too; of two that are the same, both.
    settings: Vec<(String, String)>,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        Running::start_in(tempfile::tempdir().unwrap(), "", arguments)
    }

    /// After what a shell runs first.
    fn start_in(folder: TempDir, first: &str, arguments: &[&str]) -> Running {
        let process = Command::new("sh")
            .args(["-c", &format!("{first}\nexec \"$0\" sandbox \"$@\""), env!("CARGO_BIN_EXE_access-tokens")])
            .args(arguments)
            .env_clear()
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running { process, folder, printed: String::new(), settings: Vec::new() };
        let mut lines = BufReader::new(running.process.stdout.take().unwrap());
        // The certificate comes last.
        while !running.printed.contains("WORLDLINE_SIGNING_CERT") {
            assert_ne!(lines.read_line(&mut running.printed).unwrap(), 0, "it goes on: {}", running.printed);
        }
        let exports = running.printed.lines().filter_map(|line| line.trim_start_matches("# ").strip_prefix("export "));
        let pairs = exports.map(|export| export.split_once('=').unwrap());
        running.settings = pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect();
        running
    }

    /// The first of this name.
    fn setting(&self, name: &str) -> &str {
        &self.settings.iter().find(|(given, _)| given == name).unwrap_or_else(|| panic!("{name}: {}", self.printed)).1
    }

    fn address(&self) -> SocketAddr {
        let url = self.setting("ONENCE_BASE_URL").strip_prefix("http://").unwrap();
        url.split('/').next().unwrap().parse().unwrap()
    }

    fn send_signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        assert!(kill.args([&format!("-{signal}"), &self.process.id().to_string()]).status().unwrap().success());
    }

    fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_signing_key_is_for_its_owner_alone_and_goes_with_the_sandbox() {
    for signal in ["HUP", "INT", "TERM"] {
        if signal == "HUP" && hangups_are_ignored() {
            println!("skipped, because these tests run under nohup: a hangup");
            continue;
        }
        // Nothing but the command itself keeps others out.
        let mut sandbox = Running::start_in(tempfile::tempdir().unwrap(), "umask 000", &[]);
        let files =
            ["WORLDLINE_SIGNING_KEY", "WORLDLINE_SIGNING_CERT"].map(|name| PathBuf::from(sandbox.setting(name)));
        for file in &files {
            assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700), "{}", file.display());
        }
        sandbox.send_signal(signal);
        let status = sandbox.process.wait().unwrap();
        let left: Vec<_> = fs::read_dir(sandbox.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!((status.success(), left), (true, vec![]), "{signal}: {status}");
    }
}

/// What is ignored here is ignored by what is started here. Known on Linux alone.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    u64::from_str_radix(ignored.trim(), 16).is_ok_and(|mask| mask & 1 == 1)
}

/// As under `nohup`.
#[cfg(target_os = "linux")]
#[test]
fn a_hangup_that_is_to_be_ignored_is_ignored() {
    let mut sandbox = Running::start_in(tempfile::tempdir().unwrap(), "trap '' HUP", &[]);
    sandbox.send_signal("HUP");
    thread::sleep(Duration::from_millis(300));
    assert!(!sandbox.has_ended());
    sandbox.send_signal("TERM");
    assert!(sandbox.process.wait().unwrap().success());
}

#[test]
fn the_url_of_the_resource_is_printed_with_the_rest() {
    let sandbox = Running::start(&[]);
    assert_eq!(sandbox.setting("SANDBOX_RESOURCE_URL"), format!("http://{}/resource", sandbox.address()));
    let token = get(&sandbox, &[("ONENCE_PASSWORD", sandbox.setting("ONENCE_PASSWORD"))]);
    let token = String::from_utf8(token.stdout).unwrap();
    let answer =
        request(sandbox.address(), &format!("GET /resource HTTP/1.1\r\nAuthorization: Bearer {}", token.trim()));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn the_control_endpoint_takes_the_hosts_that_are_allowed() {
    let sandbox = Running::start(&["--allow-host", "sandbox", "--allow-host", "192.0.2.7"]);
    for (host, status) in [("sandbox:80", 200), ("192.0.2.7", 200), ("localhost", 200), ("attacker.example", 421)] {
        let mut stream = TcpStream::connect(sandbox.address()).unwrap();
        write!(stream, "GET /_sandbox HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
}

#[test]
fn a_further_user_gets_tokens_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "planted-password\n").unwrap();
    let password = password.to_str().unwrap();
    let arguments = ["--server-cached", "down", "--onence-username", "it's me", "--onence-password-file", password];
    let sandbox = Running::start(&arguments);
    assert!(!sandbox.printed.contains("planted"), "{}", sandbox.printed);
    let named: Vec<_> = sandbox.settings.iter().filter(|(name, _)| name.starts_with("ONENCE_PASS")).collect();
    assert_eq!(named.last().unwrap(), &&("ONENCE_PASSWORD_FILE".to_owned(), password.to_owned()));
    assert!(sandbox.printed.contains("# export ONENCE_USERNAME='it'\\''s me'\n"), "{}", sandbox.printed);

    let first = get(&sandbox, &[("ONENCE_PASSWORD", "sandbox-password")]);
    let further = [("ONENCE_USERNAME", "it's me"), ("ONENCE_PASSWORD_FILE", password)];
    let further = [get(&sandbox, &further), get(&sandbox, &further)].map(|output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    });
    assert!(first.status.success());
    assert!(further[0] == further[1] && further[0] != first.stdout, "each has its own");
}

#[test]
fn what_is_wrong_with_a_host_or_a_user_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (password, empty, control) =
        (write("password", "planted"), write("empty", ""), write("control", "planted\u{1}"));
    // (arguments, all of this on stderr)
    type Case<'a> = (&'a [&'a str], &'a [&'a str]);
    let cases: [Case; 9] = [
        (&["--allow-host", "http://sandbox:8080"], &["--allow-host: `http://sandbox:8080`", "without scheme"]),
        (&["--allow-host", ""], &["--allow-host"]),
        (&["--onence-username", "me"], &["--onence-password-file"]),
        (&["--onence-password-file", &password], &["--onence-username"]),
        (
            &["--onence-username", "me", "--onence-password-file", "planted"],
            &["--onence-password-file: ", "can't be read"],
        ),
        (&["--onence-username", "me", "--onence-password-file", &empty], &["--onence-password-file: ", "empty"]),
        (&["--onence-username", "me", "--onence-password-file", &control], &["--onence-password-file: ", "U+0001"]),
        (&["--onence-username", "m:e", "--onence-password-file", &password], &["--onence-username: ", "colon"]),
        (
            &["--onence-username", "sandbox@1nce.example", "--onence-password-file", &password],
            &["--onence-username: ", "registered twice"],
        ),
    ];
    for (arguments, told) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_access-tokens"));
        let output = command.arg("sandbox").args(arguments).env_clear().stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}: {stderr}");
        assert!(told.iter().all(|part| stderr.contains(part)), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("planted"), "{stderr}");
    }
}

/// They connect while it has no turn; without room for them, the later ones would have to try again after a second or more.
#[test]
fn a_thousand_clients_that_connect_at_once_are_all_served() {
    let system = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if system.trim().parse::<u32>().is_ok_and(|most| most < 1024) {
        println!("skipped, because this system lets fewer clients wait: a thousand clients at once");
        return;
    }
    let sandbox = Running::start(&[]);
    sandbox.send_signal("STOP");
    let begun = Instant::now();
    let connect = |index| {
        let connected = TcpStream::connect_timeout(&sandbox.address(), Duration::from_millis(900));
        connected.unwrap_or_else(|error| panic!("client {index} after {:?}: {error}", begun.elapsed()))
    };
    let mut clients: Vec<TcpStream> = (1..=1000).map(connect).collect();
    sandbox.send_signal("CONT");
    for client in &mut clients {
        client.write_all(b"GET /resource HTTP/1.1\r\nHost: sandbox\r\n\r\n").unwrap();
    }
    for (index, client) in clients.iter_mut().enumerate() {
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut status = [0; 13];
        client.read_exact(&mut status).unwrap_or_else(|error| panic!("client {}: {error}", index + 1));
        assert_eq!(&status, b"HTTP/1.1 401 ");
    }
}

fn get(sandbox: &Running, environment: &[(&str, &str)]) -> Output {
    let base = ["ONENCE_BASE_URL", "ONENCE_USERNAME"].map(|name| (name, sandbox.setting(name)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_access-tokens"));
    command.args(["get", "onence"]).env_clear().envs(base).envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

fn request(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
