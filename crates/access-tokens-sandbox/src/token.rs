//! The tokens that both endpoints issue and the resource checks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::count::Counts;
use crate::credential::sha256;
use crate::fault::Endpoint;

/// Why `/resource` turned a request away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The request brought no bearer token.
    Missing,
    /// The sandbox never issued the token, or has forgotten it: it remembers 1,000 expired tokens at least, the last ones that
    /// expired.
    Unknown,
    /// The token's lifetime is over, as the server measures it. Also if it was revoked before.
    Expired,
    /// The token was revoked.
    Revoked,
}

impl Refusal {
    pub(crate) const ALL: [Refusal; 4] = [Refusal::Missing, Refusal::Unknown, Refusal::Expired, Refusal::Revoked];

    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Refusal::Missing => "missing",
            Refusal::Unknown => "unknown",
            Refusal::Expired => "expired",
            Refusal::Revoked => "revoked",
        }
    }
}

/// Every token issued, by its digest: the tokens themselves aren't kept.
#[derive(Default)]
pub(crate) struct Ledger {
    grants: Mutex<Grants>,
    issued: AtomicU64,
    refused: Counts<Refusal>,
}

/// What a token stands for.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) provider: Endpoint,
    pub(crate) scopes: Vec<String>,
    /// On the monotonic clock, so that setting the wall clock ends no token and revives none.
    pub(crate) expires: Instant,
    revoked: bool,
}

impl Ledger {
    /// A new token of `length` characters (a multiple of 4), and when it ends.
    pub(crate) fn issue(
        &self,
        provider: Endpoint,
        scopes: Vec<String>,
        lifetime: Duration,
        length: usize,
    ) -> Result<(String, Instant), Unspecified> {
        let mut random = vec![0; length / 4 * 3];
        aws_lc_rs::rand::fill(&mut random)?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let expires = Instant::now() + lifetime;
        self.grants().insert(sha256(&token), Grant { provider, scopes, expires, revoked: false });
        self.issued.fetch_add(1, Ordering::Relaxed);
        Ok((token, expires))
    }

    /// What the bearer token of a request opens. Refusals are counted.
    pub(crate) fn check(&self, token: Option<&str>) -> Result<Grant, Refusal> {
        let found = token.ok_or(Refusal::Missing).and_then(|token| self.find(token));
        found.inspect_err(|why| self.refused.count(*why))
    }

    /// What a token opens.
    pub(crate) fn find(&self, token: &str) -> Result<Grant, Refusal> {
        match self.grants().by_digest.get(&sha256(token)) {
            None => Err(Refusal::Unknown),
            Some(grant) if grant.expires <= Instant::now() => Err(Refusal::Expired),
            Some(grant) if grant.revoked => Err(Refusal::Revoked),
            Some(grant) => Ok(grant.clone()),
        }
    }

    pub(crate) fn revoke(&self, token: &str) -> bool {
        self.grants().by_digest.get_mut(&sha256(token)).is_some_and(Grant::revoke)
    }

    pub(crate) fn revoke_all(&self) -> usize {
        let mut grants = self.grants();
        grants.by_digest.values_mut().map(Grant::revoke).filter(|revoked| *revoked).count()
    }

    pub(crate) fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    /// True when that ended a token that was alive.
    fn revoke(&mut self) -> bool {
        let alive = !self.revoked && self.expires > Instant::now();
        self.revoked = true;
        alive
    }
}

#[derive(Default)]
struct Grants {
    by_digest: HashMap<[u8; 32], Grant>,
    /// The size at which expired tokens are next looked for.
    sweep_at: usize,
}

impl Grants {
    /// How many expired tokens are told from unknown ones. A number and not a time: a time would let the load decide how much
    /// memory they take.
    const EXPIRED_REMEMBERED: usize = 1000;

    fn insert(&mut self, digest: [u8; 32], grant: Grant) {
        if self.by_digest.len() >= self.sweep_at {
            self.forget_expired();
            self.sweep_at = (self.by_digest.len() * 2).max(1024);
        }
        self.by_digest.insert(digest, grant);
    }

    fn forget_expired(&mut self) {
        let now = Instant::now();
        let mut expired: Vec<Instant> =
            self.by_digest.values().map(|grant| grant.expires).filter(|expires| *expires <= now).collect();
        if expired.len() > Self::EXPIRED_REMEMBERED {
            let (_, first_remembered, _) =
                expired.select_nth_unstable_by(Self::EXPIRED_REMEMBERED - 1, |one, other| other.cmp(one));
            self.by_digest.retain(|_, grant| grant.expires >= *first_remembered);
        }
    }
}
