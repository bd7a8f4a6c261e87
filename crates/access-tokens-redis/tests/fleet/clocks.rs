//! Machines whose clocks don't agree.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use access_tokens::store::{SharedStore, StoreAnswer, Stored, Swap, TokenStore};
use access_tokens_redis::RedisStore;
use access_tokens_sandbox::Endpoint;

use crate::{
    instance::{self, KEY, ring},
    support::{RedisServer, redis_or_skip},
    worker::{Given, Settings, Worker},
};

const LIFETIME: Duration = Duration::from_secs(60);
const HOUR: i64 = 3600;
/// A token counts as over so long before its end.
const MARGIN: Duration = Duration::from_secs(1);

/// What `faketime` preloads, if it is there; if not, the test says what it skips, or fails where `ACCESS_TOKENS_DEMAND` has its
/// name.
fn faketime_or_skip(skipped: &str) -> Option<String> {
    // The program is but a wrapper, which wouldn't end when a test kills it.
    let found = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let found = found.ok().filter(|output| output.status.success());
    let found = found.map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned());
    if found.is_none() {
        let demanded = std::env::var("ACCESS_TOKENS_DEMAND").unwrap_or_default();
        let demanded = demanded.split(',').any(|one| one.trim() == "faketime");
        assert!(!demanded, "faketime isn't there, and ACCESS_TOKENS_DEMAND demands it");
        println!("skipped, because faketime isn't there: {skipped}");
    }
    found
}

/// On a machine whose clock is ahead by so many seconds. The monotonic one runs as ever, as it does on such a machine.
fn ahead(settings: &Settings, preload: &str, seconds: i64) -> Settings {
    let settings = settings.clone().with("LD_PRELOAD", preload).with("FAKETIME", format!("{seconds:+}s"));
    settings.with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lives through several tokens in real time"]
async fn a_token_keeps_its_true_life_between_machines_an_hour_apart() {
    let skipped = "machines whose clocks are an hour apart";
    let Some(preload) = faketime_or_skip(skipped).filter(|_| redis_or_skip(skipped)) else { return };
    // Who makes the exchange, and who takes the token: how far their clocks are ahead.
    for (maker, taker) in [(0, HOUR), (0, -HOUR), (HOUR, 0), (-HOUR, 0), (HOUR, -HOUR)] {
        let (sandbox, redis) = (instance::sandbox(LIFETIME).await, RedisServer::start());
        let settings = Settings::new(&sandbox, &redis.url());
        let mut workers = Vec::new();
        for seconds in [maker, taker] {
            let mut worker = Worker::start(&ahead(&settings, &preload, seconds)).await;
            let is = worker.clock_ahead().await;
            assert!(is.abs_diff(seconds) <= 2, "its clock is ahead by {is} s, not {seconds} s");
            workers.push(worker);
        }
        let [mut maker, mut taker] = <[Worker; 2]>::try_from(workers).ok().unwrap();
        let issued = Instant::now();
        let made = maker.call().await.remove(0);
        let span = made.at - issued;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let taken = taker.call().await.remove(0);
        assert_eq!(sandbox.requests(Endpoint::Onence), 1);
        assert_eq!(taken.secret, made.secret);
        for Given { remaining, at, .. } in [made, taken] {
            // The server's own truth, to the precision of what was seen from here.
            let ends = |issued: Instant| (issued + LIFETIME).saturating_duration_since(at);
            let (earliest, latest) = (ends(issued), ends(issued + span));
            let (left, second) = (remaining + MARGIN, Duration::from_secs(1));
            println!("{left:?} left, in truth {earliest:?} to {latest:?}");
            assert!(left <= latest + second && left + second >= earliest);
        }
    }
}

/// Redis on a machine whose clock is off. (The server itself doesn't start under faketime, for the memory allocator that it has.)
#[derive(Debug, Clone)]
struct Off(RedisStore, i64);

impl Off {
    fn shift(&self, stored: Stored) -> Stored {
        let now = i64::try_from(stored.now.as_millis()).unwrap() + self.1 * 1000;
        Stored { now: Duration::from_millis(now.try_into().unwrap()), ..stored }
    }
}

impl TokenStore for Off {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move { Ok(self.shift(self.0.get(name).await?)) })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            Ok(match self.0.compare_and_set(name, expected, value, ttl).await? {
                Swap::Changed(stored) => Swap::Changed(self.shift(stored)),
                Swap::Done => Swap::Done,
            })
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_whose_clock_is_off_shortens_no_life() {
    if !redis_or_skip("a Redis whose clock is off") {
        return;
    }
    for skew in [HOUR, -HOUR, 0] {
        let (sandbox, redis) = (instance::sandbox(LIFETIME).await, RedisServer::start());
        let store = RedisStore::builder([redis.url()]).build().unwrap();
        let store = || SharedStore::new(Off(store.clone(), skew), ring(&[KEY]));
        let caches = [instance::onence(&sandbox, &store()), instance::onence(&sandbox, &store())];
        let made = caches[0].token().await.unwrap().to_owned();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let taken = caches[1].token().await.unwrap().to_owned();
        assert_eq!(taken.secret(), made.secret());
        let apart = taken.remaining().unwrap().abs_diff(made.remaining().unwrap());
        assert!(apart < Duration::from_secs(1), "{apart:?}");
        // Whole seconds, of two clocks that don't tick at once.
        assert!(store().check().await.unwrap().skew().abs_diff(skew) <= 1);
    }
}
