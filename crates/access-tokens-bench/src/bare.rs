//! What a hot path is made of, bare: the floor that libraries are measured against.

use std::{hint::black_box, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};

use crate::library::Call;

/// A load of an `ArcSwap`, as a guard.
pub(crate) struct Load(ArcSwap<String>);

impl Load {
    pub(crate) fn new(token: String) -> Self {
        Self(ArcSwap::new(Arc::new(token)))
    }
}

impl Call for Load {
    async fn call(&self) {
        drop(black_box(black_box(&self.0).load()));
    }
}

/// `Instant::now()`, the precise clock.
pub(crate) struct PreciseClock;

impl Call for PreciseClock {
    async fn call(&self) {
        black_box(Instant::now());
    }
}

/// One read of the coarse monotonic clock.
pub(crate) struct CoarseClock;

impl Call for CoarseClock {
    async fn call(&self) {
        black_box(clock_gettime(ClockId::MonotonicCoarse));
    }
}

/// Both coarse clocks: the monotonic one stands still while the machine is suspended, the other can be set back.
pub(crate) struct BothCoarseClocks;

impl Call for BothCoarseClocks {
    async fn call(&self) {
        black_box(clock_gettime(ClockId::MonotonicCoarse));
        black_box(clock_gettime(ClockId::RealtimeCoarse));
    }
}
