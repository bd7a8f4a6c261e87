//! TLS to a server: the system's roots and further ones, and a client certificate.

use std::sync::Arc;

use access_tokens::{Error, Identity};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::error::configuration;

/// A client certificate with its chain, and its key, each as PEM.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// The provider of cryptography is named here and not asked of the process, where there may be none, or two.
pub(crate) fn connector(roots: &[Vec<u8>], client: Option<&ClientCertificate>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut extra = Vec::new();
    for pem in roots {
        let certificates = certificates(pem).filter(|certificates| !certificates.is_empty());
        extra.extend(certificates.ok_or_else(|| configuration("the extra roots hold no PEM certificate"))?);
    }
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(|e| {
        let message = if roots.is_empty() {
            "TLS has no roots to trust; install root certificates on this machine, or add one with add_roots_pem"
        } else {
            "TLS can't use the extra roots; each must be the certificate of an authority"
        };
        configuration(message).with_source(e)
    })?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| configuration("TLS can't be set up").with_source(e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match client {
        None => config.with_no_client_auth(),
        Some(ClientCertificate { certificates: pem, key }) => {
            // For its checks, and its words on what is wrong.
            Identity::new(key, pem)?;
            let unusable = || configuration("TLS can't use the client certificate; give certificate and key as PEM");
            let chain = certificates(pem).ok_or_else(unusable)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unusable())?;
            config.with_client_auth_cert(chain, key).map_err(|e| unusable().with_source(e))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}
