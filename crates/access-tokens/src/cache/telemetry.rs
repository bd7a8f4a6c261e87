//! What a cache says of itself: spans and events, and metrics where that feature is on.

use std::time::Duration;

use tracing::{Span, debug, debug_span, info, warn};

use super::{
    flight::{Reason, Settled},
    slot::TokenGuard,
};
use crate::store::Obtained;

/// Where to filter for them: the files' own names are nobody's business.
const TARGET: &str = "access_tokens::cache";

/// Speaks for one cache.
#[derive(Debug)]
pub(super) struct Telemetry {
    provider: Box<str>,
}

impl Telemetry {
    pub(super) fn new(provider: &str) -> Self {
        Self { provider: provider.into() }
    }

    /// A flight begins; `held` is what it is to replace. Gives the span that it runs in.
    pub(super) fn begun(&self, reason: Reason, held: &TokenGuard) -> Span {
        let reason = match reason {
            Reason::First => "first",
            Reason::Soft => "soft",
            Reason::Hard => "hard",
            Reason::Invalidated => "invalidated",
        };
        self.count_begun(reason, held);
        debug_span!(target: TARGET, "token_exchange", provider = &*self.provider, reason)
    }

    /// What the shared store was good for.
    pub(super) fn store_answered(&self, obtained: &Obtained) {
        let outcome = obtained.name();
        debug!(target: TARGET, provider = &*self.provider, outcome, "asked the shared store");
        self.count_store_answer(outcome);
    }

    /// An exchange is over, which took so long; or another instance's was. `held` is the token in force, valid for `still`.
    pub(super) fn settled(
        &self,
        settled: &Settled,
        took: Option<Duration>,
        held: &TokenGuard,
        still: Option<Duration>,
    ) {
        let provider = &*self.provider;
        self.count_settled(settled, took, held);
        match settled {
            Settled::Done { same, failures } => {
                if *failures > 0 {
                    info!(target: TARGET, provider, failures, "the token endpoint works again");
                }
                if *same {
                    debug!(target: TARGET, provider, "the same token came again; the next exchange is due when it ends");
                } else {
                    debug!(target: TARGET, provider, expires_in = ?held.expires_in(), "token refreshed");
                }
            }
            Settled::AskAgain(pause) => {
                debug!(target: TARGET, provider, ?pause, "the token has come to its end; asking again")
            }
            Settled::Outdated { why, pause } => {
                debug!(target: TARGET, provider, why, ?pause, "an exchange failed that counts no longer; asking again")
            }
            Settled::Failed { error, pause, .. } if error.shared_pause().is_some() => {
                debug!(target: TARGET, provider, %error, cause = error.cause(), next_attempt_in = ?pause, "another instance got no new token")
            }
            // Somebody has been told to see to it.
            Settled::Failed { error, pause, is_news: false } => {
                debug!(target: TARGET, provider, %error, cause = error.cause(), next_attempt_in = ?pause, "no new token, still")
            }
            Settled::Failed { error, pause, is_news: true } => {
                warn!(target: TARGET, provider, %error, cause = error.cause(), valid_for = ?still.unwrap_or_default(), next_attempt_in = ?pause, "no new token");
            }
            Settled::Stale => debug!(target: TARGET, provider, "an exchange ended that nobody waits for any more"),
        }
    }

    pub(super) fn invalidated(&self, acted: bool) {
        debug!(target: TARGET, provider = &*self.provider, acted, "a resource refused the token");
    }
}

#[cfg(not(feature = "metrics"))]
impl Telemetry {
    fn count_begun(&self, _: &str, _: &TokenGuard) {}

    fn count_store_answer(&self, _: &'static str) {}

    fn count_settled(&self, _: &Settled, _: Option<Duration>, _: &TokenGuard) {}

    /// A caller was given a token.
    #[inline]
    pub(super) fn served(&self, _: &TokenGuard) {}
}

#[cfg(feature = "metrics")]
impl Telemetry {
    fn count_begun(&self, reason: &'static str, held: &TokenGuard) {
        use crate::metrics::{AGE, REFRESHES, REMAINING};
        metrics::counter!(REFRESHES, "provider" => self.label(), "reason" => reason).increment(1);
        if held.generation() > 0 {
            metrics::histogram!(AGE, "provider" => self.label()).record(held.age());
        }
        if let Some(remaining) = held.remaining() {
            metrics::histogram!(REMAINING, "provider" => self.label()).record(remaining);
        }
    }

    fn count_store_answer(&self, outcome: &'static str) {
        metrics::counter!(crate::metrics::STORE_ANSWERS, "provider" => self.label(), "outcome" => outcome).increment(1);
    }

    fn count_settled(&self, settled: &Settled, took: Option<Duration>, held: &TokenGuard) {
        use crate::metrics::{BREAKER_OPEN, DURATION, EXCHANGES, EXPIRES_AT, GRANTED_AT};
        let outcome = match settled {
            Settled::Failed { error, .. } => error.kind().name(),
            Settled::Done { same: false, .. } => "granted",
            Settled::Done { same: true, .. } | Settled::AskAgain(_) => "same_token",
            Settled::Stale => "stale",
            Settled::Outdated { .. } => "outdated",
        };
        if let Some(took) = took {
            metrics::counter!(EXCHANGES, "provider" => self.label(), "outcome" => outcome).increment(1);
            metrics::histogram!(DURATION, "provider" => self.label(), "outcome" => outcome).record(took);
        }
        let since_1970 =
            |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        match settled {
            Settled::Done { .. } => {
                metrics::gauge!(BREAKER_OPEN, "provider" => self.label()).set(0);
                metrics::gauge!(GRANTED_AT, "provider" => self.label()).set(since_1970(held.granted_at()));
                let end = held.expires_at().map_or(f64::NAN, since_1970);
                metrics::gauge!(EXPIRES_AT, "provider" => self.label()).set(end);
            }
            Settled::Failed { .. } => metrics::gauge!(BREAKER_OPEN, "provider" => self.label()).set(1),
            Settled::AskAgain(_) | Settled::Outdated { .. } | Settled::Stale => {}
        }
    }

    /// A caller was given a token.
    #[inline]
    pub(super) fn served(&self, guard: &TokenGuard) {
        if guard.is_refreshing() {
            let name = crate::metrics::SERVED_WHILE_REFRESHING;
            metrics::counter!(name, "provider" => self.label()).increment(1);
        }
    }

    fn label(&self) -> String {
        self.provider.to_string()
    }
}
