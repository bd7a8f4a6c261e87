//! What a token endpoint's answer means, whichever provider it is: tolerant in what it accepts, strict in what it must be.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use access_tokens_raw::{
    self as raw, Secret,
    progenitor_client::{self, ResponseValue},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    AccessToken, Error, ErrorKind, Scopes,
    clock::{Moment, Skew},
    onence, worldline,
};

/// One exchange: who was asked, for what, when, and which secrets must not come back out of the answer.
pub(crate) struct Asked<'a> {
    /// As [`TokenEndpoint::provider`](crate::TokenEndpoint::provider) names it.
    pub(crate) provider: &'static str,
    /// As people know it.
    pub(crate) name: &'static str,
    pub(crate) scopes: &'a Scopes,
    pub(crate) secrets: Vec<&'a str>,
    pub(crate) since: Moment,
    /// Learns from the answer's `Date`.
    pub(crate) skew: Option<&'a Skew>,
}

/// The members of a token response that matter, wherever the provider keeps them.
pub(crate) struct Granted {
    pub(crate) access_token: Option<Secret>,
    pub(crate) token_type: Option<String>,
    pub(crate) expires_in: Option<Value>,
    pub(crate) scope: Option<Value>,
    pub(crate) user_id: Option<Value>,
}

impl Asked<'_> {
    /// The token, or why there is none.
    pub(crate) async fn conclude<T>(
        &self,
        answer: Result<ResponseValue<T>, progenitor_client::Error<()>>,
        members: impl FnOnce(T) -> Granted,
    ) -> Result<AccessToken, Error> {
        let headers = match &answer {
            Ok(answer) => Some(answer.headers()),
            Err(progenitor_client::Error::UnexpectedResponse(response)) => Some(response.headers()),
            Err(_) => None,
        };
        if let (Some(skew), Some(date)) = (self.skew, headers.and_then(date)) {
            skew.learn(date, self.since);
        }
        let outcome = match answer {
            Ok(answer) => self.granted(members(answer.into_inner())),
            Err(error) => Err(self.failed(error).await),
        };
        match &outcome {
            Ok(token) => tracing::debug!(
                provider = self.provider,
                expires_in = ?token.expires_in(),
                scopes = %token.scopes(),
                "token granted"
            ),
            Err(error) => tracing::debug!(
                provider = self.provider,
                kind = ?error.kind(),
                status = error.status(),
                code = error.code(),
                "no token"
            ),
        }
        outcome
    }

    /// A token, if the answer 200 holds one that can be used.
    fn granted(&self, granted: Granted) -> Result<AccessToken, Error> {
        // Quirks onence-nothing-required, worldline-required-members.
        let secret = granted.access_token.ok_or_else(|| self.contract("there is no access_token in it"))?;
        match granted.token_type {
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
            // Not quoted: it is whatever the server put there.
            Some(_) => return Err(self.contract("the token isn't of type bearer")),
            None => return Err(self.contract("there is no token_type in it")),
        }
        let token = AccessToken::new(secret.expose()).map_err(|e| self.contract(&e.to_string()))?;
        let scopes = match granted.scope.as_ref().and_then(text) {
            // Scopes are logged, so nothing secret may pass for one.
            Some(scope) => Scopes::from_answer(&self.redacted(&scope).replace(token.secret(), REDACTED)),
            None => self.scopes.clone(),
        };
        // Quirk worldline-fewer-scopes.
        let missing = self.scopes.without(&scopes);
        if !missing.is_empty() {
            tracing::warn!(provider = self.provider, %missing, "fewer scopes were granted than asked for");
        }
        let mut token = token.with_since(self.since).with_scopes(scopes).with_missing_scopes(missing);
        if let Some(user_id) = granted.user_id.as_ref().and_then(text) {
            token = token.with_user_id(without_controls(&user_id));
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

    /// Why there is no token.
    async fn failed(&self, error: progenitor_client::Error<()>) -> Error {
        use progenitor_client::Error as Raw;
        match error {
            Raw::UnexpectedResponse(response) => self.rejected(response).await,
            Raw::CommunicationError(e) => self.not_reached(e),
            Raw::ResponseBodyError(e) if over_limit(&e) => self.contract(TOO_LONG),
            Raw::ResponseBodyError(e) if e.is_timeout() => self.not_reached(e),
            Raw::ResponseBodyError(e) => self.broken(e),
            Raw::InvalidResponsePayload(body, e) => {
                // The parser's words quote the body, and the body may be a token: only its place is told. Quirk
                // errors-that-print-the-body.
                let (length, line, column) = (body.len(), e.line(), e.column());
                self.contract(&format!("it isn't a token response (at line {line}, column {column} of {length} bytes)"))
            }
            // What the generator can't do with a request that was checked, or never does without typed error responses.
            _ => self.error(ErrorKind::Configuration, format!("the request to {} can't be made", self.name)),
        }
    }

    fn not_reached(&self, error: reqwest::Error) -> Error {
        let name = self.name;
        let message = if error.is_connect() {
            format!("{name} can't be reached; check the base URL, the network and the proxy")
        } else if error.is_timeout() {
            format!("{name} didn't answer in time; try again, or allow more time")
        } else if error.is_builder() {
            let message = format!("the request to {name} can't be made");
            return self.error(ErrorKind::Configuration, message).with_source(error.without_url());
        } else {
            format!("the connection to {name} broke before its answer; try again")
        };
        self.error(ErrorKind::Unavailable, message).with_source(error.without_url())
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let message = format!("the connection to {} broke within its answer; try again", self.name);
        self.error(ErrorKind::Unavailable, message).with_source(error.without_url())
    }

    // Quirks onence-404-without-body, worldline-two-error-codes.
    async fn rejected(&self, response: reqwest::Response) -> Error {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let by_status = match status {
            401 | 403 => ErrorKind::Credentials,
            429 => ErrorKind::Throttled,
            503 if retry_after.is_some() => ErrorKind::Throttled,
            408 | 500..=599 => ErrorKind::Unavailable,
            400..=499 => ErrorKind::Request,
            _ => ErrorKind::Contract,
        };
        let body = match response.bytes().await {
            Ok(body) => body,
            // The code is lost, and without it the status alone would blame the caller.
            Err(e) if by_status == ErrorKind::Request => {
                let error = if over_limit(&e) { self.contract(TOO_LONG) } else { self.broken(e) };
                return error.with_answer(status, None, None, retry_after);
            }
            Err(_) => Bytes::new(),
        };
        let (code, description) = self.code_and_description(&body);

        let kind = code.as_deref().and_then(known).unwrap_or(by_status);
        let name = self.name;
        let what = match kind {
            ErrorKind::Credentials => format!("{name} rejected the credentials"),
            ErrorKind::Request if status == 404 => format!("{name} has no such token endpoint"),
            ErrorKind::Throttled => format!("{name} asks for fewer requests; wait and try again"),
            ErrorKind::Unavailable => format!("{name} is failing; try again later"),
            ErrorKind::Contract if (300..400).contains(&status) => {
                format!("{name} answered with a redirect, which isn't followed with credentials; check the base URL")
            }
            ErrorKind::Contract => format!("{name} answered neither with a token nor with an error"),
            ErrorKind::Configuration | ErrorKind::Request => format!("{name} rejected the request"),
        };
        let code_ = code.as_ref().map_or_else(String::new, |code| format!(", {code}"));
        let message = format!("{what} (HTTP {status}{code_})");
        self.error(kind, message).with_answer(status, code, description, retry_after)
    }

    /// The error code and description of either provider's shape; a gateway before the server may speak the other's.
    // Quirks onence-400-typed-as-the-200, worldline-400-inline.
    fn code_and_description(&self, body: &[u8]) -> (Option<String>, Option<String>) {
        use raw::{onence::types::BearerToken400, worldline::types::ErrorResponse};
        let onence: BearerToken400 = serde_json::from_slice(body).unwrap_or_default();
        let worldline: ErrorResponse = serde_json::from_slice(body).unwrap_or_default();
        let first = |values: [Option<Value>; 2], fits: &dyn Fn(&str) -> bool| {
            values.into_iter().flatten().find_map(|value| Some(value.as_str().filter(|text| fits(text))?.to_owned()))
        };
        // A code that is known is our own literal, even where it holds a secret as weak as `client`.
        let code = first([onence.error_code, worldline.error], &|code| {
            known(code).is_some() || looks_like_code(code) && !self.is_secret(code)
        });
        let description = first([onence.message, worldline.error_description], &|_| true);
        (code, description.map(|text| self.cleaned(&text)))
    }

    fn is_secret(&self, text: &str) -> bool {
        self.secrets_as_sent().any(|secret| folded(text).contains(&**secret))
    }

    fn redacted(&self, text: &str) -> String {
        self.secrets_as_sent().fold(folded(text), |text, secret| text.replace(&**secret, REDACTED))
    }

    /// Our secrets in clear, and as they stand in a form or URL.
    fn secrets_as_sent(&self) -> impl Iterator<Item = Zeroizing<String>> {
        self.secrets.iter().flat_map(|secret| {
            let in_form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let in_url = in_form.replace('+', "%20");
            // Of a secret that is all white space nothing is left to look for.
            [folded(secret), in_form, in_url].map(Zeroizing::new).into_iter().filter(|secret| !secret.is_empty())
        })
    }

    /// A server's words, fit to be shown: without our secrets, control characters, and words too long to be any.
    fn cleaned(&self, text: &str) -> String {
        let text = self.redacted(text);
        let words = text.split(' ').map(|word| if word.len() > 64 { "[...]" } else { word });
        words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
    }

    fn contract(&self, what: &str) -> Error {
        self.error(ErrorKind::Contract, format!("{}'s answer can't be used: {what}", self.name))
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_provider(self.provider)
    }
}

const TOO_LONG: &str = "it is longer than 64 KiB";

const REDACTED: &str = "[redacted]";

/// A member as text whatever JSON type it came in; a list's items with spaces between.
// Quirk worldline-scope-as-text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(" ")),
        other => Some(other.to_string()),
    }
}

/// With a single space for each run of white space and control characters, so that those hide no secret.
fn folded(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Without what could steer a terminal.
fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Whose move a code is that either provider documents.
fn known(code: &str) -> Option<ErrorKind> {
    onence::kind_of(code).or_else(|| worldline::kind_of(code))
}

/// Codes go into messages and logs, so only what looks like one is taken for one.
fn looks_like_code(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn over_limit(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// `Retry-After` in either form (RFC 9110 section 10.2.3), at most an hour. A date counts from the server's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let span = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number of seconds has: a very long time.
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let then = httpdate::parse_http_date(value).ok()?;
        then.duration_since(date(headers).unwrap_or_else(SystemTime::now)).unwrap_or_default()
    };
    Some(span.min(LONGEST))
}

/// When the server says that it answered.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?.trim()).ok()
}
