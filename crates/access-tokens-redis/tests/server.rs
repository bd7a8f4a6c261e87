//! What the two commands do.
#![cfg(test)]

mod support;

use std::time::Duration;

use access_tokens::store::{LARGEST, Stored, Swap, TokenStore};
use access_tokens_redis::RedisStore;
use support::{RedisServer, Reply, redis_or_skip, until};

const MINUTE: Duration = Duration::from_secs(60);

fn store(server: &RedisServer) -> RedisStore {
    RedisStore::builder([server.url()]).build().unwrap()
}

fn changed(swap: Swap) -> Stored {
    match swap {
        Swap::Changed(stored) => stored,
        Swap::Done => panic!("it was done"),
    }
}

fn is_done(swap: &Swap) -> bool {
    matches!(swap, Swap::Done)
}

async fn value(store: &RedisStore, name: &str) -> Option<Vec<u8>> {
    store.get(name).await.unwrap().value
}

async fn set(store: &RedisStore, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Swap {
    store.compare_and_set(name, expected, value, MINUTE).await.unwrap()
}

#[tokio::test]
async fn replaces_only_what_was_expected() {
    if !redis_or_skip("that only what was expected is replaced") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);

    assert_eq!(value(&store, "a").await, None);
    assert_eq!(changed(set(&store, "a", Some(b"one"), b"two").await).value, None);
    assert!(is_done(&set(&store, "a", None, b"one").await));
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(changed(set(&store, "a", None, b"two").await).value.as_deref(), Some(&b"one"[..]));
    assert_eq!(changed(set(&store, "a", Some(b"on"), b"two").await).value.as_deref(), Some(&b"one"[..]));
    assert_eq!(changed(set(&store, "a", Some(b""), b"two").await).value.as_deref(), Some(&b"one"[..]));
    // The same value again is no success for who expected something else.
    assert_eq!(changed(set(&store, "a", None, b"one").await).value.as_deref(), Some(&b"one"[..]));
    assert!(is_done(&set(&store, "a", Some(b"one"), b"two").await));
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"two"[..]));
    // Each name has a value of its own, under a key that others can find.
    assert_eq!(value(&store, "b").await, None);
    assert_eq!(server.command(&["GET", "access-tokens:{a}"]), Reply::Text(b"two".to_vec()));

    let apart = RedisStore::builder([server.url()]).prefix("apart").build().unwrap();
    assert_eq!(value(&apart, "a").await, None);
    assert!(is_done(&set(&apart, "a", None, b"x").await));
    assert_eq!(server.command(&["GET", "apart:{a}"]), Reply::Text(b"x".to_vec()));
}

#[tokio::test]
async fn keeps_every_byte() {
    if !redis_or_skip("that every byte is kept") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);

    let bytes: Vec<u8> = (0..=255).cycle().take(LARGEST).collect();
    assert!(is_done(&set(&store, "a", None, &bytes).await));
    assert_eq!(value(&store, "a").await.as_ref(), Some(&bytes));
    let mut other = bytes.clone();
    other[70_000] ^= 1;
    assert_eq!(changed(set(&store, "a", Some(&other), b"x").await).value, Some(bytes.clone()));
    assert!(is_done(&set(&store, "a", Some(&bytes), b"\r\n\0").await));
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"\r\n\0"[..]));
}

#[tokio::test]
async fn takes_what_cannot_be_ours_for_empty_and_replaces_it() {
    if !redis_or_skip("that what can't be ours is taken for empty") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    let larger = "x".repeat(LARGEST + 1);
    let kinds: [&[&str]; 4] = [
        &["RPUSH", "access-tokens:{a}", "one", "two"],
        &["HSET", "access-tokens:{a}", "one", "two"],
        &["SET", "access-tokens:{a}", &larger],
        &["SET", "access-tokens:{a}", ""],
    ];
    for kind in kinds {
        server.command(&["DEL", "access-tokens:{a}"]);
        assert!(!matches!(server.command(kind), Reply::Error(_)));
        assert_eq!(value(&store, "a").await.as_deref(), Some(&b""[..]), "{}", kind[0]);
        assert_eq!(changed(set(&store, "a", None, b"new").await).value.as_deref(), Some(&b""[..]));
        assert_eq!(changed(set(&store, "a", Some(b"x"), b"new").await).value.as_deref(), Some(&b""[..]));
        assert!(is_done(&set(&store, "a", Some(b""), b"new").await), "{}", kind[0]);
        assert_eq!(value(&store, "a").await.as_deref(), Some(&b"new"[..]));
    }
}

#[tokio::test]
async fn forgets_a_value_when_its_time_is_over() {
    if !redis_or_skip("that values end") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    let put = async |name, ttl| assert!(is_done(&store.compare_and_set(name, None, b"x", ttl).await.unwrap()));

    put("short", Duration::from_millis(80)).await;
    put("shortest", Duration::ZERO).await;
    put("long", MINUTE).await;
    put("for ever", Duration::MAX).await;
    assert!(value(&store, "short").await.is_some());
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(value(&store, "short").await, None);
    assert_eq!(value(&store, "shortest").await, None);
    assert!(value(&store, "long").await.is_some() && value(&store, "for ever").await.is_some());
    let Reply::Integer(left) = server.command(&["PTTL", "access-tokens:{long}"]) else { panic!() };
    assert!((50_000..=60_000).contains(&left), "{left}");
    // Replaced, it has its time anew.
    assert!(is_done(&store.compare_and_set("long", Some(b"x"), b"y", 2 * MINUTE).await.unwrap()));
    let Reply::Integer(left) = server.command(&["PTTL", "access-tokens:{long}"]) else { panic!() };
    assert!((110_000..=120_000).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lets_one_of_two_hundred_win() {
    if !redis_or_skip("that one of two hundred wins") {
        return;
    }
    let server = RedisServer::start();
    // Half of them from another process, as it were.
    let stores = [store(&server), store(&server)];
    for (round, expected) in [None, Some(b"w".to_vec())].into_iter().enumerate() {
        let rivals = (0..200).map(|i| {
            let (store, expected) = (stores[i % 2].clone(), expected.clone());
            tokio::spawn(async move { is_done(&set(&store, "a", expected.as_deref(), b"w").await) })
        });
        let mut won = 0;
        for rival in rivals.collect::<Vec<_>>() {
            won += usize::from(rival.await.unwrap());
        }
        // The second round puts back what it expects: all succeed, and none is lost.
        assert_eq!(won, if round == 0 { 1 } else { 200 });
    }
    let rivals = (0..200).map(|i| {
        let store = stores[i % 2].clone();
        tokio::spawn(async move { is_done(&set(&store, "a", Some(b"w"), format!("{i}").as_bytes()).await) })
    });
    let mut won = 0;
    for rival in rivals.collect::<Vec<_>>() {
        won += usize::from(rival.await.unwrap());
    }
    assert_eq!(won, 1);
    // All over one connection each.
    until("one connection each", || clients(&server) <= 2);
}

/// Connections to the server, but for the one that asks.
fn clients(server: &RedisServer) -> usize {
    server.command(&["CLIENT", "LIST"]).text().lines().count() - 1
}

#[tokio::test]
async fn tells_the_time_of_redis() {
    if !redis_or_skip("whose time it is") {
        return;
    }
    let server = RedisServer::start();
    let store = store(&server);
    let time = || {
        let reply = server.command(&["TIME"]);
        let number = |i: usize| reply.array()[i].text().parse::<u64>().unwrap();
        Duration::from_secs(number(0)) + Duration::from_micros(number(1))
    };
    value(&store, "a").await;
    for changes in [false, true] {
        let before = time();
        let now = match changes {
            false => store.get("a").await.unwrap().now,
            true => changed(set(&store, "a", Some(b"x"), b"y").await).now,
        };
        assert!(before <= now && now <= time(), "{before:?} {now:?}");
    }
}
