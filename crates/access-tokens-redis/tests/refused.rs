//! What a server refuses, and what is said of it.
#![cfg(test)]

mod support;

use std::{
    error::Error as _,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use access_tokens::{Error, ErrorKind, store::TokenStore};
use access_tokens_redis::{RedisStore, RedisStoreBuilder};
use support::{RedisServer, redis_or_skip, until};

const SECRET: &str = "planted-password";

fn store(server: &RedisServer) -> RedisStoreBuilder {
    RedisStore::builder([server.url()])
}

async fn set(store: &RedisStore) -> Result<(), Error> {
    store.compare_and_set("a", None, b"x", Duration::from_secs(60)).await.map(|_| ())
}

/// The error, with all that can be read in it free of the password.
fn checked(error: Error) -> (ErrorKind, String) {
    let mut all = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        all += &format!("{cause:?} {cause}");
        source = cause.source();
    }
    assert!(!all.contains(SECRET), "{all}");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_password_that_is_missing_or_wrong() {
    if !redis_or_skip("what is said of passwords") {
        return;
    }
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let at = format!("Redis at 127.0.0.1:{}", server.port());
    let refuses = format!("{at} refuses the user name or password; compare them with its ACL");
    let error = store(&server).build().unwrap().get("a").await.unwrap_err();
    let wants = format!("{at} wants a password; set it in the URL or with password");
    assert_eq!(checked(error), (ErrorKind::Configuration, wants));
    for builder in [store(&server), store(&server).username("default"), store(&server).username("nobody")] {
        let error = builder.password(SECRET).build().unwrap().get("a").await.unwrap_err();
        assert_eq!(checked(error), (ErrorKind::Configuration, refuses.clone()));
    }
    store(&server).password("right").build().unwrap().get("a").await.unwrap();
    let url = format!("redis://default:rig%68t@127.0.0.1:{}", server.port());
    RedisStore::builder([url]).build().unwrap().get("a").await.unwrap();

    let open = RedisServer::start();
    let error = store(&open).password(SECRET).build().unwrap().get("a").await.unwrap_err();
    assert_eq!(checked(error).0, ErrorKind::Configuration);
    // It repeats what it was sent, once AUTH isn't a command to it.
    let open = RedisServer::start_with(&["--rename-command", "AUTH", ""]);
    let error = store(&open).password(SECRET).build().unwrap().get("a").await.unwrap_err();
    assert_eq!(checked(error).0, ErrorKind::Configuration);
}

#[tokio::test]
async fn a_user_who_may_not() {
    if !redis_or_skip("what is said of permissions") {
        return;
    }
    let server = RedisServer::start();
    let url = format!("redis://tokens:{SECRET}@127.0.0.1:{}/1", server.port());
    let new = || RedisStore::builder([url.clone()]).build().unwrap();
    let port = server.port();
    let message = format!(
        "the user may not do on Redis at 127.0.0.1:{port} what a store does; \
         allow +evalsha +eval +get +set +strlen +time +type, on the keys ~<prefix>:*"
    );
    // As the docs have it, it suffices.
    let docs = include_str!("../src/lib.rs");
    let line = docs.lines().find_map(|line| line.strip_prefix("//! ACL SETUSER tokens on >secret ")).unwrap();
    let password = format!(">{SECRET}");
    let user = |rules: &str| {
        let mut words = vec!["ACL", "SETUSER", "tokens", "reset", "on", &password];
        words.extend(rules.split(' '));
        assert_eq!(server.command(&words).text(), "OK");
    };
    user(line);
    let store = new();
    set(&store).await.unwrap();
    store.get("a").await.unwrap();
    server.command(&["SCRIPT", "FLUSH"]);
    store.get("a").await.unwrap();
    for lacking in ["eval", "evalsha", "get", "strlen", "time", "type"] {
        server.command(&["SCRIPT", "FLUSH"]);
        user(&format!("{line} -{lacking}"));
        let error = new().get("a").await.expect_err(lacking);
        assert_eq!(checked(error), (ErrorKind::Configuration, message.clone()), "{lacking}");
    }
    server.command(&["FLUSHALL"]);
    user(&format!("{line} -set"));
    assert_eq!(checked(set(&new()).await.unwrap_err()), (ErrorKind::Configuration, message.clone()));
    user(&line.replace("access-tokens", "other"));
    assert_eq!(checked(new().get("a").await.unwrap_err()), (ErrorKind::Configuration, message.clone()));
    // Not needed, and said otherwise.
    user(&format!("{line} -ping"));
    new().get("a").await.unwrap();
    user(&format!("{line} -select"));
    assert_eq!(checked(new().get("a").await.unwrap_err()), (ErrorKind::Configuration, message));
    user(&line.replace(" +select", ""));
    RedisStore::builder([url.trim_end_matches("/1")]).build().unwrap().get("a").await.unwrap();
}

#[tokio::test]
async fn other_settings() {
    if !redis_or_skip("what is said of other settings") {
        return;
    }
    let server = RedisServer::start();
    let port = server.port();
    let error = RedisStore::builder([format!("{}/99", server.url())]).build().unwrap().get("a").await.unwrap_err();
    let message = format!("Redis at 127.0.0.1:{port} has no database 99; correct the URL's path");
    assert_eq!(checked(error), (ErrorKind::Configuration, message));
    let error = store(&server).sentinel("main").build().unwrap().get("a").await.unwrap_err();
    let message = format!("Redis at 127.0.0.1:{port} isn't a sentinel; give the URLs of the sentinels");
    assert_eq!(checked(error), (ErrorKind::Configuration, message));

    // The databases are apart.
    let other = RedisStore::builder([format!("{}/5", server.url())]).build().unwrap();
    set(&other).await.unwrap();
    assert!(store(&server).build().unwrap().get("a").await.unwrap().value.is_none());

    let without = RedisServer::start_with(&["--rename-command", "EVALSHA", ""]);
    let error = store(&without).build().unwrap().get("a").await.unwrap_err();
    let port = without.port();
    let message = format!("Redis at 127.0.0.1:{port} doesn't know a command of the store; it needs Lua scripts");
    assert_eq!(checked(error), (ErrorKind::Configuration, message));

    let error = RedisStore::builder([format!("redis://no-such-host.invalid:{port}")]).build().unwrap();
    let error = error.get("a").await.unwrap_err();
    let at = format!("no-such-host.invalid:{port}");
    let message = format!("can't connect to Redis at {at}; check the host, and the network on the way to it");
    assert_eq!(checked(error), (ErrorKind::Unavailable, message));
}

#[tokio::test]
async fn a_server_in_need() {
    if !redis_or_skip("what is said of a server in need") {
        return;
    }
    let server = RedisServer::start();
    let port = server.port();
    let store = store(&server).build().unwrap();
    set(&store).await.unwrap();
    // Of the oldest connection that the store has.
    let id = || {
        let clients = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        let of_store = clients.lines().find(|client| client.contains(" cmd=eval")).unwrap();
        of_store.split(' ').next().unwrap().to_owned()
    };
    let before = id();
    server.command(&["DEL", "access-tokens:{a}"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let message = format!(
        "Redis at 127.0.0.1:{port} is out of memory; raise its maxmemory, or set a maxmemory-policy that evicts"
    );
    assert_eq!(checked(set(&store).await.unwrap_err()), (ErrorKind::Unavailable, message));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    set(&store).await.unwrap();

    server.command(&["DEL", "access-tokens:{a}"]);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let message =
        format!("Redis at 127.0.0.1:{port} takes no writes, for want of replicas or of a disk to save to; see its log");
    assert_eq!(checked(set(&store).await.unwrap_err()), (ErrorKind::Unavailable, message));
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);

    // None of that costs the connection.
    assert_eq!(id(), before);

    // Demoted, it must not be asked again on the same connection.
    server.command(&["DEL", "access-tokens:{a}"]);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    server.command(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    let message = format!("Redis at 127.0.0.1:{port} is a replica; connect to its master");
    assert_eq!(checked(set(&store).await.unwrap_err()), (ErrorKind::Unavailable, message));
    server.command(&["REPLICAOF", "NO", "ONE"]);
    set(&store).await.unwrap();
    until("a new connection", || id() != before);

    // No more clients; of those there are one has to go, so that ours comes anew.
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    server.command(&["CONFIG", "SET", "maxclients", "1"]);
    let mut other = None;
    until("the only client that there may be", || {
        // The server need not have seen yet that the one that set this has gone; then it takes no other.
        other = TcpStream::connect(("127.0.0.1", port)).ok();
        let mut answer = [0; 5];
        let asked =
            other.as_mut().map(|other| other.write_all(b"PING\r\n").and_then(|()| other.read_exact(&mut answer)));
        asked.is_some_and(|asked| asked.is_ok()) && answer == *b"+PONG"
    });
    // Its word on that is lost if it closes before we have asked anything.
    let (kind, message) = checked(store.get("a").await.unwrap_err());
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("maxclients"), "{message}");
}

/// Says this to each that connects, and goes on listening.
fn says(text: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(1..) = client.read(&mut buffer) {
                    let _ = client.write_all(text);
                }
            });
        }
    });
    port
}

/// Of servers that this machine doesn't have: older ones, busy ones, and what isn't Redis.
#[tokio::test]
async fn words_of_other_servers() {
    use ErrorKind::{Configuration, Contract, Unavailable};
    let not_redis = "what listens at HERE doesn't answer as Redis does";
    let not_script = "the server didn't answer as Redis does; is it Redis or Valkey, 5 or newer?";
    let table: [(&'static [u8], ErrorKind, &str); 13] = [
        (
            b"-ERR max number of clients reached\r\n",
            Unavailable,
            "Redis at HERE takes no more connections; see its maxclients",
        ),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            Unavailable,
            "Redis at HERE is still loading its data",
        ),
        (b"-MASTERDOWN Link with MASTER is down\r\n", Unavailable, "the Redis cluster or master behind HERE is down"),
        (b"-CLUSTERDOWN The cluster is down\r\n", Unavailable, "the Redis cluster or master behind HERE is down"),
        (
            b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
            Configuration,
            "Redis at HERE is in protected mode and takes no connection from here; give it a password",
        ),
        (
            b"-ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command not allowed when \
              used memory > 'maxmemory'.\r\n",
            Unavailable,
            "Redis at HERE is out of memory; raise its maxmemory, or set a maxmemory-policy that evicts",
        ),
        (
            b"-ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -READONLY You can't write \
              against a read only replica.\r\n",
            Unavailable,
            "Redis at HERE is a replica; connect to its master",
        ),
        (b"-BUSY Redis is busy running a script.\r\n", Unavailable, "Redis at HERE answers with an error (BUSY)"),
        (b"-ERR something new\r\n", Unavailable, "Redis at HERE answers with an error (ERR)"),
        (b"-planted-password in place of a code\r\n", Unavailable, "Redis at HERE answers with an error"),
        (
            b"-MOVED 1 127.0.0.1:1\r\n",
            Configuration,
            "Redis at HERE is a server of a cluster; call cluster() on the builder",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Contract, not_redis),
        (b"+PONG\r\n", Contract, not_script),
    ];
    for (text, kind, message) in table {
        let port = says(text);
        let store = RedisStore::builder([format!("redis://127.0.0.1:{port}")]).build().unwrap();
        let error = store.get("a").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{message}");
        assert_eq!(error.to_string(), message.replace("HERE", &format!("127.0.0.1:{port}")));
    }
}
