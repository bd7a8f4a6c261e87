//! Tokens on requests: `BearerMiddleware` for clients of `reqwest-middleware`, and `BearerLayer` for `tower`, and so for hyper
//! and tonic, each behind the feature of that name.
//!
//! # Rules
//!
//! Both do the same:
//!
//! - A request to one of the [`Origins`] gets the header `Authorization: Bearer …` (RFC 6750 section 2.1), which is marked
//!   sensitive: it isn't logged, and HTTP/2 doesn't keep it in its compression tables. It is the token's own
//!   ([`AccessToken::header`](crate::AccessToken::header)), so nothing is allocated for it.
//! - A request to any other origin goes out without a token, and so does one that already has an `Authorization` header:
//!   it goes out as it is, and its answer comes back as it is.
//! - Where no token can be had, the request isn't sent.
//! - Waiting for a token is part of the request: it counts towards the time-out that the request itself has, that of a
//!   `reqwest::Request` or the header `grpc-timeout`, and what is sent has what is left of it. A time-out of the whole client
//!   (`reqwest::ClientBuilder::timeout`) can't be seen from here and begins when the request is sent; for such there is
//!   `token_timeout`. A `tower` layer for time-outs belongs around this one, and then counts both.
//! - A 401 (RFC 6750 section 3, RFC 9110 section 11), or gRPC's `UNAUTHENTICATED` in the headers, from the origin that
//!   the token was sent to [invalidates](crate::TokenCache::invalidate) that token. If another one can be had, and the body can be
//!   sent again, the request is: once, with the other token, and the caller gets the answer to that. Else the caller gets
//!   the first answer, untouched. Bodies are never held back for this: one that is a stream is sent once, and the next
//!   request has the new token.
//! - A hundred such answers to one token cause one exchange. A resource that refuses every token gets one or two requests for
//!   each of the caller's, and mostly one; the cache doesn't fetch a token for each of its refusals.
//!
//! # Errors
//!
//! Those of the client beneath, as it makes them; and where no token can be had, an [`Error`](crate::Error) of this crate, which says whose
//! move it is: in `reqwest_middleware::Error::Middleware`, or boxed, it can be downcast. With tonic it is the source of the
//! `Status`. A token that doesn't come in time is [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable); the exchange goes on, for the next request.

#[cfg(feature = "tower")]
mod grpc_timeout;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod origins;
mod rules;

#[cfg(feature = "tower")]
pub use self::layer::{Bearer, BearerLayer, Replay, ReplayCloned, ReplayEmpty, ReplayNothing, ResponseFuture};
#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::BearerMiddleware;
pub use self::origins::Origins;
