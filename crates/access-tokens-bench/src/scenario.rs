//! The four scenarios: what the server does, how long it is watched, and what ours must keep to.

use std::time::Duration;

use axum::http::StatusCode;

use crate::endpoint::{Issue, Outage, Plan, Round};

/// Enough to tell tokens apart; their copies aren't what is measured here.
const TOKEN_LENGTH: usize = 32;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) id: char,
    pub(crate) summary: &'static str,
    lifetime: u32,
    issue: Issue,
    outage: Option<(u32, u32, StatusCode, &'static str)>,
    length: u32,
    pub(crate) limits: Limits,
}

/// The most that ours may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) requests: u64,
    pub(crate) errors: Option<u64>,
    pub(crate) errors_while_valid: Option<u64>,
    /// `None` where the server promises a token up to a second more life than it has.
    pub(crate) expired: Option<u64>,
    pub(crate) longest_wait: Option<Duration>,
    pub(crate) recovery: Option<Duration>,
}

/// The server hands out one token for its whole life.
const SAME: Limits = Limits {
    requests: 5,
    errors: Some(0),
    errors_while_valid: None,
    expired: None,
    longest_wait: Some(Duration::from_millis(1500)),
    recovery: None,
};

/// The server is out for longer than a token can bridge: errors are right while none is valid.
const OUTAGE: Limits = Limits {
    requests: 14,
    errors: None,
    errors_while_valid: Some(0),
    expired: Some(0),
    longest_wait: None,
    recovery: Some(Duration::from_secs(6)),
};

pub(crate) const ALL: [Scenario; 4] = [
    Scenario {
        id: 'A',
        summary: "life 120 s, the same token with what is left rounded up, 150 s",
        lifetime: 120,
        issue: Issue::Same(Round::Up),
        outage: None,
        length: 150,
        limits: SAME,
    },
    Scenario {
        id: 'B',
        summary: "life 120 s, the same token with what is left rounded down, 150 s",
        lifetime: 120,
        issue: Issue::Same(Round::Down),
        outage: None,
        length: 150,
        limits: Limits { expired: Some(0), ..SAME },
    },
    Scenario {
        id: 'C',
        summary: "life 120 s, 503 with Retry-After: 5 from 70 s to 128 s, 160 s",
        lifetime: 120,
        issue: Issue::New,
        outage: Some((70, 128, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")),
        length: 160,
        limits: OUTAGE,
    },
    Scenario {
        id: 'D',
        summary: "life 40 s, 401 invalid_client with Retry-After: 5 from 20 s to 60 s, 100 s",
        lifetime: 40,
        issue: Issue::New,
        outage: Some((20, 60, StatusCode::UNAUTHORIZED, "invalid_client")),
        length: 100,
        limits: OUTAGE,
    },
];

impl Scenario {
    /// The server's part, with every span but the latency and `Retry-After` times `scale`.
    pub(crate) fn plan(&self, scale: f64) -> Plan {
        let seconds = |seconds: u32| Duration::from_secs_f64(f64::from(seconds) * scale);
        Plan {
            lifetime: Duration::from_secs_f64((f64::from(self.lifetime) * scale).round().max(1.0)),
            issue: self.issue,
            outage: self.outage.map(|(from, to, status, error)| Outage {
                span: seconds(from)..seconds(to),
                status,
                error,
            }),
            token_length: TOKEN_LENGTH,
        }
    }

    /// How long it is watched.
    pub(crate) fn length(&self, scale: f64) -> Duration {
        Duration::from_secs_f64(f64::from(self.length) * scale)
    }
}
