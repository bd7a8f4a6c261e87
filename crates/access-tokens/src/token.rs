//! The token that everybody wants.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use access_tokens_raw::Secret;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Scopes, clock::Moment};

const BEARER: &str = "Bearer ";

/// A life longer than this counts as this.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An access token (RFC 6749 section 1.4) of type bearer (RFC 6750), with what is known about it.
///
/// ```
/// use std::time::Duration;
/// use access_tokens::AccessToken;
///
/// let token = AccessToken::new("mF_9.B5f-4.1JqM")?.with_expires_in(Duration::from_secs(3600));
/// assert_eq!(token.secret(), "mF_9.B5f-4.1JqM");
/// assert_eq!(token.header(), "Bearer mF_9.B5f-4.1JqM");
/// assert!(token.header().is_sensitive());
/// assert!(!format!("{token:?}").contains("mF_9"));
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct AccessToken {
    /// The only copy of the token: the header's bytes, wiped when the last clone of them is gone.
    header: HeaderValue,
    since: Moment,
    /// How old it was then.
    age: Duration,
    expires_in: Option<Duration>,
    scopes: Scopes,
    missing_scopes: Scopes,
    user_id: Option<Box<str>>,
    /// Whether each of the clients that brought it, one around the other, is still the one in use; of those that rotate.
    in_use: Vec<Arc<AtomicBool>>,
}

impl AccessToken {
    /// A token whose life begins now and whose end isn't known. Where an answer was waited for, its life began just before
    /// the request was sent: see [`with_age`](Self::with_age).
    ///
    /// # Errors
    /// [`ErrorKind::Contract`] if it can't be sent in a header: empty, or anything but visible ASCII.
    pub fn new(secret: impl Into<String>) -> Result<Self, Error> {
        let secret = Zeroizing::new(secret.into());
        let contract = |what| Error::new(ErrorKind::Contract, format!("the access token {what}"));
        if secret.is_empty() {
            return Err(contract("is empty"));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(contract("holds characters that a header can't"));
        }
        let header = Secret::from([BEARER, &secret].concat());
        let header = header.into_header().ok_or_else(|| contract("can't be sent in a header"))?;
        Ok(Self {
            header,
            since: Moment::now(),
            age: Duration::ZERO,
            expires_in: None,
            scopes: Scopes::none(),
            missing_scopes: Scopes::none(),
            user_id: None,
            in_use: Vec::new(),
        })
    }

    /// Sets how long it lives from its beginning; more than 30 days counts as 30 days.
    #[must_use]
    pub fn with_expires_in(self, expires_in: Duration) -> Self {
        Self { expires_in: Some(expires_in.min(LONGEST_LIFE)), ..self }
    }

    /// Sets the scopes that were granted.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// Sets how long ago its life began: the time since just before the request was sent.
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Sets the scopes that were asked for and not granted.
    #[must_use]
    pub fn with_missing_scopes(self, missing_scopes: Scopes) -> Self {
        Self { missing_scopes, ..self }
    }

    /// Sets the user that it was issued to.
    #[must_use]
    pub fn with_user_id(self, user_id: impl Into<Box<str>>) -> Self {
        Self { user_id: Some(user_id.into()), ..self }
    }

    pub(crate) fn with_since(self, since: Moment) -> Self {
        Self { since, ..self }
    }

    /// It was brought by a client that another can replace, which `in_use` then says.
    pub(crate) fn with_client(mut self, in_use: Arc<AtomicBool>) -> Self {
        self.in_use.push(in_use);
        self
    }

    /// Whether no other client has taken the place of the one that brought it.
    pub(crate) fn is_of_client_in_use(&self) -> bool {
        self.in_use.iter().all(|in_use| in_use.load(Ordering::Acquire))
    }

    /// At least `age` old: not every endpoint knows how long its answer took.
    pub(crate) fn with_least_age(self, age: Duration) -> Self {
        let age = self.age + age.saturating_sub(self.age());
        Self { age, ..self }
    }

    /// Stands where there is no token yet, and is given to nobody.
    pub(crate) fn none() -> Self {
        Self {
            header: HeaderValue::from_static(BEARER),
            since: Moment::PAST,
            age: Duration::ZERO,
            expires_in: None,
            scopes: Scopes::none(),
            missing_scopes: Scopes::none(),
            user_id: None,
            in_use: Vec::new(),
        }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn granted_at(&self) -> SystemTime {
        self.since.minus(self.age).wall()
    }

    /// How long ago its life began.
    pub(crate) fn age(&self) -> Duration {
        self.age.saturating_add(Moment::now().since(self.since))
    }

    /// The token in clear. Prefer [`header`](Self::header), which can't be logged by accident.
    pub fn secret(&self) -> &str {
        self.header.to_str().ok().and_then(|header| header.strip_prefix(BEARER)).unwrap_or_default()
    }

    /// `Bearer <token>`, ready for an `Authorization` header and marked sensitive. A clone of it costs no allocation.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The type of the token, as RFC 6750 spells it. Any other than `Bearer` is refused when it comes.
    pub fn token_type(&self) -> &'static str {
        "Bearer"
    }

    /// How long the server said it would live (`expires_in`), at most 30 days; `None` if it didn't say.
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// When it ends by the wall clock: the moment just before the request was sent, plus [`expires_in`](Self::expires_in),
    /// less a margin of a tenth of it and at most a second, since servers round. `None` if the server didn't say.
    pub fn expires_at(&self) -> Option<SystemTime> {
        Some(self.since.plus(self.span()?).wall())
    }

    /// How long until [`expires_at`](Self::expires_at); zero afterwards. Neither a suspended machine nor a wall clock that
    /// was set back makes it longer. `None` if the server didn't say.
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.span()?.saturating_sub(Moment::now().since(self.since)))
    }

    /// What it had left to live at `since`, less the margin.
    fn span(&self) -> Option<Duration> {
        Some(self.expires_in?.saturating_sub(margin(self.expires_in?)).saturating_sub(self.age))
    }

    /// What the server granted; if it didn't say, what was asked for (RFC 6749 section 5.1).
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// What was asked for and not granted. A server may do so and still answer 200 (RFC 6749 section 3.3).
    pub fn missing_scopes(&self) -> &Scopes {
        &self.missing_scopes
    }

    /// 1NCE's `userId` or `user_id`, as text whatever JSON type it came in.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }
}

/// How much earlier than the server says a token with such a life counts as ended, since servers round.
pub(crate) fn margin(expires_in: Duration) -> Duration {
    (expires_in / 10).min(Duration::from_secs(1))
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("secret", &format_args!("[redacted]"))
            .field("remaining", &self.remaining())
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
