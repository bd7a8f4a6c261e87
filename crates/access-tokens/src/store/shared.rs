//! The handle on a store: its keys, and whether it is there.

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

use super::{
    backend::{Swap, TokenStore},
    keys::KeyRing,
};
use crate::{
    Error, ErrorKind,
    caught::{caught, caught_call},
    clock::{Moment, Skew},
    watched_files::{Files, Watched},
};

/// A [`TokenStore`] with the keys of the fleet, for [`TokenCacheBuilder::store`](crate::TokenCacheBuilder::store). A clone is a
/// further handle on the same; one process needs no more than one, which notices for all of its caches when the store is away.
#[derive(Clone)]
pub struct SharedStore(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Box<dyn TokenStore>,
    pub(super) keys: ArcSwap<KeyRing>,
    pub(super) timeout: Duration,
    available: AtomicBool,
    /// What was read last didn't open.
    pub(super) foreign: AtomicBool,
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
            let panicked = || Err(Error::configuration("reading keys panicked"));
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
            return Err(Error::configuration("a store is checked in a tokio runtime"));
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
        rand::fill(&mut nonce).map_err(|_| Error::configuration("this machine gives no random numbers"))?;
        let keys = self.keys.load_full();
        let name = keys.names().name_for_a_check(&nonce);
        let sealed = keys.seal(&name, nonce.to_vec().into());
        let sealed = sealed.ok_or_else(|| Error::configuration("the keys can't seal"))?;
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
    pub(super) async fn command<T>(
        &self,
        limit: Duration,
        command: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
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
    pub(super) fn may_be_asked(self: &Arc<Self>) -> bool {
        let available = self.available.load(Ordering::Acquire);
        if !available && Moment::now().since(*self.tried()) > SILENT {
            self.look_out();
        }
        available
    }

    pub(super) fn failed(self: &Arc<Self>, error: &Error) {
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

    pub(super) fn warn_of_foreign(&self) {
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
            return Err(Error::configuration("the time-out of a store must be from 10 ms to 2 s"));
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
