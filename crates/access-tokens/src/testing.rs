//! Token endpoints and a store for your tests: no server, no network, and with [`Clock::tokio`](crate::Clock::tokio) no waiting.
//!
//! ```
//! use std::time::Duration;
//! use access_tokens::{AccessToken, Clock, Error, ErrorKind, TokenCache, testing::ScriptedEndpoint};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let minute = Duration::from_secs(60);
//! let endpoint = ScriptedEndpoint::new()
//!     .then(AccessToken::new("first")?.with_expires_in(minute))
//!     .then(Error::new(ErrorKind::Unavailable, "a short outage"))
//!     .then_after(Duration::from_secs(2), AccessToken::new("second")?.with_expires_in(minute));
//! let cache = TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).build()?;
//! assert_eq!(cache.token().await?.secret(), "first");
//!
//! // A refresh that fails costs nobody the token.
//! tokio::time::sleep(Duration::from_secs(50)).await;
//! assert_eq!(cache.token().await?.secret(), "first");
//! tokio::time::sleep(Duration::from_secs(5)).await;
//! assert_eq!(cache.token().await?.secret(), "first");
//! tokio::time::sleep(Duration::from_secs(5)).await;
//! assert_eq!(cache.token().await?.secret(), "second");
//! assert_eq!(endpoint.exchanges(), 3);
//! # Ok(()) }
//! ```

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    AccessToken, Error, Exchange, TokenEndpoint, TokenId,
    clock::Moment,
    store::{StoreAnswer, Stored, Swap, TokenStore},
};

/// Always answers with the same token, at once. A clone counts together with the original.
///
/// ```
/// use access_tokens::{TokenEndpoint, testing::FixedEndpoint};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), access_tokens::Error> {
/// let endpoint = FixedEndpoint::new("mF_9.B5f-4.1JqM")?;
/// assert_eq!(endpoint.exchange().await?.secret(), "mF_9.B5f-4.1JqM");
/// assert_eq!(endpoint.exchanges(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct FixedEndpoint {
    token: AccessToken,
    exchanges: Arc<AtomicU64>,
}

impl FixedEndpoint {
    /// Answers with `secret`, without an `expires_in`.
    ///
    /// # Errors
    /// As [`AccessToken::new`].
    pub fn new(secret: impl Into<String>) -> Result<Self, Error> {
        Ok(Self::from(AccessToken::new(secret)?))
    }

    /// Sets how long each answer says that the token lives.
    #[must_use]
    pub fn with_expires_in(self, expires_in: Duration) -> Self {
        Self { token: self.token.with_expires_in(expires_in), ..self }
    }

    /// How often it was asked.
    pub fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }
}

/// Answers with a clone, whose life begins anew each time.
impl From<AccessToken> for FixedEndpoint {
    fn from(token: AccessToken) -> Self {
        Self { token, exchanges: Arc::default() }
    }
}

impl TokenEndpoint for FixedEndpoint {
    fn provider(&self) -> &str {
        "fixed"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            self.exchanges.fetch_add(1, Ordering::Relaxed);
            Ok(self.token.clone().with_since(Moment::now()))
        })
    }

    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("fixed", "", "", self.token.secret().as_bytes()))
    }
}

/// Answers with what it was told to, in that order, then with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). A clone is the same endpoint: a
/// test can keep one to count the exchanges, and to add answers.
#[derive(Clone, Default)]
pub struct ScriptedEndpoint(Arc<Script>);

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<(Duration, Result<AccessToken, Error>)>>,
    exchanges: AtomicU64,
}

impl ScriptedEndpoint {
    /// Without answers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer: an [`AccessToken`], whose life begins when it is asked for, or an [`Error`].
    #[must_use]
    pub fn then(self, answer: impl Into<Answer>) -> Self {
        self.then_after(Duration::ZERO, answer)
    }

    /// Adds an answer that takes `latency`.
    #[must_use]
    pub fn then_after(self, latency: Duration, answer: impl Into<Answer>) -> Self {
        self.answers().push_back((latency, answer.into().0));
        self
    }

    /// How often it was asked.
    pub fn exchanges(&self) -> u64 {
        self.0.exchanges.load(Ordering::Relaxed)
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, VecDeque<(Duration, Result<AccessToken, Error>)>> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenEndpoint for ScriptedEndpoint {
    fn provider(&self) -> &str {
        "scripted"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            let (asked, so_far) = (Moment::now(), self.0.exchanges.fetch_add(1, Ordering::Relaxed));
            let answer = self.answers().pop_front();
            let (latency, answer) =
                answer.ok_or_else(|| Error::configuration(format!("the script of {so_far} answers is at its end")))?;
            if !latency.is_zero() {
                sleep(latency).await;
            }
            answer.map(|token| token.with_since(asked))
        })
    }

    /// All of them are one client's.
    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("scripted", "", "", b""))
    }
}

impl fmt::Debug for ScriptedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.answers().len();
        f.debug_struct("ScriptedEndpoint").field("exchanges", &self.exchanges()).field("left", &left).finish()
    }
}

/// An answer of a [`ScriptedEndpoint`].
#[derive(Debug, Clone)]
pub struct Answer(Result<AccessToken, Error>);

impl From<AccessToken> for Answer {
    fn from(token: AccessToken) -> Self {
        Self(Ok(token))
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self(Err(error))
    }
}

impl From<Result<AccessToken, Error>> for Answer {
    fn from(outcome: Result<AccessToken, Error>) -> Self {
        Self(outcome)
    }
}

/// A [`TokenStore`] in memory, which follows tokio's time. A clone is the same store: give one to each instance of your fleet.
///
/// ```
/// use std::time::Duration;
/// use access_tokens::{Clock, TokenCache, store::{KeyRing, SharedStore}, testing::{FixedEndpoint, MemoryStore}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), access_tokens::Error> {
/// let (memory, keys) = (MemoryStore::new(), KeyRing::new(&[1; 32], [[2; 32]])?);
/// let endpoint = FixedEndpoint::new("mF_9.B5f-4.1JqM")?.with_expires_in(Duration::from_secs(3600));
/// for _instance in 0..3 {
///     let store = SharedStore::new(memory.clone(), keys.clone());
///     let cache = TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).store(store).build()?;
///     assert_eq!(cache.token().await?.secret(), "mF_9.B5f-4.1JqM");
///     cache.shutdown().await;
/// }
/// assert_eq!(endpoint.exchanges(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    values: HashMap<Box<str>, (Vec<u8>, Moment)>,
    commands: u64,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many commands it was given.
    pub fn commands(&self) -> u64 {
        self.lock().commands
    }

    /// Forgets all that is in it.
    pub fn clear(&self) {
        self.lock().values.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn get(&mut self, name: &str) -> Stored {
        self.commands += 1;
        let now = Moment::now();
        let value = self.values.get(name).filter(|(_, ends)| !now.reached(*ends)).map(|(value, _)| value.clone());
        Stored { value, now: now.monotonic_since(Moment::PAST) }
    }
}

impl TokenStore for MemoryStore {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move { Ok(self.lock().get(name)) })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            let mut memory = self.lock();
            let stored = memory.get(name);
            if stored.value.as_deref() != expected {
                return Ok(Swap::Changed(stored));
            }
            memory.values.insert(name.into(), (value.to_vec(), Moment::now().plus(ttl)));
            Ok(Swap::Done)
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("values", &self.lock().values.len()).finish_non_exhaustive()
    }
}
