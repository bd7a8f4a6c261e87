//! Credentials that change while a cache is in use: what callers see, and what the provider does.
#![cfg(test)]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use access_tokens::{
    AccessToken, Clock, Error, ErrorKind, Exchange, RotatingEndpoint, TokenCache, TokenEndpoint,
    testing::{FixedEndpoint, ScriptedEndpoint},
};
use tokio::time::{Instant, sleep};

/// A provider that takes one credential, and an endpoint that is built with whatever the operator has written down.
#[derive(Debug, Clone, Default)]
struct Provider(Arc<State>);

#[derive(Debug, Default)]
struct State {
    takes: Mutex<Vec<&'static str>>,
    written: Mutex<&'static str>,
    refusal: Mutex<Option<Error>>,
    throttles: Mutex<HashMap<&'static str, Error>>,
    asked_with: Mutex<Vec<&'static str>>,
    latency: Mutex<Duration>,
    tokens: AtomicU64,
}

impl Provider {
    fn taking(credential: &'static str) -> Self {
        let provider = Self::default();
        provider.0.takes.lock().unwrap().push(credential);
        *provider.0.written.lock().unwrap() = credential;
        provider
    }

    fn endpoint(&self) -> RotatingEndpoint {
        let state = self.0.clone();
        let build = move || match *state.written.lock().unwrap() {
            "cut off" => Err(Error::new(ErrorKind::Configuration, "it is cut off")),
            credential => Ok(Client { credential, state: state.clone() }),
        };
        RotatingEndpoint::new(build).unwrap()
    }

    fn write(&self, endpoint: &RotatingEndpoint, credential: &'static str) -> Result<(), Error> {
        *self.0.written.lock().unwrap() = credential;
        endpoint.reload()
    }

    fn take_only(&self, credential: &'static str) {
        *self.0.takes.lock().unwrap() = vec![credential];
    }

    fn asked_with(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.asked_with.lock().unwrap())
    }
}

#[derive(Debug)]
struct Client {
    credential: &'static str,
    state: Arc<State>,
}

impl TokenEndpoint for Client {
    fn provider(&self) -> &str {
        "example"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            self.state.asked_with.lock().unwrap().push(self.credential);
            let latency = *self.state.latency.lock().unwrap();
            sleep(latency).await;
            if let Some(error) = self.state.throttles.lock().unwrap().get(self.credential) {
                return Err(error.clone());
            }
            if !self.state.takes.lock().unwrap().contains(&self.credential) {
                let refusal = self.state.refusal.lock().unwrap().clone();
                return Err(refusal.unwrap_or_else(|| Error::new(ErrorKind::Credentials, "invalid_client")));
            }
            let number = self.state.tokens.fetch_add(1, Ordering::Relaxed);
            Ok(AccessToken::new(format!("{}-{number}", self.credential))?.with_expires_in(Duration::from_secs(100)))
        })
    }
}

fn cache(endpoint: &RotatingEndpoint) -> TokenCache {
    TokenCache::builder(endpoint.clone()).clock(Clock::tokio()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_credential_ends_a_pause_after_a_rejection_at_once() {
    let rejected = || Error::new(ErrorKind::Credentials, "invalid_client");
    let hour = Duration::from_secs(3600);
    // (what the old credential came to, whether the new one is tried at once)
    let cases = [
        (rejected(), true),
        (rejected().with_retry_after(hour), true),
        (Error::new(ErrorKind::Contract, "HTML"), true),
        (Error::new(ErrorKind::Unavailable, "TLS: the client certificate was refused"), true),
        (Error::new(ErrorKind::Throttled, "429").with_retry_after(hour), false),
        (Error::new(ErrorKind::Unavailable, "503").with_retry_after(hour), false),
        (Error::new(ErrorKind::Unavailable, "503").with_retry_after(Duration::ZERO), true),
    ];
    for (refusal, at_once) in cases {
        let provider = Provider::taking("old");
        let endpoint = provider.endpoint();
        provider.take_only("new");
        *provider.0.refusal.lock().unwrap() = Some(refusal.clone());
        let cache = cache(&endpoint);
        for _ in 0..3 {
            cache.token().await.unwrap_err();
        }
        assert_eq!(provider.asked_with(), ["old"], "{refusal}: it pauses");
        provider.write(&endpoint, "new").unwrap();
        let token = cache.token().await;
        assert_eq!(token.is_ok(), at_once, "{refusal}");
        assert_eq!(provider.asked_with().is_empty(), !at_once, "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_cache_tries_a_new_credential_without_being_asked() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    let cache = cache(&endpoint);
    provider.take_only("new");
    cache.keep_warm().unwrap();
    // Long enough that the pauses have grown.
    sleep(Duration::from_secs(30)).await;
    provider.asked_with();
    provider.write(&endpoint, "new").unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(provider.asked_with(), ["new"]);
    assert_eq!(cache.token().await.unwrap().secret(), "new-0");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_replaced_midway_fails_nobody() {
    let provider = Provider::taking("old");
    *provider.0.latency.lock().unwrap() = Duration::from_secs(2);
    let endpoint = provider.endpoint();
    let cache = cache(&endpoint);
    provider.take_only("new");
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.map(|token| token.secret().to_owned()) }
    });
    sleep(Duration::from_secs(1)).await;
    provider.write(&endpoint, "new").unwrap();
    assert_eq!(waiter.await.unwrap().unwrap(), "new-0");
    assert_eq!(provider.asked_with(), ["old", "new"]);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_replaced_midway_by_another_wrong_one_is_followed_by_one_request() {
    let provider = Provider::taking("old");
    *provider.0.latency.lock().unwrap() = Duration::from_secs(2);
    let endpoint = provider.endpoint();
    let cache = cache(&endpoint);
    provider.take_only("neither");
    let waiter = tokio::spawn(async move { cache.token().await.map(|_| ()) });
    sleep(Duration::from_secs(1)).await;
    provider.write(&endpoint, "new").unwrap();
    assert_eq!(waiter.await.unwrap().unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(provider.asked_with(), ["old", "new"]);
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_on_and_the_next_exchange_has_the_new_credential() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    let cache = cache(&endpoint);
    assert_eq!(cache.token().await.unwrap().secret(), "old-0");
    provider.take_only("new");
    provider.write(&endpoint, "new").unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "old-0", "it is valid still");
    assert_eq!(provider.asked_with(), ["old"]);
    sleep(Duration::from_secs(45)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "new-1");
    assert_eq!(provider.asked_with(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_credential_that_is_rejected_never_replaces_one_that_works() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    endpoint.exchange().await.unwrap();
    // Such as the first half of a secret, or a secret that the provider hasn't taken over yet.
    provider.write(&endpoint, "half").unwrap();
    for number in 1..3 {
        assert_eq!(endpoint.exchange().await.unwrap().secret(), format!("old-{number}"));
    }
    assert_eq!(provider.asked_with(), ["old", "half", "old", "half", "old"]);
    // The whole follows, and the one that works is kept all the same.
    provider.write(&endpoint, "new").unwrap();
    assert_eq!(endpoint.exchange().await.unwrap().secret(), "old-3");
    provider.take_only("new");
    assert_eq!(endpoint.exchange().await.unwrap().secret(), "new-4");
    // Now the old one is forgotten, and what fails is the new one's failure alone.
    provider.asked_with();
    provider.take_only("old");
    assert_eq!(endpoint.exchange().await.unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(provider.asked_with(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_credential_that_is_rejected_too_is_forgotten() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    endpoint.exchange().await.unwrap();
    provider.take_only("neither");
    provider.write(&endpoint, "new").unwrap();
    provider.asked_with();
    for _ in 0..2 {
        endpoint.exchange().await.unwrap_err();
    }
    assert_eq!(provider.asked_with(), ["new", "old", "new"]);
}

/// Whoever takes rejections for an attack counts them: the third in a row isn't sent at once.
#[tokio::test(start_paused = true)]
async fn a_provider_that_goes_over_to_the_new_credential_midway_is_asked_again_within_a_second() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    let cache = cache(&endpoint);
    cache.token().await.unwrap();
    provider.write(&endpoint, "new").unwrap();
    *provider.0.latency.lock().unwrap() = Duration::from_secs(2);
    provider.asked_with();
    sleep(Duration::from_secs(100)).await;
    let call = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.map(|token| token.secret().to_owned()) }
    });
    // After the first answer, and before the second.
    sleep(Duration::from_secs(3)).await;
    provider.take_only("new");
    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(provider.asked_with(), ["new", "old"]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "new-1");
    assert_eq!(provider.asked_with(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn another_credential_is_tried_where_it_may_do_better() {
    let of = |kind| Error::new(kind, "no");
    // (what the new credential came to, whether the old one is tried)
    let cases = [
        (of(ErrorKind::Credentials), true),
        // TLS refused the client certificate, or the key can't sign.
        (of(ErrorKind::Configuration), true),
        // The same, where the refusal was lost.
        (of(ErrorKind::Unavailable), true),
        (of(ErrorKind::Unavailable).with_status(503), false),
        (of(ErrorKind::Unavailable).with_status(400), false),
        (of(ErrorKind::Throttled).with_status(429), false),
        (of(ErrorKind::Request), false),
        (of(ErrorKind::Contract), false),
    ];
    for (refusal, is_tried) in cases {
        let provider = Provider::taking("old");
        let endpoint = provider.endpoint();
        endpoint.exchange().await.unwrap();
        provider.write(&endpoint, "new").unwrap();
        provider.asked_with();
        *provider.0.refusal.lock().unwrap() = Some(refusal.clone());
        assert_eq!(endpoint.exchange().await.is_ok(), is_tried, "{refusal:?}");
        let expected: &[_] = if is_tried { &["new", "old"] } else { &["new"] };
        assert_eq!(provider.asked_with(), expected, "{refusal:?}");
    }
}

/// Else it would be asked with as often as a server that is down, for ever.
#[tokio::test(start_paused = true)]
async fn a_rejection_of_the_new_credential_is_one_however_the_old_one_fares() {
    for of_old in [
        Error::new(ErrorKind::Unavailable, "reset"),
        Error::new(ErrorKind::Unavailable, "down").with_status(503),
        Error::new(ErrorKind::Contract, "html"),
        Error::new(ErrorKind::Configuration, "a key that is gone"),
    ] {
        let provider = Provider::taking("old");
        let endpoint = provider.endpoint();
        endpoint.exchange().await.unwrap();
        provider.write(&endpoint, "new").unwrap();
        provider.0.throttles.lock().unwrap().insert("old", of_old.clone());
        let error = endpoint.exchange().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials, "{of_old}: {error}");
    }
}

/// A flight that has begun and hasn't asked yet asks with the new one.
#[tokio::test(start_paused = true)]
async fn a_credential_that_comes_before_a_flight_asks_costs_no_further_request() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    let cache = cache(&endpoint);
    cache.token().await.unwrap();
    provider.take_only("neither");
    sleep(Duration::from_secs(100)).await;
    provider.asked_with();
    let mut call = Box::pin(async { cache.token().await.map(|_| ()) });
    let begun = std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context).is_pending()));
    assert!(begun.await, "the flight has begun, and its task hasn't run");
    provider.write(&endpoint, "new").unwrap();
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(provider.asked_with(), ["new", "old"]);
}

/// The old credential is as good as before for all that is known, and the server's word on when to come back counts.
#[tokio::test(start_paused = true)]
async fn what_the_old_credential_is_told_beyond_a_rejection_is_the_outcome() {
    let hour = Duration::from_secs(3600);
    let throttled = Error::new(ErrorKind::Throttled, "429").with_retry_after(hour);
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    endpoint.exchange().await.unwrap();
    provider.write(&endpoint, "new").unwrap();
    provider.0.throttles.lock().unwrap().insert("old", throttled);
    provider.asked_with();
    assert_eq!(endpoint.exchange().await.unwrap_err().retry_after(), Some(hour));
    provider.0.throttles.lock().unwrap().clear();
    endpoint.exchange().await.unwrap();
    assert_eq!(provider.asked_with(), ["new", "old", "new", "old"]);
}

/// It has worked, though by the time it did there was another.
#[tokio::test(start_paused = true)]
async fn a_credential_that_works_while_it_is_replaced_is_kept() {
    let provider = Provider::taking("old");
    *provider.0.latency.lock().unwrap() = Duration::from_secs(2);
    let endpoint = provider.endpoint();
    let first = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.exchange().await.map(|_| ()) }
    });
    sleep(Duration::from_secs(1)).await;
    provider.write(&endpoint, "half").unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(endpoint.exchange().await.unwrap().secret(), "old-1");
}

/// Whatever the closure or the endpoint does, who calls gets an error.
#[tokio::test]
async fn what_panics_comes_as_an_error() {
    let panics = Arc::new(AtomicU64::new(1));
    let build = {
        let panics = panics.clone();
        move || match panics.load(Ordering::SeqCst) {
            0 => FixedEndpoint::new("token"),
            _ => panic!("planted"),
        }
    };
    let message = "building a token endpoint panicked";
    let error = RotatingEndpoint::new(build.clone()).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Configuration, message));
    assert_eq!(RotatingEndpoint::watching(["nowhere"], build.clone()).unwrap_err().to_string(), message);
    panics.store(0, Ordering::SeqCst);
    let endpoint = RotatingEndpoint::new(build).unwrap();
    panics.store(1, Ordering::SeqCst);
    assert_eq!(endpoint.reload().unwrap_err().to_string(), message);
    assert_eq!(endpoint.exchange().await.unwrap().secret(), "token", "it goes on with what it had");

    /// What of it panics.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Panics {
        Provider,
        Exchange,
        ItsFuture,
    }
    impl TokenEndpoint for Panics {
        fn provider(&self) -> &str {
            assert_ne!(*self, Self::Provider);
            "example"
        }
        fn exchange(&self) -> Exchange<'_> {
            assert_ne!(*self, Self::Exchange);
            Box::pin(async { panic!("planted") })
        }
    }
    let error = RotatingEndpoint::new(|| Ok(Panics::Provider)).unwrap_err();
    assert_eq!(error.to_string(), "the token endpoint panicked when asked for its provider");
    for panics in [Panics::Exchange, Panics::ItsFuture] {
        let endpoint = RotatingEndpoint::new(move || Ok(panics)).unwrap();
        let error = endpoint.exchange().await.unwrap_err();
        assert_eq!(error.to_string(), "the token endpoint of example panicked in an exchange");
    }
}

#[test]
fn of_two_reloads_at_once_the_later_counts() {
    let version = Arc::new(AtomicU64::new(0));
    let endpoint = RotatingEndpoint::new({
        let version = version.clone();
        move || {
            let version = version.load(Ordering::SeqCst);
            // The older it is, the longer it takes.
            std::thread::sleep(Duration::from_millis(if version == 1 { 300 } else { 0 }));
            FixedEndpoint::new(format!("version-{version}"))
        }
    })
    .unwrap();
    version.store(1, Ordering::SeqCst);
    let slow = std::thread::spawn({
        let endpoint = endpoint.clone();
        move || endpoint.reload().unwrap()
    });
    std::thread::sleep(Duration::from_millis(100));
    version.store(2, Ordering::SeqCst);
    endpoint.reload().unwrap();
    slow.join().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(endpoint.exchange()).unwrap().secret(), "version-2");
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_built_changes_nothing() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    let error = provider.write(&endpoint, "cut off").unwrap_err();
    assert_eq!(error.to_string(), "it is cut off");
    assert_eq!(endpoint.exchange().await.unwrap().secret(), "old-0");
}

/// Endpoints in a box or behind a reference count pass on what they wrap.
#[tokio::test(start_paused = true)]
async fn a_wrapped_endpoint_tells_of_new_credentials_too() {
    let provider = Provider::taking("old");
    let endpoint = provider.endpoint();
    let wrapped: Box<dyn TokenEndpoint> = Box::new(Arc::new(endpoint.clone()));
    let cache = TokenCache::builder(wrapped).clock(Clock::tokio()).build().unwrap();
    provider.take_only("new");
    cache.token().await.unwrap_err();
    provider.write(&endpoint, "new").unwrap();
    cache.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn endpoints_without_rotation_pause_as_before() {
    let script = ScriptedEndpoint::new().then(Error::new(ErrorKind::Credentials, "invalid_client"));
    let cache = TokenCache::builder(script.clone()).clock(Clock::tokio()).build().unwrap();
    let began = Instant::now();
    while script.exchanges() < 2 {
        cache.token().await.unwrap_err();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
}
