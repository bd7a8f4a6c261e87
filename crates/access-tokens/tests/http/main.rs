//! Tokens on requests, over real sockets: what both integrations do, and what each does alone.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod clients;
mod hygiene;
mod origins;
mod recorder;
mod redirects;
mod replays;
mod rules;
mod timeouts;
