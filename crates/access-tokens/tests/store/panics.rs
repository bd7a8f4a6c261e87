//! Neither a store's clock nor what users give us brings a panic to who asks for a token.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use access_tokens::{
    AccessToken, Error, ErrorKind, Exchange, Rotation, TokenCache, TokenCaches, TokenEndpoint, TokenId,
    store::{KeyRing, SharedStore, StoreAnswer, Stored, Swap, TokenStore},
    testing::{FixedEndpoint, MemoryStore, ScriptedEndpoint},
};
use tokio::time::sleep;

use crate::{LIFETIME, instance, keys, token};

/// Its clock shows this, whatever the time.
#[derive(Debug, Clone)]
struct Stopped(MemoryStore, Duration);

impl TokenStore for Stopped {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move { Ok(Stored { now: self.1, ..self.0.get(name).await? }) })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            Ok(match self.0.compare_and_set(name, expected, value, ttl).await? {
                Swap::Changed(stored) => Swap::Changed(Stored { now: self.1, ..stored }),
                Swap::Done => Swap::Done,
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_any_value_is_as_good_as_no_store_at_least() {
    let times = [
        Duration::ZERO,
        Duration::from_millis(1),
        Duration::from_millis(u64::MAX),
        Duration::from_secs(u64::MAX),
        Duration::MAX - Duration::from_secs(5),
        Duration::MAX,
    ];
    for now in times {
        let stopped = Stopped(MemoryStore::new(), now);
        SharedStore::new(stopped.clone(), keys()).check().await.unwrap();
        let tokens = ["one", "two", "three", "four", "five"].map(token);
        let endpoint = tokens.into_iter().fold(ScriptedEndpoint::new(), ScriptedEndpoint::then);
        let cache = instance(endpoint.clone(), stopped.clone());
        let refused = cache.token().await.unwrap().to_owned();
        assert_eq!(refused.secret(), "one", "{now:?}");
        cache.invalidate(&refused);
        cache.token().await.unwrap();
        sleep(Duration::from_secs(10)).await;
        assert_ne!(instance(endpoint.clone(), stopped.clone()).token().await.unwrap().secret(), "one", "{now:?}");
        sleep(LIFETIME).await;
        cache.token().await.unwrap();

        let fails = Error::new(ErrorKind::Unavailable, "fails").with_status(500);
        let stopped = Stopped(MemoryStore::new(), now);
        for _ in 0..2 {
            let error =
                instance(ScriptedEndpoint::new().then(fails.clone()), stopped.clone()).token().await.unwrap_err();
            assert_eq!(error.status(), Some(500), "{now:?}: {error}");
        }
    }
}

/// Panics when it is asked for its name, from then on.
#[derive(Debug, Clone)]
struct Unnameable(FixedEndpoint, Arc<AtomicBool>);

impl TokenEndpoint for Unnameable {
    fn provider(&self) -> &str {
        "unnameable"
    }

    fn exchange(&self) -> Exchange<'_> {
        self.0.exchange()
    }

    fn token_id(&self) -> Option<TokenId> {
        assert!(!self.1.load(Ordering::Relaxed), "planted");
        self.0.token_id()
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_panics_when_asked_for_its_name_is_refused_and_later_not_shared() {
    let panics = Arc::new(AtomicBool::new(true));
    let token = AccessToken::new("own").unwrap().with_expires_in(LIFETIME);
    let endpoint = Unnameable(FixedEndpoint::from(token), panics.clone());
    let builder = || TokenCache::builder(endpoint.clone()).store(SharedStore::new(MemoryStore::new(), keys()));
    for error in [builder().build().unwrap_err(), builder().build_blocking().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Contract);
        assert_eq!(error.to_string(), "the token endpoint panicked when asked for the id of its tokens");
    }
    panics.store(false, Ordering::Relaxed);
    let cache = builder().build().unwrap();
    panics.store(true, Ordering::Relaxed);
    assert_eq!(cache.token().await.unwrap().secret(), "own");
}

/// What of it panics.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Panics {
    Provider,
    Rotation,
    Exchange,
    ItsFuture,
}

impl TokenEndpoint for Panics {
    fn provider(&self) -> &str {
        assert_ne!(*self, Self::Provider);
        "example"
    }

    fn rotation(&self) -> Option<Rotation> {
        assert_ne!(*self, Self::Rotation);
        None
    }

    fn exchange(&self) -> Exchange<'_> {
        assert_ne!(*self, Self::Exchange);
        Box::pin(async move {
            assert_ne!(*self, Self::ItsFuture);
            AccessToken::new("token")
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_panics_is_an_error_and_a_cache_that_needs_not_ask_it_serves() {
    // With a builder, and without.
    for panics in [Panics::Provider, Panics::Rotation, Panics::Exchange, Panics::ItsFuture] {
        for cache in [TokenCache::builder(panics).build().unwrap(), TokenCache::new(panics)] {
            let outcome = cache.token().await.map(|token| token.secret().to_owned());
            match panics {
                Panics::Provider | Panics::Rotation => assert_eq!(outcome.unwrap(), "token"),
                Panics::Exchange | Panics::ItsFuture => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.to_string(), "the token endpoint of example panicked in an exchange");
                }
            }
        }
    }
    let caches = TokenCaches::new();
    let key = TokenId::new("example", "https://id.example", "client", b"secret");
    let build = || -> Result<Panics, Error> { panic!("planted") };
    let error = caches.get_or_build(key, build).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Configuration, "building a token endpoint panicked")
    );
}

#[test]
fn keys_whose_reading_panics_are_refused() {
    let store = SharedStore::new(MemoryStore::new(), keys());
    let read = || -> Result<KeyRing, Error> { panic!("planted") };
    let error = store.watch_keys(["nowhere"], read).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Configuration, "reading keys panicked"));
}
