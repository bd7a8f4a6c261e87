//! One exchange with the sandbox, whose assertion is kept on its way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use access_tokens::{AccessToken, Error, TokenEndpoint, assertion::ClientAssertion, worldline};
use access_tokens_sandbox::{Client, ClientAuth, Sandbox};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};
use sha1::Digest as _;
use sha2::Digest as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support;

pub(crate) const CLIENT: &str = "bank client";

/// A sandbox that knows some certificates, and what it was sent.
pub(crate) struct Bank {
    pub(crate) sandbox: Sandbox,
    /// Before the sandbox, whose realm has this host in its URL then.
    url: String,
    assertions: Arc<Mutex<Vec<String>>>,
}

impl Bank {
    /// Knows these certificates, each by its fingerprints and under this text.
    pub(crate) async fn knowing(certificates: BTreeMap<String, Vec<u8>>) -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let auth = ClientAuth::CertificatesByKeyId(certificates);
        sandbox.set_worldline_clients(vec![Client { client_id: CLIENT.to_owned(), auth }]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let assertions = Arc::new(Mutex::new(Vec::new()));
        let (behind, kept) = (sandbox.local_addr(), assertions.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let request = support::read_request(&mut client).await;
                let (_, assertion) = request.split_once("client_assertion=").unwrap();
                kept.lock().unwrap().push(assertion.split('&').next().unwrap().to_owned());
                let request = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
                let mut sandbox = TcpStream::connect(behind).await.unwrap();
                sandbox.write_all(request.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                sandbox.read_to_end(&mut answer).await.unwrap();
                client.write_all(&answer).await.unwrap();
                let _ = client.shutdown().await;
            }
        });
        Self { sandbox, url, assertions }
    }

    pub(crate) fn client(&self, credentials: ClientAssertion) -> worldline::Client {
        let base_url = format!("{}/auth", self.url);
        let realm = worldline::Realm::new("sandbox").unwrap();
        worldline::Client::builder(base_url, realm, "VOP".parse().unwrap(), credentials).build().unwrap()
    }

    /// What became of one exchange, and the one assertion that it was made with.
    pub(crate) async fn ask(&self, credentials: ClientAssertion) -> (Result<AccessToken, Error>, String) {
        self.assertions.lock().unwrap().clear();
        let outcome = self.client(credentials).exchange().await;
        let [assertion] = &self.assertions()[..] else { panic!("one assertion: {outcome:?}") };
        (outcome, assertion.clone())
    }

    /// All that came.
    pub(crate) fn assertions(&self) -> Vec<String> {
        self.assertions.lock().unwrap().clone()
    }

    /// The realm's URL.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/auth/realms/sandbox", self.url)
    }

    /// Where the assertions are sent to.
    pub(crate) fn token_endpoint(&self) -> String {
        format!("{}/protocol/openid-connect/token", self.issuer())
    }
}

/// Header and claims, if the other library finds the signature to be the certificate's key's (PEM) in that algorithm, the
/// assertion alive, and its audience and client this one.
pub(crate) fn verified(assertion: &str, certificate: &[u8], algorithm: &str, audience: &str) -> (Value, Value) {
    let algorithm: jsonwebtoken::Algorithm = algorithm.parse().unwrap();
    let key = match algorithm {
        jsonwebtoken::Algorithm::ES256 | jsonwebtoken::Algorithm::ES384 => DecodingKey::from_ec_pem(certificate),
        jsonwebtoken::Algorithm::EdDSA => DecodingKey::from_ed_pem(certificate),
        _ => DecodingKey::from_rsa_pem(certificate),
    };
    let mut rules = Validation::new(algorithm);
    rules.leeway = 0;
    rules.sub = Some(CLIENT.to_owned());
    rules.set_issuer(&[CLIENT]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    let claims = jsonwebtoken::decode::<Value>(assertion, &key.unwrap(), &rules).unwrap().claims;
    // What the library leaves out of a header that it reads is there too.
    (support::part(assertion, 0), claims)
}

/// The claims, but for what differs from one assertion to the next, which must be in order.
pub(crate) fn steady(mut claims: Value, lifetime: u64) -> Value {
    let claims = claims.as_object_mut().unwrap();
    let [jti, iat, exp] = ["jti", "iat", "exp"].map(|name| claims.remove(name).unwrap());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert_eq!(jti.as_str().unwrap().len(), 22, "128 bits");
    assert!(iat.as_u64().unwrap().abs_diff(now) < 5, "{iat}");
    assert_eq!(exp.as_u64().unwrap() - iat.as_u64().unwrap(), lifetime);
    json!(claims)
}

pub(crate) fn sha1(der: &[u8]) -> Vec<u8> {
    sha1::Sha1::digest(der).to_vec()
}

pub(crate) fn sha256(der: &[u8]) -> Vec<u8> {
    sha2::Sha256::digest(der).to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
