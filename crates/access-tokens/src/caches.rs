//! Many caches, for a service with many tenants.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use aws_lc_rs::{hmac, rand::SystemRandom};

use crate::{
    Clock, Error, Policy, Scopes, TokenCache, TokenEndpoint, clock::Moment, endpoint::built, store::SharedStore,
};

/// A bounded set of [`TokenCache`]s, one for each [`TokenKey`]. A clone is a further handle on the same set.
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
///     let cache = caches.get_or_build(settings.key()?, || settings.build())?;
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
    by_key: HashMap<TokenKey, Entry>,
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

    /// The cache for `key`; if there is none, one of the endpoint that `build` makes.
    ///
    /// Where the set is full, the cache goes that was not asked for the longest. One that goes lives on with those who hold
    /// a handle on it.
    ///
    /// # Errors
    /// Those of `build`, and of [`TokenCacheBuilder::build`](crate::TokenCacheBuilder::build) for its endpoint; the set is then
    /// as it was.
    pub fn get_or_build<E: TokenEndpoint + 'static>(
        &self,
        key: TokenKey,
        build: impl FnOnce() -> Result<E, Error>,
    ) -> Result<TokenCache, Error> {
        let settings = &self.0.settings;
        let now = settings.clock.now();
        // What goes may end a flight or drop an endpoint that isn't ours: after the lock is released.
        let mut dropped = Vec::new();
        {
            let mut caches = self.lock();
            let found = caches.by_key.get_mut(&key).map(|entry| {
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
        // Of two that were built at once the first counts, so that there is one cache for a key.
        let entry = caches.by_key.entry(key).or_insert_with(|| Entry { cache: built.clone(), last_asked: now });
        let cache = entry.cache.clone();
        while caches.by_key.len() > settings.limit {
            dropped.extend(caches.take_oldest());
        }
        drop(caches);
        Ok(cache)
    }

    /// Drops the cache for `key`, as when a tenant leaves. Returns whether there was one.
    pub fn remove(&self, key: &TokenKey) -> bool {
        let removed = self.lock().by_key.remove(key);
        removed.is_some()
    }

    /// How many caches there are.
    pub fn len(&self) -> usize {
        self.lock().by_key.len()
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
        self.by_key.extract_if(|_, entry| now.since(entry.last_asked) >= idle).map(|(_, entry)| entry).collect()
    }

    fn take_oldest(&mut self) -> Option<Entry> {
        let oldest = self.by_key.iter().min_by_key(|(_, entry)| entry.last_asked).map(|(key, _)| key.clone())?;
        self.by_key.remove(&oldest)
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
        let caches = Caches { by_key: HashMap::new(), sweep_at: Moment::PAST };
        TokenCaches(Arc::new(Shared { settings: self, caches: Mutex::new(caches) }))
    }
}

/// Everything that makes a token what it is: what is equal in all of it may share a token. From
/// [`onence::ClientBuilder::key`](crate::onence::ClientBuilder::key) or
/// [`worldline::ClientBuilder::key`](crate::worldline::ClientBuilder::key).
///
/// The secret counts too, so that nobody gets a token with another's name alone, and so do the certificate of an assertion and
/// the proxy, roots and client certificate of a [`Transport`](crate::Transport): a tenant that changes one of them gets a new
/// cache. Of all these only a keyed hash is kept, whose key is made anew in each process.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenKey {
    provider: Box<str>,
    base_url: Box<str>,
    identity: Box<str>,
    realm: Option<Box<str>>,
    scopes: Scopes,
    credential: [u8; 32],
}

impl TokenKey {
    /// A key for an endpoint of your own: the provider's name, where it is, who asks (a client id or user name), and the
    /// secret that proves it.
    ///
    /// ```
    /// use access_tokens::TokenKey;
    ///
    /// let key = |scope: &str| {
    ///     let key = TokenKey::new("example", "https://id.example", "client", b"secret")?;
    ///     Ok::<_, access_tokens::Error>(key.with_scopes(scope.parse()?))
    /// };
    /// assert_eq!(key("read write")?, key("write read")?);
    /// assert_ne!(key("read write")?, key("read")?);
    /// # Ok::<(), access_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where this machine gives no random numbers.
    pub fn new(provider: &str, base_url: &str, identity: &str, secret: &[u8]) -> Result<Self, Error> {
        Self::of_parts(provider, base_url, identity, [secret])
    }

    /// A key by several secrets.
    pub(crate) fn of_parts<'a>(
        provider: &str,
        base_url: &str,
        identity: &str,
        secrets: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Error> {
        let mut hash = hmac::Context::with_key(process_key()?);
        for secret in secrets {
            hash.update(&secret.len().to_be_bytes());
            hash.update(secret);
        }
        let mut credential = [0; 32];
        credential.copy_from_slice(hash.sign().as_ref());
        Ok(Self {
            provider: provider.into(),
            base_url: base_url.into(),
            identity: identity.into(),
            realm: None,
            scopes: Scopes::none(),
            credential,
        })
    }

    /// Adds the realm.
    #[must_use]
    pub fn with_realm(self, realm: &str) -> Self {
        Self { realm: Some(realm.into()), ..self }
    }

    /// Adds the scopes; their order doesn't count.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("provider", &self.provider)
            .field("base_url", &self.base_url)
            .field("identity", &self.identity)
            .field("realm", &self.realm)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

fn process_key() -> Result<&'static hmac::Key, Error> {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
        .map_err(|_| Error::configuration("this machine gives no random numbers"))?;
    Ok(KEY.get_or_init(|| key))
}
