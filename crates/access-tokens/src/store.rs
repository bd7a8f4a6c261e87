//! One token for a whole fleet: the instances of a service, each with a [`TokenCache`](crate::TokenCache), share what one of
//! them was given, through a store that they all reach.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use access_tokens::{TokenCache, onence, store::{KeyRing, SharedStore}, testing::MemoryStore};
//! # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
//! # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
//! # let (name_key, key) = ([1; 32], [2; 32]);
//!
//! let redis = MemoryStore::new(); // in a service: `access_tokens_redis::RedisStore`
//! for _instance in 0..50 {
//!     let store = SharedStore::new(redis.clone(), KeyRing::new(&name_key, [&key])?);
//!     let credentials = onence::Credentials::new(username, password);
//!     let client = onence::Client::builder(credentials).base_url(&base_url).build()?;
//!     let cache = TokenCache::builder(client).store(store).build()?;
//!     assert!(cache.token().await?.secret().len() > 1000);
//!     cache.shutdown().await;
//! }
//! # assert_eq!(sandbox.requests(access_tokens_sandbox::Endpoint::Onence), 1);
//! # Ok(()) }
//! ```
//!
//! # What it does
//!
//! - Before an exchange a cache looks for a token there: at its first fetch, at each refresh, after an invalidation. If there
//!   is one that is newer than its own, it takes that. If not, it takes the lease and makes the exchange, and stores the
//!   outcome; who finds the lease taken waits for that. A holder who dies is replaced after 5 s, and nobody waits for others
//!   longer than 10 s.
//! - An older token never replaces a newer one, and one that was invalidated by any instance isn't handed out again. Where the
//!   server has no other, each instance asks for itself until that ends.
//! - Who comes just after an exchange that failed gets its error, instead of failing too. That ends at the time that the server
//!   named, else after 2.5 s, or half of what its own cache pauses if that is longer, or 1 s if it can be the fault of one machine:
//!   then another one asks. Where the provider rejects the credentials, it ends with the pause of the one who asked: all together
//!   ask no more often than one would. All of them come back a little later than that, each by as much as it draws.
//! - A token stands under the name of the client that brought it. What the old client of a
//!   [`RotatingEndpoint`](crate::RotatingEndpoint) brings while the new one is rejected isn't shared; nobody waits for it either.
//! - All times are told by the store's clock; the machines' own needn't agree. Where that clock is set back, as when a replica
//!   takes over, a token can be taken for younger by as much; one from its future isn't used.
//! - The store sees keyed hashes and sealed values ([`KeyRing`]), and nothing else. A value that doesn't open, whoever wrote it,
//!   counts as absent and is overwritten; the log says so once. Who may write there can still take values away, or put back what
//!   was there before: an instance that knows a newer token doesn't take the older; one that starts just then gets a token that
//!   hasn't ended, though it may have been invalidated, or an error of before, for as long as that was meant for.
//!
//! # When the store is away
//!
//! Caches then do without: each makes its own exchanges, by its own policy. No caller gets an error for it, or waits longer than
//! [`timeout`](SharedStoreBuilder::timeout) beyond the exchange. Who was waiting for another instance's exchange just then notices
//! within that time, or within twice that time if the store doesn't answer, and makes its own. A store that can be read and refuses
//! to be written (a replica, or one out of memory) is away too. The log says once that it's away and once that it's back (target
//! `access_tokens::store`). While it is away every process looks after it every 1.5 to 3.5 s, one that is idle too.
//! [`check`](SharedStore::check) at the start has it connected before the first caller waits.

mod backend;
mod keys;
mod record;
mod share;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

pub use self::{
    backend::{LARGEST, StoreAnswer, Stored, Swap, TokenStore},
    keys::{KeyRing, NameKey, TokenName},
};
pub(crate) use self::{
    record::Want,
    share::{Lease, Obtained, Told},
};
use crate::{
    Error, ErrorKind,
    clock::{Moment, Skew},
    endpoint::{caught, caught_call},
    rotation::{Files, Watched},
};

/// A [`TokenStore`] with the keys of the fleet, for [`TokenCacheBuilder::store`](crate::TokenCacheBuilder::store). A clone is a
/// further handle on the same; one process needs no more than one, which notices for all of its caches when the store is away.
#[derive(Clone)]
pub struct SharedStore(Arc<Inner>);

struct Inner {
    store: Box<dyn TokenStore>,
    keys: ArcSwap<KeyRing>,
    timeout: Duration,
    available: AtomicBool,
    /// What was read last didn't open.
    foreign: AtomicBool,
    /// When somebody last looked whether it is back.
    tried: Mutex<Moment>,
    /// The files that its keys stand in; watched until the last handle is dropped.
    watched: Mutex<Option<Arc<Watched>>>,
}

/// Where to filter for what is logged.
const TARGET: &str = "access_tokens::store";

/// How often a store that is away is tried.
const TRY_AGAIN: std::ops::RangeInclusive<u64> = 1500..=3500;

/// A look-out that was silent for so long is in a runtime that nobody drives.
const SILENT: Duration = Duration::from_secs(10);

impl SharedStore {
    /// A shared store with the defaults. Nothing is sent before a cache asks.
    pub fn new(store: impl TokenStore + 'static, keys: KeyRing) -> Self {
        Self::builder(store, keys).start()
    }

    /// A shared store with settings.
    pub fn builder(store: impl TokenStore + 'static, keys: KeyRing) -> SharedStoreBuilder {
        SharedStoreBuilder { store: Box::new(store), keys, timeout: Duration::from_millis(250) }
    }

    /// Takes other keys, while it is in use. [`KeyRing`] says in which steps that costs no token.
    pub fn set_keys(&self, keys: KeyRing) {
        self.0.keys.store(Arc::new(keys));
    }

    /// Takes the keys of `read` now, and again whenever the content of one of these files has changed, for as long as there is a
    /// handle. Other files take the place of those that were watched before.
    ///
    /// A change counts once it was seen the same twice in a row, a quarter of a second apart and with nothing written in between. `read` is called on a thread that
    /// may block but that all watched files of this process share. Where it fails, the log says so once, the keys stay as they
    /// were, and another attempt follows every ten seconds.
    ///
    /// ```
    /// use access_tokens::{Error, ErrorKind, store::{KeyRing, SharedStore}, testing::MemoryStore};
    /// # let folder = tempfile::tempdir()?;
    /// # let [name_key, keys] = ["name_key", "keys"].map(|name| folder.path().join(name));
    /// # std::fs::write(&name_key, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n")?;
    /// # std::fs::write(&keys, "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n")?;
    ///
    /// let files = [name_key, keys]; // such as /run/secrets/name_key, and /run/secrets/keys with one key a line
    /// let read = {
    ///     let files = files.clone();
    ///     move || {
    ///         let failed = |e| Error::new(ErrorKind::Configuration, "the keys can't be read").with_source(e);
    ///         let [name_key, keys] = files.each_ref().map(|file| std::fs::read_to_string(file).map_err(failed));
    ///         KeyRing::from_base64(&name_key?, keys?.lines())
    ///     }
    /// };
    /// let store = SharedStore::new(MemoryStore::new(), read()?);
    /// store.watch_keys(files, read)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of `read`; [`ErrorKind::Configuration`] where the thread that looks at the files can't be started.
    pub fn watch_keys(
        &self,
        files: impl IntoIterator<Item = impl Into<PathBuf>>,
        read: impl Fn() -> Result<KeyRing, Error> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        // Looked at before they are read, so that no change is missed.
        let files = Files::look_at(files.into_iter().map(Into::into).collect());
        let read = move || {
            let panicked = || Err(Error::new(ErrorKind::Configuration, "reading keys panicked"));
            caught_call(&read).unwrap_or_else(panicked)
        };
        self.set_keys(read()?);
        let store = Arc::downgrade(&self.0);
        let watched = files.watch(Box::new(move || {
            let keys = read()?;
            if let Some(store) = store.upgrade() {
                SharedStore(store).set_keys(keys);
                info!(target: TARGET, "other keys of the token store are in use");
            }
            Ok(())
        }))?;
        *self.0.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(watched);
        Ok(())
    }

    /// Whether it answered when it was asked last. It isn't asked for this.
    pub fn is_available(&self) -> bool {
        self.0.available.load(Ordering::Acquire)
    }

    /// Does all that a cache does with it: writes a sealed value under a name of its own, reads it, and opens it. The value is
    /// gone soon after.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), access_tokens::Error> {
    /// use access_tokens::{store::{KeyRing, SharedStore}, testing::MemoryStore};
    ///
    /// let store = SharedStore::new(MemoryStore::new(), KeyRing::new(&[1; 32], [[2; 32]])?);
    /// assert!(store.check().await?.took().as_secs() < 5);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the [`TokenStore`]; [`ErrorKind::Unavailable`] if the two commands together took longer than the time-out;
    /// [`ErrorKind::Contract`] if it doesn't do what it is to do; [`ErrorKind::Configuration`] outside of a tokio runtime.
    pub async fn check(&self) -> Result<Checked, Error> {
        if Handle::try_current().is_err() {
            return Err(Error::new(ErrorKind::Configuration, "a store is checked in a tokio runtime"));
        }
        self.0.check().await
    }
}

/// What [`SharedStore::check`] found.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    took: Duration,
    skew: i64,
}

impl Checked {
    /// How long the slower of the two commands took.
    pub fn took(self) -> Duration {
        self.took
    }

    /// By how many seconds the store's clock is ahead of this machine's, beyond what the way explains. It matters to nobody but
    /// to who looks for a clock that is off.
    pub fn skew(self) -> i64 {
        self.skew
    }
}

impl Inner {
    async fn check(&self) -> Result<Checked, Error> {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce)
            .map_err(|_| Error::new(ErrorKind::Configuration, "this machine gives no random numbers"))?;
        let keys = self.keys.load_full();
        let name = keys.names().name([b"check".as_slice(), &nonce]);
        let sealed = keys.seal(&name, nonce.to_vec().into());
        let sealed = sealed.ok_or_else(|| Error::new(ErrorKind::Configuration, "the keys can't seal"))?;
        let writing = Moment::now();
        let ttl = self.timeout + Duration::from_secs(1);
        let write = async { self.store.compare_and_set(name.as_str(), None, &sealed, ttl).await };
        let deadline = writing.plus(self.timeout);
        let swap = self.command(self.timeout, write).await?;
        let asked = Moment::now();
        let stored = self.command(asked.until(deadline), async { self.store.get(name.as_str()).await }).await?;
        let came = Moment::now();
        let opened = stored.value.and_then(|value| keys.open(&name, &value));
        if !matches!(swap, Swap::Done) || opened.is_none_or(|opened| *opened != nonce) {
            return Err(Error::new(ErrorKind::Contract, "the store doesn't keep what is put into it"));
        }
        let took = asked.monotonic_since(writing).max(came.monotonic_since(asked));
        Ok(Checked { took, skew: Skew::seconds(stored.now, asked, came) })
    }

    /// One command. Whatever a store does, its callers go on.
    async fn command<T>(&self, limit: Duration, command: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match timeout(limit, caught(command)).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(Error::new(ErrorKind::Contract, "the store panicked")),
            Err(_) => {
                let message = format!("the store didn't answer within {:?}", self.timeout);
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }

    /// Whether to ask it. While it is away that is left to a look-out.
    fn may_be_asked(self: &Arc<Self>) -> bool {
        let available = self.available.load(Ordering::Acquire);
        if !available && Moment::now().since(*self.tried()) > SILENT {
            self.look_out();
        }
        available
    }

    fn failed(self: &Arc<Self>, error: &Error) {
        // Who is looking out already goes on.
        if self.available.swap(false, Ordering::AcqRel) {
            let cause = error.cause();
            warn!(target: TARGET, %error, cause, "the token store is away; each instance makes its own exchanges until it is back");
            self.count_available();
            self.look_out();
        }
    }

    /// Has somebody look out for its return, in this runtime. Flights run in one.
    fn look_out(self: &Arc<Self>) {
        *self.tried() = Moment::now();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(look_out(Arc::downgrade(self)));
        }
    }

    fn warn_of_foreign(&self) {
        if !self.foreign.swap(true, Ordering::Relaxed) {
            warn!(
                target: TARGET,
                "the token store holds a value that isn't ours, and that is overwritten: do all instances have the same keys, and \
                 is nobody else at it?"
            );
        }
    }

    fn tried(&self) -> MutexGuard<'_, Moment> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(not(feature = "metrics"))]
    fn count_available(&self) {}

    #[cfg(feature = "metrics")]
    fn count_available(&self) {
        metrics::gauge!(crate::metrics::STORE_AVAILABLE).set(u8::from(self.available.load(Ordering::Acquire)));
    }
}

/// Tries a store that is away until it is back, or nobody has it any more.
async fn look_out(store: Weak<Inner>) {
    loop {
        sleep(Duration::from_millis(fastrand::u64(TRY_AGAIN))).await;
        let Some(store) = store.upgrade() else { return };
        if store.available.load(Ordering::Acquire) {
            return;
        }
        *store.tried() = Moment::now();
        if store.check().await.is_ok() {
            if !store.available.swap(true, Ordering::AcqRel) {
                info!(target: TARGET, "the token store is back, and in use again");
                store.count_available();
            }
            return;
        }
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore")
            .field("store", &self.0.store)
            .field("keys", &self.0.keys.load())
            .field("available", &self.is_available())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`SharedStore`].
#[derive(Debug)]
pub struct SharedStoreBuilder {
    store: Box<dyn TokenStore>,
    keys: KeyRing,
    timeout: Duration,
}

impl SharedStoreBuilder {
    /// How long a caller may wait for the store beyond the exchange itself. One that is slower counts as away. 250 ms if not
    /// set; from 10 ms to 2 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The shared store. Nothing is sent before a cache asks.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: a time-out out of its range.
    pub fn build(self) -> Result<SharedStore, Error> {
        if !(Duration::from_millis(10)..=Duration::from_secs(2)).contains(&self.timeout) {
            return Err(Error::new(ErrorKind::Configuration, "the time-out of a store must be from 10 ms to 2 s"));
        }
        Ok(self.start())
    }

    fn start(self) -> SharedStore {
        let Self { store, keys, timeout } = self;
        let inner = Inner {
            store,
            keys: ArcSwap::from_pointee(keys),
            timeout,
            available: AtomicBool::new(true),
            foreign: AtomicBool::new(false),
            tried: Mutex::new(Moment::PAST),
            watched: Mutex::default(),
        };
        inner.count_available();
        SharedStore(Arc::new(inner))
    }
}
