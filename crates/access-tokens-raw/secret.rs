//! What every `format: password` of a specification becomes: values that neither `Debug` nor a log can show.
//!
//! Our own buffers are wiped on drop. That ends where a value leaves them: what serde, the TLS library or the kernel
//! copied on the way stays theirs.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

const REDACTED: &str = "[redacted]";

/// A secret text (`type: string, format: password`). It is serialized in clear, since that is how it reaches the server.
///
/// ```
/// use access_tokens_raw::Secret;
///
/// let secret = Secret::from("open sesame".to_owned());
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// assert_eq!(secret.expose(), "open sesame");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text in clear.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text as a header marked sensitive, without a further copy: its bytes are wiped when the last clone of the header
    /// is gone. `None` if a header can't hold it (RFC 9110 section 5.5).
    pub fn into_header(self) -> Option<HeaderValue> {
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(self)).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A JSON value that may be secret or hold a secret (`format: password` without a type).
///
/// ```
/// use access_tokens_raw::SecretValue;
///
/// let value: SecretValue = serde_json::from_str(r#"{"id_token": "eyJ"}"#)?;
/// assert_eq!(format!("{value:?}"), "[redacted]");
/// assert_eq!(value.expose()["id_token"], "eyJ");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretValue(Value);

impl SecretValue {
    /// The value in clear.
    pub fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Drop for SecretValue {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
