//! What is counted, and what becomes of it.

use std::{iter::repeat_n, time::Duration};

use super::case::AN_ADDRESS;

/// Everything that is counted in one simulation.
#[derive(Debug, PartialEq)]
pub(super) struct Book {
    /// Requests to the provider, by when they were sent.
    pub(super) exchanges: Series,
    /// Those that were sent although the newest token wasn't due yet: more than one for one token.
    pub(super) surplus: u64,
    /// Of all addresses and minutes the most.
    pub(super) busiest_address: u32,
    addresses: Vec<u32>,
    addresses_minute: u64,
    /// Commands to the store.
    pub(super) commands: Series,
    pub(super) calls: u64,
    /// Calls that got an error instead of a token.
    pub(super) without_token: Series,
    /// Calls that got a token and didn't get it at once.
    pub(super) waited: u64,
    /// For a token, or for an error.
    pub(super) longest_wait: Duration,
}

impl Book {
    pub(super) fn new(instances: u32, counted: Duration) -> Self {
        Self {
            exchanges: Series::new(counted),
            surplus: 0,
            busiest_address: 0,
            addresses: repeat_n(0, instances.div_ceil(AN_ADDRESS) as usize).collect(),
            addresses_minute: 0,
            commands: Series::new(counted),
            calls: 0,
            without_token: Series::new(counted),
            waited: 0,
            longest_wait: Duration::ZERO,
        }
    }

    pub(super) fn exchange(&mut self, at: Duration, instance: u32) {
        self.exchanges.add(at);
        let minute = at.as_secs() / 60;
        if minute != self.addresses_minute {
            self.addresses_minute = minute;
            self.addresses.fill(0);
        }
        if let Some(address) = self.addresses.get_mut((instance / AN_ADDRESS) as usize) {
            *address += 1;
            self.busiest_address = self.busiest_address.max(*address);
        }
    }
}

/// How often something happened in each second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series(Vec<u32>);

impl Series {
    fn new(length: Duration) -> Self {
        Self(repeat_n(0, length.as_secs() as usize).collect())
    }

    pub(super) fn add(&mut self, at: Duration) {
        if let Some(second) = self.0.get_mut(at.as_secs() as usize) {
            *second += 1;
        }
    }

    pub(super) fn in_all(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    pub(super) fn peak_second(&self) -> u32 {
        self.0.iter().copied().max().unwrap_or_default()
    }

    /// Minutes by the clock, not any sixty seconds.
    pub(super) fn minutes(&self) -> Vec<u32> {
        self.0.chunks(60).map(|minute| minute.iter().sum()).collect()
    }

    pub(super) fn peak_minute(&self) -> u32 {
        self.minutes().into_iter().max().unwrap_or_default()
    }

    pub(super) fn mean_minute(&self) -> f64 {
        self.in_all() as f64 / self.0.chunks(60).len() as f64
    }

    /// From `from` to `to`, counted as the seconds are.
    pub(super) fn between(&self, from: Duration, to: Duration) -> u64 {
        let seconds = self.0.iter().copied().map(u64::from);
        seconds.take(to.as_secs() as usize).skip(from.as_secs() as usize).sum()
    }
}
