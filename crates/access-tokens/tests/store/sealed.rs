//! What a store knows, and what who writes into it can do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use access_tokens::{
    Clock, Exchange, TokenCache, TokenEndpoint, TokenId,
    store::{KeyRing, SharedStore, StoreAnswer, Stored, Swap, TokenStore},
    testing::{FixedEndpoint, MemoryStore, ScriptedEndpoint},
};
use tokio::time::{Instant, sleep};

use crate::{LIFETIME, instance, keys, no_jitter, token};

/// A store that others write into, too, and that forgets nothing.
#[derive(Debug, Clone, Default)]
struct Open {
    values: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    clock: MemoryStore,
}

impl Open {
    fn values(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.values.lock().unwrap()
    }

    fn only(&self) -> Vec<u8> {
        let values = self.values();
        assert_eq!(values.len(), 1);
        values.values().next().unwrap().clone()
    }

    fn overwrite(&self, with: &[u8]) {
        self.values().values_mut().for_each(|value| *value = with.to_vec());
    }

    async fn stored(&self, name: &str) -> Stored {
        let now = self.clock.get("").await.unwrap().now;
        Stored { value: self.values().get(name).cloned(), now }
    }
}

impl TokenStore for Open {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move { Ok(self.stored(name).await) })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        _: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            let stored = self.stored(name).await;
            if stored.value.as_deref() != expected {
                return Ok(Swap::Changed(stored));
            }
            self.values().insert(name.to_owned(), value.to_vec());
            Ok(Swap::Done)
        })
    }
}

/// An endpoint of a certain client.
#[derive(Debug, Clone)]
struct Client(ScriptedEndpoint, &'static str, &'static str);

impl TokenEndpoint for Client {
    fn provider(&self) -> &str {
        self.0.provider()
    }

    fn exchange(&self) -> Exchange<'_> {
        self.0.exchange()
    }

    fn token_id(&self) -> Option<TokenId> {
        Some(TokenId::new("example", "", self.1, self.2.as_bytes()))
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_in_a_store_tells_a_client_or_a_token() {
    let open = Open::default();
    let secret = token("planted-token").with_user_id("planted-user").with_scopes("planted-scope".parse().unwrap());
    let script = ScriptedEndpoint::new().then(secret.clone()).then(secret);
    let endpoint = Client(script, "planted-client", "planted-secret");
    let cache = instance(endpoint, open.clone());
    let first = cache.token().await.unwrap().to_owned();
    cache.invalidate(&first);
    cache.token().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    for (name, value) in open.values().iter() {
        for planted in ["planted", "scripted", "Bearer", "secret"] {
            assert!(!name.contains(planted));
            assert!(!value.windows(planted.len()).any(|part| part == planted.as_bytes()), "{planted}");
        }
        assert_eq!(name.len(), 43);
    }
    assert_eq!(open.values().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_altered_is_never_used_and_is_overwritten() {
    let open = Open::default();
    instance(ScriptedEndpoint::new().then(token("good")), open.clone()).token().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let good = open.only();
    let taken = instance(ScriptedEndpoint::new(), open.clone()).token().await.unwrap().to_owned();
    assert_eq!(taken.secret(), "good");
    let mut altered: Vec<Vec<u8>> = (0..good.len())
        .map(|at| {
            let mut value = good.clone();
            value[at] ^= 1;
            value
        })
        .collect();
    altered.extend([vec![], vec![1], vec![0; 64], good[..good.len() - 1].to_vec(), [&*good, b"x"].concat()]);
    altered.push(vec![b'x'; 200_000]);
    for value in altered {
        open.overwrite(&value);
        let token =
            instance(ScriptedEndpoint::new().then(token("own")), open.clone()).token().await.unwrap().to_owned();
        assert_eq!(token.secret(), "own");
        sleep(Duration::from_millis(10)).await;
        let next = instance(ScriptedEndpoint::new(), open.clone()).token().await.unwrap().to_owned();
        assert_eq!(next.secret(), "own", "it wasn't overwritten");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_under_another_name_is_never_used() {
    let open = Open::default();
    let client = |secret: &str, id, key| Client(ScriptedEndpoint::new().then(token(secret)), id, key);
    instance(client("of-a", "a", "secret"), open.clone()).token().await.unwrap();
    instance(client("of-b", "b", "secret"), open.clone()).token().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    {
        let mut values = open.values();
        let [one, other] = values.values_mut().collect::<Vec<_>>().try_into().unwrap();
        std::mem::swap(one, other);
    }
    let a = instance(client("again-of-a", "a", "secret"), open.clone()).token().await.unwrap().to_owned();
    assert_eq!(a.secret(), "again-of-a");
    // The name of a client without his secret isn't his.
    let thief = instance(client("of-thief", "a", "guessed"), open.clone()).token().await.unwrap().to_owned();
    assert_eq!(thief.secret(), "of-thief");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_put_back_never_replaces_a_newer_one() {
    let open = Open::default();
    let script = ["one", "two", "three", "four"].map(token);
    let script = script.into_iter().fold(ScriptedEndpoint::new(), ScriptedEndpoint::then);
    let store = SharedStore::new(open.clone(), keys());
    let cache = TokenCache::builder(script).policy(no_jitter()).clock(Clock::tokio()).store(store).build().unwrap();
    assert_eq!(cache.token().await.unwrap().secret(), "one");
    sleep(Duration::from_secs(1)).await;
    let one = open.only();
    sleep(LIFETIME.mul_f64(0.85)).await;
    cache.token().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cache.token().await.unwrap().secret(), "two");

    // Still alive, and refused: there is another way to a newer.
    let two = cache.token().await.unwrap().to_owned();
    open.overwrite(&one);
    cache.invalidate(&two);
    assert_eq!(cache.token().await.unwrap().secret(), "three");
    sleep(Duration::from_secs(1)).await;

    // Dead: of no use to who starts now, either.
    sleep(LIFETIME / 2).await;
    open.overwrite(&one);
    let started = instance(ScriptedEndpoint::new().then(token("five")), open.clone());
    assert_eq!(started.token().await.unwrap().secret(), "five");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_put_back_holds_nobody_up_for_longer_than_it_did() {
    let open = Open::default();
    let slow = ScriptedEndpoint::new().then_after(Duration::from_secs(2), token("slow"));
    let first = instance(slow, open.clone());
    let call = tokio::spawn(async move { first.token().await.map(|_| ()) });
    sleep(Duration::from_secs(1)).await;
    let lease = open.only();
    call.await.unwrap().unwrap();
    sleep(LIFETIME).await;
    open.overwrite(&lease);
    let begun = Instant::now();
    instance(ScriptedEndpoint::new().then(token("next")), open).token().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_value_of_an_unknown_key_counts_as_absent() {
    let memory = MemoryStore::new();
    let of = |key: u8, secret: &str| {
        let store = SharedStore::new(memory.clone(), KeyRing::new(&[1; 32], [[key; 32]]).unwrap());
        let endpoint = ScriptedEndpoint::new().then(token(secret));
        TokenCache::builder(endpoint).clock(Clock::tokio()).store(store).build().unwrap()
    };
    for (key, secret) in [(2, "two"), (3, "three"), (2, "again")] {
        let cache = of(key, secret);
        let begun = Instant::now();
        assert_eq!(cache.token().await.unwrap().secret(), secret);
        assert!(begun.elapsed() < Duration::from_millis(50));
        cache.shutdown().await;
    }
}

#[test]
fn a_key_ring_says_what_is_wrong_with_it() {
    let (a, b, short) = ([1_u8; 32], [2_u8; 32], [3_u8; 31]);
    let none: [[u8; 32]; 0] = [];
    let many: Vec<[u8; 32]> = (2..19).map(|n| [n; 32]).collect();
    let base64 = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let messages: Vec<_> = [
        KeyRing::new(&a, none),
        KeyRing::new(&a, many),
        KeyRing::new(&a, [b, b]),
        KeyRing::new(&a, [a]),
        KeyRing::new(&short, [b]),
        KeyRing::new(&a, [short]),
        KeyRing::from_base64(base64, ["no base64!"]),
        KeyRing::from_base64("c2hvcnQ=", [base64]),
        KeyRing::from_base64("c2hvcnQ=", [" \n"]),
    ]
    .into_iter()
    .map(|ring| ring.unwrap_err().to_string())
    .collect();
    let told = [
        "a key ring needs 1 to 16 keys that seal; it has 0",
        "a key ring needs 1 to 16 keys that seal; it has 17",
        "sealing key 2 is there twice; remove one of the two",
        "sealing key 1 equals the name key; use a different key",
        "the name key is 31 bytes long and must be 32; make one with `openssl rand -base64 32`",
        "sealing key 1 is 31 bytes long and must be 32; make one with `openssl rand -base64 32`",
        "sealing key 1 isn't base64; make one with `openssl rand -base64 32`",
        "the name key is 5 bytes long and must be 32; make one with `openssl rand -base64 32`",
        "holds no key; make one with `openssl rand -base64 32`",
    ];
    assert_eq!(messages, told);
    let ring = KeyRing::from_base64(&format!("{base64}\n"), ["AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]);
    assert!(ring.is_ok());

    // Several keys in one text: the error says in which text the wrong one is.
    let (name_key, texts) =
        ("AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=", [format!("{base64} c2hvcnQ="), base64.to_owned()]);
    let error = KeyRing::from_base64(name_key, texts).unwrap_err();
    assert!(error.to_string().starts_with("sealing key 2 is 5 bytes long"), "{error}");
    assert_eq!(error.item(), Some(0));
}

#[tokio::test]
async fn no_key_is_shown() {
    let ring = KeyRing::new(&[b'n'; 32], [[b'k'; 32]]).unwrap();
    let store = SharedStore::new(MemoryStore::new(), ring.clone());
    let endpoint = FixedEndpoint::new("planted").unwrap().with_expires_in(LIFETIME);
    let cache = TokenCache::builder(endpoint).store(store.clone()).build().unwrap();
    cache.token().await.unwrap();
    for shown in [format!("{ring:?}"), format!("{store:?}"), format!("{cache:?}")] {
        for planted in ["nnnn", "kkkk", "110, 110", "107, 107", "planted"] {
            assert!(!shown.contains(planted), "{shown}");
        }
    }
}
