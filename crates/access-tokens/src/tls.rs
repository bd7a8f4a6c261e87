//! TLS as [`Transport`](crate::Transport) sets it up, for a connection of your own (feature `tls`).
//!
//! ```
//! # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
//! # let root = sandbox.signing_cert_pem();
//! let config = access_tokens::tls::client_config([root], None)?;
//! assert!(config.alpn_protocols.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use rustls::ClientConfig;

use crate::{Error, Identity, transport::tls};

/// The system's roots and these, each as [`root_certificates`](crate::root_certificates) reads them, and the certificate to show to
/// a server that asks for one. The cryptography is that which the process has chosen for rustls, or else aws-lc-rs.
///
/// # Errors
/// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): roots or a certificate that TLS can't use, with the
/// [item](Error::item) of the roots; no root at all.
pub fn client_config(
    roots: impl IntoIterator<Item = impl AsRef<[u8]>>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, Error> {
    tls::config(roots, identity)
}
