//! What a token endpoint's answer means, whichever provider it is: tolerant in what it accepts, strict in what it must be.

use std::{future::Future, io, time::Duration};

use access_tokens_raw::{
    self as raw, Secret,
    hooks::{Answer, recorded},
    progenitor_client::{Error as RawError, ResponseValue},
};
use http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    AccessToken, Error, ErrorKind, Obstacle, Scopes,
    cause::{Cause, any, find},
    clock::{Moment, Skew},
    http_date::{clock, retry_after},
    onence::error_code as onence,
    text::{self, Spellings},
    transport::{Route, Seen, watched},
    worldline::error_code as worldline,
};

/// One request for a token: who is asked, for what, when, and which secrets must not come back out of the answer.
pub(crate) struct Asked<'a> {
    /// As [`TokenEndpoint::provider`](crate::TokenEndpoint::provider) names it.
    pub(crate) provider: &'static str,
    /// As people know it.
    pub(crate) name: &'static str,
    /// The token endpoint.
    pub(crate) url: &'a str,
    pub(crate) route: &'a Route,
    pub(crate) scopes: &'a Scopes,
    pub(crate) secrets: Vec<&'a str>,
    pub(crate) since: Moment,
    /// Counts the requests of one exchange, from 1.
    pub(crate) attempt: u32,
}

/// The members of a token response that matter, wherever the provider keeps them.
pub(crate) struct Granted {
    pub(crate) access_token: Option<Secret>,
    pub(crate) token_type: Option<String>,
    pub(crate) expires_in: Option<Value>,
    pub(crate) scope: Option<Value>,
    pub(crate) user_id: Option<Value>,
}

/// Where to filter for the requests, whatever the files are called.
const TARGET: &str = "access_tokens::requests";

impl Asked<'_> {
    /// Makes the request. Gives the token, or why there is none.
    pub(crate) async fn conclude<T>(
        &self,
        request: impl Future<Output = Result<ResponseValue<T>, RawError<()>>>,
        members: impl FnOnce(T) -> Granted,
    ) -> Result<AccessToken, Error> {
        let ((outcome, answer), seen) = watched(recorded(request)).await;
        let status = answer.as_ref().map(|answer| answer.status.as_u16());
        let outcome = self.answered(&seen, outcome.map(|response| members(response.into_inner())), answer);
        let Self { provider, url, attempt, .. } = *self;
        let took = Moment::now().monotonic_since(self.since);
        match &outcome {
            Ok(token) => tracing::debug!(
                target: TARGET,
                provider,
                method = "POST",
                url,
                status,
                ?took,
                attempt,
                expires_in = ?token.expires_in(),
                scopes = %token.scopes(),
                "token granted"
            ),
            Err(error) => tracing::debug!(
                target: TARGET,
                provider,
                method = "POST",
                url,
                status,
                ?took,
                attempt,
                kind = ?error.kind(),
                %error,
                cause = error.cause(),
                "no token"
            ),
        }
        outcome
    }

    /// What came, and what the generated client made of it.
    fn answered(
        &self,
        seen: &Seen,
        outcome: Result<Granted, RawError<()>>,
        answer: Option<Answer>,
    ) -> Result<AccessToken, Error> {
        let Some(Answer { status, headers, body }) = answer else {
            return Err(match outcome {
                Err(RawError::CommunicationError(e)) if !e.is_builder() => {
                    self.route.failure(seen, e).with_provider(self.provider)
                }
                // What the generator, or the HTTP client, can't do with a request that was checked.
                _ => self.error(ErrorKind::Configuration, format!("the request to {} can't be made", self.name)),
            });
        };
        let outcome = match outcome {
            Ok(mut granted) => match granted.access_token.take() {
                Some(secret) => return self.granted(&secret, granted),
                None => Ok(()),
            },
            Err(error) => Err(error),
        };
        // Only now: what reads them keeps copies, and there is no token in it.
        let words = body.as_deref().map(|body| self.words(body)).unwrap_or_default();
        let is_documented_error = words.kind().is_some();
        let unusable = |what: &str| {
            let coding = coding(&headers).unwrap_or_default();
            let Words { code, description } = words.clone();
            self.contract(&format!("{what}{coding}")).with_answer(status.as_u16(), code, description, None)
        };
        match outcome {
            // Quirks onence-nothing-required, worldline-required-members.
            Ok(()) if !is_documented_error => Err(unusable("there is no access_token in it")),
            Err(RawError::InvalidResponsePayload(body, e)) if !is_documented_error => {
                // The parser's words quote the body, and the body may be a token: only its place is told. Quirk
                // errors-that-print-the-body.
                let (length, line, column) = (body.len(), e.line(), e.column());
                let place = format!("at line {line}, column {column} of {length} bytes");
                Err(unusable(&format!("it isn't a token response ({place})")))
            }
            Err(RawError::CommunicationError(e)) => Err(self.cut_off(seen, status, &headers, e)),
            // An error; those that come as 200 have been seen, too. Quirk errors-that-come-as-200.
            _ => Err(self.rejected(seen, status, &headers, words)),
        }
    }

    /// The token of an answer 200, if it can be used.
    fn granted(&self, secret: &Secret, granted: Granted) -> Result<AccessToken, Error> {
        match granted.token_type {
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
            // Not quoted: it is whatever the server put there.
            Some(_) => return Err(self.contract("the token isn't of type bearer")),
            None => return Err(self.contract("there is no token_type in it")),
        }
        let token = AccessToken::new(secret.expose()).map_err(|e| self.contract(&e.to_string()))?;
        let scopes = match granted.scope.as_ref().and_then(as_text) {
            Some(scope) => {
                let (known, mut other): (Vec<_>, Vec<_>) =
                    scope.split_whitespace().partition(|scope| self.scopes.contains(scope));
                // They are logged, so nothing secret may pass for some.
                let text = text::folded(&other.join(" "));
                if self.is_secret(&text) || Spellings::of(&text).hold(token.secret()) {
                    other.clear();
                }
                Scopes::from_answer(&text::folded(&[known, other].concat().join(" ")))
            }
            None => self.scopes.clone(),
        };
        // Quirk worldline-fewer-scopes.
        let missing = self.scopes.without(&scopes);
        if !missing.is_empty() {
            tracing::warn!(provider = self.provider, %missing, "fewer scopes were granted than asked for");
        }
        let mut token = token.with_since(self.since).with_scopes(scopes).with_missing_scopes(missing);
        if let Some(user_id) = granted.user_id.as_ref().and_then(as_text) {
            token = token.with_user_id(text::visible(&user_id));
        }
        Ok(match granted.expires_in {
            None | Some(Value::Null) => token,
            Some(value) => token.with_expires_in(self.expires_in(&value)?),
        })
    }

    /// `expires_in` in seconds, as an integer, a float or a numeric string.
    // Quirks onence-expires-in-as-text, worldline-expires-in-type.
    fn expires_in(&self, value: &Value) -> Result<Duration, Error> {
        let seconds = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if seconds == Some(0.0) {
            return Err(self.contract("the token in it has no life left (expires_in 0)").with_spent());
        }
        // Beyond what a Duration holds is far beyond the longest life that counts.
        let span = seconds
            .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
            .filter(|span| !span.is_zero());
        span.ok_or_else(|| self.contract("its expires_in isn't a number of seconds above zero"))
    }

    /// The answer can't be read to its end.
    fn cut_off(&self, seen: &Seen, status: StatusCode, headers: &HeaderMap, error: reqwest::Error) -> Error {
        if !matches!(by_status(status, headers), ErrorKind::Request | ErrorKind::Contract) {
            return self.rejected(seen, status, headers, Words::default());
        }
        // The code is lost, and without it the status alone would blame the caller.
        let host = &self.route.host;
        let unavailable = |message| {
            let error = self.error(ErrorKind::Unavailable, message).with_source(Cause::of(&error));
            error.with_obstacle(Obstacle::Answer)
        };
        let is_framing = |e: &io::Error| matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
        let told = if find::<LengthLimitError>(&error).is_some() {
            self.contract("it is longer than 64 KiB")
        } else if error.is_timeout() {
            unavailable(format!("{host} didn't end its answer in time; try again, or allow more time"))
        } else if any(&error, is_framing) {
            self.contract("its end can't be told").with_source(Cause::of(&error))
        } else {
            unavailable(format!("the connection to {host} broke within its answer; try again"))
        };
        match status {
            StatusCode::OK => told,
            _ => told.with_answer(status.as_u16(), None, None, retry_after(headers)),
        }
    }

    // Quirks onence-404-without-body, worldline-two-error-codes.
    fn rejected(&self, seen: &Seen, status: StatusCode, headers: &HeaderMap, words: Words) -> Error {
        let by_status = by_status(status, headers);
        // Codes are defined for 400 and 401, and gateways echo them: 429 and 5xx decide by themselves. Quirk
        // codes-in-other-statuses.
        let decides = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let known = words.kind().filter(|_| !decides);
        let certificate = self.route.about_client_certificate(seen).filter(|_| known.is_none());
        // So nginx refuses who shows no certificate, or another: after the handshake, and without a word that is for programs.
        let refuses_certificate = certificate.is_some() && status == StatusCode::BAD_REQUEST && words.is_empty();
        let kind = if refuses_certificate { ErrorKind::Configuration } else { known.unwrap_or(by_status) };
        let (name, Route { host, .. }) = (self.name, self.route);
        let what = match kind {
            ErrorKind::Configuration => format!("{name} rejected the request: {}", certificate.unwrap_or_default()),
            ErrorKind::Credentials => format!("{name} rejected the credentials"),
            ErrorKind::Request if status == StatusCode::FORBIDDEN && known.is_none() => {
                format!(
                    "access was refused before {name}; check the base URL, and whether this machine's address is allowed there"
                )
            }
            ErrorKind::Request if status == StatusCode::NOT_FOUND => format!("{name} has no such token endpoint"),
            ErrorKind::Request => format!("{name} rejected the request"),
            ErrorKind::Throttled => format!("{name} asks for fewer requests; wait and try again"),
            ErrorKind::Unavailable => format!("{name} is failing; try again later"),
            ErrorKind::Contract if status.is_redirection() => {
                format!("{name} answered with a redirect, which isn't followed with credentials; check the base URL")
            }
            ErrorKind::Contract => format!("{name} answered neither with a token nor with an error"),
        };
        let hint = certificate.filter(|_| matches!(status.as_u16(), 400 | 403) && !refuses_certificate);
        let hint = hint.map(|what| format!("; {what}")).unwrap_or_default();
        let coding = coding(headers).filter(|_| words.is_empty()).unwrap_or_default();
        let Words { code, description } = words;
        let code_ = code.as_ref().map_or_else(String::new, |code| format!(", {code}"));
        let message = format!("{what} (HTTP {}{code_}, {host}){hint}{coding}", status.as_u16());
        let error = self.error(kind, message).with_answer(status.as_u16(), code, description, retry_after(headers));
        let error = error.with_server_clock(clock(headers).and_then(|date| Skew::of_refusal(date, self.since)));
        if refuses_certificate { error.with_obstacle(Obstacle::ClientCertificate) } else { error }
    }

    /// The error code and description of either provider's shape; a gateway before the server may speak the other's.
    // Quirks onence-400-typed-as-the-200, worldline-400-inline.
    fn words(&self, body: &[u8]) -> Words {
        use raw::{onence::types::BearerToken400, worldline::types::ErrorResponse};
        // By way of a value, in which a member that stands twice is no error.
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let onence = BearerToken400::deserialize(&body).unwrap_or_default();
        let worldline = ErrorResponse::deserialize(&body).unwrap_or_default();
        let texts = |values: [Option<Value>; 2]| {
            let text = |value| if let Value::String(text) = value { Some(text) } else { None };
            values.into_iter().flatten().filter_map(text).collect::<Vec<_>>()
        };
        let codes = texts([onence.error_code, worldline.error]);
        // A code that is known is our own literal, even where it holds a secret as weak as `client`. Any other is a text.
        let code = codes.iter().find(|code| known(code).is_some());
        let code = code.or_else(|| codes.iter().find(|code| looks_like_code(code) && !self.is_secret(code))).cloned();
        // Some put words where a code is expected. Quirk words-for-a-code.
        let instead = codes.into_iter().find(|text| !looks_like_code(text));
        let description = texts([onence.message, worldline.error_description]).into_iter().next();
        let texts = instead.into_iter().chain(description).map(|text| self.shown(&text));
        let texts = texts.collect::<Option<Vec<_>>>().unwrap_or_default();
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        Words { code, description: Some(texts.join(": ")).filter(|text| !text.is_empty()) }
    }

    /// Whether a text holds one of our secrets, in whatever spelling.
    fn is_secret(&self, text: &str) -> bool {
        let text = Spellings::of(text);
        self.secrets.iter().any(|secret| text.hold(secret))
    }

    /// A server's words, fit to be shown: of those that hold a secret nothing is, since what is left would show where it was.
    fn shown(&self, text: &str) -> Option<String> {
        if self.is_secret(text) {
            return None;
        }
        // Too long to be a word: what may be a token.
        let folded = text::folded(text);
        let words =
            folded.split(' ').map(|word| if word.chars().filter(char::is_ascii).count() > 64 { "[...]" } else { word });
        Some(text::shown(&words.collect::<Vec<_>>().join(" "), 300))
    }

    fn contract(&self, what: &str) -> Error {
        let (name, Route { host, .. }) = (self.name, self.route);
        self.error(ErrorKind::Contract, format!("{name}'s answer can't be used ({host}): {what}"))
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_provider(self.provider)
    }
}

/// What a server says about an error, cleaned.
#[derive(Default, Clone)]
struct Words {
    code: Option<String>,
    description: Option<String>,
}

impl Words {
    fn is_empty(&self) -> bool {
        self.code.is_none() && self.description.is_none()
    }

    /// Whose move it is by the code, if that is a documented one.
    fn kind(&self) -> Option<ErrorKind> {
        known(self.code.as_deref()?)
    }
}

/// A member as text whatever JSON type it came in; a list's items with spaces between.
// Quirk worldline-scope-as-text.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(as_text).collect::<Vec<_>>().join(" ")),
        other => Some(other.to_string()),
    }
}

/// Whose move a code is that either provider documents.
fn known(code: &str) -> Option<ErrorKind> {
    onence::kind_of(code).or_else(|| worldline::kind_of(code))
}

/// Codes go into messages and logs, so only what looks like one is taken for one.
fn looks_like_code(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Whose move it is where no code says more.
fn by_status(status: StatusCode, headers: &HeaderMap) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Credentials,
        429 => ErrorKind::Throttled,
        503 if retry_after(headers).is_some() => ErrorKind::Throttled,
        408 | 500..=599 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Request,
        _ => ErrorKind::Contract,
    }
}

/// Names the coding of a body, since nobody asked for one and none is undone.
// Quirk compressed-answers.
fn coding(headers: &HeaderMap) -> Option<String> {
    let codings =
        headers.get_all(header::CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let codings = codings.collect::<Vec<_>>().join(", ");
    let is_none = |coding: &str| coding.trim().is_empty() || coding.trim().eq_ignore_ascii_case("identity");
    let is_coding = |c: char| c.is_ascii_alphanumeric() || "-, ".contains(c);
    let shown = if codings.len() <= 40 && codings.chars().all(is_coding) { &codings } else { "of an odd name" };
    (!codings.split(',').all(is_none))
        .then(|| format!("; it is compressed (Content-Encoding: {shown}), though the request forbids that"))
}
