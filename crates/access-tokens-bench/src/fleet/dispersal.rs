//! How fast a herd disperses: as it is expected, and as it was.
//!
//! Instances that ask at the same moment ask for the next token after `refresh_at` of its life, less what each drew of the
//! jitter, plus the time until its next call. Both are drawn anew for each token, so after some of them the moments lie as a
//! normal distribution does, whose width grows with the root of their number. Once the waves have run into each other, all
//! minutes are alike.

use std::{f64::consts::PI, time::Duration};

use super::{
    book::Book,
    case::{Case, LIFETIME, REFRESH_AT},
};

/// From one exchange of an instance to the next, on average.
pub(super) fn period(case: &Case) -> Duration {
    LIFETIME.mul_f64(REFRESH_AT - case.jitter / 2.0) + case.gap
}

/// By how much that differs, as a standard deviation: a uniform draw's and an exponential gap's.
pub(super) fn deviation(case: &Case) -> Duration {
    let jitter = LIFETIME.mul_f64(case.jitter).as_secs_f64();
    let gap = case.gap.as_secs_f64();
    Duration::from_secs_f64((jitter * jitter / 12.0 + gap * gap).sqrt())
}

/// Lifetimes until no minute has twice the mean any more. The n-th wave's peak is 1 / (deviation √(2πn)) of the fleet, the mean
/// 1 / period; the one is twice the other at n = period² / (8π deviation²).
pub(super) fn expected(case: &Case) -> f64 {
    let (period, deviation) = (period(case).as_secs_f64(), deviation(case).as_secs_f64());
    let waves = (period / deviation).powi(2) / (8.0 * PI);
    waves * period / LIFETIME.as_secs_f64()
}

/// The same as it was: from the restart to the end of the last minute that has more than twice the mean. `None` if that
/// comes with the end of what was counted.
pub(super) fn measured(case: &Case, book: &Book) -> Option<f64> {
    let since = case.happens() - case.counted().start;
    let minutes = book.exchanges.minutes();
    let mean = book.exchanges.mean_minute();
    let last = minutes.iter().rposition(|minute| f64::from(*minute) > 2.0 * mean)?;
    let ended = Duration::from_secs(60 * (last as u64 + 1));
    // A wave comes once a period: only after a whole one without is it over.
    let known = ended + period(case).mul_f64(1.5) < case.counted().end - case.counted().start;
    known.then(|| ended.saturating_sub(since).as_secs_f64() / LIFETIME.as_secs_f64())
}

/// The peak minute in each lifetime since the restart, in mean minutes.
pub(super) fn peaks(case: &Case, book: &Book) -> Vec<f64> {
    let since = (case.happens() - case.counted().start).as_secs() as usize / 60;
    let minutes = book.exchanges.minutes();
    let mean = book.exchanges.mean_minute();
    let lifetimes = minutes.get(since..).unwrap_or_default().chunks(LIFETIME.as_secs() as usize / 60);
    lifetimes.map(|minutes| f64::from(minutes.iter().copied().max().unwrap_or_default()) / mean).collect()
}
