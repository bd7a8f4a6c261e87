//! A token is shared under the name of the client that brought it, or not at all.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use access_tokens::{
    AccessToken, Error, ErrorKind, Exchange, RotatingEndpoint, TokenCache, TokenEndpoint, TokenId,
    store::{StoreAnswer, Stored, Swap, TokenStore},
    testing::MemoryStore,
};
use tokio::time::{Instant, sleep};

use crate::{LATENCY, LIFETIME, instance};

/// What the provider takes, and what the operator has written down.
#[derive(Debug, Clone, Default)]
struct Provider {
    takes: Arc<Mutex<Vec<&'static str>>>,
    tokens: Arc<Mutex<u32>>,
}

impl Provider {
    fn taking(credentials: &[&'static str]) -> Self {
        let provider = Self::default();
        provider.take(credentials);
        provider
    }

    fn take(&self, credentials: &[&'static str]) {
        *self.takes.lock().unwrap() = credentials.to_vec();
    }

    fn client(&self, credential: &'static str) -> Client {
        Client { credential, provider: self.clone() }
    }

    fn rotating(&self, credential: &'static str) -> Rotating {
        let (written, provider) = (Arc::new(Mutex::new(credential)), self.clone());
        let build = {
            let written = written.clone();
            move || Ok(provider.client(*written.lock().unwrap()))
        };
        Rotating { endpoint: RotatingEndpoint::new(build).unwrap(), written }
    }
}

#[derive(Debug, Clone)]
struct Rotating {
    endpoint: RotatingEndpoint,
    written: Arc<Mutex<&'static str>>,
}

impl Rotating {
    fn write(&self, credential: &'static str) {
        *self.written.lock().unwrap() = credential;
        self.endpoint.reload().unwrap();
    }
}

#[derive(Debug)]
struct Client {
    credential: &'static str,
    provider: Provider,
}

impl TokenEndpoint for Client {
    fn provider(&self) -> &str {
        "example"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            sleep(LATENCY).await;
            if !self.provider.takes.lock().unwrap().contains(&self.credential) {
                return Err(Error::new(ErrorKind::Credentials, "invalid_client").with_status(401));
            }
            let number = {
                let mut tokens = self.provider.tokens.lock().unwrap();
                *tokens += 1;
                *tokens
            };
            Ok(AccessToken::new(format!("{}-{number}", self.credential))?.with_expires_in(LIFETIME))
        })
    }

    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("example", "", "", self.credential.as_bytes()))
    }
}

/// As users wrap an endpoint.
#[derive(Debug)]
struct Wrapped<E>(E);

impl<E: TokenEndpoint> TokenEndpoint for Wrapped<E> {
    fn provider(&self) -> &str {
        self.0.provider()
    }

    fn exchange(&self) -> Exchange<'_> {
        self.0.exchange()
    }

    fn rotation(&self) -> Option<access_tokens::Rotation> {
        self.0.rotation()
    }

    fn token_id(&self) -> Option<TokenId> {
        self.0.token_id()
    }
}

async fn secret(cache: &TokenCache) -> Result<String, ErrorKind> {
    cache.token().await.map(|token| token.secret().to_owned()).map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn what_an_old_credential_brings_is_not_taken_for_the_new_ones() {
    let (provider, memory) = (Provider::taking(&["old"]), MemoryStore::new());
    let ways: [fn(RotatingEndpoint, MemoryStore) -> TokenCache; 3] = [
        |endpoint, memory| instance(endpoint, memory),
        |endpoint, memory| instance(Wrapped(endpoint), memory),
        |endpoint, memory| instance(RotatingEndpoint::new(move || Ok(endpoint.clone())).unwrap(), memory),
    ];
    for way in ways {
        let rotating = provider.rotating("old");
        let cache = way(rotating.endpoint.clone(), memory.clone());
        assert!(secret(&cache).await.unwrap().starts_with("old-"));
        rotating.write("new");
        sleep(LIFETIME).await;
        assert!(secret(&cache).await.unwrap().starts_with("old-"), "the last one that worked");
        let other = instance(provider.client("new"), memory.clone());
        assert_eq!(secret(&other).await, Err(ErrorKind::Credentials), "it was given another's token");
        sleep(LIFETIME).await;
    }
    // What the new one brings is shared again.
    provider.take(&["new"]);
    let rotating = provider.rotating("new");
    let brought = secret(&instance(rotating.endpoint, memory.clone())).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(secret(&instance(provider.client("new"), memory)).await, brought);
}

/// Instances whose new credential isn't known yet have nothing to share, and don't queue for it.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_is_not_shared() {
    let (provider, memory) = (Provider::taking(&["old"]), MemoryStore::new());
    let fleet: Vec<_> = (0..20).map(|_| provider.rotating("old")).collect();
    let mut caches = Vec::new();
    for rotating in &fleet {
        // Each on its own, so that each has seen its credential work.
        rotating.endpoint.exchange().await.unwrap();
        caches.push(instance(rotating.endpoint.clone(), memory.clone()));
        rotating.write("new");
    }
    let begun = Instant::now();
    let calls: Vec<_> = caches
        .iter()
        .cloned()
        .map(|cache| tokio::spawn(async move { (secret(&cache).await.unwrap(), begun.elapsed()) }))
        .collect();
    for call in calls {
        let (token, waited) = call.await.unwrap();
        assert!(token.starts_with("old-"));
        // One exchange takes two requests, and the others wait for the first that is made.
        assert!(waited <= 4 * LATENCY + Duration::from_millis(250), "{waited:?}");
    }
}

type Step = Box<dyn FnOnce() + Send>;

/// Does something when it is first written, as when a lease is taken.
#[derive(Clone)]
struct Then(MemoryStore, Arc<Mutex<Option<Step>>>);

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Then")
    }
}

impl TokenStore for Then {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        self.0.get(name)
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        if let Some(step) = self.1.lock().unwrap().take() {
            step();
        }
        self.0.compare_and_set(name, expected, value, ttl)
    }
}

/// Another credential comes once a token has been brought.
#[derive(Debug)]
struct Afterwards(Rotating, &'static str);

impl TokenEndpoint for Afterwards {
    fn provider(&self) -> &str {
        "example"
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(async {
            let brought = self.0.endpoint.exchange().await;
            self.0.write(self.1);
            brought
        })
    }

    fn token_id(&self) -> Option<TokenId> {
        self.0.endpoint.token_id()
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_replaced_between_lease_and_outcome_leaves_nothing_under_a_name_not_its_own() {
    // What comes after the lease was taken, and what after the exchange.
    for (before, after) in [("new", "new"), ("new", "old"), ("old", "new"), ("old", "old")] {
        let (provider, memory) = (Provider::taking(&["old", "new"]), MemoryStore::new());
        let rotating = provider.rotating("old");
        let step: Step = Box::new({
            let rotating = rotating.clone();
            move || rotating.write(before)
        });
        let store = Then(memory.clone(), Arc::new(Mutex::new(Some(step))));
        secret(&instance(Afterwards(rotating, after), store)).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        for credential in ["old", "new"] {
            let given = secret(&instance(provider.client(credential), memory.clone())).await.unwrap();
            assert!(given.starts_with(credential), "{before}, {after}: {credential} was given {given}");
        }
    }
}
