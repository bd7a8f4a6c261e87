//! A master and a replica behind sentinels.
#![cfg(test)]

mod support;

use std::{fs, time::Duration};

use access_tokens::{
    ErrorKind,
    store::{Swap, TokenStore},
};
use access_tokens_redis::RedisStore;
use support::{RedisServer, Reply, free_port, redis_or_skip, until};
use tokio::time::timeout;

const COMMAND: Duration = Duration::from_millis(250);
const MASTER_PASSWORD: &str = "planted-password";
const SENTINEL_PASSWORD: &str = "planted-sentinel-password";

/// One sentinel, which decides alone.
fn sentinel(master: u16, folder: &tempfile::TempDir) -> RedisServer {
    let path = folder.path().join("sentinel.conf");
    let text = format!(
        "sentinel monitor main 127.0.0.1 {master} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 2000\nsentinel auth-pass main {MASTER_PASSWORD}\n\
         requirepass {SENTINEL_PASSWORD}\n"
    );
    fs::write(&path, text).unwrap();
    RedisServer::start_with(&[path.to_str().unwrap(), "--sentinel", "--requirepass", SENTINEL_PASSWORD])
}

async fn set(store: &RedisStore, expected: Option<&[u8]>, value: &[u8]) -> bool {
    let swap = store.compare_and_set("a", expected, value, Duration::from_secs(60)).await;
    matches!(swap.unwrap(), Swap::Done)
}

/// What is there when commands succeed again; until then they are to say that they don't, or take too long.
async fn value_in_the_end(store: &RedisStore) -> Option<Vec<u8>> {
    for _ in 0..100 {
        match timeout(COMMAND, store.get("a")).await {
            Ok(Ok(stored)) => return stored.value,
            Ok(Err(e)) => assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}"),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("commands never succeed again");
}

#[tokio::test]
async fn follows_the_master() {
    if !redis_or_skip("that the sentinels' master is followed") {
        return;
    }
    let passwords = ["--requirepass", MASTER_PASSWORD, "--masterauth", MASTER_PASSWORD];
    let start = || RedisServer::start_with(&[&passwords[..], &["--repl-diskless-sync-delay", "0"]].concat());
    let (mut master, replica) = (start(), start());
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    until("a copy", || replica.command(&["INFO", "replication"]).text().contains("master_link_status:up"));
    let folder = tempfile::tempdir().unwrap();
    let sentinel = sentinel(master.port(), &folder);
    until("that the sentinel knows the replica", || {
        sentinel.command(&["SENTINEL", "REPLICAS", "main"]).array().len() == 1
    });
    // The first sentinel is away.
    let urls = || [format!("redis://127.0.0.1:{}", free_port()), format!("{}/1", sentinel.url())];
    let builder = || RedisStore::builder(urls()).password(MASTER_PASSWORD).sentinel_password(SENTINEL_PASSWORD);
    let store = builder().sentinel("main").build().unwrap();
    assert!(set(&store, None, b"one").await);
    assert_eq!(master.command(&["INFO", "keyspace"]).text().matches("db1:keys=1").count(), 1);
    until("the copy of the value", || replica.command(&["INFO", "keyspace"]).text().contains("db1:keys=1"));

    let error = builder().sentinel("other").build().unwrap().get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let at = format!("the sentinel at 127.0.0.1:{}", sentinel.port());
    assert_eq!(error.to_string(), format!("{at} knows no master \"other\"; compare the name with its configuration"));
    let wrong = RedisStore::builder([sentinel.url()]).sentinel("main").password(MASTER_PASSWORD);
    let error = wrong.clone().build().unwrap().get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let message =
        format!("Redis at 127.0.0.1:{} wants a password; set it in the URL or with password", sentinel.port());
    assert_eq!(error.to_string(), message);
    let error = wrong.sentinel_password("wrong").build().unwrap().get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);

    master.kill();
    assert_eq!(store.get("a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    // At once, where by itself it would wait up to a second more.
    sentinel.command(&["SENTINEL", "FAILOVER", "main"]);
    assert_eq!(value_in_the_end(&store).await.as_deref(), Some(&b"one"[..]));
    assert!(set(&store, Some(b"one"), b"two").await);
    assert_eq!(replica.command(&["ROLE"]).array()[0], Reply::Text(b"master".to_vec()));
}

#[tokio::test]
async fn believes_no_sentinel_that_names_a_replica() {
    if !redis_or_skip("that a replica isn't taken for the master") {
        return;
    }
    // What a sentinel says while a failover is under way: its master has been demoted.
    let demoted = RedisServer::start_with(&["--requirepass", MASTER_PASSWORD]);
    let folder = tempfile::tempdir().unwrap();
    let sentinel = sentinel(demoted.port(), &folder);
    demoted.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let store = RedisStore::builder([sentinel.url()]).sentinel("main");
    let store = store.password(MASTER_PASSWORD).sentinel_password(SENTINEL_PASSWORD).build().unwrap();
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let at = format!("Redis at 127.0.0.1:{}", demoted.port());
    let message = format!("{at} isn't the master that sentinels say it is; a failover may be under way");
    assert_eq!(error.to_string(), message);
    demoted.command(&["REPLICAOF", "NO", "ONE"]);
    assert!(set(&store, None, b"one").await);
}
