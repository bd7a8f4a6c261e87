//! The one place that reads a clock.
//!
//! Two clocks are read, and the one that leaves a token less life counts. Linux's monotonic clock stands still while a
//! machine is suspended, and the wall clock can be set back; neither alone may make an expired token look valid.

use std::time::{Duration, Instant, SystemTime};

/// One point in time on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The wall clock's time `span` after this moment; `None` beyond what it can tell.
    pub(crate) fn plus(&self, span: Duration) -> Option<SystemTime> {
        self.wall.checked_add(span)
    }

    /// How long ago it was, by the clock that says longer.
    pub(crate) fn elapsed(&self) -> Duration {
        self.monotonic.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}
