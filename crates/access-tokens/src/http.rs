//! Tokens on requests: `BearerMiddleware` for clients of `reqwest-middleware`, and `BearerLayer` for `tower`, and so for hyper
//! and tonic, each behind the feature of that name.
//!
//! # Rules
//!
//! Both do the same:
//!
//! - A request to one of the [`Origins`] gets the header `Authorization: Bearer …` (RFC 6750 section 2.1), which is marked
//!   sensitive: it isn't logged, and HTTP/2 doesn't keep it in its compression tables. It is the token's own
//!   ([`AccessToken::header`]), so nothing is allocated for it.
//! - A request to any other origin goes out without a token, and so does one that already has an `Authorization` header:
//!   it goes out as it is, and its answer comes back as it is.
//! - Where no token can be had, the request isn't sent.
//! - Waiting for a token is part of the request: it counts towards the time-out that the request itself has, that of a
//!   `reqwest::Request` or the header `grpc-timeout`, and what is sent has what is left of it. A time-out of the whole client
//!   (`reqwest::ClientBuilder::timeout`) can't be seen from here and begins when the request is sent; for such there is
//!   `token_timeout`. A `tower` layer for time-outs belongs around this one, and then counts both.
//! - A 401 (RFC 6750 section 3, RFC 9110 section 11), or gRPC's `UNAUTHENTICATED` in the headers, from the origin that
//!   the token was sent to [invalidates](TokenCache::invalidate) that token. If another one can be had, and the body can be
//!   sent again, the request is: once, with the other token, and the caller gets the answer to that. Else the caller gets
//!   the first answer, untouched. Bodies are never held back for this: one that is a stream is sent once, and the next
//!   request has the new token.
//! - A hundred such answers to one token cause one exchange. A resource that refuses every token gets one or two requests for
//!   each of the caller's, and mostly one; the cache doesn't fetch a token for each of its refusals.
//!
//! # Errors
//!
//! Those of the client beneath, as it makes them; and where no token can be had, an [`Error`] of this crate, which says whose
//! move it is: in `reqwest_middleware::Error::Middleware`, or boxed, it can be downcast. With tonic it is the source of the
//! `Status`. A token that doesn't come in time is [`ErrorKind::Unavailable`]; the exchange goes on, for the next request.

#[cfg(feature = "tower")]
mod grpc_timeout;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod origins;

use std::{sync::Arc, time::Duration};

use ::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tracing::debug;

#[cfg(feature = "tower")]
pub use self::layer::{Bearer, BearerLayer, Replay, ReplayCloned, ReplayEmpty, ReplayNothing, ResponseFuture};
#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::BearerMiddleware;
pub use self::origins::Origins;
use self::origins::{Origin, Target};
use crate::{AccessToken, Error, ErrorKind, TokenCache, endpoint::caught_call};

/// What both go by.
#[derive(Debug, Clone)]
struct Rules {
    cache: TokenCache,
    origins: Origins,
    /// How long a request waits for a token at most.
    token_timeout: Option<Duration>,
}

/// When a request is to be over, which includes the waiting for its tokens; `None` if that is never.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    /// That of a request that comes now, with a time-out or without.
    fn of(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

impl Rules {
    fn new(cache: TokenCache, origins: Origins) -> Self {
        Self { cache, origins, token_timeout: None }
    }

    /// Where a request goes to, if a token is to go with it.
    fn destination(&self, headers: &HeaderMap, target: Option<Target<'_>>) -> Option<&Origin> {
        if headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let origin = target.and_then(|target| self.origins.find(target));
        if origin.is_none() {
            match target {
                Some(Target { scheme, host, port }) => debug!(scheme, host, port, "no token goes to this origin"),
                None => debug!("no token goes with a request whose URI doesn't say where to"),
            }
        }
        origin
    }

    /// A token to hold over a request, in time for that.
    async fn token(&self, deadline: Deadline) -> Result<Arc<AccessToken>, Error> {
        let late = || Error::new(ErrorKind::Unavailable, "no token came within the request's time-out; it wasn't sent");
        let token = async { Ok(self.cache.token().await?.to_owned()) };
        let token = match deadline.0.into_iter().chain(Deadline::of(self.token_timeout).0).min() {
            // Who drives no runtime has no timer either.
            Some(end) if Handle::try_current().is_ok() => timeout_at(end, token).await.map_err(|_| late())??,
            _ => token.await?,
        };
        if deadline.left().is_some_and(|left| left.is_zero()) { Err(late()) } else { Ok(token) }
    }

    /// Takes a refused token out of service. If the request can be sent again, gives it back with another token on it.
    async fn replay<T>(
        &self,
        refused: &AccessToken,
        again: Option<T>,
        deadline: Deadline,
        headers: fn(&mut T) -> &mut HeaderMap,
    ) -> Option<T> {
        self.cache.invalidate(refused);
        let mut again = again?;
        let token = self.token(deadline).await.ok().filter(|token| token.secret() != refused.secret())?;
        put(&token, headers(&mut again));
        debug!("a token was refused; the request is sent again with another");
        Some(again)
    }
}

/// A copy of a request, made by code of others; `None` if there is none, or that panics.
fn copied<T>(copy: impl FnOnce() -> Option<T>) -> Option<T> {
    caught_call(copy).flatten()
}

fn put(token: &AccessToken, headers: &mut HeaderMap) {
    headers.insert(AUTHORIZATION, token.header().clone());
}

/// Whether an answer refuses the token: 401, or gRPC's `UNAUTHENTICATED` where there is no message before the trailers, which
/// then come as headers.
fn refuses(status: StatusCode, headers: &HeaderMap) -> bool {
    const UNAUTHENTICATED: &str = "16";
    match status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::OK => headers.get("grpc-status").is_some_and(|status| status == UNAUTHENTICATED),
        _ => false,
    }
}
