//! A host whose name has several addresses. The name is in a file of hosts that only this test sees, in a mount namespace of its
//! own.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod support;

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
    time::Duration,
};

use access_tokens::store::TokenStore;
use access_tokens_redis::RedisStore;
use socket2::{Domain, Socket, Type};
use support::{found_or_skip, free_port};
use tokio::time::timeout;

const HOST: &str = "several.example";
const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
/// What Redis says to the script that gets a value: there is none.
const NOTHING: &[u8] = b"*3\r\n$-1\r\n$1\r\n1\r\n$1\r\n1\r\n";
/// Before connecting to one address is given up.
const IN_TIME: Duration = Duration::from_secs(1);

/// As a firewall that drops packets, or a machine that is off: nothing comes back. Linux does so where a listener's queue is full.
struct Drops(#[allow(dead_code, reason = "kept open")] Vec<Socket>);

impl Drops {
    fn at(address: SocketAddr) -> Self {
        let socket = || Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let fill = |_| {
            let client = socket();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address.into());
            client
        };
        Self([listener].into_iter().chain((0..4).map(fill)).collect())
    }
}

/// Says this to whoever says something.
fn says(address: SocketAddr, text: &'static [u8]) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                while let Ok(1..) = client.read(&mut [0; 4096]) {
                    let _ = client.write_all(text);
                }
            });
        }
    });
}

#[test]
fn an_address_that_is_of_no_use_is_in_nobodys_way() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let lines = ADDRESSES.map(|address| format!("{address} {HOST}\n"));
    fs::write(hosts.path(), lines.concat()).unwrap();
    let with_hosts = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
        command.arg(hosts.path()).args(program);
        command
    };
    let seen = with_hosts(&["cat", "/etc/hosts"]).output();
    let found = seen.is_ok_and(|seen| seen.stdout == lines.concat().as_bytes());
    if !found_or_skip("unshare", found, "that all addresses of a host are tried") {
        return;
    }
    let test = env::current_exe().unwrap();
    let test = test.to_str().unwrap();
    let ended = with_hosts(&[test, "--exact", "with_hosts", "--nocapture"]).env("WITH_HOSTS", "1").status().unwrap();
    assert!(ended.success());
}

/// No test of its own, but what the one above does where the name is known.
#[tokio::test]
async fn with_hosts() {
    if env::var_os("WITH_HOSTS").is_none() {
        return;
    }
    let begin: [fn(SocketAddr) -> Option<Drops>; 4] = [
        |address| Some(Drops::at(address)),
        // It takes connections, and says nothing.
        |address| {
            says(address, b"");
            None
        },
        |address| {
            says(address, b"-LOADING Redis is loading the dataset in memory\r\n");
            None
        },
        // Nothing listens.
        |_| None,
    ];
    for (n, begin) in begin.into_iter().enumerate() {
        let port = free_port();
        let found: Vec<_> = tokio::net::lookup_host((HOST, port)).await.unwrap().collect();
        let [first, second] = found[..] else { panic!("{found:?}") };
        let _first = begin(first);
        says(second, NOTHING);
        let store = RedisStore::builder([format!("redis://{HOST}:{port}")]).build().unwrap();
        timeout(IN_TIME, store.get("a")).await.unwrap_or_else(|_| panic!("case {n}: not in time")).unwrap();
    }
}
