//! Faults: what they are in Rust and in JSON, and what makes one unfit to be served.
//!
//! A [`Fault`] is the very object that the JSON shows (the table is in the crate's docs). It's checked in one place, when it's
//! queued (`queue.rs`), whether it came from Rust or from JSON, and becomes an [`Effect`] there; `front.rs` carries that out.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

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
/// Begin with what goes wrong ([`Fault::status`], [`Fault::latency`] and so on), add details where it has some, and say how
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
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[must_use = "a fault does nothing until it's queued"]
pub struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<RetryAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    garbage: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oversized_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    endless: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    without_token: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasting_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    until_cleared: bool,
}

/// The JSON, without the body: it may be an answer with a token.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body.as_ref().map(|body| format!("[{} bytes]", body.len()));
        let shown = serde_json::to_string(&Fault { body, ..self.clone() }).map_err(|_| fmt::Error)?;
        write!(f, "Fault({shown})")
    }
}

/// What goes wrong.
impl Fault {
    /// Answers with this status (200 to 599) and no body, whatever was asked.
    pub fn status(status: u16) -> Fault {
        Fault { status: Some(status), ..Fault::default() }
    }

    /// Answers with exactly this, whatever was asked.
    pub fn body(status: u16, content_type: impl Into<String>, body: impl Into<String>) -> Fault {
        Fault { content_type: Some(content_type.into()), body: Some(body.into()), ..Fault::status(status) }
    }

    /// Answers with this status and `Location`, whatever was asked. A 307 or 308 makes a client that follows redirects post
    /// its secret again.
    pub fn redirect(status: u16, location: impl Into<String>) -> Fault {
        Fault { location: Some(location.into()), ..Fault::status(status) }
    }

    /// Waits (to the millisecond) before anything else happens.
    pub fn latency(latency: Duration) -> Fault {
        Fault { latency_ms: Some(milliseconds(latency)), ..Fault::default() }
    }

    /// Resets the TCP connection (RST, not FIN) instead of answering.
    pub fn reset() -> Fault {
        Fault { reset: true, ..Fault::default() }
    }

    /// Answers 200 with an HTML page, as a portal or a proxy does.
    pub fn garbage() -> Fault {
        Fault { garbage: true, ..Fault::default() }
    }

    /// The usual answer with its whole `Content-Length`, of which half is sent before the connection closes.
    pub fn truncated() -> Fault {
        Fault { truncated: true, ..Fault::default() }
    }

    /// The usual answer behind so much white space (which JSON allows) that the body has this length: only a limit on what
    /// is read keeps a client from taking it. A length below the usual one changes nothing.
    pub fn oversized(bytes: u64) -> Fault {
        Fault { oversized_bytes: Some(bytes), ..Fault::default() }
    }

    /// The usual status and headers, then white space without end, until the client hangs up.
    pub fn endless() -> Fault {
        Fault { endless: true, ..Fault::default() }
    }

    /// The usual answer less its `access_token`.
    pub fn without_token() -> Fault {
        Fault { without_token: true, ..Fault::default() }
    }

    /// The usual answer with another `token_type`, such as `mac`.
    pub fn wrong_token_type(token_type: impl Into<String>) -> Fault {
        Fault { token_type: Some(token_type.into()), ..Fault::default() }
    }

    /// The server's clock is off by so many seconds, fast when positive: in its `Date` header and wherever it compares an
    /// assertion with the time. At most ten years either way. Tokens live no longer or shorter for it.
    pub fn clock_skew(seconds: i64) -> Fault {
        Fault { clock_skew_s: Some(seconds), ..Fault::default() }
    }
}

/// Details of a [`Fault::status`]; with any other effect the fault is refused when it's queued.
impl Fault {
    /// Adds `Retry-After` in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Fault {
        self.retry_after = Some(RetryAfter::Seconds(seconds));
        self
    }

    /// Adds `Retry-After` as it stands: an HTTP date (RFC 9110, section 10.2.3), or what a broken server might send.
    pub fn retry_after_text(mut self, value: impl Into<String>) -> Fault {
        self.retry_after = Some(RetryAfter::Text(value.into()));
        self
    }

    /// Adds a JSON body in the endpoint's own error shape: `{statusCode, errorCode, message}` for 1NCE,
    /// `{error, error_description}` elsewhere; a 401 of the resource says it in `WWW-Authenticate` too.
    pub fn error(mut self, code: impl Into<String>) -> Fault {
        self.error = Some(code.into());
        self
    }

    /// The `message` or `error_description` of a [`Fault::error`].
    pub fn error_description(mut self, description: impl Into<String>) -> Fault {
        self.error_description = Some(description.into());
        self
    }
}

/// How long it lasts; the last one said counts.
impl Fault {
    /// For so many requests, at least one.
    pub fn times(mut self, times: u32) -> Fault {
        (self.times, self.lasting_ms, self.until_cleared) = (Some(times), None, false);
        self
    }

    /// For this time (to the millisecond), counted from when it's queued.
    pub fn lasting(mut self, time: Duration) -> Fault {
        (self.times, self.lasting_ms, self.until_cleared) = (None, Some(milliseconds(time)), false);
        self
    }

    /// Until the faults are cleared.
    pub fn until_cleared(mut self) -> Fault {
        (self.times, self.lasting_ms, self.until_cleared) = (None, None, true);
        self
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

// By hand, because serde's `flatten` doesn't go with `deny_unknown_fields`, and a typing error must not be dropped in silence.
impl<'de> Deserialize<'de> for EndpointFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut members = Map::deserialize(deserializer)?;
        let endpoint = members.remove("endpoint").ok_or_else(|| Error::missing_field("endpoint"))?;
        Ok(EndpointFault {
            endpoint: Endpoint::deserialize(endpoint).map_err(Error::custom)?,
            fault: Fault::deserialize(Value::Object(members)).map_err(Error::custom)?,
        })
    }
}

/// Why a fault can't be queued. Keys are named as in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No effect at all.
    #[error("a fault needs one effect: {}", EFFECTS.join(", "))]
    NoEffect,
    /// More than one effect, or more than one way to end. Two faults in the queue do what one can't.
    #[error("`{0}` and `{1}` don't go together in one fault")]
    Conflict(&'static str, &'static str),
    /// A detail without what it belongs to.
    #[error("`{key}` goes with `{with}` only")]
    Misplaced {
        /// The detail.
        key: &'static str,
        /// What must be there too.
        with: &'static str,
    },
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

const EFFECTS: [&str; 10] = [
    "status",
    "latency_ms",
    "reset",
    "garbage",
    "truncated",
    "oversized_bytes",
    "endless",
    "without_token",
    "token_type",
    "clock_skew_s",
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "seconds, or text")]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

/// What the front does to one request.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Latency(Duration),
    /// In seconds.
    ClockSkew(i64),
    Outcome(Outcome),
}

/// What comes of a request instead of the usual answer.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Reset,
    Answer(Answer),
    Change(Change),
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span {
    Times(u32),
    Until(Instant),
    UntilCleared,
}

/// An answer that doesn't depend on the request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<HeaderValue>,
    pub(crate) location: Option<HeaderValue>,
    pub(crate) content: Content,
}

impl Answer {
    fn garbage() -> Answer {
        let content_type = HeaderValue::from_static("text/html; charset=utf-8");
        let body = "<!DOCTYPE html>\n<html><body><h1>Welcome to the portal</h1></body></html>\n".to_owned();
        let content = Content::Literal { content_type, body };
        Answer { status: StatusCode::OK, retry_after: None, location: None, content }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Nothing,
    Literal { content_type: HeaderValue, body: String },
    Error { code: String, description: Option<String> },
}

/// A change to the usual answer.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Truncate,
    PadTo(u64),
    PadForEver,
    DropToken,
    TokenType(String),
}

const TEN_YEARS_S: u64 = 10 * 365 * 86_400;

impl Fault {
    /// Whether it can be queued.
    pub(crate) fn check(&self) -> Result<(), FaultError> {
        self.effect()?;
        self.span()?;
        Ok(())
    }

    /// What it does, if it makes sense.
    pub(crate) fn effect(&self) -> Result<Effect, FaultError> {
        if self.clock_skew_s.is_some_and(|seconds| seconds.unsigned_abs() > TEN_YEARS_S) {
            return Err(FaultError::Range { key: "clock_skew_s", allowed: "within ten years either way" });
        }
        let answer = self.status.map(|status| self.answer(status)).transpose()?;
        let details = [
            ("retry_after", self.retry_after.is_some(), "status", self.status.is_some()),
            ("location", self.location.is_some(), "status", self.status.is_some()),
            ("error", self.error.is_some(), "status", self.status.is_some()),
            ("body", self.body.is_some(), "status", self.status.is_some()),
            ("error_description", self.error_description.is_some(), "error", self.error.is_some()),
            ("content_type", self.content_type.is_some(), "body", self.body.is_some()),
        ];
        for (key, given, with, with_given) in details {
            if given && !with_given {
                return Err(FaultError::Misplaced { key, with });
            }
        }

        let outcome = |outcome| Some(Effect::Outcome(outcome));
        let change = |change| outcome(Outcome::Change(change));
        let milliseconds = |ms| Effect::Latency(Duration::from_millis(ms));
        let [status, latency, reset, garbage, truncated, oversized, endless, without_token, token_type, skew] = EFFECTS;
        let effects = [
            (status, answer.and_then(|answer| outcome(Outcome::Answer(answer)))),
            (latency, self.latency_ms.map(milliseconds)),
            (reset, outcome(Outcome::Reset).filter(|_| self.reset)),
            (garbage, outcome(Outcome::Answer(Answer::garbage())).filter(|_| self.garbage)),
            (truncated, change(Change::Truncate).filter(|_| self.truncated)),
            (oversized, self.oversized_bytes.and_then(|bytes| change(Change::PadTo(bytes)))),
            (endless, change(Change::PadForEver).filter(|_| self.endless)),
            (without_token, change(Change::DropToken).filter(|_| self.without_token)),
            (token_type, self.token_type.clone().and_then(|name| change(Change::TokenType(name)))),
            (skew, self.clock_skew_s.map(Effect::ClockSkew)),
        ];
        let mut given = effects.into_iter().filter_map(|(key, effect)| Some((key, effect?)));
        match (given.next(), given.next()) {
            (None, _) => Err(FaultError::NoEffect),
            (Some((_, effect)), None) => Ok(effect),
            (Some((first, _)), Some((second, _))) => Err(FaultError::Conflict(first, second)),
        }
    }

    fn answer(&self, status: u16) -> Result<Answer, FaultError> {
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or(FaultError::Range { key: "status", allowed: "from 200 to 599" })?;
        let header = |key, value: &str| HeaderValue::from_str(value).map_err(|_| FaultError::NotAHeader(key));
        let content = match (&self.body, &self.error) {
            (Some(_), Some(_)) => return Err(FaultError::Conflict("error", "body")),
            (Some(body), None) => Content::Literal {
                content_type: match &self.content_type {
                    Some(content_type) => header("content_type", content_type)?,
                    None => HeaderValue::from_static("application/json"),
                },
                body: body.clone(),
            },
            (None, Some(code)) => Content::Error { code: code.clone(), description: self.error_description.clone() },
            (None, None) => Content::Nothing,
        };
        Ok(Answer {
            status,
            retry_after: match &self.retry_after {
                Some(RetryAfter::Seconds(seconds)) => Some(HeaderValue::from(*seconds)),
                Some(RetryAfter::Text(text)) => Some(header("retry_after", text)?),
                None => None,
            },
            location: match &self.location {
                Some(location) => Some(header("location", location)?),
                None => None,
            },
            content,
        })
    }

    /// How long it lasts from now, if that makes sense.
    pub(crate) fn span(&self) -> Result<Span, FaultError> {
        match (self.times, self.lasting_ms, self.until_cleared) {
            (Some(0), _, _) => Err(FaultError::Range { key: "times", allowed: "at least 1" }),
            (Some(times), None, false) => Ok(Span::Times(times)),
            (None, None, false) => Ok(Span::Times(1)),
            (None, None, true) => Ok(Span::UntilCleared),
            // A time that is beyond the clock's range is one that nobody lives to see the end of.
            (None, Some(ms), false) => {
                Ok(Instant::now().checked_add(Duration::from_millis(ms)).map_or(Span::UntilCleared, Span::Until))
            }
            (Some(_), Some(_), _) => Err(FaultError::Conflict("times", "lasting_ms")),
            (Some(_), None, true) => Err(FaultError::Conflict("times", "until_cleared")),
            (None, Some(_), true) => Err(FaultError::Conflict("lasting_ms", "until_cleared")),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
