//! What instances that fail, are slow, or are wrong do to the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use access_tokens::{
    Clock, Error, ErrorKind, Policy, TokenCache,
    store::{SharedStore, StoreAnswer, Stored, Swap, TokenStore},
    testing::{MemoryStore, ScriptedEndpoint},
};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use crate::{
    LATENCY, LIFETIME, drive, fleet, instance, keys, no_jitter, server, sum,
    support::{
        Tokens,
        store::{Fault, Faulty},
    },
    token,
};

const SECOND: Duration = Duration::from_secs(1);

fn failing(error: &Error) -> ScriptedEndpoint {
    (0..3000).fold(ScriptedEndpoint::new(), |endpoint, _| endpoint.then(error.clone()))
}

#[tokio::test(start_paused = true)]
async fn who_comes_just_after_a_failure_gets_its_error() {
    let named = || Error::new(ErrorKind::Throttled, "busy").with_status(503).with_retry_after(60 * SECOND);
    let limited = || Error::new(ErrorKind::Throttled, "limited").with_status(429).with_retry_after(60 * SECOND);
    // The error, and from when on another instance may ask.
    let cases = [
        (named(), 60 * SECOND, 60 * SECOND),
        (limited(), SECOND / 4, SECOND),
        (Error::new(ErrorKind::Unavailable, "fails").with_status(500), SECOND / 4, 5 * SECOND / 2),
        (Error::new(ErrorKind::Request, "forbidden").with_status(403), SECOND / 4, SECOND),
        (Error::new(ErrorKind::Unavailable, "no route"), SECOND / 4, SECOND),
        (Error::new(ErrorKind::Contract, "html"), SECOND / 4, SECOND),
        // Nothing was sent.
        (Error::new(ErrorKind::Configuration, "no key"), Duration::ZERO, Duration::ZERO),
    ];
    for (error, first, longest) in cases {
        let (memory, endpoint) = (MemoryStore::new(), failing(&error));
        let begun = Instant::now();
        let mut asked = Vec::new();
        for n in 0..2000 {
            let told = instance(endpoint.clone(), memory.clone()).token().await.unwrap_err();
            assert_eq!((told.kind(), told.status()), (error.kind(), error.status()), "{error}, instance {n}");
            assert!(told.to_string().starts_with(&error.to_string()), "{told}");
            if endpoint.exchanges() > asked.len() as u64 {
                asked.push(begun.elapsed());
            } else {
                assert_ne!(told.to_string(), error.to_string(), "it says whose error it was");
            }
            sleep(SECOND / 50).await;
        }
        let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let at_most = longest + SECOND / 10;
        assert!(pauses.iter().all(|pause| *pause <= at_most && *pause >= first), "{error}: {pauses:?}");
        let expected = begun.elapsed().div_duration_f64(at_most).floor();
        assert!(asked.len() as f64 >= expected, "{error}: asked {} times, not {expected}", asked.len());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_always_fails_locks_nobody_out() {
    let forbidden = Error::new(ErrorKind::Credentials, "forbidden").with_status(403);
    let rejected = Error::new(ErrorKind::Unavailable, "fails").with_status(500);
    for (error, good) in [(&forbidden, 1), (&forbidden, 20), (&rejected, 1), (&rejected, 20)] {
        let memory = MemoryStore::new();
        let bad = instance(failing(error), memory.clone());
        bad.token().await.unwrap_err();
        let bad = tokio::spawn(async move {
            loop {
                let _ = bad.token().await;
                sleep(SECOND / 100).await;
            }
        });
        let works = (0..good).fold(ScriptedEndpoint::new(), |endpoint, _| endpoint.then_after(LATENCY, token("good")));
        let begun = Instant::now();
        let served = (0..good).map(|_| instance(works.clone(), memory.clone())).map(|cache| {
            tokio::spawn(async move {
                while cache.token().await.is_err() {
                    sleep(SECOND / 10).await;
                }
            })
        });
        for served in served.collect::<Vec<_>>() {
            served.await.unwrap();
        }
        bad.abort();
        assert!(begun.elapsed() < 20 * SECOND, "{good} others, {error}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_an_endpoint_that_is_away_are_told_without_queueing() {
    let away = Error::new(ErrorKind::Unavailable, "no route");
    let endpoint = (0..60).fold(ScriptedEndpoint::new(), |endpoint, _| endpoint.then_after(LATENCY, away.clone()));
    let memory = MemoryStore::new();
    let calls = (0..60).map(|_| instance(endpoint.clone(), memory.clone())).map(|cache| {
        tokio::spawn(async move {
            let begun = Instant::now();
            assert!(cache.token().await.is_err());
            begun.elapsed()
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let waited = call.await.unwrap();
        assert!(waited < LATENCY + SECOND / 4, "{waited:?}");
    }
    assert_eq!(endpoint.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_and_given_again_costs_each_who_starts_one_exchange_and_no_wait() {
    let (server, memory) = (server(Tokens::CachedRoundedUp, vec![]), MemoryStore::new());
    let (first, warm) = (instance(server.clone(), memory.clone()), fleet(10, &server, &memory));
    for cache in &warm {
        cache.token().await.unwrap();
    }
    let refused = first.token().await.unwrap().to_owned();
    first.invalidate(&refused);
    assert_eq!(first.token().await.unwrap().secret(), refused.secret());
    sleep(SECOND).await;
    let before = server.requests();
    let calls = fleet(100, &server, &memory).into_iter().map(|cache| {
        tokio::spawn(async move {
            let begun = Instant::now();
            cache.token().await.map(|_| begun.elapsed()).unwrap()
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let waited = call.await.unwrap();
        assert!(waited < LATENCY + SECOND / 10, "{waited:?}");
    }
    assert_eq!(server.requests(), before + 100);
    // Those who have it know that there is no other, and share the next.
    let drivers = drive(&warm, &server, LIFETIME * 2);
    assert_eq!(sum(drivers).await.1, 0);
    let since = server.requests() - before - 100;
    assert!(since <= 20, "{since} exchanges of 10 in two lifetimes");
}

#[tokio::test(start_paused = true)]
async fn what_is_invalidated_while_a_refresh_waits_for_another_is_handed_out_to_nobody() {
    let (server, memory) = (server(Tokens::CachedRoundedUp, vec![]), MemoryStore::new());
    let cache = || {
        let store = SharedStore::new(memory.clone(), keys());
        let policy = no_jitter().refresh_at(0.5);
        TokenCache::builder(server.clone()).policy(policy).clock(Clock::tokio()).store(store).build().unwrap()
    };
    let (one, other) = (cache(), cache());
    one.token().await.unwrap();
    other.token().await.unwrap();
    sleep(LIFETIME.mul_f64(0.6)).await;
    one.token().await.unwrap(); // asks for a successor
    yield_now().await;
    sleep(SECOND / 200).await;
    let held = other.token().await.unwrap().to_owned(); // waits for that
    sleep(SECOND / 100).await;
    assert!(other.invalidate(&held));
    other.token().await.unwrap();
    sleep(2 * SECOND).await;
    let before = server.requests();
    instance(server.clone(), memory.clone()).token().await.unwrap();
    assert_eq!(server.requests(), before + 1, "a third was given it by the store");
}

/// Does the first write, and never says so.
#[derive(Debug, Clone)]
struct LateOnce(MemoryStore, Arc<AtomicBool>);

impl TokenStore for LateOnce {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        self.0.get(name)
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            let done = self.0.compare_and_set(name, expected, value, ttl).await;
            if self.1.swap(false, Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            done
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_its_holder_does_not_know_of_is_released_all_the_same() {
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    instance(server.clone(), LateOnce(memory.clone(), Arc::new(AtomicBool::new(true)))).token().await.unwrap();
    sleep(SECOND / 20).await;
    let begun = Instant::now();
    instance(server.clone(), memory).token().await.unwrap();
    assert!(begun.elapsed() < SECOND / 10, "{:?}", begun.elapsed());
    assert_eq!(server.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_shut_down_while_it_waits_for_another_asks_nobody() {
    let memory = MemoryStore::new();
    let slow = instance(ScriptedEndpoint::new().then_after(60 * SECOND, token("slow")), memory.clone());
    let slow = tokio::spawn(async move { slow.token().await.map(|_| ()) });
    yield_now().await;
    let endpoint = ScriptedEndpoint::new().then(token("never"));
    let cache = instance(endpoint.clone(), memory);
    let call = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.map(|_| ()) }
    });
    sleep(SECOND / 2).await;
    let begun = Instant::now();
    cache.shutdown().await;
    assert!(begun.elapsed() < SECOND / 2, "{:?}", begun.elapsed());
    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(endpoint.exchanges(), 0);
    slow.abort();
}

#[tokio::test(start_paused = true)]
async fn the_longest_time_out_beside_the_shortest_exchange_gives_nobody_an_error() {
    let (server, faulty) = (server(Tokens::New, vec![]), Faulty::new(MemoryStore::new()));
    faulty.set(Fault::Frozen);
    let store = SharedStore::builder(faulty, keys()).timeout(2 * SECOND).build().unwrap();
    let policy = Policy::new().exchange_timeout(SECOND / 5);
    let cache = TokenCache::builder(server).policy(policy).clock(Clock::tokio()).store(store).build().unwrap();
    let calls = (0..100).map(|n| {
        let cache = cache.clone();
        tokio::spawn(async move {
            sleep(SECOND / 10 * n).await;
            cache.token().await.map(|_| ())
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
}

/// Its clock can be set.
#[derive(Debug, Clone, Default)]
struct Adrift(MemoryStore, Arc<AtomicI64>);

impl Adrift {
    fn shifted(&self, stored: Stored) -> Stored {
        let now = stored.now.as_millis() as i64 + 1_000_000_000 + self.1.load(Ordering::Relaxed);
        Stored { now: Duration::from_millis(now as u64), ..stored }
    }
}

impl TokenStore for Adrift {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move { self.0.get(name).await.map(|stored| self.shifted(stored)) })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        _: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            Ok(match self.0.compare_and_set(name, expected, value, LIFETIME * 100).await? {
                Swap::Done => Swap::Done,
                Swap::Changed(stored) => Swap::Changed(self.shifted(stored)),
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_clock_is_set_serves_no_expired_token() {
    for step in [-3_600_000, -60_000, 60_000, 3_600_000] {
        let (server, adrift) = (server(Tokens::New, vec![]), Adrift::default());
        let caches: Vec<_> = (0..20).map(|_| instance(server.clone(), adrift.clone())).collect();
        // It judges each token that is served.
        let drivers = drive(&caches, &server, LIFETIME * 4);
        sleep(LIFETIME / 3).await;
        adrift.1.store(step, Ordering::Relaxed);
        assert_eq!(sum(drivers).await.1, 0, "{step} ms");
        let requests = server.requests();
        assert!(requests <= 9, "{requests} exchanges in 4 lifetimes, {step} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_a_newer_token_does_not_believe_an_old_failure() {
    let adrift = Adrift::default();
    let busy = Error::new(ErrorKind::Throttled, "busy").with_status(503).with_retry_after(3600 * SECOND);
    instance(failing(&busy), adrift.clone()).token().await.unwrap_err();
    sleep(SECOND).await;
    // As if somebody had emptied the store, and puts back what was in it.
    let emptied = Adrift::default();
    let endpoint = ScriptedEndpoint::new().then(token("one")).then(token("two"));
    let cache = instance(endpoint.clone(), Either(emptied, adrift, Instant::now() + SECOND));
    assert_eq!(cache.token().await.unwrap().secret(), "one");
    sleep(LIFETIME.mul_f64(0.9)).await;
    cache.token().await.unwrap();
    sleep(SECOND).await;
    assert_eq!(cache.token().await.unwrap().secret(), "two");
}

/// The first until a time, and then the second.
#[derive(Debug)]
struct Either(Adrift, Adrift, Instant);

impl Either {
    fn now(&self) -> &Adrift {
        if Instant::now() < self.2 { &self.0 } else { &self.1 }
    }
}

impl TokenStore for Either {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        self.now().get(name)
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        self.now().compare_and_set(name, expected, value, ttl)
    }
}
