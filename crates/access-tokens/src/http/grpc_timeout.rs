//! The header `grpc-timeout` (gRPC over HTTP/2, "Requests"): how long a call may take, in at most eight digits and a unit.

use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};

const NAME: HeaderName = HeaderName::from_static("grpc-timeout");

const MOST: u32 = 99_999_999;

/// The finest first.
const UNITS: [(u8, Duration); 6] = [
    (b'n', Duration::from_nanos(1)),
    (b'u', Duration::from_micros(1)),
    (b'm', Duration::from_millis(1)),
    (b'S', Duration::from_secs(1)),
    (b'M', Duration::from_secs(60)),
    (b'H', Duration::from_secs(60 * 60)),
];

/// What can't be read is left to the server.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let (name, digits) = headers.get(NAME)?.as_bytes().split_last()?;
    let (_, unit) = UNITS.iter().find(|(unit, _)| unit == name)?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let count = digits.parse().ok().filter(|count| *count <= MOST)?;
    unit.checked_mul(count)
}

/// Sets it to what is left of it, in the finest unit that has room for that.
pub(super) fn write(left: Option<Duration>, headers: &mut HeaderMap) {
    let Some(left) = left else { return };
    let count = |unit: Duration| left.as_nanos() / unit.as_nanos();
    let finest = UNITS.iter().find(|(_, unit)| count(*unit) <= u128::from(MOST));
    let value =
        finest.and_then(|(name, unit)| HeaderValue::try_from(format!("{}{}", count(*unit), char::from(*name))).ok());
    if let Some(value) = value {
        headers.insert(NAME, value);
    }
}
