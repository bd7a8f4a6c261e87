//! The sandbox over real sockets: one file for each thing that it plays or does.
// A test may stop at what it didn't expect, and says what it skips.
#![cfg(test)]

mod algorithms;
mod assertion;
#[cfg(unix)]
mod browser;
mod clients;
mod control;
mod cross_site;
mod faults;
mod http2;
mod lifecycle;
mod onence;
mod resource;
mod rotation;
mod timeouts;
mod worldline;
