//! What every request passes first: it's counted, it meets its faults, and its answer gets the server's date.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use serde_json::{Value, json};

use crate::fault::{Answer, Change, Content, Endpoint, Outcome, RetryAfter};
use crate::server::Reset;

/// The server's wall clock as one request sees it: in each request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    skew_s: i64,
}

impl Clock {
    pub(crate) fn now(self) -> SystemTime {
        let skew = Duration::from_secs(self.skew_s.unsigned_abs());
        let now = SystemTime::now();
        let skewed = if self.skew_s < 0 { now.checked_sub(skew) } else { now.checked_add(skew) };
        skewed.unwrap_or(now)
    }

    /// Seconds since 1970, as a JWT has them.
    pub(crate) fn now_s(self) -> i64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

/// The middleware around all routes.
pub(crate) async fn meet(State(state): State<Arc<crate::State>>, mut request: Request, next: Next) -> Response {
    let Some(endpoint) = Endpoint::of(request.uri().path()) else {
        return next.run(request).await;
    };
    state.requests.count(endpoint);
    let met = state.faults.meet(endpoint);
    if let Some(ms) = met.latency_ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let clock = Clock { skew_s: met.clock_skew_s.unwrap_or(0) };
    request.extensions_mut().insert(clock);

    let mut response = match met.outcome {
        Some(Outcome::Reset) => match reset(request).await {},
        Some(Outcome::Garbage) => {
            drain(request).await;
            Html("<!DOCTYPE html>\n<html><body><h1>Welcome to the portal</h1></body></html>\n").into_response()
        }
        Some(Outcome::Answer(answer)) => {
            drain(request).await;
            answer.respond(endpoint)
        }
        Some(Outcome::Change(change)) => change.apply(next.run(request).await).await,
        None => next.run(request).await,
    };
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(clock.now())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn reset(mut request: Request) -> Infallible {
    // The server gives one to each request; without it this would wait until the client gives up.
    let reset = request.extensions_mut().remove::<Reset>().unwrap_or_default();
    drop(request);
    reset.now().await
}

/// Reads and forgets the body: closing on one that is still coming can make the client see a reset instead of the answer. What a
/// client still sends beyond a MiB it sends in vain.
async fn drain(request: Request) {
    let mut body = request.into_body();
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > 1024 * 1024 {
            return;
        }
    }
}

impl Answer {
    /// Status and headers were checked when the fault was queued.
    fn respond(self, endpoint: Endpoint) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let response = match self.content {
            Content::Nothing => status.into_response(),
            Content::Literal { body, content_type } => {
                let content_type = content_type.unwrap_or_else(|| "application/json".to_owned());
                (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
            }
            Content::Error { code, description } => match endpoint {
                Endpoint::Onence => {
                    let message = description.as_ref().unwrap_or(&code);
                    let body = json!({ "statusCode": self.status, "errorCode": code, "message": message });
                    (status, Json(body)).into_response()
                }
                Endpoint::Worldline | Endpoint::Resource => oauth_error(endpoint, status, code, description),
            },
        };
        let retry_after = self.retry_after.map(|value| match value {
            RetryAfter::Seconds(seconds) => [(header::RETRY_AFTER, seconds.to_string())],
            RetryAfter::Text(text) => [(header::RETRY_AFTER, text)],
        });
        let location = self.location.map(|location| [(header::LOCATION, location)]);
        (retry_after, location, response).into_response()
    }
}

fn oauth_error(endpoint: Endpoint, status: StatusCode, code: String, description: Option<String>) -> Response {
    let challenge = crate::resource::challenge(Some(&code), description.as_deref());
    let body = match description {
        Some(description) => json!({ "error": code, "error_description": description }),
        None => json!({ "error": code }),
    };
    let mut response = (status, Json(body)).into_response();
    if endpoint == Endpoint::Resource && status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

impl Change {
    async fn apply(self, usual: Response) -> Response {
        let (mut parts, body) = usual.into_parts();
        // Our own answers come from memory; they're small, and can't fail to arrive.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = match self {
            Change::Truncated => {
                let claimed = body.len().max(1);
                parts.headers.insert(header::CONTENT_LENGTH, claimed.into());
                Body::new(Padded { white_space: 0, rest: body.slice(..body.len() / 2), end: End::BreakOff })
            }
            Change::OversizedBytes(length) => {
                let white_space = length.saturating_sub(body.len() as u64);
                Body::new(Padded { white_space, rest: body, end: End::Proper })
            }
            Change::Endless => Body::new(Padded { white_space: u64::MAX, rest: Bytes::new(), end: End::Never }),
            Change::WithoutToken => edited(body, |members| {
                members.remove("access_token");
            }),
            Change::TokenType(token_type) => edited(body, |members| {
                if let Some(member) = members.get_mut("token_type") {
                    *member = token_type.into();
                }
            }),
        };
        Response::from_parts(parts, body)
    }
}

/// A JSON object with a change; anything else stays as it is.
fn edited(body: Bytes, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Body {
    match serde_json::from_slice(&body) {
        Ok(Value::Object(mut members)) => {
            change(&mut members);
            Body::from(Value::Object(members).to_string())
        }
        _ => Body::from(body),
    }
}

/// White space, then the rest, then an end.
struct Padded {
    white_space: u64,
    rest: Bytes,
    end: End,
}

#[derive(PartialEq)]
enum End {
    Proper,
    /// Nobody lives to see it: no length is announced.
    Never,
    /// Less than was promised, and the connection closes: once what was given is on its way, and then at once.
    BreakOff,
    BrokenOff,
}

static WHITE_SPACE: [u8; 16 * 1024] = [b' '; 16 * 1024];

impl hyper::body::Body for Padded {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.white_space > 0 {
            let length = WHITE_SPACE.len().min(usize::try_from(this.white_space).unwrap_or(usize::MAX));
            this.white_space -= length as u64;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&WHITE_SPACE).slice(..length)))));
        }
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.rest)))));
        }
        match this.end {
            End::Proper | End::Never => Poll::Ready(None),
            End::BreakOff => {
                // hyper drops what it hasn't written when a body fails. Not being ready makes it write first.
                this.end = End::BrokenOff;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::BrokenOff => Poll::Ready(Some(Err(std::io::Error::other("broken off on demand")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Proper => SizeHint::with_exact(self.white_space + self.rest.len() as u64),
            End::Never | End::BreakOff | End::BrokenOff => SizeHint::default(),
        }
    }
}
