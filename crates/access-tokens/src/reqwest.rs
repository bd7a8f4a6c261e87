//! The way to the HTTP client, and to settings of it that [`Transport`] has no method for (feature `reqwest`).
//!
//! ```
//! use access_tokens::{Transport, reqwest::Configure};
//!
//! let transport = Transport::new().configure(|builder| builder.tcp_nodelay(true));
//! ```

use std::sync::Arc;

pub use ::reqwest::{ClientBuilder, Response};

use crate::{Error, Transport};

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

/// Asks for `base_url` once (`GET`), over exactly the connection that an exchange there would use. No credentials are sent, but for
/// those of the proxy and a client certificate that the server asks for. Any status counts as an answer; of its body nothing is
/// read yet.
///
/// ```
/// use access_tokens::{Obstacle, Transport, reqwest};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let base_url = sandbox.onence_base_url();
/// assert_eq!(reqwest::get(&Transport::new(), &base_url).await?.status(), 404);
///
/// let nobody = "http://127.0.0.1:1"; // where nobody listens
/// let failure = reqwest::get(&Transport::new(), nobody).await.unwrap_err();
/// assert_eq!(failure.obstacle(), Some(Obstacle::Connection));
/// assert!(failure.is_retryable());
/// # Ok(()) }
/// ```
///
/// # Errors
/// Why no answer came, as an exchange would report it. [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) without an
/// [obstacle](Error::obstacle), before anything is sent: a base URL that isn't `https`, a transport that can't be set up.
pub async fn get(transport: &Transport, base_url: &str) -> Result<Response, Error> {
    transport.get(base_url).await
}
