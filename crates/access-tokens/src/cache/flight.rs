//! One exchange at a time, whoever asks for it, and all that is known between two of them.
//!
//! Everything changes under one lock, which no reader of a quiet token takes, and what readers may see of it is published
//! before the lock is released. Nothing here waits, reads a clock, or knows what an exchange is: a flight is begun with
//! [`Flights::ask`], which gives out the one [`Ticket`] for it, and ends with what its holder does with that.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use fastrand::Rng;
use tokio::task::AbortHandle;

use super::{
    policy::Policy,
    schedule::{self, Held},
    slot::{Slot, TokenGuard, View},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use crate::{AccessToken, Error, ErrorKind, clock::Moment};

/// The slot, and the flights that fill it.
pub(super) struct Flights {
    pub(super) slot: Slot,
    policy: Policy,
    state: Mutex<State>,
}

struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    /// How many flights were begun; the last one's id.
    begun: u64,
    /// How the last flight that ended did.
    ended: Option<(u64, Option<Error>)>,
    /// What has failed since the last success.
    failure: Option<Failure>,
    invalidations: Invalidations,
    generation: u64,
    /// Counts what was published.
    changes: u64,
    closed: bool,
    wakers: Wakers,
    rng: Rng,
}

struct Flight {
    id: u64,
    exchanges: u32,
    /// When its last exchange began, or the next is to.
    since: Moment,
    abort: Option<AbortHandle>,
    /// It is to be ended as soon as it can be.
    unwanted: bool,
    /// A new credential has come since its exchange began.
    outdated: bool,
    /// The process stood still during its exchange.
    frozen: bool,
    /// It has asked again for that reason.
    thawed: bool,
}

struct Failure {
    error: Error,
    /// Since the last success.
    all: u32,
    /// Since the last success or new credential: what the pause grows by.
    in_a_row: u32,
    /// The same of rejected credentials, those of other instances included.
    rejections: u32,
    /// When the log was last told of the rejection that goes on.
    told: Option<Moment>,
    /// Till then callers get the error.
    next: Moment,
    /// Till then no exchange is made.
    exchange: Moment,
}

struct Invalidations {
    in_a_row: u32,
    last: Moment,
    /// Till then an invalidation does nothing.
    deaf_until: Moment,
}

/// Why a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There was none yet.
    First,
    /// The one that is served comes to its end.
    Soft,
    /// The last one has ended.
    Hard,
    /// The last one was refused by a resource.
    Invalidated,
}

/// What is to be done for a caller.
pub(super) enum Step {
    Serve(TokenGuard),
    /// Make the exchange. If there is a token to serve meanwhile, it comes with it.
    Begin(Ticket, Option<TokenGuard>),
    /// Wait for the flight of this id.
    Wait(u64),
    Fail(Error),
}

/// What an exchange came to.
#[derive(Debug)]
pub(super) enum Settled {
    /// A new token; or the same, and there is nothing to ask for until it ends. So many flights failed before.
    Done { same: bool, failures: u32 },
    /// The token that is held, at its end, or one that has ended: ask again after the pause.
    AskAgain(Duration),
    /// It failed, which counts no longer: ask again after the pause.
    Outdated { why: &'static str, pause: Duration },
    /// The next attempt comes after the pause. `is_news` unless the log has been told so.
    Failed { error: Error, pause: Duration, is_news: bool },
    /// It counts no longer: the flight was taken over.
    Stale,
}

/// How many exchanges one flight makes for a token that has life in it.
const EXCHANGES: u32 = 5;

/// How long beyond its time-out an exchange may be silent before others take its flight over. Only a runtime that nobody
/// drives any more is that late.
pub(super) const OVERDUE: Duration = Duration::from_secs(5);

/// How often the log is told that credentials are still rejected.
const TOLD_AGAIN: Duration = Duration::from_secs(60 * 60);

impl Flights {
    pub(super) fn new(policy: Policy, rng: Rng) -> Self {
        let state = State {
            held: None,
            flight: None,
            begun: 0,
            ended: None,
            failure: None,
            invalidations: Invalidations { in_a_row: 0, last: Moment::PAST, deaf_until: Moment::PAST },
            generation: 0,
            changes: 0,
            closed: false,
            wakers: Wakers::default(),
            rng,
        };
        Self { slot: Slot::new(), policy, state: Mutex::new(state) }
    }

    /// What to do for a caller that wants a token. Where no flight can be begun, `outside` is why.
    pub(super) fn ask(self: &Arc<Self>, now: Moment, outside: Option<&Error>) -> Step {
        let mut state = self.lock();
        // A suspended machine suspends its flights too, so the monotonic clock alone counts.
        let overdue = |flight: &&mut Flight| now.monotonic_since(flight.since) > self.policy.exchange_timeout + OVERDUE;
        if let Some(flight) = state.flight.as_mut().filter(overdue) {
            let abort = flight.abort.take();
            self.change(state, |state| state.end(None));
            if let Some(abort) = abort {
                abort.abort();
            }
            state = self.lock();
        }
        // A refused token is better than none where there is no way to another.
        let serve = state.serves(now) || outside.is_some() && state.lives(now);
        if outside.is_none() && now.reached(state.due()) {
            let (id, reason, after) = self.change(state, |state| state.begin(now, serve));
            let ticket = Ticket { flights: self.clone(), id, reason, after };
            return Step::Begin(ticket, serve.then(|| self.slot.load()));
        }
        match (&state.flight, &state.failure) {
            _ if serve => Step::Serve(self.slot.load()),
            (Some(flight), _) => Step::Wait(flight.id),
            (None, _) if state.closed => Step::Fail(closed()),
            (None, Some(failure)) if !now.reached(failure.next) => Step::Fail(failure.error.clone()),
            // One is due, then, and only this caller can't begin it.
            (None, _) => Step::Fail(outside.cloned().unwrap_or_else(closed)),
        }
    }

    /// The token, if it is valid.
    pub(super) fn valid(&self, now: Moment) -> Option<TokenGuard> {
        let state = self.lock();
        state.serves(now).then(|| self.slot.load())
    }

    /// How to stop the flight, should nobody want it any more.
    pub(super) fn set_abort(&self, id: u64, abort: AbortHandle) {
        let mut state = self.lock();
        match &mut state.flight {
            Some(flight) if flight.id == id && !flight.unwanted => flight.abort = Some(abort),
            // It was to be ended while it was begun.
            Some(flight) if flight.id == id => {
                drop(state);
                abort.abort();
            }
            _ => {}
        }
    }

    /// The process stood still during the exchange of a flight.
    pub(super) fn froze(&self, id: u64) {
        if let Some(flight) = self.lock().flight.as_mut().filter(|flight| flight.id == id) {
            flight.frozen = true;
        }
    }

    /// The flight is about to make an exchange, with the newest credential; not once the cache is closed.
    pub(super) fn begin_exchange(&self, id: u64) -> bool {
        let mut state = self.lock();
        if let Some(flight) = state.flight.as_mut().filter(|flight| flight.id == id) {
            flight.outdated = false;
        }
        !state.closed
    }

    /// A flight waits for another instance's, and hasn't begun its exchange by `now`.
    pub(super) fn waits(&self, id: u64, now: Moment) {
        if let Some(flight) = self.lock().flight.as_mut().filter(|flight| flight.id == id) {
            flight.since = now;
        }
    }

    /// The last token, whether it lives, and whether it was invalidated.
    pub(super) fn held(&self, now: Moment) -> Option<(Arc<AccessToken>, bool, bool)> {
        let state = self.lock();
        state.held.as_ref().map(|held| (held.token.clone(), state.lives(now), held.hidden))
    }

    /// Waits for the end of a flight; its error if it had one.
    pub(super) fn ended(&self, id: u64) -> impl Future<Output = Result<(), Error>> {
        self.until(move |state| match (&state.flight, &state.ended) {
            (Some(flight), _) if flight.id == id => None,
            (_, Some((last, Some(error)))) if *last == id => Some(Err(error.clone())),
            _ => Some(Ok(())),
        })
    }

    /// Waits until no flight is under way.
    pub(super) fn idle(&self) -> impl Future<Output = ()> {
        self.until(|state| state.flight.is_none().then_some(()))
    }

    /// Waits until no flight is begun any more.
    pub(super) fn closed(&self) -> impl Future<Output = ()> {
        self.until(|state| state.closed.then_some(()))
    }

    /// Waits for a token of another generation than `seen`; `None` once the cache is closed.
    pub(super) fn newer(&self, seen: u64) -> impl Future<Output = Option<TokenGuard>> {
        self.until(move |state| match state.generation {
            generation if generation > seen => Some(Some(self.slot.load())),
            _ => state.closed.then_some(None),
        })
    }

    /// Waits for anything to change after `seen` changes.
    pub(super) fn changed(&self, seen: u64) -> impl Future<Output = ()> {
        self.until(move |state| (state.changes > seen).then_some(()))
    }

    #[cfg(test)]
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// When the next exchange is due, and how many changes that takes account of; `None` once the cache is closed.
    pub(super) fn due(&self) -> Option<(Moment, u64)> {
        let state = self.lock();
        (!state.closed).then(|| (state.due(), state.changes))
    }

    /// Takes a token out of service, if it is the one in force.
    pub(super) fn invalidate(&self, token: &AccessToken, now: Moment) -> bool {
        let mut state = self.lock();
        let pausing = state.flight.is_none() && state.failure.as_ref().is_some_and(|f| !now.reached(f.next));
        let (deaf, closed) = (!now.reached(state.invalidations.deaf_until), state.closed);
        let Some(held) = &mut state.held else { return false };
        if held.hidden || !held.is_same(token) || deaf || pausing || closed {
            return false;
        }
        held.hidden = true;
        let last = &mut state.invalidations;
        let quiet_since = now.since(last.last) > 2 * self.policy.invalidation_pause;
        last.in_a_row = if quiet_since { 1 } else { last.in_a_row.saturating_add(1) };
        last.last = now;
        self.change(state, |_| true)
    }

    /// The endpoint has a new credential: a pause is over, unless the server named its end.
    pub(super) fn new_credential(&self) {
        self.change(self.lock(), |state| {
            if let Some(flight) = &mut state.flight {
                flight.outdated = true;
            }
            if let Some(failure) = state.failure.as_mut().filter(|failure| !failure.error.names_a_time()) {
                (failure.in_a_row, failure.rejections, failure.told) = (0, 0, None);
                (failure.next, failure.exchange) = (Moment::PAST, Moment::PAST);
            }
        });
    }

    /// No flight is begun any more.
    pub(super) fn close(&self) {
        self.change(self.lock(), |state| state.closed = true);
    }

    /// Ends the flight that is under way, if one is; where that can't be done yet, as soon as it can.
    pub(super) fn abort(&self) {
        let abort = self.lock().flight.as_mut().and_then(|flight| {
            flight.unwanted = true;
            flight.abort.take()
        });
        if let Some(abort) = abort {
            abort.abort();
        }
    }

    fn settle(&self, id: u64, began: Moment, now: Moment, outcome: Result<AccessToken, Error>) -> Settled {
        let state = self.lock();
        if state.flight.as_ref().is_none_or(|flight| flight.id != id) {
            return Settled::Stale;
        }
        self.change(state, |state| {
            let settled = match state.take_in(began, now, outcome, &self.policy) {
                Ok(settled) => settled,
                Err(error) => return state.fail(now, error, &self.policy),
            };
            if let Settled::AskAgain(pause) | Settled::Outdated { pause, .. } = &settled {
                if let Some(flight) = &mut state.flight {
                    flight.exchanges += 1;
                    flight.since = now.plus(*pause);
                }
            } else {
                state.failure = None;
                state.end(None);
            }
            settled
        })
    }

    /// Makes a change, publishes what readers may see of it, and wakes whoever waits for one.
    fn change<T>(&self, mut state: MutexGuard<'_, State>, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut state);
        state.changes += 1;
        let view = state.view();
        let wakers = std::mem::take(&mut state.wakers.waiting);
        #[cfg(test)]
        let state = super::sync::released_too_early(state);
        if let Some(view) = view {
            self.slot.publish(view);
        }
        // Waking can drop a task that waits here too, which takes the lock.
        drop(state);
        wakers.into_values().for_each(Waker::wake);
        done
    }

    fn until<T, F: FnMut(&State) -> Option<T>>(&self, done: F) -> Until<'_, F> {
        Until { flights: self, key: None, done }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock held; should it, the state is whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the token hasn't ended.
    fn lives(&self, now: Moment) -> bool {
        self.held.as_ref().is_some_and(|held| !now.reached(held.expires))
    }

    /// Whether it is to be served, too. Once no exchange can bring another, a refused one is.
    fn serves(&self, now: Moment) -> bool {
        self.lives(now) && (self.closed || self.held.as_ref().is_some_and(|held| !held.hidden))
    }

    /// When the next flight may begin.
    fn due(&self) -> Moment {
        match (&self.failure, &self.held) {
            _ if self.closed || self.flight.is_some() => Moment::NEVER,
            (Some(failure), _) => failure.next,
            (None, Some(held)) if !held.hidden => held.refresh,
            (None, _) => Moment::PAST,
        }
    }

    fn view(&self) -> Option<View> {
        let held = self.held.as_ref()?;
        let quiet_until = if held.hidden && !self.closed { Moment::PAST } else { held.expires.earlier(self.due()) };
        Some(View {
            token: held.token.clone(),
            quiet_until: quiet_until.minus(Moment::COARSE),
            #[cfg(feature = "metrics")]
            refreshing: self.flight.is_some(),
            generation: self.generation,
        })
    }

    /// Gives its id, why it is begun, and after what time it makes its exchange.
    fn begin(&mut self, now: Moment, serving: bool) -> (u64, Reason, Duration) {
        let reason = match &self.held {
            None => Reason::First,
            Some(held) if held.hidden => Reason::Invalidated,
            Some(_) if serving => Reason::Soft,
            Some(_) => Reason::Hard,
        };
        self.begun += 1;
        let after = self.failure.as_ref().map_or(Duration::ZERO, |failure| now.until(failure.exchange));
        self.flight = Some(Flight {
            id: self.begun,
            exchanges: 1,
            since: now.plus(after),
            abort: None,
            unwanted: false,
            outdated: false,
            frozen: false,
            thawed: false,
        });
        (self.begun, reason, after)
    }

    /// What an exchange of the flight under way means for the token that is held.
    fn take_in(
        &mut self,
        began: Moment,
        now: Moment,
        outcome: Result<AccessToken, Error>,
        policy: &Policy,
    ) -> Result<Settled, Error> {
        let Self { held, flight: Some(flight), invalidations, rng, closed, failure, .. } = self else {
            return Ok(Settled::Stale);
        };
        let frozen = std::mem::take(&mut flight.frozen);
        let failures = failure.as_ref().map_or(0, |failure| failure.all);
        let same_token = Settled::Done { same: true, failures };
        let ask_again = |held: Option<&Held>, rng: &mut Rng, error: Error| match held {
            _ if flight.exchanges == EXCHANGES || *closed => Err(error),
            Some(held) => Ok(Settled::AskAgain(held.pause_at_end(now, rng))),
            None => Ok(Settled::AskAgain(schedule::pause_at_end(rng))),
        };
        let token = match outcome {
            Ok(token) => token.with_least_age(now.since(began)),
            Err(error) if error.is_spent() => {
                return match held {
                    Some(held) if held.is_near_its_end(now) && !now.reached(held.expires) => {
                        invalidations.came_again(held.hidden, now, policy);
                        held.wait_for_end();
                        Ok(same_token)
                    }
                    held => ask_again(held.as_ref(), rng, error),
                };
            }
            Err(error) if flight.exchanges == EXCHANGES || *closed => return Err(error),
            // It was made with the last credential, and there is another.
            Err(error) if flight.outdated && !error.names_a_time() => {
                flight.outdated = false;
                return Ok(Settled::Outdated { why: "its credential was replaced meanwhile", pause: Duration::ZERO });
            }
            // It is of another time than those who ask now. Should it freeze each time, that is how it is.
            Err(error) if frozen && !flight.thawed => {
                let Some(pause) = schedule::pause_after_freeze(&error, policy, rng) else { return Err(error) };
                flight.thawed = true;
                return Ok(Settled::Outdated { why: "the process stood still meanwhile", pause });
            }
            Err(error) => return Err(error),
        };
        let token = Held::new(token, now, policy, rng);
        match held {
            Some(held) if held.is_same(&token.token) => {
                invalidations.came_again(held.hidden, now, policy);
                held.came_again(token, now);
                if now.reached(held.expires) { ask_again(Some(held), rng, ended()) } else { Ok(same_token) }
            }
            _ if now.reached(token.expires) => ask_again(None, rng, ended()),
            _ => {
                if held.as_ref().is_some_and(|held| held.hidden) {
                    let pause = schedule::pause_after_invalidation(invalidations.in_a_row, policy);
                    invalidations.deaf_until = now.plus(pause);
                }
                *held = Some(token);
                self.generation += 1;
                Ok(Settled::Done { same: false, failures })
            }
        }
    }

    fn fail(&mut self, now: Moment, error: Error, policy: &Policy) -> Settled {
        let last = self.failure.as_ref();
        let is_own = error.shared_pause().is_none();
        let is_rejection = error.kind() == ErrorKind::Credentials;
        // Another instance's failure is none of its own, but its credential is.
        let all = last.map_or(0, |last| last.all).saturating_add(u32::from(is_own));
        let in_a_row = last.map_or(0, |last| last.in_a_row).saturating_add(u32::from(is_own));
        let rejections = last.map_or(0, |last| last.rejections).saturating_add(u32::from(is_rejection));
        let told = last.and_then(|last| last.told).filter(|_| is_rejection);
        let is_news = is_own && told.is_none_or(|told| now.since(told) >= TOLD_AGAIN);
        let told = if is_news && is_rejection { Some(now) } else { told };
        let pause =
            schedule::pause_after(&error, if is_rejection { rejections } else { in_a_row }, policy, &mut self.rng);
        // What a failed exchange can't replace serves on while it lives, though a resource refused it.
        if let Some(held) = &mut self.held {
            held.hidden = false;
        }
        let (next, exchange) = (now.plus(pause.refused), now.plus(pause.whole));
        self.failure = Some(Failure { error: error.clone(), all, in_a_row, rejections, told, next, exchange });
        self.end(Some(error.clone()));
        Settled::Failed { error, pause: pause.whole, is_news }
    }

    fn end(&mut self, error: Option<Error>) {
        if let Some(flight) = self.flight.take() {
            self.ended = Some((flight.id, error));
        }
    }
}

impl Invalidations {
    /// The token that is held came again; `hidden` if it was invalidated.
    fn came_again(&mut self, hidden: bool, now: Moment, policy: &Policy) {
        if hidden {
            self.deaf_until = now.plus(policy.invalidation_pause);
        }
    }
}

/// The duty to end a flight. Dropped before that has ended, as when a runtime goes down, it gives the flight up, and whoever
/// waits begins another.
pub(super) struct Ticket {
    flights: Arc<Flights>,
    pub(super) id: u64,
    pub(super) reason: Reason,
    /// How long to wait before the exchange.
    pub(super) after: Duration,
}

impl Ticket {
    /// Takes in what an exchange came to at `now` that was begun at `began`. But for [`Settled::AskAgain`] and
    /// [`Settled::Outdated`] that ends the flight.
    pub(super) fn settle(&self, began: Moment, now: Moment, outcome: Result<AccessToken, Error>) -> Settled {
        self.flights.settle(self.id, began, now, outcome)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let state = self.flights.lock();
        if state.flight.as_ref().is_some_and(|flight| flight.id == self.id) {
            self.flights.change(state, |state| state.end(None));
        }
    }
}

/// Waits until `done` gives something.
struct Until<'a, F> {
    flights: &'a Flights,
    key: Option<u64>,
    done: F,
}

impl<T, F: FnMut(&State) -> Option<T> + Unpin> Future for Until<'_, F> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let mut state = this.flights.lock();
        if let Some(done) = (this.done)(&state) {
            return Poll::Ready(done);
        }
        let replaced = state.wakers.register(&mut this.key, context.waker());
        // Dropping a waker can drop a task that waits here too, which takes the lock.
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl<F> Drop for Until<'_, F> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let removed = self.flights.lock().wakers.waiting.remove(&key);
            drop(removed);
        }
    }
}

/// Whoever waits.
#[derive(Default)]
struct Wakers {
    waiting: BTreeMap<u64, Waker>,
    last_key: u64,
}

impl Wakers {
    /// Gives back the waker that was there.
    fn register(&mut self, key: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| {
            self.last_key += 1;
            self.last_key
        });
        self.waiting.insert(key, waker.clone())
    }
}

pub(super) fn closed() -> Error {
    Error::configuration("the token cache was shut down; no token is asked for any more")
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the token had ended by the time it came, again and again")
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Flights")
            .field("held", &state.held.as_ref().map(|held| &held.token))
            .field("under_way", &state.flight.is_some())
            .field("failure", &state.failure.as_ref().map(|failure| &failure.error))
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}
