//! `access-tokens sandbox` as people run it: what it prints, what it leaves behind, and many clients at once.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The command in a folder of its own, which is its folder for temporary files too. It doesn't outlive a failed test.
struct Running {
    process: Child,
    _folder: TempDir,
    /// All that it printed.
    printed: String,
    /// The exported variables, those that are commented out too; of two that are the same, both.
    settings: Vec<(String, String)>,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_access-tokens"))
            .arg("sandbox")
            .args(arguments)
            .env_clear()
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running { process, _folder: folder, printed: String::new(), settings: Vec::new() };
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
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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
fn a_host_that_cannot_be_one_is_named() {
    for host in ["http://sandbox:8080", ""] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_access-tokens"));
        let output = command.args(["sandbox", "--allow-host", host]).env_clear().output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{stderr}");
        assert!(stderr.contains(&format!("--allow-host: `{host}`")) && stderr.contains("without scheme"), "{stderr}");
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
