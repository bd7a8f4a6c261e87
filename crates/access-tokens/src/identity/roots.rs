//! Root certificates.

use rustls_pki_types::CertificateDer;

use super::{
    content::{self, Kind},
    named::Source,
};
use crate::Error;

/// Reads root certificates and returns each in DER: PEM with one or several, or one certificate in DER.
///
/// [`Transport::add_roots_pem`](crate::Transport::add_roots_pem) reads with it too.
///
/// ```
/// # let sandbox = tokio::runtime::Runtime::new()?.block_on(access_tokens_sandbox::Sandbox::start())?;
/// # let (certificate, key) = (sandbox.signing_cert_pem(), sandbox.signing_key_pem());
/// let roots = access_tokens::root_certificates(certificate.as_bytes())?;
/// assert_eq!(roots.len(), 1);
///
/// let error = access_tokens::root_certificates(key.as_bytes()).unwrap_err();
/// assert_eq!(error.to_string(), "the root certificates: it is a private key; leave only certificates");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with [`Setting::Roots`](crate::Setting::Roots): a PEM section that is broken, anything
/// that isn't a certificate, no certificate at all, or one that TLS can't use as a root. The message tells which one.
pub fn root_certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let named = Source::ROOTS.of(pem);
    let items = content::items(&named)?;
    let is_only = items.len() == 1;
    if items.is_empty() {
        return Err(named.error("it holds no certificate"));
    }
    let root = |item: content::Item| {
        if item.kind != Kind::Certificate {
            return Err(item.refused(&named, is_only));
        }
        let der = item.der.to_vec();
        match webpki::anchor_from_trusted_cert(&CertificateDer::from(der.as_slice())) {
            Ok(_) => Ok(der),
            Err(_) => {
                let (place, subject) = (&item.place, item.label());
                Err(named.error(format!("TLS can't use {place} ({subject}) as a root; remove it, or give another one")))
            }
        }
    };
    items.into_iter().map(root).collect()
}
