//! The rules that the middleware and the layer have in common.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tracing::debug;

use super::origins::{Origin, Origins, Target};
use crate::{AccessToken, Error, ErrorKind, TokenCache, caught::caught_call};

/// What both go by.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) cache: TokenCache,
    pub(super) origins: Origins,
    /// How long a request waits for a token at most.
    pub(super) token_timeout: Option<Duration>,
}

/// When a request is to be over, which includes the waiting for its tokens; `None` if that is never.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// That of a request that comes now, with a time-out or without.
    pub(super) fn of(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    pub(super) fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

impl Rules {
    pub(super) fn new(cache: TokenCache, origins: Origins) -> Self {
        Self { cache, origins, token_timeout: None }
    }

    /// Where a request goes to, if a token is to go with it.
    pub(super) fn destination(&self, headers: &HeaderMap, target: Option<Target<'_>>) -> Option<&Origin> {
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
    pub(super) async fn token(&self, deadline: Deadline) -> Result<Arc<AccessToken>, Error> {
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
    pub(super) async fn replay<T>(
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
pub(super) fn copied<T>(copy: impl FnOnce() -> Option<T>) -> Option<T> {
    caught_call(copy).flatten()
}

pub(super) fn put(token: &AccessToken, headers: &mut HeaderMap) {
    headers.insert(AUTHORIZATION, token.header().clone());
}

/// Whether an answer refuses the token: 401, or gRPC's `UNAUTHENTICATED` where there is no message before the trailers, which
/// then come as headers.
pub(super) fn refuses(status: StatusCode, headers: &HeaderMap) -> bool {
    const UNAUTHENTICATED: &str = "16";
    match status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::OK => headers.get("grpc-status").is_some_and(|status| status == UNAUTHENTICATED),
        _ => false,
    }
}
