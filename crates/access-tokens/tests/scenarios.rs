//! The four situations that tell whether a cache is right, in virtual time: 8 callers in a loop against a server with 50 ms
//! latency. The bench crate runs the same in real time, beside other libraries.

#![cfg(test)]

mod support;

use std::time::Duration;

use access_tokens::{Clock, ErrorKind, TokenCache};
use support::{Outage, Server, Settings, Tokens};
use tokio::time::{Instant, sleep};

const SEEDS: u64 = 4;

#[derive(Debug, Default)]
struct Tally {
    gets: u64,
    expired_served: u64,
    errors: u64,
    errors_while_valid: u64,
    longest_wait: Duration,
    /// From the server's recovery to the first success after it.
    recovered_after: Option<Duration>,
}

async fn run(settings: Settings, span: u64, recovers_at: Option<u64>) -> (Tally, usize) {
    let server = Server::start(settings);
    let cache = TokenCache::builder(server.clone()).clock(Clock::tokio()).build().unwrap();
    let callers = (0..8).map(|_| {
        let (server, cache) = (server.clone(), cache.clone());
        tokio::spawn(async move {
            let mut tally = Tally::default();
            while server.now() < Duration::from_secs(span) {
                let asked = Instant::now();
                let outcome = cache.token().await;
                tally.gets += 1;
                tally.longest_wait = tally.longest_wait.max(asked.elapsed());
                match outcome {
                    Ok(token) => {
                        tally.expired_served += u64::from(server.is_expired(token.secret()));
                        let since = recovers_at.and_then(|at| server.now().checked_sub(Duration::from_secs(at)));
                        tally.recovered_after = tally.recovered_after.or(since);
                    }
                    Err(_) => {
                        tally.errors += 1;
                        tally.errors_while_valid += u64::from(server.has_token_for(Duration::from_millis(1500)));
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
            tally
        })
    });
    let mut sum = Tally::default();
    for caller in callers.collect::<Vec<_>>() {
        let tally = caller.await.unwrap();
        sum.gets += tally.gets;
        sum.expired_served += tally.expired_served;
        sum.errors += tally.errors;
        sum.errors_while_valid += tally.errors_while_valid;
        sum.longest_wait = sum.longest_wait.max(tally.longest_wait);
        sum.recovered_after = sum.recovered_after.max(tally.recovered_after);
    }
    assert!(sum.gets > 8 * span * 50, "the callers didn't loop: {sum:?}");
    (sum, server.requests())
}

fn settings(lifetime: u64, tokens: Tokens, outage: Option<(u64, u64, ErrorKind)>) -> Settings {
    Settings {
        lifetime: Duration::from_secs(lifetime),
        tokens,
        tells_lifetime: true,
        latencies: vec![Duration::from_millis(50)],
        outages: Vec::from_iter(outage.map(|(from, to, kind)| Outage {
            from: Duration::from_secs(from),
            to: Duration::from_secs(to),
            kind,
            retry_after: Some(Duration::from_secs(5)),
            status: None,
        })),
    }
}

async fn assert_replaced_at_its_end(tokens: Tokens) {
    for seed in 0..SEEDS {
        fastrand::seed(seed);
        let (tally, requests) = run(settings(120, tokens, None), 150, None).await;
        assert!(requests <= 5, "{requests} requests, {tally:?}");
        assert_eq!((tally.errors, tally.expired_served), (0, 0), "{tally:?}");
        assert!(tally.longest_wait <= Duration::from_millis(1500), "{tally:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_cached_token_rounded_up_is_replaced_at_its_end() {
    assert_replaced_at_its_end(Tokens::CachedRoundedUp).await;
}

#[tokio::test(start_paused = true)]
async fn b_server_cached_token_rounded_down_is_replaced_at_its_end() {
    assert_replaced_at_its_end(Tokens::CachedRoundedDown).await;
}

#[tokio::test(start_paused = true)]
async fn c_an_outage_longer_than_what_is_left_of_the_token_is_waited_out_as_the_server_asks() {
    for seed in 0..SEEDS {
        fastrand::seed(seed);
        let outage = Some((70, 128, ErrorKind::Throttled));
        let (tally, requests) = run(settings(120, Tokens::New, outage), 160, Some(128)).await;
        assert!(requests <= 14, "{requests} requests, {tally:?}");
        assert_eq!((tally.errors_while_valid, tally.expired_served), (0, 0), "{tally:?}");
        assert!(tally.errors > 0, "without a token callers are told at once: {tally:?}");
        assert!(tally.recovered_after.unwrap() <= Duration::from_secs(6), "{tally:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn d_rejected_credentials_are_tried_again_until_they_are_accepted() {
    for seed in 0..SEEDS {
        fastrand::seed(seed);
        let outage = Some((20, 60, ErrorKind::Credentials));
        let (tally, requests) = run(settings(40, Tokens::New, outage), 100, Some(60)).await;
        assert!(requests <= 14, "{requests} requests, {tally:?}");
        assert_eq!((tally.errors_while_valid, tally.expired_served), (0, 0), "{tally:?}");
        assert!(tally.errors > 0, "without a token callers are told at once: {tally:?}");
        assert!(tally.recovered_after.unwrap() <= Duration::from_secs(6), "{tally:?}");
    }
}
