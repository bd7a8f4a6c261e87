//! The store that a fleet shares its access tokens through, on Redis (5 or newer) or Valkey: one server, sentinels or a
//! cluster, with TLS or without.
//!
//! ```
//! use access_tokens_redis::RedisStore;
//!
//! let store = RedisStore::builder(["rediss://redis.example:6379/0"]).username("tokens").password("secret").build()?;
//! // Nothing was connected to yet: that comes with the first command.
//! assert!(format!("{store:?}").contains("redis.example:6379"));
//! # Ok::<(), access_tokens::Error>(())
//! ```
//!
//! Values are sealed before they come here, and names are hashes: who reads the server, or the way to it, learns no token. The
//! password isn't sealed: over plain `redis://` it travels in clear.
//!
//! # What a user may do
//! Each command is a script of one round trip. A user for it, by the ACL of Redis 6 and newer:
//!
//! ```text
//! ACL SETUSER tokens on >secret ~access-tokens:* +evalsha +eval +get +set +strlen +time +type +ping +select
//! ```
//!
//! `+select` is for a database other than 0. With sentinels add `+role`, in a cluster `+asking`; the sentinels' own user needs
//! `+sentinel|get-master-addr-by-name +ping`. A server that evicts keys, or forgets them when it restarts, costs the fleet an
//! exchange each, and nothing else.

mod address;
mod builder;
mod connection;
mod error;
mod first;
mod link;
mod script;
mod servers;
mod store;

pub use self::{builder::RedisStoreBuilder, store::RedisStore};
