//! TLS to a server: the system's roots and further ones, and a client certificate.

use std::sync::Arc;

use access_tokens::{Error, Identity, Setting, root_certificates};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::error::configuration;

/// The provider of cryptography is named here and not asked of the process, where there may be none, or two.
pub(crate) fn connector(roots: &[Vec<u8>], identity: Option<&Identity>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut extra = Vec::new();
    for (index, roots) in roots.iter().enumerate() {
        let roots = root_certificates(roots).map_err(|error| error.with_item(index))?;
        extra.extend(roots.into_iter().map(CertificateDer::from));
    }
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(|e| {
        let message = if roots.is_empty() {
            "TLS has no roots to trust; install root certificates on this machine, or add one with add_roots_pem"
        } else {
            "TLS can't use the extra roots; each must be the certificate of an authority"
        };
        configuration(message).with_setting(Setting::Roots).with_source(e)
    })?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| configuration("TLS can't be set up").with_source(e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let unusable = || configuration("TLS can't use the client certificate").with_setting(Setting::Certificate);
            let (chain, key) = identity.with_pem(|pem| {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
                (chain, PrivateKeyDer::from_pem_slice(pem.as_bytes()))
            });
            let (chain, key) = chain.ok().zip(key.ok()).ok_or_else(unusable)?;
            config.with_client_auth_cert(chain, key).map_err(|e| unusable().with_source(e))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}
