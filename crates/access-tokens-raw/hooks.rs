//! What every generated client does around a request, and the specifications can't say: Basic authentication, no header
//! that nobody asked for, no endless answer. Codegen writes the few lines in each module that delegate to here.

use std::{borrow::Cow, cell::RefCell, fmt, future::Future};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, AUTHORIZATION},
};
use http_body_util::{LengthLimitError, Limited};
use serde::de::IgnoredAny;
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
    // Without it any coding would do (RFC 9110 section 12.5.3), and nothing here decodes one. Quirk compressed-answers.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // Quirk onence-basic-scheme-ignored.
    if let Some(basic) = &authentication.0 {
        headers.insert(AUTHORIZATION, basic.clone());
    }
}

/// Sends a request and reads its answer, of whose body no more than [`BODY_LIMIT`] is read.
///
/// The body becomes UTF-8 without a byte order mark. A JSON document that is whole when the connection breaks counts as a
/// whole answer: servers close TLS without saying so, and announce wrong lengths.
///
/// # Errors
/// What `client` says.
pub async fn exec(client: &reqwest::Client, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
    // Quirk endless-answers.
    let response: http::Response<reqwest::Body> = client.execute(request).await?.into();
    let mut response: reqwest::Response =
        response.map(|body| reqwest::Body::wrap(Limited::new(body, BODY_LIMIT))).into();
    let body = body_of(&mut response).await;
    let (status, headers) = (response.status(), response.headers().clone());
    // Nobody may want it.
    let _ =
        ANSWER.try_with(|answer| answer.replace(Some(Answer { status, headers, body: body.as_ref().ok().cloned() })));
    let response: http::Response<reqwest::Body> = response.into();
    let body = body?;
    Ok(response.map(|_| reqwest::Body::from(body)).into())
}

/// An answer as it came, with all that a generated client doesn't keep of it: an answer that isn't of the documented shape
/// loses its status and headers there, and one that is, all other members. From [`recorded`].
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body in UTF-8; `None` if it broke off or was too long. Its buffer is wiped on drop.
    pub body: Option<Bytes>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

tokio::task_local! {
    static ANSWER: RefCell<Option<Answer>>;
}

/// Makes a call of a generated client, and gives the answer beside what the client makes of it. `None` if no answer came.
pub async fn recorded<T>(call: impl Future<Output = T>) -> (T, Option<Answer>) {
    let recording = async {
        let outcome = call.await;
        (outcome, ANSWER.with(RefCell::take))
    };
    ANSWER.scope(RefCell::default(), recording).await
}

async fn body_of(response: &mut reqwest::Response) -> reqwest::Result<Bytes> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    // Growing leaves copies behind that nobody wipes, so a body without a length gets room for the longest.
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(BODY_LIMIT).min(BODY_LIMIT)));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) if !is_cut_off(&error) || serde_json::from_slice::<IgnoredAny>(&body).is_err() => {
                return Err(error);
            }
            Err(_) => break,
        }
    }
    Ok(match utf8(&body) {
        Cow::Borrowed(text) if text.len() == body.len() => Bytes::from_owner(body),
        text => Bytes::from_owner(Zeroizing::new(text.into_owned())),
    })
}

/// Whether the other side ended the connection, rather than that we had enough of it.
fn is_cut_off(error: &reqwest::Error) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    let mut chain = std::iter::successors(Some(first), |error| error.source());
    !error.is_timeout() && !chain.any(|error| error.is::<LengthLimitError>())
}

/// Without a byte order mark; what isn't UTF-8 is taken for ISO-8859-1, in which every byte is a character.
// Quirk answers-in-other-encodings.
fn utf8(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            // Two bytes at most for each: growing would leave copies behind.
            let mut text = String::with_capacity(2 * body.len());
            text.extend(body.iter().copied().map(char::from));
            Cow::Owned(text)
        }
    }
}
