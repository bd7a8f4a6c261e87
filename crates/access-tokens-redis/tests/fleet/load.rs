//! Callers in a loop, and what they meet.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use access_tokens::TokenCache;
use access_tokens_sandbox::Sandbox;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// What all callers together met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) calls: u64,
    pub(crate) errors: Vec<String>,
    /// Tokens that the protected resource refused.
    pub(crate) refused: u64,
    pub(crate) longest: Duration,
    /// The longest wait, less what this process stood still meanwhile for want of a processor.
    pub(crate) longest_awake: Duration,
}

pub(crate) struct Load {
    sandbox: Arc<Sandbox>,
    running: Arc<AtomicBool>,
    callers: JoinSet<Met>,
    stalls: Arc<Stalls>,
    watch: JoinHandle<()>,
}

impl Load {
    /// One caller for each cache, every 20 to 50 ms.
    pub(crate) fn on(sandbox: &Arc<Sandbox>, caches: &[TokenCache]) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let stalls = Arc::new(Stalls::default());
        let watch = tokio::spawn(watch(stalls.clone(), running.clone()));
        let mut load = Self { sandbox: sandbox.clone(), running, callers: JoinSet::new(), stalls, watch };
        for (n, cache) in caches.iter().enumerate() {
            load.call(cache.clone(), Duration::from_millis(20 + (n as u64 * 7) % 31), u64::MAX);
        }
        load
    }

    /// An instance that starts just now, and makes one call.
    pub(crate) fn newcomer(&mut self, cache: TokenCache) {
        self.call(cache, Duration::ZERO, 1);
    }

    fn call(&mut self, cache: TokenCache, pause: Duration, calls: u64) {
        let (sandbox, running, stalls) = (self.sandbox.clone(), self.running.clone(), self.stalls.clone());
        self.callers.spawn(async move {
            let mut met = Met::default();
            while running.load(Ordering::Relaxed) && met.calls < calls {
                met.calls += 1;
                let begun = Instant::now();
                match cache.token().await {
                    Ok(token) if sandbox.accepts(token.secret()) => {}
                    Ok(_) => met.refused += 1,
                    Err(error) => met.errors.push(error.to_string()),
                }
                let (waited, stood_still) = (begun.elapsed(), stalls.since(begun));
                met.longest = met.longest.max(waited);
                met.longest_awake = met.longest_awake.max(waited.saturating_sub(stood_still));
                sleep(pause).await;
            }
            met
        });
    }

    pub(crate) async fn end(self) -> Met {
        let Self { running, mut callers, watch, .. } = self;
        running.store(false, Ordering::Relaxed);
        let mut all = Met::default();
        while let Some(met) = callers.join_next().await {
            let met = met.unwrap();
            all.calls += met.calls;
            all.errors.extend(met.errors);
            all.refused += met.refused;
            all.longest = all.longest.max(met.longest);
            all.longest_awake = all.longest_awake.max(met.longest_awake);
        }
        watch.await.unwrap();
        all
    }
}

/// When tasks were woken late, and by how much: the machine has few processors, and others use them too.
#[derive(Default)]
struct Stalls(Mutex<Vec<(Instant, Duration)>>);

impl Stalls {
    fn since(&self, begun: Instant) -> Duration {
        self.0.lock().unwrap().iter().rev().take_while(|(ended, _)| *ended > begun).map(|(_, late)| *late).sum()
    }
}

async fn watch(stalls: Arc<Stalls>, running: Arc<AtomicBool>) {
    let step = Duration::from_millis(5);
    while running.load(Ordering::Relaxed) {
        let begun = Instant::now();
        sleep(step).await;
        let late = begun.elapsed().saturating_sub(step);
        // Tokio's own timer is late by up to that.
        if late > Duration::from_millis(3) {
            stalls.0.lock().unwrap().push((Instant::now(), late));
        }
    }
}
