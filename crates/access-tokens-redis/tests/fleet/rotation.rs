//! A new key comes in while all is in use.

use std::time::Duration;

use access_tokens_sandbox::Endpoint;
use tokio::time::sleep;

use crate::{
    instance::{self, CROWD, EARLIEST, Exchanges, KEY},
    support::{RedisServer, redis_or_skip},
    worker::{Report, Settings, Worker},
};

const LIFETIME: Duration = Duration::from_secs(4);
const NEW: [u8; 32] = *b"the key that seals from now on..";
/// Add, switch, remove.
const STEPS: [&[[u8; 32]]; 3] = [&[KEY, NEW], &[NEW, KEY], &[NEW]];
const PROCESSES: usize = 4;

/// How a process gets its new keys.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Restart,
    SetKeys,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lives through several tokens in real time"]
async fn a_new_key_comes_in_under_load_without_a_gap() {
    if !redis_or_skip("the rotation of keys under load") {
        return;
    }
    let _crowd = CROWD.lock().await;
    let ways = [Way::Restart, Way::SetKeys].map(|way| tokio::spawn(rotate(way)));
    for way in ways {
        way.await.unwrap();
    }
}

async fn rotate(way: Way) {
    let (sandbox, redis) = (instance::sandbox(LIFETIME).await, RedisServer::start());
    let settings = Settings::new(&sandbox, &redis.url()).caches(4);
    let exchanges = Exchanges::of(&sandbox, Endpoint::Onence);
    let mut workers = Vec::new();
    for _ in 0..PROCESSES {
        workers.push(Worker::start(&settings).await);
    }
    for worker in &mut workers {
        worker.load().await;
    }
    sleep(LIFETIME / 2).await;
    let mut reports = Vec::new();
    for keys in STEPS {
        // One after the other, and each step for as long as a token may live that the step before has sealed.
        for worker in &mut workers {
            sleep(LIFETIME / 4).await;
            match way {
                Way::SetKeys => worker.set_keys(keys).await,
                Way::Restart => {
                    let mut next = Worker::start(&settings.clone().keys(keys)).await;
                    next.load().await;
                    reports.push(std::mem::replace(worker, next).end().await);
                }
            }
        }
    }
    sleep(LIFETIME / 2).await;
    for worker in workers {
        reports.push(worker.end().await);
    }
    let calls: u64 = reports.iter().map(|report: &Report| report.calls).sum();
    let errors: Vec<_> = reports.iter().flat_map(|report| &report.errors).collect();
    let refused: u64 = reports.iter().map(|report| report.refused).sum();
    let gaps = exchanges.gaps(exchanges.began()[0], LIFETIME);
    println!("{way:?}: {calls} calls, gaps in lives {gaps:.3?}");
    assert!(errors.is_empty() && refused == 0, "{way:?}: {errors:?}, {refused} refused");
    assert!(gaps.len() >= 4 && gaps.iter().all(|gap| (EARLIEST..0.85).contains(gap)), "{way:?}: {gaps:.3?}");
}
