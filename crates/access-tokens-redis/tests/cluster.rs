//! A cluster of three masters.
#![cfg(test)]

mod support;

use std::{collections::HashMap, time::Duration};

use access_tokens::{
    ErrorKind,
    store::{Swap, TokenStore},
};
use access_tokens_redis::RedisStore;
use support::{RedisServer, Reply, free_port, redis_or_skip, until};
use tokio::time::timeout;

const COMMAND: Duration = Duration::from_millis(250);
const SLOTS: u16 = 16_384;

fn start() -> RedisServer {
    let at_once = ["--cluster-node-timeout", "500", "--repl-diskless-sync-delay", "0"];
    RedisServer::start_with(&[&["--cluster-enabled", "yes"], &at_once[..]].concat())
}

fn masters() -> Vec<RedisServer> {
    let masters = [start(), start(), start()];
    for (i, master) in (0_u16..).zip(&masters) {
        let (first, last) = (i * SLOTS / 3, (i + 1) * SLOTS / 3 - 1);
        master.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        // Else two of the same epoch argue about slots that are moved.
        master.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
        if i > 0 {
            master.command(&["CLUSTER", "MEET", "127.0.0.1", &masters[0].port().to_string()]);
        }
    }
    for master in &masters {
        until("a cluster", || {
            let info = master.command(&["CLUSTER", "INFO"]).text();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        });
    }
    masters.into()
}

fn store<'a>(seeds: impl IntoIterator<Item = &'a RedisServer>) -> RedisStore {
    RedisStore::builder(seeds.into_iter().map(RedisServer::url)).cluster().build().unwrap()
}

async fn set(store: &RedisStore, name: &str, expected: Option<&[u8]>, value: &[u8]) -> bool {
    let swap = store.compare_and_set(name, expected, value, Duration::from_secs(60)).await;
    matches!(swap.unwrap(), Swap::Done)
}

async fn value(store: &RedisStore, name: &str) -> Option<Vec<u8>> {
    store.get(name).await.unwrap().value
}

/// How many commands a server sent elsewhere.
fn redirections(servers: &[RedisServer]) -> u64 {
    let count = |server: &RedisServer| {
        let info = server.command(&["INFO", "errorstats"]).text();
        let lines = info.lines().filter_map(|line| line.strip_prefix("errorstat_MOVED:count="));
        lines.map(|count| count.parse::<u64>().unwrap()).sum::<u64>()
    };
    servers.iter().map(count).sum()
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
async fn finds_each_name_where_it_is() {
    if !redis_or_skip("that names are found in a cluster") {
        return;
    }
    let masters = masters();
    let store = store(&masters[..1]);
    let names: Vec<_> = (0..30).map(|i| format!("name-{i}")).collect();
    for name in &names {
        assert!(set(&store, name, None, name.as_bytes()).await);
    }
    let held: Vec<_> = masters.iter().map(|master| master.command(&["DBSIZE"])).collect();
    assert!(held.iter().all(|size| matches!(size, Reply::Integer(1..))), "{held:?}");
    // What was learnt needs no redirection again.
    let learnt = redirections(&masters);
    assert!(learnt <= 30);
    for name in &names {
        assert_eq!(value(&store, name).await.as_deref(), Some(name.as_bytes()));
        assert!(set(&store, name, Some(name.as_bytes()), b"new").await);
    }
    assert_eq!(redirections(&masters), learnt);
    // Nor does another name in the same slot, which is computed as Redis does.
    let mut seen = HashMap::new();
    let slot = |name: &str| match masters[0].command(&["CLUSTER", "KEYSLOT", &format!("access-tokens:{{{name}}}")]) {
        Reply::Integer(slot) => slot,
        other => panic!("{other:?}"),
    };
    let (one, two) = (0..)
        .map(|i| format!("other-{i}"))
        // Where the one that is asked first would send it elsewhere.
        .filter(|name| slot(name) > i64::from(SLOTS / 3))
        .find_map(|name| seen.insert(slot(&name), name.clone()).map(|before| (before, name)))
        .unwrap();
    let before = redirections(&masters);
    assert_eq!(value(&store, &one).await, None);
    let learnt = redirections(&masters);
    assert!((before..=before + 1).contains(&learnt));
    assert_eq!(value(&store, &two).await, None);
    assert_eq!(redirections(&masters), learnt);
    // One connection to each, and one to ask.
    let clients = |one: &RedisServer| one.command(&["CLIENT", "LIST"]).text().lines().count() - 1;
    until("no more connections than that", || masters.iter().map(clients).sum::<usize>() <= 4);
}

#[tokio::test]
async fn follows_a_slot_that_moves() {
    if !redis_or_skip("that a slot may move in a cluster") {
        return;
    }
    let masters = masters();
    let store = store(&masters);
    let id = |master: &RedisServer| master.command(&["CLUSTER", "MYID"]).text();
    let Reply::Integer(slot) = masters[0].command(&["CLUSTER", "KEYSLOT", "{a}"]) else { panic!() };
    let from = usize::try_from(slot).unwrap() * 3 / usize::from(SLOTS);
    let (from, to) = (&masters[from], &masters[(from + 1) % 3]);
    assert!(set(&store, "a", None, b"one").await);
    let slot = slot.to_string();

    let (from_id, to_id) = (id(from), id(to));
    to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    // On its way, and still here.
    assert!(set(&store, "a", Some(b"one"), b"two").await);
    let migrated = from.command(&["MIGRATE", "127.0.0.1", &to.port().to_string(), "access-tokens:{a}", "0", "1000"]);
    assert_eq!(migrated.text(), "OK");
    // There already, though the slot isn't. The script isn't known there either.
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"two"[..]));
    assert!(set(&store, "a", Some(b"two"), b"three").await);
    assert_eq!(to.command(&["DBSIZE"]), Reply::Integer(1));

    for master in [to, from] {
        master.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"three"[..]));
    let learnt = redirections(&masters);
    assert!(set(&store, "a", Some(b"three"), b"four").await);
    assert_eq!(redirections(&masters), learnt);
}

#[tokio::test]
async fn goes_on_when_a_master_is_replaced() {
    if !redis_or_skip("that a cluster's master may be replaced") {
        return;
    }
    let mut masters = masters();
    let Reply::Integer(slot) = masters[0].command(&["CLUSTER", "KEYSLOT", "{a}"]) else { panic!() };
    let owner = usize::try_from(slot).unwrap() * 3 / usize::from(SLOTS);
    let replica = start();
    let id = masters[owner].command(&["CLUSTER", "MYID"]).text();
    replica.command(&["CLUSTER", "MEET", "127.0.0.1", &masters[owner].port().to_string()]);
    until("a replica", || replica.command(&["CLUSTER", "REPLICATE", &id]) == Reply::Text(b"OK".to_vec()));
    for one in masters.iter().chain([&replica]) {
        until("that all know each other", || {
            let info = one.command(&["CLUSTER", "INFO"]).text();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4")
        });
    }
    until("its copy", || replica.command(&["INFO", "replication"]).text().contains("master_link_status:up"));
    // The first seed, and the first learnt, is the one that will be gone.
    let mut seeds: Vec<_> = masters.iter().collect();
    seeds.swap(0, owner);
    let store = store(seeds);
    assert!(set(&store, "a", None, b"one").await);
    until("the copy of the value", || replica.command(&["DBSIZE"]) == Reply::Integer(1));

    masters[owner].kill();
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // At once, where by itself it would take seconds.
    until("a new master", || {
        replica.command(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
        replica.command(&["ROLE"]).array()[0].text() == "master"
    });
    assert_eq!(value_in_the_end(&store).await.as_deref(), Some(&b"one"[..]));
    assert!(set(&store, "a", Some(b"one"), b"two").await);
    assert_eq!(replica.command(&["DBSIZE"]), Reply::Integer(1));
}

#[tokio::test]
async fn passes_over_seeds_that_are_away_or_stand_still() {
    if !redis_or_skip("that seeds of a cluster may be away") {
        return;
    }
    let masters = masters();
    let Reply::Integer(slot) = masters[0].command(&["CLUSTER", "KEYSLOT", "{a}"]) else { panic!() };
    let owner = usize::try_from(slot).unwrap() * 3 / usize::from(SLOTS);
    let still = &masters[(owner + 1) % 3];
    let urls = [format!("redis://127.0.0.1:{}", free_port()), still.url(), masters[owner].url()];
    let store = RedisStore::builder(urls).cluster().build().unwrap();
    still.stop();
    // Before connecting to that one is given up.
    let first = timeout(Duration::from_secs(1), store.get("a")).await.expect("in time");
    still.cont();
    assert_eq!(first.unwrap().value, None);
}

#[tokio::test]
async fn says_so_if_it_is_not_asked_for_a_cluster() {
    if !redis_or_skip("what is said of a cluster") {
        return;
    }
    let masters = masters();
    let Reply::Integer(slot) = masters[0].command(&["CLUSTER", "KEYSLOT", "{a}"]) else { panic!() };
    let other = (usize::try_from(slot).unwrap() * 3 / usize::from(SLOTS) + 1) % 3;
    let store = RedisStore::builder([masters[other].url()]).build().unwrap();
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let at = format!("127.0.0.1:{}", masters[other].port());
    let message = format!("Redis at {at} is a server of a cluster; call cluster() on the builder");
    assert_eq!(error.to_string(), message);

    // And the other way round it's no matter.
    let single = RedisServer::start();
    let store = self::store([&single]);
    assert!(set(&store, "a", None, b"one").await);
}
