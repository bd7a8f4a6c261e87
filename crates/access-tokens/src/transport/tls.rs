//! TLS to a server: the system's roots and further ones, and a client certificate.

use std::sync::Arc;

use rustls::{
    ClientConfig, SignatureScheme,
    client::ResolvesClientCert,
    crypto::{CryptoProvider, aws_lc_rs},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls_platform_verifier::Verifier;

use super::watch;
use crate::{Error, Identity, Setting, root_certificates};

/// Trusts the system's roots and these, and shows the certificate to who asks for one.
pub(crate) fn config(
    roots: impl IntoIterator<Item = impl AsRef<[u8]>>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let extra_roots = extra_roots(roots)?;
    let message = if extra_roots.is_empty() {
        "TLS has no roots to trust; install root certificates on this machine, or add one with add_roots_pem"
    } else {
        "TLS can't use the extra roots; each must be the certificate of an authority"
    };
    let verifier = Verifier::new_with_extra_roots(extra_roots, provider.clone())
        .map_err(|e| Error::configuration(message).with_setting(Setting::Roots).with_source(e))?;
    let certificate = identity.map(|identity| certified_key(identity, &provider)).transpose()?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::configuration("TLS can't be set up").with_source(e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(ClientCertificate(certificate))))
}

pub(super) fn extra_roots(
    roots: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut extra = Vec::new();
    for (index, roots) in roots.into_iter().enumerate() {
        let roots = root_certificates(roots.as_ref()).map_err(|error| error.with_item(index))?;
        extra.extend(roots.into_iter().map(CertificateDer::from));
    }
    Ok(extra)
}

fn certified_key(identity: &Identity, provider: &CryptoProvider) -> Result<SingleCertAndKey, Error> {
    identity.check_for_tls()?;
    let unusable = || Setting::Certificate.error("can't be used by TLS");
    let (chain, key) = identity.with_pem(|pem| {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        (chain, PrivateKeyDer::from_pem_slice(pem.as_bytes()))
    });
    let (chain, key) = chain.ok().zip(key.ok()).ok_or_else(unusable)?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|e| unusable().with_source(e))?;
    Ok(SingleCertAndKey::from(certified))
}

/// The certificate that a server gets that asks for one.
#[derive(Debug)]
struct ClientCertificate(Option<SingleCertAndKey>);

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        watch::note(|seen| seen.certificate_requested = true);
        self.0.as_ref()?.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        // Without it nobody is asked, and the request for one goes unnoticed.
        true
    }
}
