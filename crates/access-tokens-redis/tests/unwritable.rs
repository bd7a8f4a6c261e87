//! A server that can be read and refuses to be written, from the middle of an exchange on.
#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use access_tokens::{
    AccessToken, TokenCache,
    store::{KeyRing, SharedStore},
    testing::ScriptedEndpoint,
};
use access_tokens_redis::RedisStore;
use support::{RedisServer, redis_or_skip};
use tokio::time::sleep;

const EXCHANGE: Duration = Duration::from_secs(1);
/// That of a store, by default.
const TIMEOUT: Duration = Duration::from_millis(250);
/// What a busy machine takes.
const SLACK: Duration = Duration::from_millis(750);

#[tokio::test]
async fn nobody_waits_for_an_exchange_whose_outcome_is_refused() {
    if !redis_or_skip("that nobody waits for a store that refuses writes") {
        return;
    }
    let refusals: [&[&str]; 3] = [
        &["CONFIG", "SET", "min-replicas-to-write", "1"],
        &["CONFIG", "SET", "maxmemory", "1"],
        &["REPLICAOF", "127.0.0.1", "1"],
    ];
    for refusal in refusals {
        let server = RedisServer::start();
        let instance = |secret: &str| {
            let token = AccessToken::new(secret).unwrap().with_expires_in(60 * EXCHANGE);
            let endpoint = ScriptedEndpoint::new().then_after(EXCHANGE, token);
            let keys = KeyRing::new(&[1; 32], [[2; 32]]).unwrap();
            let store = SharedStore::new(RedisStore::builder([server.url()]).build().unwrap(), keys);
            TokenCache::builder(endpoint).store(store).build().unwrap()
        };
        let call = |cache: TokenCache| {
            tokio::spawn(async move {
                let begun = Instant::now();
                let token = cache.token().await.unwrap().to_owned();
                (token.secret().to_owned(), begun.elapsed())
            })
        };
        let holder = call(instance("the-holder's"));
        sleep(EXCHANGE / 4).await;
        let waiter = call(instance("its-own"));
        sleep(EXCHANGE / 4).await;
        server.command(refusal);
        assert_eq!(holder.await.unwrap().0, "the-holder's");
        let (token, waited) = waiter.await.unwrap();
        assert_eq!(token, "its-own", "{refusal:?}");
        let bound = EXCHANGE / 4 + TIMEOUT + EXCHANGE + SLACK;
        assert!(waited < bound, "{refusal:?}: {waited:?}");
    }
}
