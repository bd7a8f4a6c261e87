//! What a cache costs: allocations, memory over a month, threads. In a process of its own, since all of it is counted.

#![cfg(test)]
use std::{
    cell::Cell,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use access_tokens::{
    AccessToken, Clock, Exchange, Policy, TokenCache, TokenCaches, TokenEndpoint, TokenId, testing::FixedEndpoint,
};
use allocation_counter::measure;
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};

#[test]
fn a_warm_token_and_its_header_cost_no_allocation() {
    let endpoint = FixedEndpoint::new("a".repeat(3000)).unwrap().with_expires_in(Duration::from_secs(3600));
    let cache = TokenCache::new(endpoint);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cache.token()).unwrap();
    let mut headers = http::HeaderMap::with_capacity(8);
    let spent = measure(|| {
        for _ in 0..1000 {
            let Poll::Ready(token) = pin!(cache.token()).poll(&mut Context::from_waker(Waker::noop())) else { return };
            let token = token.unwrap();
            headers.insert(http::header::AUTHORIZATION, token.header().clone());
            headers.insert(http::header::AUTHORIZATION, token.to_owned().header().clone());
        }
    });
    assert_eq!(spent.count_total, 0);
    assert!(headers[http::header::AUTHORIZATION].is_sensitive());
    assert!(measure(|| drop(black_box(vec![1]))).count_total > 0, "nothing is counted");
}

/// A new token each time, and a failure now and then.
#[derive(Debug, Default)]
struct Renewing(AtomicU64);

impl TokenEndpoint for Renewing {
    fn provider(&self) -> &str {
        "renewing"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(50)).await;
            if number % 7 == 3 {
                return Err(access_tokens::Error::new(access_tokens::ErrorKind::Unavailable, "now and then"));
            }
            Ok(AccessToken::new(format!("token-{number:060}"))?.with_expires_in(Duration::from_secs(3600)))
        })
    }
}

#[test]
fn a_month_leaves_memory_where_it_was() {
    const HOUR: Duration = Duration::from_secs(3600);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _inside = runtime.enter();
    let endpoint = Arc::new(Renewing::default());
    let cache = TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).build().unwrap();
    cache.keep_warm().unwrap();
    let left = Cell::new(0);
    let caches = TokenCaches::builder().limit(100).idle(2 * HOUR).clock(Clock::tokio()).build().unwrap();
    let days = |days: std::ops::Range<u32>| {
        runtime.block_on(async {
            for hour in days.start * 24..days.end * 24 {
                // Callers who stay, callers who leave, a refused token, tenants who come and go.
                for _ in 0..10 {
                    sleep(HOUR / 10).await;
                    let _ = cache.token().await;
                }
                if let Ok(token) = cache.token().await {
                    cache.invalidate(&token);
                }
                if timeout(Duration::from_millis(1), cache.token()).await.is_err() {
                    left.set(left.get() + 1);
                }
                let tenant = TokenId::new("renewing", "https://id.example", &format!("{hour:04}"), b"");
                let tenant = caches.get_or_build(tenant, || Ok(Renewing::default())).unwrap();
                let _ = tenant.token().await;
            }
        });
    };
    days(0..3);
    let grown = measure(|| days(3..33)).bytes_current;
    assert!(grown < 4096, "{grown} bytes more after a month");
    let exchanges = endpoint.0.load(Ordering::Relaxed);
    assert!(exchanges > 1000 && left.get() > 500, "{exchanges} exchanges, {} who left", left.get());
    assert!(caches.len() <= 4, "{} tenants", caches.len());
}

#[test]
fn the_thread_of_a_blocking_cache_ends_with_its_last_handle() {
    let threads = || {
        let name = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("comm")).ok();
        let tasks = std::fs::read_dir("/proc/self/task").ok()?;
        Some(tasks.filter_map(|entry| name(entry.ok()?)).filter(|name| name.trim() == "access-tokens").count())
    };
    let policy = Policy::new().longest_pause(Duration::from_secs(1));
    let cache = TokenCache::builder(FixedEndpoint::new("one").unwrap()).policy(policy).build_blocking().unwrap();
    cache.token().unwrap();
    let other = cache.clone();
    drop(cache);
    thread::sleep(Duration::from_millis(50));
    if threads().is_none() {
        eprintln!("skipped: this system doesn't list its threads");
        return;
    }
    assert_eq!(threads(), Some(1));
    drop(other);
    let gone_by = Instant::now() + Duration::from_secs(5);
    while threads() != Some(0) {
        assert!(Instant::now() < gone_by, "the thread lives on");
        thread::sleep(Duration::from_millis(1));
    }
}
