//! Access tokens for 1NCE (IoT SIM management) and Worldline Open Banking (VOP, Wero).
//!
//! The token endpoints are called through clients generated from the providers' OpenAPI files. Those files are wrong in
//! places, and the servers don't keep to them to the letter; this crate is right where they aren't. It accepts what the
//! servers really send, and is strict where a mistake would cost: a token that is present and fits a header, a bearer
//! type, an expiry that makes sense.
//!
//! A service holds a [`TokenCache`], which always has a valid token at hand, and puts that on its requests, by hand or by the
//! middleware and the layer of the module `http` (see the features below).
//!
//! # Always a valid token, from 1NCE
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use access_tokens::{TokenCache, onence};
//! # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
//! # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
//!
//! let credentials = onence::Credentials::new(username, password);
//! let client = onence::Client::builder(credentials).base_url(&base_url).build()?;
//! let cache = TokenCache::new(client);
//! let token = cache.token().await?;
//! assert!(token.remaining().is_some_and(|left| left.as_secs() > 3000));
//! # Ok(()) }
//! ```
//!
//! There are [`TokenCaches`] for many tenants, and [`blocking::TokenCache`] for synchronous code.
//!
//! # A single token, from Worldline
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use access_tokens::{Scopes, TokenEndpoint, worldline};
//! # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
//! # let base_url = sandbox.worldline_base_url();
//!
//! let credentials = worldline::ClientSecret::new("sandbox-client", "sandbox-secret");
//! let realm = worldline::Realm::new("sandbox")?;
//! let scopes: Scopes = "VOP WERO".parse()?;
//! let client = worldline::Client::builder(&base_url, realm, scopes, credentials).build()?;
//! let token = client.exchange().await?;
//! assert!(token.scopes().contains("VOP"));
//! # Ok(()) }
//! ```
//!
//! # Keys, and credentials that change
//!
//! Instead of a secret, a client can authenticate with signed [assertions](assertion::ClientAssertion). Their key and certificate
//! are an [`Identity`], read from what banks hand out; a key without a certificate is a [`SigningKey`](assertion::SigningKey); or the
//! key stays in a service or device that [signs](assertion::Signer). Whatever
//! comes from files or from a callback is followed by a [`RotatingEndpoint`] while the service runs.
//!
//! The crate `access-tokens-config` reads all of it from a configuration file and the environment.
//!
//! # Secrets
//!
//! No `Debug`, `Display`, error or log of this crate shows a password, client secret, private key, assertion or token, and
//! none of its types implements `Serialize`. Secrets are wiped from memory when they are dropped, as far as our own
//! buffers go: what the HTTP and TLS libraries, the reader of PKCS#12, and the kernel copied on the way is theirs.
//!
//! # Features
//!
//! - `encrypted-keys`: encrypted PKCS#8 and PKCS#12 bundles for an [`Identity`].
//! - `metrics`: counters, histograms and gauges, see the module of that name.
//! - `reqwest`: the module of that name, the way to the HTTP client, and to settings of it that [`Transport`] doesn't have.
//! - `tls`: the module of that name, TLS as [`Transport`] sets it up, for a connection of your own.
//! - `reqwest-middleware`, `tower`: the module `http`, a middleware and a layer that put the token on requests.

mod answer;
pub mod assertion;
mod base_url;
pub mod blocking;
mod cache;
mod caches;
mod caught;
mod cause;
mod clock;
mod endpoint;
mod error;
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
pub mod http;
mod http_date;
mod identity;
mod jws;
#[cfg(feature = "metrics")]
pub mod metrics;
mod obstacle;
pub mod onence;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod rotation;
mod scopes;
mod secret_file;
mod setting;
pub mod store;
pub mod testing;
mod text;
#[cfg(feature = "tls")]
pub mod tls;
mod token;
mod token_id;
mod transport;
mod watched_files;
pub mod worldline;

pub use cache::{Policy, Subscription, TokenCache, TokenCacheBuilder, TokenGuard};
pub use caches::{TokenCaches, TokenCachesBuilder};
pub use clock::Clock;
pub use endpoint::{Exchange, Rotation, Rotations, TokenEndpoint};
pub use error::{Error, ErrorKind};
pub use identity::{Identity, root_certificates};
pub use obstacle::Obstacle;
pub use rotation::RotatingEndpoint;
pub use scopes::Scopes;
pub use secret_file::SecretFile;
pub use setting::Setting;
pub use token::AccessToken;
pub use token_id::TokenId;
pub use transport::Transport;

// Its second program needs the feature.
#[cfg(all(doctest, feature = "reqwest-middleware"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
