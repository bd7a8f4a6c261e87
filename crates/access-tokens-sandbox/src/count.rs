//! Counts of what happened.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often each `K` happened.
pub(crate) struct Counts<K>(Mutex<HashMap<K, u64>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(Mutex::default())
    }
}

impl<K: Eq + Hash> Counts<K> {
    pub(crate) fn count(&self, what: K) {
        *self.lock().entry(what).or_default() += 1;
    }

    pub(crate) fn get(&self, what: K) -> u64 {
        self.lock().get(&what).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
