//! The algorithms of assertions, and what their headers say of the certificate.

use std::collections::BTreeMap;

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Sandbox, Worldline};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use rcgen::{
    CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, SignatureAlgorithm, SigningKey,
};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256};

use crate::assertion::{Assertion, fingerprint};

const ALGORITHMS: [(Algorithm, &SignatureAlgorithm); 7] = [
    (Algorithm::RS256, &PKCS_RSA_SHA256),
    (Algorithm::RS384, &PKCS_RSA_SHA256),
    (Algorithm::RS512, &PKCS_RSA_SHA256),
    (Algorithm::PS256, &PKCS_RSA_SHA256),
    (Algorithm::ES256, &PKCS_ECDSA_P256_SHA256),
    (Algorithm::ES384, &PKCS_ECDSA_P384_SHA384),
    (Algorithm::EdDSA, &PKCS_ED25519),
];

const BAD_ALGORITHM: &str = "Invalid signature algorithm";
const NO_KEY: &str = "Unable to load public key";
const BAD_SIGNATURE: &str = "Client authentication with signed JWT failed: Signature on JWT token failed validation";

/// A key of each type, each with a certificate that is registered for one client under a text.
struct Clients {
    sandbox: Sandbox,
    keys: Vec<Key>,
}

struct Key {
    pair: KeyPair,
    der: Vec<u8>,
    pem: String,
}

impl Clients {
    async fn start() -> Clients {
        let types = [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
        let keys = types.map(|key_type| {
            let pair = KeyPair::generate_for(key_type).unwrap();
            let certificate = CertificateParams::default().self_signed(&pair).unwrap();
            Key { pair, der: certificate.der().to_vec(), pem: certificate.pem() }
        });
        let certificates = keys.iter().map(|key| (key.text(), key.der.clone()));
        let sandbox = start_with(certificates.collect()).await;
        Clients { sandbox, keys: keys.into() }
    }

    fn key(&self, key_type: &SignatureAlgorithm) -> &Key {
        self.keys.iter().find(|key| key.pair.algorithm() == key_type).unwrap()
    }

    /// An assertion in `alg` by the key that can do it, with the SHA-1 fingerprint of that key's certificate.
    fn right(&self, (alg, key_type): (Algorithm, &SignatureAlgorithm)) -> Assertion {
        let mut assertion = Assertion::right(&self.sandbox).with("iss", "many").with("sub", "many");
        assertion.header = Header::new(alg);
        assertion.header.kid = Some(self.key(key_type).sha1());
        assertion.key_pem = self.key(key_type).pair.serialize_pem();
        assertion
    }
}

async fn start_with(certificates: BTreeMap<String, Vec<u8>>) -> Sandbox {
    let client = Client { client_id: "many".into(), auth: ClientAuth::CertificatesByKeyId(certificates) };
    let settings = Worldline { clients: vec![client], ..Worldline::default() };
    Sandbox::builder().worldline(settings).start().await.unwrap()
}

impl Key {
    fn sha1(&self) -> String {
        fingerprint(&self.pem)
    }

    fn sha256(&self) -> String {
        Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn text(&self) -> String {
        format!("the key {:?} of 2024", self.pair.algorithm())
    }
}

fn refused(description: &str) -> (u16, Value) {
    (400, json!({ "error": "invalid_client", "error_description": description }))
}

#[tokio::test]
async fn each_algorithm_works_with_each_kid() {
    let clients = Clients::start().await;
    for (alg, key_type) in ALGORITHMS {
        let key = clients.key(key_type);
        for (kid, works) in [
            (key.sha1(), true),
            (key.sha256(), true),
            (key.text(), true),
            (key.sha1().to_lowercase(), false),
            (key.sha256().to_lowercase(), false),
            (key.text().to_uppercase(), false),
            (format!("{} ", key.text()), false),
            (String::new(), false),
        ] {
            let mut assertion = clients.right((alg, key_type));
            assertion.header.kid = Some(kid.clone());
            let (status, answer) = assertion.send(&clients.sandbox).await;
            if works {
                assert_eq!(status, 200, "{alg:?} {kid}: {answer}");
                assert_eq!(clients.sandbox.last_credential(Endpoint::Worldline), Some(key.sha1()), "{alg:?} {kid}");
            } else {
                assert_eq!((status, answer), refused(NO_KEY), "{alg:?} {kid}");
            }
        }
    }
}

#[tokio::test]
async fn a_text_means_the_certificate_that_it_is_registered_with() {
    let clients = Clients::start().await;
    let mut assertion = clients.right((Algorithm::ES256, &PKCS_ECDSA_P256_SHA256));
    assertion.header.kid = Some(clients.key(&PKCS_ED25519).text());
    assert_eq!(assertion.send(&clients.sandbox).await, refused(BAD_ALGORITHM));
}

/// Each algorithm, signed by a key that can do it, with the `kid` of each key that can't.
#[tokio::test]
async fn an_algorithm_that_the_key_cannot_do_is_refused() {
    let clients = Clients::start().await;
    for (alg, key_type) in ALGORITHMS {
        for key in clients.keys.iter().filter(|key| key.pair.algorithm() != key_type) {
            let mut assertion = clients.right((alg, key_type));
            assertion.header.kid = Some(key.sha1());
            assert_eq!(assertion.send(&clients.sandbox).await, refused(BAD_ALGORITHM), "{alg:?} {}", key.text());
        }
    }
    for alg in [Algorithm::PS384, Algorithm::PS512] {
        let assertion = clients.right((alg, &PKCS_RSA_SHA256));
        assert_eq!(assertion.send(&clients.sandbox).await, refused(BAD_ALGORITHM), "{alg:?}");
    }
    assert_eq!(clients.sandbox.last_credential(Endpoint::Worldline), None);
}

#[tokio::test]
async fn a_signature_that_was_tampered_with_is_refused_in_each_algorithm() {
    let clients = Clients::start().await;
    for algorithm in ALGORITHMS {
        let assertion = clients.right(algorithm);
        let jwt = assertion.jwt();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let send = async |signature: &[u8]| {
            let jwt = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            assertion.send_jwt(&clients.sandbox, &jwt).await
        };
        for index in [0, signature.len() / 2, signature.len() - 1] {
            let mut tampered = signature.clone();
            tampered[index] ^= 1;
            assert_eq!(send(&tampered).await, refused(BAD_SIGNATURE), "{algorithm:?} {index}");
        }
        assert_eq!(send(&signature[1..]).await, refused(BAD_SIGNATURE), "{algorithm:?}");
        assert_eq!(send(&signature).await.0, 200, "{algorithm:?}");
    }
}

/// What TLS and X.509 put in the place of a JWS's two numbers.
#[tokio::test]
async fn an_elliptic_signature_in_asn1_is_refused() {
    let clients = Clients::start().await;
    for algorithm in [(Algorithm::ES256, &PKCS_ECDSA_P256_SHA256), (Algorithm::ES384, &PKCS_ECDSA_P384_SHA384)] {
        let assertion = clients.right(algorithm);
        let jwt = assertion.jwt();
        let (signed, _) = jwt.rsplit_once('.').unwrap();
        let signature = clients.key(algorithm.1).pair.sign(signed.as_bytes()).unwrap();
        let jwt = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(assertion.send_jwt(&clients.sandbox, &jwt).await, refused(BAD_SIGNATURE), "{algorithm:?}");
    }
}

#[tokio::test]
async fn x5t_must_be_the_digest_of_the_certificate() {
    let clients = Clients::start().await;
    let (key, other) = (clients.key(&PKCS_ECDSA_P256_SHA256), clients.key(&PKCS_ED25519));
    let sha1 = |key: &Key| Some(URL_SAFE_NO_PAD.encode(Sha1::digest(&key.der)));
    let sha256 = |key: &Key| Some(URL_SAFE_NO_PAD.encode(Sha256::digest(&key.der)));
    for (what, x5t, x5t_s256, works) in [
        ("x5t", sha1(key), None, true),
        ("x5t#S256", None, sha256(key), true),
        ("both", sha1(key), sha256(key), true),
        ("x5t of another", sha1(other), None, false),
        ("x5t#S256 of another", None, sha256(other), false),
        ("x5t right, x5t#S256 of another", sha1(key), sha256(other), false),
        ("x5t#S256 right, x5t of another", sha1(other), sha256(key), false),
        ("SHA-256 in x5t", sha256(key), None, false),
        ("SHA-1 in x5t#S256", None, sha1(key), false),
        ("hex in x5t", Some(key.sha1()), None, false),
        ("padded", sha1(key).map(|x5t| x5t + "="), None, false),
        ("empty", Some(String::new()), None, false),
    ] {
        let mut assertion = clients.right((Algorithm::ES256, &PKCS_ECDSA_P256_SHA256));
        (assertion.header.x5t, assertion.header.x5t_s256) = (x5t, x5t_s256);
        let (status, answer) = assertion.send(&clients.sandbox).await;
        match works {
            true => assert_eq!(status, 200, "{what}: {answer}"),
            false => assert_eq!((status, answer), refused(NO_KEY), "{what}"),
        }
    }
}

#[tokio::test]
async fn x5c_must_be_the_certificate_and_its_issuers() {
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let key = |key_type| KeyPair::generate_for(key_type).unwrap();
    let root_key = key(&PKCS_ECDSA_P384_SHA384);
    let root = named("root").self_signed(&root_key).unwrap().der().to_vec();
    let issuer_key = key(&PKCS_ED25519);
    let issuer = named("issuer").signed_by(&issuer_key, &Issuer::new(named("root"), root_key)).unwrap().der().to_vec();
    let leaf_key = key(&PKCS_ECDSA_P256_SHA256);
    let leaf = named("leaf").signed_by(&leaf_key, &Issuer::new(named("issuer"), issuer_key)).unwrap().der().to_vec();
    // The name is right, the key isn't; and the other way round.
    let same_name = named("issuer").self_signed(&key(&PKCS_ED25519)).unwrap().der().to_vec();
    let same_key = {
        let key = key(&PKCS_ED25519);
        let leaf = named("leaf").signed_by(&leaf_key, &Issuer::new(named("issuer"), &key)).unwrap().der().to_vec();
        (leaf, named("other").self_signed(&key).unwrap().der().to_vec())
    };
    let other = named("leaf").self_signed(&leaf_key).unwrap().der().to_vec();
    let trailing = [issuer.clone(), vec![0]].concat();

    let sandbox =
        start_with([("leaf".to_owned(), leaf.clone()), ("same key".to_owned(), same_key.0.clone())].into()).await;
    let encoded = |chain: &[&Vec<u8>]| chain.iter().map(|der| STANDARD.encode(der)).collect::<Vec<_>>();
    let url_safe = URL_SAFE_NO_PAD.encode(&leaf);
    for (what, kid, x5c, works) in [
        ("the leaf", "leaf", encoded(&[&leaf]), true),
        ("leaf and issuer", "leaf", encoded(&[&leaf, &issuer]), true),
        ("up to the root", "leaf", encoded(&[&leaf, &issuer, &root]), true),
        ("the root twice, which issued itself", "leaf", encoded(&[&leaf, &issuer, &root, &root]), true),
        ("nothing", "leaf", vec![], false),
        ("another certificate of the same key and name", "leaf", encoded(&[&other]), false),
        ("the issuer first", "leaf", encoded(&[&issuer, &leaf]), false),
        ("one left out", "leaf", encoded(&[&leaf, &root]), false),
        ("the last one wrong", "leaf", encoded(&[&leaf, &issuer, &same_name]), false),
        ("an issuer of the same name, with another key", "leaf", encoded(&[&leaf, &same_name]), false),
        ("an issuer with the same key, of another name", "same key", encoded(&[&same_key.0, &same_key.1]), false),
        ("bytes behind the issuer", "leaf", encoded(&[&leaf, &trailing]), false),
        ("no certificate behind the leaf", "leaf", encoded(&[&leaf, &vec![1, 2]]), false),
        ("base64url", "leaf", vec![url_safe], false),
        ("not base64", "leaf", vec!["%".into()], false),
    ] {
        let mut assertion = Assertion::right(&sandbox).with("iss", "many").with("sub", "many");
        assertion.header = Header::new(Algorithm::ES256);
        (assertion.header.kid, assertion.header.x5c) = (Some(kid.into()), Some(x5c));
        assertion.key_pem = leaf_key.serialize_pem();
        let (status, answer) = assertion.send(&sandbox).await;
        match works {
            true => assert_eq!(status, 200, "{what}: {answer}"),
            false => assert_eq!((status, answer), refused(NO_KEY), "{what}"),
        }
    }
}
