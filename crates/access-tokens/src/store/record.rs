//! What stands under a name, and what it means: the rules of a fleet, without a store or a clock. All times are the store's, in
//! milliseconds since 1970. That clock may show anything, so nothing here is added or subtracted that could overflow.
#![deny(clippy::arithmetic_side_effects)]

use std::{io, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    backend::LARGEST,
    keys::{KeyRing, NameKey, SEAL_LEN, TokenName},
};
use crate::{AccessToken, Error, ErrorKind, Scopes, token::margin};

/// Members that a newer version adds are ignored by an older one: the two run beside each other while a fleet is updated.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    token: Option<Token>,
    lease: Option<Lease>,
    pause: Option<Pause>,
    /// How many exchanges failed in a row.
    failures: u32,
    /// How many of the last ones were rejected credentials.
    rejections: u32,
    invalidated: Vec<Invalidated>,
    /// Until then nobody waits for another's exchange: the last one brought what isn't shared.
    unshared: u64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Token {
    secret: Zeroizing<String>,
    began: u64,
    expires_in: Option<u64>,
    scopes: String,
    missing_scopes: String,
    user_id: Option<String>,
    /// An exchange for its successor brought it again, so there is none to ask for before its end.
    again: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lease {
    holder: String,
    until: u64,
}

/// An exchange failed, and its error is everybody's for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pause {
    began: u64,
    until: u64,
    kind: String,
    message: String,
    provider: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    /// The server named its end.
    named: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Invalidated {
    fingerprint: String,
    until: u64,
    /// The server gave it again. It can't be shared, and there is no other.
    #[serde(default)]
    again: bool,
}

/// A holder that is gone is replaced after so long, and one that is slow gets company.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// How long a fleet pauses after its first failure; it doubles with each further.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long at most where the server named no time and didn't reject the credentials, so that another than who failed is the
/// next to try before long. Half of what a cache pauses that fails alone.
const LONGEST_SHARED: Duration = Duration::from_millis(2500);

/// The same where it may be the fault of one machine, its network or its address: others are to find that out soon.
const LONGEST_DOUBTFUL: Duration = Duration::from_secs(1);

/// How long a rejection is remembered beyond its pause: whoever comes next may be a process that has just started, each time.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// No clock is so much behind that this isn't one that was set back.
const AHEAD: Duration = Duration::from_secs(2);

/// How many invalidated tokens are known of; the oldest is forgotten first.
const MOST_INVALIDATED: usize = 16;

/// How long an invalidated token is known of whose end isn't known.
const INVALIDATED: Duration = Duration::from_secs(60 * 60);

/// Two tellings of the same end that lie no further apart are the same: servers round to seconds.
const ROUNDING: u64 = 2000;

/// What a flight wants.
pub(crate) struct Want {
    /// The last token that it had, and wants another for.
    pub(crate) held: Option<Arc<AccessToken>>,
    /// It lives, and was invalidated.
    pub(crate) invalidated: bool,
    /// It lives, and is served meanwhile.
    pub(crate) soft: bool,
    /// How long a token lives whose server doesn't say.
    pub(crate) assumed_lifetime: Duration,
    /// How long it waits at most where a server names a time.
    pub(crate) longest_pause: Duration,
}

impl Want {
    /// How long callers have a token meanwhile.
    pub(super) fn left(&self) -> Duration {
        let held = self.held.as_ref().filter(|_| self.soft);
        held.map_or(Duration::ZERO, |held| {
            let life = held.expires_in().unwrap_or(self.assumed_lifetime);
            life.saturating_sub(margin(life)).saturating_sub(held.age())
        })
    }
}

impl Record {
    /// What a store holds, if that is ours.
    pub(super) fn open(keys: &KeyRing, name: &TokenName, sealed: Option<&[u8]>) -> Option<Self> {
        serde_json::from_slice(&keys.open(name, sealed?)?).ok()
    }

    /// `None` if it is too large to be stored.
    pub(super) fn seal(&self, keys: &KeyRing, name: &TokenName) -> Option<Vec<u8>> {
        // As much as it takes at the start: growing would leave copies of the token behind.
        let mut length = Length(0);
        serde_json::to_writer(&mut length, self).ok()?;
        let mut plain = Zeroizing::new(Vec::with_capacity(length.0.saturating_add(SEAL_LEN)));
        serde_json::to_writer(&mut *plain, self).ok()?;
        keys.seal(name, plain).filter(|sealed| sealed.len() <= LARGEST)
    }

    /// How long it is of use.
    pub(super) fn life(&self, now: Duration, assumed_lifetime: Duration) -> Duration {
        let ends = self.token.iter().map(|token| token.end(assumed_lifetime));
        let ends = ends.chain(self.lease.iter().map(|lease| lease.until));
        let ends = ends.chain(self.pause.iter().map(|pause| pause.until.saturating_add(pause.remembered())));
        let ends = ends.chain(self.invalidated.iter().map(|invalidated| invalidated.until)).chain([self.unshared]);
        Duration::from_millis(ends.max().unwrap_or_default()).saturating_sub(now).saturating_add(Duration::from_secs(1))
    }

    /// The token that is wanted. The store's clock shows `now` at least, and at most `latest`.
    pub(super) fn token(&self, want: &Want, names: &NameKey, now: Duration, latest: Duration) -> Option<AccessToken> {
        // There is no successor yet; the one that is held will do.
        if let Some(held) = want.held.as_ref().filter(|_| want.soft && self.is_barred(now)) {
            let fingerprint = names.fingerprint(held.secret());
            let again = |invalidated: &Invalidated| invalidated.again && invalidated.fingerprint == fingerprint;
            return self.invalidated.iter().any(again).then(|| AccessToken::clone(held));
        }
        let token = self.token.as_ref().filter(|token| token.lives(latest, want.assumed_lifetime))?;
        let is_wanted = match &want.held {
            // It is no successor of itself, unless it is known that there is none yet.
            Some(held) if held.secret() == token.secret.as_str() => token.again && want.soft && !want.invalidated,
            // One that has ended has no say.
            Some(held) if want.soft || want.invalidated => token.began >= millis(now.saturating_sub(held.age())),
            _ => true,
        };
        is_wanted.then(|| token.to_access_token(latest)).flatten()
    }

    /// The error of an exchange that has just failed. One of before the token that is held is no news.
    pub(super) fn pause(&self, want: &Want, now: Duration) -> Option<Error> {
        let pause = self.pause.as_ref()?;
        let began = Duration::from_millis(pause.began);
        let until = Duration::from_millis(pause.until).min(began.saturating_add(want.longest_pause));
        let left = until.saturating_sub(now);
        let newer = want.held.as_ref().is_some_and(|held| now.saturating_sub(held.age()) > began);
        (began <= now.saturating_add(AHEAD) && !left.is_zero() && !newer).then(|| pause.to_error(left))
    }

    /// Whether the only token that the server gives is one that was invalidated. Not at its end, when there will be another.
    pub(super) fn is_barred(&self, now: Duration) -> bool {
        let bars = |invalidated: &Invalidated| {
            invalidated.again && invalidated.until > millis(now.saturating_add(LEASE).saturating_add(AHEAD))
        };
        self.token.is_none() && self.invalidated.iter().any(bars)
    }

    /// Whether somebody is asking.
    pub(super) fn is_leased(&self, now: Duration) -> bool {
        self.lease.as_ref().is_some_and(|lease| is_within_a_lease(lease.until, now))
    }

    /// Whether what exchanges bring isn't shared for now.
    pub(super) fn is_unshared(&self, now: Duration) -> bool {
        is_within_a_lease(self.unshared, now)
    }

    pub(super) fn lease(&mut self, holder: &str, now: Duration) {
        self.lease = Some(Lease { holder: holder.to_owned(), until: millis(now.saturating_add(LEASE)) });
    }

    /// Ends the lease of this holder; whether it was still his.
    pub(super) fn release(&mut self, holder: &str) -> bool {
        self.lease.take_if(|lease| lease.holder == holder).is_some()
    }

    /// Takes in that an exchange brought a token that isn't of the client whose name this is.
    pub(super) fn leave_unshared(&mut self, now: Duration) {
        self.unshared = millis(now.saturating_add(LEASE));
    }

    /// Never hands this token out again, while it may live.
    pub(super) fn invalidate(&mut self, names: &NameKey, token: &AccessToken, now: Duration) {
        self.invalidated.retain(|invalidated| Duration::from_millis(invalidated.until) > now);
        let fingerprint = names.fingerprint(token.secret());
        let left =
            token.expires_in().map_or(INVALIDATED, |life| life.saturating_sub(token.age()).saturating_add(LEASE));
        if !self.invalidated.iter().any(|invalidated| invalidated.fingerprint == fingerprint) {
            if self.invalidated.len() >= MOST_INVALIDATED {
                self.invalidated.remove(0);
            }
            self.invalidated.push(Invalidated { fingerprint, until: millis(now.saturating_add(left)), again: false });
        }
        self.token.take_if(|stored| stored.secret.as_str() == token.secret());
    }

    /// Takes in what an exchange brought, a token whose life began at `began`; unless it is invalidated, or a newer one is here.
    pub(super) fn offer(
        &mut self,
        names: &NameKey,
        token: &AccessToken,
        began: Duration,
        now: Duration,
        assumed_lifetime: Duration,
    ) {
        (self.pause, self.failures, self.rejections, self.unshared) = (None, 0, 0, 0);
        let fingerprint = names.fingerprint(token.secret());
        if let Some(invalidated) = self.invalidated.iter_mut().find(|other| other.fingerprint == fingerprint) {
            invalidated.again = true;
            return;
        }
        let offered = Token::new(token, began);
        match &mut self.token {
            Some(stored) if stored.secret == offered.secret => {
                if stored.end(assumed_lifetime).abs_diff(offered.end(assumed_lifetime)) > ROUNDING {
                    *stored = offered;
                }
                stored.again = true;
            }
            Some(stored) if stored.began > offered.began && stored.lives(now, assumed_lifetime) => {}
            _ => self.token = Some(offered),
        }
    }

    /// Takes in that an exchange failed, after which the one who made it pauses for so long, and at most for `longest` while its
    /// credentials are rejected. What the provider says, by a code of its own or as a server that fails, holds for all; anything
    /// else may be one machine's alone. What wasn't sent is.
    pub(super) fn fail(&mut self, error: &Error, pause: Duration, longest: Duration, now: Duration) {
        let is_rejection = error.kind() == ErrorKind::Credentials;
        let provider_says = match error.kind() {
            ErrorKind::Configuration => return,
            // A second time in a row it is hardly one machine's.
            ErrorKind::Credentials => error.code().is_some() || self.rejections > 0,
            ErrorKind::Request => error.code().is_some(),
            ErrorKind::Throttled | ErrorKind::Unavailable => error.status().is_some_and(|status| status != 429),
            ErrorKind::Contract => false,
        };
        self.rejections = if is_rejection { self.rejections.saturating_add(1) } else { 0 };
        let doubled = |times: u32| FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(times));
        let shared = match provider_says {
            true if error.names_a_time() => pause,
            // All of the fleet together ask no more often than one of them would, however many have just started.
            true if is_rejection => pause.max(doubled(self.rejections).min(longest)),
            true => doubled(self.failures).min(LONGEST_SHARED).max(pause.mul_f64(0.5)),
            false => doubled(self.failures).min(LONGEST_DOUBTFUL),
        };
        self.failures = self.failures.saturating_add(1);
        self.pause = Some(Pause::new(error, provider_says && error.names_a_time(), now, shared));
    }
}

impl Token {
    fn new(token: &AccessToken, began: Duration) -> Self {
        Self {
            secret: Zeroizing::new(token.secret().to_owned()),
            began: millis(began),
            expires_in: token.expires_in().map(millis),
            scopes: token.scopes().to_string(),
            missing_scopes: token.missing_scopes().to_string(),
            user_id: token.user_id().map(str::to_owned),
            again: false,
        }
    }

    fn to_access_token(&self, now: Duration) -> Option<AccessToken> {
        let token = AccessToken::new(self.secret.as_str()).ok()?;
        let token = token.with_age(now.saturating_sub(Duration::from_millis(self.began)));
        let token = token.with_scopes(Scopes::from_answer(&self.scopes));
        let token = token.with_missing_scopes(Scopes::from_answer(&self.missing_scopes));
        let token = match self.expires_in {
            Some(life) => token.with_expires_in(Duration::from_millis(life)),
            None => token,
        };
        Some(match &self.user_id {
            Some(user_id) => token.with_user_id(user_id.as_str()),
            None => token,
        })
    }

    /// Whether it is to be served, less the margin that a cache has too. Of one whose life is yet to begin nobody knows when it
    /// ends: the store's clock was set back.
    fn lives(&self, now: Duration, assumed_lifetime: Duration) -> bool {
        if self.began > millis(now.saturating_add(AHEAD)) {
            return false;
        }
        let margin = margin(self.expires_in.map_or(assumed_lifetime, Duration::from_millis));
        millis(now.saturating_add(margin)) < self.end(assumed_lifetime)
    }

    fn end(&self, assumed_lifetime: Duration) -> u64 {
        self.began.saturating_add(self.expires_in.unwrap_or_else(|| millis(assumed_lifetime)))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("began", &self.began).field("again", &self.again).finish_non_exhaustive()
    }
}

impl Pause {
    fn new(error: &Error, named: bool, now: Duration, span: Duration) -> Self {
        Self {
            began: millis(now),
            until: millis(now.saturating_add(span)),
            kind: error.kind().name().to_owned(),
            message: error.to_string(),
            provider: error.provider().map(str::to_owned),
            status: error.status(),
            code: error.code().map(str::to_owned),
            named,
        }
    }

    /// How long afterwards, in milliseconds, it is of use how often credentials were rejected.
    fn remembered(&self) -> u64 {
        if self.kind == ErrorKind::Credentials.name() { millis(REMEMBERED) } else { 0 }
    }

    fn to_error(&self, left: Duration) -> Error {
        let kind = ErrorKind::of_name(&self.kind).unwrap_or(ErrorKind::Unavailable);
        let mut error = Error::new(kind, format!("{} (another instance was told so)", self.message));
        if let Some(provider) = &self.provider {
            error = error.with_provider(provider);
        }
        if let Some(status) = self.status {
            error = error.with_answer(status, self.code.clone(), None, self.named.then_some(left));
        }
        error.with_shared_pause(left)
    }
}

/// Whether `until` is still to come, and no later than a lease that begins now. What is further off is of before the store's clock
/// was set back.
fn is_within_a_lease(until: u64, now: Duration) -> bool {
    let left = Duration::from_millis(until).saturating_sub(now);
    // A clock that is set back a little doesn't end one.
    (Duration::from_millis(1)..=LEASE.saturating_add(AHEAD)).contains(&left)
}

/// Past the end of any clock counts as that.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
