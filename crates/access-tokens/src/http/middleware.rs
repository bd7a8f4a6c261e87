//! For `reqwest-middleware`.

use std::time::Duration;

use ::http::Extensions;
use async_trait::async_trait;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use super::{
    origins::{Origins, Target},
    rules::{Deadline, Rules, copied, put, refuses},
};
use crate::TokenCache;

/// Puts a token on each request of a `reqwest_middleware::ClientWithMiddleware`; the [module](super) has the rules.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use access_tokens::{TokenCache, http::{BearerMiddleware, Origins}, onence};
/// use reqwest_middleware::ClientBuilder;
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
/// # let (api, url) = (sandbox.url(), sandbox.resource_url());
/// # let reqwest_client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
///
/// let credentials = onence::Credentials::new(username, password);
/// let cache = TokenCache::new(onence::Client::builder(credentials).base_url(&base_url).build()?);
/// let bearer = BearerMiddleware::new(cache, Origins::new([api])?); // such as https://api.1nce.com
/// let client = ClientBuilder::new(reqwest_client).with(bearer).build();
///
/// assert_eq!(client.get(&url).send().await?.status(), 200);
///
/// // Revoked by the server: it answers 401, and the request is sent again with another token.
/// sandbox.revoke_all();
/// assert_eq!(client.get(&url).send().await?.status(), 200);
/// # Ok(()) }
/// ```
///
/// # Beside other middlewares
///
/// Add it behind one that retries, so that each attempt has the token that is valid then.
///
/// Redirects are followed beneath it, by reqwest, which takes the token off for another scheme, host or port; what that other
/// origin answers doesn't invalidate the token. A body can be sent again if `reqwest::Request::try_clone` can clone it: any
/// but a stream.
///
/// # Errors
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use access_tokens::{Error, ErrorKind, TokenCache, http::{BearerMiddleware, Origins}, testing::ScriptedEndpoint};
/// # use reqwest_middleware::ClientBuilder;
/// # let reqwest_client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
/// let down = ScriptedEndpoint::new().then(Error::new(ErrorKind::Unavailable, "a short outage"));
/// let bearer = BearerMiddleware::new(TokenCache::new(down), Origins::new(["https://api.1nce.com"])?);
/// let client = ClientBuilder::new(reqwest_client).with(bearer).build();
///
/// match client.get("https://api.1nce.com/").send().await {
///     Err(reqwest_middleware::Error::Middleware(error)) => {
///         assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Unavailable));
///     }
///     other => panic!("it was sent without a token: {other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct BearerMiddleware {
    rules: Rules,
}

impl BearerMiddleware {
    /// Tokens of `cache` for requests to `origins`.
    pub fn new(cache: TokenCache, origins: Origins) -> Self {
        Self { rules: Rules::new(cache, origins) }
    }

    /// How long a request waits for a token at most, for clients with a time-out that isn't the request's own. If not set,
    /// as long as the request's time-out, else as long as an exchange takes.
    #[must_use]
    pub fn token_timeout(mut self, timeout: Duration) -> Self {
        self.rules.token_timeout = Some(timeout);
        self
    }
}

#[async_trait]
impl Middleware for BearerMiddleware {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let Some(origin) = self.rules.destination(request.headers(), Target::of(request.url())) else {
            return next.run(request, extensions).await;
        };
        let deadline = Deadline::of(request.timeout().copied());
        let token = self.rules.token(deadline).await.map_err(reqwest_middleware::Error::middleware)?;
        let again = copied(|| request.try_clone());
        put(&token, request.headers_mut());
        shorten(&mut request, deadline);
        let response = next.clone().run(request, extensions).await?;

        // After a redirect it may come from elsewhere, where the token didn't go.
        let from = Target::of(response.url()).and_then(|target| self.rules.origins.find(target));
        if from != Some(origin) || !refuses(response.status(), response.headers()) {
            return Ok(response);
        }
        match self.rules.replay(&token, again, deadline, Request::headers_mut).await {
            None => Ok(response),
            Some(mut again) => {
                // Nobody reads it.
                drop(response);
                shorten(&mut again, deadline);
                next.run(again, extensions).await
            }
        }
    }
}

/// Leaves a request what is left of its time-out, if it has one.
fn shorten(request: &mut Request, deadline: Deadline) {
    if let Some(left) = deadline.left() {
        *request.timeout_mut() = Some(left);
    }
}
