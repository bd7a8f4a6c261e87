//! Many caches, for a service with many tenants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    Clock, Error, Policy, TokenCache, TokenEndpoint, TokenId, clock::Moment, endpoint::built, store::SharedStore,
};

/// A bounded set of [`TokenCache`]s, one for each [`TokenId`]. A clone is a further handle on the same set.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use access_tokens::{TokenCaches, onence};
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
///
/// let caches = TokenCaches::new();
/// for _ in 0..10 {
///     // What is known of the tenant that the request at hand is for:
///     let credentials = onence::Credentials::new(username, password);
///     let settings = onence::Client::builder(credentials).base_url(&base_url);
///
///     let cache = caches.get_or_build(settings.token_id()?, || settings.build())?;
///     assert!(cache.token().await?.secret().len() > 1000);
/// }
/// # assert_eq!(sandbox.requests(access_tokens_sandbox::Endpoint::Onence), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct TokenCaches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: TokenCachesBuilder,
    caches: Mutex<Caches>,
}

#[derive(Debug)]
struct Caches {
    by_id: HashMap<TokenId, Entry>,
    /// When those nobody asked for are next looked for.
    sweep_at: Moment,
}

#[derive(Debug)]
struct Entry {
    cache: TokenCache,
    last_asked: Moment,
}

impl TokenCaches {
    /// A set of at most 1,000 caches with the default [`Policy`], each dropped when nobody asked for it for an hour.
    pub fn new() -> Self {
        Self::builder().start()
    }

    /// A set with settings.
    pub fn builder() -> TokenCachesBuilder {
        TokenCachesBuilder {
            limit: 1000,
            idle: Duration::from_secs(60 * 60),
            policy: Policy::new(),
            clock: Clock::system(),
            store: None,
        }
    }

    /// The cache for `id`; if there is none, one of the endpoint that `build` makes.
    ///
    /// Where the set is full, the cache goes that was not asked for the longest. One that goes lives on with those who hold
    /// a handle on it.
    ///
    /// # Errors
    /// Those of `build`, and of [`TokenCacheBuilder::build`](crate::TokenCacheBuilder::build) for its endpoint; the set is then
    /// as it was.
    pub fn get_or_build<E: TokenEndpoint + 'static>(
        &self,
        id: TokenId,
        build: impl FnOnce() -> Result<E, Error>,
    ) -> Result<TokenCache, Error> {
        let settings = &self.0.settings;
        let now = settings.clock.now();
        // What goes may end a flight or drop an endpoint that isn't ours: after the lock is released.
        let mut dropped = Vec::new();
        {
            let mut caches = self.lock();
            let found = caches.by_id.get_mut(&id).map(|entry| {
                entry.last_asked = now;
                entry.cache.clone()
            });
            dropped.extend(caches.sweep(now, settings.idle));
            if let Some(cache) = found {
                return Ok(cache);
            }
        }
        // Building takes milliseconds, and runs code that isn't ours: not under the lock.
        let mut builder =
            TokenCache::builder(built(build)?).policy(settings.policy.clone()).clock(settings.clock.clone());
        if let Some(store) = &settings.store {
            builder = builder.store(store.clone());
        }
        let built = builder.build()?;
        let mut caches = self.lock();
        // Of two that were built at once the first counts, so that there is one cache for an id.
        let entry = caches.by_id.entry(id).or_insert_with(|| Entry { cache: built.clone(), last_asked: now });
        let cache = entry.cache.clone();
        while caches.by_id.len() > settings.limit {
            dropped.extend(caches.take_oldest());
        }
        drop(caches);
        Ok(cache)
    }

    /// Drops the cache for `id`, as when a tenant leaves. Returns whether there was one.
    pub fn remove(&self, id: &TokenId) -> bool {
        let removed = self.lock().by_id.remove(id);
        removed.is_some()
    }

    /// How many caches there are.
    pub fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Caches> {
        self.0.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TokenCaches {
    fn default() -> Self {
        Self::new()
    }
}

impl Caches {
    /// Takes out what nobody asked for in the last `idle`, a few times in that span.
    fn sweep(&mut self, now: Moment, idle: Duration) -> Vec<Entry> {
        if !now.reached(self.sweep_at) {
            return Vec::new();
        }
        self.sweep_at = now.plus(idle / 8);
        self.by_id.extract_if(|_, entry| now.since(entry.last_asked) >= idle).map(|(_, entry)| entry).collect()
    }

    fn take_oldest(&mut self) -> Option<Entry> {
        let oldest = self.by_id.iter().min_by_key(|(_, entry)| entry.last_asked).map(|(id, _)| id.clone())?;
        self.by_id.remove(&oldest)
    }
}

/// Settings of [`TokenCaches`].
#[derive(Debug, Clone)]
pub struct TokenCachesBuilder {
    limit: usize,
    idle: Duration,
    policy: Policy,
    clock: Clock,
    store: Option<SharedStore>,
}

impl TokenCachesBuilder {
    /// How many caches there are at most; 1,000 if not set.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// How long a cache stays that nobody asks for; an hour if not set. It goes when the set is next asked for another, an
    /// eighth of that time late at most.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// The policy of each cache.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Where to read the time; [`Clock::system`] if not set.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Through which each cache shares its tokens with other instances. Not shared if not set.
    #[must_use]
    pub fn store(self, store: SharedStore) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The set, without a cache yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a limit of none, and as [`Policy::check`].
    pub fn build(self) -> Result<TokenCaches, Error> {
        self.policy.check()?;
        if self.limit == 0 {
            return Err(Error::configuration("the limit of a set of caches must be 1 or more"));
        }
        Ok(self.start())
    }

    fn start(self) -> TokenCaches {
        let caches = Caches { by_id: HashMap::new(), sweep_at: Moment::PAST };
        TokenCaches(Arc::new(Shared { settings: self, caches: Mutex::new(caches) }))
    }
}
