//! What a fleet sees of a token that it shares: every instance a cache of its own, with a store handle of its own, in tokio's
//! paused time.

#![cfg(test)]

mod away;
mod others;
mod panics;
mod rejected;
mod rotated;
mod sealed;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use access_tokens::{
    AccessToken, Clock, ErrorKind, Policy, TokenCache, TokenCaches, TokenEndpoint, TokenId, blocking, onence,
    store::{KeyRing, SharedStore, TokenStore},
    testing::{FixedEndpoint, MemoryStore, ScriptedEndpoint},
};
use access_tokens_sandbox::Sandbox;
use support::{
    Outage, Server, Settings, Tokens,
    store::{Fault, Faulty},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};

const LIFETIME: Duration = Duration::from_secs(600);
const LATENCY: Duration = Duration::from_millis(100);

fn keys() -> KeyRing {
    KeyRing::new(&[1; 32], [[2; 32]]).unwrap()
}

fn server(tokens: Tokens, outages: Vec<Outage>) -> Server {
    Server::start(Settings { lifetime: LIFETIME, tokens, tells_lifetime: true, latencies: vec![LATENCY], outages })
}

/// One of them.
fn instance(endpoint: impl TokenEndpoint + 'static, store: impl TokenStore + 'static) -> TokenCache {
    let store = SharedStore::new(store, keys());
    TokenCache::builder(endpoint).clock(Clock::tokio()).store(store).build().unwrap()
}

fn fleet(size: usize, server: &Server, store: &MemoryStore) -> Vec<TokenCache> {
    (0..size).map(|_| instance(server.clone(), store.clone())).collect()
}

/// Each calls every two seconds. Gives how many calls there were, and how many brought an error.
fn drive(fleet: &[TokenCache], server: &Server, span: Duration) -> Vec<JoinHandle<(u32, u32)>> {
    let drive = |cache: &TokenCache| {
        let (cache, server, end) = (cache.clone(), server.clone(), Instant::now() + span);
        tokio::spawn(async move {
            let (mut calls, mut errors) = (0, 0);
            while Instant::now() < end {
                calls += 1;
                match cache.token().await {
                    Ok(token) => assert!(!server.is_expired(token.secret()), "an expired token was served"),
                    Err(_) => errors += 1,
                }
                sleep(Duration::from_secs(2)).await;
            }
            (calls, errors)
        })
    };
    fleet.iter().map(drive).collect()
}

async fn sum(drivers: Vec<JoinHandle<(u32, u32)>>) -> (u32, u32) {
    let mut sum = (0, 0);
    for driver in drivers {
        let (calls, errors) = driver.await.unwrap();
        sum = (sum.0 + calls, sum.1 + errors);
    }
    sum
}

#[tokio::test(start_paused = true)]
async fn all_that_start_at_once_share_one_exchange() {
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    let begun = Instant::now();
    let calls = fleet(50, &server, &memory)
        .into_iter()
        .map(|cache| tokio::spawn(async move { cache.token().await.map(|token| token.secret().to_owned()).unwrap() }));
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), "token-1");
    }
    assert_eq!(server.requests(), 1);
    // As long as the exchange, and until those who wait look again.
    assert!(begun.elapsed() < LATENCY + Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn each_token_of_a_fleet_has_one_successor() {
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    let caches = fleet(50, &server, &memory);
    let (_, errors) = sum(drive(&caches, &server, LIFETIME * 12)).await;
    assert_eq!(errors, 0);
    let began: Vec<_> = server.state().exchanges.iter().map(|exchange| exchange.began).collect();
    for pair in began.windows(2) {
        // The earliest of the fifty is the first that is due, between 0.675 and 0.8 of the life.
        let gap = (pair[1] - pair[0]).as_secs_f64() / LIFETIME.as_secs_f64();
        assert!((0.674..0.81).contains(&gap), "the next exchange came after {gap} of a life");
    }
    assert!((15..=18).contains(&began.len()), "{} exchanges in 12 lifetimes", began.len());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_server_keeps_is_asked_for_once_before_its_end() {
    for tokens in [Tokens::CachedRoundedUp, Tokens::CachedRoundedDown] {
        let (server, memory) = (server(tokens, vec![]), MemoryStore::new());
        let caches = fleet(50, &server, &memory);
        let (_, errors) = sum(drive(&caches, &server, LIFETIME * 5)).await;
        assert_eq!(errors, 0, "{tokens:?}");
        // The first, one at its refresh, and one or a few at its end.
        let requests = server.requests();
        assert!((10..=30).contains(&requests), "{requests} exchanges for 5 tokens, {tokens:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_is_replaced_when_its_lease_ends() {
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    let holder = instance(server.clone(), memory.clone());
    let call = tokio::spawn(async move { holder.token().await.map(|_| ()) });
    sleep(LATENCY / 2).await;
    assert_eq!(server.requests(), 1);
    call.abort(); // with the last handle, which ends the flight
    let begun = Instant::now();
    let calls = fleet(10, &server, &memory)
        .into_iter()
        .map(|cache| tokio::spawn(async move { cache.token().await.map(|_| ()) }));
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.requests(), 2);
    let waited = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_slow_gets_company_and_the_newer_token_stays() {
    let slow = ScriptedEndpoint::new().then_after(Duration::from_secs(8), token("slow"));
    let (fast, memory) = (ScriptedEndpoint::new().then(token("fast")), MemoryStore::new());
    let (first, second) = (instance(slow, memory.clone()), instance(fast, memory.clone()));
    let first = tokio::spawn(async move { first.token().await.map(|token| token.secret().to_owned()) });
    yield_now().await;
    assert_eq!(second.token().await.unwrap().secret(), "fast");
    assert_eq!(first.await.unwrap().unwrap(), "slow");
    sleep(Duration::from_secs(1)).await;
    // The slow one was asked for before.
    let third = instance(ScriptedEndpoint::new(), memory);
    assert_eq!(third.token().await.unwrap().secret(), "fast");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_token_travels_with_it() {
    let memory = MemoryStore::new();
    let granted = token("travels").with_scopes("VOP WERO".parse().unwrap());
    let granted = granted.with_missing_scopes("PAY".parse().unwrap()).with_user_id("4711");
    let endpoint = ScriptedEndpoint::new().then_after(Duration::from_secs(3), granted);
    let first = instance(endpoint, memory.clone());
    let left = first.token().await.unwrap().remaining().unwrap();
    sleep(Duration::from_secs(60)).await;
    let taken = instance(ScriptedEndpoint::new(), memory).token().await.unwrap().to_owned();
    assert_eq!(taken.secret(), "travels");
    assert_eq!(taken.scopes().to_string(), "VOP WERO");
    assert_eq!(taken.missing_scopes().to_string(), "PAY");
    assert_eq!(taken.user_id(), Some("4711"));
    assert_eq!(taken.expires_in(), Some(LIFETIME));
    let aged = left - taken.remaining().unwrap();
    assert!(aged.abs_diff(Duration::from_secs(60)) < Duration::from_millis(50), "{aged:?}");
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_token_is_handed_out_to_nobody() {
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    let caches = fleet(10, &server, &memory);
    let mut tokens = Vec::new();
    for cache in &caches {
        tokens.push(cache.token().await.unwrap().to_owned());
    }
    // All ten are told by the resource at once.
    for (cache, token) in caches.iter().zip(&tokens) {
        assert!(cache.invalidate(token));
    }
    let calls: Vec<_> = caches
        .into_iter()
        .map(|cache| tokio::spawn(async move { cache.token().await.map(|token| token.secret().to_owned()) }))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "token-2");
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_token_that_the_server_gives_again_is_not_stored() {
    let (server, memory) = (server(Tokens::CachedRoundedUp, vec![]), MemoryStore::new());
    let first = instance(server.clone(), memory.clone());
    let refused = first.token().await.unwrap().to_owned();
    first.invalidate(&refused);
    assert_eq!(first.token().await.unwrap().secret(), refused.secret());
    assert_eq!(server.requests(), 2);
    // Who starts now asks for himself.
    instance(server.clone(), memory).token().await.unwrap();
    assert_eq!(server.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_met_by_one_request_at_a_time_and_ends_for_all() {
    let outage = |status| Outage {
        from: Duration::ZERO,
        to: Duration::from_secs(120),
        kind: ErrorKind::Unavailable,
        retry_after: None,
        status,
    };
    for (status, most) in [(Some(502), 80), (None, 160)] {
        let (server, memory) = (server(Tokens::New, vec![outage(status)]), MemoryStore::new());
        let caches = fleet(50, &server, &memory);
        let drivers = drive(&caches, &server, Duration::from_secs(140));
        sleep(Duration::from_secs(120)).await;
        let during = server.requests();
        assert!((10..=most).contains(&during), "{during} requests in an outage of 120 s, {status:?}");
        sum(drivers).await;
        assert_eq!(server.state().most_at_once, 1, "{status:?}");
        for cache in &caches {
            assert!(cache.token().await.is_ok());
        }
        let since = server.requests() - during;
        assert!(since <= 2, "{since} requests after it");
    }
}

/// A fleet whose credential is rejected asks no more often than one instance would, and is served once somebody puts it right.
#[test]
fn a_rejected_credential_of_a_fleet_is_tried_as_often_as_that_of_one_instance() {
    // With the provider's code, which only a provider's client reads.
    let rejection = Runtime::new().unwrap().block_on(async {
        let sandbox = Sandbox::start().await.unwrap();
        let credentials = onence::Credentials::new("sandbox@1nce.example", "not the password");
        let client = onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap();
        client.exchange().await.unwrap_err()
    });
    assert_eq!((rejection.kind(), rejection.code()), (ErrorKind::Credentials, Some("BadCredentials")));

    let paused = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        for size in [1, 50] {
            fastrand::seed(1);
            let (minute, latency) = (Duration::from_secs(60), Duration::from_millis(50));
            let script = (0..1000).map(|_| rejection.clone()).fold(ScriptedEndpoint::new(), ScriptedEndpoint::then);
            let memory = MemoryStore::new();
            let begun = Instant::now();
            let caches: Vec<_> = (0..size).map(|_| instance(script.clone(), memory.clone())).collect();
            let mut asked = Vec::new();
            while begun.elapsed() < 60 * minute {
                for cache in &caches {
                    cache.token().await.unwrap_err();
                    if script.exchanges() > asked.len() as u64 {
                        asked.push(begun.elapsed());
                    }
                }
                sleep(latency).await;
            }
            // It grows from half a second to a minute.
            let pauses: Vec<_> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
            assert!(asked.len() as u64 == script.exchanges(), "{size} instances: several at once");
            assert!((60..=130).contains(&asked.len()), "{size} instances: {} requests in an hour", asked.len());
            assert!(pauses.iter().skip(10).all(|pause| (30.0..66.0).contains(pause)), "{size} instances: {pauses:.1?}");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn another_credential_is_another_token() {
    let memory = MemoryStore::new();
    let of = |secret: &str| instance(FixedEndpoint::new(secret).unwrap().with_expires_in(LIFETIME), memory.clone());
    assert_eq!(of("one").token().await.unwrap().secret(), "one");
    assert_eq!(of("two").token().await.unwrap().secret(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_comes_in_without_a_gap() {
    let ring = |keys: &[[u8; 32]]| KeyRing::new(&[1; 32], keys).unwrap();
    let (old, new) = ([2; 32], [3; 32]);
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    let stores: Vec<_> = (0..20).map(|_| SharedStore::new(memory.clone(), ring(&[old]))).collect();
    let cache = |store: &SharedStore| {
        TokenCache::builder(server.clone()).clock(Clock::tokio()).store(store.clone()).build().unwrap()
    };
    let caches: Vec<_> = stores.iter().map(cache).collect();
    let drivers = drive(&caches, &server, LIFETIME * 10);
    for step in [ring(&[old, new]), ring(&[new, old]), ring(&[new])] {
        // One instance after the other, over longer than a life of a token.
        for store in &stores {
            sleep(LIFETIME / 10).await;
            store.set_keys(step.clone());
        }
    }
    assert_eq!(sum(drivers).await.1, 0);
    let requests = server.requests();
    assert!((12..=15).contains(&requests), "{requests} exchanges in 10 lifetimes");
    let started = TokenCache::builder(server.clone()).clock(Clock::tokio());
    let started = started.store(SharedStore::new(memory, ring(&[new]))).build().unwrap();
    started.token().await.unwrap();
    assert_eq!(server.requests(), requests, "the token was lost");
}

#[test]
fn a_token_is_shared_before_a_cache_that_is_shut_down_is_gone() {
    let memory = MemoryStore::new();
    let endpoint = FixedEndpoint::new("shared").unwrap().with_expires_in(LIFETIME);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // As a short program does it: with the runtime goes what is under way.
    runtime().block_on(async {
        let slow = Faulty::new(memory.clone());
        slow.set(Fault::Slow(Duration::from_millis(50)));
        let cache = instance(endpoint.clone(), slow);
        cache.token().await.unwrap();
        cache.shutdown().await;
    });
    runtime().block_on(async { instance(endpoint.clone(), memory).token().await.map(|_| ()) }).unwrap();
    assert_eq!(endpoint.exchanges(), 1);
}

#[test]
fn caches_of_all_kinds_share() {
    let memory = MemoryStore::new();
    let store = || SharedStore::new(memory.clone(), keys());
    let endpoint = FixedEndpoint::new("shared").unwrap().with_expires_in(LIFETIME);
    let blocking: blocking::TokenCache = TokenCache::builder(endpoint.clone()).store(store()).build_blocking().unwrap();
    assert_eq!(blocking.token().unwrap().secret(), "shared");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // What the thread has to tell the store yet.
        sleep(Duration::from_millis(50)).await;
        let caches = TokenCaches::builder().store(store()).build().unwrap();
        let key = TokenId::new("fixed", "https://id.example", "client", b"secret");
        let cache = caches.get_or_build(key, || Ok(endpoint.clone())).unwrap();
        assert_eq!(cache.token().await.unwrap().secret(), "shared");
    });
    assert_eq!(endpoint.exchanges(), 1);
}

#[test]
fn what_can_not_be_shared_is_refused() {
    #[derive(Debug)]
    struct Nameless;
    impl TokenEndpoint for Nameless {
        fn provider(&self) -> &str {
            "nameless"
        }
        fn exchange(&self) -> access_tokens::Exchange<'_> {
            Box::pin(async { AccessToken::new("never") })
        }
    }
    let store = || SharedStore::new(MemoryStore::new(), keys());
    let caches = TokenCaches::builder().store(store()).build().unwrap();
    let key = TokenId::new("nameless", "https://id.example", "client", b"secret");
    let errors = [
        TokenCache::builder(Nameless).store(store()).build().unwrap_err(),
        TokenCache::builder(Nameless).store(store()).build_blocking().unwrap_err(),
        caches.get_or_build(key, || Ok(Nameless)).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(
            error.to_string(),
            "the tokens of nameless have no id to share them by; see TokenEndpoint::token_id"
        );
    }
    let outside = |timeout| SharedStore::builder(MemoryStore::new(), keys()).timeout(timeout).build();
    assert!(outside(Duration::from_millis(9)).is_err() && outside(Duration::from_millis(2001)).is_err());
    assert!(outside(Duration::from_millis(10)).is_ok() && outside(Duration::from_secs(2)).is_ok());
}

fn token(secret: &str) -> AccessToken {
    AccessToken::new(secret).unwrap().with_expires_in(LIFETIME)
}

fn no_jitter() -> Policy {
    Policy::new().jitter(0.0)
}
