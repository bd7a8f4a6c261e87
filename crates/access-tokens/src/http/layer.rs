//! For `tower`.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{Request, Uri};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    grpc_timeout,
    origins::{Origins, Target},
    rules::{Deadline, Rules, copied, put, refuses},
};
use crate::TokenCache;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The future of one request.
pub type ResponseFuture<T> = Pin<Box<dyn Future<Output = Result<::http::Response<T>, BoxError>> + Send>>;

/// Puts a token on each request that goes through a `tower` service, such as hyper-util's `Client` or tonic's `Channel`; the
/// [module](super) has the rules.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use access_tokens::{TokenCache, http::{BearerLayer, Origins}, onence};
/// use bytes::Bytes;
/// use http_body_util::Empty;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
/// # let (api, url) = (sandbox.url(), sandbox.resource_url());
///
/// let credentials = onence::Credentials::new(username, password);
/// let cache = TokenCache::new(onence::Client::builder(credentials).base_url(&base_url).build()?);
/// let bearer = BearerLayer::new(cache, Origins::new([api])?); // such as https://api.1nce.com
/// let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
/// let mut client = ServiceBuilder::new().layer(bearer).service(client);
///
/// let request = http::Request::get(&url).body(Empty::new())?;
/// assert_eq!(client.ready().await?.call(request.clone()).await?.status(), 200);
///
/// // Revoked by the server: it answers 401, and the request is sent again with another token.
/// sandbox.revoke_all();
/// assert_eq!(client.ready().await?.call(request).await?.status(), 200);
/// # Ok(()) }
/// ```
///
/// # Where a request goes
///
/// The layer goes by the request's URI; one that is relative gets no token. So a client that tonic generated is to be made
/// with its `with_origin`, since the URIs of the others are relative. A layer that follows redirects belongs around this one,
/// which then looks at each hop.
///
/// # What is sent again
///
/// A request without a body, or what else [`replay`](Self::replay) is told; a type of body that isn't `Default` needs
/// [`ReplayNothing`] or another. What tonic sends is a stream: the caller gets the `UNAUTHENTICATED`, and the next call
/// has the new token. Of a request that may be sent again all but the body is cloned: version and extensions too.
///
/// # Errors
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use access_tokens::{Error, ErrorKind, TokenCache, http::{BearerLayer, Origins}, testing::ScriptedEndpoint};
/// # use tower::{ServiceBuilder, ServiceExt};
/// let down = ScriptedEndpoint::new().then(Error::new(ErrorKind::Unavailable, "a short outage"));
/// let bearer = BearerLayer::new(TokenCache::new(down), Origins::new(["https://api.1nce.com"])?);
/// # let client = tower::service_fn(|_: http::Request<String>| async { Ok::<http::Response<()>, Error>(panic!()) });
/// let client = ServiceBuilder::new().layer(bearer).service(client);
/// # let request = http::Request::get("https://api.1nce.com/").body(String::new())?;
///
/// let error = client.oneshot(request).await.unwrap_err();
/// assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Unavailable));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct BearerLayer<R = ReplayEmpty> {
    rules: Arc<Rules>,
    replay: R,
}

impl BearerLayer {
    /// Tokens of `cache` for requests to `origins`.
    pub fn new(cache: TokenCache, origins: Origins) -> Self {
        Self { rules: Arc::new(Rules::new(cache, origins)), replay: ReplayEmpty }
    }
}

impl<R> BearerLayer<R> {
    /// Which bodies are sent again: [`ReplayEmpty`] if not set, [`ReplayCloned`], [`ReplayNothing`], or a [`Replay`] of your
    /// own.
    #[must_use]
    pub fn replay<T>(self, replay: T) -> BearerLayer<T> {
        BearerLayer { rules: self.rules, replay }
    }

    /// How long a request waits for a token at most, where nothing around this layer sees to that. If not set, as long as
    /// `grpc-timeout` says, else as long as an exchange takes.
    #[must_use]
    pub fn token_timeout(self, timeout: Duration) -> Self {
        let rules = Rules { token_timeout: Some(timeout), ..Rules::clone(&self.rules) };
        Self { rules: Arc::new(rules), ..self }
    }
}

impl<S, R: Clone> Layer<S> for BearerLayer<R> {
    type Service = Bearer<S, R>;

    fn layer(&self, inner: S) -> Bearer<S, R> {
        Bearer { inner, rules: self.rules.clone(), replay: self.replay.clone() }
    }
}

/// Says which bodies can be sent again, after a 401.
///
/// A clone lives until the answer is there, so one of your own may clone less than [`ReplayCloned`]:
///
/// ```
/// use access_tokens::http::Replay;
/// use bytes::Bytes;
/// use http_body::Body;
/// use http_body_util::Full;
///
/// /// Bodies known to have no more than so many bytes.
/// #[derive(Clone)]
/// struct ReplayUpTo(u64);
///
/// impl<B: Body + Clone> Replay<B> for ReplayUpTo {
///     fn again(&self, body: &B) -> Option<B> {
///         body.size_hint().upper().filter(|&bytes| bytes <= self.0).map(|_| body.clone())
///     }
/// }
///
/// let body = Full::<Bytes>::from("twelve bytes");
/// assert!(ReplayUpTo(12).again(&body).is_some());
/// assert!(ReplayUpTo(11).again(&body).is_none());
/// ```
pub trait Replay<B> {
    /// The same body once more, if that can be had. Asked before the first is sent.
    fn again(&self, body: &B) -> Option<B>;
}

/// Bodies that are at their end before they have begun; `B::default()` is another.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayEmpty;

impl<B: Body + Default> Replay<B> for ReplayEmpty {
    fn again(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

/// All bodies, which can be cloned: `http_body_util::Full<Bytes>` can, at no cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayCloned;

impl<B: Clone> Replay<B> for ReplayCloned {
    fn again(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

/// No body. For those that aren't `Default`, of which [`ReplayEmpty`] can't make another: hyper's `Incoming`, for one,
/// which a gateway hands on as it comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayNothing;

impl<B> Replay<B> for ReplayNothing {
    fn again(&self, _: &B) -> Option<B> {
        None
    }
}

/// The service that [`BearerLayer`] makes of another.
#[derive(Debug, Clone)]
pub struct Bearer<S, R = ReplayEmpty> {
    inner: S,
    rules: Arc<Rules>,
    replay: R,
}

impl<S, R, B, T> Service<Request<B>> for Bearer<S, R>
where
    S: Service<Request<B>, Response = ::http::Response<T>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    R: Replay<B>,
    B: Send + 'static,
    T: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<T>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready; its clone need not be.
        let inner = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, inner);
        if self.rules.destination(request.headers(), target(request.uri())).is_none() {
            let response = inner.call(request);
            return Box::pin(async { response.await.map_err(Into::into) });
        }
        let (parts, body) = request.into_parts();
        let again = copied(|| Some(Request::from_parts(parts.clone(), self.replay.again(&body)?)));
        let mut request = Request::from_parts(parts, body);
        let rules = self.rules.clone();
        let deadline = Deadline::of(grpc_timeout::read(request.headers()));
        Box::pin(async move {
            let token = rules.token(deadline).await?;
            put(&token, request.headers_mut());
            grpc_timeout::write(deadline.left(), request.headers_mut());
            let response = inner.call(request).await.map_err(Into::into)?;
            if !refuses(response.status(), response.headers()) {
                return Ok(response);
            }
            match rules.replay(&token, again, deadline, Request::headers_mut).await {
                None => Ok(response),
                Some(mut again) => {
                    // Nobody reads it. Whatever it holds, such as a permit, the next may need.
                    drop(response);
                    poll_fn(|context| inner.poll_ready(context)).await.map_err(Into::into)?;
                    grpc_timeout::write(deadline.left(), again.headers_mut());
                    inner.call(again).await.map_err(Into::into)
                }
            }
        })
    }
}

fn target(uri: &Uri) -> Option<Target<'_>> {
    Some(Target { scheme: uri.scheme_str()?, host: uri.host()?, port: uri.port_u16() })
}
