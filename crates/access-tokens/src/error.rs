//! The one error type, sorted by who has to act.
//!
//! What may leave the process, and what may not: a server's answer can hold a token, and a proxy's can hold anything. So
//! the message is ours alone; of the answer only the status, the provider's error code (if it looks like one) and, behind
//! [`Error::description`], its words are kept, unless they hold a secret of ours, cleaned of anything too long to be prose.
//! Bodies never are, nor are the texts of parsers, which quote what they read.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::{Obstacle, Setting, cause::Cause};

/// Why there is no token. Cheap to clone, so that all who waited for one exchange can have it.
///
/// ```
/// use access_tokens::{ErrorKind, worldline::Realm};
///
/// let error = Realm::new("..").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's: a setting is wrong, and nothing was sent. Or there is an [obstacle](Error::obstacle) that lasts until somebody
    /// acts, such as a certificate that isn't trusted, or a client certificate that is missing: the message says who. A cache
    /// tries again all the same.
    Configuration,
    /// The operator's: the provider rejected the credentials.
    Credentials,
    /// The caller's: the provider rejected something else in the request, such as a scope or the realm; or something before
    /// the provider, such as a firewall, refused access.
    Request,
    /// Nobody's, wait: the provider asks for fewer requests; see [`Error::retry_after`].
    Throttled,
    /// Nobody's, wait: the provider can't be reached, or is failing.
    Unavailable,
    /// The provider's: it answered something that isn't a token response.
    Contract,
}

impl ErrorKind {
    const ALL: [Self; 6] =
        [Self::Configuration, Self::Credentials, Self::Request, Self::Throttled, Self::Unavailable, Self::Contract];

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// As metrics have it, and the instances of a fleet among each other.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Credentials => "credentials",
            Self::Request => "request",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Contract => "contract",
        }
    }
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    setting: Option<Setting>,
    item: Option<usize>,
    obstacle: Option<Obstacle>,
    provider: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    description: Option<String>,
    retry_after: Option<Duration>,
    spent: bool,
    server_clock: Option<i64>,
    shared_pause: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of your own, for a [`TokenEndpoint`](crate::TokenEndpoint) of your own. The message is shown to people: no
    /// secret, no body, and not the text of a [`source`](StdError::source).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            setting: None,
            item: None,
            obstacle: None,
            provider: None,
            status: None,
            code: None,
            description: None,
            retry_after: None,
            spent: false,
            server_clock: None,
            shared_pause: None,
            source: None,
        }))
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Adds the cause, which [`source`](StdError::source) gives.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Adds the setting that is wrong.
    #[must_use]
    pub fn with_setting(self, setting: Setting) -> Self {
        self.with(|inner| inner.setting = Some(setting))
    }

    /// Adds which item of a setting with several is wrong, counted from 0.
    #[must_use]
    pub fn with_item(self, item: usize) -> Self {
        self.with(|inner| inner.item = Some(item))
    }

    /// Adds the time that the server asked to wait.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(retry_after))
    }

    /// Adds the HTTP status of the answer. An error with one is the server's word, which holds for a whole fleet; one without is
    /// taken for this machine's.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        self.with(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_provider(self, provider: &str) -> Self {
        self.with(|inner| inner.provider = Some(provider.to_owned()))
    }

    /// Adds what stood between this machine and the server.
    pub(crate) fn with_obstacle(self, obstacle: Obstacle) -> Self {
        self.with(|inner| inner.obstacle = Some(obstacle))
    }

    /// The refusal's `Date` says that the server's clock is so many nanoseconds ahead of this machine's.
    pub(crate) fn with_server_clock(self, ahead: Option<i64>) -> Self {
        self.with(|inner| inner.server_clock = ahead)
    }

    pub(crate) fn server_clock(&self) -> Option<i64> {
        self.0.server_clock
    }

    /// What came was a token without any life left: an `expires_in` of zero, as servers give one out that round down.
    pub(crate) fn with_spent(self) -> Self {
        self.with(|inner| inner.spent = true)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.spent
    }

    /// It was another instance's exchange that failed so, and nobody of the fleet is to ask for that long.
    pub(crate) fn with_shared_pause(self, left: Duration) -> Self {
        self.with(|inner| inner.shared_pause = Some(left))
    }

    pub(crate) fn shared_pause(&self) -> Option<Duration> {
        self.0.shared_pause
    }

    /// Whether the server asked to wait, whatever is sent then. Zero names no time.
    pub(crate) fn names_a_time(&self) -> bool {
        self.is_retryable() && self.retry_after().is_some_and(|span| !span.is_zero())
    }

    pub(crate) fn with_answer(
        self,
        status: u16,
        code: Option<String>,
        description: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        self.with(|inner| {
            inner.status = Some(status);
            inner.code = code;
            inner.description = description;
            inner.retry_after = retry_after;
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Whose move it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The setting that is wrong, where one is.
    pub fn setting(&self) -> Option<Setting> {
        self.0.setting
    }

    /// Which item of [that setting](Self::setting) is wrong, counted from 0, where it has several: one of the roots, of the keys or
    /// of the URLs of a store.
    pub fn item(&self) -> Option<usize> {
        self.0.item
    }

    /// What stood between this machine and the server, where no answer came, or one that says so: a client certificate that is
    /// missing.
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.0.obstacle
    }

    /// Why, in the words of whoever found out, such as `Connection refused (os error 111)`: the innermost
    /// [`source`](StdError::source), in one line of at most 300 characters, without control and invisible ones. To show both, there
    /// is `{:#}`:
    ///
    /// ```
    /// use access_tokens::{Error, ErrorKind};
    ///
    /// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    /// let error = Error::new(ErrorKind::Unavailable, "the KMS can't be reached").with_source(refused);
    /// assert_eq!(format!("{error}"), "the KMS can't be reached");
    /// assert_eq!(format!("{error:#}"), "the KMS can't be reached: connection refused");
    /// ```
    pub fn cause(&self) -> Option<String> {
        self.source().map(|source| Cause::of(source).to_string()).filter(|cause| !cause.is_empty())
    }

    /// Whether the same request may succeed later: [`Throttled`](ErrorKind::Throttled) and
    /// [`Unavailable`](ErrorKind::Unavailable).
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Throttled | ErrorKind::Unavailable)
    }

    /// The provider that answered or was to answer, as [`TokenEndpoint::provider`](crate::TokenEndpoint::provider) names it.
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The HTTP status of the answer, where one came that is an error; 200 where a server says with a 200 that it failed.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The provider's own error code, such as `BadCredentials` or `invalid_client`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The error code, if it is this provider's.
    pub(crate) fn code_of(&self, provider: &str) -> Option<&str> {
        self.code().filter(|_| self.provider() == Some(provider))
    }

    /// What the provider said to its error code, or in its place. Text of a server: at most 300 characters, without control
    /// and invisible characters and words too long to be prose, and left out where it holds a secret of ours; still nothing
    /// to act upon.
    pub fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// How long the server asked to wait (`Retry-After`, RFC 9110 section 10.2.3); the clients of this crate take an
    /// hour at most.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    /// The message; with `{:#}` the [cause](Self::cause) behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause().filter(|_| f.alternate()) {
            Some(cause) => write!(f, "{}: {cause}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the description: it is the server's text.
        let Inner {
            kind,
            message,
            setting,
            item,
            obstacle,
            provider,
            status,
            code,
            description: _,
            retry_after,
            spent: _,
            server_clock: _,
            shared_pause: _,
            source,
        } = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", kind).field("message", message);
        let mut some = |name, value: Option<&dyn fmt::Debug>| {
            if let Some(value) = value {
                debug.field(name, value);
            }
        };
        some("setting", setting.as_ref().map(|value| value as _));
        some("item", item.as_ref().map(|value| value as _));
        some("obstacle", obstacle.as_ref().map(|value| value as _));
        some("provider", provider.as_ref().map(|value| value as _));
        some("status", status.as_ref().map(|value| value as _));
        some("code", code.as_ref().map(|value| value as _));
        some("retry_after", retry_after.as_ref().map(|value| value as _));
        some("source", source.as_ref().map(|value| value as _));
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
