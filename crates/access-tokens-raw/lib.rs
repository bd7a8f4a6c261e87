//! Raw clients for the 1NCE and Worldline token endpoints, generated from `specs/`.
//!
//! Services use the `access-tokens` crate; this one follows the specifications to the letter where the generator can, and
//! has no other promise: its surface moves with the specs. Each `specs/<module>.openapi.yaml` becomes a module here.
//!
//! By hand are only the hooks that the generated clients call and the types that keep secrets out of `Debug`.

pub mod hooks;
mod secret;

pub use progenitor_client;
pub use secret::{Secret, SecretValue};

/// Where this build took the clients from: `specs` (the build script generated them) or `pinned` (feature `codegen` off).
pub const FROM: &str = env!("ACCESS_TOKENS_RAW_FROM");

// Not for rustdoc's tests, so that nothing that a specification says is one.
#[cfg(not(doctest))]
pub use generated::*;

#[cfg(not(doctest))]
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_patterns,
    unreachable_pub,
    clippy::all,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "written by the generator from a specification; the rules for people's code don't fit"
)]
#[rustfmt::skip]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}
