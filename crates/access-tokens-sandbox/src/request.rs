//! What the endpoints read out of a request, in the one way that RFC 9110 has it.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The largest body that a token endpoint or the control endpoint reads.
const BODY_LIMIT: usize = 64 * 1024;

/// The request's body, or the 413 that it gets for being too large (or for never arriving whole).
pub(crate) async fn body(request: Request) -> Result<Bytes, Response> {
    axum::body::to_bytes(request.into_body(), BODY_LIMIT)
        .await
        .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())
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
