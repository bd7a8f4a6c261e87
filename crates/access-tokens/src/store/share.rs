//! What one flight of a cache has to do with the store: where its token comes from, and what the others are told of it.

use std::{sync::atomic::Ordering, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::time::sleep;

use super::{
    backend::{Stored, Swap},
    keys::{KeyRing, TokenName},
    record::{LEASE, Record, Want},
    shared::{Inner, SharedStore},
};
use crate::{AccessToken, Error, TokenEndpoint, clock::Moment, endpoint::token_id};

/// Where a flight gets its token.
#[derive(Debug)]
pub(crate) enum Obtained {
    /// Another instance got it.
    Token(AccessToken),
    /// It makes the exchange. [`SharedStore::tell`] what came of it.
    Exchange(Lease),
    /// Another instance's exchange has just failed.
    Paused(Error),
}

impl Obtained {
    /// As metrics have it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Exchange(lease) => lease.name,
            Self::Paused(_) => "paused",
        }
    }
}

/// What the others are to be told of an exchange, who may be waiting for it.
#[derive(Debug)]
pub(crate) struct Lease {
    name: &'static str,
    /// None where the store wasn't asked.
    teller: Option<Box<Teller>>,
}

#[derive(Debug)]
struct Teller {
    name: TokenName,
    holder: String,
    /// What is there, if that is known.
    seen: Option<Seen>,
}

/// What came of the exchange.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    Token(&'a AccessToken),
    /// It failed, and the next may begin after the pause, which grows to the longest while credentials are rejected.
    Failed {
        error: &'a Error,
        pause: Duration,
        longest: Duration,
    },
    /// Nothing that others could use.
    Nothing,
}

/// What was under a name, and what time it was there.
#[derive(Debug)]
struct Seen {
    sealed: Option<Vec<u8>>,
    record: Record,
    reading: Reading,
}

/// What all commands of one look have in common.
struct Access<'a> {
    keys: &'a KeyRing,
    name: &'a TokenName,
    assumed_lifetime: Duration,
    deadline: Moment,
}

/// The store's clock showed `now` at some moment from `asked` to `came`.
#[derive(Debug, Clone, Copy)]
struct Reading {
    now: Duration,
    asked: Moment,
    came: Moment,
}

impl Reading {
    /// What it shows by now, at least. A machine that was suspended meanwhile takes it for earlier, and so tokens for older.
    fn earliest(self) -> Duration {
        self.now.saturating_add(Moment::now().monotonic_since(self.came))
    }

    /// The same at most.
    fn latest(self) -> Duration {
        self.now.saturating_add(Moment::now().since(self.asked))
    }
}

/// How often one step is tried anew where others were faster. Each time one of them got on.
const TRIES: u32 = 20;

/// How long to wait before looking again whether somebody's exchange is done: first, and at most, where that isn't longer than
/// the time-out. Callers wait for it.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(400));

/// The same where callers have a token meanwhile.
const LOOK_AGAIN_SOFT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// How often that grows, by more than half each time; beyond, no duration could hold it.
const MOST_GROWTH: i32 = 16;

/// A store that takes its time has much to do: it is asked so many times less often.
const SPARING: u32 = 10;

/// How long a flight waits for others: for one who dies, and for his successor.
const PATIENCE: Duration = LEASE.saturating_mul(2);

impl SharedStore {
    /// Whether the tokens of this endpoint can be shared.
    pub(crate) fn can_share(&self, endpoint: &dyn TokenEndpoint) -> Result<bool, Error> {
        Ok(token_id(endpoint)?.is_some())
    }

    /// A token that another instance got, or the duty to make the exchange. `want` is asked anew each time that it looks, and
    /// says nothing once the cache is closed.
    pub(crate) async fn obtain(&self, endpoint: &dyn TokenEndpoint, want: impl Fn() -> Option<Want>) -> Obtained {
        let begun = Moment::now();
        let (mut looks, mut hard_looks, mut waiting) = (0, 0, None);
        loop {
            let asked = Moment::now();
            let Some(want) = want().filter(|_| self.0.may_be_asked()) else { return unavailable(None) };
            let out_of_patience = begun.plus(PATIENCE);
            waiting = match self.look(endpoint, &want, waiting, asked.reached(out_of_patience)).await {
                Looked::Found(obtained) => return *obtained,
                Looked::Busy(waiting) => waiting,
            };
            let busy = Moment::now();
            let left = want.left();
            let looks = if left.is_zero() { &mut hard_looks } else { &mut looks };
            let (first, most) = if left.is_zero() { LOOK_AGAIN } else { LOOK_AGAIN_SOFT };
            let most = if left.is_zero() { most.min(self.0.timeout) } else { most };
            let pause = first
                .mul_f64(1.6_f64.powi((*looks).min(MOST_GROWTH)))
                .max(busy.monotonic_since(asked) * SPARING)
                .min(most);
            *looks = looks.saturating_add(1);
            let pause = pause.mul_f64(0.5 + 0.5 * fastrand::f64());
            // From the end of its token on callers wait.
            sleep(if left.is_zero() { pause } else { pause.min(left) }).await;
        }
    }

    /// Looks once, within the time-out, however many commands that takes. `waiting` is what the last look has found.
    async fn look(
        &self,
        endpoint: &dyn TokenEndpoint,
        want: &Want,
        waiting: Option<Box<(TokenName, Seen)>>,
        impatient: bool,
    ) -> Looked {
        let found = |obtained| Looked::Found(Box::new(obtained));
        let keys = self.0.keys.load_full();
        let mut id = [0; 16];
        let (Ok(Some(token_id)), Ok(())) = (token_id(endpoint), rand::fill(&mut id)) else {
            return found(unavailable(None));
        };
        let (name, holder) = (keys.names().name(&token_id), BASE64_URL_SAFE_NO_PAD.encode(id));
        let deadline = Moment::now().plus(self.0.timeout);
        let access = Access { keys: &keys, name: &name, assumed_lifetime: want.assumed_lifetime, deadline };
        let seen = match waiting.map(|waiting| *waiting).filter(|(last, _)| *last == name) {
            Some((_, seen)) => self.put_back(&access, seen).await,
            None => self.get(&access).await,
        };
        let Some(mut seen) = seen else { return found(unavailable(None)) };
        let alone = |holder, seen| {
            let teller = Teller { name: name.clone(), holder, seen };
            Obtained::Exchange(Lease { name: "alone", teller: Some(Box::new(teller)) })
        };
        for _ in 0..TRIES {
            let (now, latest) = (seen.reading.earliest(), seen.reading.latest());
            if let Some(token) = seen.record.token(want, keys.names(), now, latest) {
                return found(Obtained::Token(token));
            }
            let paused = seen.record.pause(want, now);
            let barred = seen.record.is_barred(now) || seen.record.is_unshared(now);
            let free = paused.is_none() && !barred && !seen.record.is_leased(now);
            let mut next = seen.record.clone();
            if let Some(held) = want.held.as_ref().filter(|_| want.invalidated) {
                next.invalidate(keys.names(), held, now);
            }
            if free {
                next.lease(&holder, now);
            }
            if next != seen.record {
                match self.swap(&access, &seen, &next).await {
                    Some(Ok(after)) => seen = after,
                    Some(Err(changed)) => {
                        seen = changed;
                        continue;
                    }
                    // It may have been done all the same, and then others wait.
                    None => return found(unavailable(Some(Teller { name, holder, seen: None }))),
                }
            }
            return match paused {
                Some(error) => found(Obtained::Paused(error)),
                None if free => {
                    let teller = Teller { name, holder, seen: Some(seen) };
                    found(Obtained::Exchange(Lease { name: "lease", teller: Some(Box::new(teller)) }))
                }
                None if barred || impatient => found(alone(holder, Some(seen))),
                None => Looked::Busy(Some(Box::new((name, seen)))),
            };
        }
        // A crowd, each of whom got on.
        if impatient { found(alone(holder, None)) } else { Looked::Busy(None) }
    }

    /// Ends a lease, and lets the others have what came of it. Nobody waits for this.
    pub(crate) async fn tell(
        &self,
        endpoint: &dyn TokenEndpoint,
        lease: Lease,
        told: Told<'_>,
        assumed_lifetime: Duration,
    ) {
        let Some(teller) = lease.teller else { return };
        let Teller { name, holder, mut seen } = *teller;
        // Of now: they may have been changed since the exchange began.
        let keys = self.0.keys.load_full();
        // And so may the client. The name first: a client that is in use afterwards is the one that gave it.
        let is_of_name = token_id(endpoint).is_ok_and(|id| id.is_some_and(|id| keys.names().name(&id) == name));
        let deadline = Moment::now().plus(2 * self.0.timeout);
        let access = Access { keys: &keys, name: &name, assumed_lifetime, deadline };
        for _ in 0..TRIES {
            let this = match seen.take() {
                Some(seen) => seen,
                None => match self.get(&access).await {
                    Some(seen) => seen,
                    None => return,
                },
            };
            let (now, mut next) = (this.reading.earliest(), this.record.clone());
            let is_ours = next.release(&holder);
            match &told {
                Told::Token(token) if !(is_of_name && token.is_of_client_in_use()) => next.leave_unshared(now),
                Told::Token(token) => {
                    let began = now.saturating_sub(token.age());
                    next.offer(keys.names(), token, began, now, assumed_lifetime);
                }
                Told::Failed { error, pause, longest } if is_ours && is_of_name => {
                    next.fail(error, *pause, *longest, now)
                }
                Told::Failed { .. } | Told::Nothing => {}
            }
            if next == this.record {
                return;
            }
            match self.swap(&access, &this, &next).await {
                Some(Err(changed)) => seen = Some(changed),
                Some(Ok(_)) | None => return,
            }
        }
    }

    /// `None` where the store is away.
    async fn get(&self, access: &Access<'_>) -> Option<Seen> {
        let asked = Moment::now();
        let get = async { self.0.store.get(access.name.as_str()).await };
        match self.0.command(asked.until(access.deadline), get).await {
            Ok(stored) => Some(self.0.seen(access, stored, asked)),
            Err(error) => {
                self.0.failed(&error);
                None
            }
        }
    }

    /// Puts `next` where `seen` was. Gives what is there then: that, or else what was there instead.
    async fn swap(&self, access: &Access<'_>, seen: &Seen, next: &Record) -> Option<Result<Seen, Seen>> {
        let sealed = next.seal(access.keys, access.name)?;
        self.put(access, seen, next, sealed).await
    }

    /// What is there now, for who waits for another's exchange. He puts back what he saw, byte for byte, which is in nobody's
    /// way: a store that can be read and refuses to be written will never hold what he waits for.
    async fn put_back(&self, access: &Access<'_>, seen: Seen) -> Option<Seen> {
        let Some(sealed) = seen.sealed.clone() else { return self.get(access).await };
        match self.put(access, &seen, &seen.record, sealed).await? {
            Ok(seen) | Err(seen) => Some(seen),
        }
    }

    async fn put(
        &self,
        access: &Access<'_>,
        seen: &Seen,
        next: &Record,
        sealed: Vec<u8>,
    ) -> Option<Result<Seen, Seen>> {
        let ttl = next.life(seen.reading.earliest(), access.assumed_lifetime);
        let asked = Moment::now();
        let expected = seen.sealed.as_deref();
        let swap = async { self.0.store.compare_and_set(access.name.as_str(), expected, &sealed, ttl).await };
        match self.0.command(asked.until(access.deadline), swap).await {
            Ok(Swap::Done) => Some(Ok(Seen { sealed: Some(sealed), record: next.clone(), reading: seen.reading })),
            Ok(Swap::Changed(stored)) => Some(Err(self.0.seen(access, stored, asked))),
            Err(error) => {
                self.0.failed(&error);
                None
            }
        }
    }
}

impl Inner {
    fn seen(&self, access: &Access<'_>, stored: Stored, asked: Moment) -> Seen {
        let opened = Record::open(access.keys, access.name, stored.value.as_deref());
        match &opened {
            Some(_) => self.foreign.store(false, Ordering::Relaxed),
            None if stored.value.is_some() => self.warn_of_foreign(),
            None => {}
        }
        let reading = Reading { now: stored.now, asked, came: Moment::now() };
        Seen { sealed: stored.value, record: opened.unwrap_or_default(), reading }
    }
}

enum Looked {
    Found(Box<Obtained>),
    /// Somebody else is asking; and what is there meanwhile.
    Busy(Option<Box<(TokenName, Seen)>>),
}

fn unavailable(teller: Option<Teller>) -> Obtained {
    Obtained::Exchange(Lease { name: "unavailable", teller: teller.map(Box::new) })
}
