//! Tokens on requests, over real sockets: what both integrations do, and what each does alone.
#![cfg(test)]

mod clients;
mod hygiene;
mod origins;
mod recorder;
mod redirects;
mod replays;
mod rules;
mod timeouts;
