//! Fleets in real time: caches in one process and in several, a real `redis-server`, and the sandbox that plays the providers.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it measured or skips"
)]

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
