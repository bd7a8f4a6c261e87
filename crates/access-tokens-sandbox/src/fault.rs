//! Faults: what they are, and what makes one unfit to be served. `fault/json.rs` reads them from JSON.
//!
//! A [`Fault`] can't hold what excludes each other. What is left to check is checked when it's queued (`queue.rs`), and
//! `front.rs` carries it out.

mod json;

use std::fmt;
use std::time::Duration;

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize, Serializer};

/// One of the three things that the sandbox plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Endpoint {
    /// 1NCE: everything under `/management-api/`.
    Onence,
    /// Worldline: everything under `/auth/`.
    Worldline,
    /// The protected resource: `/resource` and `/resource/always-401`.
    Resource,
}

impl Endpoint {
    pub(crate) const ALL: [Endpoint; 3] = [Endpoint::Onence, Endpoint::Worldline, Endpoint::Resource];

    /// The endpoint that a path belongs to; none for the control endpoint and for paths that nobody serves.
    pub(crate) fn of(path: &str) -> Option<Endpoint> {
        let first = path.strip_prefix('/')?.split('/').next()?;
        match first {
            "management-api" => Some(Endpoint::Onence),
            "auth" => Some(Endpoint::Worldline),
            "resource" => Some(Endpoint::Resource),
            _ => None,
        }
    }

    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Endpoint::Onence => "onence",
            Endpoint::Worldline => "worldline",
            Endpoint::Resource => "resource",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that goes wrong at an endpoint, and for how long.
///
/// Begin with what goes wrong ([`Fault::status`], [`Fault::latency`] and so on), add details to an [`Answer`], and say how
/// long: [`times`](Fault::times), [`lasting`](Fault::lasting) or [`until_cleared`](Fault::until_cleared); else it's for one
/// request. As JSON it's the flat object of the crate's table, less `endpoint`.
///
/// ```
/// use access_tokens_sandbox::Fault;
///
/// let fault = Fault::status(401).error("invalid_client").times(2);
/// let json = serde_json::to_string(&fault)?;
/// assert_eq!(json, r#"{"status":401,"error":"invalid_client","times":2}"#);
/// assert_eq!(serde_json::from_str::<Fault>(&json)?, fault);
///
/// let typo = serde_json::from_str::<Fault>(r#"{"latency":500}"#).unwrap_err().to_string();
/// assert!(typo.starts_with("unknown field `latency`, expected one of `status`"), "{typo}");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Only an answer has details:
///
/// ```compile_fail,E0599
/// # use access_tokens_sandbox::Fault;
/// let fault = Fault::reset().retry_after(5);
/// ```
#[derive(Clone, PartialEq, Serialize)]
#[must_use = "a fault does nothing until it's queued"]
pub struct Fault {
    #[serde(flatten)]
    pub(crate) effect: Effect,
    /// None for one request.
    #[serde(flatten)]
    pub(crate) span: Option<Span>,
}

/// The JSON, without the body: it may be an answer with a token.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.clone();
        if let Effect::Outcome(Outcome::Answer(Answer { content: Content::Literal { body, .. }, .. })) =
            &mut shown.effect
        {
            *body = format!("[{} bytes]", body.len());
        }
        write!(f, "Fault({})", serde_json::to_string(&shown).map_err(|_| fmt::Error)?)
    }
}

/// What goes wrong.
impl Fault {
    /// Answers with this status (200 to 599) and no body, whatever was asked.
    pub fn status(status: u16) -> Answer {
        Answer { status, retry_after: None, location: None, content: Content::Nothing }
    }

    /// Answers with exactly this, whatever was asked.
    pub fn body(status: u16, content_type: impl Into<String>, body: impl Into<String>) -> Answer {
        let content = Content::Literal { content_type: Some(content_type.into()), body: body.into() };
        Answer { content, ..Fault::status(status) }
    }

    /// Answers with this status and `Location`, whatever was asked. A 307 or 308 makes a client that follows redirects post
    /// its secret again.
    pub fn redirect(status: u16, location: impl Into<String>) -> Answer {
        Answer { location: Some(location.into()), ..Fault::status(status) }
    }

    /// Waits (to the millisecond) before anything else happens.
    pub fn latency(latency: Duration) -> Fault {
        Effect::LatencyMs(milliseconds(latency)).into()
    }

    /// Resets the TCP connection (RST, not FIN) instead of answering.
    pub fn reset() -> Fault {
        Effect::from(Outcome::Reset).into()
    }

    /// Answers 200 with an HTML page, as a portal or a proxy does.
    pub fn garbage() -> Fault {
        Effect::from(Outcome::Garbage).into()
    }

    /// The usual answer with its whole `Content-Length`, of which half is sent before the connection closes.
    pub fn truncated() -> Fault {
        Effect::from(Change::Truncated).into()
    }

    /// The usual answer behind so much white space (which JSON allows) that the body has this length: only a limit on what
    /// is read keeps a client from taking it. A length below the usual one changes nothing.
    pub fn oversized(bytes: u64) -> Fault {
        Effect::from(Change::OversizedBytes(bytes)).into()
    }

    /// The usual status and headers, then white space without end, until the client hangs up.
    pub fn endless() -> Fault {
        Effect::from(Change::Endless).into()
    }

    /// The usual answer less its `access_token`.
    pub fn without_token() -> Fault {
        Effect::from(Change::WithoutToken).into()
    }

    /// The usual answer with another `token_type`, such as `mac`.
    pub fn wrong_token_type(token_type: impl Into<String>) -> Fault {
        Effect::from(Change::TokenType(token_type.into())).into()
    }

    /// The server's clock is off by so many seconds, fast when positive: in its `Date` header and wherever it compares an
    /// assertion with the time. At most ten years either way. Tokens live no longer or shorter for it.
    pub fn clock_skew(seconds: i64) -> Fault {
        Effect::ClockSkewS(seconds).into()
    }
}

/// How long it lasts; the last one said counts.
impl Fault {
    /// For so many requests, at least one.
    pub fn times(self, times: u32) -> Fault {
        Fault { span: Some(Span::Times(times)), ..self }
    }

    /// For this time (to the millisecond), counted from when it's queued.
    pub fn lasting(self, time: Duration) -> Fault {
        Fault { span: Some(Span::LastingMs(milliseconds(time))), ..self }
    }

    /// Until the faults are cleared.
    pub fn until_cleared(self) -> Fault {
        Fault { span: Some(Span::UntilCleared), ..self }
    }
}

/// An answer that doesn't depend on the request, from [`Fault::status`], [`Fault::body`] or [`Fault::redirect`]: a [`Fault`]
/// once its details are there.
#[derive(Clone, PartialEq, Serialize)]
#[must_use = "a fault does nothing until it's queued"]
pub struct Answer {
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<RetryAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    #[serde(flatten)]
    pub(crate) content: Content,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fault::from(self.clone()).fmt(f)
    }
}

/// Its details.
impl Answer {
    /// Adds `Retry-After` in seconds.
    pub fn retry_after(self, seconds: u64) -> Answer {
        Answer { retry_after: Some(RetryAfter::Seconds(seconds)), ..self }
    }

    /// Adds `Retry-After` as it stands: an HTTP date (RFC 9110, section 10.2.3), or what a broken server might send.
    pub fn retry_after_text(self, value: impl Into<String>) -> Answer {
        Answer { retry_after: Some(RetryAfter::Text(value.into())), ..self }
    }

    /// Makes the body JSON in the endpoint's own error shape: `{statusCode, errorCode, message}` for 1NCE,
    /// `{error, error_description}` elsewhere; a 401 of the resource says it in `WWW-Authenticate` too.
    pub fn error(self, code: impl Into<String>) -> Answer {
        Answer { content: Content::Error { code: code.into(), description: None }, ..self }
    }

    /// As [`Answer::error`], with a `message` or `error_description`.
    pub fn error_with_description(self, code: impl Into<String>, description: impl Into<String>) -> Answer {
        Answer { content: Content::Error { code: code.into(), description: Some(description.into()) }, ..self }
    }
}

/// How long it lasts, as for any other fault.
impl Answer {
    /// As [`Fault::times`].
    pub fn times(self, times: u32) -> Fault {
        Fault::from(self).times(times)
    }

    /// As [`Fault::lasting`].
    pub fn lasting(self, time: Duration) -> Fault {
        Fault::from(self).lasting(time)
    }

    /// As [`Fault::until_cleared`].
    pub fn until_cleared(self) -> Fault {
        Fault::from(self).until_cleared()
    }
}

impl From<Answer> for Fault {
    fn from(answer: Answer) -> Fault {
        Effect::from(Outcome::Answer(answer)).into()
    }
}

/// A fault and where it goes: what the control endpoint and the command line take.
///
/// ```
/// use access_tokens_sandbox::{Endpoint, EndpointFault, Fault};
/// use std::time::Duration;
///
/// let order = EndpointFault {
///     endpoint: Endpoint::Worldline,
///     fault: Fault::latency(Duration::from_millis(500)).lasting(Duration::from_secs(10)),
/// };
/// let json = r#"{"endpoint":"worldline","latency_ms":500,"lasting_ms":10000}"#;
/// assert_eq!(serde_json::to_string(&order)?, json);
/// assert_eq!(serde_json::from_str::<EndpointFault>(json)?, order);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointFault {
    /// Where it goes wrong.
    pub endpoint: Endpoint,
    /// What goes wrong there.
    #[serde(flatten)]
    pub fault: Fault,
}

/// Why a fault can't be queued. Keys are named as in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// A number that can't be served.
    #[error("`{key}` must be {allowed}")]
    Range {
        /// The key.
        key: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// A text that can't stand in a header.
    #[error("`{0}` can't be sent in a header")]
    NotAHeader(&'static str),
}

/// What goes wrong. A request meets at most one of each variant.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    LatencyMs(u64),
    ClockSkewS(i64),
    #[serde(untagged)]
    Outcome(Outcome),
}

/// What comes of a request instead of the usual answer.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    #[serde(serialize_with = "as_true")]
    Reset,
    #[serde(serialize_with = "as_true")]
    Garbage,
    #[serde(untagged)]
    Answer(Answer),
    #[serde(untagged)]
    Change(Change),
}

/// A change to the usual answer.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    #[serde(serialize_with = "as_true")]
    Truncated,
    OversizedBytes(u64),
    #[serde(serialize_with = "as_true")]
    Endless,
    #[serde(serialize_with = "as_true")]
    WithoutToken,
    TokenType(String),
}

/// What is in an answer's body.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Nothing,
    Literal {
        body: String,
        /// Else `application/json`.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
    },
    Error {
        #[serde(rename = "error")]
        code: String,
        #[serde(rename = "error_description", skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "seconds, or text")]
pub(crate) enum RetryAfter {
    Seconds(u64),
    Text(String),
}

/// How long a fault lasts.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Span {
    Times(u32),
    LastingMs(u64),
    #[serde(serialize_with = "as_true")]
    UntilCleared,
}

fn as_true<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(true)
}

impl From<Effect> for Fault {
    fn from(effect: Effect) -> Fault {
        Fault { effect, span: None }
    }
}

impl From<Outcome> for Effect {
    fn from(outcome: Outcome) -> Effect {
        Effect::Outcome(outcome)
    }
}

impl From<Change> for Effect {
    fn from(change: Change) -> Effect {
        Effect::Outcome(Outcome::Change(change))
    }
}

const TEN_YEARS_S: u64 = 10 * 365 * 86_400;

impl Fault {
    /// Whether it can be served.
    pub(crate) fn check(&self) -> Result<(), FaultError> {
        let range = |key, allowed| Err(FaultError::Range { key, allowed });
        match &self.effect {
            Effect::ClockSkewS(seconds) if seconds.unsigned_abs() > TEN_YEARS_S => {
                return range("clock_skew_s", "within ten years either way");
            }
            Effect::Outcome(Outcome::Answer(answer)) => {
                if !(200..600).contains(&answer.status) {
                    return range("status", "from 200 to 599");
                }
                answer.check_headers()?;
            }
            _ => {}
        }
        if self.span == Some(Span::Times(0)) { range("times", "at least 1") } else { Ok(()) }
    }
}

impl Answer {
    fn check_headers(&self) -> Result<(), FaultError> {
        let content_type = match &self.content {
            Content::Literal { content_type, .. } => content_type.as_deref(),
            Content::Nothing | Content::Error { .. } => None,
        };
        let retry_after = match &self.retry_after {
            Some(RetryAfter::Text(text)) => Some(text.as_str()),
            Some(RetryAfter::Seconds(_)) | None => None,
        };
        let location = self.location.as_deref();
        for (key, text) in [("content_type", content_type), ("retry_after", retry_after), ("location", location)] {
            if text.is_some_and(|text| HeaderValue::from_str(text).is_err()) {
                return Err(FaultError::NotAHeader(key));
            }
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
