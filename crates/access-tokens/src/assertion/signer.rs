//! Keys that can't be had, only asked to sign.

use std::{fmt, future::Future, pin::Pin};

use crate::{Error, jws::Algorithm};

/// The future of one signature.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send + 'a>>;

/// A key that never leaves a key management service or a hardware module.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let base_url = sandbox.worldline_base_url();
/// # let certificate = sandbox.signing_cert_pem();
/// use access_tokens::{
///     Error, ErrorKind, TokenEndpoint,
///     assertion::{Algorithm, ClientAssertion, Signer, Signing},
///     worldline,
/// };
/// # #[derive(Debug)] struct Kms(aws_lc_rs::signature::RsaKeyPair);
/// # impl Kms {
/// #     fn connect(pem: &str) -> Self {
/// #         let pem = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap();
/// #         Self(aws_lc_rs::signature::RsaKeyPair::from_pkcs8(&pem.contents).unwrap())
/// #     }
/// #     async fn sign(&self, _: &str, message: &[u8]) -> Result<Vec<u8>, std::io::Error> {
/// #         let mut signature = vec![0; self.0.public_modulus_len()];
/// #         let random = aws_lc_rs::rand::SystemRandom::new();
/// #         self.0.sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
/// #         Ok(signature)
/// #     }
/// # }
/// # let kms = Kms::connect(sandbox.signing_key_pem());
///
/// #[derive(Debug)]
/// struct KmsKey {
///     kms: Kms, // the client of your service
///     name: String,
/// }
///
/// impl Signer for KmsKey {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Rs256
///     }
///
///     fn key_name(&self) -> &str {
///         &self.name
///     }
///
///     fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
///         Box::pin(async {
///             let signature = self.kms.sign(&self.name, message).await;
///             signature.map_err(|e| Error::new(ErrorKind::Unavailable, "the KMS doesn't sign").with_source(e))
///         })
///     }
/// }
///
/// let key = KmsKey { kms, name: "arn:aws:kms:eu-west-1:111122223333:key/payments".to_owned() };
/// let credentials = ClientAssertion::with_signer("sandbox-jwt-client", key)?.certificates(certificate)?;
/// let realm = worldline::Realm::new("sandbox")?;
/// let client = worldline::Client::builder(&base_url, realm, "VOP".parse()?, credentials).build()?;
/// assert!(client.exchange().await?.secret().len() > 1000);
/// # Ok(()) }
/// ```
pub trait Signer: fmt::Debug + Send + Sync {
    /// What it signs with. Asked once, as is the name of the key.
    fn algorithm(&self) -> Algorithm;

    /// What tells the key from every other: a resource name, a slot and label. It is shown in messages.
    fn key_name(&self) -> &str;

    /// Signs `message`, which is whole and not a digest of it. ECDSA signatures may come as DER or, as in a JWS, as the two
    /// numbers one after the other. In a [`TokenCache`](crate::TokenCache) it has as long as an exchange; set a time-out of your own
    /// where there is none.
    ///
    /// # Errors
    /// What kept it from signing; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) where another attempt may do.
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a>;
}
