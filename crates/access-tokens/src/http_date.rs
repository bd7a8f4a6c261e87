//! The times in an answer's headers: `Retry-After` and `Date`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};

/// `Retry-After` in either form (RFC 9110 section 10.2.3), or in seconds with a fraction, which counts as a whole one; at
/// most an hour. A date counts from the server's own `Date`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    let span = |value: &HeaderValue| {
        let value = value.to_str().ok()?.trim();
        let is_number =
            value.starts_with(|c: char| c.is_ascii_digit()) && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if is_number {
            // More digits than a number of seconds has: a very long time.
            return Some(Duration::try_from_secs_f64(value.parse::<f64>().ok()?.ceil()).unwrap_or(LONGEST));
        }
        let then = httpdate::parse_http_date(value).ok()?;
        Some(then.duration_since(date(headers).unwrap_or_else(SystemTime::now)).unwrap_or_default())
    };
    Some(headers.get_all(header::RETRY_AFTER).iter().find_map(span)?.min(LONGEST))
}

/// When the server says that it answered.
fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?.trim()).ok()
}

/// What its clock showed then, unless the answer comes from a store (`Age`, RFC 9111 section 5.1).
pub(crate) fn clock(headers: &HeaderMap) -> Option<SystemTime> {
    date(headers).filter(|_| !headers.contains_key(header::AGE))
}
