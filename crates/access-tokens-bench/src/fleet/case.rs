//! What one simulation is of: how many instances, how they are set, and what happens to them.

use std::{ops::Range, time::Duration};

/// How long a token lives, and what all spans here are told in.
pub(super) const LIFETIME: Duration = Duration::from_secs(3600);

/// At what part of its life a token is refreshed, less the jitter: the default of a policy.
pub(super) const REFRESH_AT: f64 = 0.8;

/// The default jitter of a policy.
pub(super) const JITTER: f64 = 0.125;

/// How many instances go out to the provider by one address.
pub(super) const AN_ADDRESS: u32 = 50;

/// How long instances take to start that are started at once; each asks for a token as soon as it has.
pub(super) const STARTING: Duration = Duration::from_secs(1);

/// Before anything is counted, the instances start at random moments of this. Ten lives, since the start leaves a trace for a
/// while: of one life alone, the last quarter would meet the first refreshes.
const WARM_UP: u32 = 10;

/// When something happens, counted from where counting begins.
const HAPPENS: u32 = 2;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    /// The size of the fleet that this stands for.
    pub(super) fleet: u32,
    /// How many of it are simulated.
    pub(super) instances: u32,
    pub(super) store: bool,
    pub(super) jitter: f64,
    pub(super) event: Event,
    /// Between one call and the next of an instance, on average.
    pub(super) gap: Duration,
    /// How long is counted, in lifetimes.
    pub(super) lifetimes: u32,
    /// Also makes the calls that can't but be served, which changes nothing and takes ten times as long.
    pub(super) every_call: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Undisturbed,
    /// No connection to the provider for so long.
    ProviderAway(Duration),
    /// The store doesn't answer for so long.
    StoreAway(Duration),
    /// All instances are stopped, and started again; the store is empty then too.
    Restart,
}

impl Case {
    /// A day with the default jitter, and a call a minute.
    pub(super) fn new(instances: u32, store: bool, event: Event) -> Self {
        let gap = Duration::from_secs(60);
        Self { fleet: instances, instances, store, jitter: JITTER, event, gap, lifetimes: 24, every_call: false }
    }

    /// What it was that made the figures.
    pub(super) fn name(&self) -> String {
        let store = if self.store { "with the store" } else { "without a store" };
        let event = match self.event {
            Event::Undisturbed => "undisturbed",
            Event::ProviderAway(_) => "provider away",
            Event::StoreAway(_) => "store away",
            Event::Restart => "restart",
        };
        format!("{}, {store}, jitter {}, {event}", self.size(), self.jitter)
    }

    /// How many instances, and how many of them are simulated.
    pub(super) fn size(&self) -> String {
        match self.instances {
            all if all == self.fleet => thousands(all.into()),
            some => format!("{} of {}", thousands(some.into()), thousands(self.fleet.into())),
        }
    }

    /// When the instances start, counted from the beginning of the simulation.
    pub(super) fn starts(&self) -> Range<Duration> {
        Duration::ZERO..WARM_UP * LIFETIME
    }

    /// What is counted.
    pub(super) fn counted(&self) -> Range<Duration> {
        WARM_UP * LIFETIME..(WARM_UP + self.lifetimes) * LIFETIME
    }

    /// When it happens.
    pub(super) fn happens(&self) -> Duration {
        (WARM_UP + HAPPENS) * LIFETIME
    }

    /// When they are all started again.
    pub(super) fn restart(&self) -> Option<Duration> {
        matches!(self.event, Event::Restart).then(|| self.happens())
    }

    pub(super) fn provider_is_away(&self, now: Duration) -> bool {
        matches!(self.event, Event::ProviderAway(length) if self.lasts(length, now))
    }

    pub(super) fn store_is_away(&self, now: Duration) -> bool {
        matches!(self.event, Event::StoreAway(length) if self.lasts(length, now))
    }

    fn lasts(&self, length: Duration, now: Duration) -> bool {
        (self.happens()..self.happens() + length).contains(&now)
    }

    /// Up to this age no cache asks for the successor of its token.
    pub(super) fn quiet(&self) -> Duration {
        LIFETIME.mul_f64(REFRESH_AT - self.jitter)
    }
}

/// With commas.
pub(super) fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}
