//! What a service sees of a cache.

#![cfg(test)]

mod files;
#[cfg(unix)]
mod frozen;
#[path = "../support/mod.rs"]
mod support;

use std::{future::Future, pin::pin, sync::Arc, task::Poll, thread, time::Duration};

use access_tokens::{
    AccessToken, Clock, Error, ErrorKind, Policy, TokenCache, TokenEndpoint, blocking, onence,
    testing::{FixedEndpoint, ScriptedEndpoint},
};
use access_tokens_sandbox::{Endpoint, Fault, Onence, Rounding, Sandbox};
use support::{Outage, Server, Settings, Tokens};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{Instant, advance, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);

fn token(secret: &str) -> AccessToken {
    AccessToken::new(secret).unwrap().with_expires_in(HOUR)
}

fn outage() -> Error {
    Error::new(ErrorKind::Unavailable, "an outage")
}

/// In tokio's time.
fn cache(endpoint: impl TokenEndpoint + 'static) -> TokenCache {
    TokenCache::builder(endpoint).clock(Clock::tokio()).build().unwrap()
}

fn server(lifetime: Duration, tokens: Tokens, outages: Vec<Outage>) -> Server {
    let latencies = vec![Duration::from_millis(50)];
    Server::start(Settings { lifetime, tokens, tells_lifetime: true, latencies, outages })
}

fn ten_thousand_callers(cache: &TokenCache) -> Vec<JoinHandle<Result<Arc<AccessToken>, Error>>> {
    let call = |_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.token().await.map(|token| token.to_owned()) })
    };
    (0..10_000).map(call).collect()
}

async fn polled_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_before_the_first_call() {
    let endpoint = ScriptedEndpoint::new().then(token("one"));
    let cache = cache(endpoint.clone());
    sleep(HOUR).await;
    assert_eq!(endpoint.exchanges(), 0);
    assert_eq!(cache.token().await.unwrap().secret(), "one");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_of_a_cold_cache_make_one_request() {
    let endpoint = ScriptedEndpoint::new().then_after(Duration::from_millis(50), token("one"));
    let cache = cache(endpoint.clone());
    let callers = ten_thousand_callers(&cache);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().secret(), "one");
    }
    assert_eq!(endpoint.exchanges(), 1);
}

#[test]
fn callers_on_many_threads_make_one_request() {
    let endpoint = ScriptedEndpoint::new().then_after(Duration::from_millis(50), token("one"));
    let cache = TokenCache::new(endpoint.clone());
    let runtime = Builder::new_multi_thread().worker_threads(8).enable_all().build().unwrap();
    runtime.block_on(async {
        let callers = ten_thousand_callers(&cache);
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().secret(), "one");
        }
    });
    assert_eq!(endpoint.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_who_go_away_stop_nothing() {
    let endpoint = ScriptedEndpoint::new().then_after(Duration::from_millis(50), token("one"));
    let cache = cache(endpoint.clone());
    let mut callers = ten_thousand_callers(&cache);
    sleep(Duration::from_millis(25)).await;
    let last = callers.pop().unwrap();
    callers.iter().for_each(JoinHandle::abort);
    assert_eq!(last.await.unwrap().unwrap().secret(), "one");
    assert_eq!(endpoint.exchanges(), 1);
    assert_eq!(cache.token().await.unwrap().secret(), "one");
    assert_eq!(endpoint.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_flight_is_one_request_and_everybodys_error() {
    let endpoint = ScriptedEndpoint::new().then_after(Duration::from_millis(50), outage()).then(token("one"));
    let cache = cache(endpoint.clone());
    let callers = ten_thousand_callers(&cache);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().to_string(), "an outage");
    }
    assert_eq!(endpoint.exchanges(), 1);

    // Then at once, without a request, until the next attempt is due.
    assert_eq!(polled_once(cache.token()).await.unwrap().unwrap_err().to_string(), "an outage");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "one");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_starts_at_four_fifths_of_the_life_less_a_jitter_and_keeps_nobody_waiting() {
    let mut starts = Vec::new();
    for seed in 0..40 {
        fastrand::seed(seed);
        let server = server(HOUR, Tokens::New, vec![]);
        let cache = cache(server.clone());
        let first = cache.token().await.unwrap().secret().to_owned();
        let began = Instant::now();
        while server.requests() == 1 {
            let token = polled_once(cache.token()).await.expect("nobody waits for a refresh").unwrap();
            assert_eq!(token.secret(), first);
            sleep(Duration::from_secs(1)).await;
        }
        starts.push(began.elapsed());
        sleep(Duration::from_millis(100)).await;
        assert_ne!(cache.token().await.unwrap().secret(), first);
    }
    let (earliest, latest) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
    assert!(*earliest >= HOUR.mul_f64(0.675) && *latest <= HOUR.mul_f64(0.8) + Duration::from_secs(2), "{starts:?}");
    assert!(*latest - *earliest > HOUR.mul_f64(0.08), "there is no jitter: {starts:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_to_and_without_one_the_pause_grows_to_what_the_policy_says() {
    use ErrorKind::{Contract, Credentials, Throttled, Unavailable};
    let policy = Policy::new;
    let seconds = Duration::from_secs;
    // The shortest, the mean and the longest pause between the attempts from the seventh on.
    for (policy, kind, retry_after, shortest, mean, longest) in [
        (policy(), Credentials, Some(5), 5.0, 5.25, 5.6),
        (policy(), Throttled, Some(20), 20.0, 21.0, 22.1),
        (policy(), Throttled, Some(90), 90.0, 92.5, 95.1),
        // Zero is no time to wait for, and mustn't take the pause away.
        (policy(), Credentials, Some(0), 30.0, 45.0, 60.1),
        (policy(), Credentials, None, 30.0, 45.0, 60.1),
        (policy(), Contract, None, 2.5, 3.75, 5.1),
        (policy(), Unavailable, None, 0.05, 2.5, 5.1),
        (policy().longest_rejected_pause(seconds(10)), Credentials, None, 5.0, 7.5, 10.1),
        (policy().longest_pause(seconds(10)), Credentials, None, 30.0, 45.0, 60.1),
        (policy().longest_pause(seconds(10)), Contract, None, 5.0, 7.5, 10.1),
    ] {
        fastrand::seed(1);
        let outage = Outage {
            from: Duration::ZERO,
            to: HOUR * 10,
            kind,
            retry_after: retry_after.map(Duration::from_secs),
            status: None,
        };
        let server = server(HOUR, Tokens::New, vec![outage]);
        let cache = TokenCache::builder(server.clone()).policy(policy).clock(Clock::tokio()).build().unwrap();
        let step = Duration::from_secs_f64(f64::clamp(shortest / 100.0, 0.01, 0.05));
        while server.requests() < 80 {
            cache.token().await.unwrap_err();
            sleep(step).await;
        }
        let state = server.state();
        let gaps = state.exchanges.windows(2).map(|pair| (pair[1].began - pair[0].ended.unwrap()).as_secs_f64());
        let gaps: Vec<_> = gaps.skip(6).collect();
        let measured = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let case = format!("{kind:?} with Retry-After {retry_after:?}: {gaps:.1?}");
        assert!(gaps.iter().all(|gap| (shortest..longest).contains(gap)), "{case}");
        assert!((measured - mean).abs() < f64::max(0.5, mean / 10.0), "mean {measured} s, {case}");
    }
}

/// Each kind's pause grows by its own failures: neither shortens or lengthens the other's.
#[tokio::test(start_paused = true)]
async fn an_outage_leaves_the_pause_after_a_rejection_as_it_was() {
    let rejection = || Error::new(ErrorKind::Credentials, "rejected");
    let script = (0..20).fold(ScriptedEndpoint::new(), |script, _| script.then(outage()));
    let script = script.then(rejection()).then(rejection()).then(outage()).then(rejection());
    let endpoint = script.then(token("one"));
    let cache = cache(endpoint.clone());
    let mut ends = Vec::new();
    let mut seen = 0;
    while cache.token().await.is_err() {
        if endpoint.exchanges() > seen {
            seen = endpoint.exchanges();
            ends.push(Instant::now());
        }
        sleep(Duration::from_millis(5)).await;
    }
    ends.push(Instant::now());
    let pauses: Vec<_> = ends.windows(2).skip(20).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let spans = [0.5..1.1, 1.0..2.1, 0.0..5.1, 2.0..4.1];
    assert!(pauses.len() == 4 && spans.iter().zip(&pauses).all(|(span, pause)| span.contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn many_that_were_told_the_same_time_come_back_apart_from_each_other() {
    // What they are told, and within how many seconds after that all of them are back.
    for (told, spread) in [(1, 0.5), (5, 0.5), (10, 1.0), (30, 3.0), (3600, 5.0)] {
        fastrand::seed(told);
        let callers: Vec<_> = (0..200)
            .map(|_| {
                let refusal = Error::new(ErrorKind::Throttled, "slow down").with_retry_after(Duration::from_secs(told));
                let endpoint = ScriptedEndpoint::new().then(refusal).then(token("one"));
                tokio::spawn(async move {
                    let cache = cache(endpoint.clone());
                    cache.token().await.unwrap_err();
                    let begun = Instant::now();
                    sleep(Duration::from_secs(told)).await;
                    while endpoint.exchanges() < 2 {
                        let _ = timeout(Duration::from_millis(10), cache.token()).await;
                        sleep(Duration::from_millis(5)).await;
                    }
                    assert_eq!(cache.token().await.unwrap().secret(), "one");
                    begun.elapsed().as_secs_f64() - told as f64
                })
            })
            .collect();
        let mut back = Vec::new();
        for caller in callers {
            back.push(caller.await.unwrap());
        }
        back.sort_by(f64::total_cmp);
        let (first, last) = (back[0], back[back.len() - 1]);
        assert!(
            first >= 0.0 && last <= spread + 0.05,
            "told {told} s they are back from {first} s to {last} s after that"
        );
        assert!(last - first > 0.9 * spread, "told {told} s they are back from {first} s to {last} s after that");
        let densest = back.windows(20).map(|twenty| twenty[19] - twenty[0]).fold(f64::MAX, f64::min);
        assert!(densest > spread / 40.0, "told {told} s, twenty of them are back within {densest} s");
    }
}

/// Who waits as long as the server asked for, as a job's retry does, isn't told to wait once more.
#[tokio::test(start_paused = true)]
async fn who_comes_back_at_the_time_that_was_named_waits_for_the_exchange() {
    for seed in 0..50 {
        fastrand::seed(seed);
        let minute = Duration::from_secs(60);
        let refusal = Error::new(ErrorKind::Throttled, "slow down").with_retry_after(minute);
        let cache = cache(ScriptedEndpoint::new().then(refusal).then(token("one")));
        cache.token().await.unwrap_err();
        sleep(minute).await;
        assert_eq!(cache.token().await.unwrap().secret(), "one");
    }
}

/// The server tells what is left when it answers, and rounds that down; the cache counts from when it asked.
#[tokio::test(start_paused = true)]
async fn a_token_that_came_again_by_a_slow_answer_ends_when_it_was_told_at_first() {
    let lives = |seconds| AccessToken::new("one").unwrap().with_expires_in(Duration::from_secs(seconds));
    let endpoint = ScriptedEndpoint::new().then(lives(17)).then_after(Duration::from_millis(2430), lives(6));
    let endpoint = endpoint.then(token("two"));
    let policy = Policy::new().refresh_at(0.5).jitter(0.0);
    let cache = TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).policy(policy).build().unwrap();
    cache.token().await.unwrap();
    sleep(Duration::from_millis(8600)).await;
    for _ in 0..7 {
        assert_eq!(cache.token().await.unwrap().secret(), "one");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(endpoint.exchanges(), 2);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "two");
}

/// As of an endpoint that reckons by the issue time in the token, and whose clock is off.
#[tokio::test(start_paused = true)]
async fn tokens_that_come_old_arent_replaced_the_moment_they_come() {
    let old = |secret: &str| {
        let token = AccessToken::new(secret).unwrap().with_expires_in(Duration::from_secs(300));
        token.with_age(Duration::from_secs(270))
    };
    let endpoint = (0..100).fold(ScriptedEndpoint::new(), |script, number| script.then(old(&number.to_string())));
    let cache = cache(endpoint.clone());
    for _ in 0..6000 {
        cache.token().await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(endpoint.exchanges() <= 4, "{} exchanges in a minute", endpoint.exchanges());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_lifetime_counts_as_the_policy_says() {
    let endpoint = FixedEndpoint::new("one").unwrap();
    let policy = Policy::new().assumed_lifetime(Duration::from_secs(10)).jitter(0.0);
    let cache = TokenCache::builder(endpoint.clone()).policy(policy).clock(Clock::tokio()).build().unwrap();
    assert_eq!(cache.token().await.unwrap().expires_in(), None);
    sleep(Duration::from_millis(7900)).await;
    cache.token().await.unwrap();
    assert_eq!(endpoint.exchanges(), 1);
    sleep(Duration::from_millis(200)).await;
    cache.token().await.unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(endpoint.exchanges(), 2);
}

/// Whether the endpoint says how long its answer took or not.
#[tokio::test(start_paused = true)]
async fn a_life_begins_before_the_request_is_sent() {
    #[derive(Debug)]
    struct Slow;
    impl TokenEndpoint for Slow {
        fn provider(&self) -> &str {
            "slow"
        }
        fn exchange(&self) -> access_tokens::Exchange<'_> {
            Box::pin(async {
                sleep(Duration::from_secs(20)).await;
                Ok(token("one").with_expires_in(Duration::from_secs(60)))
            })
        }
    }
    let slow = Duration::from_secs(20);
    let scripted = ScriptedEndpoint::new().then_after(slow, token("one").with_expires_in(3 * slow));
    let endpoints: [Arc<dyn TokenEndpoint>; 2] = [Arc::new(Slow), Arc::new(scripted)];
    for endpoint in endpoints {
        let name = endpoint.provider().to_owned();
        let cache = cache(endpoint);
        let left = cache.token().await.unwrap().remaining().unwrap();
        assert!(left.abs_diff(Duration::from_secs(39)) < Duration::from_secs(1), "{name}: {left:?}");
        sleep(Duration::from_millis(38_900)).await;
        assert!(polled_once(cache.token()).await.is_some(), "{name}");
        sleep(Duration::from_millis(200)).await;
        assert!(polled_once(cache.token()).await.is_none_or(|outcome| outcome.is_err()), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_early_refresh_callers_wait_at_the_end() {
    let endpoint = ScriptedEndpoint::new().then(token("one")).then_after(Duration::from_millis(50), token("two"));
    let policy = Policy::new().refresh_at(1.0).jitter(0.0);
    let cache = TokenCache::builder(endpoint.clone()).policy(policy).clock(Clock::tokio()).build().unwrap();
    cache.token().await.unwrap();
    sleep(HOUR - Duration::from_millis(1100)).await;
    assert_eq!(polled_once(cache.token()).await.unwrap().unwrap().secret(), "one");
    sleep(Duration::from_millis(500)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_again_with_a_new_life_is_served_for_that() {
    let endpoint = FixedEndpoint::new("one").unwrap().with_expires_in(Duration::from_secs(60));
    let cache = cache(endpoint.clone());
    for exchanges in 1..4 {
        let token = polled_once(cache.token()).await;
        // The first exchange and those at the end of a life are waited for, though no longer than they take.
        let token = if let Some(token) = token { token } else { cache.token().await };
        assert!(token.unwrap().remaining().unwrap() > Duration::from_secs(58));
        assert_eq!(endpoint.exchanges(), exchanges);
        sleep(Duration::from_secs(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_never_ends_is_given_up() {
    let endpoint = ScriptedEndpoint::new().then_after(100 * HOUR, token("one")).then(token("two"));
    let cache = cache(endpoint.clone());
    let asked = Instant::now();
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "scripted didn't answer within 30s");
    assert_eq!(asked.elapsed().as_secs(), 30);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_endpoint_is_an_error_of_its_callers() {
    #[derive(Debug)]
    struct Panics;
    impl TokenEndpoint for Panics {
        fn provider(&self) -> &str {
            "panics"
        }
        fn exchange(&self) -> access_tokens::Exchange<'_> {
            Box::pin(async { panic!("on purpose") })
        }
    }
    let cache = cache(Panics);
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Contract);
    assert_eq!(error.to_string(), "the token endpoint of panics panicked in an exchange");
}

/// Whatever a caller has it run, the panic of an endpoint isn't the caller's.
#[tokio::test(start_paused = true)]
async fn an_endpoint_may_panic_wherever_it_is_called() {
    #[derive(Debug)]
    struct Panics(&'static str);
    impl Panics {
        fn may(&self, place: &str) {
            assert_ne!(self.0, place, "on purpose");
        }
    }
    impl TokenEndpoint for Panics {
        fn provider(&self) -> &str {
            self.may("provider");
            "panics"
        }
        fn exchange(&self) -> access_tokens::Exchange<'_> {
            self.may("exchange");
            Box::pin(async { Ok(token("one")) })
        }
        fn rotation(&self) -> Option<access_tokens::Rotation> {
            self.may("rotation");
            None
        }
    }
    for (place, expected) in
        [("provider", "one"), ("rotation", "one"), ("exchange", "the token endpoint of panics panicked in an exchange")]
    {
        for cache in [TokenCache::new(Panics(place)), cache(Panics(place))] {
            let outcome = cache.token().await.map(|token| token.secret().to_owned());
            assert_eq!(outcome.unwrap_or_else(|error| error.to_string()), expected, "{place}");
        }
        let outcome = thread::spawn(move || {
            blocking::TokenCache::new(Panics(place)).unwrap().token().map(|token| token.secret().to_owned())
        });
        assert_eq!(outcome.join().unwrap().unwrap_or_else(|error| error.to_string()), expected, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn neither_a_suspended_machine_nor_a_clock_set_back_makes_an_expired_token_look_valid() {
    for (name, jump, idle) in [("suspended for 2 hours", 7200, 0), ("set back by a day", -86400, 3600)] {
        let endpoint = ScriptedEndpoint::new().then(token("one")).then(token("two"));
        let clock = Clock::tokio();
        let cache = TokenCache::builder(endpoint).clock(clock.clone()).build().unwrap();
        assert_eq!(cache.token().await.unwrap().secret(), "one");
        clock.jump(jump);
        advance(Duration::from_secs(idle)).await;
        assert_eq!(cache.token().await.unwrap().secret(), "two", "{name}");
    }
}

/// A process that is stopped (the monotonic clock goes on), or a machine that is suspended (it stands still), while a refresh
/// is under way in the background; it goes on after the token's end.
#[tokio::test(start_paused = true)]
async fn who_comes_after_a_freeze_is_told_nothing_of_an_attempt_from_before() {
    // How the attempt ends that is frozen, and when, were it not frozen.
    let attempts = [
        ("never", 100 * HOUR, outage()),
        ("by a time-out of its own", Duration::from_secs(15), outage()),
        ("by an answer that is there at once", Duration::from_millis(1001), outage()),
        ("by a rejection", Duration::from_millis(1001), Error::new(ErrorKind::Credentials, "rejected")),
    ];
    for (name, span, error) in attempts {
        let freezes = [20, 7200]
            .into_iter()
            .flat_map(|span| [(span, false, 0), (span, true, 0), (span, false, 10), (span, true, 10)]);
        // The runtime may come to the attempt before the first caller does.
        for (frozen, suspended, first_caller) in freezes {
            let name = format!("an attempt that ends {name}, frozen for {frozen} s, {suspended}, {first_caller} ms");
            let lived = |secret: &str| token(secret).with_expires_in(Duration::from_secs(60));
            let endpoint =
                ScriptedEndpoint::new().then(lived("one")).then_after(span, error.clone()).then(lived("two"));
            let clock = Clock::tokio();
            let policy = Policy::new().jitter(0.0);
            let cache = TokenCache::builder(endpoint.clone()).policy(policy).clock(clock.clone()).build().unwrap();
            cache.token().await.unwrap();
            sleep(Duration::from_secs(49)).await;
            assert_eq!(cache.token().await.unwrap().secret(), "one", "{name}");
            sleep(Duration::from_secs(1)).await;
            assert_eq!(endpoint.exchanges(), 2, "{name}");
            if suspended {
                clock.jump(frozen);
            } else {
                advance(Duration::from_secs(frozen as u64)).await;
            }
            sleep(Duration::from_millis(first_caller)).await;
            let asked = Instant::now();
            let outcome = cache.token().await.map(|token| token.secret().to_owned());
            assert_eq!(outcome.unwrap_or_else(|error| error.to_string()), "two", "{name}");
            // What is left of its time-out.
            let most = if frozen == 20 { 11 } else { 3 };
            assert!(asked.elapsed() < Duration::from_secs(most), "{name}: it waits {:?}", asked.elapsed());
        }
    }
}

/// Without a freeze its error is everybody's who waited for it, though the token ended meanwhile.
#[tokio::test(start_paused = true)]
async fn who_waits_for_an_attempt_gets_its_error() {
    let minute = Duration::from_secs(60);
    let endpoint = ScriptedEndpoint::new().then(token("one").with_expires_in(minute)).then_after(minute, outage());
    let policy = Policy::new().jitter(0.0);
    let cache = TokenCache::builder(endpoint.clone()).policy(policy).clock(Clock::tokio()).build().unwrap();
    cache.token().await.unwrap();
    sleep(Duration::from_secs(49)).await;
    cache.token().await.unwrap();
    let begun = Instant::now();
    sleep(Duration::from_secs(12)).await;
    let error = cache.token().await.unwrap_err();
    assert_eq!((error.to_string().as_str(), begun.elapsed().as_secs()), ("scripted didn't answer within 30s", 30));
    assert_eq!(endpoint.exchanges(), 2);
}

/// By tokio's time as by the machine's: a token has one end, whoever reads the clock.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_served_has_some_life_left() {
    for (name, clock) in [("tokio's clock", Clock::tokio()), ("the system's", Clock::system())] {
        for lifetime in [1, 2, 60, 3600] {
            let lifetime = Duration::from_secs(lifetime);
            let endpoint = FixedEndpoint::new("one").unwrap().with_expires_in(lifetime);
            let policy = Policy::new().refresh_at(1.0).jitter(0.0);
            let cache = TokenCache::builder(endpoint).policy(policy).clock(clock.clone()).build().unwrap();
            let remaining = async || cache.token().await.unwrap().remaining().unwrap();
            let left = remaining().await;
            sleep(left - Duration::from_millis(50).min(left)).await;
            for step in 0..200 {
                let left = remaining().await;
                assert!(!left.is_zero(), "{name}, a life of {lifetime:?}, step {step}");
                advance(Duration::from_micros(500)).await;
            }
            // What the machine takes for it doesn't count.
            thread::sleep(if lifetime.as_secs() == 1 { Duration::from_millis(1100) } else { Duration::ZERO });
            assert!(!remaining().await.is_zero(), "{name}, a life of {lifetime:?}, after a pause of the test's");
        }
    }
}

mod invalidation {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_the_token_in_force_makes_the_next_call_wait_for_another() {
        let endpoint = ScriptedEndpoint::new()
            .then(token("one"))
            .then_after(Duration::from_millis(50), token("two"))
            .then(token("three"));
        let cache = cache(endpoint.clone());
        let one = cache.token().await.unwrap().to_owned();
        assert!(cache.invalidate(&one));
        // The ninety-nine others that were refused with it.
        for _ in 0..99 {
            assert!(!cache.invalidate(&one));
        }
        assert_eq!(endpoint.exchanges(), 1, "it is the next call that asks");
        assert_eq!(cache.token().await.unwrap().secret(), "two");
        // Nor does one that comes late take the new token with it.
        for _ in 0..5 {
            assert!(!cache.invalidate(&one));
            assert_eq!(cache.token().await.unwrap().secret(), "two");
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(endpoint.exchanges(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn does_nothing_for_thirty_seconds_to_a_token_that_came_back() {
        let server = server(HOUR, Tokens::CachedRoundedDown, vec![]);
        let cache = cache(server.clone());
        let one = cache.token().await.unwrap().to_owned();
        assert!(cache.invalidate(&one));
        assert_eq!(cache.token().await.unwrap().secret(), one.secret());
        assert_eq!(server.requests(), 2);
        for _ in 0..29 {
            assert!(!cache.invalidate(&one));
            assert_eq!(cache.token().await.unwrap().secret(), one.secret());
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(server.requests(), 2);
        sleep(Duration::from_secs(1)).await;
        assert!(cache.invalidate(&one));
    }

    #[tokio::test(start_paused = true)]
    async fn of_every_token_at_once_is_slowed_down() {
        let server = server(HOUR, Tokens::New, vec![]);
        let cache = cache(server.clone());
        // A resource that refuses whatever it is shown, asked ten times a second for two minutes.
        for _ in 0..1200 {
            let token = cache.token().await.unwrap().to_owned();
            cache.invalidate(&token);
            sleep(Duration::from_millis(100)).await;
        }
        let requests = server.requests();
        assert!((6..=12).contains(&requests), "{requests} requests");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_the_refused_token_again_where_no_other_can_be_had() {
        let endpoint = ScriptedEndpoint::new().then(token("one")).then(outage()).then(token("two"));
        let cache = cache(endpoint.clone());
        let one = cache.token().await.unwrap().to_owned();
        assert!(cache.invalidate(&one));
        assert_eq!(cache.token().await.unwrap().secret(), "one");
        assert!(!cache.invalidate(&one), "the endpoint isn't to be asked before its pause is over");
        sleep(Duration::from_secs(1)).await;
        cache.token().await.unwrap();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(cache.token().await.unwrap().secret(), "two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_cache_refreshes_without_callers_until_it_is_dropped() {
    let server = server(HOUR, Tokens::New, vec![]);
    let warm = cache(server.clone());
    warm.keep_warm().unwrap();
    warm.keep_warm().unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.requests(), 1);
    sleep(10 * HOUR).await;
    let requests = server.requests();
    assert!((12..=16).contains(&requests), "{requests} requests in ten lives");
    let guard = polled_once(warm.token()).await.expect("it is warm").unwrap();
    assert!(!server.is_expired(guard.secret()));

    drop(warm);
    sleep(10 * HOUR).await;
    assert_eq!(server.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn shut_down_it_lets_the_exchange_end_and_serves_the_token_while_it_lives() {
    let endpoint = ScriptedEndpoint::new().then_after(Duration::from_secs(2), token("one")).then(token("two"));
    let cache = cache(endpoint.clone());
    cache.keep_warm().unwrap();
    let caller = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.unwrap().secret().to_owned() }
    });
    sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    cache.shutdown().await;
    assert_eq!(asked.elapsed(), Duration::from_secs(1));
    assert_eq!(caller.await.unwrap(), "one");

    sleep(HOUR / 2).await;
    assert_eq!(cache.token().await.unwrap().secret(), "one");
    sleep(HOUR).await;
    assert_eq!(cache.token().await.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(endpoint.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn shut_down_it_does_not_wait_for_what_has_not_begun() {
    let told = Duration::from_secs(100);
    let refusal = Error::new(ErrorKind::Throttled, "slow down").with_retry_after(told);
    for seed in 0..10 {
        fastrand::seed(seed);
        let endpoint = ScriptedEndpoint::new().then(refusal.clone());
        let cache = cache(endpoint.clone());
        cache.token().await.unwrap_err();
        sleep(told + Duration::from_millis(501)).await;
        let caller = tokio::spawn({
            let cache = cache.clone();
            async move { cache.token().await.map(|_| ()) }
        });
        sleep(Duration::from_millis(1)).await;
        let asked = Instant::now();
        cache.shutdown().await;
        assert!(asked.elapsed() < Duration::from_millis(10), "{:?}", asked.elapsed());
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_every_task() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let endpoint = ScriptedEndpoint::new().then_after(HOUR, token("one"));
    let cache = cache(endpoint.clone());
    let other = cache.clone();
    let mut subscription = cache.subscribe();
    cache.keep_warm().unwrap();
    assert!(timeout(Duration::from_secs(1), cache.token()).await.is_err());
    assert_eq!(tasks(), before + 2, "one keeps it warm, one makes the exchange");
    drop(cache);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tasks(), before + 2);

    drop(other);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), before);
    assert!(subscription.changed().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_told_of_each_new_token() {
    let server = server(HOUR, Tokens::New, vec![]);
    let cache = cache(server.clone());
    let mut early = cache.subscribe();
    let first = cache.token().await.unwrap().to_owned();
    let mut late = cache.subscribe();
    assert_eq!(early.changed().await.unwrap().secret(), first.secret());
    assert!(polled_once(early.changed()).await.is_none());
    cache.invalidate(&first);
    let second = cache.token().await.unwrap().to_owned();
    for subscription in [&mut early, &mut late] {
        assert_eq!(subscription.changed().await.unwrap().secret(), second.secret());
    }
}

#[test]
fn a_flight_whose_runtime_goes_down_is_taken_over() {
    let endpoint = ScriptedEndpoint::new().then_after(HOUR, token("one")).then(token("two"));
    let cache = TokenCache::new(endpoint.clone());
    let first = Runtime::new().unwrap();
    let caller = first.spawn({
        let cache = cache.clone();
        async move { cache.token().await.map(|token| token.to_owned()) }
    });
    while endpoint.exchanges() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let waiting = thread::spawn({
        let cache = cache.clone();
        move || Builder::new_current_thread().enable_all().build().unwrap().block_on(cache.token()).unwrap().to_owned()
    });
    thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    first.shutdown_background();
    assert_eq!(waiting.join().unwrap().secret(), "two");
    drop(caller);
}

#[test]
fn a_flight_whose_runtime_stands_still_is_taken_over() {
    let endpoint = ScriptedEndpoint::new().then_after(HOUR, token("one")).then(token("two"));
    let policy = Policy::new().exchange_timeout(Duration::from_millis(100));
    let cache = TokenCache::builder(endpoint.clone()).policy(policy).build().unwrap();
    let idle = Builder::new_current_thread().enable_all().build().unwrap();
    idle.block_on(async {
        let _ = timeout(Duration::from_millis(10), cache.token()).await;
    });
    assert_eq!(endpoint.exchanges(), 1);
    // Nobody drives `idle` any more, so the exchange's time-out doesn't come either.
    let runtime = Runtime::new().unwrap();
    assert_eq!(runtime.block_on(cache.token()).unwrap().secret(), "two");
    drop(idle);
}

#[test]
fn every_runtime_flavour_will_do_and_one_after_the_other() {
    let elsewhere = Runtime::new().unwrap();
    let onence = Onence { lifetime: Duration::from_secs(1), ..Onence::default() };
    let sandbox = elsewhere.block_on(Sandbox::builder().onence(onence).start()).unwrap();
    let cache = TokenCache::new(client(&sandbox));
    let flavours = [
        || Builder::new_current_thread().enable_all().build().unwrap(),
        || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        || Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap(),
    ];
    for (runtime, requests) in flavours.iter().zip(1..) {
        // A connection that is kept alive goes down with its runtime, too.
        let runtime = runtime();
        runtime.block_on(cache.token()).unwrap();
        assert_eq!(sandbox.requests(Endpoint::Onence), requests);
        drop(runtime);
        thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn outside_of_a_runtime_a_valid_token_is_served_and_the_rest_is_an_error() {
    let cache = TokenCache::new(FixedEndpoint::new("one").unwrap());
    let error = block_on(cache.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("blocking::TokenCache"), "{error}");
    assert_eq!(cache.keep_warm().unwrap_err().kind(), ErrorKind::Configuration);

    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cache.token()).unwrap();
    assert_eq!(block_on(cache.token()).unwrap().secret(), "one");
    let token = block_on(cache.token()).unwrap().to_owned();
    cache.invalidate(&token);
    assert_eq!(block_on(cache.token()).unwrap().secret(), "one");
    block_on(cache.shutdown());
    assert_eq!(block_on(cache.token()).unwrap().secret(), "one");
}

#[test]
fn a_runtime_that_keeps_a_cache_warm_can_go_down_at_any_moment() {
    let (done, waiting) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for _ in 0..50 {
            let cache = TokenCache::new(FixedEndpoint::new("one").unwrap());
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async { cache.keep_warm() }).unwrap();
            drop(runtime);
        }
        done.send(())
    });
    assert!(waiting.recv_timeout(Duration::from_secs(60)).is_ok(), "the runtime can't end");
}

/// Without tokio.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

fn client(sandbox: &Sandbox) -> onence::Client {
    let Onence { username, password, .. } = sandbox.onence();
    let credentials = onence::Credentials::new(username, password);
    onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap()
}

mod against_the_sandbox {
    use super::*;

    /// In its last second such a server answers `expires_in: 0`, which for one exchange is no token at all.
    #[tokio::test]
    async fn a_token_in_its_last_second_is_waited_out() {
        let last_seconds = async |rounding| {
            let tokens = access_tokens_sandbox::Tokens::ServerCached { rounding };
            let onence = Onence { lifetime: Duration::from_secs(3), tokens, ..Onence::default() };
            let sandbox = Sandbox::builder().onence(onence).start().await.unwrap();
            let cache = TokenCache::new(client(&sandbox));
            let (mut secrets, mut longest) = (Vec::new(), Duration::ZERO);
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_secs(8) {
                let asked = std::time::Instant::now();
                let token = cache.token().await.unwrap();
                longest = longest.max(asked.elapsed());
                if secrets.last().is_none_or(|last| last != token.secret()) {
                    secrets.push(token.secret().to_owned());
                }
                sleep(Duration::from_millis(10)).await;
            }
            let requests = sandbox.requests(Endpoint::Onence);
            assert!((3..=4).contains(&secrets.len()), "{rounding:?}: {} tokens", secrets.len());
            assert!(requests <= 14, "{rounding:?}: {requests} requests");
            assert!(longest < Duration::from_millis(1500), "{rounding:?}: {longest:?}");
        };
        tokio::join!(last_seconds(Rounding::Up), last_seconds(Rounding::Down));
    }

    #[tokio::test]
    async fn a_cold_cache_waits_for_the_successor_of_a_token_in_its_last_second() {
        let tokens = access_tokens_sandbox::Tokens::ServerCached { rounding: Rounding::Down };
        let onence = Onence { lifetime: Duration::from_secs(2), tokens, ..Onence::default() };
        let sandbox = Sandbox::builder().onence(onence).start().await.unwrap();
        let other = client(&sandbox).exchange().await.unwrap();
        sleep(Duration::from_millis(1300)).await;
        assert_eq!(client(&sandbox).exchange().await.unwrap_err().kind(), ErrorKind::Contract);
        let token = TokenCache::new(client(&sandbox)).token().await.unwrap().to_owned();
        assert_ne!(token.secret(), other.secret());
    }

    #[tokio::test]
    async fn a_refusal_with_retry_after_is_kept_to() {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.fault(Endpoint::Onence, Fault::status(429).retry_after(2)).unwrap();
        let cache = TokenCache::new(client(&sandbox));
        let began = std::time::Instant::now();
        while cache.token().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        let waited = began.elapsed();
        assert!((2.0..2.8).contains(&waited.as_secs_f64()), "{waited:?}");
        assert_eq!(sandbox.requests(Endpoint::Onence), 2);
    }
}

mod from_synchronous_code {
    use super::*;

    fn blocking(sandbox: &Sandbox) -> blocking::TokenCache {
        blocking::TokenCache::new(client(sandbox)).unwrap()
    }

    #[test]
    fn one_exchange_serves_many_threads() {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start()).unwrap();
        let cache = blocking(&sandbox);
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| assert!(cache.token().unwrap().secret().len() > 1000));
            }
        });
        assert_eq!(sandbox.requests(Endpoint::Onence), 1);
        let token = cache.token().unwrap().to_owned();
        assert!(cache.invalidate(&token));
        assert_ne!(cache.token().unwrap().secret(), token.secret());
    }

    /// A single thread that drives a runtime, and waits for a token in it.
    #[test]
    fn waiting_inside_of_a_runtime_is_no_deadlock() {
        let elsewhere = Runtime::new().unwrap();
        let sandbox = elsewhere.block_on(Sandbox::start()).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let token = runtime.block_on(async { blocking(&sandbox).token().unwrap().to_owned() });
        assert!(token.remaining().unwrap() > HOUR / 2);
    }

    #[test]
    fn errors_come_as_they_do_elsewhere() {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start()).unwrap();
        sandbox.fault(Endpoint::Onence, Fault::status(503).until_cleared()).unwrap();
        let cache = blocking(&sandbox);
        assert_eq!(cache.token().unwrap_err().kind(), ErrorKind::Unavailable);
        sandbox.clear_faults();
        while cache.token().is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_setting_out_of_its_range_is_refused_by_name() {
    let wrong = [
        ("refresh_at", Policy::new().refresh_at(1.1)),
        ("refresh_at", Policy::new().refresh_at(f64::NAN)),
        ("jitter", Policy::new().jitter(0.5)),
        ("jitter", Policy::new().jitter(-0.1)),
        ("assumed_lifetime", Policy::new().assumed_lifetime(Duration::ZERO)),
        ("first_pause", Policy::new().first_pause(Duration::from_secs(6))),
        ("longest_pause", Policy::new().longest_pause(Duration::from_secs(4000))),
        ("longest_rejected_pause", Policy::new().longest_rejected_pause(Duration::ZERO)),
        ("longest_rejected_pause", Policy::new().longest_rejected_pause(Duration::from_secs(4000))),
        ("longest_retry_after", Policy::new().longest_retry_after(Duration::ZERO)),
        ("invalidation_pause", Policy::new().invalidation_pause(Duration::ZERO)),
        ("exchange_timeout", Policy::new().exchange_timeout(Duration::MAX)),
    ];
    for (name, policy) in wrong {
        let error = TokenCache::builder(FixedEndpoint::new("one").unwrap()).policy(policy).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with(&format!("the policy's {name} must be from ")), "{error}");
    }
    assert!(Policy::default().check().is_ok());
}
