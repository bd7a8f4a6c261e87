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

/// Hands our builder to a closure.
pub trait Configure {
    /// `configure` gets our builder after all that [`Transport`] sets. What [`Transport`] promises holds all the same: no
    /// redirects, no connection that is kept, nothing that is decoded, `http` on this machine alone and past every proxy, and
    /// nothing that is sent in a log.
    ///
    /// TLS is set up as a whole already, so its settings do nothing here, unless the closure begins with `tls_backend_rustls()`:
    /// then they count, and the roots and the client certificate of [`Transport`] don't.
    ///
    /// ```
    /// use access_tokens::{Transport, reqwest::Configure};
    /// use reqwest::tls::Version;
    ///
    /// let transport = Transport::new().configure(|builder| builder.tls_backend_rustls().tls_version_min(Version::TLS_1_3));
    /// ```
    #[must_use]
    fn configure(self, configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self;
}

impl Configure for Transport {
    fn configure(mut self, configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        self.configure = Some(Arc::new(configure));
        self
    }
}
