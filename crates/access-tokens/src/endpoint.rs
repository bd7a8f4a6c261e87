//! The trait that joins the providers.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{AccessToken, Error};

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
}

impl<T: TokenEndpoint + ?Sized> TokenEndpoint for Arc<T> {
    fn provider(&self) -> &str {
        (**self).provider()
    }

    fn exchange(&self) -> Exchange<'_> {
        (**self).exchange()
    }
}
