//! When to ask, and when again: the arithmetic, without a clock or a lock.

use std::{ops::RangeInclusive, time::Duration};

use fastrand::Rng;

use super::{policy::Policy, sync::Arc};
use crate::{AccessToken, Error, ErrorKind, clock::Moment, token::margin};

/// A token and its times.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) token: Arc<AccessToken>,
    /// When its successor is asked for while it is still served.
    pub(super) refresh: Moment,
    /// From here on callers wait.
    pub(super) expires: Moment,
    /// When the server counts it as ended, at the earliest: just before the request was sent, plus `expires_in`.
    ends: Moment,
    /// The same at the latest: when the answer came, plus `expires_in`.
    ends_latest: Moment,
    /// It was invalidated, and no exchange has ended since.
    pub(super) hidden: bool,
}

/// Two tellings of the same end that lie no further apart are the same: servers round to seconds, up or down.
const ROUNDING: Duration = Duration::from_secs(2);

/// How often to ask for a successor of a token at its end.
const ASK_AGAIN: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(1);

/// The margin before the end, and as long as an answer may have taken when the token came.
const NEAR: Duration = Duration::from_millis(1250);

/// The shortest pause after a failure that full jitter may draw.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// What is added at most to a time that the server named, a tenth of it, so that not all who were told the same come back at
/// once. Callers wait for that.
const SPREAD: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(5);

/// What is added at most to a pause that a fleet shares.
const SHARED_SPREAD: RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(5);

/// How long to wait after a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// Until then callers get its error; afterwards they wait for the next exchange.
    pub(super) refused: Duration,
    /// Until then that isn't made.
    pub(super) whole: Duration,
}

impl Pause {
    fn of(span: Duration) -> Self {
        Self { refused: span, whole: span }
    }
}

impl Held {
    /// A token that came at `now`.
    pub(super) fn new(token: AccessToken, now: Moment, policy: &Policy, rng: &mut Rng) -> Self {
        let lifetime = token.expires_in().unwrap_or(policy.assumed_lifetime);
        let age = token.age();
        let part = policy.refresh_at - policy.jitter * rng.f64();
        let after = |span: Duration| now.plus(span.saturating_sub(age));
        let expires = after(lifetime.saturating_sub(margin(lifetime)));
        // Of what is left: one that comes old isn't to be replaced the moment it comes, by another that comes old.
        let refresh = lifetime.saturating_sub(age).mul_f64(part).max(*ASK_AGAIN.start());
        Self {
            refresh: now.plus(refresh).earlier(expires),
            expires,
            ends: after(lifetime),
            ends_latest: now.plus(lifetime),
            hidden: false,
            token: Arc::new(token),
        }
    }

    pub(super) fn is_same(&self, token: &AccessToken) -> bool {
        self.token.secret() == token.secret()
    }

    /// It came again, which is no refresh: there is nothing to ask for before its end. When that is was told at first; the
    /// server tells it anew with each answer and rounds, and the answer takes its time, so only what is clearly another time
    /// counts.
    pub(super) fn came_again(&mut self, again: Self, now: Moment) {
        let is_after = |one: Moment, other: Moment| now.until(one) > now.until(other).saturating_add(ROUNDING);
        let is_apart = is_after(again.ends, self.ends_latest) || is_after(self.ends, again.ends_latest);
        if is_apart || now.reached(self.ends.plus(ROUNDING)) {
            *self = again;
        }
        self.wait_for_end();
    }

    /// Whether an answer without any life in it can be this token, in its last second.
    pub(super) fn is_near_its_end(&self, now: Moment) -> bool {
        now.until(self.ends_latest) <= NEAR
    }

    /// The server has no successor yet.
    pub(super) fn wait_for_end(&mut self) {
        self.refresh = self.expires;
        self.hidden = false;
    }

    /// How long to wait for a successor of this token, at its end, before asking again: if that is near, just so long.
    pub(super) fn pause_at_end(&self, now: Moment, rng: &mut Rng) -> Duration {
        let left = now.until(self.ends_latest);
        if (*ASK_AGAIN.start()..=NEAR).contains(&left) { left } else { pause_at_end(rng) }
    }
}

/// The same where the end isn't known.
pub(super) fn pause_at_end(rng: &mut Rng) -> Duration {
    between(*ASK_AGAIN.start(), *ASK_AGAIN.end(), rng)
}

/// How long to wait after the `in_a_row`-th failure of its kind, counted from 1.
pub(super) fn pause_after(error: &Error, in_a_row: u32, policy: &Policy, rng: &mut Rng) -> Pause {
    // A whole fleet waits for the same moment, and one of it will do.
    if let Some(left) = error.shared_pause() {
        let spread = (left / 4).clamp(*SHARED_SPREAD.start(), *SHARED_SPREAD.end());
        return Pause::of(left + between(Duration::ZERO, spread, rng));
    }
    // Zero names no time.
    if let Some(span) = error.retry_after().filter(|span| !span.is_zero()) {
        let span = span.min(policy.longest_retry_after);
        let later = between(Duration::ZERO, (span / 10).clamp(*SPREAD.start(), *SPREAD.end()), rng);
        return Pause { refused: span, whole: span + later };
    }
    let longest = match error.kind() {
        // Rejected often enough it may lock an account.
        ErrorKind::Credentials => policy.longest_rejected_pause,
        _ => policy.longest_pause,
    };
    let doubled = |times: u32| policy.first_pause.saturating_mul(1 << times.min(20)).min(longest);
    Pause::of(match error.kind() {
        ErrorKind::Throttled | ErrorKind::Unavailable => {
            between(SHORTEST_PAUSE, doubled(in_a_row.saturating_sub(1)), rng)
        }
        // The same request will hardly do better: never in quick succession.
        ErrorKind::Configuration | ErrorKind::Credentials | ErrorKind::Request | ErrorKind::Contract => {
            between(doubled(in_a_row) / 2, doubled(in_a_row), rng)
        }
    })
}

/// How long to wait after a failure that counts no longer, whose callers wait for the next exchange; `None` if the server
/// named a time, which it keeps.
pub(super) fn pause_after_freeze(error: &Error, policy: &Policy, rng: &mut Rng) -> Option<Duration> {
    let named = error.retry_after().is_some_and(|span| !span.is_zero());
    (!named).then(|| pause_after(error, 1, policy, rng).whole.min(*ASK_AGAIN.end()))
}

/// How long a token isn't to be invalidated that came after the `in_a_row`-th invalidation, counted from 1.
pub(super) fn pause_after_invalidation(in_a_row: u32, policy: &Policy) -> Duration {
    Duration::from_secs(1 << in_a_row.saturating_sub(1).min(20)).min(policy.invalidation_pause)
}

fn between(least: Duration, most: Duration, rng: &mut Rng) -> Duration {
    least + most.saturating_sub(least).mul_f64(rng.f64())
}
