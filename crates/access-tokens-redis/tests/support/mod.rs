//! Real servers, started on loopback for one test each. Other crates' tests have this file by `#[path]`; it needs no more than
//! `tempfile`, and knows no Redis client.
#![allow(dead_code, unreachable_pub)]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Whether `redis-server` is there; if not, the test says what it skips, or fails where `ACCESS_TOKENS_DEMAND` (names with
/// commas between) has its name.
pub fn redis_or_skip(skipped: &str) -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found_or_skip("redis-server", found.is_ok_and(|status| status.success()), skipped)
}

/// The same of a program that was looked for.
pub fn found_or_skip(program: &str, found: bool, skipped: &str) -> bool {
    if !found {
        let demanded = std::env::var("ACCESS_TOKENS_DEMAND").unwrap_or_default();
        let demanded = demanded.split(',').any(|one| one.trim() == program);
        assert!(!demanded, "{program} isn't there, and ACCESS_TOKENS_DEMAND demands it");
        println!("skipped, because {program} isn't there: {skipped}");
    }
    found
}

/// One process of `redis-server`, with a port and a folder of its own; killed on drop.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

/// An answer to [`RedisServer::command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Integer(i64),
    Text(Vec<u8>),
    Array(Vec<Reply>),
    Error(String),
}

impl RedisServer {
    /// Without a password, on an empty database that is never saved.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments, such as `["--requirepass", "secret"]`; the first may be a file of settings.
    pub fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(port, folder.path(), &arguments);
            if answers(&mut child, port, &arguments) {
                return Self { child, port, folder, arguments };
            }
            // Somebody else took the port.
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("redis-server {arguments:?} doesn't start");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// One command on a connection of its own; logged in, if the server has a password.
    pub fn command(&self, words: &[&str]) -> Reply {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        self.command_bytes(&words)
    }

    pub fn command_bytes(&self, words: &[&[u8]]) -> Reply {
        ask(self.port, password(&self.arguments), words).expect("redis-server answers")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Empty, on the same port; killed first if it still runs.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.port, self.folder.path(), &self.arguments);
        assert!(answers(&mut self.child, self.port, &self.arguments), "redis-server doesn't start again");
    }

    /// SIGSTOP: it takes connections, as the kernel does that, and answers nothing.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Reply {
    /// A text, as text.
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?} is no text"),
        }
    }

    pub fn array(&self) -> &[Reply] {
        match self {
            Self::Array(parts) => parts,
            other => panic!("{other:?} is no array"),
        }
    }
}

/// One that is free now, and the one 10,000 above it, which the server takes for its cluster.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// Waits up to 10 s.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < end, "{what} never comes");
        thread::sleep(Duration::from_millis(10));
    }
}

fn spawn(port: u16, folder: &std::path::Path, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    if let [configuration, ..] = arguments
        && !configuration.starts_with("--")
    {
        command.arg(configuration);
    }
    let arguments = arguments.iter().skip_while(|one| !one.starts_with("--"));
    command
        .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--loglevel", "warning"])
        .args(["--port", &port.to_string()])
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until this very process answers; not if it ends, or if another one answers.
fn answers(child: &mut Child, port: u16, arguments: &[String]) -> bool {
    let id = format!("process_id:{}\r\n", child.id());
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        match ask(port, password(arguments), &[b"INFO", b"server"]) {
            Ok(Reply::Text(info)) => return String::from_utf8_lossy(&info).contains(&id),
            _ if child.try_wait().unwrap().is_some() => return false,
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}

fn password(arguments: &[String]) -> Option<&str> {
    let mut rest = arguments.iter().skip_while(|one| *one != "--requirepass");
    rest.nth(1).map(String::as_str)
}

fn ask(port: u16, password: Option<&str>, words: &[&[u8]]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    if let Some(password) = password {
        send(&mut stream, &[b"AUTH", password.as_bytes()])?;
        read(&mut reader)?;
    }
    send(&mut stream, words)?;
    read(&mut reader)
}

fn send(stream: &mut TcpStream, words: &[&[u8]]) -> std::io::Result<()> {
    let mut message = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        message.extend(format!("${}\r\n", word.len()).bytes());
        message.extend_from_slice(word);
        message.extend(b"\r\n");
    }
    stream.write_all(&message)
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok(match (kind, rest) {
        ("+", text) => Reply::Text(text.as_bytes().to_vec()),
        ("-", text) => Reply::Error(text.to_owned()),
        (":", number) => Reply::Integer(number.parse().unwrap()),
        ("$" | "*", "-1") => Reply::Nil,
        ("$", length) => {
            let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Text(bytes)
        }
        ("*", length) => {
            let parts = (0..length.parse::<usize>().unwrap()).map(|_| read(reader));
            Reply::Array(parts.collect::<std::io::Result<_>>()?)
        }
        _ => panic!("{line:?} isn't Redis' protocol"),
    })
}
