//! What an operator sees of a cache: the names are a promise.

#![cfg(test)]

mod support;

use std::{io::Write, sync::Arc, time::Duration};

use access_tokens::{
    AccessToken, Clock, Error, ErrorKind, Policy, RotatingEndpoint, TokenCache,
    metrics::{
        AGE, BREAKER_OPEN, DURATION, EXCHANGES, EXPIRES_AT, GRANTED_AT, REFRESHES, REMAINING, SERVED_WHILE_REFRESHING,
        STORE_ANSWERS, STORE_AVAILABLE, describe,
    },
    store::{KeyRing, SharedStore},
    testing::{MemoryStore, ScriptedEndpoint},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::store::{Fault, Faulty};
use tokio::{sync::Mutex, time::sleep};
use tracing_subscriber::filter::LevelFilter;

fn token(secret: &str) -> AccessToken {
    AccessToken::new(secret).unwrap().with_expires_in(Duration::from_secs(100))
}

/// A first token; a soft refresh that fails; another that is served stale; the same token again; an invalidation; the end
/// of the token while the endpoint refuses. `chapter` is called there, after the next token, and after another failure.
async fn story(mut chapter: impl FnMut()) {
    let latency = Duration::from_millis(50);
    let endpoint = ScriptedEndpoint::new()
        .then_after(latency, token("secret-one"))
        .then_after(latency, Error::new(ErrorKind::Throttled, "slow down").with_retry_after(Duration::from_secs(5)))
        .then_after(latency, token("secret-two"))
        .then_after(latency, token("secret-two"))
        .then_after(latency, token("secret-three"))
        .then_after(latency, Error::new(ErrorKind::Credentials, "no longer"))
        .then_after(latency, token("secret-four").with_expires_in(Duration::from_secs(1000)))
        .then(Error::new(ErrorKind::Unavailable, "gone"));
    let policy = Policy::new().jitter(0.0);
    let cache = TokenCache::builder(endpoint).policy(policy).clock(Clock::tokio()).build().unwrap();
    let wait = async |seconds| sleep(Duration::from_secs(seconds)).await;
    cache.token().await.unwrap();
    wait(81).await;
    cache.token().await.unwrap();
    cache.token().await.unwrap();
    wait(6).await;
    cache.token().await.unwrap();
    wait(81).await;
    cache.token().await.unwrap();
    wait(1).await;
    let two = cache.token().await.unwrap().to_owned();
    cache.invalidate(&two);
    cache.token().await.unwrap();
    wait(200).await;
    cache.token().await.unwrap_err();
    chapter();
    wait(1).await;
    cache.token().await.unwrap();
    chapter();
    wait(990).await;
    cache.token().await.unwrap();
    wait(1).await;
    chapter();
}

/// Two instances: one fetches, the other takes; the store goes away for three refreshes, and comes back. `chapter` is called
/// before, meanwhile and after.
async fn fleet_story(mut chapter: impl FnMut()) {
    let script = (0..9).map(|n| token(&format!("secret-{n}")));
    let endpoint = script.fold(ScriptedEndpoint::new(), ScriptedEndpoint::then);
    let store = Faulty::new(MemoryStore::new());
    let shared = SharedStore::new(
        store.clone(),
        KeyRing::new(b"secret-names-secret-names-secret", [b"secret-key-secret-key-secret-key"]).unwrap(),
    );
    let cache = || {
        let policy = Policy::new().jitter(0.0);
        TokenCache::builder(endpoint.clone())
            .policy(policy)
            .clock(Clock::tokio())
            .store(shared.clone())
            .build()
            .unwrap()
    };
    let (one, other) = (cache(), cache());
    let wait = async |seconds| sleep(Duration::from_secs(seconds)).await;
    one.token().await.unwrap();
    other.token().await.unwrap();
    chapter();
    store.set(Fault::Down);
    for _ in 0..3 {
        wait(100).await;
        one.token().await.unwrap();
        other.token().await.unwrap();
    }
    chapter();
    store.set(Fault::None);
    wait(100).await;
    one.token().await.unwrap();
    other.token().await.unwrap();
    chapter();
}

/// Whether an event is wanted is decided for all threads when one first comes to it, and a thread without a subscriber may
/// be that one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_the_story_and_no_secret() {
    insta::assert_snapshot!(logged(LevelFilter::TRACE, story(|| {})).await);
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_once_that_a_store_is_away_and_once_that_it_is_back() {
    insta::assert_snapshot!(logged(LevelFilter::INFO, fleet_story(|| {})).await);
    logged(LevelFilter::TRACE, fleet_story(|| {})).await;
}

async fn logged(level: LevelFilter, story: impl Future<Output = ()>) -> String {
    let _alone = ONE_AT_A_TIME.lock().await;
    fastrand::seed(1);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    {
        let _collecting = tracing::subscriber::set_default(subscriber);
        story.await;
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("secret-"), "{log}");
    log
}

/// What fails otherwise is told of each time.
#[tokio::test(start_paused = true)]
async fn the_log_tells_of_rejected_credentials_when_it_begins_once_an_hour_and_when_it_is_over() {
    let story = async |kind| {
        let failing =
            (0..250).map(|_| Error::new(kind, "refused")).fold(ScriptedEndpoint::new(), ScriptedEndpoint::then);
        let cache = TokenCache::builder(failing.then(token("secret-one"))).clock(Clock::tokio()).build().unwrap();
        let begun = tokio::time::Instant::now();
        while cache.token().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed().as_secs()
    };
    for (kind, each) in [(ErrorKind::Credentials, false), (ErrorKind::Unavailable, true), (ErrorKind::Contract, true)] {
        let mut span = 0;
        let log = logged(LevelFilter::INFO, async { span = story(kind).await }).await;
        let told = log.lines().filter(|line| line.contains(" WARN ") && line.contains("no new token")).count() as u64;
        assert_eq!(told, if each { 250 } else { 1 + span / 3600 }, "{kind:?} for {span} s: {log}");
        let over = log.lines().filter(|line| line.contains(" INFO ") && line.contains("works again")).count();
        assert_eq!((over, log.lines().count() as u64), (1, told + 1), "{log}");
    }
}

/// That the new one is rejected too is news.
#[tokio::test(start_paused = true)]
async fn the_log_tells_of_each_credential_that_is_rejected() {
    let log = logged(LevelFilter::INFO, async {
        let rejection = || Error::new(ErrorKind::Credentials, "refused");
        let failing = (0..100).map(|_| rejection()).fold(ScriptedEndpoint::new(), ScriptedEndpoint::then);
        let endpoint = RotatingEndpoint::new(move || Ok(failing.clone())).unwrap();
        let cache = TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).build().unwrap();
        for _ in 0..3 {
            for _ in 0..600 {
                cache.token().await.unwrap_err();
                sleep(Duration::from_secs(1)).await;
            }
            endpoint.reload().unwrap();
        }
    });
    let log = log.await;
    let told: Vec<_> = log.lines().map(|line| line.contains("no new token")).collect();
    assert_eq!(told, [true, false, true, false, true, false], "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_log_says_that_a_rejection_is_over_also_where_a_new_credential_ends_it() {
    let log = logged(LevelFilter::INFO, async {
        let token = AccessToken::new("one").unwrap();
        let rejected = ScriptedEndpoint::new().then(Error::new(ErrorKind::Credentials, "refused")).then(token);
        let endpoint = RotatingEndpoint::new(move || Ok(rejected.clone())).unwrap();
        let cache = TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).build().unwrap();
        cache.token().await.unwrap_err();
        endpoint.reload().unwrap();
        cache.token().await.unwrap();
    });
    let log = log.await;
    assert!(log.lines().last().is_some_and(|line| line.contains("the token endpoint works again")), "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_metrics_count_the_story() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let recorder = DebuggingRecorder::new();
    let counted = recorder.snapshotter();
    let mut chapters = Vec::new();
    {
        let _recording = metrics::set_default_local_recorder(&recorder);
        describe();
        story(|| chapters.push(values(&counted))).await;
    }
    let [refused, granted, gone] = &chapters[..] else { panic!("{} chapters", chapters.len()) };
    // The times are the wall clock's, of which the life is left.
    let gauge = |chapter: &[String], name: &str| -> f64 {
        let line =
            chapter.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {chapter:#?}"));
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    for (chapter, life) in [(refused, 99.0), (granted, 999.0)] {
        let told = gauge(chapter, EXPIRES_AT) - gauge(chapter, GRANTED_AT);
        assert!((told - life).abs() < 0.1, "{told} s of life for {life} s");
    }
    let breaker = [refused, granted, gone].map(|chapter| gauge(chapter, BREAKER_OPEN));
    assert_eq!(breaker, [1.0, 0.0, 1.0]);

    let timeless = |line: &&String| ![EXPIRES_AT, GRANTED_AT].iter().any(|name| line.starts_with(name));
    insta::assert_snapshot!(refused.iter().filter(timeless).cloned().collect::<Vec<_>>().join("\n"));
    for name in [EXCHANGES, DURATION, REFRESHES, AGE, REMAINING, SERVED_WHILE_REFRESHING] {
        assert!(refused.iter().any(|line| line.starts_with(name)), "{name} isn't there");
    }
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_of_the_store() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let recorder = DebuggingRecorder::new();
    let counted = recorder.snapshotter();
    let mut chapters = Vec::new();
    {
        let _recording = metrics::set_default_local_recorder(&recorder);
        describe();
        fleet_story(|| {
            let told =
                |line: &String| [STORE_ANSWERS, STORE_AVAILABLE, EXCHANGES].iter().any(|name| line.starts_with(name));
            chapters.push(values(&counted).into_iter().filter(told).collect::<Vec<_>>().join("\n"));
        })
        .await;
    }
    insta::assert_snapshot!(chapters.join("\n\n"));
}

/// One line for each, with units as described.
fn values(counted: &Snapshotter) -> Vec<String> {
    let mut lines: Vec<_> = counted
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, unit, description, value)| {
            assert!(description.is_some(), "{key:?} isn't described");
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(value) => value.to_string(),
                DebugValue::Histogram(values) => {
                    values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(" ")
                }
            };
            let unit = unit.map_or_else(String::new, |unit| format!(" {}", unit.as_str()));
            format!("{}{{{}}} {value}{unit}", key.key().name(), labels.join(" "))
        })
        .collect();
    lines.sort();
    lines
}
