//! What the endpoints read out of a request, in the one way that RFC 9110 has it.

use std::error::Error;
use std::iter;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_http::timeout::TimeoutError;

/// The largest body that a token endpoint or the control endpoint reads.
const BODY_LIMIT: usize = 64 * 1024;

/// The request's body, or what is answered if it can't be read.
pub(crate) async fn body(request: Request) -> Result<Bytes, StatusCode> {
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| unreadable(&*error))
}

/// What is answered if a body can't be read: 413 if it is too large, 408 if the client stops sending it, else 400.
pub(crate) fn unreadable(error: &(dyn Error + 'static)) -> StatusCode {
    let mut causes = iter::successors(Some(error), |&error| error.source());
    let status = causes.find_map(|cause| {
        if cause.is::<LengthLimitError>() {
            Some(StatusCode::PAYLOAD_TOO_LARGE)
        } else if cause.is::<TimeoutError>() {
            Some(StatusCode::REQUEST_TIMEOUT)
        } else {
            None
        }
    });
    status.unwrap_or(StatusCode::BAD_REQUEST)
}

/// The value of a header that must be there once, in text.
pub(crate) fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// What follows `scheme` (in any case) in the `Authorization` header.
pub(crate) fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, credentials) = only(headers, header::AUTHORIZATION)?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| credentials.trim_start_matches(' '))
}

/// Whether the body is said to be `media_type`, whatever its parameters.
pub(crate) fn is_content_type(headers: &HeaderMap, media_type: &str) -> bool {
    only(headers, header::CONTENT_TYPE)
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(media_type))
}
