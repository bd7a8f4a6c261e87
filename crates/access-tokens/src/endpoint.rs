//! The trait that joins the providers.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    AccessToken, Error, ErrorKind, TokenId,
    caught::{caught, caught_call},
};

/// The future of one exchange; boxed, which is nothing beside a request.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>;

/// One exchange with a token endpoint: credentials in, a token out, nothing kept.
///
/// [`onence::Client`](crate::onence::Client) and [`worldline::Client`](crate::worldline::Client) are token endpoints; so
/// can a type of yours be:
///
/// ```
/// use std::time::{Duration, Instant};
/// use access_tokens::{AccessToken, Exchange, TokenEndpoint};
///
/// #[derive(Debug)]
/// struct Fixed;
///
/// impl TokenEndpoint for Fixed {
///     fn provider(&self) -> &str {
///         "fixed"
///     }
///
///     fn exchange(&self) -> Exchange<'_> {
///         Box::pin(async {
///             let sent = Instant::now();
///             let secret = "mF_9.B5f-4.1JqM"; // what the server answers
///             Ok(AccessToken::new(secret)?.with_expires_in(Duration::from_secs(60)).with_age(sent.elapsed()))
///         })
///     }
/// }
/// ```
pub trait TokenEndpoint: fmt::Debug + Send + Sync {
    /// Names the provider in logs and output: `onence`, `worldline`, or a name of your own.
    fn provider(&self) -> &str;

    /// Asks the endpoint for a token, once.
    ///
    /// The clients of this crate must run in a tokio runtime with I/O and time enabled; where there is no runtime they answer
    /// [`Configuration`](crate::ErrorKind::Configuration).
    ///
    /// # Errors
    /// [`ErrorKind`](crate::ErrorKind) says whose move it is.
    fn exchange(&self) -> Exchange<'_>;

    /// Tells of new credentials, where an endpoint gets such while it runs; a cache then ends a pause after a rejection. An
    /// endpoint that wraps another passes this on.
    fn rotation(&self) -> Option<Rotation> {
        None
    }

    /// All that its tokens depend on, by which a fleet can share them through a
    /// [`SharedStore`](crate::store::SharedStore); `None` if they can't be shared. An endpoint that wraps another passes
    /// this on.
    ///
    /// ```
    /// # use access_tokens::TokenId;
    /// # struct Mine { base_url: String, client_id: String, client_secret: String }
    /// # impl Mine {
    /// fn token_id(&self) -> Option<TokenId> {
    ///     Some(TokenId::new("example", &self.base_url, &self.client_id, self.client_secret.as_bytes()))
    /// }
    /// # }
    /// ```
    fn token_id(&self) -> Option<TokenId> {
        None
    }
}

/// What a closure of a user builds.
pub(crate) fn built<T>(build: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    caught_call(build).unwrap_or_else(|| Err(Error::configuration("building a token endpoint panicked")))
}

/// One exchange, whatever the endpoint does.
pub(crate) async fn exchange(endpoint: &dyn TokenEndpoint, provider: &str) -> Result<AccessToken, Error> {
    let exchange = caught(async { endpoint.exchange().await });
    exchange.await.unwrap_or_else(|| Err(panicked(format!("of {provider} panicked in an exchange"))))
}

/// What the endpoint calls its provider.
pub(crate) fn provider_of(endpoint: &dyn TokenEndpoint) -> Result<String, Error> {
    let provider = caught_call(|| endpoint.provider().to_owned());
    provider.ok_or_else(|| panicked("panicked when asked for its provider"))
}

/// What its tokens are shared by.
pub(crate) fn token_id(endpoint: &dyn TokenEndpoint) -> Result<Option<TokenId>, Error> {
    let id = caught_call(|| endpoint.token_id());
    id.ok_or_else(|| panicked("panicked when asked for the id of its tokens"))
}

fn panicked(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Contract, format!("the token endpoint {what}"))
}

impl<T: TokenEndpoint + ?Sized> TokenEndpoint for Arc<T> {
    fn provider(&self) -> &str {
        (**self).provider()
    }

    fn exchange(&self) -> Exchange<'_> {
        (**self).exchange()
    }

    fn rotation(&self) -> Option<Rotation> {
        (**self).rotation()
    }

    fn token_id(&self) -> Option<TokenId> {
        (**self).token_id()
    }
}

impl<T: TokenEndpoint + ?Sized> TokenEndpoint for Box<T> {
    fn provider(&self) -> &str {
        (**self).provider()
    }

    fn exchange(&self) -> Exchange<'_> {
        (**self).exchange()
    }

    fn rotation(&self) -> Option<Rotation> {
        (**self).rotation()
    }

    fn token_id(&self) -> Option<TokenId> {
        (**self).token_id()
    }
}

/// Tells caches of the new credentials that an endpoint gets while it runs, for [`TokenEndpoint::rotation`].
///
/// ```
/// use access_tokens::Rotations;
///
/// let rotations = Rotations::default(); // kept by the endpoint
/// let _rotation = rotations.subscribe(); // what `TokenEndpoint::rotation` gives
/// rotations.tell(); // when there is a new credential
/// ```
#[derive(Default)]
pub struct Rotations {
    listeners: Arc<Mutex<Vec<Weak<Listener>>>>,
    has_fallback: Arc<AtomicBool>,
}

pub(crate) type Listener = dyn Fn() + Send + Sync;

impl Rotations {
    /// There is a new credential.
    pub fn tell(&self) {
        // Called after the lock is released: a listener takes its own.
        let mut listeners = Vec::new();
        let mut all = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|weak| weak.upgrade().map(|listener| listeners.push(listener)).is_some());
        drop(all);
        listeners.iter().for_each(|listener| listener());
    }

    /// What a cache is told by.
    pub fn subscribe(&self) -> Rotation {
        Rotation(Self { listeners: self.listeners.clone(), has_fallback: self.has_fallback.clone() })
    }

    /// Whether the endpoint has a credential to fall back on where the new one is rejected.
    pub(crate) fn set_fallback(&self, has_fallback: bool) {
        self.has_fallback.store(has_fallback, Ordering::Release);
    }
}

impl fmt::Debug for Rotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotations").finish_non_exhaustive()
    }
}

/// Tells of the new credentials of an endpoint; from [`Rotations::subscribe`].
#[derive(Debug)]
pub struct Rotation(Rotations);

impl Rotation {
    /// Has the listener called for each new credential, until it is dropped.
    pub(crate) fn listen(&self, listener: &Arc<Listener>) {
        let mut all = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|weak| weak.strong_count() > 0);
        all.push(Arc::downgrade(listener));
    }

    pub(crate) fn has_fallback(&self) -> bool {
        self.0.has_fallback.load(Ordering::Acquire)
    }
}
