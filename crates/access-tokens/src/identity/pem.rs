//! Reads PEM (RFC 7468) as files and environment variables hold it. The only reader of PEM in the workspace.

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::named::Named;
use crate::Error;

/// One section: what is between a `BEGIN` and its `END`.
pub(super) struct Section {
    pub(super) label: String,
    /// Empty if OpenSSL's old encryption is on it.
    pub(super) der: Zeroizing<Vec<u8>>,
    /// Encrypted by OpenSSL before it knew PKCS#8: the section begins with headers.
    pub(super) is_old_encryption: bool,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Windows editors put a byte order mark in front of text.
pub(super) fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Whether the text is UTF-16, by its byte order mark. No DER begins so.
pub(super) fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// PEM may have any text before it. An `END` alone is PEM whose first line is damaged.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    split(bytes, BEGIN).is_some() || split(bytes, END).is_some()
}

/// All sections in their order. Text between sections is skipped; a section that is broken is an error.
///
/// Only the markers and base64 count, so line breaks may be missing, doubled, or written as `\n`, and lines may be indented.
pub(super) fn sections(named: &Named<'_>) -> Result<Vec<Section>, Error> {
    let mut sections = Vec::new();
    let mut rest = named.bytes;
    loop {
        let (before, after) = split(rest, BEGIN).map_or((rest, None), |(before, after)| (before, Some(after)));
        if split(before, END).is_some() {
            let what = "its PEM has an END line without a BEGIN line; copy it again, with all dashes";
            return Err(named.error(what));
        }
        let Some(after) = after else { return Ok(sections) };
        let broken = |what: &str| {
            let number = sections.len() + 1;
            named.error(format!("its PEM is damaged or cut off: section {number} {what}; copy it again"))
        };
        let (label, after) = split(after, DASHES).ok_or_else(|| broken("has a damaged BEGIN line"))?;
        let label = label_of(label).ok_or_else(|| broken("has a damaged BEGIN line"))?;
        let no_end = || broken(&format!("({label}) has no END line"));
        let (body, after) = split(after, DASHES).ok_or_else(no_end)?;
        let (end, after) = after.strip_prefix(b"END ").and_then(|end| split(end, DASHES)).ok_or_else(no_end)?;
        if end != label.as_bytes() {
            return Err(broken(&format!(
                "begins as {label} and ends as {}",
                label_of(end).unwrap_or("something else")
            )));
        }
        let is_old_encryption = split(body, b"Proc-Type:").is_some();
        let der = if is_old_encryption { Some(Zeroizing::default()) } else { decoded(body) };
        let der =
            der.ok_or_else(|| broken(&format!("({label}) holds something else than base64, or not all of it")))?;
        sections.push(Section { label: label.to_owned(), der, is_old_encryption });
        rest = after;
    }
}

/// None unless it looks like a label: messages repeat it, and in its place may be a part of the key.
fn label_of(bytes: &[u8]) -> Option<&str> {
    let is_label =
        bytes.len() <= 64 && bytes.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-'));
    std::str::from_utf8(bytes).ok().filter(|_| is_label)
}

/// Base64 with any white space, also where it is written as `\n`.
pub(super) fn decoded(body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // As large as they get at the start: growing would leave copies of a key behind.
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    let mut is_escape = false;
    for byte in body {
        match byte {
            b'\\' => is_escape = true,
            b'n' | b'r' | b't' if is_escape => is_escape = false,
            byte if byte.is_ascii_whitespace() => is_escape = false,
            _ if is_escape => return None,
            byte => base64.push(*byte),
        }
    }
    let mut der = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(base64.len())));
    BASE64_STANDARD.decode_vec(&*base64, &mut der).ok()?;
    Some(der)
}

/// What is before and behind the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let position = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((bytes.get(..position)?, bytes.get(position + mark.len()..)?))
}
