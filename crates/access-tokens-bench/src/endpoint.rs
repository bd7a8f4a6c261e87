//! A token endpoint on loopback that follows a plan, and remembers what it issued so that it can judge what callers hold.
//!
//! Any path and any body will do, since the libraries all ask differently.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::library::Error;

const LATENCY: Duration = Duration::from_millis(50);
const RETRY_AFTER: &str = "5";

/// What an endpoint does from its start.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// In whole seconds, since `expires_in` has no smaller unit.
    pub(crate) lifetime: Duration,
    pub(crate) issue: Issue,
    pub(crate) outage: Option<Outage>,
    pub(crate) token_length: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Issue {
    /// A new token for each request.
    New,
    /// One token until it has ended, with what is left of its life in seconds.
    Same(Round),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Round {
    Up,
    Down,
}

#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) span: Range<Duration>,
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
}

/// A running endpoint; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) ledger: Arc<Ledger>,
    serving: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn start(plan: Plan) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        // Without it an answer can wait for the client's delayed acknowledgement.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let ledger = Arc::new(Ledger::new(plan));
        let router = Router::new().fallback(post(answer)).with_state(ledger.clone());
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, ledger, serving })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The whole body is read first: what stays unread would cost the connection.
async fn answer(State(ledger): State<Arc<Ledger>>, _body: Bytes) -> Response {
    ledger.requests.fetch_add(1, Ordering::Relaxed);
    // Before anything is looked at, the clock above all: the answer is as fresh as the caller's network lets it be.
    tokio::time::sleep(LATENCY).await;
    ledger.answer(Instant::now())
}

/// What was asked and issued.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) began: Instant,
    plan: Plan,
    requests: AtomicU64,
    issued: Mutex<Issued>,
}

#[derive(Debug, Default)]
struct Issued {
    ends: HashMap<String, Instant>,
    latest: Option<(String, Instant)>,
}

impl Ledger {
    fn new(plan: Plan) -> Self {
        Self { began: Instant::now(), plan, requests: AtomicU64::new(0), issued: Mutex::default() }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// When `token` ends; `None` for one that was never issued.
    pub(crate) fn end_of(&self, token: &str) -> Option<Instant> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).ends.get(token).copied()
    }

    /// When the longest-lived token that was handed out ends: all live equally long, so it's the latest.
    pub(crate) fn latest_end(&self) -> Option<Instant> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).latest.as_ref().map(|(_, end)| *end)
    }

    fn answer(&self, now: Instant) -> Response {
        let outage = self.plan.outage.as_ref();
        if let Some(outage) = outage.filter(|outage| outage.span.contains(&now.duration_since(self.began))) {
            let body = Json(json!({ "error": outage.error }));
            return (outage.status, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response();
        }
        let (token, end) = self.issue(now);
        let left = end.duration_since(now);
        let expires_in = match self.plan.issue {
            Issue::Same(Round::Up) if left.subsec_nanos() > 0 => left.as_secs() + 1,
            Issue::Same(_) | Issue::New => left.as_secs(),
        };
        let body = json!({ "access_token": token, "token_type": "bearer", "expires_in": expires_in, "scope": "all" });
        ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }

    fn issue(&self, now: Instant) -> (String, Instant) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Issue::Same(_), Some((token, end))) = (self.plan.issue, &issued.latest)
            && now < *end
        {
            return (token.clone(), *end);
        }
        let length = self.plan.token_length;
        let token = format!("{:t>length$}", issued.ends.len());
        let end = now + self.plan.lifetime;
        issued.ends.insert(token.clone(), end);
        issued.latest = Some((token.clone(), end));
        (token, end)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(120);

    #[tokio::test]
    async fn the_same_token_comes_until_it_ends() {
        for (round, lefts) in [(Round::Up, [120, 120, 1]), (Round::Down, [120, 119, 0])] {
            let ledger = ledger(Issue::Same(round), None);
            let mut first = None;
            for (millis, left) in [0, 100, 119_500].into_iter().zip(lefts) {
                let (status, answer) = ask(&ledger, millis).await;
                assert_eq!((status, &answer["expires_in"]), (StatusCode::OK, &Value::from(left)));
                assert_eq!(*first.get_or_insert(answer["access_token"].clone()), answer["access_token"]);
            }
            let (_, answer) = ask(&ledger, 120_000).await;
            assert_ne!(first.as_ref(), Some(&answer["access_token"]));
            assert_eq!(answer["expires_in"], 120);
        }
    }

    #[tokio::test]
    async fn an_outage_has_a_beginning_and_an_end() {
        let span = Duration::from_secs(20)..Duration::from_secs(60);
        let outage = Outage { span, status: StatusCode::UNAUTHORIZED, error: "invalid_client" };
        let ledger = ledger(Issue::New, Some(outage));
        let mut tokens = Vec::new();
        for (millis, expected) in [(19_999, 200), (20_000, 401), (59_999, 401), (60_000, 200)] {
            let (status, answer) = ask(&ledger, millis).await;
            assert_eq!(status, expected, "{millis}");
            tokens.extend(answer["access_token"].as_str().map(str::to_owned));
        }
        let ends = tokens.iter().map(|token| ledger.end_of(token)).collect::<Vec<_>>();
        let end = |millis| Some(ledger.began + Duration::from_millis(millis) + LIFETIME);
        assert_eq!(ends, [end(19_999), end(60_000)]);
        assert_eq!(ledger.latest_end(), end(60_000));
        assert_eq!(ledger.end_of("another"), None);
    }

    fn ledger(issue: Issue, outage: Option<Outage>) -> Ledger {
        Ledger::new(Plan { lifetime: LIFETIME, issue, outage, token_length: 32 })
    }

    async fn ask(ledger: &Ledger, millis: u64) -> (StatusCode, Value) {
        let answer = ledger.answer(ledger.began + Duration::from_millis(millis));
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap_or_default();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}
