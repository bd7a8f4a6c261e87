//! The primitives that slot and flight are built on. In this crate's unit tests they are a model checker's, which tries
//! the orders in which threads can come to them (`model.rs`); everywhere else the real ones.

#[cfg(test)]
pub(super) use shuttle::sync::{Mutex, MutexGuard};
pub(super) use std::sync::{Arc, PoisonError};
#[cfg(not(test))]
pub(super) use std::sync::{Mutex, MutexGuard};

/// A pointer that is read without waiting, and swapped whole.
#[cfg(not(test))]
pub(super) type Swap<T> = arc_swap::ArcSwap<T>;

/// What reading a [`Swap`] gives: the value of that time, for as long as it is held.
#[cfg(not(test))]
pub(super) type Loaded<T> = arc_swap::Guard<Arc<T>>;

#[cfg(test)]
pub(super) type Loaded<T> = Arc<T>;

/// The swap crate itself is trusted: the model's stands for it with a lock.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Swap<T>(Mutex<Arc<T>>);

#[cfg(test)]
impl<T> Swap<T> {
    pub(super) fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    pub(super) fn load(&self) -> Loaded<T> {
        self.lock().clone()
    }

    pub(super) fn store(&self, value: Arc<T>) {
        *self.lock() = value;
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
thread_local! {
    /// Publishes a change only after the lock is released, so that an older one can overwrite a newer.
    pub(super) static LOSE_UPDATES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The mistake that `model.rs` puts in, to see that it is found.
#[cfg(test)]
pub(super) fn released_too_early<T>(state: MutexGuard<'_, T>) -> Option<MutexGuard<'_, T>> {
    (!LOSE_UPDATES.get()).then_some(state)
}
