//! What a store has to do, and nothing else.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::Error;

/// The future of one command to a store; boxed, which is nothing beside a way over the network.
pub type StoreAnswer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Where a fleet keeps its tokens: one value for each name, which is replaced only as a whole, and only by who has seen what is
/// there. All else, as who may ask, which token is the newer, what was invalidated, and the cipher, is [`SharedStore`]'s, so
/// that no two stores can differ in it.
///
/// `access-tokens-redis` has one for Redis and Valkey, [`testing::MemoryStore`](crate::testing::MemoryStore) is one for
/// tests. One of your own may know nothing of what it stores: names are keyed hashes, values are sealed.
///
/// A command is given up when it takes longer than [`SharedStoreBuilder::timeout`](super::SharedStoreBuilder::timeout): its
/// future is dropped then, and whatever waits in it, such as a connection that is dead, must not be in the way of the next.
///
/// # Errors
/// [`ErrorKind`](crate::ErrorKind) says whose move it is: a wrong password is `Configuration`, a server that is away
/// `Unavailable`. No caller of a cache ever sees one: it is for the log, and for
/// [`SharedStore::check`](super::SharedStore::check).
///
/// [`SharedStore`]: super::SharedStore
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// What is under `name`, and what time it is there.
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored>;

    /// Puts `value` under `name`, where it is to stay for `ttl` from now, if what is there is still what was `expected`, byte
    /// for byte (`None`: nothing). That must be one step: of two who expect the same, one succeeds. A `value` that is what was
    /// expected is written like any other: who waits finds out by it whether the store can still be written.
    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap>;
}

impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        (**self).get(name)
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        (**self).compare_and_set(name, expected, value, ttl)
    }
}

/// What is in a store under a name.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The bytes; `None` if there is nothing. What can't be one of ours, since it is larger than [`LARGEST`] or no text of bytes
    /// at all, is given, and expected, as an empty value.
    pub value: Option<Vec<u8>>,
    /// The time by the clock of the store, since 1970. All machines of a fleet tell the age of a token by it, so that their own
    /// clocks needn't agree.
    pub now: Duration,
}

/// What came of [`TokenStore::compare_and_set`].
#[derive(Debug, Clone)]
pub enum Swap {
    /// The value is there.
    Done,
    /// Something else was there than expected, and still is.
    Changed(Stored),
}

/// More than any value of ours takes, in bytes.
pub const LARGEST: usize = 128 * 1024;
