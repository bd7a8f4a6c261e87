//! What every generated client does around a request, and the specifications can't say: Basic authentication, no header
//! that nobody asked for, no endless answer. Codegen writes the few lines in each module that delegate to here.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, header::AUTHORIZATION};
use http_body_util::Limited;
use zeroize::Zeroizing;

use crate::Secret;

/// How much of an answer is read, in bytes. One that is longer ends in an error whose source chain holds
/// [`http_body_util::LengthLimitError`].
pub const BODY_LIMIT: usize = 64 * 1024;

/// How a client authenticates: HTTP Basic (RFC 7617), or not at all where the credentials are in the body.
///
/// ```
/// use access_tokens_raw::hooks::Authentication;
///
/// let basic = Authentication::basic("a@b.example", "open sesame").expect("there is no colon in the user name");
/// assert_eq!(format!("{basic:?}"), "Authentication([redacted])");
/// assert!(Authentication::basic("a:b", "open sesame").is_none());
/// ```
#[derive(Clone, Default)]
pub struct Authentication(Option<HeaderValue>);

impl Authentication {
    /// No `Authorization` header.
    pub fn none() -> Self {
        Self(None)
    }

    /// The user name and password as they are, in UTF-8: RFC 7617 knows no form encoding, which would turn the `@` of an
    /// e-mail address into `%40`. `None` if they can't be sent: a colon in the user name or a control character
    /// (RFC 7617 section 2).
    pub fn basic(username: &str, password: &str) -> Option<Self> {
        if username.contains(':') || [username, password].iter().any(|text| text.contains(|c: char| c.is_control())) {
            return None;
        }
        let credentials = Zeroizing::new(format!("{username}:{password}"));
        // Sized for the whole: growing would leave copies behind that nobody wipes.
        let mut header = String::with_capacity(16 + credentials.len() * 4 / 3);
        header.push_str("Basic ");
        BASE64_STANDARD.encode_string(credentials.as_bytes(), &mut header);
        Secret::from(header).into_header().map(Some).map(Self)
    }

    /// The header's credentials in clear, without `Basic `.
    pub fn expose(&self) -> Option<&str> {
        self.0.as_ref()?.to_str().ok()?.strip_prefix("Basic ")
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Authentication([redacted])" } else { "Authentication(none)" })
    }
}

/// Before a request is sent.
pub fn pre(authentication: &Authentication, request: &mut reqwest::Request) {
    let headers = request.headers_mut();
    // The generator sends its own convention to servers that never asked for it. Quirk api-version-header.
    headers.remove("api-version");
    // Quirk onence-basic-scheme-ignored.
    if let Some(basic) = &authentication.0 {
        headers.insert(AUTHORIZATION, basic.clone());
    }
}

/// Sends a request; of the answer's body no more than [`BODY_LIMIT`] is read.
///
/// # Errors
/// What `client` says.
pub async fn exec(client: &reqwest::Client, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
    // Quirk endless-answers.
    let response: http::Response<reqwest::Body> = client.execute(request).await?.into();
    Ok(response.map(|body| reqwest::Body::wrap(Limited::new(body, BODY_LIMIT))).into())
}
