//! Random servers and random callers in virtual time, and what must hold whatever they do.

#![cfg(test)]

mod support;

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use access_tokens::{Clock, Error, ErrorKind, TokenCache, TokenGuard};
use proptest::{prelude::*, test_runner::Config};
use support::{Outage, Outcome, Record, Server, Settings, Tokens};
use tokio::{
    task::LocalSet,
    time::{sleep, timeout},
};

/// For each of the two tests.
const CASES: u32 = 5_000;

#[derive(Debug, Clone)]
struct Case {
    lifetime: Duration,
    tokens: Tokens,
    tells_lifetime: bool,
    latencies: Vec<Duration>,
    outages: Vec<Outage>,
    /// What the callers do one after the other, each with the pause before it.
    callers: Vec<Vec<(Duration, Act)>>,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Get,
    /// Stops waiting after so long.
    GetOrLeave(Duration),
    /// Reports the last token as refused.
    Invalidate,
    /// The wall clock is set, in seconds.
    Jump(i64),
    /// The machine is suspended: true time and the wall clock go on.
    Suspend(Duration),
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// From a second to 30 days, as many short ones as long ones.
fn lifetimes() -> impl Strategy<Value = Duration> {
    (0.0..(30.0 * 86400.0f64).ln()).prop_map(|ln: f64| Duration::from_secs(ln.exp() as u64))
}

fn latencies() -> impl Strategy<Value = Vec<Duration>> {
    let latency = prop_oneof![
        6 => (0.0..0.3).prop_map(seconds),
        2 => (0.3..3.0).prop_map(seconds),
        // Beyond the time-out of an exchange, which is 30 s.
        1 => (20.0..60.0).prop_map(seconds),
    ];
    prop::collection::vec(latency, 1..6)
}

/// In fractions of the lifetime; a case is about one and a half of them long.
fn outages(lifetime: Duration) -> impl Strategy<Value = Vec<Outage>> {
    let kinds = prop_oneof![
        3 => Just(ErrorKind::Unavailable),
        2 => Just(ErrorKind::Throttled),
        2 => Just(ErrorKind::Credentials),
        1 => Just(ErrorKind::Contract),
    ];
    let retry_after = prop_oneof![3 => Just(None), 2 => (0u64..20).prop_map(Some), 1 => (20u64..10_000).prop_map(Some)];
    let outage = (0.0..1.4, 0.01..1.0, kinds, retry_after).prop_map(move |(from, span, kind, retry_after)| Outage {
        from: lifetime.mul_f64(from),
        to: lifetime.mul_f64(from + span),
        kind,
        retry_after: retry_after.map(Duration::from_secs),
        status: None,
    });
    prop::collection::vec(outage, 0..3)
}

/// Jumps back and suspends together are the one gap that `Clock` documents, so a case has one kind or the other.
fn acts(lifetime: Duration, suspends: bool) -> impl Strategy<Value = Act> {
    let life = lifetime.as_secs_f64();
    prop_oneof![
        24 => Just(Act::Get),
        4 => (0.0..2.0).prop_map(|span| Act::GetOrLeave(seconds(span))),
        2 => Just(Act::Invalidate),
        1 => (-1.0..1.0).prop_map(move |part: f64| match suspends {
            true => Act::Suspend(seconds(life * part.abs())),
            false => Act::Jump((life * part * 1.5) as i64),
        }),
    ]
}

fn callers(lifetime: Duration, suspends: bool) -> impl Strategy<Value = Vec<Vec<(Duration, Act)>>> {
    // Close together, as in a busy service, up to a good part of a lifetime apart.
    let longest = lifetime.as_secs_f64() / 4.0;
    let pause =
        prop_oneof![(0.0..0.05).prop_map(seconds), (0.0..2.0).prop_map(seconds), (0.0..longest).prop_map(seconds)];
    prop::collection::vec(prop::collection::vec((pause, acts(lifetime, suspends)), 1..40), 1..5)
}

fn cases(suspends: bool) -> impl Strategy<Value = Case> {
    let tokens = prop_oneof![Just(Tokens::New), Just(Tokens::CachedRoundedUp), Just(Tokens::CachedRoundedDown)];
    (lifetimes(), tokens, prop::bool::weighted(0.9), latencies(), any::<u64>()).prop_flat_map(
        move |(lifetime, tokens, tells_lifetime, latencies, seed)| {
            (outages(lifetime), callers(lifetime, suspends)).prop_map(move |(outages, callers)| Case {
                lifetime,
                tokens,
                tells_lifetime,
                latencies: latencies.clone(),
                outages,
                callers,
                seed,
            })
        },
    )
}

/// When the client's wall clock was set forward, in true time: what it measures then is longer than it was.
#[derive(Default)]
struct JumpsForward(RefCell<Vec<Duration>>);

impl JumpsForward {
    fn within(&self, from: Duration, to: Duration) -> bool {
        self.0.borrow().iter().any(|at| (from..=to).contains(at))
    }
}

struct World {
    server: Server,
    cache: TokenCache,
    clock: Clock,
    jumped: JumpsForward,
    invalidated: RefCell<Vec<Duration>>,
    /// By how much the server may tell of a longer life than there is; `None` if it tells nothing.
    overstates: Option<Duration>,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_REJECTED_PAUSE: Duration = Duration::from_secs(60);
const A_MOMENT: Duration = Duration::from_millis(20);

async fn run(case: Case) {
    fastrand::seed(case.seed);
    let server = Server::start(Settings {
        lifetime: case.lifetime,
        tokens: case.tokens,
        tells_lifetime: case.tells_lifetime,
        latencies: case.latencies,
        outages: case.outages,
    });
    let clock = Clock::tokio();
    let cache = TokenCache::builder(server.clone()).clock(clock.clone()).build().unwrap();
    let world = Rc::new(World {
        overstates: case.tells_lifetime.then_some(match case.tokens {
            Tokens::CachedRoundedUp => Duration::from_secs(1),
            Tokens::New | Tokens::CachedRoundedDown => Duration::ZERO,
        }),
        server,
        cache,
        clock,
        jumped: JumpsForward::default(),
        invalidated: RefCell::default(),
    });
    let tasks = LocalSet::new();
    for acts in case.callers {
        let world = world.clone();
        tasks.spawn_local(async move {
            for (pause, act) in acts {
                sleep(pause).await;
                world.act(act).await;
            }
        });
    }
    tasks.await;
    world.assert_requests_bounded();
    assert!(world.server.state().most_at_once <= 1, "two flights at once");
}

impl World {
    async fn act(&self, act: Act) {
        match act {
            Act::Get => self.judge(self.cache.token().await),
            Act::GetOrLeave(span) => {
                if let Ok(outcome) = timeout(span, self.cache.token()).await {
                    self.judge(outcome);
                }
            }
            Act::Invalidate => {
                // The token at hand, if there is one; never waits.
                let outcome = timeout(Duration::ZERO, self.cache.token()).await;
                if let Ok(Ok(token)) = outcome
                    && self.cache.invalidate(&token)
                {
                    self.invalidated.borrow_mut().push(self.server.now());
                }
            }
            Act::Jump(seconds) => {
                self.clock.jump(seconds);
                if seconds > 0 {
                    self.jumped.0.borrow_mut().push(self.server.now());
                }
            }
            Act::Suspend(span) => {
                self.server.sleep(Duration::from_secs(span.as_secs()));
                self.clock.jump(span.as_secs() as i64);
            }
        }
    }

    fn judge(&self, outcome: Result<TokenGuard, Error>) {
        match outcome {
            Ok(token) => {
                if let Some(overstated) = self.overstates {
                    let expired = self.server.is_expired_for(token.secret(), overstated);
                    assert!(!expired, "served expired at {:?}", self.server.now());
                }
            }
            Err(error) => {
                self.assert_no_valid_token(&error);
                self.assert_not_late(&error);
            }
        }
    }

    /// No error reaches a caller before the token's own `expires_at`.
    fn assert_no_valid_token(&self, error: &Error) {
        let state = self.server.state();
        let newest = state.exchanges.iter().rev().find_map(|exchange| match &exchange.outcome {
            Some(Outcome::Granted { secret, .. }) => Some(secret.clone()),
            _ => None,
        });
        let Some(newest) = newest else { return };
        // Of a token that came several times the earliest telling: the cache may go by any.
        let tellings = state.exchanges.iter().filter_map(|exchange| match &exchange.outcome {
            Some(Outcome::Granted { secret, expires_in }) if *secret == newest => {
                let lifetime = expires_in.unwrap_or(Duration::from_secs(60));
                Some((exchange.began, lifetime.saturating_sub((lifetime / 10).min(Duration::from_secs(1)))))
            }
            _ => None,
        });
        let now = state.now();
        for (began, life) in tellings {
            if now >= began + life || self.jumped.within(began, now) {
                return;
            }
        }
        panic!("at {now:?} {error:?} though {newest} is valid");
    }

    /// An error is never older than the pause after it: then a caller makes a new attempt instead.
    fn assert_not_late(&self, error: &Error) {
        let state = self.server.state();
        let now = state.now();
        let ended =
            state.exchanges.iter().rev().find_map(|exchange| exchange.ended).expect("an error without an exchange");
        let pause = match error.retry_after().filter(|span| !span.is_zero()) {
            Some(span) => span.min(Duration::from_secs(3600)) + Duration::from_millis(500),
            None if error.kind() == ErrorKind::Credentials => LONGEST_REJECTED_PAUSE,
            None => LONGEST_PAUSE,
        };
        assert!(now <= ended + pause + A_MOMENT, "at {now:?} an error of {ended:?}: {error:?}");
    }

    /// After each outcome so long a pause as the policy says.
    fn assert_requests_bounded(&self) {
        let state = self.server.state();
        let invalidated = self.invalidated.borrow();
        let mut tellings = HashMap::new();
        for (index, pair) in state.exchanges.windows(2).enumerate() {
            let [Record { began, ended, outcome }, next] = pair else { unreachable!() };
            let ended = ended.expect("the next one begins when this one has ended");
            let gap = next.began.saturating_sub(ended) + A_MOMENT;
            let at_least = |least: Duration| {
                let jumped = self.jumped.within(*began, next.began);
                assert!(gap >= least || jumped, "{index}: {gap:?} after {outcome:?}");
            };
            match outcome {
                Some(Outcome::Failed { retry_after: Some(span), .. }) if !span.is_zero() => {
                    at_least((*span).min(Duration::from_secs(3600)))
                }
                Some(Outcome::Failed { kind: ErrorKind::Credentials | ErrorKind::Contract, .. }) => {
                    at_least(Duration::from_millis(500));
                }
                Some(Outcome::Failed { .. }) | None => at_least(Duration::from_millis(50)),
                Some(Outcome::Granted { secret, expires_in }) => {
                    let lifetime = expires_in.unwrap_or(Duration::from_secs(60));
                    let first = *tellings.entry(secret).or_insert((*began, lifetime));
                    // A token that came again is asked for when it ends, going by when it came first.
                    let part = if first.0 == *began { 0.675 } else { 0.89 };
                    let due = first.0 + first.1.mul_f64(part);
                    let jumped = self.jumped.within(first.0, next.began);
                    let refused = invalidated.iter().any(|at| (*began..=next.began).contains(at));
                    if next.began + A_MOMENT < due && !jumped && !refused {
                        // It had ended when it came, or its end is being waited for.
                        at_least(Duration::from_millis(500));
                    }
                }
            }
        }
    }
}

fn check(case: Case) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(case));
}

proptest! {
    #![proptest_config(Config { cases: CASES, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_token_is_there_whatever_they_do_and_though_the_machine_is_suspended(case in cases(true)) {
        check(case);
    }

    #[test]
    fn a_token_is_there_whatever_they_do_and_though_the_clock_is_set(case in cases(false)) {
        check(case);
    }
}
