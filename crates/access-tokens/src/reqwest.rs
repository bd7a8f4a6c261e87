//! The way to settings of the HTTP client that [`Transport`] has no method for (feature `reqwest`).
//!
//! ```
//! use access_tokens::{Transport, reqwest::Configure};
//!
//! let transport = Transport::new().configure(|builder| builder.tcp_nodelay(true));
//! ```

use std::sync::Arc;

pub use ::reqwest::ClientBuilder;

use crate::Transport;

pub(crate) type Closure = Arc<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// Hands our builder to a closure.
pub trait Configure {
    /// `configure` gets our builder after all that [`Transport`] sets. What [`Transport`] promises holds all the same: no
    /// redirects, `http` on this machine alone and past every proxy, and nothing that is sent in a log.
    #[must_use]
    fn configure(self, configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self;
}

impl Configure for Transport {
    fn configure(mut self, configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        self.configure = Some(Arc::new(configure));
        self
    }
}
