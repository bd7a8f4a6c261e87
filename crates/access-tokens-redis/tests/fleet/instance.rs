//! One instance of a service, and the provider that all of them ask.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access_tokens::{
    TokenCache, onence,
    store::{KeyRing, SharedStore},
    worldline,
};
use access_tokens_redis::RedisStore;
use access_tokens_sandbox::{Endpoint, Fault, Onence, Sandbox, Worldline};
use tokio::{sync::Mutex, task::AbortHandle, time::sleep};

use crate::support::RedisServer;

pub(crate) const NAME_KEY: [u8; 32] = *b"the key that hashes the names...";
pub(crate) const KEY: [u8; 32] = *b"the key that seals the values...";

/// Few tests at a time have so many callers that they would be in each other's way.
pub(crate) static CROWD: Mutex<()> = Mutex::const_new(());

pub(crate) fn ring(keys: &[[u8; 32]]) -> KeyRing {
    KeyRing::new(&NAME_KEY, keys).unwrap()
}

/// A store with so much time that a busy machine isn't taken for an outage; for tests that count.
pub(crate) fn patient(redis: &str, keys: KeyRing) -> SharedStore {
    let store = RedisStore::builder([redis]).build().unwrap();
    SharedStore::builder(store, keys).timeout(Duration::from_secs(2)).build().unwrap()
}

/// A handle of a process' own.
pub(crate) fn handle(redis: &str) -> SharedStore {
    patient(redis, ring(&[KEY]))
}

/// A sandbox whose tokens live for so long.
pub(crate) async fn sandbox(lifetime: Duration) -> Arc<Sandbox> {
    let onence = Onence { lifetime, ..Onence::default() };
    let worldline = Worldline { lifetime, ..Worldline::default() };
    Arc::new(Sandbox::builder().onence(onence).worldline(worldline).start().await.unwrap())
}

/// Each exchange takes so long from now on.
pub(crate) fn slow(sandbox: &Sandbox, latency: Duration) {
    for endpoint in [Endpoint::Onence, Endpoint::Worldline] {
        sandbox.fault(endpoint, Fault::latency(latency).until_cleared()).unwrap();
    }
}

/// To the sandbox's 1NCE user. Clones have the connections in common; to build one takes this build some milliseconds.
pub(crate) fn client(sandbox: &Sandbox) -> Arc<onence::Client> {
    let Onence { username, password, .. } = sandbox.onence().clone();
    let client = onence::Client::builder(onence::Credentials::new(username, password));
    Arc::new(client.base_url(sandbox.onence_base_url()).build().unwrap())
}

pub(crate) fn cache(client: &Arc<onence::Client>, store: &SharedStore) -> TokenCache {
    TokenCache::builder(client.clone()).store(store.clone()).build().unwrap()
}

pub(crate) fn onence(sandbox: &Sandbox, store: &SharedStore) -> TokenCache {
    cache(&client(sandbox), store)
}

pub(crate) fn worldline(sandbox: &Sandbox, store: &SharedStore) -> TokenCache {
    let secret = worldline::ClientSecret::new("sandbox-client", "sandbox-secret");
    let realm = sandbox.worldline().realm.parse().unwrap();
    let client = worldline::Client::builder(sandbox.worldline_base_url(), realm, "VOP WERO".parse().unwrap(), secret)
        .build()
        .unwrap();
    TokenCache::builder(client).store(store.clone()).build().unwrap()
}

pub(crate) async fn secret(cache: &TokenCache) -> String {
    cache.token().await.unwrap().secret().to_owned()
}

/// The keys that the fleet has there.
pub(crate) fn keys(redis: &RedisServer) -> Vec<String> {
    redis.command(&["KEYS", "access-tokens:*"]).array().iter().map(crate::support::Reply::text).collect()
}

/// Waits up to 10 s.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} never comes");
        sleep(Duration::from_millis(5)).await;
    }
}

/// No token has a successor before so much of its life is over: 67.5 %, by the default policy. Who takes it from the store takes
/// it for older by as long as that takes to answer, and on a busy machine that isn't nothing beside a life of seconds.
pub(crate) const EARLIEST: f64 = 0.655;

/// Notes when each exchange began: between two looks, which a busy machine puts off.
pub(crate) struct Exchanges {
    began: Arc<std::sync::Mutex<Vec<(Instant, Instant)>>>,
    watch: AbortHandle,
}

impl Exchanges {
    pub(crate) fn of(sandbox: &Arc<Sandbox>, endpoint: Endpoint) -> Self {
        let began = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (noted, sandbox) = (began.clone(), sandbox.clone());
        let watch = tokio::spawn(async move {
            let mut last = Instant::now();
            loop {
                let looked = Instant::now();
                let made = usize::try_from(sandbox.requests(endpoint)).unwrap();
                noted.lock().unwrap().resize(made, (last, Instant::now()));
                last = looked;
                sleep(Duration::from_millis(5)).await;
            }
        });
        Self { began, watch: watch.abort_handle() }
    }

    pub(crate) fn began(&self) -> Vec<Instant> {
        self.began.lock().unwrap().iter().map(|(_, latest)| *latest).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.began().len()
    }

    /// The spans between them, as long as they can have been, as parts of a lifetime, from `since` on.
    pub(crate) fn gaps(&self, since: Instant, lifetime: Duration) -> Vec<f64> {
        let began = self.began.lock().unwrap().clone();
        let began: Vec<_> = began.into_iter().filter(|(_, latest)| *latest >= since).collect();
        let span = |pair: &[(Instant, Instant)]| pair[1].1 - pair[0].0;
        began.windows(2).map(|pair| span(pair).as_secs_f64() / lifetime.as_secs_f64()).collect()
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
