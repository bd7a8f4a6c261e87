//! Credentials that a provider rejects: a fleet asks with them as rarely as one instance, and nobody is in another's way.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use access_tokens::{
    AccessToken, Clock, Error, ErrorKind, Exchange, RotatingEndpoint, TokenCache, TokenEndpoint, TokenId, onence,
    store::SharedStore,
    testing::{MemoryStore, ScriptedEndpoint},
};
use access_tokens_sandbox::Sandbox;
use tokio::time::{Instant, sleep};

use crate::{LATENCY, LIFETIME, instance, keys};

/// With the provider's own code, and without one.
fn rejections() -> [Error; 2] {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let coded = runtime.block_on(async {
        let sandbox = Sandbox::start().await.unwrap();
        let credentials = onence::Credentials::new("sandbox@1nce.example", "not the password");
        let client = onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap();
        client.exchange().await.unwrap_err()
    });
    assert!(coded.code().is_some());
    [coded, Error::new(ErrorKind::Credentials, "401").with_status(401)]
}

fn in_paused_time(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
}

fn rejecting(rejection: &Error) -> ScriptedEndpoint {
    (0..5000).map(|_| rejection.clone()).fold(ScriptedEndpoint::new(), ScriptedEndpoint::then)
}

#[test]
fn a_fleet_asks_as_rarely_as_one_whatever_the_rejection_says() {
    for rejection in rejections() {
        in_paused_time(async {
            let (script, memory) = (rejecting(&rejection), MemoryStore::new());
            let caches: Vec<_> = (0..50).map(|_| instance(script.clone(), memory.clone())).collect();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(600) {
                for cache in &caches {
                    cache.token().await.unwrap_err();
                }
                sleep(Duration::from_millis(100)).await;
            }
            let requests = script.exchanges();
            assert!((10..25).contains(&requests), "{requests} in ten minutes: {rejection:?}");
        });
    }
}

#[test]
fn processes_that_are_new_each_time_slow_down_too() {
    for rejection in rejections() {
        for every in [1, 5, 20] {
            in_paused_time(async {
                let (script, memory) = (rejecting(&rejection), MemoryStore::new());
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(3600) {
                    let cache = instance(script.clone(), memory.clone());
                    cache.token().await.unwrap_err();
                    cache.shutdown().await;
                    sleep(Duration::from_secs(every)).await;
                }
                let requests = script.exchanges();
                assert!((55..80).contains(&requests), "one each {every} s: {requests} in an hour");
            });
        }
    }
}

#[test]
fn a_time_that_came_with_a_rejection_counts_for_that_one_alone() {
    let [rejection, _] = rejections();
    in_paused_time(async {
        let named = rejection.clone().with_retry_after(Duration::from_secs(600));
        let script =
            (0..100).map(|_| rejection.clone()).fold(ScriptedEndpoint::new().then(named), ScriptedEndpoint::then);
        let memory = MemoryStore::new();
        let caches: Vec<_> = (0..5).map(|_| instance(script.clone(), memory.clone())).collect();
        let (begun, mut at) = (Instant::now(), Vec::new());
        while begun.elapsed() < Duration::from_secs(1800) {
            for cache in &caches {
                cache.token().await.unwrap_err();
                if script.exchanges() > at.len() as u64 {
                    at.push(begun.elapsed());
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
        let gaps: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert!(gaps[0] >= 600 && gaps.len() > 10 && gaps[1..].iter().all(|gap| *gap < 70), "{gaps:?}");
    });
}

/// Takes one credential.
#[derive(Debug, Clone)]
struct Client {
    credential: &'static str,
    rejection: Error,
}

impl TokenEndpoint for Client {
    fn provider(&self) -> &str {
        "example"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            sleep(LATENCY).await;
            match self.credential {
                "old" => Ok(AccessToken::new("of-the-old-one")?.with_expires_in(LIFETIME)),
                _ => Err(self.rejection.clone()),
            }
        })
    }

    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("example", "", "", self.credential.as_bytes()))
    }
}

/// Of a deployment that is ahead of its provider: who was there before has a credential that works, who has just started hasn't.
#[test]
fn a_fallback_that_works_is_used_whatever_others_are_told() {
    for rejection in rejections() {
        in_paused_time(async {
            let memory = MemoryStore::new();
            let written = Arc::new(Mutex::new("old"));
            let (credential, error) = (written.clone(), rejection.clone());
            let build = move || Ok(Client { credential: *credential.lock().unwrap(), rejection: error.clone() });
            let endpoint = RotatingEndpoint::new(build).unwrap();
            let before = instance(endpoint.clone(), memory.clone());
            before.token().await.unwrap();
            *written.lock().unwrap() = "new";
            endpoint.reload().unwrap();
            let new = Client { credential: "new", rejection: rejection.clone() };
            let after: Vec<_> = (0..10).map(|_| instance(new.clone(), memory.clone())).collect();
            let begun = Instant::now();
            while begun.elapsed() < LIFETIME * 6 {
                for cache in &after {
                    cache.token().await.unwrap_err();
                }
                before.token().await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        });
    }
}

/// Who waits looks ever more rarely, and a store with a short time-out is looked at often.
#[tokio::test(start_paused = true)]
async fn another_instances_exchange_is_waited_for_however_short_the_time_out_of_the_store_is() {
    #[derive(Debug, Clone, Default)]
    struct Slow(Arc<Mutex<u32>>);
    impl TokenEndpoint for Slow {
        fn provider(&self) -> &str {
            "slow"
        }
        fn exchange(&self) -> Exchange<'_> {
            Box::pin(async {
                *self.0.lock().unwrap() += 1;
                sleep(Duration::from_millis(4500)).await;
                Ok(AccessToken::new("slow")?.with_expires_in(LIFETIME))
            })
        }
        fn token_id(&self) -> Option<TokenId> {
            Some(TokenId::new("slow", "", "", b""))
        }
    }
    for timeout in [10, 25, 50, 250].map(Duration::from_millis) {
        let (memory, endpoint) = (MemoryStore::new(), Slow::default());
        let one = || {
            let store = SharedStore::builder(memory.clone(), keys()).timeout(timeout).build().unwrap();
            TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).store(store).build().unwrap()
        };
        let (holder, waiting) = (one(), one());
        let first = tokio::spawn(async move { holder.token().await.map(|_| ()) });
        sleep(Duration::from_millis(20)).await;
        waiting.token().await.unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(*endpoint.0.lock().unwrap(), 1, "{timeout:?}");
    }
}
