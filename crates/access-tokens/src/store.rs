//! One token for a whole fleet: the instances of a service, each with a [`TokenCache`](crate::TokenCache), share what one of
//! them was given, through a store that they all reach.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use access_tokens::{TokenCache, onence, store::{KeyRing, SharedStore}, testing::MemoryStore};
//! # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
//! # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
//! # let (name_key, key) = ([1; 32], [2; 32]);
//!
//! let redis = MemoryStore::new(); // in a service: `access_tokens_redis::RedisStore`
//! for _instance in 0..50 {
//!     let store = SharedStore::new(redis.clone(), KeyRing::new(&name_key, [&key])?);
//!     let credentials = onence::Credentials::new(username, password);
//!     let client = onence::Client::builder(credentials).base_url(&base_url).build()?;
//!     let cache = TokenCache::builder(client).store(store).build()?;
//!     assert!(cache.token().await?.secret().len() > 1000);
//!     cache.shutdown().await;
//! }
//! # assert_eq!(sandbox.requests(access_tokens_sandbox::Endpoint::Onence), 1);
//! # Ok(()) }
//! ```
//!
//! # What it does
//!
//! - Before an exchange a cache looks for a token there: at its first fetch, at each refresh, after an invalidation. If there
//!   is one that is newer than its own, it takes that. If not, it takes the lease and makes the exchange, and stores the
//!   outcome; who finds the lease taken waits for that. A holder who dies is replaced after 5 s, and nobody waits for others
//!   longer than 10 s.
//! - An older token never replaces a newer one, and one that was invalidated by any instance isn't handed out again. Where the
//!   server has no other, each instance asks for itself until that ends.
//! - Who comes just after an exchange that failed gets its error, instead of failing too. That ends at the time that the server
//!   named, else after 2.5 s, or half of what its own cache pauses if that is longer, or 1 s if it can be the fault of one machine:
//!   then another one asks. Where the provider rejects the credentials, it ends with the pause of the one who asked: all together
//!   ask no more often than one would. All of them come back a little later than that, each by as much as it draws.
//! - A token stands under the name of the client that brought it. What the old client of a
//!   [`RotatingEndpoint`](crate::RotatingEndpoint) brings while the new one is rejected isn't shared; nobody waits for it either.
//! - All times are told by the store's clock; the machines' own needn't agree. Where that clock is set back, as when a replica
//!   takes over, a token can be taken for younger by as much; one from its future isn't used.
//! - The store sees keyed hashes and sealed values ([`KeyRing`]), and nothing else. A value that doesn't open, whoever wrote it,
//!   counts as absent and is overwritten; the log says so once. Who may write there can still take values away, or put back what
//!   was there before: an instance that knows a newer token doesn't take the older; one that starts just then gets a token that
//!   hasn't ended, though it may have been invalidated, or an error of before, for as long as that was meant for.
//!
//! # When the store is away
//!
//! Caches then do without: each makes its own exchanges, by its own policy. No caller gets an error for it, or waits longer than
//! [`timeout`](SharedStoreBuilder::timeout) beyond the exchange. Who was waiting for another instance's exchange just then notices
//! within that time, or within twice that time if the store doesn't answer, and makes its own. A store that can be read and refuses
//! to be written (a replica, or one out of memory) is away too. The log says once that it's away and once that it's back (target
//! `access_tokens::store`). While it is away every process looks after it every 1.5 to 3.5 s, one that is idle too.
//! [`check`](SharedStore::check) at the start has it connected before the first caller waits.

mod backend;
mod keys;
mod record;
mod share;
mod shared;

pub use self::{
    backend::{LARGEST, StoreAnswer, Stored, Swap, TokenStore},
    keys::KeyRing,
    shared::{Checked, SharedStore, SharedStoreBuilder},
};
pub(crate) use self::{
    record::Want,
    share::{Lease, Obtained, Told},
};
