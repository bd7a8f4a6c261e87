//! A token endpoint in tokio's paused time, which knows the true time and judges what callers were given.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod store;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use access_tokens::{AccessToken, Error, ErrorKind, Exchange, TokenEndpoint, TokenId};
use tokio::time::{Instant, sleep};

/// A clone is the same server.
#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<State>>);

pub(crate) struct Settings {
    pub(crate) lifetime: Duration,
    pub(crate) tokens: Tokens,
    /// Whether answers say `expires_in`.
    pub(crate) tells_lifetime: bool,
    /// How long the n-th exchange takes; the last one stands for all further.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) outages: Vec<Outage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// Each request makes a new one.
    New,
    /// The same until it ends, with what is left of its life in whole seconds.
    CachedRoundedUp,
    CachedRoundedDown,
}

/// What is answered from `from` until `to`, counted from the server's start.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) kind: ErrorKind,
    pub(crate) retry_after: Option<Duration>,
    /// None where no answer came.
    pub(crate) status: Option<u16>,
}

pub(crate) struct State {
    settings: Settings,
    start: Instant,
    /// How long the machine of the client slept: true time that tokio's doesn't know of.
    slept: Duration,
    pub(crate) exchanges: Vec<Record>,
    under_way: u32,
    pub(crate) most_at_once: u32,
    issued: HashMap<String, Duration>,
    last_token: String,
}

/// One exchange, in true time since the server's start.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) began: Duration,
    pub(crate) ended: Option<Duration>,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Granted { secret: String, expires_in: Option<Duration> },
    Failed { kind: ErrorKind, retry_after: Option<Duration> },
}

impl Server {
    pub(crate) fn start(settings: Settings) -> Self {
        Self(Arc::new(Mutex::new(State {
            settings,
            start: Instant::now(),
            slept: Duration::ZERO,
            exchanges: Vec::new(),
            under_way: 0,
            most_at_once: 0,
            issued: HashMap::new(),
            last_token: String::new(),
        })))
    }

    /// True time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.state().now()
    }

    pub(crate) fn sleep(&self, span: Duration) {
        self.state().slept += span;
    }

    pub(crate) fn requests(&self) -> usize {
        self.state().exchanges.len()
    }

    pub(crate) fn is_expired(&self, secret: &str) -> bool {
        self.is_expired_for(secret, Duration::ZERO)
    }

    /// Whether it ended `span` ago, or longer.
    pub(crate) fn is_expired_for(&self, secret: &str, span: Duration) -> bool {
        let state = self.state();
        state.issued[secret] + span <= state.now()
    }

    /// Whether a token that was handed out lives longer than `span` from now.
    pub(crate) fn has_token_for(&self, span: Duration) -> bool {
        let state = self.state();
        state.exchanges.iter().any(|exchange| match &exchange.outcome {
            Some(Outcome::Granted { secret, .. }) => state.issued[secret] > state.now() + span,
            _ => false,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A failed assertion elsewhere mustn't hide behind this one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed() + self.slept
    }

    fn answer(&mut self) -> Result<AccessToken, Error> {
        let now = self.now();
        if let Some(outage) = self.settings.outages.iter().find(|outage| (outage.from..outage.to).contains(&now)) {
            let mut error = Error::new(outage.kind, "an outage");
            if let Some(span) = outage.retry_after {
                error = error.with_retry_after(span);
            }
            return Err(match outage.status {
                Some(status) => error.with_status(status),
                None => error,
            });
        }
        let lives = self.issued.get(&self.last_token).is_some_and(|end| *end > now);
        if self.settings.tokens == Tokens::New || !lives {
            self.last_token = format!("token-{}", self.exchanges.len());
            self.issued.insert(self.last_token.clone(), now + self.settings.lifetime);
        }
        let left = self.issued[&self.last_token] - now;
        let expires_in = match self.settings.tokens {
            Tokens::New => self.settings.lifetime,
            Tokens::CachedRoundedUp => Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0)),
            Tokens::CachedRoundedDown => Duration::from_secs(left.as_secs()),
        };
        let token = AccessToken::new(self.last_token.clone())?;
        Ok(if self.settings.tells_lifetime { token.with_expires_in(expires_in) } else { token })
    }
}

impl TokenEndpoint for Server {
    fn provider(&self) -> &str {
        "virtual"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            let (latency, index, _under_way) = {
                let mut state = self.state();
                let index = state.exchanges.len();
                let latencies = &state.settings.latencies;
                let latency = latencies.get(index).or(latencies.last()).copied().unwrap_or_default();
                let began = state.now();
                state.exchanges.push(Record { began, ended: None, outcome: None });
                state.under_way += 1;
                state.most_at_once = state.most_at_once.max(state.under_way);
                (latency, index, UnderWay(self, index))
            };
            let sent = Instant::now();
            // There and back: a life begins when the server answers, not when that comes.
            sleep(latency / 2).await;
            let answer = self.state().answer().map(|token| token.with_age(sent.elapsed()));
            sleep(latency - latency / 2).await;
            let mut state = self.state();
            let outcome = match &answer {
                Ok(token) => Outcome::Granted { secret: token.secret().to_owned(), expires_in: token.expires_in() },
                Err(error) => Outcome::Failed { kind: error.kind(), retry_after: error.retry_after() },
            };
            state.exchanges[index].outcome = Some(outcome);
            answer
        })
    }

    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("virtual", "", "", b""))
    }
}

struct UnderWay<'a>(&'a Server, usize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        // With an answer, or given up.
        let now = state.now();
        state.exchanges[self.1].ended = Some(now);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}
