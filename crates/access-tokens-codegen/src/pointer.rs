//! JSON pointers (RFC 6901).

/// A member's name as a segment of a JSON pointer (RFC 6901 section 3).
pub(crate) fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// The name that a segment stands for.
#[cfg(feature = "regen")]
pub(crate) fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
