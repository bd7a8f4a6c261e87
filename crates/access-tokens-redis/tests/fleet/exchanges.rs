//! How many exchanges a fleet makes.

use std::time::{Duration, Instant};

use access_tokens_sandbox::{Endpoint, Onence, Rounding, Sandbox, Tokens, Worldline};
use tokio::time::sleep;

use crate::{
    instance::{self, CROWD, EARLIEST, Exchanges},
    load::Load,
    support::{RedisServer, redis_or_skip},
    worker::{Settings, Worker},
};

const PROCESSES: usize = 5;
/// That of a lease, after which a holder that is gone is replaced.
const LEASE: Duration = Duration::from_secs(5);

async fn workers(settings: &Settings, count: usize) -> Vec<Worker> {
    let mut workers = Vec::new();
    for _ in 0..count {
        workers.push(Worker::start(settings).await);
    }
    workers
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lives through several tokens in real time"]
async fn fifty_caches_in_five_processes_make_one_exchange_and_one_in_each_later_lifetime() {
    if !redis_or_skip("that fifty caches in five processes make one exchange") {
        return;
    }
    let _crowd = CROWD.lock().await;
    let lifetime = Duration::from_secs(6);
    let (sandbox, redis) = (instance::sandbox(lifetime).await, RedisServer::start());
    instance::slow(&sandbox, Duration::from_millis(100));
    let exchanges = Exchanges::of(&sandbox, Endpoint::Onence);
    let mut workers = workers(&Settings::new(&sandbox, &redis.url()).caches(10), PROCESSES).await;

    for worker in &mut workers {
        worker.begin_calls().await;
    }
    let mut given = Vec::new();
    for worker in &mut workers {
        given.extend(worker.given().await);
    }
    assert_eq!(given.len(), 50);
    assert!(given.iter().all(|token| token.secret == given[0].secret && sandbox.accepts(&token.secret)));
    let longest = given.iter().map(|token| token.waited).max().unwrap();
    assert_eq!(exchanges.count(), 1);

    for worker in &mut workers {
        worker.load().await;
    }
    sleep(lifetime.mul_f64(2.4)).await;
    let mut calls = 0;
    for worker in workers {
        let report = worker.end().await;
        assert_eq!((report.errors.len(), report.refused), (0, 0), "{:?}", report.errors.first());
        calls += report.calls;
    }
    // The first of the fifty that is due comes soon after 67.5 % of a life.
    let gaps = exchanges.gaps(exchanges.began()[0], lifetime);
    println!("{calls} calls, the longest wait for the first token {longest:?}, gaps in lives {gaps:.3?}");
    assert!(gaps.len() == 3 && gaps.iter().all(|gap| (EARLIEST..0.82).contains(gap)), "{gaps:.3?}");
    assert!(calls > 5000, "that was no load: {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_killed_in_mid_exchange_costs_one_more_and_nobody_waits_longer_than_its_lease() {
    if !redis_or_skip("that a killed holder is replaced") {
        return;
    }
    let (sandbox, redis) = (instance::sandbox(Duration::from_secs(60)).await, RedisServer::start());
    let settings = Settings::new(&sandbox, &redis.url());
    let mut holder = Worker::start(&settings).await;
    let mut others = workers(&settings.clone().caches(12), 3).await;
    others.push(Worker::start(&settings.caches(13)).await);
    // What another exchange takes, with all that is around it.
    let exchange = Duration::from_millis(500);
    instance::slow(&sandbox, exchange);

    let begun = Instant::now();
    holder.begin_calls().await;
    instance::until("the exchange", || sandbox.requests(Endpoint::Onence) == 1).await;
    for worker in &mut others {
        worker.begin_calls().await;
    }
    sleep(exchange / 3).await;
    holder.kill().await;
    assert!(begun.elapsed() < exchange, "the machine is too busy: the exchange is over");

    let mut given = Vec::new();
    for worker in &mut others {
        given.extend(worker.given().await);
    }
    assert_eq!(given.len(), 49);
    assert!(given.iter().all(|token| token.secret == given[0].secret && sandbox.accepts(&token.secret)));
    assert_eq!(sandbox.requests(Endpoint::Onence), 2);
    let (first, last) = (given.iter().map(|one| one.waited).min().unwrap(), begun.elapsed());
    println!("the first was served after {first:?}, all by {last:?}");
    assert!(first > LEASE / 2, "{first:?}: nobody waited for the lease");
    // Twice at most 400 ms until one looks again, and an exchange.
    assert!(last < LEASE + exchange + Duration::from_millis(1100), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lives through several tokens in real time"]
async fn a_token_that_the_server_keeps_is_asked_for_a_few_times() {
    if !redis_or_skip("a server's own cache under a fleet") {
        return;
    }
    let lifetime = Duration::from_secs(6);
    for_both(lifetime).await;
}

async fn for_both(lifetime: Duration) {
    let runs = [Rounding::Up, Rounding::Down].map(|rounding| {
        tokio::spawn(async move {
            let redis = RedisServer::start();
            let onence = Onence { lifetime, tokens: Tokens::ServerCached { rounding }, ..Onence::default() };
            let sandbox = std::sync::Arc::new(Sandbox::builder().onence(onence).start().await.unwrap());
            let caches: Vec<_> = (0..20).map(|_| instance::onence(&sandbox, &instance::handle(&redis.url()))).collect();
            let load = Load::on(&sandbox, &caches);
            sleep(lifetime.mul_f64(2.5)).await;
            let met = load.end().await;
            let (requests, tokens) = (sandbox.requests(Endpoint::Onence), sandbox.tokens_issued());
            println!("{rounding:?}: {requests} exchanges for {tokens} tokens; {:?}", met.longest);
            assert_eq!(met.errors, [""; 0]);
            assert_eq!(met.refused, 0);
            assert_eq!(tokens, 3);
            // For each: the first, one at its refresh, and a few about its end.
            assert!((4..=12).contains(&requests), "{requests} exchanges, {rounding:?}");
        })
    });
    for run in runs {
        run.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_and_clients_share_a_store_and_no_token() {
    if !redis_or_skip("several providers in a store") {
        return;
    }
    let lifetime = Duration::from_secs(4);
    let redis = RedisServer::start();
    let worldline = Worldline { lifetime, ..Worldline::default() };
    let onence = Onence { lifetime, ..Onence::default() };
    let sandbox = std::sync::Arc::new(Sandbox::builder().onence(onence).worldline(worldline).start().await.unwrap());
    let settings = Settings::new(&sandbox, &redis.url()).caches(3).worldline("sandbox-client", "sandbox-secret");
    let exchanges = [Endpoint::Onence, Endpoint::Worldline].map(|endpoint| Exchanges::of(&sandbox, endpoint));
    let begun = Instant::now();
    let mut workers = workers(&settings, 2).await;
    for worker in &mut workers {
        worker.load().await;
    }
    sleep(lifetime.mul_f64(1.5)).await;
    for worker in workers {
        let report = worker.end().await;
        assert_eq!((report.errors.len(), report.refused), (0, 0), "{:?}", report.errors.first());
    }
    for exchanges in exchanges {
        let gaps = exchanges.gaps(begun, lifetime);
        assert!(!gaps.is_empty() && gaps.iter().all(|gap| (EARLIEST..0.85).contains(gap)), "{gaps:.3?}");
    }
}
