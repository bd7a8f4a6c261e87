//! What a user can set about a cache.

use std::time::Duration;

use crate::{Error, Setting};

/// When a [`TokenCache`](crate::TokenCache) asks for a token, and when it asks again. The defaults suit both providers.
///
/// ```
/// use std::time::Duration;
/// use access_tokens::Policy;
///
/// let policy = Policy::new().refresh_at(0.7).longest_pause(Duration::from_secs(30));
/// assert!(policy.check().is_ok());
/// assert!(Policy::new().refresh_at(1.2).check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) refresh_at: f64,
    pub(super) jitter: f64,
    pub(super) assumed_lifetime: Duration,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) longest_rejected_pause: Duration,
    pub(super) longest_retry_after: Duration,
    pub(super) invalidation_pause: Duration,
    pub(super) exchange_timeout: Duration,
}

impl Policy {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            refresh_at: 0.8,
            jitter: 0.125,
            assumed_lifetime: Duration::from_secs(60),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(5),
            longest_rejected_pause: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(60 * 60),
            invalidation_pause: Duration::from_secs(30),
            exchange_timeout: Duration::from_secs(30),
        }
    }

    /// At what part of its lifetime a token is refreshed while it is still served, less the [`jitter`](Self::jitter).
    /// 0.8 if not set; from 0.1 to 1.
    #[must_use]
    pub fn refresh_at(self, part: f64) -> Self {
        Self { refresh_at: part, ..self }
    }

    /// The part of its lifetime by which that is earlier at most, drawn anew for each token, so that instances that started
    /// together don't ask together. 0.125 if not set; from 0 to half of [`refresh_at`](Self::refresh_at).
    #[must_use]
    pub fn jitter(self, part: f64) -> Self {
        Self { jitter: part, ..self }
    }

    /// How long a token is taken to live whose `expires_in` the server doesn't tell. 60 s if not set; from 1 s to 30 days.
    #[must_use]
    pub fn assumed_lifetime(self, lifetime: Duration) -> Self {
        Self { assumed_lifetime: lifetime, ..self }
    }

    /// What the pause after a failure begins with where the server names no time (`Retry-After`); it doubles with each
    /// further failure. 0.5 s if not set; from 0.1 s to [`longest_pause`](Self::longest_pause).
    ///
    /// Where the endpoint can't answer, the pause is drawn from the whole span up to that (full jitter); where it rejected
    /// what was sent, from the upper half, beginning with twice as much.
    #[must_use]
    pub fn first_pause(self, pause: Duration) -> Self {
        Self { first_pause: pause, ..self }
    }

    /// What that pause grows to, unless the credentials were rejected. 5 s if not set; at most an hour.
    #[must_use]
    pub fn longest_pause(self, pause: Duration) -> Self {
        Self { longest_pause: pause, ..self }
    }

    /// What that pause grows to while the provider rejects the credentials ([`ErrorKind::Credentials`](crate::ErrorKind::Credentials)), which may lock an
    /// account if it happens often. 60 s if not set; from 0.1 s to an hour. A
    /// [new credential](crate::RotatingEndpoint) ends the pause at once.
    #[must_use]
    pub fn longest_rejected_pause(self, pause: Duration) -> Self {
        Self { longest_rejected_pause: pause, ..self }
    }

    /// A longer `Retry-After` counts as this. An hour if not set, which is also the most; from 1 s.
    ///
    /// So that not all who were told the same come back at once, the exchange begins up to a tenth of that time later: at least
    /// up to 0.5 s, at most up to 5 s. Callers get the error until that time, and then wait for the exchange.
    #[must_use]
    pub fn longest_retry_after(self, span: Duration) -> Self {
        Self { longest_retry_after: span, ..self }
    }

    /// How long a token can't be [invalidated](crate::TokenCache::invalidate) again that came back after it was. 30 s if not
    /// set; from 1 s to an hour. Where each invalidation brings a new token, the time in which the next does nothing begins
    /// with a second and doubles up to this.
    #[must_use]
    pub fn invalidation_pause(self, pause: Duration) -> Self {
        Self { invalidation_pause: pause, ..self }
    }

    /// How long an exchange may take before it counts as failed. 30 s if not set, twice what
    /// [`Transport`](crate::Transport) allows; from 0.1 s to an hour.
    #[must_use]
    pub fn exchange_timeout(self, timeout: Duration) -> Self {
        Self { exchange_timeout: timeout, ..self }
    }

    /// Whether each setting is in its range.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), which names the setting and its range.
    pub fn check(&self) -> Result<(), Error> {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let seconds = |setting: Setting, value: Duration, least: Duration, most: Duration| {
            let range = || format!("must be from {} s to {} s", least.as_secs_f64(), most.as_secs_f64());
            if (least..=most).contains(&value) { Ok(()) } else { Err(outside(setting, range())) }
        };
        let part = |setting: Setting, value: f64, least: f64, most: f64| {
            let range = || format!("must be from {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(outside(setting, range())) }
        };
        let (tenth, second) = (Duration::from_millis(100), Duration::from_secs(1));
        part(Setting::RefreshAt, self.refresh_at, 0.1, 1.0)?;
        part(Setting::Jitter, self.jitter, 0.0, self.refresh_at / 2.0)?;
        seconds(Setting::AssumedLifetime, self.assumed_lifetime, second, 30 * 24 * HOUR)?;
        seconds(Setting::LongestPause, self.longest_pause, tenth, HOUR)?;
        seconds(Setting::LongestRejectedPause, self.longest_rejected_pause, tenth, HOUR)?;
        seconds(Setting::FirstPause, self.first_pause, tenth, self.longest_pause)?;
        seconds(Setting::LongestRetryAfter, self.longest_retry_after, second, HOUR)?;
        seconds(Setting::InvalidationPause, self.invalidation_pause, second, HOUR)?;
        seconds(Setting::ExchangeTimeout, self.exchange_timeout, tenth, HOUR)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

fn outside(setting: Setting, range: String) -> Error {
    Error::configuration(format!("the policy's {setting} {range}")).with_setting(setting)
}
