//! Always a valid token.

mod flight;
#[cfg(test)]
mod model;
mod policy;
mod schedule;
mod slot;
mod sync;
mod telemetry;

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{AbortHandle, yield_now},
    time::timeout,
};
use tracing::Instrument;

use self::{
    flight::{Flights, OVERDUE, Settled, Step, Ticket},
    telemetry::Telemetry,
};
pub use self::{policy::Policy, slot::TokenGuard};
use crate::{
    AccessToken, Clock, Error, ErrorKind, Rotation, TokenEndpoint,
    caught::caught_call,
    endpoint::{Listener, exchange, provider_of},
    store::{Lease, Obtained, SharedStore, Told, Want},
};

/// Always a valid token of one endpoint. A clone is a further handle on the same cache; it is meant to be held for years.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use access_tokens::{TokenCache, onence};
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
///
/// let credentials = onence::Credentials::new(username, password);
/// let cache = TokenCache::new(onence::Client::builder(credentials).base_url(&base_url).build()?);
///
/// // The first call asks the endpoint; the others take what it answered, until its end comes near.
/// for _ in 0..1000 {
///     let token = cache.token().await?;
///     assert!(token.secret().len() > 1000);
/// }
/// # assert_eq!(sandbox.requests(access_tokens_sandbox::Endpoint::Onence), 1);
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - Nothing, until the first call. Then one exchange at a time, however many wait for it; all of them get its outcome, and
///   none of them going away stops it.
/// - Up to the end of its life, less a margin ([`AccessToken::expires_at`]), a token is served without waiting. At 80 % of
///   its life, less a jitter, the next caller starts a refresh and is served the old token meanwhile.
/// - A failed refresh costs nobody a valid token. The next attempt comes when the server says (`Retry-After`), else after a
///   pause that grows to 5 s. Without a valid token callers get the last error at once, until that attempt.
/// - Rejected credentials are tried again too, since somebody may put them right, but gently, since that may lock an account:
///   the pause grows to 60 s. The log says so when that begins, once an hour, and when it's over.
/// - A new credential of a [`RotatingEndpoint`](crate::RotatingEndpoint) ends such a pause at once, but for a time that a server
///   named that has no time for anybody (429 or 503 with `Retry-After`).
/// - Where a process is stopped during an exchange, or its machine suspended, and the exchange fails, another follows: that the
///   first one failed is of another time than those who ask now. A time that the server named is kept to all the same.
/// - A server that answers with the same token until it ends isn't asked again before it does.
/// - Dropping the last handle ends all that it started, but for what it is just telling a
///   [shared store](TokenCacheBuilder::store).
///
/// All these times are a [`Policy`]'s. Of the last seconds of a life a server can tell too much: one that rounds up, and a
/// cold cache that meets its token there, may serve that up to a second too long.
///
/// # Runtimes
///
/// Exchanges run as tasks of the tokio runtime of the caller that starts them, of any flavour, with I/O and time enabled. If
/// that goes down midway, the next caller starts another in its own. Outside of a runtime a valid token is served, and the
/// rest is [`ErrorKind::Configuration`]; for synchronous code there is [`blocking::TokenCache`](crate::blocking::TokenCache).
#[derive(Clone)]
pub struct TokenCache {
    // What the fastest path needs is at hand, not behind the handle.
    flights: Arc<Flights>,
    clock: Clock,
    handle: Arc<LastHandle>,
}

impl TokenCache {
    /// A cache with the default [`Policy`]. Nothing is sent before the first call.
    pub fn new(endpoint: impl TokenEndpoint + 'static) -> Self {
        Self::builder(endpoint).start()
    }

    /// A cache with settings.
    pub fn builder(endpoint: impl TokenEndpoint + 'static) -> TokenCacheBuilder {
        let (policy, clock) = (Policy::new(), Clock::system());
        TokenCacheBuilder { endpoint: Arc::new(endpoint), policy, clock, store: None, runtime: None }
    }

    /// A valid token. Where there is one, that takes no lock, no allocation and no shared counter (but for the feature
    /// `metrics`, which counts those who are served during a refresh); else it waits for the exchange that is under way, or
    /// starts one.
    ///
    /// # Errors
    /// There is no valid token, and the last exchange brought none: its error, without another request until the next
    /// attempt is due. A cache that was shut down, or a caller outside of a runtime: [`ErrorKind::Configuration`].
    pub async fn token(&self) -> Result<TokenGuard, Error> {
        match self.quiet() {
            Some(guard) => Ok(guard),
            None => Box::pin(self.look_closer()).await.inspect(|guard| self.core().telemetry.served(guard)),
        }
    }

    /// The token, where there is nothing to do but to serve it.
    #[inline]
    fn quiet(&self) -> Option<TokenGuard> {
        self.flights.slot.quiet(self.clock.coarse()).inspect(|guard| self.core().telemetry.served(guard))
    }

    async fn look_closer(&self) -> Result<TokenGuard, Error> {
        let core = self.core();
        for _ in 0..ATTEMPTS {
            let runtime = core.runtime();
            let flight = match self.flights.ask(self.clock.now(), runtime.as_ref().err()) {
                Step::Serve(guard) => return Ok(guard),
                Step::Fail(error) => return Err(error),
                Step::Begin(ticket, serve) => {
                    let flight = ticket.id;
                    if let Ok(runtime) = &runtime {
                        core.fly(ticket, runtime);
                    }
                    if let Some(guard) = serve {
                        return Ok(guard);
                    }
                    flight
                }
                Step::Wait(flight) => flight,
            };
            let ended = self.flights.ended(flight);
            // Who drives no runtime has no timer either. The others look again, should the flight's runtime stand still.
            let ended = match runtime {
                Ok(_) => timeout(core.policy.exchange_timeout + 2 * OVERDUE, ended).await.unwrap_or(Ok(())),
                Err(_) => ended.await,
            };
            if let Err(error) = ended {
                return self.flights.valid(self.clock.now()).ok_or(error);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "each exchange was given up by the runtime that it ran in; try again"))
    }

    /// Takes `token` out of service, since a resource refused it: the next call waits for another. Does something, and
    /// returns true, only if it is still the token in force, so that a hundred refusals of one token cause one exchange.
    ///
    /// If the endpoint answers with the same token again, or can't answer at all, that token is served again while it lives.
    /// A token that came back can't be invalidated for 30 s; where each invalidation brings a new token, that time begins
    /// with a second and doubles. So a resource that refuses every token costs few exchanges.
    pub fn invalidate(&self, token: &AccessToken) -> bool {
        let acted = self.flights.invalidate(token, self.clock.now());
        self.core().telemetry.invalidated(acted);
        acted
    }

    /// Tells of each new token from now on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use access_tokens::{TokenCache, testing::FixedEndpoint};
    ///
    /// let cache = TokenCache::new(FixedEndpoint::new("mF_9.B5f-4.1JqM")?);
    /// let mut tokens = cache.subscribe();
    /// cache.token().await?;
    /// assert_eq!(tokens.changed().await.unwrap().secret(), "mF_9.B5f-4.1JqM");
    ///
    /// drop(cache);
    /// assert!(tokens.changed().await.is_none());
    /// # Ok(()) }
    /// ```
    pub fn subscribe(&self) -> Subscription {
        Subscription { seen: self.flights.slot.load().generation(), flights: self.flights.clone() }
    }

    /// Fetches a token now, and from then on refreshes it in time without waiting for callers, in the runtime that this is
    /// called in, until the last handle is dropped or [`shutdown`](Self::shutdown). Once is enough; more does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] outside of a runtime.
    pub fn keep_warm(&self) -> Result<(), Error> {
        let runtime = self.core().runtime()?;
        let mut warm = self.handle.warm.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if warm.as_ref().is_none_or(AbortHandle::is_finished) {
            *warm = Some(runtime.spawn(self.core().clone().stay_warm()).abort_handle());
        }
        Ok(())
    }

    /// Starts no exchange any more, and waits for the one under way to end; outside of a runtime it is cut short. Afterwards
    /// the token is served while it lives, then [`ErrorKind::Configuration`].
    pub async fn shutdown(&self) {
        self.flights.close();
        let core = self.core();
        let ended = match Handle::try_current() {
            Ok(_) => timeout(core.policy.exchange_timeout + OVERDUE, async {
                self.flights.idle().await;
                // What a flight does after its end has a time-out of its own.
                let _ = core.telling.acquire_many(MOST_TELLING).await;
            })
            .await
            .is_ok(),
            // There is no timer to give it its time with.
            Err(_) => false,
        };
        if !ended {
            self.flights.abort();
        }
    }

    /// [`token`](Self::token) for a thread that may block, unless it is the one that drives the runtime given to the cache.
    pub(crate) fn wait_for_token(&self) -> Result<TokenGuard, Error> {
        if let Some(guard) = self.quiet() {
            return Ok(guard);
        }
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let cache = self.clone();
        self.core().runtime()?.spawn(async move {
            let _ = answer.send(cache.token().await);
        });
        let gone = |_| Err(Error::new(ErrorKind::Unavailable, "the thread of the blocking token cache is gone"));
        answered.recv().unwrap_or_else(gone)
    }

    fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }
}

/// How many flights a call begins or waits for before it gives up. One brings a token or an error, unless its runtime goes
/// down or the token ends before this task runs again.
const ATTEMPTS: u32 = 5;

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("endpoint", &self.core().endpoint).field("state", &self.flights).finish()
    }
}

/// Settings of a [`TokenCache`].
#[derive(Debug)]
pub struct TokenCacheBuilder {
    endpoint: Arc<dyn TokenEndpoint>,
    policy: Policy,
    clock: Clock,
    store: Option<SharedStore>,
    runtime: Option<Handle>,
}

impl TokenCacheBuilder {
    /// When to ask, and when again.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Where to read the time; [`Clock::system`] if not set.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Shares the tokens with the other instances of a fleet. Not shared if not set. A [blocking](Self::build_blocking) cache
    /// needs a store of its own: connections to it stand still while the thread that drives them waits for a token.
    #[must_use]
    pub fn store(self, store: SharedStore) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The cache. Nothing is sent before the first call.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], as [`Policy::check`], and for a store where the endpoint gives its tokens
    /// [no id](TokenEndpoint::token_id).
    pub fn build(self) -> Result<TokenCache, Error> {
        self.check()?;
        Ok(self.start())
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.policy.check()?;
        match &self.store {
            Some(store) if !store.can_share(&self.endpoint)? => {
                let provider = provider(&self.endpoint);
                let message =
                    format!("the tokens of {provider} have no id to share them by; see TokenEndpoint::token_id");
                Err(Error::configuration(message))
            }
            _ => Ok(()),
        }
    }

    /// The cache, whose exchanges run in this runtime and not in that of the caller.
    pub(crate) fn start_in(self, runtime: Handle) -> TokenCache {
        Self { runtime: Some(runtime), ..self }.start()
    }

    pub(crate) fn start(self) -> TokenCache {
        let flights = Arc::new(Flights::new(self.policy.clone(), fastrand::Rng::new()));
        let told = flights.clone();
        let listener: Arc<Listener> = Arc::new(move || told.new_credential());
        let rotation = caught_call(|| self.endpoint.rotation()).flatten();
        if let Some(rotation) = &rotation {
            rotation.listen(&listener);
        }
        let provider = provider(&self.endpoint);
        let core = Core {
            flights: flights.clone(),
            telemetry: Telemetry::new(&provider),
            provider,
            endpoint: self.endpoint,
            clock: self.clock.clone(),
            policy: self.policy,
            store: self.store,
            telling: Semaphore::new(MOST_TELLING as usize),
            runtime: self.runtime,
            rotation,
            _listener: listener,
        };
        let handle = LastHandle { core: Arc::new(core), warm: std::sync::Mutex::default() };
        TokenCache { flights, clock: self.clock, handle: Arc::new(handle) }
    }
}

/// Tells of each new token of a [`TokenCache`], from [`TokenCache::subscribe`]. It doesn't keep the cache alive.
#[derive(Debug)]
pub struct Subscription {
    flights: Arc<Flights>,
    seen: u64,
}

impl Subscription {
    /// Waits for a token newer than the last that this gave; of several, the newest. `None` once the last handle on the
    /// cache is dropped or the cache is shut down. May be dropped while it waits; nothing is missed.
    pub async fn changed(&mut self) -> Option<Arc<AccessToken>> {
        let guard = self.flights.newer(self.seen).await?;
        self.seen = guard.generation();
        Some(guard.to_owned())
    }
}

/// What a flight needs, and no handle: it must not keep the cache alive.
struct Core {
    flights: Arc<Flights>,
    endpoint: Arc<dyn TokenEndpoint>,
    provider: String,
    clock: Clock,
    policy: Policy,
    store: Option<SharedStore>,
    /// A permit is with each flight that may have something to tell the store yet.
    telling: Semaphore,
    /// Where flights are started, if not where the caller is.
    runtime: Option<Handle>,
    telemetry: Telemetry,
    rotation: Option<Rotation>,
    /// Told of new credentials while this is there.
    _listener: Arc<Listener>,
}

impl Core {
    fn runtime(&self) -> Result<Handle, Error> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.clone()),
            None => Handle::try_current().map_err(|_| {
                let message = "a token is asked for in a tokio runtime; synchronous code has blocking::TokenCache";
                Error::configuration(message)
            }),
        }
    }

    fn fly(self: &Arc<Self>, ticket: Ticket, runtime: &Handle) {
        let flight = ticket.id;
        let span = self.telemetry.begun(ticket.reason, &self.flights.slot.load());
        let task = runtime.spawn(self.clone().exchange(ticket).instrument(span));
        self.flights.set_abort(flight, task.abort_handle());
    }

    /// Asks the endpoint until there is an outcome; and before that, the store.
    async fn exchange(self: Arc<Self>, ticket: Ticket) {
        let _telling = self.telling.try_acquire();
        let mut lease = None;
        self.pause(ticket.after).await;
        loop {
            let mut began = self.clock.now();
            let mut is_ours = true;
            let outcome = match self.obtain(&mut lease, ticket.id).await {
                Some(outcome) => {
                    is_ours = false;
                    outcome
                }
                None => {
                    began = self.clock.now();
                    match self.flights.begin_exchange(ticket.id) {
                        true => self.outcome(ticket.id).await,
                        false => Err(flight::closed()),
                    }
                }
            };
            let now = self.clock.now();
            // The age of another instance's is known.
            let began = if is_ours { began } else { now };
            let token = outcome.as_ref().ok().filter(|_| lease.is_some()).cloned();
            let settled = ticket.settle(began, now, outcome);
            let still = self.flights.valid(now).and_then(|token| token.remaining());
            self.telemetry.settled(&settled, is_ours.then(|| now.since(began)), &self.flights.slot.load(), still);
            if let Settled::AskAgain(pause) = settled {
                self.pause(pause).await;
                continue;
            }
            if let (Some(store), Some(lease)) = (&self.store, lease.take()) {
                let told = match (&settled, &token) {
                    (Settled::Done { .. }, Some(token)) => Told::Token(token),
                    (Settled::Failed { error, pause, .. }, _) => {
                        Told::Failed { error, pause: *pause, longest: self.policy.longest_rejected_pause }
                    }
                    _ => Told::Nothing,
                };
                store.tell(&self.endpoint, lease, told, self.policy.assumed_lifetime).await;
            }
            let Settled::Outdated { pause, .. } = settled else { return };
            self.pause(pause).await;
        }
    }

    /// What the store has instead of an exchange; `None` if this flight is to make one.
    async fn obtain(&self, lease: &mut Option<Lease>, flight: u64) -> Option<Result<AccessToken, Error>> {
        let store = self.store.as_ref().filter(|_| lease.is_none())?;
        let want = || {
            self.flights.due()?;
            let now = self.clock.now();
            self.flights.waits(flight, now);
            let held = self.flights.held(now);
            let (lives, hidden) = held.as_ref().map_or((false, false), |(_, lives, hidden)| (*lives, *hidden));
            Some(Want {
                held: held.map(|(token, ..)| token),
                invalidated: lives && hidden,
                soft: lives && !hidden,
                assumed_lifetime: self.policy.assumed_lifetime,
                longest_pause: self.policy.longest_retry_after,
            })
        };
        let obtained = store.obtain(&self.endpoint, want).await;
        self.telemetry.store_answered(&obtained);
        match obtained {
            Obtained::Token(token) => Some(Ok(token)),
            // What was rejected is the others' only credential, and not this one's.
            Obtained::Paused(error) if error.kind() == ErrorKind::Credentials && self.has_fallback() => None,
            Obtained::Paused(error) => Some(Err(error)),
            Obtained::Exchange(held) => {
                self.flights.waits(flight, self.clock.now());
                *lease = Some(held);
                None
            }
        }
    }

    fn has_fallback(&self) -> bool {
        self.rotation.as_ref().is_some_and(Rotation::has_fallback)
    }

    /// What one exchange comes to, whatever the endpoint does. Its time-out counts what the machine slept, too.
    async fn outcome(&self, flight: u64) -> Result<AccessToken, Error> {
        let (provider, limit) = (&self.provider, self.policy.exchange_timeout);
        let mut exchange = pin!(exchange(&self.endpoint, provider));
        let mut now = self.clock.now();
        let end = now.plus(limit);
        loop {
            let last = now;
            let outcome = timeout(LOOK_UP.min(now.until(end)), &mut exchange).await;
            now = self.clock.now();
            if now.since(last) > FROZEN {
                self.flights.froze(flight);
            }
            return match outcome {
                Ok(outcome) => outcome,
                Err(_) if !now.reached(end) => continue,
                Err(_) => Err(Error::new(ErrorKind::Unavailable, format!("{provider} didn't answer within {limit:?}"))),
            };
        }
    }

    /// Waits so long, or until the cache is closed. Unlike a sleep, no time at all doesn't let another task run.
    async fn pause(&self, span: Duration) {
        if !span.is_zero() {
            let _ = timeout(span, self.flights.closed()).await;
        }
    }

    async fn stay_warm(self: Arc<Self>) {
        while let Some((due, seen)) = self.flights.due() {
            let now = self.clock.now();
            if let (Step::Begin(ticket, _), Ok(runtime)) = (self.flights.ask(now, None), self.runtime()) {
                self.fly(ticket, &runtime);
                // A runtime that goes down gives the flight up at once, and this task only where it waits.
                yield_now().await;
            } else {
                let _ = timeout(now.until(due).min(HEARTBEAT), self.flights.changed(seen)).await;
            }
        }
    }
}

/// What the endpoint calls its provider. Asked once: it isn't ours, and may panic.
fn provider(endpoint: &dyn TokenEndpoint) -> String {
    provider_of(endpoint).unwrap_or_else(|_| "unknown".to_owned())
}

/// How often an exchange looks at the clock.
const LOOK_UP: Duration = Duration::from_secs(1);

/// One that looks so long after the last time was stopped with its process, or suspended with its machine; and not just busy.
const FROZEN: Duration = Duration::from_secs(4);

/// How many flights can have something to tell at once: one that is over, and its successors while that is slow.
const MOST_TELLING: u32 = 1000;

/// A timer stands still while the machine is suspended, and so may another's flight; so often is looked.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What all handles share and no task does: with it goes everything that they started.
struct LastHandle {
    core: Arc<Core>,
    /// The task that keeps it warm. It ends by itself when the cache is closed.
    warm: std::sync::Mutex<Option<AbortHandle>>,
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.core.flights.close();
        self.core.flights.abort();
    }
}
