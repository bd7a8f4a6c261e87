//! Fleets in real time: caches in one process and in several, a real `redis-server`, and the sandbox that plays the providers.
#![cfg(test)]

mod clocks;
mod dump;
mod entries;
mod exchanges;
mod faults;
mod instance;
mod load;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod worker;
