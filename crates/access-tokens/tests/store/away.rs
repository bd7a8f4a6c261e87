//! A store that is down, slow, frozen, flushed, full or mad: nobody who wants a token notices.

use std::time::Duration;

use access_tokens::{Clock, ErrorKind, TokenCache, store::SharedStore, testing::MemoryStore};
use tokio::time::{Instant, sleep};

use crate::{
    LATENCY, LIFETIME, drive, fleet, instance, keys, no_jitter, server, sum,
    support::{
        Server, Settings, Tokens,
        store::{Fault, Faulty},
    },
};

const BOUND: Duration = Duration::from_millis(250);

/// With these a store is away, and nobody waits for it any more.
const NOTICED: [Fault; 5] =
    [Fault::Down, Fault::Full, Fault::Frozen, Fault::Slow(Duration::from_millis(300)), Fault::Panics];

#[tokio::test(start_paused = true)]
async fn no_caller_gets_an_error_or_waits_longer_than_the_bound() {
    let faults = [
        Fault::Down,
        Fault::Full,
        Fault::Frozen,
        Fault::Slow(Duration::from_millis(200)),
        Fault::Slow(Duration::from_millis(300)),
        Fault::Panics,
        Fault::Flushed,
        Fault::Liar,
    ];
    for fault in faults {
        let (server, faulty) = (server(Tokens::New, vec![]), Faulty::new(MemoryStore::new()));
        faulty.set(fault);
        // Cold, and later when the token has ended.
        let store = SharedStore::new(faulty, keys());
        let cache = TokenCache::builder(server.clone()).policy(no_jitter()).clock(Clock::tokio()).store(store).build();
        let cache = cache.unwrap();
        for round in 0..3 {
            let begun = Instant::now();
            let token = cache.token().await.unwrap().to_owned();
            let waited = begun.elapsed();
            let noticed = round > 0 && NOTICED.contains(&fault);
            let bound = if noticed { LATENCY } else { BOUND + LATENCY };
            assert!(waited <= bound + Duration::from_millis(2), "{fault:?}, round {round}: {waited:?}");
            assert!(!server.is_expired(token.secret()));
            sleep(LIFETIME).await;
        }
        assert_eq!(server.requests(), 3, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_under_load_is_in_use_again_within_five_seconds() {
    for fault in [Fault::Down, Fault::Full, Fault::Frozen, Fault::Slow(Duration::from_secs(1)), Fault::Panics] {
        let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
        let stores: Vec<_> = (0..20).map(|_| Faulty::new(memory.clone())).collect();
        let shared: Vec<_> = stores.iter().map(|store| SharedStore::new(store.clone(), keys())).collect();
        let cache = |store: &SharedStore| {
            TokenCache::builder(server.clone()).clock(Clock::tokio()).store(store.clone()).build().unwrap()
        };
        let caches: Vec<_> = shared.iter().map(cache).collect();
        let drivers = drive(&caches, &server, LIFETIME * 5);
        sleep(LIFETIME / 2).await;
        assert_eq!(server.requests(), 1);
        stores.iter().for_each(|store| store.set(fault));
        sleep(LIFETIME * 2).await;
        assert!(shared.iter().all(|store| !store.is_available()), "{fault:?} wasn't noticed");
        // Each for itself.
        let alone = server.requests();
        assert!((40..=70).contains(&alone), "{alone} exchanges of 20 instances in two lifetimes without a store");
        stores.iter().for_each(|store| store.set(Fault::None));
        sleep(Duration::from_secs(5)).await;
        assert!(shared.iter().all(SharedStore::is_available), "{fault:?} wasn't seen to be over");
        // Each takes the first newer one that any of them stores.
        sleep(LIFETIME).await;
        let together = server.requests();
        sleep(LIFETIME).await;
        let last = server.requests() - together;
        assert!(last <= 2, "{last} exchanges in a lifetime with the store, after {fault:?}");
        assert_eq!(sum(drivers).await.1, 0, "{fault:?}");
    }
}

/// Who waits for another's exchange when its outcome can't be stored any more makes its own, soon after that.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_exchange_whose_outcome_can_not_be_stored() {
    let exchange = Duration::from_secs(1);
    for fault in [Fault::Full, Fault::Down, Fault::Frozen, Fault::Panics] {
        for part in [0.05, 0.5, 0.95] {
            let latencies = vec![exchange];
            let settings =
                Settings { lifetime: LIFETIME, tokens: Tokens::New, tells_lifetime: true, latencies, outages: vec![] };
            let (server, faulty) = (Server::start(settings), Faulty::new(MemoryStore::new()));
            let begun = Instant::now();
            let calls = (0..10).map(|_| instance(server.clone(), faulty.clone())).map(|cache| {
                tokio::spawn(async move {
                    cache.token().await.unwrap();
                    begun.elapsed()
                })
            });
            let calls: Vec<_> = calls.collect();
            sleep(exchange.mul_f64(part)).await;
            assert_eq!(server.requests(), 1, "the others wait");
            let refuses = begun.elapsed();
            faulty.set(fault);
            // Until they look again, and for one that doesn't answer then.
            let notice = if fault == Fault::Frozen { 2 * BOUND } else { BOUND };
            for call in calls {
                let waited = call.await.unwrap();
                let bound = refuses + notice + exchange + Duration::from_millis(5);
                assert!(waited <= bound, "{fault:?} after {refuses:?}: {waited:?}");
            }
            assert_eq!(server.requests(), 10, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_costs_one_exchange() {
    let (server, memory) = (server(Tokens::New, vec![]), MemoryStore::new());
    let caches = fleet(20, &server, &memory);
    let drivers = drive(&caches, &server, LIFETIME * 3);
    sleep(LIFETIME / 3).await;
    memory.clear();
    assert_eq!(sum(drivers).await.1, 0);
    assert!(server.requests() <= 5, "{}", server.requests());
}

#[tokio::test]
async fn a_check_says_what_is_wrong() {
    let cases = [
        (Fault::Down, ErrorKind::Unavailable, "no connection"),
        (Fault::Full, ErrorKind::Unavailable, "no memory"),
        (Fault::Frozen, ErrorKind::Unavailable, "the store didn't answer within 250ms"),
        (Fault::Panics, ErrorKind::Contract, "the store panicked"),
        (Fault::Flushed, ErrorKind::Contract, "the store doesn't keep what is put into it"),
        (Fault::Liar, ErrorKind::Contract, "the store doesn't keep what is put into it"),
    ];
    for (fault, kind, message) in cases {
        let faulty = Faulty::new(MemoryStore::new());
        let store = SharedStore::new(faulty.clone(), keys());
        assert!(store.check().await.is_ok());
        faulty.set(fault);
        let error = store.check().await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message), "{fault:?}");
    }
}
