//! A store that can have a fault.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use access_tokens::{
    Error, ErrorKind,
    store::{StoreAnswer, Stored, Swap, TokenStore},
    testing::MemoryStore,
};
use tokio::time::sleep;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    Down,
    /// Reads work.
    Full,
    Frozen,
    Slow(Duration),
    Panics,
    /// Forgets all at once.
    Flushed,
    /// Says that it has stored what it hasn't.
    Liar,
}

/// A store with a fault, which can be mended.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    store: MemoryStore,
    fault: Arc<Mutex<Fault>>,
}

impl Faulty {
    pub(crate) fn new(store: MemoryStore) -> Self {
        Self { store, fault: Arc::new(Mutex::new(Fault::None)) }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    async fn suffer(&self, writes: bool) -> Result<Fault, Error> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::Down => return Err(Error::new(ErrorKind::Unavailable, "no connection")),
            Fault::Full if writes => return Err(Error::new(ErrorKind::Unavailable, "no memory")),
            Fault::Frozen => std::future::pending().await,
            Fault::Slow(span) => sleep(span).await,
            Fault::Panics => panic!("the store panics"),
            Fault::Flushed => self.store.clear(),
            _ => {}
        }
        Ok(fault)
    }
}

impl TokenStore for Faulty {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move {
            self.suffer(false).await?;
            self.store.get(name).await
        })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            match self.suffer(true).await? {
                Fault::Liar => Ok(Swap::Done),
                _ => self.store.compare_and_set(name, expected, value, ttl).await,
            }
        })
    }
}
