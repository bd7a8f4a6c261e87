//! Somebody who can write to Redis, and doesn't have the key.

use std::{sync::Arc, time::Duration};

use access_tokens::{AccessToken, TokenCache};
use access_tokens_sandbox::{Endpoint, Sandbox};
use tokio::time::sleep;

use crate::{
    instance::{self, handle, keys, onence, secret, worldline},
    support::{RedisServer, Reply, redis_or_skip},
};

struct Place {
    redis: RedisServer,
    sandbox: Arc<Sandbox>,
}

impl Place {
    async fn new(lifetime: Duration) -> Self {
        Self { redis: RedisServer::start(), sandbox: instance::sandbox(lifetime).await }
    }

    /// An instance that starts just now.
    fn started(&self) -> TokenCache {
        onence(&self.sandbox, &handle(&self.redis.url()))
    }

    /// What is stored under the only key.
    async fn entry(&self) -> Vec<u8> {
        // Nobody waits for a token to be stored.
        sleep(Duration::from_millis(300)).await;
        let [key] = keys(&self.redis).try_into().unwrap();
        self.value(&key)
    }

    fn value(&self, key: &str) -> Vec<u8> {
        match self.redis.command(&["GET", key]) {
            Reply::Text(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// Puts that there, to stay.
    fn put(&self, key: &str, value: &[u8]) {
        self.redis.command_bytes(&[b"SET", key.as_bytes(), value]);
    }

    fn exchanges(&self) -> u64 {
        self.sandbox.requests(Endpoint::Onence)
    }
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_entry_is_never_used_and_is_overwritten() {
    if !redis_or_skip("that an altered entry is never used") {
        return;
    }
    let place = Place::new(LONG).await;
    place.started().token().await.unwrap();
    let good = place.entry().await;
    let key = keys(&place.redis).remove(0);
    let mut altered: Vec<Vec<u8>> = (0..good.len())
        .filter(|at| at % 97 == 0 || *at < 4 || *at + 4 > good.len())
        .map(|at| {
            let mut value = good.clone();
            value[at] ^= 0x20;
            value
        })
        .collect();
    altered.extend([vec![], good[1..].to_vec(), good[..good.len() - 1].to_vec(), [&good[..], b"x"].concat()]);
    altered.push([&good[..], &good[..]].concat());
    for (n, value) in altered.iter().enumerate() {
        let before = place.exchanges();
        place.put(&key, value);
        let cache = place.started();
        let own = secret(&cache).await;
        assert_eq!(place.exchanges(), before + 1, "altered {n}");
        cache.shutdown().await;
        assert_eq!(secret(&place.started()).await, own, "altered {n} wasn't overwritten");
        assert_eq!(place.exchanges(), before + 1, "altered {n}");
    }
    println!("{} altered entries", altered.len());
    // The good one is good.
    place.put(&key, &good);
    let before = place.exchanges();
    place.started().token().await.unwrap();
    assert_eq!(place.exchanges(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_entries_are_never_used() {
    if !redis_or_skip("that swapped entries are never used") {
        return;
    }
    let place = Place::new(LONG).await;
    let store = handle(&place.redis.url());
    let [of_onence, of_worldline] = [onence(&place.sandbox, &store), worldline(&place.sandbox, &store)];
    let [one, other] = [secret(&of_onence).await, secret(&of_worldline).await];
    of_onence.shutdown().await;
    of_worldline.shutdown().await;
    let [a, b] = keys(&place.redis).try_into().unwrap();
    let (at_a, at_b) = (place.value(&a), place.value(&b));
    place.put(&a, &at_b);
    place.put(&b, &at_a);
    let store = handle(&place.redis.url());
    for (cache, endpoint) in
        [(onence(&place.sandbox, &store), Endpoint::Onence), (worldline(&place.sandbox, &store), Endpoint::Worldline)]
    {
        let given = secret(&cache).await;
        assert!(given != one && given != other, "{endpoint:?}");
        assert_eq!(place.sandbox.requests(endpoint), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_put_back_is_used_by_nobody_who_knows_better() {
    if !redis_or_skip("that an entry put back isn't used") {
        return;
    }
    let lifetime = Duration::from_secs(4);
    let place = Place::new(lifetime).await;
    let cache = place.started();
    let first = cache.token().await.unwrap().to_owned();
    let old = place.entry().await;
    let key = keys(&place.redis).remove(0);

    // Refused, and put back: neither by who was refused, nor by who was told of it before.
    let witness = place.started();
    assert_eq!(secret(&witness).await, first.secret());
    assert!(cache.invalidate(&first));
    let second = cache.token().await.unwrap().to_owned();
    assert_ne!(second.secret(), first.secret());
    place.entry().await;
    assert!(witness.invalidate(&first));
    assert_eq!(secret(&witness).await, second.secret());
    assert_eq!(place.exchanges(), 2);
    place.put(&key, &old);
    sleep(Duration::from_millis(1100)).await; // as long as a second invalidation isn't taken
    assert!(witness.invalidate(&second));
    let third = secret(&witness).await;
    assert!(third != first.secret() && third != second.secret());
    assert_eq!(place.exchanges(), 3);

    // Alive still, but older than what is held: refreshes bring a newer.
    let newest = place.entry().await;
    assert_ne!(newest, old);
    refreshed(&witness, &third, || place.put(&key, &old)).await;
    let fourth = secret(&witness).await;
    assert!(fourth != first.secret() && fourth != third, "an older token came back");

    // Dead: of no use to who starts now, either, whatever is written beside.
    place.put(&key, &old);
    assert!(!place.sandbox.accepts(first.secret()), "it is over by now");
    let before = place.exchanges();
    let started = secret(&place.started()).await;
    assert_eq!(place.exchanges(), before + 1);
    assert!(place.sandbox.accepts(&started));
}

/// Calls until there is another token.
async fn refreshed(cache: &TokenCache, held: &str, meanwhile: impl Fn()) {
    loop {
        meanwhile();
        if secret(cache).await != held {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidated_token_is_handed_out_to_nobody_again() {
    if !redis_or_skip("that an invalidated token isn't handed out") {
        return;
    }
    let place = Place::new(LONG).await;
    let latency = Duration::from_millis(400);
    instance::slow(&place.sandbox, latency);
    let caches: Vec<_> = (0..20).map(|_| place.started()).collect();
    let refused = caches[0].token().await.unwrap().to_owned();
    for cache in &caches {
        assert_eq!(secret(cache).await, refused.secret());
    }
    place.sandbox.revoke(refused.secret());
    let calls = caches.iter().cloned().map(|cache| {
        let refused: AccessToken = (*refused).clone();
        tokio::spawn(async move {
            assert!(cache.invalidate(&refused));
            secret(&cache).await
        })
    });
    let calls: Vec<_> = calls.collect();
    // While the exchange is under way, and afterwards.
    sleep(latency / 2).await;
    for _ in 0..10 {
        assert!(place.sandbox.accepts(&secret(&place.started()).await));
    }
    for call in calls {
        assert!(place.sandbox.accepts(&call.await.unwrap()));
    }
    assert_eq!(place.exchanges(), 2);
}
