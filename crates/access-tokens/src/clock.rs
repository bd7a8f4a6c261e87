//! The one place that reads a clock.
//!
//! Two clocks are read, and the one that leaves a token less life counts. Linux's monotonic clock stands still while a
//! machine is suspended, and the wall clock can be set back; neither alone may make an expired token look valid.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::time::ClockId;
use tokio::time::Instant;

/// Where a [`TokenCache`](crate::TokenCache) reads the time.
///
/// [`Clock::system`] is the machine's own: on its fastest path the cache reads the coarse clocks (`CLOCK_MONOTONIC_COARSE`
/// and `CLOCK_REALTIME_COARSE` on Linux, a few milliseconds behind, for which it allows), everywhere else the precise ones. A
/// token is past its end as soon as either clock says so. That leaves one gap: a machine that is suspended, and whose wall
/// clock is set back afterwards too, takes a token for valid longer than it is, by the smaller of the two spans.
///
/// [`Clock::tokio`] follows tokio's time, which a test can pause, and so does what a token says of its own
/// [remaining](crate::AccessToken::remaining) life:
///
/// ```
/// use std::time::Duration;
/// use access_tokens::{Clock, TokenCache, testing::FixedEndpoint};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = FixedEndpoint::new("mF_9.B5f-4.1JqM")?.with_expires_in(Duration::from_secs(60));
/// let cache = TokenCache::builder(endpoint).clock(Clock::tokio()).build()?;
/// let token = cache.token().await?.to_owned();
/// tokio::time::advance(Duration::from_secs(50)).await;
/// assert_eq!(token.remaining(), Some(Duration::from_secs(9))); // less a margin of a second
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System {
        /// A copy of [`Start::origin`], which spares the fastest path a look at whether it is there yet.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        origin: u64,
    },
    Tokio {
        /// How far the wall clock is ahead of the monotonic one, in nanoseconds.
        ahead: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Source::System {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            origin: START.origin,
        })
    }

    /// Tokio's time, which a test can pause and advance (`tokio::time::pause`). Slower to read than [`Clock::system`].
    pub fn tokio() -> Self {
        let now = Moment::now();
        let ahead = now.wall.wrapping_sub(now.monotonic) as i64;
        Self(Source::Tokio { ahead: Arc::new(AtomicI64::new(ahead)) })
    }

    /// Sets the wall clock of a [`Clock::tokio`] forward or back for all its clones, as an administrator or a time server
    /// does; forward is also what a machine shows that was suspended. The machine's own clocks stay as they are.
    pub fn jump(&self, seconds: i64) {
        if let Source::Tokio { ahead } = &self.0 {
            let by = seconds.saturating_mul(NANOS as i64);
            let _ = ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| Some(ahead.saturating_add(by)));
        }
    }

    /// The time as cheap as it comes: up to [`Moment::COARSE`] in the past.
    #[inline]
    pub(crate) fn coarse(&self) -> Moment {
        match self.0 {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Source::System { origin } if !TOKIO_DIFFERS.load(Ordering::Relaxed) => Moment {
                monotonic: read(ClockId::MonotonicCoarse).wrapping_sub(origin),
                wall: read(ClockId::RealtimeCoarse),
            },
            _ => self.now(),
        }
    }

    /// The time, precisely.
    pub(crate) fn now(&self) -> Moment {
        let now = Moment::now();
        match &self.0 {
            Source::System { .. } => now,
            Source::Tokio { ahead } => {
                Moment { wall: now.monotonic.saturating_add_signed(ahead.load(Ordering::Relaxed)), ..now }
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// One point in time on both clocks, in nanoseconds: since a day before this process first asked, and since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    monotonic: u64,
    wall: u64,
}

const NANOS: u64 = 1_000_000_000;

impl Moment {
    /// Reached by every other.
    pub(crate) const PAST: Self = Self { monotonic: 0, wall: 0 };
    /// Never reached.
    pub(crate) const NEVER: Self = Self { monotonic: u64::MAX, wall: u64::MAX };
    /// How far a coarse clock may lag: a tick of the slowest kernel, and two that come late. A busy virtual machine was seen to
    /// lag by more than two.
    pub(crate) const COARSE: Duration = Duration::from_millis(30);

    /// Now. Both parts follow tokio's paused time.
    pub(crate) fn now() -> Self {
        let before = std::time::Instant::now();
        let instant = Instant::now().into_std();
        let after = std::time::Instant::now();
        let monotonic = match instant.checked_duration_since(START.instant) {
            Some(since) => HEAD_START.saturating_add(nanos(since)),
            None => HEAD_START.saturating_sub(nanos(START.instant.duration_since(instant))),
        };
        if (before..=after).contains(&instant) {
            return Self { monotonic, wall: wall() };
        }
        // Read with the machine's wall clock, a token would age while tokio's time stands still.
        TOKIO_DIFFERS.store(true, Ordering::Relaxed);
        Self { monotonic, wall: START.wall.saturating_add(monotonic).saturating_sub(HEAD_START) }
    }

    /// `span` later.
    pub(crate) fn plus(self, span: Duration) -> Self {
        let span = nanos(span);
        Self { monotonic: self.monotonic.saturating_add(span), wall: self.wall.saturating_add(span) }
    }

    /// `span` earlier.
    pub(crate) fn minus(self, span: Duration) -> Self {
        let span = nanos(span);
        Self { monotonic: self.monotonic.saturating_sub(span), wall: self.wall.saturating_sub(span) }
    }

    /// What comes first on each clock.
    pub(crate) fn earlier(self, other: Self) -> Self {
        Self { monotonic: self.monotonic.min(other.monotonic), wall: self.wall.min(other.wall) }
    }

    /// Whether either clock has come to `deadline`.
    #[inline]
    pub(crate) fn reached(self, deadline: Self) -> bool {
        self.monotonic >= deadline.monotonic || self.wall >= deadline.wall
    }

    /// How long ago `earlier` was, by the clock that says longer.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        Duration::from_nanos(monotonic.max(self.wall.saturating_sub(earlier.wall)))
    }

    /// How long ago `earlier` was, but for what the machine slept.
    pub(crate) fn monotonic_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.monotonic.saturating_sub(earlier.monotonic))
    }

    /// How long until `deadline`, by the clock that says less; zero afterwards.
    pub(crate) fn until(self, deadline: Self) -> Duration {
        let monotonic = deadline.monotonic.saturating_sub(self.monotonic);
        Duration::from_nanos(monotonic.min(deadline.wall.saturating_sub(self.wall)))
    }

    /// The wall clock's time.
    pub(crate) fn wall(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.wall)
    }
}

/// How far the times of the last assertion that a server accepted were ahead of this machine's clock.
#[derive(Debug, Default)]
pub(crate) struct Skew(AtomicI64);

impl Skew {
    /// More than that is no clock that is off but a header that is wrong.
    const MOST: i64 = 24 * 60 * 60 * NANOS as i64;

    /// In nanoseconds; none before the first.
    pub(crate) fn accepted(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn accept(&self, nanos: i64) {
        self.0.store(nanos, Ordering::Relaxed);
    }

    /// What the `date` of an answer that came by now tells of the server's clock (RFC 9110 section 6.6.1), if that can be.
    pub(crate) fn of_refusal(date: SystemTime, sent: Moment) -> Option<i64> {
        Self::between(date, sent).filter(|ahead| ahead.saturating_abs() <= Self::MOST)
    }

    /// By how many nanoseconds the server is ahead. `Date` is in whole seconds and the way takes its time, so a span of skews
    /// would explain it: the least of them counts, and that is mostly none.
    pub(crate) fn between(date: SystemTime, sent: Moment) -> Option<i64> {
        let date = nanos(date.duration_since(UNIX_EPOCH).unwrap_or_default());
        let ahead_of = |wall: u64| date.wrapping_sub(wall) as i64;
        let (least, most) = (ahead_of(Moment::now().wall), ahead_of(sent.wall).saturating_add(NANOS as i64));
        (least <= most).then(|| 0.clamp(least, most))
    }

    /// By how many seconds another clock is ahead that showed `now` at some moment from `asked` to `came`.
    pub(crate) fn seconds(now: Duration, asked: Moment, came: Moment) -> i64 {
        let ahead_of = |moment: Moment| nanos(now).wrapping_sub(moment.wall) as i64;
        0.clamp(ahead_of(came), ahead_of(asked).max(ahead_of(came))) / NANOS as i64
    }

    /// The time of a clock that is so many nanoseconds ahead, since 1970.
    pub(crate) fn server_time(nanos: i64) -> Duration {
        Duration::from_nanos(Moment::now().wall.saturating_add_signed(nanos))
    }
}

/// Tokio's time isn't the machine's: a test has paused it, in some runtime of this process. Coarse clocks don't know.
static TOKIO_DIFFERS: AtomicBool = AtomicBool::new(false);

struct Start {
    instant: std::time::Instant,
    /// What the wall clock showed then.
    wall: u64,
    /// What the system's monotonic clock showed when a [`Moment`]'s showed zero; before the boot, it may be.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    origin: u64,
}

/// What a [`Moment`]'s monotonic clock shows at [`START`]: a runtime whose time is paused may have begun before.
const HEAD_START: u64 = 24 * 60 * 60 * NANOS;

static START: LazyLock<Start> = LazyLock::new(|| Start {
    // Read first, so that the coarse clock seems rather early than late: it ends tokens sooner.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    origin: read(ClockId::Monotonic).wrapping_sub(HEAD_START),
    instant: std::time::Instant::now(),
    wall: wall(),
});

fn wall() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn read(clock: ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    // Neither clock is before its beginning.
    (time.tv_sec as u64).wrapping_mul(NANOS).wrapping_add(time.tv_nsec as u64)
}

/// Enough for 584 years.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
